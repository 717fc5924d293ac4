"""Groups of artists for fitting and validation, and samples of a gallery's paintings; the same in every run."""

from __future__ import annotations

import numpy as np

from ..scoring.vectors import Integers

MOST_PAINTINGS = 2000  # paintings of an index whose pairs are used: 2 million pairs
MOST_OF_ONE = 50  # paintings by one artist among these


def halves(artists: Integers) -> tuple[Integers, Integers]:
    """The artists in two groups with about equally many entries."""
    first, second = folds(artists, 2)
    return first, second


def folds(artists: Integers, most: int) -> list[Integers]:
    """Two or more artists in groups with about equally many entries."""
    codes, counts = np.unique(artists, return_counts=True)
    ranked = codes[np.lexsort((codes, -counts))]
    folds = max(min(most, len(codes)), 2)
    turns = np.arange(len(ranked)) % (2 * folds)  # 1 2 3 3 2 1 1 2 3 3 2 1: no group is always first
    return [ranked[(turns == fold) | (turns == 2 * folds - 1 - fold)] for fold in range(folds)]


def some_artists(codes: Integers) -> Integers:
    """Of artists (n,), -1 for nobody, some with MOST_PAINTINGS together, at random, the same ones in every run; all if
    they have no more. No more than MOST_OF_ONE count for one."""
    artists, counts = np.unique(codes[codes >= 0], return_counts=True)
    order = np.random.default_rng(0).permutation(len(artists))
    together = np.cumsum(np.minimum(counts[order], MOST_OF_ONE))
    return artists[order[: np.searchsorted(together, MOST_PAINTINGS) + 1]]


def sampled(places: Integers, codes: Integers) -> Integers:
    """All places or, if there are too many, those of some artists, sampled at random, the same ones in every run."""
    chance, kept, count = np.random.default_rng(0), [], 0
    for artist in chance.permutation(np.unique(codes[places])):
        own = places[codes[places] == artist]
        kept.append(chance.choice(own, min(len(own), MOST_OF_ONE), replace=False))
        count += len(kept[-1])
        if count >= MOST_PAINTINGS:
            break
    return np.sort(np.concatenate(kept)) if kept else places


def thinned(places: Integers, codes: Integers, mean: float) -> Integers:
    """Few paintings of most artists, as museums have: a geometric number for each, with a mean in proportion to the
    artist's number of paintings, and at least one; the same ones in every run."""
    chance = np.random.default_rng(0)
    artists, counts = np.unique(codes[places], return_counts=True)
    kept = []
    for artist, count in zip(artists, counts, strict=True):
        expected = max(mean * count / counts.mean(), 1.0)
        own = places[codes[places] == artist]
        kept.append(chance.choice(own, min(count, int(chance.geometric(1 / expected))), replace=False))
    return np.sort(np.concatenate(kept))
