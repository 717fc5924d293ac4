"""Warnings about scores that are too good to be true, and what to check before believing them.

Two kinds are found. A ranking that names the right artist even if artists are shuffled among the paintings (a
permutation test; Fisher, 1935) gets the answer from something other than the paintings. And no model judges every pair
and names every artist correctly: then there are copies of a picture under several names, or paintings that the model
was trained on.
"""

from __future__ import annotations

import math

import numpy as np

from ..scoring.artist_scores import ArtistCalibration, gallery_scores
from ..scoring.vectors import Array, Integers

PERFECT = 0.995  # of AUC and artists named first; the best valid measurement so far is 0.95
FEWEST = 50  # queries, or same-artist pairs, needed for such a statement
SHUFFLES, SHUFFLED = 5, 100  # permutations, and queries in each
DEVIATIONS = 6.0  # standard errors above chance, for independent paintings; near neighbours are correlated


def perfect_scores(auc: float, same_pairs: int, top_1: float, queries: int) -> list[str]:
    """A sentence for each implausibly good score; NaN for what was not measured."""
    found = []
    if same_pairs >= FEWEST and auc >= PERFECT:
        found.append(f"an AUC of {auc:.3f}")
    if queries >= FEWEST and top_1 >= PERFECT:
        found.append(f"the right artist first for {top_1:.1%}")
    return [
        f"{what} is hardly possible: look for copies of a picture under several names, and for paintings that "
        f"the model was trained on"
        for what in found
    ]


def reads_the_answer(vectors: Array, artists: Integers, calibration: ArtistCalibration) -> list[str]:
    """A sentence if shuffled artists are recognised from vectors (n, d), each searched among the others.

    artists: (n,) codes, negative if unknown. After shuffling, the best strategy is to name the artist with most
    paintings.
    """
    chance = np.random.default_rng(0)
    labelled = np.flatnonzero(artists >= 0)
    counts = np.bincount(artists[labelled]) if len(labelled) else np.zeros(1, np.int64)
    askable = int(counts[counts > 1].sum())
    if askable < FEWEST:
        return []
    right = asked_in_all = 0
    for _ in range(SHUFFLES):
        shuffled = artists.copy()
        shuffled[labelled] = chance.permutation(artists[labelled])
        may_be_asked = labelled[counts[shuffled[labelled]] > 1]
        asked = chance.choice(may_be_asked, min(SHUFFLED, askable), replace=False)
        scored = gallery_scores(vectors, shuffled, len(counts), vectors[asked], own=asked)
        right += int((calibration.evidence(scored).argmax(axis=1) == shuffled[asked]).sum())
        asked_in_all += len(asked)
    most = counts.max() / askable
    if right <= asked_in_all * most + DEVIATIONS * math.sqrt(asked_in_all * most * (1 - most)):
        return []
    return [
        f"the right artist is named first for {right / asked_in_all:.0%} even if artists are shuffled among "
        f"the paintings, where chance gives at most {most:.0%}: the calibration gets the answer from something "
        f"other than the paintings; calibrate again with artidx calibrate"
    ]
