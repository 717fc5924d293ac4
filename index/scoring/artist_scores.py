"""From a query's cosines to artists' scores, and from scores to probabilities: which artist, and whether any of them.

An artist's score is a sum over the artist's paintings under an exponential kernel:

    score(artist) = 1 + log(sum over the artist's paintings v of exp(KERNEL * (q.v - 1))) / KERNEL

It is in units of cosine, and equal to the cosine if an artist has one painting; more paintings raise it, near ones
most. Which artist is decided by the likelihood ratios of the scores and by the artists' shares (ArtistCalibration).
Whether it is any is decided from the scores alone, whatever the source of the photograph (OpenSet): the log odds of
known against unknown are a weighted sum of four terms, and an intercept:

    field      log sum over artists of exp(ratio + share): the evidence of all together
    standing   log of the first artist's share among the first ten: 0 if nobody else comes near
    tail       how far the first artist's ratio is above the mean of the next ten, in their standard deviations
    paintings  log of the first artist's number of paintings

A photograph from another source is far from all artists, and one from the gallery's source is near to many; the field
alone would call the one unknown and the other known. Standing and tail compare artists with each other, so they do not
depend on the source. With a weight of 1 for the field and 0 for the rest, this is Bayes' rule on the artists'
likelihood ratios.

fit_artists.py fits both. If a query shows a sculpture, artists whose works are paintings get less (sculpture.py).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .sculpture import SculptureDetector
from .vectors import Array, Codes, Doubles, Integers, blocks

KERNEL = 24.0  # 20 and 28 gave the same on validation, within noise
TERMS = ("field", "standing", "tail", "paintings")
NEXT = 10  # artists with whom the first one is compared
SUMMED_AT_ONCE = 1 << 14  # paintings: 0.1 MB for each step of the formula
UNKNOWN_SHARE = 0.5  # of queries by artists whom the index does not hold; assumed, not measured
LEAST_DEVIATION = 0.3  # nats: lower bound of the next artists' deviation, if there are few or all are equal


@dataclass(frozen=True)
class GalleryScores:
    """The artist scores of some queries in a gallery.

    scores: (q, a), -inf for an artist without a painting that counts; paintings: (q, a) how many of the artist's
    paintings counted, or (a,) if these are the same for all queries; likeness: (q, a) of the queries' kind to that of
    the artists' works (sculpture.py), None if all are of one kind as far as is known.
    """

    scores: Doubles
    paintings: Doubles
    likeness: Doubles | None = None

    def of(self, queries: npt.NDArray[Any]) -> GalleryScores:
        """The scores of some queries, by numbers or by a mask; paintings must be (q, a)."""
        likeness = None if self.likeness is None else self.likeness[queries]
        return GalleryScores(self.scores[queries], self.paintings[queries], likeness)


def paintings_by(codes: Integers | Codes, artists: int) -> Integers:
    """(artists,) how many of these paintings (n,) are theirs."""
    found = np.zeros(artists + 1, np.int64)
    for some in blocks(len(codes), SUMMED_AT_ONCE):
        found += np.bincount(codes[some] + 1, minlength=artists + 1)
    return found[1:]


def artist_scores(cosines: Array | Doubles, codes: Integers | Codes, artists: int) -> GalleryScores:
    """(artists,) scores for one query, and how many paintings of each artist were counted.

    cosines: (n,) to the query, -inf for a painting that must not count; codes: (n,) artists, -1 for nobody.
    """
    sums, paintings = np.zeros(artists + 1), np.zeros(artists + 1)  # the last is nobody
    for some in blocks(len(cosines), SUMMED_AT_ONCE):
        # As float64, and one painting after the other: the sums do not depend on the blocks.
        near, by = cosines[some].astype(np.float64), codes[some].astype(np.int64)
        np.add.at(sums, by, np.exp(KERNEL * (near - 1)))
        np.add.at(paintings, by, np.isfinite(near).astype(np.float64))
    with np.errstate(divide="ignore"):
        return GalleryScores(1 + np.log(sums[:-1]) / KERNEL, paintings[:-1])


def with_tail(scored: GalleryScores, others: Doubles, tail: float) -> GalleryScores:
    """Scores plus an estimate for paintings that were not compared one by one.

    others: (artists,) the number of those paintings; tail: the estimated contribution of each to its artist's sum.
    """
    with np.errstate(divide="ignore"):
        sums = np.exp(KERNEL * (scored.scores - 1)) + others * tail
        return GalleryScores(1 + np.log(sums) / KERNEL, scored.paintings + others)


def compensated(scored: GalleryScores, left_out: npt.NDArray[np.int64]) -> GalleryScores:
    """Scores and counts as if no painting had been left out. left_out: (artists,) number of those that were.

    A painting of the index is no evidence for itself. If only its artist were one painting short, the count would
    reveal the artist. So the sum is divided by the share of the artist's paintings that was counted.
    """
    is_counted = scored.paintings > 0
    counts = np.where(is_counted, scored.paintings + left_out, 0.0)
    share = np.where(is_counted, scored.paintings, 1) / np.where(is_counted, counts, 1)
    return GalleryScores(scored.scores - np.log(share) / KERNEL, counts)


def gallery_scores(
    gallery: Array, codes: npt.NDArray[np.int64], artists: int, queries: Array, own: npt.NDArray[np.int64] | None = None
) -> GalleryScores:
    """(q, artists) for queries (q, d) in a gallery (n, d) with artists (n,).

    own: (q,) a query's own place in the gallery, which is left out and compensated for; -1 if it has none.
    """
    scores, paintings = [], []
    for number, query in enumerate(queries):
        cosines = np.asarray(gallery @ query, np.float64)
        place = -1 if own is None else own[number]
        if place >= 0:
            cosines[place] = -np.inf
        scored = artist_scores(cosines, codes, artists)
        if place >= 0 and codes[place] >= 0:
            scored = compensated(scored, np.bincount(codes[place, None], minlength=artists))
        scores.append(scored.scores)
        paintings.append(scored.paintings)
    return GalleryScores(np.reshape(scores, (len(queries), artists)), np.reshape(paintings, (len(queries), artists)))


def without_own_artists(known: GalleryScores, artists: npt.NDArray[np.int64]) -> GalleryScores:
    """The scores of the same queries (q,) in a gallery without the queries' own artists."""
    scores, paintings = known.scores.copy(), known.paintings.copy()
    scores[np.arange(len(artists)), artists] = -np.inf
    paintings[np.arange(len(artists)), artists] = 0
    return replace(known, scores=scores, paintings=paintings)


@dataclass(frozen=True)
class OpenSet:
    """The weights. auc and calibration_error: on held-out artists in and out of the gallery; None if there were too
    few, or nothing was fitted."""

    field: float = 1.0
    standing: float = 0.0
    tail: float = 0.0
    paintings: float = 0.0
    intercept: float = 0.0
    auc: float | None = None
    calibration_error: float | None = None

    @property
    def weights(self) -> Doubles:
        """(5,) weights of the terms, and the intercept."""
        return np.array([self.field, self.standing, self.tail, self.paintings, self.intercept])

    def log_odds(self, terms: Doubles) -> Doubles:
        """(q,) log odds of known against unknown, both being equally frequent; terms: (q, 4). -inf if no artist has a
        score."""
        is_counted = np.asarray(np.isfinite(terms).all(axis=-1))
        finite = np.where(is_counted[..., None], terms, 0)
        # Not a matrix product: the odds of one query must not depend on the others.
        odds: Doubles = np.where(is_counted, np.vecdot(finite, self.weights[:-1]) + self.intercept, -np.inf)
        return odds

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> OpenSet:
        """Raises KeyError, TypeError or ValueError if it is malformed."""
        model = cls(**found)
        if not all(math.isfinite(value) for value in asdict(model).values() if value is not None):
            raise ValueError("not finite")
        return model


def auc_of(known: Doubles, unknown: Doubles) -> float:
    """AUC: the probability that one of the known (k,) is above one of the unknown (u,), a tie counting one half."""
    if not len(known) or not len(unknown):
        return math.nan
    ranked = np.sort(unknown)
    below = (np.searchsorted(ranked, known, "left") + np.searchsorted(ranked, known, "right")) / 2
    return float(below.mean() / len(unknown))


def largest(values: Doubles, most: int) -> npt.NDArray[np.int64]:
    """(..., m) where the `most` largest of values (..., a) are, largest first, equal ones in order; all if there are no
    more."""
    if values.shape[-1] <= most:
        return np.argsort(-values, axis=-1, kind="stable")
    rows = values.reshape(-1, values.shape[-1])
    which, found = np.nonzero(rows >= np.partition(rows, -most, axis=-1)[:, -most, None])
    order = np.lexsort((-rows[which, found], which))  # stable
    first = np.searchsorted(which, np.arange(len(rows)))[:, None] + np.arange(most)
    places: npt.NDArray[np.int64] = found[order][first].reshape(*values.shape[:-1], most)
    return places


def terms_of(ratios: Doubles, shares: Doubles, paintings: Doubles) -> Doubles:
    """(..., 4) TERMS of queries; each argument (..., a), shares and paintings also (a,).

    ratios: log(p(score | this artist) / p(score | somebody unknown)); shares: log of the artist's prior share; both
    -inf for an artist without a painting that counts. -inf if no artist has a score.
    """
    if not ratios.shape[-1]:
        return np.full((*ratios.shape[:-1], len(TERMS)), -np.inf)
    evidence = ratios + shares
    order = largest(evidence, NEXT + 1)
    best, near = (np.take_along_axis(values, order, -1) for values in (evidence, ratios))
    first = order[..., :1]
    has_any = np.isfinite(best[..., :1])
    standing = np.where(has_any, best[..., :1], 0)[..., 0] - np.logaddexp.reduce(best[..., :NEXT], axis=-1)
    paintings = np.broadcast_to(paintings, evidence.shape)
    counts = np.log(np.maximum(np.take_along_axis(paintings, first, -1), 1))[..., 0]
    terms = np.stack([np.logaddexp.reduce(evidence, axis=-1), standing, _tail(near), counts], axis=-1)
    return np.where(has_any, terms, -np.inf)


def _tail(near: Doubles) -> Doubles:
    """(...,) the tail of the first and the next artists' ratios (..., 11), -inf for missing ones."""
    others = near[..., 1:]
    is_there = np.isfinite(others)
    count = np.maximum(is_there.sum(axis=-1), 1)
    mean = np.where(is_there, others, 0).sum(axis=-1) / count
    spread = np.sqrt(
        np.where(is_there, (np.where(is_there, others, 0) - mean[..., None]) ** 2, 0).sum(axis=-1) / count
        + LEAST_DEVIATION**2
    )
    first = np.where(np.isfinite(near[..., 0]), near[..., 0], 0)
    return np.where(is_there.any(axis=-1), (first - mean) / spread, 0.0)


@dataclass(frozen=True)
class ArtistCalibration:
    """Turns artist scores into probabilities. With n the paintings of an artist in the gallery:

        log(p(score | this artist) / p(score | somebody unknown)) = slope * score + intercept - count_penalty * log(n)
        prior of an artist, among those known, in proportion to n ** prior_exponent

    The penalty corrects for one of many paintings being near by chance. open_set decides whether the query is by any of
    the artists; these ratios and shares decide by which. sculptures: tells sculptures from paintings; None if the model
    comes without it.
    """

    slope: float
    intercept: float
    count_penalty: float
    measured_on: str
    prior_exponent: float = 0.0  # all artists alike
    open_set: OpenSet = field(default_factory=OpenSet)
    sculptures: SculptureDetector | None = None

    def evidence(self, artist_scores: GalleryScores) -> Doubles:
        """(q, a) log of likelihood ratio times share of the known, and likeness; -inf for an artist without a
        painting."""
        ratios, shares = self._scored(artist_scores)
        return ratios + shares + _log_likeness(artist_scores)

    def terms(self, artist_scores: GalleryScores) -> Doubles:
        """(q, 4) the terms of open_set."""
        return terms_of(*self._scored(artist_scores), artist_scores.paintings)

    def posterior(self, artist_scores: GalleryScores, unknown_share: float = UNKNOWN_SHARE) -> tuple[Doubles, Doubles]:
        """(q, a) probabilities of the artists and (q,) of somebody unknown; together they sum to 1."""
        known, unknown = self.log_posterior(artist_scores, unknown_share)
        return np.exp(known), np.exp(unknown)

    def log_posterior(
        self, artist_scores: GalleryScores, unknown_share: float = UNKNOWN_SHARE
    ) -> tuple[Doubles, Doubles]:
        """The logarithms of `posterior`, which stay finite if a probability underflows."""
        ratios, shares = self._scored(artist_scores)
        terms = terms_of(ratios, shares, artist_scores.paintings)
        odds = self._log_odds(terms, unknown_share)
        among_known = ratios + shares - np.maximum(terms[..., :1], -1e6)  # the first term is the field
        known, unknown = among_known - np.logaddexp(0, -odds)[..., None], -np.logaddexp(0, odds)
        if artist_scores.likeness is None:
            return known, unknown
        taken = (np.exp(known) * (1 - artist_scores.likeness)).sum(axis=-1)
        with np.errstate(divide="ignore"):
            # Rounding must not make it more than 1.
            return known + _log_likeness(artist_scores), np.minimum(np.logaddexp(unknown, np.log(taken)), 0.0)

    def unknown(self, artist_scores: GalleryScores, unknown_share: float = UNKNOWN_SHARE) -> Doubles:
        """(q,) only the second part of `posterior`, in half the time, and whatever the likeness."""
        found: Doubles = np.exp(-np.logaddexp(0, self._log_odds(self.terms(artist_scores), unknown_share)))
        return found

    def _log_odds(self, terms: Doubles, unknown_share: float) -> Doubles:
        """(q,) of known against unknown."""
        odds: Doubles = self.open_set.log_odds(terms)
        return odds + math.log((1 - unknown_share) / unknown_share)

    def _scored(self, artist_scores: GalleryScores) -> tuple[Doubles, Doubles]:
        """(q, a) log-likelihood ratios and log shares, -inf for an artist without a painting that counts; shares (a,)
        if the paintings are."""
        has_paintings = artist_scores.paintings > 0
        paintings = np.log(np.where(has_paintings, artist_scores.paintings, 1))
        scores = np.where(has_paintings, artist_scores.scores, 0)
        ratios = self.slope * scores + self.intercept - self.count_penalty * paintings
        shares = np.where(has_paintings, self.prior_exponent * paintings, -np.inf)
        shares = shares - np.maximum(np.logaddexp.reduce(shares, axis=-1, keepdims=True), -1e6)
        return np.where(has_paintings, ratios, -np.inf), shares


def _log_likeness(artist_scores: GalleryScores) -> Doubles | float:
    if artist_scores.likeness is None:
        return 0.0
    found: Doubles = np.log(artist_scores.likeness)
    return found


@dataclass(frozen=True)
class ArtistCase:
    """A gallery, queries by its artists with the right one, truth (q,), and queries by somebody else.

    known_by, unknown_by: the queries' artists as numbers that are the same in all cases, so that artists can be held
    out.
    """

    known: GalleryScores
    truth: npt.NDArray[np.int64]
    unknown: GalleryScores
    known_by: npt.NDArray[np.int64]
    unknown_by: npt.NDArray[np.int64]
