"""Answer a file of pairs, millions of them, as the competition Painter by Numbers asks for it.

The file is read and written in blocks, so that memory does not grow with it, but with the paintings asked about: 8 KB
for each. A block of pairs mostly joins few
paintings with few others: then their Gram matrices are made and read off, which costs a small part of what gathering
every pair's two vectors would. Separations here are float32, good to the sixth digit: enough to rank by, while `pair`
is exact to the last bit.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..embedder.parallel import ahead
from ..errors import BadCatalog
from .artists import artist_codes
from .calibrate import PairCalibration
from .curve import BINS, PairCurve, bins_of
from .store import Generation
from .surroundings import FEWEST, Surroundings, witness_places
from .vectors import Array

PRIOR = 0.01311  # share of same-artist pairs in Painter by Numbers' test set
BLOCK_BYTES = 8 << 20  # of the file read at once: some 300,000 pairs
DENSE = 16  # a Gram matrix with at most so many entries for each pair asked for is cheaper than gathering
GATHER = 1 << 12  # pairs whose vectors are gathered at once
SEEN_GROUPS = {"train_and_test", "train_only"}  # values of Painter by Numbers' column artist_group
GROUPS = ("neither", "seen", "unseen")  # what two paintings of a pair have in common

DIGITS = 10  # of a probability
BEGINNINGS = np.frombuffer("".join(f"0.{n:02d}" for n in range(100)).encode(), np.uint32)
FOUR = np.frombuffer("".join(f"{n:04d}" for n in range(10_000)).encode(), np.uint32)

Places = npt.NDArray[np.int64]


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
    all. progress is called with the bytes just read. Raises BadCatalog.
    """
    ids = pd.Index(generation.table["id"])
    judge = _Judge(generation, calibration)
    counted = _Counted(generation.table)
    scale = calibration.scale(judge.has_witnesses)

    def judged(block: _Block) -> _Judged:
        a, b = block.first.places(ids), block.second.places(ids)
        is_known = (a >= 0) & (b >= 0)
        apart = np.zeros(len(a), np.float32)
        apart[is_known] = judge.separations(a[is_known], b[is_known])
        probability = np.where(is_known, scale.probabilities(apart, prior), np.float32(prior))
        return _Judged(block, a, b, is_known, apart, _ten_digits(probability))

    pairs = unanswered = 0
    with _appears_whole(target) as stream:
        stream.write(b"index,sameArtist\n")
        for found in ahead(judged, _blocks(source), workers=2, most=3):
            _write(stream, found.block.numbers, found.text)
            counted.add(found)
            pairs, unanswered = pairs + len(found.a), unanswered + int((~found.is_known).sum())
            progress(found.block.size)
    return Submission(pairs, unanswered, *counted.aucs())


class _Names(NamedTuple):
    """A column of names: the different ones, and which of them stands in each row."""

    names: list[str]
    rows: npt.NDArray[np.int32]

    def places(self, ids: pd.Index[str]) -> Places:
        """(p,) where each row's name is among the ids, or -1."""
        found: Places = ids.get_indexer(pd.Index(self.names, dtype=object))[self.rows]
        return found


class _Block(NamedTuple):
    """Some rows of the file; size: in bytes."""

    numbers: Any
    first: _Names
    second: _Names
    size: int


class _Judged(NamedTuple):
    """A block with where its paintings are, how far apart they are, and the probabilities as text."""

    block: _Block
    a: Places
    b: Places
    is_known: npt.NDArray[np.bool_]
    apart: Array
    text: npt.NDArray[np.uint32]


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
        self.is_seen = np.zeros(count, bool)

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
        fresh = places[~self.is_seen[places]]
        if len(fresh):
            seen = Surroundings.of(self.matrix[fresh], self.matrix[self.witnesses], self.surroundings.own[fresh])
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


def _blocks(source: Path) -> Iterator[_Block]:
    import pyarrow as pa
    import pyarrow.csv

    try:
        columns = [str(place) for place in range(len(pyarrow.csv.open_csv(source).schema.names))]  # names may repeat
        if len(columns) < 3:
            raise BadCatalog(f"{source}: has {len(columns)} columns; expected index, first image, second image")
        names = pa.dictionary(pa.int32(), pa.binary())  # bytes: to check every row for UTF-8 would cost a second
        options = pyarrow.csv.ConvertOptions(column_types={"0": pa.binary(), "1": names, "2": names},
                                             include_columns=columns[:3])
        reading = pyarrow.csv.ReadOptions(block_size=BLOCK_BYTES, column_names=columns, skip_rows=1)
        with pa.OSFile(str(source)) as stream:
            before = 0
            for batch in pyarrow.csv.open_csv(stream, read_options=reading, convert_options=options):
                first, second = (_Names([name.decode("utf-8", "replace") for name in column.dictionary.to_pylist()],
                                        column.indices.to_numpy(zero_copy_only=False))
                                 for column in batch.columns[1:])
                position = stream.tell()
                yield _Block(batch[0], first, second, position - before)
                before = position
    except pa.ArrowInvalid as problem:
        raise BadCatalog(f"{source}: {' '.join(str(problem).split())[:200]}") from None
    except FileNotFoundError:
        raise BadCatalog(f"{source}: no such file") from None


def _write(stream: Any, numbers: Any, text: npt.NDArray[np.uint32]) -> None:
    import pyarrow as pa
    import pyarrow.csv

    ends = np.arange(0, text.nbytes + 1, DIGITS + 2, dtype=np.int32)
    column = pa.StringArray.from_buffers(len(text), pa.py_buffer(ends), pa.py_buffer(text))
    table = pa.table({"index": numbers, "sameArtist": column})
    try:
        pyarrow.csv.write_csv(table, stream, pyarrow.csv.WriteOptions(include_header=False, quoting_style="none"))
    except pa.ArrowInvalid:
        raise BadCatalog("the first column, index, has a comma, quote or line break in it; number the pairs") from None


def _ten_digits(probability: npt.NDArray[np.float32]) -> npt.NDArray[np.uint32]:
    """(p, 3), four letters each: `0.0000000000` to `0.9999999999`; general formatting takes five times as long."""
    hundreds = probability * np.float64(100)
    first = np.minimum(hundreds, 99).astype(np.uint32)
    rest = np.minimum(np.rint((hundreds - first) * 1e8), 99_999_999).astype(np.uint32)
    second = rest // np.uint32(10_000)
    text = np.empty((len(first), 3), np.uint32)
    text[:, 0], text[:, 1], text[:, 2] = BEGINNINGS[first], FOUR[second], FOUR[rest - second * np.uint32(10_000)]
    return text


class _Counted:
    """The labelled pairs so far, by separation, kind and what their artists have in common."""

    def __init__(self, table: pd.DataFrame) -> None:
        self._codes = artist_codes(table["artist_key"])[0]
        self._groups = _groups(table)
        self._counts = np.zeros((BINS, 2, len(GROUPS)), np.int64)

    def add(self, block: _Judged) -> None:
        """A block's pairs, where both paintings are known."""
        apart, a, b = block.apart, block.a, block.b
        if not block.is_known.all():
            apart, a, b = apart[block.is_known], a[block.is_known], b[block.is_known]
        first, second = self._codes[a], self._codes[b]
        group = np.where(self._groups[a] == self._groups[b], self._groups[a], 0)
        cell = (bins_of(apart).astype(np.int64) * 2 + (first == second)) * len(GROUPS) + group
        cell = cell[(first >= 0) & (second >= 0)]
        self._counts += np.bincount(cell, minlength=self._counts.size).reshape(self._counts.shape)

    def aucs(self) -> list[float]:
        """Over all pairs, those of two seen artists, those of two unseen ones."""
        return [PairCurve(counts[:, 1], counts[:, 0]).auc for counts in (
            self._counts.sum(axis=2), self._counts[..., 1], self._counts[..., 2])]


def _groups(table: pd.DataFrame) -> npt.NDArray[np.int8]:
    """(n,) in GROUPS: whether a painting's artist is one the competition trains on, where the table says."""
    if "artist_group" not in table:
        return np.zeros(len(table), np.int8)
    group = table["artist_group"]
    return np.where(group.isna(), 0, np.where(group.isin(SEEN_GROUPS), 1, 2)).astype(np.int8)
