"""Segments: the immutable files an index is made of, paintings and their vectors, row for row.

    000003.parquet    one row per painting: the original
    000003.arrow      the same, for lookups in place (columns_file.py); not in indexes of format 3 and before
    000003.npy        its vector in the same row, float32 or float16
    000003.faiss      an approximate index of these vectors, if there are many

A generation has several segments; a change writes a small new one and links the others. Removed paintings are left out
when a segment is read; if they are many, or if a segment is no longer small compared with the one before it, segments
are rewritten as one. So small changes cost only what they add, and there are never many segments.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...errors import damaged, exhausted
from ..scoring.vectors import Array, Integers, Lists, Part, vector_hash
from . import approximate, columns_file
from .approximate import Approximate
from .batch import Batch, positions
from .bounded_parquet import read_columns

if TYPE_CHECKING:
    import pandas as pd

GROWTH = 4  # a segment is merged with the one before it unless that is this many times as large
DEAD = 0.25  # a segment with this share of removed paintings is rewritten
OWN_COLUMNS = ("row", "id", "path", "artist", "artist_key", "title", "year", "sha256", "vector_sha256")
TYPES: dict[str, Any] = {"float32": np.float32, "float16": np.float16}
Stored = npt.NDArray[Any]  # of either


@dataclass(frozen=True)
class Segment:
    """Paintings as first written, and their stored vectors (m, d).

    made: the paintings of a new segment; folder, name: of its files, if it has any yet; mapped: the columns of a
    segment that was read.
    """

    made: pd.DataFrame | None
    stored: Stored
    folder: Path | None = None
    name: str | None = None
    approximate: Approximate | None = None
    lists: Lists | None = None
    mapped: Sequence[Batch] | None = None

    def __len__(self) -> int:
        return len(self.stored)

    @cached_property
    def table(self) -> pd.DataFrame:
        """The paintings, in memory. Raises BadIndex if the file has been damaged since."""
        if self.made is not None:
            return self.made
        return read_table(Path(self.folder or "", f"{self.name}.parquet"), len(self))

    @cached_property
    def batches(self) -> Sequence[Batch]:
        """The paintings, for reading in place."""
        return self.mapped if self.mapped is not None else [Batch(part) for part in self.columns()]

    @property
    def rows(self) -> Integers:
        """(m,) the paintings' numbers, which only grow."""
        if self.made is not None:
            return self.made["row"].to_numpy(np.int64)
        parts = [batch.rows for batch in self.batches]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def columns(self) -> list[Any]:
        """The paintings in the form of a file of columns."""
        import pyarrow as pa

        return columns_file.batches_of(pa.Table.from_pandas(self.table, preserve_index=False))

    @cached_property
    def matrix(self) -> Array:
        """(m, d) float32 at unit length: the mapped file, or converted from float16."""
        if self.stored.dtype == np.float32:
            return self.stored
        whole = self.stored.astype(np.float32)
        vectors: Array = whole / np.maximum(np.linalg.norm(whole, axis=1, keepdims=True), np.float32(1e-12))
        return vectors

    @property
    def part(self) -> Part:
        """Its vectors, for searching."""
        return Part(self.matrix, self.lists)


def new_segment(table: pd.DataFrame, vectors: Array, storage: str) -> Segment:
    """A new segment of float32 vectors (m, d); the table gets the hashes of the vectors as they will be read back."""
    stored = vectors.astype(TYPES[storage], copy=False)
    hashes = [vector_hash(vector) for vector in Segment(table, stored).matrix]
    return Segment(table.assign(vector_sha256=hashes), stored)


def compacted(segments: Sequence[Segment], removed: Integers) -> list[Segment]:
    """The segments to publish for these. removed: numbers of removed paintings, ascending.

    A segment that has lost more than the share DEAD is rewritten without the removed ones. Then, from the last to the
    first, a segment that is less than GROWTH times as large as the next is merged with it: sizes fall by a factor of
    GROWTH, there are few segments, and a painting is rewritten only a few times while the index grows. With GROWTH 4,
    sizes of 1000, 90 and 30 become 1000 and 120.
    """
    found = []
    for segment in segments:
        if len(segment) and _lost(segment, removed) > DEAD * len(segment):
            segment = _without(segment, removed)
        if len(segment):
            found.append(segment)
    for at in range(len(found) - 1, 0, -1):
        before, last = found[at - 1 : at + 1]
        if len(before) < GROWTH * len(last):
            found[at - 1 : at + 1] = [_joined([_without(before, removed), _without(last, removed)])]
    return found or [_without(segments[0], removed)]


def _lost(segment: Segment, removed: Integers) -> int:
    """How many of its paintings were removed."""
    return len(positions(segment.rows, removed))


def write(folder: Path, name: str, segment: Segment, approximate_from: int) -> tuple[Segment, list[str]]:
    """Write a segment into a folder, by links if it has files already; returns it with the names of its files."""
    if segment.folder and segment.name:
        files = file_names(segment.name, segment.approximate)
        columns = f"{segment.name}{columns_file.ENDING}"
        if not (segment.folder / columns).exists():  # of an index of an older format
            columns_file.write(folder / columns, segment.columns())
        for file in files:
            if not (folder / file).exists():
                _link(segment.folder / file, folder / file)
        return segment, files
    segment.table.to_parquet(folder / f"{name}.parquet", index=False)
    columns_file.write(folder / f"{name}{columns_file.ENDING}", segment.columns())
    save_vectors(folder / f"{name}.npy", segment)
    facts = None
    if approximate.needed(len(segment), approximate_from) and (made := approximate.made(segment.matrix)):
        facts, lists = made
        approximate.write(folder / f"{name}.faiss", lists)
    return Segment(segment.table, segment.stored, folder, name, facts), file_names(name, facts)


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
    found = Segment(None, stored, folder, name, facts, lists, mapped)
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
        return [Batch(part) for part in columns_file.batches_of(table)]
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


def save_vectors(path: Path, segment: Segment) -> None:
    """Write the vectors of a segment."""
    np.save(path, segment.stored, allow_pickle=False)


def file_names(name: str, facts: Approximate | None) -> list[str]:
    """The names of a segment's files."""
    return [f"{name}.parquet", f"{name}{columns_file.ENDING}", f"{name}.npy", *([f"{name}.faiss"] if facts else [])]


def _without(segment: Segment, removed: Integers) -> Segment:
    """The segment without these paintings, in memory; unchanged if it has none of them."""
    stays = ~np.isin(segment.rows, removed)
    if stays.all():
        return segment
    return Segment(segment.table[stays].reset_index(drop=True), segment.stored[stays])


def _joined(segments: Sequence[Segment]) -> Segment:
    import pandas as pd

    table = pd.concat([segment.table for segment in segments], ignore_index=True)
    return Segment(table, np.concatenate([segment.stored for segment in segments]))


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
