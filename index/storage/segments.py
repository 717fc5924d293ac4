"""Segments: the immutable files an index is made of, paintings and their vectors, row for row.

    000003.parquet    one row per painting: the original
    000003.arrow      the same, for lookups in place (columns_file.py); not in indexes of format 3 and before
    000003.npy        its vector in the same row, float32 or float16
    000003.faiss      an approximate index of these vectors, if there are many

A generation has several segments; a change writes a small new one and links the others. Removed paintings are left out
when a segment is read; if they are many, or if a segment is no longer small compared with the one before it, segments
are rewritten as one. So small changes cost only what they add, and there are never many segments. What is written is
read a few paintings at a time, however many it has.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...errors import damaged, exhausted
from ..scoring.vectors import Array, Integers, Lists, Made, Part, Rows, blocks, vector_hash
from . import approximate, columns_file
from .approximate import Approximate
from .batch import Batch, positions
from .bounded_parquet import read_columns

if TYPE_CHECKING:
    import pandas as pd

GROWTH = 4  # a segment is merged with the one before it unless that is this many times as large
DEAD = 0.25  # a segment with this share of removed paintings is rewritten
OWN_COLUMNS = ("row", "id", "path", "artist", "artist_key", "title", "year", "sha256", "vector_sha256")
HASHES = "vector_sha256"
TYPES: dict[str, Any] = {"float32": np.float32, "float16": np.float16}
Stored = npt.NDArray[Any]  # of either
AT_ONCE = 1 << 14  # paintings in memory while a segment is written
HASHED = 1 << 11  # vectors in memory: 2 MB of 256 numbers, and as much again while they are computed
UNPACKED = 64 << 20  # bytes of float16: up to this, vectors are unpacked once; more are unpacked whenever they are read


@dataclass(frozen=True)
class Tables:
    """A table of paintings that need not all be in memory.

    schema: of all of it; parts: gives it in order, a few rows at a time and each time anew, as tables of Arrow's.
    """

    schema: Any
    parts: Callable[[], Iterator[Any]]

    @classmethod
    def of(cls, table: pd.DataFrame) -> Tables:
        """Of paintings in memory."""
        import pyarrow as pa

        whole = pa.Table.from_pandas(table, preserve_index=False)
        return cls(whole.schema, lambda: (whole[some] for some in blocks(len(whole), AT_ONCE)))


@dataclass(frozen=True)
class Segment:
    """Paintings as first written, and their stored vectors (m, d), in files.

    folder, name: of the files; mapped: the columns in them.
    """

    stored: Stored
    folder: Path
    name: str
    mapped: Sequence[Batch]
    approximate: Approximate | None = None
    lists: Lists | None = None

    def __len__(self) -> int:
        return len(self.stored)

    @cached_property
    def table(self) -> pd.DataFrame:
        """The paintings, in memory. Raises BadIndex if the file has been damaged since."""
        return read_table(self.folder / f"{self.name}.parquet", len(self))

    @property
    def batches(self) -> Sequence[Batch]:
        """The paintings, for reading in place."""
        return self.mapped

    @property
    def rows(self) -> Integers:
        """(m,) the paintings' numbers, which only grow."""
        parts = [batch.rows for batch in self.mapped]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    @property
    def ends(self) -> tuple[int, int]:
        """The first and the last of the paintings' numbers."""
        parts = [batch.rows for batch in self.mapped if len(batch)]
        return int(parts[0][0]), int(parts[-1][-1])

    @property
    def tables(self) -> Tables:
        """The paintings, to be written again."""
        import pyarrow as pa

        schema = pa.unify_schemas([batch.schema for batch in self.mapped], promote_options="permissive")
        some = [(batch, rows) for batch in self.mapped for rows in blocks(len(batch), AT_ONCE)]
        return Tables(schema, lambda: (batch.table(np.arange(rows.start, rows.stop)) for batch, rows in some))

    @cached_property
    def matrix(self) -> Rows:
        """(m, d) float32 at unit length: the mapped file, or converted from float16."""
        return unpacked(self.stored)

    @property
    def part(self) -> Part:
        """Its vectors, for searching."""
        return Part(self.matrix, self.lists)


@dataclass(frozen=True)
class Draft:
    """A segment that is not written yet: paintings, and their vectors (m, d) as they will be stored."""

    tables: Tables
    stored: Stored | Made

    def __len__(self) -> int:
        return len(self.stored)

    @property
    def table(self) -> pd.DataFrame:
        """All the paintings, in memory."""
        import pyarrow as pa

        found: pd.DataFrame = pa.concat_tables([self.tables.schema.empty_table(), *self.tables.parts()]).to_pandas()
        return found

    @cached_property
    def batches(self) -> Sequence[Batch]:
        """The paintings, in memory, for reading in place."""
        return [Batch(part) for part in columns_file.batches_of(self.tables.schema, self.tables.parts)]

    @property
    def rows(self) -> Integers:
        """(m,) the paintings' numbers, which only grow."""
        return np.concatenate([np.empty(0, np.int64), *(part["row"].to_numpy() for part in self.tables.parts())])

    @property
    def part(self) -> Part:
        """Its vectors, for searching."""
        return Part(unpacked(self.stored))

    def written(self, save: Callable[[Stored], object]) -> Iterator[Any]:
        """A few paintings at a time, with the hashes of their vectors, which are handed to `save` before, fewer at a
        time."""
        import pyarrow as pa

        start = 0
        for table in self.tables.parts():
            hashes: list[str] = []
            for some in blocks(len(table), HASHED):
                stored = self.stored[start + some.start : start + some.stop]
                save(stored)
                hashes += [] if HASHES in table.column_names else hashes_of(stored)
            start += len(table)
            if HASHES not in table.column_names:
                table = table.append_column(self.schema.field(HASHES), pa.array(hashes, pa.large_string()))
            yield table.cast(self.schema)

    @property
    def schema(self) -> Any:
        """Columns of the table as it is written."""
        import pyarrow as pa

        schema = self.tables.schema
        return schema if HASHES in schema.names else schema.append(pa.field(HASHES, pa.large_string()))

    def with_vectors(self, stored: Stored | Made) -> Draft:
        """The same paintings with other vectors, which get new hashes."""
        schema = self.tables.schema.remove(self.tables.schema.get_field_index(HASHES))
        return Draft(Tables(schema, lambda: (part.drop_columns(HASHES) for part in self.tables.parts())), stored)


def hashes_of(stored: Stored | Made) -> list[str]:
    """Hashes of vectors (m, d), as they will be read back."""
    return [vector_hash(vector) for some in blocks(len(stored), HASHED) for vector in unpacked(stored[some])[:]]


def unpacked(stored: Stored | Made) -> Rows:
    """(m, d) float32 at unit length: the same memory, or converted from float16; if there is much of it, only when it
    is read."""
    if stored.dtype == np.float32:
        return stored
    found = Made(stored, _unpacked, stored.shape[1])
    return found[:] if 4 * len(stored) * found.dim <= UNPACKED else found


def _unpacked(stored: Stored) -> Array:
    whole = stored.astype(np.float32)
    vectors: Array = whole / np.maximum(np.linalg.norm(whole, axis=-1, keepdims=True), np.float32(1e-12))
    return vectors


def packed(vectors: Rows, storage: str) -> Stored | Made:
    """float32 vectors (m, d) in the stored type."""
    kind = TYPES[storage]
    if isinstance(vectors, np.ndarray):
        return vectors.astype(kind, copy=False)
    return vectors if storage == "float32" else Made(vectors, lambda some: some.astype(kind), vectors.dim, kind)


def compacted(segments: Sequence[Segment | Draft], removed: Integers) -> list[Segment | Draft]:
    """The segments to publish for these. removed: numbers of removed paintings, ascending.

    A segment that has lost more than the share DEAD is rewritten without the removed ones. Then, from the last to the
    first, a segment that is less than GROWTH times as large as the next is merged with it: sizes fall by a factor of
    GROWTH, there are few segments, and a painting is rewritten only a few times while the index grows. With GROWTH 4,
    sizes of 1000, 90 and 30 become 1000 and 120.
    """
    found: list[Segment | Draft] = []
    for segment in segments:
        if len(segment) and len(left_of(segment, removed)) > DEAD * len(segment):
            segment = joined([segment], removed)
        if len(segment):
            found.append(segment)
    for at in range(len(found) - 1, 0, -1):
        before, last = found[at - 1 : at + 1]
        if len(before) < GROWTH * len(last):
            found[at - 1 : at + 1] = [joined([before, last], removed)]
    return found or [joined(segments[:1], removed)]


def left_of(segment: Segment | Draft, removed: Integers) -> Integers:
    """The positions of removed paintings in a segment."""
    return positions(segment.rows, removed) if len(removed) else removed


def joined(segments: Sequence[Segment | Draft], removed: Integers) -> Draft:
    """Several segments as one, without removed paintings. Drafts among them have their hashes."""
    import pyarrow as pa

    ends = np.cumsum([0, *(len(segment) for segment in segments)])
    stays = np.ones(ends[-1], bool)
    for segment, start in zip(segments, ends[:-1], strict=True):
        stays[start + left_of(segment, removed)] = False
    places = np.flatnonzero(stays)
    written = [segment.tables for segment in segments]
    schema = pa.unify_schemas([tables.schema for tables in written], promote_options="permissive")

    def parts() -> Iterator[Any]:
        start = 0
        for part in chain.from_iterable(tables.parts() for tables in written):
            here = places[slice(*np.searchsorted(places, [start, start + len(part)]))] - start
            start += len(part)
            yield _with_all(part if len(here) == len(part) else part.take(here), schema)

    def stored(at: Integers) -> Stored:
        found = np.empty((len(at), dim), kind)
        for segment, start, end in zip(segments, ends[:-1], ends[1:], strict=True):
            is_here = (at >= start) & (at < end)
            found[is_here] = segment.stored[at[is_here] - start]
        return found

    dim, kind = segments[0].stored.shape[1], segments[0].stored.dtype
    return Draft(Tables(schema, parts), Made(places, stored, dim, kind))


def _with_all(table: Any, schema: Any) -> Any:
    """A table with the columns of a schema; missing ones are empty."""
    import pyarrow as pa

    columns = [
        table[field.name].cast(field.type) if field.name in table.column_names else pa.nulls(len(table), field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def write(folder: Path, name: str, segment: Segment | Draft, approximate_from: int) -> tuple[Segment, list[str]]:
    """Write a segment into a folder, by links if it has files already; returns it as read from there, with the names of
    its files."""
    if isinstance(segment, Segment):
        files = file_names(segment.name, segment.approximate)
        columns = f"{segment.name}{columns_file.ENDING}"
        if not (segment.folder / columns).exists():  # of an index of an older format
            columns_file.write(folder / columns, [batch.columns for batch in segment.batches])
        for file in files:
            if not (folder / file).exists():
                _link(segment.folder / file, folder / file)
        return segment, files
    _write_paintings(folder / f"{name}.parquet", folder / f"{name}.npy", segment)
    parquet = partial(_batches_written, folder / f"{name}.parquet")
    columns_file.write(folder / f"{name}{columns_file.ENDING}", columns_file.batches_of(segment.schema, parquet))
    storage = str(np.dtype(segment.stored.dtype))
    found = read(folder, name, len(segment), segment.stored.shape[1], storage, has_columns=True, is_checked=True)
    if approximate.needed(len(segment), approximate_from):
        found = replace(found, approximate=approximate.write(folder / f"{name}.faiss", found.matrix))
    return found, file_names(name, found.approximate)


def _write_paintings(table: Path, vectors: Path, draft: Draft) -> None:
    """Write both files of a segment, with only a few paintings in memory."""
    import pyarrow.parquet as pq

    header = {
        "descr": np.lib.format.dtype_to_descr(np.dtype(draft.stored.dtype)),
        "fortran_order": False,
        "shape": draft.stored.shape,
    }
    with pq.ParquetWriter(table, draft.schema) as rows, vectors.open("xb") as numbers:
        np.lib.format.write_array_header_1_0(numbers, header)
        for some in draft.written(lambda stored: numbers.write(np.ascontiguousarray(stored).data)):
            rows.write_table(some)


def _batches_written(path: Path) -> Iterator[Any]:
    """The paintings in a file that has just been written, as many at a time as a batch of columns has."""
    import pyarrow.parquet as pq

    # Not read ahead: that loads the whole file. Not by threads: each keeps memory of its own.
    with pq.ParquetFile(path, pre_buffer=False) as opened:
        yield from opened.iter_batches(columns_file.AT_ONCE, use_threads=False)


def read(
    folder: Path,
    name: str,
    length: int,
    dim: int,
    storage: str,
    facts: Approximate | None = None,
    lists_sha256: str = "",
    known: Segment | None = None,
    *,
    has_columns: bool,
    is_checked: bool = False,
) -> Segment:
    """Open a segment whose files have been checked.

    known: the same files, opened before under another name; they are not read again. has_columns: it has a file of
    columns; is_checked: which have been validated before. The approximate index is checked when first used. Raises
    BadIndex if the files are no segment.
    """
    stored = known.stored if known else read_vectors(folder / f"{name}.npy")
    if (stored.shape, stored.dtype) != ((length, dim), TYPES[storage]):
        raise damaged(folder / f"{name}.npy", f"{stored.shape} {stored.dtype}, expected {(length, dim)} {storage}")
    if known:
        mapped = known.batches
    elif has_columns:
        path = folder / f"{name}{columns_file.ENDING}"
        mapped = [Batch(part) for part in columns_file.read(path, length, is_checked=is_checked)]
    else:
        mapped = _batches_in(folder / f"{name}.parquet", length)
    lists = approximate.read(folder / f"{name}.faiss", facts, length, dim, lists_sha256) if facts else None
    found = Segment(stored, folder, name, mapped, facts, lists)
    if known:
        found.__dict__.update({each: known.__dict__[each] for each in ("matrix", "table") if each in known.__dict__})
    return found


def read_table(path: Path, rows: int | None = None) -> pd.DataFrame:
    """The paintings of a segment as a DataFrame. Raises BadIndex if the file is no such table, or has another number of
    rows."""
    found: pd.DataFrame = _read_columns(path, rows).to_pandas()
    return found


def _batches_in(path: Path, rows: int) -> list[Batch]:
    """The paintings of a segment without a file of columns."""
    table = _read_columns(path, rows)
    if (np.diff(table["row"].to_numpy()) <= 0).any():
        raise damaged(path, "the numbers of the paintings do not ascend")
    try:
        parts = [table[some] for some in blocks(len(table), columns_file.AT_ONCE)]
        return [Batch(part) for part in columns_file.batches_of(table.schema, lambda: parts)]
    except ValueError as problem:
        raise damaged(path, " ".join(str(problem).split())[:200]) from None


def _read_columns(path: Path, rows: int | None) -> Any:
    try:
        table = read_columns(path, rows=rows)
        columns_file.check_kinds(table.schema, table.columns)
        return table
    except FileNotFoundError:
        raise
    except Exception as problem:  # pyarrow raises its own errors and OSError
        raise exhausted(problem, str(path)) or damaged(path, " ".join(str(problem).split())[:200]) from None


def file_names(name: str, facts: Approximate | None) -> list[str]:
    """The names of a segment's files."""
    return [f"{name}.parquet", f"{name}{columns_file.ENDING}", f"{name}.npy", *([f"{name}.faiss"] if facts else [])]


def _link(source: Path, target: Path) -> None:
    """A hard link, or a copy if the file system has no links."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise damaged(source, "missing") from None
    except OSError:
        shutil.copyfile(source, target)


def read_vectors(path: Path) -> Stored:
    """The vectors in a file, mapped into memory, so that readers share them."""
    try:
        stored: Stored = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except FileNotFoundError:
        raise
    except Exception as problem:  # numpy reads the header with Python's own tokenizer, which raises its own errors
        why = str(problem) if isinstance(problem, OSError) else "not numbers as NumPy writes them"
        raise exhausted(problem, str(path)) or damaged(path, why) from None
    return stored
