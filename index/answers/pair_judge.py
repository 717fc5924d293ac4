"""Fused distances of millions of pairs, in float32, by matrix products wherever pairs are dense.

Files mostly go through one group of paintings after the other. For a stretch of pairs with numbers a and b, the Gram
matrix of (max a - min a) x (max b - min b) entries is computed if that is at most DENSE entries per pair; else the
stretch is halved if the halves are cheaper together, or the pairs' vectors are gathered. Ten thousand pairs among the
paintings 0 to 99 take one matrix of 100 x 100; the same number spread over an index is gathered.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from threadpoolctl import ThreadpoolController

from ...embedder.parallel import ahead
from ..scoring.calibration import PairCalibration
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

DENSE = 16  # a Gram matrix with at most this many entries per pair is cheaper than gathering
PACKING = 35  # a matrix product of r rows costs as much as r + 35 rows, because the columns are repacked
GATHER = 1 << 12  # pairs whose vectors are gathered at once
LOOKED_AT = 512  # paintings whose nearest a core searches at once; with fewer, products are slower


class PairJudge:
    """Fused distances of pairs of a generation's paintings, in float32.

    Paintings are numbered in the order of their first pair, and their vectors are kept in that order. Files mostly go
    through one group of paintings after the other, so the numbers in a stretch of pairs are adjacent, and their rows
    need not be gathered.
    """

    def __init__(self, generation: Generation, calibration: PairCalibration, workers: int) -> None:
        """workers: threads that search for the nearest paintings."""
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
        # By number. Only rows that are needed are ever written, and only those take memory.
        self.vectors = np.zeros(self.matrix.shape, np.float32)
        self.neighbourhoods = Neighbourhoods(np.zeros((count, len(self.landmarks)), np.float32), np.full(count, -1))

    def look_at(self, places: Integers) -> None:
        """Number the paintings at these places, -1 for none, that have no number yet, and compute their
        neighbourhoods."""
        fresh = pd.unique(places[places >= 0])  # in the order of the pairs
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
        """Compute the neighbourhoods of the paintings at these places, which have these numbers."""
        places, new = paintings[0], _span(paintings[1])
        with self.threads.limit(limits=1):  # in addition to BLAS' limit: each thread has its own OpenMP threads
            found = expanded(self.matrix[places], self.matrix, places, self.copies)
            Neighbourhoods.of(
                found, self.landmarks, self.bandwidth, self.neighbourhoods.own[new], self.neighbourhoods.roots[new]
            )

    def numbers(self, places: Integers) -> Integers:
        """(k,) numbers of the paintings at these places; any number for a place of -1."""
        numbers, is_known = np.zeros(len(places), np.int64), places >= 0
        numbers[is_known] = self.number[places[is_known]]
        numbers[~is_known] = numbers[is_known].min() if is_known.any() else 0  # does not widen the span
        return numbers

    def fused_distances(self, a: Integers, b: Integers) -> Array:
        """(p,) of the pairs of paintings with these numbers (p,)."""
        if not self.asked:  # none of the paintings is in the index
            return np.zeros(len(a), np.float32)
        return np.concatenate([np.empty(0, np.float32), *self._stretches(a, b)])

    def _stretches(self, a: Integers, b: Integers) -> Iterator[Array]:
        """The same, stretch by stretch."""
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
    """The size in entries of the Gram matrix that covers these pairs (p,)."""
    rows, columns = _span(a), _span(b)
    return int((rows.stop - rows.start + PACKING) * (columns.stop - columns.start))


def _span(numbers: Integers) -> slice:
    return slice(numbers.min(), numbers.max() + 1)
