"""Histograms of the distances of same-artist pairs and of other pairs, without a loop over pairs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .calibration import OperatingPoint, steps
from .neighbourhood import Neighbourhoods
from .vectors import Array, Doubles, Integers

SPAN = 4.0  # the largest possible distance, plain or fused (calibration.py)
BINS = 1 << 17  # over the span: the AUC is then accurate to the fifth digit
BLOCK = 1 << 22  # pairs in memory at once: some 100 MB
ROC_RATES = np.geomspace(1e-4, 1, 60)  # false-positive rates at which a curve is stored


@dataclass(frozen=True)
class Pairs:
    """Pairs of labelled paintings: (p,) distances and neighbourhood similarities, which may be missing (empty).

    first and second: (p,) the artists.
    """

    distances: Array
    similarities: Array
    first: Integers
    second: Integers

    @classmethod
    def joined(cls, parts: Sequence[Pairs]) -> Pairs:
        """All of them together, with similarities if every part has them."""
        none = np.empty(0, np.float32)
        has_similarities = all(len(part.similarities) == len(part.distances) for part in parts)
        return cls(
            np.concatenate([none, *(part.distances for part in parts)]),
            np.concatenate([none, *(part.similarities for part in parts if has_similarities)]),
            np.concatenate([np.empty(0, np.int64), *(part.first for part in parts)]),
            np.concatenate([np.empty(0, np.int64), *(part.second for part in parts)]),
        )

    def among(self, artists: Integers) -> Pairs:
        """Pairs of two paintings by these artists."""
        kept = np.isin(self.first, artists) & np.isin(self.second, artists)
        return self.of(kept)

    def of(self, kept: npt.NDArray[np.bool_]) -> Pairs:
        """The pairs selected by (p,) bool."""
        return Pairs(
            self.distances[kept],
            self.similarities[kept] if len(self.similarities) else self.similarities,
            self.first[kept],
            self.second[kept],
        )

    @property
    def is_same(self) -> npt.NDArray[np.bool_]:
        """(p,) whether the pair is by one artist."""
        same: npt.NDArray[np.bool_] = self.first == self.second
        return same


def blocks(vectors: Array, artists: Integers, neighbourhoods: Neighbourhoods | None = None) -> Iterator[Pairs]:
    """All pairs i < j of vectors (n, d) with artists (n,) codes; a negative code is in no pair."""
    places = np.flatnonzero(artists >= 0)
    vectors, artists = vectors[places], artists[places]
    rows = max(1, BLOCK // max(len(places), 1))
    for start in range(0, len(places), rows):
        block = slice(start, start + rows)
        cosines = vectors[block] @ vectors[start:].T  # (b, n - start)
        upper = np.triu(np.ones(cosines.shape, bool), 1)
        similarities = np.empty(0, np.float32)
        if neighbourhoods is not None:
            similarities = neighbourhoods.similarity(places[block], places[start:])[upper]
        first, second = np.broadcast_arrays(artists[block, None], artists[None, start:])
        yield Pairs(1 - cosines[upper], similarities, first[upper], second[upper])


@dataclass(frozen=True)
class PairCurve:
    """Counts in BINS bins over [0, SPAN] of distances, plain or fused."""

    same: Integers
    different: Integers

    @classmethod
    def empty(cls) -> PairCurve:
        """A curve without pairs, for `add`."""
        return cls(np.zeros(BINS, np.int64), np.zeros(BINS, np.int64))

    def add(self, distances: Array, is_same: npt.NDArray[np.bool_]) -> None:
        """Count some more pairs."""
        bins = bins_of(distances)
        self.same[:] += np.bincount(bins[is_same], minlength=BINS)
        self.different[:] += np.bincount(bins[~is_same], minlength=BINS)

    @property
    def auc(self) -> float:
        """ROC AUC: the chance that a same-artist pair is nearer than another pair; a tie counts one half."""
        if not self.same.sum() or not self.different.sum():
            return math.nan
        farther = self.different[::-1].cumsum()[::-1] - self.different / 2
        return float((self.same * farther).sum() / self.same.sum() / self.different.sum())

    def called_same(self, distance: float) -> OperatingPoint:
        """The rates of calling pairs same below this distance."""
        place = int(np.clip(round(distance * (BINS / SPAN)), 0, BINS))
        false, true = self._rates()
        return OperatingPoint(distance, float(false[place]), float(true[place]))

    def at(self, false_positive_rate: float) -> OperatingPoint:
        """The largest threshold at which the share of different pairs called same is within the rate."""
        return _point_at(false_positive_rate, *self._rates())

    def roc(self) -> tuple[OperatingPoint, ...]:
        """The points at ROC_RATES, each once: with few pairs, several rates share one."""
        rates = self._rates()
        return steps([_point_at(rate, *rates) for rate in ROC_RATES.tolist()])

    def equal_error(self) -> OperatingPoint:
        """The point at which the shares of same pairs missed and of different pairs called same are equal."""
        false, true = self._rates()
        place = int(np.argmax(false + true >= 1))
        return OperatingPoint(place * SPAN / BINS, float(false[place]), float(true[place]))

    def _rates(self) -> tuple[Doubles, Doubles]:
        """(BINS + 1,) shares of different and of same pairs below each bin's lower edge."""

        def below(counts: Integers) -> Doubles:
            return np.concatenate([[0.0], counts.cumsum() / max(counts.sum(), 1)])

        return below(self.different), below(self.same)


def _point_at(rate: float, false: Doubles, true: Doubles) -> OperatingPoint:
    """false, true: (BINS + 1,) shares of pairs below each bin's lower edge; false ascends."""
    place = max(int(np.searchsorted(false, rate, side="right")) - 1, 0)
    return OperatingPoint(place * SPAN / BINS, float(false[place]), float(true[place]))


def bins_of(distances: Array) -> npt.NDArray[np.int32]:
    """The bin of a PairCurve for each distance."""
    bins: npt.NDArray[np.int32] = np.clip(distances * (BINS / SPAN), 0, BINS - 1).astype(np.int32)
    return bins
