"""Batches for metric learning: pairs, triplets, or P artists with K paintings each.

All are sampled anew each epoch from a seeded generator; artists are sampled evenly, whatever the number of their
paintings. A batch holds positions of paintings, not pictures, and, unless a miner chooses (losses.py), which of them
are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ....errors import BadCatalog

Places = npt.NDArray[np.int64]


class Batch(NamedTuple):
    """places: (b,) positions of the paintings to embed. compared: positions in the batch, or None if a miner chooses.

    compared is (anchor, positive, negative) for triplets, (anchor, positive, anchor, negative) for pairs, as
    pytorch-metric-learning expects.
    """

    places: Places
    compared: tuple[Places, ...] | None = None


class Works:
    """Which paintings are by which artist; only artists with two or more are sampled. artists: (n,) codes."""

    def __init__(self, artists: Places) -> None:
        codes, counts = np.unique(artists, return_counts=True)
        self.of = {int(code): np.flatnonzero(artists == code) for code in codes[(counts > 1) & (codes >= 0)]}
        self.codes = np.array(list(self.of), np.int64)
        if len(self.codes) < 2:
            raise BadCatalog("training needs two artists or more with two paintings each")

    def two(self, code: int, chance: np.random.Generator) -> list[int]:
        """Two different paintings by one artist."""
        return [int(place) for place in chance.choice(self.of[code], 2, replace=False)]

    def one(self, code: int, chance: np.random.Generator) -> int:
        """A painting by the artist."""
        return int(chance.choice(self.of[code]))


def pairs(works: Works, size: int, chance: np.random.Generator) -> Batch:
    """size / 4 pairs by one artist and as many by two: (size,) places."""
    places = []
    for _ in range(size // 4):
        mine, theirs, other = chance.choice(works.codes, 3, replace=len(works.codes) < 3).tolist()
        if theirs == other:
            other = int(chance.choice(works.codes[works.codes != theirs]))
        places += [*works.two(mine, chance), works.one(theirs, chance), works.one(other, chance)]
    first = np.arange(0, len(places), 4)
    return Batch(np.array(places), (first, first + 1, first + 2, first + 3))


def triplets(works: Works, size: int, chance: np.random.Generator) -> Batch:
    """size / 3 triplets of an anchor, another painting by its artist, and one by somebody else."""
    places = []
    for _ in range(size // 3):
        mine, other = chance.choice(works.codes, 2, replace=False).tolist()
        places += [*works.two(mine, chance), works.one(other, chance)]
    first = np.arange(0, len(places), 3)
    return Batch(np.array(places), (first, first + 1, first + 2))


def artists(works: Works, size: int, chance: np.random.Generator, *, per_artist: int) -> Batch:
    """P x K: P = size / K artists with K = per_artist paintings each, or all of an artist who has fewer."""
    chosen = chance.choice(works.codes, min(max(size // per_artist, 2), len(works.codes)), replace=False)
    return Batch(
        np.concatenate(
            [
                chance.choice(works.of[code], min(per_artist, len(works.of[code])), replace=False)
                for code in chosen.tolist()
            ]
        )
    )


def epoch(draw: Callable[[np.random.Generator], Batch], count: int, *seed: int) -> Iterator[Batch]:
    """`count` batches, the same ones for the same seed."""
    chance = np.random.default_rng(seed)
    for _ in range(count):
        yield draw(chance)
