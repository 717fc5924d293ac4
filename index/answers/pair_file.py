"""Files of pairs with millions of rows: read block by block, and answered in a file that is written atomically.

A block has each of its paintings once, and each pair as two numbers. Does not judge pairs: that is pair_judge.py.
"""

from __future__ import annotations

import csv
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv  # also imports pa.csv

from ...embedder.catalogs.tables import Table, open_table
from ...errors import BadCatalog
from ..scoring.vectors import Integers
from ..storage.generations import Generation

BLOCK_BYTES = 8 << 20  # of the file read at once: some 300,000 pairs
PLAIN = ("utf-8", "utf-8-sig")  # encodings that need no conversion
DIGITS = 10  # of a probability
BEGINNINGS = np.frombuffer("".join(f"0.{n:02d}" for n in range(100)).encode(), np.uint32)
FOUR = np.frombuffer("".join(f"{n:04d}" for n in range(10_000)).encode(), np.uint32)

T = TypeVar("T", bound=np.generic)


class Side(NamedTuple):
    """One side of some pairs (p,). places: (k,) of its paintings in the index, -1 for one that is not there.

    which: (p,) which of these each pair has.
    """

    places: Integers
    which: Integers

    def of(self, facts: npt.NDArray[T]) -> npt.NDArray[T]:
        """(p,) values of the paintings (k,), for each pair."""
        return facts[self.which]


class Block(NamedTuple):
    """Some rows of the file: their first column, their paintings, and their size in bytes."""

    index: pa.Array
    a: Side
    b: Side
    size: int


@contextmanager
def pair_file(source: Path, generation: Generation, encoding: str | None = None) -> Iterator[PairFile]:
    """The pairs in a table of any kind that tables.py reads. Raises BadCatalog.

    A UTF-8 file whose first line is its header is read directly; any other is first copied into such a file.
    """
    table = open_table(source, encoding)
    if table.separator and table.encoding in PLAIN and table.line == 1 and not _is_of_carriage_returns(source):
        yield PairFile(source, generation, source, table.separator)
        return
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="", suffix=".csv") as copy:
        try:
            csv.writer(copy).writerows(_rows(table))
        except (UnicodeError, csv.Error) as problem:
            raise BadCatalog(f"{source}: cannot be read: {' '.join(str(problem).split())[:200]}") from None
        copy.flush()
        yield PairFile(source, generation, Path(copy.name), ",")


def _rows(table: Table) -> Iterator[Sequence[str]]:
    """The first three columns, headings first."""
    yield table.headings[:3]
    for line, cells in table.rows():
        if not all(cells[:3]):
            raise BadCatalog(f"{table.path}, line {line}: expected index, first image, second image")
        yield cells[:3]


def _is_of_carriage_returns(source: Path) -> bool:
    """Whether rows end with carriage returns alone, as on old Macs."""
    with source.open("rb") as stream:
        return b"\r" in stream.readline(BLOCK_BYTES).rstrip(b"\r\n")


class PairFile:
    """A file of pairs in UTF-8 whose header is its first line. Raises BadCatalog if it is none."""

    def __init__(self, source: Path, generation: Generation, stored: Path, separator: str) -> None:
        """source: its name in messages; stored: its path."""
        self.source, self._stored = source, stored
        self._place = {name.encode(): place for place, name in enumerate(generation.table["id"])}
        self._parsing = pa.csv.ParseOptions(delimiter=separator)
        with stored.open("rb") as stream, self._readable():
            header = stream.readline(BLOCK_BYTES)
            columns = pa.csv.read_csv(pa.BufferReader(header), parse_options=self._parsing).num_columns
        if columns < 3:
            raise BadCatalog(f"{source}: has {columns} columns; expected index, first image, second image")
        self.header_bytes, self._columns = len(header), [str(place) for place in range(columns)]  # names may repeat

    def blocks(self) -> Iterator[memoryview]:
        """All rows below the header, a few megabytes at a time."""
        with self._stored.open("rb") as stream:
            stream.seek(self.header_bytes)
            while read := stream.read(BLOCK_BYTES):
                end = read.rfind(b"\n") + 1
                if not end and len(read) == BLOCK_BYTES:
                    raise BadCatalog(
                        f"{self.source}: has a row of over {BLOCK_BYTES >> 20} MB; it is not a list of pairs"
                    )
                yield memoryview(read)[: end or None]
                stream.seek(end - len(read) if end else 0, os.SEEK_CUR)  # back to the beginning of the next row

    def pairs(self, rows: memoryview) -> Block:
        """The pairs in these rows."""
        names = pa.dictionary(pa.int32(), pa.binary())  # bytes: checking every row for UTF-8 would cost a second
        options = pa.csv.ConvertOptions(
            column_types={"0": pa.binary(), "1": names, "2": names}, include_columns=self._columns[:3]
        )
        reading = pa.csv.ReadOptions(use_threads=False, block_size=len(rows), column_names=self._columns)
        with self._readable():
            found = pa.csv.read_csv(pa.BufferReader(rows), reading, self._parsing, options)
        index, first, second = (column.combine_chunks() for column in found.columns)
        return Block(index, self._named(first), self._named(second), len(rows))

    def _named(self, names: pa.DictionaryArray) -> Side:
        places = [self._place.get(name, -1) for name in names.dictionary.to_pylist()]
        return Side(np.array(places, np.int64), names.indices.to_numpy().astype(np.int64))

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except pa.ArrowInvalid as problem:
            reason = re.sub(r"Row #\d+: ", "", " ".join(str(problem).split()))  # its number is relative to the block
            raise BadCatalog(f"{self.source}: {reason[:200]}") from None


@contextmanager
def whole_file(target: Path) -> Iterator[BinaryIO]:
    """A file to write to, which appears when everything is on the disk, or not at all."""
    aside = target.with_name(target.name + ".part")
    try:
        with aside.open("wb") as stream:
            yield stream
            save(stream)
        os.replace(aside, target)
    finally:
        aside.unlink(missing_ok=True)


def save(stream: BinaryIO) -> None:
    """Flush what was written to the disk."""
    stream.flush()
    os.fsync(stream.fileno())


def rows_of(numbers: pa.Array, text: npt.NDArray[np.uint32]) -> pa.Buffer:
    """Rows of the submission; numbers: (p,) the first column, text: of ten_digits."""
    if not len(numbers):
        return pa.py_buffer(b"")
    named = numbers.buffers()[2].to_pybytes() if numbers.buffers()[2] else b""
    if any(mark in named for mark in (b",", b'"', b"\n", b"\r")):
        raise BadCatalog("the first column, index, has a comma, quote or line break in it; number the pairs")
    starts = np.frombuffer(numbers.buffers()[1], np.int32)[: len(numbers) + 1]
    width = int(starts[1] - starts[0])
    if (np.diff(starts) == width).all():  # almost always so, and four times as fast as joining texts
        rows = np.empty((len(text), width + DIGITS + 4), np.uint8)
        rows[:, :width] = np.frombuffer(named, np.uint8, len(text) * width).reshape(len(text), width)
        rows[:, width], rows[:, width + 1 : -1], rows[:, -1] = ord(","), text.view(np.uint8), ord("\n")
        return pa.py_buffer(rows)
    ends = pa.py_buffer(np.arange(0, text.nbytes + 1, DIGITS + 2, dtype=np.int32))
    texts = pa.BinaryArray.from_buffers(pa.binary(), len(text), [None, ends, pa.py_buffer(text)])
    return pc.binary_join_element_wise(numbers, b",", texts, b"\n", b"").buffers()[2]


def ten_digits(probability: npt.NDArray[np.float32]) -> npt.NDArray[np.uint32]:
    """(p, 3), four letters each: `0.0000000000` to `0.9999999999`; general formatting takes five times as long."""
    hundreds = probability * np.float64(100)
    first = np.minimum(hundreds, 99).astype(np.uint32)
    rest = np.minimum(np.rint((hundreds - first) * 1e8), 99_999_999).astype(np.uint32)
    second = rest // np.uint32(10_000)
    text = np.empty((len(first), 3), np.uint32)
    text[:, 0], text[:, 1], text[:, 2] = BEGINNINGS[first], FOUR[second], FOUR[rest - second * np.uint32(10_000)]
    return text
