"""Is a query by any of a gallery's artists?  Decided from its artist scores alone, whatever the source of its
photograph.

The log odds of known against unknown are a weighted sum of four terms, and an intercept:

    field      log sum over artists of exp(ratio + share): the evidence of all together (calibration.py)
    standing   log of the first artist's share among the first ten: 0 if nobody else comes near
    tail       how far the first artist's ratio is above the mean of the next ten, in their standard deviations
    paintings  log of the first artist's number of paintings

A photograph from another source is far from all artists, and one from the gallery's source is near to many; the field
alone would call the one unknown and the other known. Standing and tail compare artists with each other, so they do not
depend on the source. With a weight of 1 for the field and 0 for the rest, this is Bayes' rule on the artists'
likelihood ratios.

fit_artists.py fits the weights.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .vectors import Doubles

TERMS = ("field", "standing", "tail", "paintings")
NEXT = 10  # artists with whom the first one is compared
LEAST_DEVIATION = 0.3  # nats: lower bound of the next artists' deviation, if there are few or all are equal


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
        odds: Doubles = np.where(is_counted, finite @ self.weights[:-1] + self.intercept, -np.inf)
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


def terms_of(ratios: Doubles, shares: Doubles, paintings: Doubles) -> Doubles:
    """(..., 4) TERMS of queries; each argument (..., a).

    ratios: log(p(score | this artist) / p(score | somebody unknown)); shares: log of the artist's prior share; both
    -inf for an artist without a painting that counts. -inf if no artist has a score.
    """
    if not ratios.shape[-1]:
        return np.full((*ratios.shape[:-1], len(TERMS)), -np.inf)
    evidence = ratios + shares
    order = np.argsort(-evidence, axis=-1, kind="stable")[..., : NEXT + 1]
    best, near = (np.take_along_axis(values, order, -1) for values in (evidence, ratios))
    first = order[..., :1]
    has_any = np.isfinite(best[..., :1])
    standing = np.where(has_any, best[..., :1], 0)[..., 0] - np.logaddexp.reduce(best[..., :NEXT], axis=-1)
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
