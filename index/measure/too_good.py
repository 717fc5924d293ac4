"""Scores that are too good to be true, said beside them: before they are believed, something is to be looked for.

Two kinds are found. A ranking that names the right artist though the artists were shuffled among the paintings (a
permutation test; Fisher, 1935) reads the answer from something else than the paintings. And nobody tells every pair or
names every artist: then there are copies of a picture under several names, or paintings the model was trained on.
"""

from __future__ import annotations

import math

import numpy as np

from ..scoring.artist_scores import gallery_scores
from ..scoring.calibration import ArtistCalibration
from ..scoring.vectors import Array, Integers

PERFECT = 0.995  # of AUC and artists named first; the best that was ever measured honestly is 0.95
FEWEST = 50  # paintings asked, or same-artist pairs, of which that can be said
SHUFFLES, SHUFFLED = 5, 100  # times the artists are shuffled, and paintings then asked
DEVIATIONS = 6.0  # standard ones above chance, as of independent paintings; near neighbours stand and fall together


def perfect_scores(auc: float, same_pairs: int, top_1: float, queries: int) -> list[str]:
    """A sentence for each score that nobody reaches; NaN for what was not measured."""
    found = []
    if same_pairs >= FEWEST and auc >= PERFECT:
        found.append(f"an AUC of {auc:.3f}")
    if queries >= FEWEST and top_1 >= PERFECT:
        found.append(f"the right artist first for {top_1:.1%}")
    return [
        f"{what} can hardly be: look for copies of a picture under several names, and for paintings that "
        f"the model was trained on"
        for what in found
    ]


def reads_the_answer(vectors: Array, artists: Integers, calibration: ArtistCalibration) -> list[str]:
    """A sentence where artists are found that vectors (n, d) cannot tell, each asked of the others.

    artists: (n,) codes, negative where unknown. Shuffled, the most to be had is to name the artist with most paintings.
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
        f"the right artist is named first for {right / asked_in_all:.0%} even where the artists are shuffled among "
        f"the paintings, which is {most:.0%} at most by chance: the calibration reads the answer from something "
        f"else than the paintings; calibrate again with artidx calibrate"
    ]
