"""Segments: the immutable files an index is made of, paintings and their vectors, row for row.

    000003.parquet    one row per painting: the truth
    000003.npy        its vector under the same number of row, float32 or float16
    000003.faiss      an approximate index over these vectors, where there are many

A generation is some segments; a change writes a small new one beside them and links the others. What is removed is
left out when a segment is read; when that is much, or when a segment is no longer small beside the one before it,
they are written again as one. So thousands of small changes cost what they add, and there are never many segments.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...errors import damaged, exhausted
from ..scoring.vectors import Array, Integers, Lists, Mask, Part, vector_hash
from . import approximate
from .approximate import Approximate
from .bounded_parquet import read_frame

GROWTH = 4  # a segment is joined to the one before it unless that holds this many times as much
DEAD = 0.25  # share of removed paintings from which on a segment is written again
OWN_COLUMNS = ("row", "id", "path", "artist", "artist_key", "title", "year", "sha256", "vector_sha256")
TYPES: dict[str, Any] = {"float32": np.float32, "float16": np.float16}
Stored = npt.NDArray[Any]  # of either


@dataclass(frozen=True)
class Segment:
    """Paintings as first written, and their vectors (m, d) as stored. folder, name: of its files, if it has any yet."""

    table: pd.DataFrame
    stored: Stored
    folder: Path | None = None
    name: str | None = None
    approximate: Approximate | None = None
    lists: Lists | None = None

    def __len__(self) -> int:
        return len(self.table)

    @property
    def rows(self) -> Integers:
        """(m,) the paintings' numbers, which only grow."""
        return self.table["row"].to_numpy(np.int64)

    @cached_property
    def matrix(self) -> Array:
        """(m, d) float32 of unit length: the file's own memory, or what float16 is unpacked to."""
        if self.stored.dtype == np.float32:
            return self.stored
        whole = self.stored.astype(np.float32)
        vectors: Array = whole / np.maximum(np.linalg.norm(whole, axis=1, keepdims=True), np.float32(1e-12))
        return vectors

    @property
    def part(self) -> Part:
        """Its vectors, to be searched."""
        return Part(self.matrix, self.lists)


def new_segment(table: pd.DataFrame, vectors: Array, storage: str) -> Segment:
    """A segment to be written of float32 vectors (m, d); the table gets their hashes as they will be read back."""
    stored = vectors.astype(TYPES[storage], copy=False)
    hashes = [vector_hash(vector) for vector in Segment(table, stored).matrix]
    return Segment(table.assign(vector_sha256=hashes), stored)


def compacted(segments: Sequence[Segment], removed: Mask) -> list[Segment]:
    """The segments to publish for these. removed: which of all their paintings, in order, are no longer there.

    One that has lost more than the share DEAD is written again without them. Then, from the last to the first, one that
    is less than GROWTH times as large as the next is joined with it: sizes fall by GROWTH, there are few of them, and a
    painting is rewritten only a few times while the index grows. With GROWTH 4, sizes of 1000, 90 and 30 become 1000
    and 120.
    """
    found: list[tuple[Segment, Mask]] = []
    start = 0
    for segment in segments:
        stays = ~removed[start : start + len(segment)]
        start += len(segment)
        if stays.sum() < (1 - DEAD) * len(segment):
            segment, stays = _selected(segment, stays), np.ones(int(stays.sum()), bool)
        if len(segment):
            found.append((segment, stays))
    for at in range(len(found) - 1, 0, -1):
        (before, stays_before), (last, stays) = found[at - 1 : at + 1]
        if len(before) < GROWTH * len(last):
            joined = _joined([_selected(before, stays_before), _selected(last, stays)])
            found[at - 1 : at + 1] = [(joined, np.ones(len(joined), bool))]
    return [segment for segment, _ in found] or [_selected(segments[0], np.zeros(len(segments[0]), bool))]


def write(folder: Path, name: str, segment: Segment, approximate_from: int) -> tuple[Segment, list[str]]:
    """Put a segment into a folder, by a link where it has files already; with it the names of its files."""
    if segment.folder and segment.name:
        files = file_names(segment.name, segment.approximate)
        for file in files:
            _link(segment.folder / file, folder / file)
        return segment, files
    segment.table.to_parquet(folder / f"{name}.parquet", index=False)
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
) -> Segment:
    """Open a segment; its table is known to be as it was written, its vectors are looked at later.

    known: the same files as they were opened before, under another name; they are not read again. The approximate index
    is checked when it is first asked. Raises BadIndex if the files are no segment.
    """
    table = known.table if known else read_table(folder / f"{name}.parquet", length)
    stored = known.stored if known else read_vectors(folder / f"{name}.npy")
    if (stored.shape, stored.dtype, len(table)) != ((length, dim), TYPES[storage], length):
        raise damaged(
            folder / f"{name}.npy",
            f"{stored.shape} {stored.dtype} for {len(table):,} paintings, expected {(length, dim)} {storage}",
        )
    lists = approximate.read(folder / f"{name}.faiss", facts, length, dim, lists_sha256) if facts else None
    found = Segment(table, stored, folder, name, facts, lists)
    if known:
        found.__dict__["matrix"] = known.matrix  # of float16 it is in memory
    return found


def read_table(path: Path, rows: int | None = None) -> pd.DataFrame:
    """The paintings of a segment. Raises BadIndex where the file is no such table, or does not have so many rows."""
    try:
        table = read_frame(path, rows=rows)
    except FileNotFoundError:
        raise
    except Exception as problem:  # pyarrow raises its own errors and plain OSError alike
        raise exhausted(problem, str(path)) or damaged(path, " ".join(str(problem).split())[:200]) from None
    missing = [name for name in OWN_COLUMNS if name not in table]
    if missing:
        raise damaged(path, f"lacks the column {missing[0]}")
    if wrong := [name for name, is_of in OWN_TYPES.items() if not is_of(table[name])]:
        raise damaged(path, f"its column {wrong[0]} holds other things than it should")
    return table


def _is_whole(column: pd.Series[Any]) -> bool:
    return pd.api.types.is_integer_dtype(column) and not column.isna().any()


def _is_text(column: pd.Series[Any]) -> bool:
    return pd.api.types.is_string_dtype(column) or bool(column.isna().all())


def _is_said(column: pd.Series[Any]) -> bool:
    return pd.api.types.is_string_dtype(column) and not column.isna().any()


def _is_year(column: pd.Series[Any]) -> bool:
    return pd.api.types.is_integer_dtype(column) or bool(column.isna().all())


OWN_TYPES: dict[str, Callable[[Any], bool]] = {
    "row": _is_whole,
    "id": _is_said,
    "path": _is_said,
    "artist": _is_text,
    "artist_key": _is_text,
    "title": _is_text,
    "year": _is_year,
    "sha256": _is_said,
    "vector_sha256": _is_said,
}


def save_vectors(path: Path, segment: Segment) -> None:
    """Write the vectors of a segment as they are stored."""
    np.save(path, segment.stored, allow_pickle=False)


def file_names(name: str, facts: Approximate | None) -> list[str]:
    """The files of a segment."""
    return [f"{name}.parquet", f"{name}.npy", *([f"{name}.faiss"] if facts else [])]


def _selected(segment: Segment, stays: Mask) -> Segment:
    if stays.all():
        return segment
    return Segment(segment.table[stays].reset_index(drop=True), segment.stored[stays])


def _joined(segments: Sequence[Segment]) -> Segment:
    table = pd.concat([segment.table for segment in segments], ignore_index=True)
    return Segment(table, np.concatenate([segment.stored for segment in segments]))


def _link(source: Path, target: Path) -> None:
    """One file under two names costs no room; a copy where the file system has no links."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise damaged(source, "missing") from None
    except OSError:
        shutil.copyfile(source, target)


def read_vectors(path: Path) -> Stored:
    """Mapped into memory, so that readers share it."""
    try:
        stored: Stored = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except FileNotFoundError:
        raise
    except Exception as problem:  # numpy reads the header with Python's own tokenizer, which raises its own errors
        why = str(problem) if isinstance(problem, OSError) else "not numbers as NumPy writes them"
        raise exhausted(problem, str(path)) or damaged(path, why) from None
    return stored
