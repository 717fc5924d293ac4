"""An index broken on purpose: killed writers, damaged files, full disks, many readers, two writers, bad images.

Here in a short form; `make faults` does it in full.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import faults
import numpy as np
import pytest

from artidx import Embedder, Index, Settings
from artidx.errors import BadIndex
from artidx.index.scoring.centre import centred
from bad_images import KINDS, MAX_PIXELS, make_bad
from made import painting

FULL = os.environ.get("ARTIDX_FAULTS") == "full"


def full(many: int, few: int) -> int:
    """A number of repetitions, in full or in the short form."""
    return many if FULL else few


@pytest.mark.parametrize("change", faults.CHANGES)
def test_a_kill_at_any_moment_loses_nothing_and_the_same_command_then_ends_as_unbroken(tmp_path, change):
    times = full(50, 4)
    hits = faults.kill_at_random(change, tmp_path / "k", times)
    print(f"\n{change}: {times} kills, {hits} of them before it had finished")
    assert hits > times // 4


def test_every_cut_file_and_every_flipped_byte_is_found(tmp_path):
    at = faults.prepare("remove", tmp_path / "d")
    faults.label(at)
    faults.remove(at)
    flips = full(500, 60)
    faults.damage_everywhere(at.index, flips)
    print(f"\nevery file cut in 3 places, {flips} bytes flipped: all found")


def test_readers_get_exact_answers_of_published_generations_while_it_is_written(tmp_path):
    publishes = full(200, 12)
    answers, generations = faults.read_while_written(tmp_path / "r", publishes, readers=8)
    print(f"\n8 readers through {publishes} publishes: {answers:,} answers from {generations} generations, all exact")
    assert generations > 2


def test_of_two_writers_one_is_refused_and_nothing_is_lost(tmp_path):
    each = full(40, 6)
    refused = faults.write_at_once(tmp_path / "w", each)
    print(f"\n2 writers, {each} paintings each, {refused} times refused: all there")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    folder = tmp_path / "small disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=False).returncode:
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("change", [change for change in faults.CHANGES if change not in faults.MADE_BY])
def test_a_full_or_read_only_disk_is_one_clear_error_and_changes_nothing(tmp_path, small_disk, change):
    place = faults.prepare(change, tmp_path / "f")
    at = faults.copied(place, small_disk / "paintings.artidx")
    before = faults.State.of(at.index)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(BadIndex, match="Read-only file system; the published generation has not changed"):
        faults.CHANGES[change](at)
    assert faults.State.of(at.index) == before
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    filler, tried, refused = small_disk / "filler", 0, 0
    for free in range(0, 200_000, full(4096, 24_576)):
        room = shutil.disk_usage(small_disk).free - free
        filler.write_bytes(bytes(max(room, 0)))
        tried += 1
        try:
            faults.CHANGES[change](at)
            break
        except BadIndex as problem:
            refused += bool(re.search("cannot be written.*the published generation has not changed", str(problem)))
        filler.unlink()
        assert faults.State.of(at.index) == before
    assert refused == tried - 1 > 0
    filler.unlink()
    faults.CHANGES[change](at)
    whole = faults.copied(place, tmp_path / "whole.artidx")
    faults.CHANGES[change](whole)
    assert faults.State.of(at.index) == faults.State.of(whole.index)
    print(f"\n{change}: read-only disk, and {refused} times full, refused in one line")


def test_every_bad_image_is_listed_with_its_reason_and_every_good_one_has_its_own_vector(tmp_path, embedder):
    bad, good = full(5000, 100), full(1000, 40)
    expected = make_bad(tmp_path / "c", bad)
    for number in range(good):
        painting(tmp_path / "c" / f"Artist {number % 7}" / f"good {number * 7919 % good:05d}.png", number)
    index, report = Index.build(
        tmp_path / "i.artidx", tmp_path / "c", embedder=embedder, settings=Settings(max_pixels=MAX_PIXELS)
    )
    assert {os.path.abspath(path) for path, _ in report.skipped} == set(expected)
    for path, reason in report.skipped:
        assert re.search(expected[os.path.abspath(path)], reason), (path, reason)
    table, vectors = index.generation.table, index.generation.vectors
    assert len(table) == good
    for place, path in enumerate(table["path"]):
        (alone,) = Embedder.transform(embedder, [path])
        assert np.array_equal(vectors.at(place), centred(alone, index.generation.centre))
    print(f"\n{bad:,} bad images of {len(KINDS)} kinds among {good:,} good ones: each listed with its reason")
