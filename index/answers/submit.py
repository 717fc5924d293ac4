"""Answer a file of pairs, millions of them, as the competition Painter by Numbers asks for it.

The file is read and written in blocks, so that memory does not grow with it, but with the paintings asked about: 10 KB
for each, and as much again for those of the blocks at work. Of each, the nearest in the index are looked for, many at
once and by several cores, while the blocks before are still answered. A block of pairs mostly joins few paintings with
few others: then their Gram matrices are made and read off, which costs a small part of what gathering every pair's two
vectors would. Fused distances here are float32, good to the sixth digit: enough to rank by, while `pair` is exact to
the last bit.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv  # as pa.csv
from threadpoolctl import ThreadpoolController, threadpool_limits

from ...embedder.parallel import ahead
from ...embedder.runtime import available_cores
from ...errors import BadCatalog
from ..scoring.artists import artist_codes
from ..scoring.calibration import PairCalibration
from ..scoring.curve import BINS, PairCurve, bins_of
from ..scoring.neighbourhood import (
    FEWEST,
    Neighbourhoods,
    augmented,
    bandwidth_of,
    copies_of,
    expanded,
    landmark_numbers,
    landmark_places,
)
from ..scoring.vectors import Array, Integers
from ..storage.generations import Generation

PRIOR = 0.01311  # share of same-artist pairs in Painter by Numbers' test set
BLOCK_BYTES = 8 << 20  # of the file read at once: some 300,000 pairs
MOST_WORKERS = 4  # blocks answered at once; each takes some 100 MB, with 2,000 paintings in it
DENSE = 16  # a Gram matrix with at most so many entries for each pair asked for is cheaper than gathering
PACKING = 35  # a matrix product of r rows takes as long as r + 35 are worth: so much goes into laying out the columns
GATHER = 1 << 12  # pairs whose vectors are gathered at once
LOOKED_AT = 512  # paintings whose nearest a core looks for at once; with fewer, products take longer
SEEN_GROUPS = {"train_and_test", "train_only"}  # values of Painter by Numbers' column artist_group
GROUPS = ("neither", "seen", "unseen")  # what two paintings of a pair have in common
COUNTED = (BINS, 2, len(GROUPS))  # fused distance, one artist or two, what the artists have in common

DIGITS = 10  # of a probability
BEGINNINGS = np.frombuffer("".join(f"0.{n:02d}" for n in range(100)).encode(), np.uint32)
FOUR = np.frombuffer("".join(f"{n:04d}" for n in range(10_000)).encode(), np.uint32)

T = TypeVar("T", bound=np.generic)


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
    workers = min(available_cores(), MOST_WORKERS)
    judge = _Judge(generation, calibration, workers)
    counter, asked = _Counter(generation.table), _Asked(source, generation)
    scale = calibration.scale(judge.has_landmarks)

    def numbered(block: _Block) -> tuple[_Block, Integers, Integers]:
        judge.look_at(np.concatenate([block.a.places, block.b.places]))
        return block, judge.numbers(block.a.places), judge.numbers(block.b.places)

    def answered(item: tuple[_Block, Integers, Integers]) -> _Answered:
        block, rows, columns = item
        is_known = block.a.of(block.a.places >= 0) & block.b.of(block.b.places >= 0)
        apart = judge.fused_distances(block.a.of(rows), block.b.of(columns))
        probability = np.where(is_known, scale.probabilities(apart, prior), np.float32(prior))
        counts = counter.counts(block.a, block.b, apart)
        return _Answered(_written(block.index, _ten_digits(probability)), len(apart), int((~is_known).sum()), counts,
                         block.size)

    pairs = unanswered = 0
    counts = np.zeros(COUNTED, np.int64)
    # A core a block: the threads of a BLAS on all cores spin while they wait, on cores that other blocks need.
    with threadpool_limits(1, "blas"), _appears_whole(target) as stream:
        def saved(block: _Answered) -> _Answered:
            stream.write(block.text)
            _save(stream)
            return block

        stream.write(b"index,sameArtist\n")
        progress(asked.header_bytes)
        # Closed, so that no thread works on after an error. Numbered in the order of the file, whichever was read
        # first: the same file gives the same answers to the bit. The disk works beside the cores, not after them.
        with closing(ahead(asked.pairs, asked.blocks(), workers=workers, most=2 * workers)) as read, \
                closing(ahead(numbered, read, workers=1, most=2 * workers)) as named, \
                closing(ahead(answered, named, workers=workers, most=2 * workers)) as judged, \
                closing(ahead(saved, judged, workers=1, most=2)) as done:
            for block in done:
                counts += block.counts
                pairs, unanswered = pairs + block.pairs, unanswered + block.unanswered
                progress(block.size)
    return Submission(pairs, unanswered, *_aucs(counts))


class _Answered(NamedTuple):
    """A block of rows; text: theirs in the submission; counts: of _Counter; size: of what was read, in bytes."""

    text: pa.Buffer
    pairs: int
    unanswered: int
    counts: Integers
    size: int


class _Named(NamedTuple):
    """One side of some pairs (p,). places: (k,) where its paintings are in the index, -1 for one that is not there.

    which: (p,) of these each pair means.
    """

    places: Integers
    which: Integers

    def of(self, facts: npt.NDArray[T]) -> npt.NDArray[T]:
        """(p,) what is said of the paintings (k,), for each pair."""
        return facts[self.which]


class _Block(NamedTuple):
    """Some rows of the file: what stands in their first column, their paintings, and their size in bytes."""

    index: pa.Array
    a: _Named
    b: _Named
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

    def blocks(self) -> Iterator[memoryview]:
        """All rows below the header, a few megabytes at a time."""
        with self.source.open("rb") as stream:
            stream.seek(self.header_bytes)
            while read := stream.read(BLOCK_BYTES):
                end = read.rfind(b"\n") + 1
                if not end and len(read) == BLOCK_BYTES:
                    raise BadCatalog(f"{self.source}: has a row of over {BLOCK_BYTES >> 20} MB; this is no list of "
                                     f"pairs")
                yield memoryview(read)[: end or None]
                stream.seek(end - len(read) if end else 0, os.SEEK_CUR)  # back to where the next row begins

    def pairs(self, rows: memoryview) -> _Block:
        """Those in these rows."""
        names = pa.dictionary(pa.int32(), pa.binary())  # bytes: to check every row for UTF-8 would cost a second
        options = pa.csv.ConvertOptions(column_types={"0": pa.binary(), "1": names, "2": names},
                                        include_columns=self._columns[:3])
        reading = pa.csv.ReadOptions(use_threads=False, block_size=len(rows), column_names=self._columns)
        with self._readable():
            found = pa.csv.read_csv(pa.BufferReader(rows), reading, convert_options=options)
        index, first, second = (column.combine_chunks() for column in found.columns)
        return _Block(index, self._named(first), self._named(second), len(rows))

    def _named(self, names: pa.DictionaryArray) -> _Named:
        places = [self._place.get(name, -1) for name in names.dictionary.to_pylist()]
        return _Named(np.array(places, np.int64), names.indices.to_numpy().astype(np.int64))

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except pa.ArrowInvalid as problem:
            reason = re.sub(r"Row #\d+: ", "", " ".join(str(problem).split()))  # counted from where its block begins
            raise BadCatalog(f"{self.source}: {reason[:200]}") from None


class _Judge:
    """Fused distances of pairs of a generation's paintings, in float32.

    Paintings are numbered as they are first asked about, and what is needed of them is kept in that order. Files mostly
    go through one group of paintings after the other: so the numbers in a stretch of pairs lie side by side, and their
    rows need not be gathered.
    """

    def __init__(self, generation: Generation, calibration: PairCalibration, workers: int) -> None:
        """workers: threads that look for the nearest of paintings."""
        self.calibration, self.matrix, self.workers = calibration, generation.vectors.matrix, workers
        hashes = generation.table["vector_sha256"].to_numpy(object)
        landmarks, self.copies = landmark_places(hashes), copies_of(hashes)
        self.has_landmarks = len(landmarks) >= FEWEST
        self.landmarks = augmented(self.matrix[landmarks if self.has_landmarks else []])  # (m, d)
        self.bandwidth = bandwidth_of(self.landmarks) if self.has_landmarks else 1.0
        count = len(self.matrix)
        self.as_landmark = landmark_numbers(hashes, landmarks)
        self.number, self.asked = np.full(count, -1), 0
        self.threads = ThreadpoolController().select(user_api="openmp")
        # By number. Only the rows that are asked about are ever written, and only those take memory.
        self.vectors = np.zeros(self.matrix.shape, np.float32)
        self.neighbourhoods = Neighbourhoods(np.zeros((count, len(self.landmarks)), np.float32), np.full(count, -1))

    def look_at(self, places: Integers) -> None:
        """Number the paintings at these places, -1 for none, that have no number yet, and look around them."""
        fresh = pd.unique(places[places >= 0])  # in the order they are asked about
        fresh = fresh[self.number[fresh] < 0]
        numbers = np.arange(self.asked, self.asked + len(fresh))
        self.number[fresh], self.asked = numbers, self.asked + len(fresh)
        self.vectors[numbers], self.neighbourhoods.own[numbers] = self.matrix[fresh], self.as_landmark[fresh]
        if self.has_landmarks and len(fresh):
            parts = max(1, len(fresh) // LOOKED_AT)
            each = zip(np.array_split(fresh, parts), np.array_split(numbers, parts), strict=True)
            for _ in ahead(self._look_around, each, workers=self.workers, most=parts):
                pass

    def _look_around(self, paintings: tuple[Integers, Integers]) -> None:
        """The paintings at these places, which have these numbers."""
        places, new = paintings[0], _span(paintings[1])
        with self.threads.limit(limits=1):  # beside BLAS': of OpenMP's, every thread has its own
            found = expanded(self.matrix[places], self.matrix, places, self.copies)
            Neighbourhoods.of(found, self.landmarks, self.bandwidth, self.neighbourhoods.own[new],
                              self.neighbourhoods.roots[new])

    def numbers(self, places: Integers) -> Integers:
        """(k,) of the paintings at these places, which were looked at; any number for a place of -1."""
        numbers, is_known = np.zeros(len(places), np.int64), places >= 0
        numbers[is_known] = self.number[places[is_known]]
        numbers[~is_known] = numbers[is_known].min() if is_known.any() else 0  # widens no span
        return numbers

    def fused_distances(self, a: Integers, b: Integers) -> Array:
        """(p,) of the pairs of paintings with these numbers (p,)."""
        if not self.asked:  # none of them is in the index
            return np.zeros(len(a), np.float32)
        return np.concatenate([np.empty(0, np.float32), *self._stretches(a, b)])

    def _stretches(self, a: Integers, b: Integers) -> Iterator[Array]:
        """The same, one stretch of the pairs after the other."""
        pairs, half = len(a), len(a) // 2
        if pairs > GATHER and _cost(a[:half], b[:half]) + _cost(a[half:], b[half:]) < _cost(a, b):
            yield from self._stretches(a[:half], b[:half])
            yield from self._stretches(a[half:], b[half:])
        elif pairs and _cost(a, b) <= DENSE * pairs:
            rows, columns = _span(a), _span(b)
            grid = self._grid(rows, columns)
            yield grid.ravel().take((a - rows.start) * grid.shape[1] + (b - columns.start))
        else:
            for start in range(0, pairs, GATHER):
                yield self._each(a[start : start + GATHER], b[start : start + GATHER])

    def _grid(self, rows: slice, columns: slice) -> Array:
        apart: Array = 1 - self.vectors[rows] @ self.vectors[columns].T
        if not self.has_landmarks:
            return apart
        found: Array = self.calibration.fused_distances(apart, self.neighbourhoods.similarity(rows, columns))
        return found

    def _each(self, a: Integers, b: Integers) -> Array:
        apart: Array = 1 - np.einsum("pd,pd->p", self.vectors[a], self.vectors[b])
        if not self.has_landmarks:
            return apart
        found: Array = self.calibration.fused_distances(apart, self.neighbourhoods.similarity_of_pairs(a, b))
        return found


def _cost(a: Integers, b: Integers) -> int:
    """Of the Gram matrix that holds these pairs (p,), in entries."""
    rows, columns = _span(a), _span(b)
    return int((rows.stop - rows.start + PACKING) * (columns.stop - columns.start))


def _span(numbers: Integers) -> slice:
    return slice(numbers.min(), numbers.max() + 1)


@contextmanager
def _appears_whole(target: Path) -> Iterator[BinaryIO]:
    aside = target.with_name(target.name + ".part")
    try:
        with aside.open("wb") as stream:
            yield stream
            _save(stream)
        os.replace(aside, target)
    finally:
        aside.unlink(missing_ok=True)


def _save(stream: BinaryIO) -> None:
    stream.flush()
    os.fsync(stream.fileno())


def _written(numbers: pa.Array, text: npt.NDArray[np.uint32]) -> pa.Buffer:
    """Rows of the submission; numbers: (p,) the first column, text: of _ten_digits."""
    if not len(numbers):
        return pa.py_buffer(b"")
    named = numbers.buffers()[2].to_pybytes() if numbers.buffers()[2] else b""
    if any(mark in named for mark in (b",", b'"', b"\n", b"\r")):
        raise BadCatalog("the first column, index, has a comma, quote or line break in it; number the pairs")
    starts = np.frombuffer(numbers.buffers()[1], np.int32)[: len(numbers) + 1]
    width = int(starts[1] - starts[0])
    if (np.diff(starts) == width).all():  # as good as always, and four times as fast as joining texts
        rows = np.empty((len(text), width + DIGITS + 4), np.uint8)
        rows[:, :width] = np.frombuffer(named, np.uint8, len(text) * width).reshape(len(text), width)
        rows[:, width], rows[:, width + 1 : -1], rows[:, -1] = ord(","), text.view(np.uint8), ord("\n")
        return pa.py_buffer(rows)
    ends = pa.py_buffer(np.arange(0, text.nbytes + 1, DIGITS + 2, dtype=np.int32))
    texts = pa.BinaryArray.from_buffers(pa.binary(), len(text), [None, ends, pa.py_buffer(text)])
    return pc.binary_join_element_wise(numbers, b",", texts, b"\n", b"").buffers()[2]


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
        # One more at the end, of nobody: a place of -1 is a painting that is not in the index.
        self._codes = np.append(artist_codes(table["artist_key"])[0], -1).astype(np.int32)
        self._groups = np.append(_groups(table), 0).astype(np.int8)

    def counts(self, a: _Named, b: _Named, apart: Array) -> Integers:
        """Of the pairs of two paintings whose artists are known."""
        first, second = (side.of(self._codes[side.places]) for side in (a, b))
        group, other = (side.of(self._groups[side.places]) for side in (a, b))
        group = np.where(group == other, group, 0)
        cell = (bins_of(apart) * 2 + (first == second)) * len(GROUPS) + group
        is_labelled = (first >= 0) & (second >= 0)
        cell = cell if is_labelled.all() else cell[is_labelled]
        return np.bincount(cell, minlength=math.prod(COUNTED)).reshape(COUNTED)


def _aucs(counts: Integers) -> list[float]:
    """Over all pairs, those of two seen artists, those of two unseen ones."""
    return [PairCurve(kinds[:, 1], kinds[:, 0]).auc for kinds in (
        counts.sum(axis=2), counts[..., 1], counts[..., 2])]


def _groups(table: pd.DataFrame) -> npt.NDArray[np.int8]:
    """(n,) in GROUPS: whether a painting's artist is one the competition trains on, where the table says."""
    if "artist_group" not in table:
        return np.zeros(len(table), np.int8)
    group = table["artist_group"]
    return np.where(group.isna(), 0, np.where(group.isin(SEEN_GROUPS), 1, 2)).astype(np.int8)
