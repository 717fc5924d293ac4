"""JPEG 2000, AVIF and HEIC are read, in a process that has limits; the first picture of an MPO is."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from artidx.embedder.pictures import apart, formats
from artidx.embedder.pictures.images import picture, square
from artidx.errors import NotAnImage, UnreadableImage
from hostile_pictures import encoded
from test_colour import ADOBE

RARE = [found for found in formats.FORMATS if found.pillow in apart.FORMATS and found.is_here]
if any(found.pillow == "HEIF" for found in RARE):
    import pillow_heif

    pillow_heif.register_heif_opener()  # to write it


def save(image: Image.Image, file_format: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def scene(side: int = 200) -> Image.Image:
    y, x = np.mgrid[0:side, 0:side]
    return Image.fromarray(np.stack([x * 255 // side, y * 255 // side, 128 + x * 0], axis=2).astype(np.uint8))


@pytest.mark.parametrize("found", RARE, ids=lambda found: found.name)
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_a_rare_format_gives_the_picture_in_it(tmp_path: Path, found: formats.Format, mode: str) -> None:
    path = tmp_path / f"a{found.endings[0]}"
    path.write_bytes(
        save(scene().convert(mode), found.pillow, quality=95)
        if found.pillow != "JPEG2000"
        else save(scene().convert(mode), found.pillow)
    )
    assert formats.is_read(path.name)
    shown = np.asarray(picture(path, 1000)).astype(int)
    assert np.abs(shown - np.asarray(scene().convert(mode).convert("RGB"))).mean() < 4


@pytest.mark.parametrize("found", RARE, ids=lambda found: found.name)
def test_a_rare_format_follows_the_profile_in_it(found: formats.Format) -> None:
    if found.pillow == "JPEG2000":
        data = save(scene(), "JPEG2000")
        box = b"colr\2\0\0" + ADOBE
        at = data.index(b"colr") - 4
        old = int.from_bytes(data[at : at + 4], "big")
        grown = len(box) + 4 - old
        header = data.index(b"jp2h") - 4
        length = int.from_bytes(data[header : header + 4], "big") + grown
        data = (
            data[:header]
            + length.to_bytes(4, "big")
            + data[header + 4 : at]
            + (len(box) + 4).to_bytes(4, "big")
            + box
            + data[at + old :]
        )
    else:
        data = save(scene(), found.pillow, quality=95, icc_profile=ADOBE)
    stored = scene()
    stored.info["icc_profile"] = ADOBE
    expected = np.asarray(picture(stored, 1000)).astype(int)
    assert np.abs(expected - np.asarray(scene())).mean() > 6
    assert np.abs(np.asarray(picture(data, 1000)) - expected).mean() < 4


def test_a_large_jpeg_2000_is_decoded_reduced_and_nearly_the_same() -> None:
    data = save(scene(1000), "JPEG2000")
    with Image.open(io.BytesIO(data)) as whole:
        full = square(whole, 32).astype(int)
    assert np.abs(square(data, 32) - full).mean() < 2


def test_an_mpo_gives_its_first_picture() -> None:
    data = save(scene(), "MPO", quality=95, save_all=True, append_images=[Image.new("RGB", (200, 200))])
    assert formats.is_read("a.mpo")
    assert np.abs(np.asarray(picture(data, 1000)).astype(int) - np.asarray(scene())).mean() < 3


def test_a_format_whose_library_is_missing_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    there = tuple(formats.Format(f.pillow, f.name, f.endings, f.pillow != "HEIF", f.remedy) for f in formats.FORMATS)
    monkeypatch.setattr(formats, "FORMATS", there)
    with pytest.raises(NotAnImage, match=r"none of JPEG, .*: it is HEIC: pip install 'artidx\[heic\]'"):
        square(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", 16)


def test_what_takes_too_long_or_too_much_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = encoded("JPEG2000")
    monkeypatch.setattr(apart, "PROGRAM", tmp_path / "program.py")
    monkeypatch.setattr(apart, "SECONDS", 0.2)
    for program, reason in (
        ("import time; time.sleep(60)", "not decoded in 0.8 s"),
        ("import os; os.abort()", "crashed, or exceeded its limits"),
        ('print(\'{"problem": "MemoryError"}\')', "not enough memory"),
    ):
        (tmp_path / "program.py").write_text(program)
        started = time.monotonic()
        with pytest.raises(UnreadableImage, match=reason):
            square(data, 16)
        assert time.monotonic() - started < 10


@pytest.mark.skipif(sys.platform != "linux", reason="no limits of address space")
def test_the_process_of_a_decoder_has_its_limits_and_nothing_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ARTIDX_TOKEN", "secret")
    program = tmp_path / "program.py"
    monkeypatch.setattr(apart, "PROGRAM", program)
    program.write_text("import json, os; print(json.dumps({'problem': repr(sorted(os.environ))}))")
    with pytest.raises(UnreadableImage) as problem:
        square(encoded("JPEG2000"), 16)
    assert "ARTIDX" not in str(problem.value)
    code = (
        "import resource; from artidx.embedder.pictures import decoder; decoder._limit(7, 1 << 30); "
        "print(resource.getrlimit(resource.RLIMIT_CPU)[0], resource.getrlimit(resource.RLIMIT_AS)[0])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["7", str(1 << 30)]


class Slow(io.BytesIO):
    """A JPEG whose header does not come."""

    def __init__(self) -> None:
        super().__init__(encoded("JPEG"))
        self.reached, self.goes_on = threading.Event(), threading.Event()

    def read(self, size: int | None = -1, /) -> bytes:
        self.reached.set()
        self.goes_on.wait(30)
        return super().read(size)


def test_a_picture_whose_header_does_not_come_keeps_no_other_waiting() -> None:
    slow = Slow()
    thread = threading.Thread(target=square, args=(slow, 16))
    thread.start()
    try:
        assert slow.reached.wait(10)
        for file_format in ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP"):
            assert square(encoded(file_format), 16).shape == (16, 16, 3)
    finally:
        slow.goes_on.set()
        thread.join(10)
    assert not thread.is_alive()
