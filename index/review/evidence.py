"""The evidence for each artist of a collection as the painter of a work: pictures here and elsewhere, and dates.

Three terms are added up, in nats, for each artist of the index:

    the artist's other works in the index, as `nearest` weighs them (calibration.py)
    REFERENCE * log of how many times likelier than chance the artist is among those of the reference gallery
    DATES     * log of the density of the artist's dated works around this one's year, over that of all dated works

A museum mostly has two or three works by an artist, and the gallery dozens. For an artist whom the gallery lacks, its
term is zero. If the year of the work, or those of an artist, are unknown, dates add nothing. The probability that it is
by none of the artists here depends on the index's works alone; of a work without an artist, also on whether it is a
sculpture (scoring/sculpture.py).

The weights and widths were chosen on val_away, val_seen and val_unseen (docs/review.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...embedder.parallel import Bar, no_bar
from ..scoring.artist_scores import KERNEL, ArtistCalibration, GalleryScores
from ..scoring.artists import artist_codes
from ..scoring.centre import centred, uncentred
from ..scoring.sculpture import likeness, shares_of
from ..scoring.vectors import Array, Doubles, blocks
from .works import Object, Works

REFERENCE = 0.5
DATES = 0.7
YEARS, ANY_YEAR = 12.0, 0.05 / 1000  # years, the spread of one artist's works; one in twenty may have any year
AT_ONCE = 1 << 14  # photographs of which it is looked up whether they show sculptures

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Elsewhere:
    """Another gallery of the same model: its vectors (n, d) around its own centre (d,), and its artists' keys."""

    vectors: Array
    centre: Array
    artist_keys: pd.Series

    @cached_property
    def _by_artist(self) -> tuple[Array, Integers, list[str]]:
        codes, keys = artist_codes(self.artist_keys)
        order = np.argsort(codes, kind="stable")
        order = order[codes[order] >= 0]
        return np.asarray(self.vectors[order], np.float32), codes[order], keys

    def odds(self, embeddings: Array, keys: Sequence[str], calibration: ArtistCalibration) -> Doubles:
        """(q, artists) log ratios of each artist's probability among `keys` to chance.

        embeddings: (q, d) as the model gives them; 0 for an artist whom this gallery lacks.
        """
        vectors, codes, here = self._by_artist
        if not here:
            return np.zeros((len(embeddings), len(keys)))
        starts = np.flatnonzero(np.diff(codes, prepend=-1))
        counts = np.bincount(codes, minlength=len(here)).astype(np.float64)
        kernel = np.exp(KERNEL * (centred(embeddings, self.centre) @ vectors.T - 1))
        scores = 1 + np.log(np.add.reduceat(kernel, starts, axis=1, dtype=np.float64)) / KERNEL
        evidence = calibration.evidence(GalleryScores(scores, np.broadcast_to(counts, scores.shape)))
        ratios = evidence - calibration.prior_exponent * np.log(counts)  # whatever their number of paintings
        ratios -= np.logaddexp.reduce(ratios, axis=1, keepdims=True) - np.log(len(here))
        places = pd.Index(here).get_indexer(pd.Index(list(keys)))
        found: Doubles = np.where(places >= 0, ratios[:, places], 0.0)
        return found


@dataclass(frozen=True)
class Weighed:
    """The result for an object. evidence: (artists,) in nats; -inf for an artist without a work that counts;
    probabilities: (artists,), which with `unknown` sum to 1."""

    one: Object
    evidence: Doubles
    scores: GalleryScores
    probabilities: Doubles
    unknown: float


class Evidence:
    """Weighs the objects of a collection. centre: the index's; elsewhere: the reference gallery, if it can be asked."""

    def __init__(
        self,
        works: Works,
        calibration: ArtistCalibration,
        centre: Array,
        elsewhere: Elsewhere | None = None,
        bar: Bar = no_bar,
    ) -> None:
        self._works, self._calibration = works, calibration
        self._centre, self._elsewhere, self._bar = centre, elsewhere, bar
        self._dates = _Dates(works)

    def of(self, asked: Sequence[Object]) -> Iterator[Weighed]:
        """The results in order, each as if the object had no record."""
        with self._bar(len(asked), "weighing the evidence for each artist") as advance:
            for block in self._works.scores(asked):
                elsewhere = self._elsewhere_odds([one for one, _ in block])
                for (one, scores), theirs in zip(block, elsewhere, strict=True):
                    advance(1)
                    evidence = self._calibration.evidence(scores) + REFERENCE * theirs + DATES * self._dates.odds(one)
                    unknown = float(self._calibration.unknown(scores))
                    shares = np.exp(evidence - max(float(np.logaddexp.reduce(evidence, initial=-np.inf)), -1e6))
                    yield Weighed(one, evidence, scores, (1 - unknown) * shares, unknown)

    def by_kind(self, weighed: Weighed) -> Weighed:
        """The result with the probabilities of painters taken away, if the first photograph seems to show a sculpture.

        Evidence is unchanged: for or against a recorded artist, it is compared among artists alone.
        """
        place = weighed.one.places[0]
        if not self._sculptures[place]:
            return weighed
        gallery = self._works.gallery
        others = gallery[self._works.work[gallery] != self._works.work[place]]
        shares = shares_of(self._sculptures[others], self._works.codes[others], len(self._works.keys))
        probabilities = weighed.probabilities * likeness(self._sculptures[place], shares)
        taken = float((weighed.probabilities - probabilities).sum())
        return replace(weighed, probabilities=probabilities, unknown=min(weighed.unknown + taken, 1.0))

    @cached_property
    def _sculptures(self) -> Doubles:
        """(n,) the probabilities that photographs show sculptures."""
        detector, vectors = self._calibration.sculptures, self._works.vectors
        found = np.zeros(len(vectors))
        if detector is not None:
            for some in blocks(len(vectors), AT_ONCE):
                found[some] = detector.probabilities(uncentred(np.asarray(vectors[some]), self._centre))
        return found

    def _elsewhere_odds(self, block: Sequence[Object]) -> Doubles:
        if self._elsewhere is None:
            return np.zeros((len(block), len(self._works.keys)))
        first = [one.places[0] for one in block]
        embeddings = uncentred(self._works.vectors[first], self._centre)
        return self._elsewhere.odds(embeddings, self._works.keys, self._calibration)


class _Dates:
    """Densities of the years of a collection's works, by artist; each work counts once."""

    def __init__(self, works: Works) -> None:
        years = works.table["year"] if "year" in works.table else pd.Series(np.nan, works.table.index)
        self._works = works
        self._years = pd.to_numeric(years, errors="coerce").to_numpy(np.float64, na_value=np.nan)
        self._dated = works.gallery[np.isfinite(self._years[works.gallery])]
        self._counts = np.bincount(works.codes[self._dated], minlength=len(works.keys)).astype(np.float64)
        self._sums: dict[float, Doubles] = {}  # (artists,) by year

    def odds(self, one: Object) -> Doubles:
        """(artists,) log ratios of each artist's probability to chance, by the object's year alone."""
        known = [year for year in self._years[list(one.places)].tolist() if np.isfinite(year)]
        nothing = np.zeros(len(self._counts))
        if not known or not len(self._dated):
            return nothing
        own = self._dated[self._works.work[self._dated] == self._works.work[one.places[0]]]
        sums, counts = self._sums_of(known[0]).copy(), self._counts.copy()
        np.subtract.at(sums, self._works.codes[own], _density(self._years[own] - known[0]))
        np.subtract.at(counts, self._works.codes[own], 1.0)
        if not counts.any():
            return nothing
        each = np.divide(sums, counts, out=nothing.copy(), where=counts > 0)
        found: Doubles = np.where(counts > 0, np.log(np.maximum(each, ANY_YEAR) / (sums.sum() / counts.sum())), 0.0)
        return found

    def _sums_of(self, year: float) -> Doubles:
        if year not in self._sums:
            dense = _density(self._years[self._dated] - year)
            self._sums[year] = np.bincount(self._works.codes[self._dated], dense, len(self._counts)).astype(np.float64)
        return self._sums[year]


def _density(apart: Doubles) -> Doubles:
    """The density of a year, given the distances in years to an artist's works."""
    found: Doubles = np.exp(-np.abs(apart) / YEARS) / (2 * YEARS) + ANY_YEAR
    return found
