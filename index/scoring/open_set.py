"""Is a query by any of a gallery's artists?  Told by what is known when it is asked, whatever its photograph's origin.

The log odds, known against unknown, are a sum of four terms, each with a weight, and an intercept:

    field      log sum over artists of exp(ratio + share): what all say together (calibration.py)
    standing   log of the first artist's share of what the ten first say: 0 where nobody else comes near
    tail       the first artist's ratio above the mean of the next ten, in their standard deviations
    paintings  log of how many paintings the first artist has

A photograph from another source is far from everybody, and one of the gallery's origin near to many; the field alone
calls the one unknown and the other known. Standing and tail compare artists with each other and so do without. With
a weight of 1 for the field and nothing else, the odds are Bayes' rule on the artists' likelihood ratios alone.

Features and weights are used here and fitted in fit_artists.py.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .vectors import Doubles

TERMS = ("field", "standing", "tail", "paintings")
NEXT = 10  # artists that the first one is compared with
LEAST_DEVIATION = 0.3  # nats; of the next artists' ratios, where there are few or they are all alike


@dataclass(frozen=True)
class OpenSet:
    """The weights. auc and calibration_error: of artists in and out of the gallery that a fit was not made on; None
    where there were too few, or nothing was fitted."""

    field: float = 1.0
    standing: float = 0.0
    tail: float = 0.0
    paintings: float = 0.0
    intercept: float = 0.0
    auc: float | None = None
    calibration_error: float | None = None

    @property
    def weights(self) -> Doubles:
        """(5,) of the terms, and the intercept."""
        return np.array([self.field, self.standing, self.tail, self.paintings, self.intercept])

    def log_odds(self, terms: Doubles) -> Doubles:
        """(q,) of known against unknown where both are as frequent; terms: (q, 4). -inf where nobody is scored."""
        is_counted = np.asarray(np.isfinite(terms).all(axis=-1))
        finite = np.where(is_counted[..., None], terms, 0)
        odds: Doubles = np.where(is_counted, finite @ self.weights[:-1] + self.intercept, -np.inf)
        return odds

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> OpenSet:
        """Raises KeyError, TypeError or ValueError where it is not one."""
        model = cls(**found)
        if not all(math.isfinite(value) for value in asdict(model).values() if value is not None):
            raise ValueError("not finite")
        return model


def told_apart(known: Doubles, unknown: Doubles) -> float:
    """AUC: the chance that one of the known (k,) is above one of the unknown (u,), a tie counting one half."""
    if not len(known) or not len(unknown):
        return math.nan
    ranked = np.sort(unknown)
    below = (np.searchsorted(ranked, known, "left") + np.searchsorted(ranked, known, "right")) / 2
    return float(below.mean() / len(unknown))


def terms_of(ratios: Doubles, shares: Doubles, paintings: Doubles) -> Doubles:
    """(..., 4) TERMS of queries; each argument (..., a).

    ratios: log(p(score | this artist) / p(score | somebody unknown)); shares: log of what is expected of the artist
    before; both -inf for an artist without a painting that counts. -inf where nobody is scored.
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
    """(...,) of the first and the next artists' ratios (..., 11), -inf for those who are not there."""
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
