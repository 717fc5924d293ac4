"""Fit the calibration of pairs to labelled paintings: what a distance, plain or fused, says about two paintings.

With x the distance and w the neighbourhood's weight,

    log P(x | same) / P(x | different) = slope * (x + w * (1 - similarity)) + intercept

by logistic regression in which both kinds of pair have equal weights. Rates and the calibration error are measured on
artists that a fit has not seen (`_held_out`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...errors import BadCatalog
from ..scoring.calibration import FALSE_POSITIVE_RATES, HeldOut, PairCalibration, Scale
from ..scoring.centre import centre_of, centred
from ..scoring.curve import PairCurve, Pairs, blocks
from ..scoring.neighbourhood import neighbourhoods_among
from ..scoring.vectors import Array, Doubles, Integers
from .bootstrap import rate_interval
from .groups import halves
from .packages import needed
from .reliability import brier, even_odds, reliability

STIFFNESS = 100.0  # inverse of regularisation: no effect with thousands of pairs, but a dozen may be separable
MOST_WEIGHT = 2.0  # of the neighbourhoods; beyond it, the distance hardly counts


def setting_within(embeddings: Array, artists: Integers, hashes: npt.NDArray[np.object_]) -> Pairs:
    """All pairs of paintings in an index of them alone: around their own centre, with landmarks among them.

    embeddings: (n, d) as the model gives them; artists: (n,) codes; hashes: (n,) of the vectors (neighbourhood.py).
    """
    vectors = centred(embeddings, centre_of(embeddings, artists))
    return pairs_among(vectors, artists, vectors, hashes, np.arange(len(vectors)))


def setting_asked(
    embeddings: Array, artists: Integers, others: Array, their_artists: Integers, hashes: npt.NDArray[np.object_]
) -> Pairs:
    """All pairs of paintings as judged in an index of other paintings by other artists."""
    centre = centre_of(others, their_artists)
    return pairs_among(
        centred(embeddings, centre), artists, centred(others, centre), hashes, np.full(len(embeddings), -1)
    )


def pairs_among(
    vectors: Array, artists: Integers, gallery: Array, hashes: npt.NDArray[np.object_], own: Integers
) -> Pairs:
    """All pairs of vectors (n, d), with the landmarks of a gallery (g, d); own: (n,) their places in it, or -1."""
    return Pairs.joined(list(blocks(vectors, artists, neighbourhoods_among(vectors, gallery, hashes, own))))


def calibrate_pairs(settings: Sequence[Pairs], measured_on: str) -> PairCalibration:
    """Fit by maximum likelihood; settings have equal weights, and so have both kinds of pair in each.

    Neighbourhood similarity is used if every setting has it.
    """
    pairs = Pairs.joined(settings)
    weights = np.concatenate([_balanced(part.is_same) for part in settings])
    has_similarities = len(pairs.similarities) == len(pairs.distances)
    by_distance = _scale(pairs, weights, has_similarities=False)
    by_fused_distance = _scale(pairs, weights, has_similarities=True) if has_similarities else by_distance
    same = int(settings[0].is_same.sum())
    weight = _neighbourhood_weight(pairs, weights) if has_similarities else 0.0
    return PairCalibration(by_distance, by_fused_distance, weight, measured_on, same, len(settings[0].distances) - same)


def _scale(pairs: Pairs, weights: Doubles, *, has_similarities: bool) -> Scale:
    x = _compared(pairs, weights, has_similarities)(pairs)
    slope, intercept = _logistic(x[:, None], pairs.is_same, weights).tolist()
    if slope >= 0:
        raise BadCatalog("paintings by one artist are no nearer to each other than to others': nothing to calibrate")
    curve = PairCurve.empty()
    curve.add(x, pairs.is_same)
    parts = _held_out(pairs, has_similarities)
    held_out = [(even_odds(part.evidence), part.pairs.is_same, ~part.pairs.is_same) for part in parts]
    together = tuple(np.concatenate(kind) for kind in zip(*held_out, strict=True))
    error, squared = (reliability(*together).error, brier(*together)) if together else (None, None)
    return Scale(
        slope,
        intercept,
        tuple(curve.at(rate) for rate in FALSE_POSITIVE_RATES),
        curve.equal_error(),
        curve.roc(),
        curve.auc,
        error,
        squared,
        tuple(_rates(parts, number) for number in range(len(FALSE_POSITIVE_RATES))) if parts else (),
    )


def _balanced(is_same: npt.NDArray[np.bool_]) -> Doubles:
    """(p,) weights of pairs: same-artist ones sum to one half, and so do the others."""
    same = max(int(is_same.sum()), 1)
    return np.where(is_same, 0.5 / same, 0.5 / max(len(is_same) - same, 1))


def _logistic(terms: Array, is_same: npt.NDArray[np.bool_], weights: Doubles) -> Doubles:
    """(k + 1,) slopes of the terms (p, k) and the intercept of the log-likelihood ratio."""
    model = needed("sklearn.linear_model").LogisticRegression(C=STIFFNESS, solver="newton-cholesky", max_iter=200)
    model.fit(terms, is_same, weights * len(weights))
    return np.append(model.coef_[0], model.intercept_)


def _neighbourhood_weight(pairs: Pairs, weights: Doubles) -> float:
    """The weight of 1 - similarity relative to distance, between 0 and MOST_WEIGHT: the ratio of their slopes in one
    logistic fit."""
    terms = np.column_stack([pairs.distances, 1 - pairs.similarities])
    by_distance, by_similarity, _ = _logistic(terms, pairs.is_same, weights).tolist()
    if by_similarity >= 0:
        return 0.0
    return min(by_similarity / by_distance, MOST_WEIGHT) if by_distance < 0 else MOST_WEIGHT


def _compared(pairs: Pairs, weights: Doubles, has_similarities: bool) -> Callable[[Pairs], Array]:
    """The plain or fused distance of pairs, with the weight fitted to these."""
    if not has_similarities:
        return lambda others: others.distances
    weight = np.float32(_neighbourhood_weight(pairs, weights))
    return lambda others: others.distances + weight * (1 - others.similarities)


@dataclass(frozen=True)
class _Judged:
    """Pairs (p,) of held-out artists: the evidence that a fit gives them, and which of them it calls the same at each
    nominal rate."""

    pairs: Pairs
    evidence: Doubles
    called: list[npt.NDArray[np.bool_]]


def _held_out(pairs: Pairs, has_similarities: bool) -> list[_Judged]:
    """The pairs of each half of the artists, judged by a fit to the other half.

    Empty if a half does not have both kinds of pair.
    """
    found = []
    first, second = (pairs.among(half) for half in halves(np.concatenate([pairs.first, pairs.second])))
    for fitted_on, judged in ((first, second), (second, first)):
        if not fitted_on.is_same.any() or fitted_on.is_same.all():
            return []
        weights = _balanced(fitted_on.is_same)
        compared = _compared(fitted_on, weights, has_similarities)
        x, curve = compared(judged), PairCurve.empty()
        curve.add(compared(fitted_on), fitted_on.is_same)
        slope, intercept = _logistic(compared(fitted_on)[:, None], fitted_on.is_same, weights).tolist()
        found.append(
            _Judged(judged, slope * x + intercept, [x < curve.at(rate).distance for rate in FALSE_POSITIVE_RATES])
        )
    return found


def _rates(parts: Sequence[_Judged], number: int) -> HeldOut:
    """Rates at one of the nominal rates, with intervals by bootstrap over the artists."""
    first, second, called = (
        np.concatenate(some)
        for some in zip(*((part.pairs.first, part.pairs.second, part.called[number]) for part in parts), strict=True)
    )
    codes, places = np.unique(np.concatenate([first, second]), return_inverse=True)
    cells = places[: len(first)] * len(codes) + places[len(first) :]

    def by_artists(chosen: npt.NDArray[np.bool_]) -> Doubles:
        return np.bincount(cells[chosen], minlength=len(codes) ** 2).reshape(len(codes), -1).astype(np.float64)

    rates, intervals = [], []
    for kind in (first != second, first == second):
        counted, passed = by_artists(kind), by_artists(kind & called)
        rates.append(float(passed.sum() / counted.sum()))
        intervals.append(rate_interval(passed, counted))
    return HeldOut(FALSE_POSITIVE_RATES[number], rates[0], rates[1], intervals[0], intervals[1])
