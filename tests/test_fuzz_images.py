"""Bytes that are nearly images, for twenty seconds; `make fuzz` for long."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from artidx.embedder.pictures.images import square
from artidx.errors import UnreadableImage
from fuzz_images import run
from hostile_pictures import KINDS, encoded

SECONDS = float(os.environ.get("ARTIDX_FUZZ_S", "4"))


def test_every_string_of_bytes_is_a_square_or_a_reason_in_bounded_time_and_memory(tmp_path: Path) -> None:
    seed = 0 if SECONDS < 60 else time.time_ns() % 1_000_000
    program = Path(__file__).with_name("fuzz_images.py")
    ran = subprocess.run(
        [sys.executable, program, str(SECONDS), str(seed), tmp_path], capture_output=True, text=True, check=False
    )
    print(f"\n{SECONDS:g} s of pictures, seed {seed}: {ran.stdout}")
    assert ran.returncode == 0, f"seed {seed}, {tmp_path / 'last'}: {ran.stderr[-2000:]}"


def test_a_decoder_that_lets_something_through_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuzz_images.square", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(1, 0, tmp_path)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("tiff: strips", "bmp: packed")])
def test_a_picture_that_asks_much_costs_little(kind: str) -> None:
    data = KINDS[kind](300_000)
    started = time.thread_time()
    with suppress(UnreadableImage):
        assert square(data, 16).shape == (16, 16, 3)
    assert time.thread_time() - started < 0.5


@pytest.mark.parametrize(("kind", "size"), [("tiff: strips", 1_700_000), ("bmp: packed", 4_300_000)])
def test_a_picture_of_millions_of_parts_is_refused_before_they_are_read(kind: str, size: int) -> None:
    data = KINDS[kind](size)
    started = time.thread_time()
    with pytest.raises(UnreadableImage, match="too much work to decode"):
        square(data, 16)
    assert time.thread_time() - started < 0.2


@pytest.mark.parametrize("kind", ["jpeg: exif", "jpeg: photoshop", "png: exif", "gif: comments", "webp: chunks"])
def test_a_moderate_number_of_such_parts_costs_no_picture(kind: str) -> None:
    assert square(KINDS[kind](300), 16).shape == (16, 16, 3)


def test_the_film_behind_a_photograph_of_a_phone_does_not_count_as_scans() -> None:
    photograph = encoded("JPEG", progressive=True)
    film = b"\xff\xda\0\2" * 1000
    assert np.array_equal(square(photograph + film, 16), square(photograph, 16))


@pytest.mark.parametrize(("more", "is_read"), [(60, True), (120, False)])
def test_scans_are_counted_exactly_where_there_may_be_too_many(more: int, is_read: bool) -> None:
    data = encoded("JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    many = data[:-2] + data[last:-2] * more + data[-2:]
    if is_read:
        assert square(many + b"\xff\xda" * 500, 16).shape == (16, 16, 3)
    else:
        with pytest.raises(UnreadableImage, match=r"a JPEG of 0\.0 megapixels in over 100 scans"):
            square(many, 16)


def test_small_pictures_may_have_more_scans_than_large_ones() -> None:
    data = encoded("JPEG", 64, progressive=True)
    last = data.rindex(b"\xff\xda")
    many = data[:-2] + data[last:-2] * 40 + data[-2:]
    assert square(many, 16, max_pixels=100_000).shape == (16, 16, 3)
    with pytest.raises(UnreadableImage, match="too much work to decode: a JPEG"):
        square(many, 16, max_pixels=5_000)
