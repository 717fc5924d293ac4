"""Recorded attributions for which there is less evidence than for another artist.

Each unqualified work is queried as if it had no record. Its *doubt*, in nats, is how much more evidence there is for
the best other artist than for the recorded one (evidence.py). A single other work may be atypical, so the evidence of
one is multiplied by 1 - 1/e, that of two by 1 - 1/e^2, and so on. An artist with one work cannot be judged.

Right attributions also have doubts, small in some collections and large in others. In all collections that were
measured, the doubts of right attributions have the same distribution in units of a quantile of the doubts themselves.
So the share of false discoveries is estimated from each collection's own doubts, whatever the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..scoring.vectors import Doubles
from .evidence import Evidence
from .works import Object, Works

# For right attributions with a positive doubt: doubt, in units of the QUANTILE of their doubts, and the share above it.
# The mean over val_away, val_seen and val_unseen, complete and with two to ten works per artist (docs/review.md).
ABOVE = (
    (0.0, 1.0),
    (0.5, 0.81),
    (1.0, 0.65),
    (1.5, 0.48),
    (2.0, 0.36),
    (3.0, 0.18),
    (4.0, 0.09),
    (5.0, 0.045),
    (6.0, 0.018),
    (8.0, 0.004),
)
QUANTILE = 0.35  # low, since wrong attributions are above it
USUAL, WORTH = (1.1, 15)  # nats: the quantile in those collections, and its weight in doubts if a collection has few


@dataclass(frozen=True)
class Doubt:
    """An object whose record is doubtful. probabilities: of all artists, including the recorded one.

    expected_false: the expected share of false discoveries among this one and all that are more doubtful.
    """

    one: Object
    doubt: float
    probabilities: Doubles  # (artists,)
    unknown: float
    expected_false: float


def judged(works: Works) -> list[Object]:
    """The objects whose attribution can be judged: unqualified, and with another work by the artist in the index."""
    return [each for each in works.objects if _is_judged(works, each.places[0])]


def doubts(works: Works, evidence: Evidence) -> list[Doubt]:
    """The doubtful ones, most doubtful first: those with more evidence for another artist than for the recorded one."""
    found = []
    for each in evidence.of(judged(works)):
        recorded = int(works.codes[each.one.places[0]])
        own = float(each.evidence[recorded])
        each.evidence[recorded] = -np.inf
        best = float(each.evidence.max())
        if not np.isfinite(best) or not np.isfinite(own):
            continue
        witnesses = float(each.scores.paintings[recorded]) - 1  # without itself
        doubt = (best - own) * (1 - np.exp(-max(witnesses, 1.0)))
        if doubt > 0:
            found.append((each.one, float(doubt), each.probabilities, each.unknown))
    found.sort(key=lambda each: -each[1])
    shares = false_discoveries([each[1] for each in found])
    return [Doubt(*each, share) for each, share in zip(found, shares, strict=True)]


def false_discoveries(doubts: Sequence[float]) -> list[float]:
    """For each of the positive doubts, largest first, the expected share of right attributions down to it.

    Estimated as if all attributions were right, then again without those that stood out. More iterations would take
    ever more of the tail of right ones for wrong.
    """
    if not len(doubts):
        return []
    ordered = np.array(doubts, np.float64)
    numbers = np.arange(1, len(ordered) + 1)
    expected = _expected(ordered, 0)
    expected = _expected(ordered, int((numbers - expected).max()))
    shares: list[float] = np.minimum.accumulate((expected / numbers)[::-1])[::-1].tolist()
    return shares


def _expected(doubts: Doubles, wrong: int) -> Doubles:
    """(n,) expected right attributions among the first one, two, ... of doubts, if the first `wrong` of all are
    wrong."""
    right = doubts[wrong:]
    scale = (float(np.quantile(right, QUANTILE)) * len(right) + USUAL * WORTH) / (len(right) + WORTH)
    found: Doubles = np.minimum(len(right) * share_above(doubts / scale), np.arange(1, len(doubts) + 1))
    return found


def share_above(scaled: Doubles) -> Doubles:
    """The share of right attributions, among those with a positive doubt, that are at least as doubtful; extrapolated
    beyond ABOVE."""
    at, share = np.array(ABOVE).T
    slope = np.diff(np.log(share[-2:]))[0] / np.diff(at[-2:])[0]
    within = np.interp(scaled, at, np.log(share))
    found: Doubles = np.exp(np.where(scaled > at[-1], np.log(share[-1]) + slope * (scaled - at[-1]), within))
    return found


def _is_judged(works: Works, place: int) -> bool:
    return bool(works.codes[place] >= 0 and works.counts[works.codes[place]] > 1 and not works.is_qualified[place])
