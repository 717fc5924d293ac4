"""Recorded attributions that the artist's other works speak against, while another artist's works speak for the work.

Each unqualified work is asked about as if its record were not there. How much more the best other artist's works say
for it than the recorded one's, in nats of calibrated evidence, is its *doubt*; a single other work may be odd itself,
so what one says counts by 1 - 1/e, what two say by 1 - 1/e^2, and so on. An artist of one work cannot be judged.

How many right attributions look as doubtful was measured on paintings whose attributions nobody doubts, and is what
the share of false discoveries is estimated by. A collection in which artists work much alike has more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..scoring.calibration import ArtistCalibration
from ..scoring.vectors import Doubles
from .works import Object, Works

# Of right attributions: doubt in nats, and the share that is above it. Measured on val_seen and val_away, each within
# 0.4 nats of both together; beyond the last, the slope between the last two goes on.
RIGHT = ((-0.8, 0.75), (0.2, 0.5), (1.7, 0.25), (3.2, 0.1), (4.3, 0.05), (6.25, 0.01))


@dataclass(frozen=True)
class Doubt:
    """An object whose record is doubtful. others: artists' numbers by probability; recorded: that of the recorded one.

    expected_false: the share of false discoveries to be expected among this and all that are more doubtful.
    """

    one: Object
    doubt: float
    probabilities: Doubles  # (artists,)
    unknown: float
    expected_false: float


def doubts(works: Works, calibration: ArtistCalibration) -> list[Doubt]:
    """The doubtful ones, most doubtful first: those for which another artist speaks more than the recorded one."""
    asked = [each for each in works.objects if _is_judged(works, each)]
    found = []
    for one, scores in works.scores(asked):
        recorded = int(works.codes[one.places[0]])
        evidence = calibration.evidence(scores)
        others = np.delete(evidence, recorded)
        best = float(others.max()) if len(others) else -np.inf
        if not np.isfinite(best) or not np.isfinite(evidence[recorded]):
            continue
        witnesses = float(scores.paintings[recorded]) - 1  # without itself, which only stands in
        doubt = (best - float(evidence[recorded])) * (1 - np.exp(-max(witnesses, 1.0)))
        known, unknown = calibration.posterior(scores)
        found.append((one, float(doubt), known, float(unknown)))
    found.sort(key=lambda each: -each[1])
    shares = false_discoveries([each[1] for each in found])
    return [Doubt(*each, share) for each, share in zip(found, shares, strict=True) if each[1] > 0]


def false_discoveries(doubts: Sequence[float]) -> list[float]:
    """For each of all judged works, most doubtful first, the share of right attributions to be expected down to it."""
    if not len(doubts):
        return []
    expected = len(doubts) * share_of_right(np.array(doubts)) / np.arange(1, len(doubts) + 1)
    shares: list[float] = np.minimum(1, np.minimum.accumulate(expected[::-1])[::-1]).tolist()
    return shares


def share_of_right(doubts: Doubles) -> Doubles:
    """The share of right attributions that look as doubtful or more."""
    at, share = np.array(RIGHT).T
    slope = np.diff(np.log(share[-2:]))[0] / np.diff(at[-2:])[0]
    within = np.interp(doubts, at, np.log(share), left=0.0)
    found: Doubles = np.exp(np.where(doubts > at[-1], np.log(share[-1]) + slope * (doubts - at[-1]), within))
    return found


def _is_judged(works: Works, one: Object) -> bool:
    place = one.places[0]
    return works.codes[place] >= 0 and works.counts[works.codes[place]] > 1 and not works.is_qualified(place)
