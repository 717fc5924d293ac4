"""Answer a file of pairs, millions of them, as the competition Painter by Numbers asks for it.

The file is read and written in blocks, so that memory does not grow with it, but with the paintings asked about: 8 KB
for each, and as much again for those of the blocks at work. A block of pairs mostly joins few paintings with few
others: then their Gram matrices are made and read off, which costs a small part of what gathering every pair's two
vectors would. Separations here are float32, good to the sixth digit: enough to rank by, while `pair`
is exact to the last bit.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.csv  # as pa.csv
from threadpoolctl import threadpool_limits

from ..embedder.parallel import ahead
from ..embedder.runtime import available_cores
from ..errors import BadCatalog
from .artists import artist_codes
from .calibrate import PairCalibration
from .curve import BINS, PairCurve, bins_of
from .store import Generation
from .surroundings import FEWEST, Surroundings, scatter_of, witness_places
from .vectors import Array

PRIOR = 0.01311  # share of same-artist pairs in Painter by Numbers' test set
BLOCK_BYTES = 8 << 20  # of the file read at once: some 300,000 pairs
MOST_WORKERS = 4  # blocks answered at once; each takes some 100 MB, with 2,000 paintings in it
DENSE = 16  # a Gram matrix with at most so many entries for each pair asked for is cheaper than gathering
GATHER = 1 << 12  # pairs whose vectors are gathered at once
SEEN_GROUPS = {"train_and_test", "train_only"}  # values of Painter by Numbers' column artist_group
GROUPS = ("neither", "seen", "unseen")  # what two paintings of a pair have in common
COUNTED = (BINS, 2, len(GROUPS))  # by separation, by whether one artist made both, by what the artists have in common

DIGITS = 10  # of a probability
BEGINNINGS = np.frombuffer("".join(f"0.{n:02d}" for n in range(100)).encode(), np.uint32)
FOUR = np.frombuffer("".join(f"{n:04d}" for n in range(10_000)).encode(), np.uint32)

Places = npt.NDArray[np.int64]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Submission:
    """What was written. unanswered: pairs with a painting that is not in the index; they got the prior.

    auc: over all pairs with known artists, and over those of two seen or two unseen ones; NaN where there are none.
    """

    pairs: int
    unanswered: int
    auc: float
    auc_seen: float
    auc_unseen: float


def submit(generation: Generation, calibration: PairCalibration, source: Path, target: Path, *, prior: float = PRIOR,
           progress: Callable[[int], None] = lambda done: None) -> Submission:
    """Write `index,sameArtist` for each `index, first image, second image` of source, columns by position.

    Images are ids of the index; sameArtist is the probability under the prior. The target appears whole or not at
    all. progress is called with the bytes just answered. While it runs, the process' BLAS keeps to one thread a
    product. Raises BadCatalog.
    """
    judge, counter, asked = _Judge(generation, calibration), _Counter(generation.table), _Asked(source, generation)
    scale = calibration.scale(judge.has_witnesses)

    def answered(rows: bytes) -> _Answered:
        numbers, a, b = asked.pairs(rows)
        is_known = (a >= 0) & (b >= 0)
        apart = np.zeros(len(a), np.float32)
        apart[is_known] = judge.separations(a[is_known], b[is_known])
        probability = np.where(is_known, scale.probabilities(apart, prior), np.float32(prior))
        counts = counter.counts(a[is_known], b[is_known], apart[is_known])
        return _Answered(_written(numbers, _ten_digits(probability)), len(a), int((~is_known).sum()), counts, len(rows))

    pairs = unanswered = 0
    counts = np.zeros(COUNTED, np.int64)
    # A core a block: the threads of a BLAS on all cores spin while they wait, on cores that other blocks need.
    with threadpool_limits(1, "blas"), _appears_whole(target) as stream:
        stream.write(b"index,sameArtist\n")
        progress(asked.header_bytes)
        workers = min(available_cores(), MOST_WORKERS)
        for block in ahead(answered, asked.blocks(), workers=workers, most=workers + 1):
            stream.write(block.text)
            counts += block.counts
            pairs, unanswered = pairs + block.pairs, unanswered + block.unanswered
            progress(block.size)
    return Submission(pairs, unanswered, *_aucs(counts))


class _Answered(NamedTuple):
    """A block of rows; text: theirs in the submission; counts: of _Counter; size: of what was read, in bytes."""

    text: pa.Buffer
    pairs: int
    unanswered: int
    counts: Counts
    size: int


class _Asked:
    """The file of pairs. Raises BadCatalog where it is none."""

    def __init__(self, source: Path, generation: Generation) -> None:
        self.source = source
        self._place = {name.encode(): place for place, name in enumerate(generation.table["id"])}
        try:
            with source.open("rb") as stream, self._readable():
                header = stream.readline(BLOCK_BYTES)
                columns = pa.csv.read_csv(pa.BufferReader(header)).num_columns
        except FileNotFoundError:
            raise BadCatalog(f"{source}: no such file") from None
        if b"\r" in header.rstrip(b"\r\n"):
            raise BadCatalog(f"{source}: its rows end in carriage returns alone; save it with line feeds")
        if columns < 3:
            raise BadCatalog(f"{source}: has {columns} columns; expected index, first image, second image")
        self.header_bytes, self._columns = len(header), [str(place) for place in range(columns)]  # names may repeat

    def blocks(self) -> Iterator[bytes]:
        """All rows below the header, a few megabytes at a time."""
        with self.source.open("rb") as stream:
            stream.seek(self.header_bytes)
            begun = b""
            while read := stream.read(BLOCK_BYTES):
                end = read.rfind(b"\n") + 1
                if end:
                    yield begun + read[:end]
                begun = read[end:] if end else begun + read
                if len(begun) > BLOCK_BYTES:
                    raise BadCatalog(f"{self.source}: has a row of over {BLOCK_BYTES >> 20} MB; this is no list of "
                                     f"pairs")
            if begun:
                yield begun

    def pairs(self, rows: bytes) -> tuple[pa.Array, Places, Places]:
        """The first column, and (p,) where the paintings of the other two are, -1 for one that is not there."""
        names = pa.dictionary(pa.int32(), pa.binary())  # bytes: to check every row for UTF-8 would cost a second
        options = pa.csv.ConvertOptions(column_types={"0": pa.binary(), "1": names, "2": names},
                                        include_columns=self._columns[:3])
        reading = pa.csv.ReadOptions(use_threads=False, block_size=len(rows), column_names=self._columns)
        with self._readable():
            found = pa.csv.read_csv(pa.BufferReader(rows), reading, convert_options=options)
        numbers, first, second = (column.combine_chunks() for column in found.columns)
        return numbers, self._places(first), self._places(second)

    def _places(self, names: pa.DictionaryArray) -> Places:
        places = np.array([self._place.get(name, -1) for name in names.dictionary.to_pylist()], np.int64)
        found: Places = places[names.indices.to_numpy()]
        return found

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except pa.ArrowInvalid as problem:
            reason = re.sub(r"Row #\d+: ", "", " ".join(str(problem).split()))  # counted from where its block begins
            raise BadCatalog(f"{self.source}: {reason[:200]}") from None


class _Judge:
    """Separations of pairs of a generation's paintings, in float32."""

    def __init__(self, generation: Generation, calibration: PairCalibration) -> None:
        self.calibration, self.matrix = calibration, generation.vectors.matrix
        self.witnesses = witness_places(generation.table["vector_sha256"].to_numpy(object))
        self.has_witnesses = len(self.witnesses) >= FEWEST
        count = len(self.matrix) if self.has_witnesses else 0
        number = np.full(count, -1)
        number[self.witnesses[:count]] = np.arange(len(self.witnesses[:count]))
        # Only the rows that are asked about are ever written, and only those take memory.
        self.surroundings = Surroundings(np.empty((count, len(self.witnesses)), np.float32), number)
        self.is_seen, self.looking = np.zeros(count, bool), Lock()
        self.scatter = scatter_of(self.matrix[self.witnesses]) if self.has_witnesses else 1.0

    def separations(self, a: Places, b: Places) -> Array:
        """(p,) between paintings of these places."""
        rows, row = _distinct(a, len(self.matrix))
        columns, column = _distinct(b, len(self.matrix))
        if self.has_witnesses:
            self._look_around(rows)
            self._look_around(columns)
        if len(rows) * len(columns) <= DENSE * len(a):
            found: Array = self._grid(rows, columns)[row, column]
            return found
        parts = [self._each(a[i : i + GATHER], b[i : i + GATHER]) for i in range(0, len(a), GATHER)]
        return np.concatenate(parts) if parts else np.empty(0, np.float32)

    def _grid(self, rows: Places, columns: Places) -> Array:
        apart: Array = 1 - self.matrix[rows] @ self.matrix[columns].T
        if not self.has_witnesses:
            return apart
        found: Array = self.calibration.separations(apart, self.surroundings.agreement(rows, columns))
        return found

    def _each(self, a: Places, b: Places) -> Array:
        apart: Array = 1 - np.einsum("pd,pd->p", self.matrix[a], self.matrix[b])
        if not self.has_witnesses:
            return apart
        found: Array = self.calibration.separations(apart, self.surroundings.agreement_of_pairs(a, b))
        return found

    def _look_around(self, places: Places) -> None:
        with self.looking:
            fresh = places[~self.is_seen[places]]
            if len(fresh):
                seen = Surroundings.of(self.matrix[fresh], self.matrix[self.witnesses], self.scatter,
                                       self.surroundings.own[fresh])
                self.surroundings.roots[fresh], self.is_seen[fresh] = seen.roots, True


def _distinct(places: Places, count: int) -> tuple[Places, Places]:
    """np.unique with its inverse for places below count: counting, not sorting."""
    number = np.zeros(count, np.int64)
    number[places] = 1
    found = np.flatnonzero(number)
    number[found] = np.arange(len(found))
    return found, number[places]


@contextmanager
def _appears_whole(target: Path) -> Iterator[BinaryIO]:
    aside = target.with_name(target.name + ".part")
    try:
        with aside.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(aside, target)
    finally:
        aside.unlink(missing_ok=True)


def _written(numbers: pa.Array, text: npt.NDArray[np.uint32]) -> pa.Buffer:
    ends = np.arange(0, text.nbytes + 1, DIGITS + 2, dtype=np.int32)
    column = pa.StringArray.from_buffers(len(text), pa.py_buffer(ends), pa.py_buffer(text))
    written = pa.BufferOutputStream()
    try:
        pa.csv.write_csv(pa.table({"index": numbers, "sameArtist": column}), written,
                         pa.csv.WriteOptions(include_header=False, quoting_style="none"))
    except pa.ArrowInvalid:
        raise BadCatalog("the first column, index, has a comma, quote or line break in it; number the pairs") from None
    return written.getvalue()


def _ten_digits(probability: npt.NDArray[np.float32]) -> npt.NDArray[np.uint32]:
    """(p, 3), four letters each: `0.0000000000` to `0.9999999999`; general formatting takes five times as long."""
    hundreds = probability * np.float64(100)
    first = np.minimum(hundreds, 99).astype(np.uint32)
    rest = np.minimum(np.rint((hundreds - first) * 1e8), 99_999_999).astype(np.uint32)
    second = rest // np.uint32(10_000)
    text = np.empty((len(first), 3), np.uint32)
    text[:, 0], text[:, 1], text[:, 2] = BEGINNINGS[first], FOUR[second], FOUR[rest - second * np.uint32(10_000)]
    return text


class _Counter:
    """Counts labelled pairs into COUNTED cells."""

    def __init__(self, table: pd.DataFrame) -> None:
        self._codes = artist_codes(table["artist_key"])[0]
        self._groups = _groups(table)

    def counts(self, a: Places, b: Places, apart: Array) -> Counts:
        """Of pairs of paintings of these places (p,)."""
        first, second = self._codes[a], self._codes[b]
        group = np.where(self._groups[a] == self._groups[b], self._groups[a], 0)
        cell = (bins_of(apart).astype(np.int64) * 2 + (first == second)) * len(GROUPS) + group
        cell = cell[(first >= 0) & (second >= 0)]
        return np.bincount(cell, minlength=math.prod(COUNTED)).reshape(COUNTED)


def _aucs(counts: Counts) -> list[float]:
    """Over all pairs, those of two seen artists, those of two unseen ones."""
    return [PairCurve(kinds[:, 1], kinds[:, 0]).auc for kinds in (
        counts.sum(axis=2), counts[..., 1], counts[..., 2])]


def _groups(table: pd.DataFrame) -> npt.NDArray[np.int8]:
    """(n,) in GROUPS: whether a painting's artist is one the competition trains on, where the table says."""
    if "artist_group" not in table:
        return np.zeros(len(table), np.int8)
    group = table["artist_group"]
    return np.where(group.isna(), 0, np.where(group.isin(SEEN_GROUPS), 1, 2)).astype(np.int8)
