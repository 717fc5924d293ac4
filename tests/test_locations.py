"""Where bytes come from: files, archives and tables, damaged ones, from many threads; and work done ahead."""

from __future__ import annotations

import hashlib
import io
import os
import random
import struct
import threading
import time
import tracemalloc
import zipfile
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from artidx.embedder.locations import Reader, absolute, content_hash, image_column, split_location
from artidx.embedder.parallel import ahead, batches
from artidx.embedder.pictures.images import SMALLEST_FILE_LIMIT
from artidx.errors import UnreadableImage


def archive(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as opened:
        for name, data in members.items():
            opened.writestr(name, data)
    return path


def with_claimed_size(path: Path, size_bytes: int) -> Path:
    """The archive of one member, whose directory now claims another size."""
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = struct.pack("<I", size_bytes)
    path.write_bytes(data)
    return path


def table(path: Path, images: list[Any], column: str = "image", row_group_size: int = 3) -> Path:
    pq.write_table(pa.table({"artist": ["x"] * len(images), column: images}), path, row_group_size=row_group_size)
    return path


def read(location: str | Path, max_pixels: int = 200_000_000) -> bytes:
    with Reader(max_pixels) as reader, reader.open(str(location)) as stream:
        data: bytes = stream.read()
    return data


# Locations as text


@pytest.mark.parametrize(
    ("location", "parts"),
    [
        ("a/b.jpg", ("a/b.jpg", None)),
        ("a.zip", ("a.zip", None)),
        ("a.zip::b/c.jpg", ("a.zip", "b/c.jpg")),
        ("A.ZIP::b::c.jpg", ("A.ZIP", "b::c.jpg")),
        ("a.parquet::41", ("a.parquet", "41")),
        ("self::portrait.jpg", ("self::portrait.jpg", None)),
    ],
)
def test_a_location_is_split_only_behind_an_archive_or_a_table(location: str, parts: tuple[str, str | None]) -> None:
    assert split_location(location) == parts


def test_an_archive_in_a_folder_with_two_colons_in_its_name_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "Monet::late"
    folder.mkdir()
    path = archive(folder / "a.zip", {"a.jpg": b"pixels"})
    assert read(f"{path}::a.jpg") == b"pixels"


def test_an_absolute_location_reads_the_same_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jpg").write_bytes(b"plain")
    archive(tmp_path / "a.zip", {"in/a.jpg": b"zipped"})
    table(tmp_path / "a.parquet", [b"first", b"second"])
    locations = [absolute(location) for location in ("a.jpg", "./a.zip::in/a.jpg", "a.parquet::1")]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert [read(location) for location in locations] == [b"plain", b"zipped", b"second"]
    assert [absolute(location) for location in locations] == locations
    assert absolute("../a.jpg") == str(tmp_path / "a.jpg")


# Files


def test_a_file_is_read_as_it_is_and_closed_again(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"pixels")
    with Reader() as reader:
        with reader.open(str(path)) as stream:
            assert stream.read() == b"pixels"
            assert stream.seekable()
        assert stream.closed


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("none.jpg", "no such file"),
        ("", "not a file"),
        ("empty.jpg", "empty file"),
        ("nul\0.jpg", r"\w"),
        ("large.jpg", "raise --max-pixels"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_a_reason(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "empty.jpg").touch()
    with (tmp_path / "large.jpg").open("wb") as stream:
        stream.truncate(SMALLEST_FILE_LIMIT + 1)
    with pytest.raises(UnreadableImage, match=reason):
        read(f"{tmp_path}/{name}", max_pixels=1000)


# Archives


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_member_of_an_archive_is_read_as_it_went_in(tmp_path: Path, compression: int) -> None:
    members = {f"train_1/{i}.jpg": random.Random(i).randbytes(1000) for i in range(20)}
    path = archive(tmp_path / "train_1.zip", members, compression)
    with Reader() as reader:
        for name, data in members.items():
            with reader.open(f"{path}::{name}") as stream:
                assert stream.seekable()
                assert stream.read() == data


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        ("none.jpg", "not in a.zip"),
        ("", "not in a.zip"),
        ("../a.jpg", "not in a.zip"),
        ("empty.jpg", "empty file"),
        ("folder/", "empty file"),
    ],
)
def test_a_member_that_is_not_there_or_empty_is_refused_with_a_reason(tmp_path: Path, member: str, reason: str) -> None:
    path = archive(tmp_path / "a.zip", {"a.jpg": b"pixels", "empty.jpg": b"", "folder/": b""})
    with pytest.raises(UnreadableImage, match=reason):
        read(f"{path}::{member}")


def test_a_damaged_member_is_refused_and_its_neighbours_are_not(tmp_path: Path) -> None:
    noise = random.Random(0).randbytes(5000)
    path = archive(tmp_path / "a.zip", {"bad.jpg": noise, "good.jpg": b"pixels"}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[2000] ^= 255
    path.write_bytes(data)
    with pytest.raises(UnreadableImage, match=r"cannot be read from a\.zip: Bad CRC"):
        read(f"{path}::bad.jpg")
    assert read(f"{path}::good.jpg") == b"pixels"


@pytest.mark.parametrize("data", [b"", b"no archive at all", b"PK\x03\x04" + bytes(100)])
def test_what_is_no_archive_is_refused_with_its_name(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(data)
    with pytest.raises(UnreadableImage, match=r"cannot be read from a\.zip"):
        read(f"{path}::a.jpg")


def test_an_archive_cut_short_missing_or_a_folder_is_refused_with_its_name(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a.jpg": random.Random(0).randbytes(5000)})
    os.truncate(path, 3000)
    (tmp_path / "folder.zip").mkdir()
    for name in ("a.zip", "none.zip", "folder.zip"):
        with pytest.raises(UnreadableImage, match=name):
            read(f"{tmp_path / name}::a.jpg")


def test_an_encrypted_member_is_refused_with_a_reason(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a.jpg": b"pixels"})
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + offset] |= 1
    path.write_bytes(data)
    with pytest.raises(UnreadableImage, match="encrypted"):
        read(f"{path}::a.jpg")


def test_a_bomb_is_refused_by_the_size_it_admits(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a.jpg": bytes(SMALLEST_FILE_LIMIT + 1)})
    assert path.stat().st_size < 100_000
    with pytest.raises(UnreadableImage, match=r"file of 17 MB, .* raise --max-pixels"):
        read(f"{path}::a.jpg", max_pixels=1000)
    assert len(read(f"{path}::a.jpg")) == SMALLEST_FILE_LIMIT + 1


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_bomb_that_lies_about_its_size_is_refused_without_being_inflated(tmp_path: Path, compression: int) -> None:
    path = with_claimed_size(archive(tmp_path / "a.zip", {"a.jpg": bytes(30_000_000)}, compression), 100)
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableImage, match=r"\w"):
            read(f"{path}::a.jpg")
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_a_member_that_claims_more_than_it_has_costs_no_more_than_it_has(tmp_path: Path) -> None:
    path = with_claimed_size(archive(tmp_path / "a.zip", {"a.jpg": b"pixels"}), 0xFFFFFFF0)
    with pytest.raises(UnreadableImage, match=r"4,295 MB, .* raise --max-pixels"):
        read(f"{path}::a.jpg")
    with_claimed_size(path, 100_000_000)
    tracemalloc.start()
    try:
        assert read(f"{path}::a.jpg") == b"pixels"
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("location", ["pipe.jpg", "pipe.zip::a.jpg", "pipe.parquet::0"])
def test_a_pipe_is_refused_and_does_not_block(tmp_path: Path, location: str) -> None:
    path = tmp_path / location.partition("::")[0]
    os.mkfifo(path)
    outcome: list[object] = []

    def attempt() -> None:
        try:
            outcome.append(read(tmp_path / location))
        except Exception as problem:
            outcome.append(problem)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(0.5)
    blocked = thread.is_alive()
    while thread.is_alive():  # a writer that leaves at once wakes the reader
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:  # nobody is reading just now
            time.sleep(0.01)
        thread.join(0.05)
    assert not blocked
    assert isinstance(outcome[0], UnreadableImage)


# Tables


@pytest.mark.parametrize("column", ["image", "bytes", "image_bytes", "jpg", "png"])
@pytest.mark.parametrize("is_struct", [False, True])
def test_a_row_of_a_table_is_read_in_any_order_across_row_groups(tmp_path: Path, column: str, is_struct: bool) -> None:
    images = [f"image {i}".encode() for i in range(10)]
    rows = [{"bytes": data, "path": f"{i}.jpg"} for i, data in enumerate(images)] if is_struct else images
    path = table(tmp_path / "a.parquet", rows, column)
    assert pq.ParquetFile(path).metadata.num_row_groups == 4
    with Reader() as reader:
        for i in [0, 1, 2, 9, 3, 8, 0, 5, 5]:
            with reader.open(f"{path}::{i}") as stream:
                assert stream.seekable()
                assert stream.read() == images[i]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("4", "no row 4"),
        ("-1", "no row -1"),
        ("99999999999999999999", "no row"),
        ("first", r"a\.parquet"),
        ("", r"a\.parquet"),
        ("1", "no image bytes"),
        ("2", "no image bytes"),
        ("3", "empty file"),
    ],
)
def test_a_row_that_is_not_there_or_has_no_image_is_refused_with_a_reason(
    tmp_path: Path, row: str, reason: str
) -> None:
    rows = [{"bytes": b"pixels", "path": "0.jpg"}, {"bytes": None, "path": "1.jpg"}, None, {"bytes": b"", "path": ""}]
    path = table(tmp_path / "a.parquet", rows)
    assert read(f"{path}::0") == b"pixels"
    with pytest.raises(UnreadableImage, match=reason):
        read(f"{path}::{row}")


def test_a_table_without_images_damaged_or_missing_is_refused_with_a_reason(tmp_path: Path) -> None:
    table(tmp_path / "text.parquet", ["a"], "words")
    (tmp_path / "junk.parquet").write_bytes(b"junk" * 100)
    (tmp_path / "empty.parquet").touch()
    cut = table(tmp_path / "cut.parquet", [b"pixels"] * 100)
    os.truncate(cut, cut.stat().st_size // 2)
    for name, reason in (
        ("text", "no column of image bytes"),
        ("junk", "junk.parquet"),
        ("empty", "empty.parquet"),
        ("cut", "cut.parquet"),
        ("none", "no such file"),
    ):
        with pytest.raises(UnreadableImage, match=reason):
            read(f"{tmp_path / name}.parquet::0")
    with pytest.raises(UnreadableImage, match="looked for image, bytes"):
        image_column(["words"])


def test_a_row_larger_than_its_pixels_can_need_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path / "a.parquet", [bytes(SMALLEST_FILE_LIMIT + 1)])
    with pytest.raises(UnreadableImage, match="--max-pixels"):
        read(f"{path}::0", max_pixels=1000)


# One reader for all


def test_a_reader_gives_every_thread_its_own_bytes(tmp_path: Path) -> None:
    images = [random.Random(i).randbytes(20_000 + i) for i in range(40)]
    zipped = archive(tmp_path / "a.zip", {f"{i}.jpg": data for i, data in enumerate(images)})
    tabled = table(tmp_path / "a.parquet", images, row_group_size=7)
    wanted = [(f"{zipped}::{i}.jpg", data) for i, data in enumerate(images)]
    wanted += [(f"{tabled}::{i}", data) for i, data in enumerate(images)]
    for i, data in enumerate(images):
        (tmp_path / f"{i}.jpg").write_bytes(data)
        wanted.append((str(tmp_path / f"{i}.jpg"), data))
    random.Random(0).shuffle(wanted)
    with Reader() as reader, ThreadPoolExecutor(8) as pool:

        def is_right(pair: tuple[str, bytes]) -> bool:
            with reader.open(pair[0]) as stream:
                return bool(stream.read() == pair[1])

        assert all(pool.map(is_right, wanted * 2))


def test_a_closed_reader_holds_no_archive_open_and_may_be_used_again(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a.jpg": b"old"})
    reader = Reader()
    with reader.open(f"{path}::a.jpg") as stream:
        assert stream.read() == b"old"
    reader.close()
    archive(path, {"a.jpg": b"new"})
    with reader.open(f"{path}::a.jpg") as stream:
        assert stream.read() == b"new"
    reader.close()


# Fingerprints


@pytest.mark.parametrize("location", ["a.jpg", "a.zip::a.jpg", "a.parquet::0"])
def test_a_fingerprint_changes_when_the_file_does_and_only_then(tmp_path: Path, location: str) -> None:
    path = tmp_path / location.partition("::")[0]
    path.write_bytes(b"one")
    os.utime(path, ns=(10**18, 10**18))
    reader = Reader()
    first = reader.fingerprint(str(tmp_path / location))
    assert first
    assert reader.fingerprint(str(tmp_path / location)) == first
    path.write_bytes(b"two")
    os.utime(path, ns=(10**18, 10**18 + 1000))  # the same size, a microsecond later
    second = reader.fingerprint(str(tmp_path / location))
    path.write_bytes(b"three")
    os.utime(path, ns=(10**18, 10**18))
    third = reader.fingerprint(str(tmp_path / location))
    assert len({first, second, third}) == 3


def test_fingerprints_of_two_members_differ_and_nothing_has_none(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a.jpg": b"a", "b.jpg": b"b"})
    reader = Reader()
    assert reader.fingerprint(f"{path}::a.jpg") != reader.fingerprint(f"{path}::b.jpg")
    assert reader.fingerprint(str(tmp_path / "none.jpg")) == ""
    assert reader.fingerprint("nul\0.jpg") == ""


def test_the_hash_of_the_content_is_its_sha256_wherever_the_stream_stood(tmp_path: Path) -> None:
    data = random.Random(0).randbytes(300_000)
    expected = hashlib.sha256(data).hexdigest()
    (tmp_path / "a.jpg").write_bytes(data)
    with Reader() as reader:
        for location in (tmp_path / "a.jpg", f"{archive(tmp_path / 'a.zip', {'a.jpg': data})}::a.jpg"):
            with reader.open(str(location)) as stream:
                stream.seek(1000)
                assert content_hash(stream) == expected
                assert stream.read() == data
    assert content_hash(io.BytesIO()) == hashlib.sha256().hexdigest()


# Work done ahead


@pytest.mark.parametrize(("workers", "most"), [(1, 1), (4, 1), (4, 3), (2, 100)])
def test_work_done_ahead_comes_in_order_however_long_each_takes(workers: int, most: int) -> None:
    def slow_when_even(i: int) -> int:
        time.sleep(0.002 * (i % 2 == 0))
        return i * i

    assert list(ahead(slow_when_even, range(30), workers=workers, most=most)) == [i * i for i in range(30)]
    assert list(ahead(slow_when_even, [], workers=workers, most=most)) == []


@pytest.mark.parametrize("most", [1, 2, 5])
def test_no_more_results_are_held_than_allowed_however_slow_the_caller(most: int) -> None:
    begun: list[int] = []
    for taken, _ in enumerate(ahead(begun.append, range(20), workers=8, most=most)):
        time.sleep(0.005)  # time enough for eager threads
        assert len(begun) - taken <= most  # the one in the caller's hands counts


def test_work_runs_in_threads_at_once() -> None:
    together = threading.Barrier(4, timeout=10)
    assert len(list(ahead(lambda _: together.wait(), range(4), workers=4, most=4))) == 4


def test_a_failure_is_passed_on_in_its_turn_and_ends_the_work() -> None:
    begun: list[int] = []

    def fail_at_five(i: int) -> int:
        begun.append(i)
        if i == 5:
            raise KeyError("five")
        return i

    results = ahead(fail_at_five, range(1000), workers=2, most=4)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(KeyError, match="five"):
        next(results)
    assert len(begun) <= 10


def test_a_failure_of_the_source_is_passed_on() -> None:
    def source() -> Iterator[int]:
        yield from range(3)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(ahead(abs, source(), workers=2, most=2))


def test_work_stops_when_the_caller_does() -> None:
    begun: list[int] = []
    asked: list[int] = []

    def source() -> Iterator[int]:
        for i in range(1000):
            asked.append(i)
            yield i

    def slowly(i: int) -> None:
        begun.append(i)
        time.sleep(0.05)

    results = cast("Generator[None]", ahead(slowly, source(), workers=1, most=6))
    next(results)
    results.close()
    done = len(begun)
    assert len(asked) == 6
    assert done < 6  # what had not begun never does
    time.sleep(0.1)
    assert len(begun) == done


def test_batches_hold_every_item_once_in_order() -> None:
    assert list(batches(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(batches(range(6), 3)) == [[0, 1, 2], [3, 4, 5]]
    assert list(batches([], 3)) == []


def test_batches_take_no_more_from_the_source_than_they_hand_over() -> None:
    source = iter(range(10))
    next(batches(source, 4))
    assert next(source) == 4
