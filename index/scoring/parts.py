"""What the parts of an index say about the whole: any tree joins them, and the bits are those of the whole.

Sums by artist give the centre and the centroids (sums.py). The smallest hashes give the landmarks, the sample that is
checked and that of a map. The nearest of each part give the nearest of all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from .sums import Sums
from .vectors import Array, Doubles, Integers, Vectors


class Part(Protocol):
    """Something that is known of a part, and can be joined with that of another."""

    def __add__(self, other: Any, /) -> Any: ...


P = TypeVar("P", bound=Part)


def joined(parts: Iterable[P]) -> P:
    """One part or more joined, as they come. Only as many are kept as their number has binary digits."""
    waiting: list[tuple[int, P]] = []
    for part in parts:
        size = 1
        while waiting and waiting[-1][0] == size:
            part, size = waiting.pop()[1] + part, 2 * size
        waiting.append((size, part))
    return reduce(add, (part for _, part in waiting))


@dataclass(frozen=True)
class Smallest:
    """The `most` paintings with the smallest hashes (m,), in their order; numbers: (m,) of the paintings."""

    hashes: npt.NDArray[np.str_]
    numbers: Integers
    most: int

    @classmethod
    def of(cls, hashes: npt.NDArray[np.str_], numbers: Integers, most: int) -> Smallest:
        """Of paintings with these hashes (n,) and numbers (n,)."""
        order = np.lexsort((numbers, hashes))[:most]
        return cls(hashes[order], numbers[order], most)

    def __add__(self, other: Smallest) -> Smallest:
        hashes = np.concatenate([self.hashes, other.hashes])
        return Smallest.of(hashes, np.concatenate([self.numbers, other.numbers]), self.most)


@dataclass(frozen=True)
class Summary:
    """Sums of vectors by artist, and the smallest of their hashes."""

    sums: Sums
    smallest: Smallest

    def __add__(self, other: Summary) -> Summary:
        return Summary(self.sums + other.sums, self.smallest + other.smallest)


@dataclass(frozen=True)
class Nearest:
    """The paintings nearest to some queries: their numbers (q, k) and distances (q, k), nearest first."""

    numbers: Integers
    distances: Doubles
    most: int

    @classmethod
    def of(cls, vectors: Array, numbers: Integers, queries: Array, most: int) -> Nearest:
        """Among vectors (n, d) of paintings with these numbers (n,), which ascend."""
        places, distances = Vectors.of(vectors).nearest(queries, min(most, len(vectors)))
        return cls(numbers[places], distances, most)

    def __add__(self, other: Nearest) -> Nearest:
        numbers = np.concatenate([self.numbers, other.numbers], axis=1)
        distances = np.concatenate([self.distances, other.distances], axis=1)
        order = np.lexsort((numbers, distances), axis=1)[:, : self.most]
        return Nearest(np.take_along_axis(numbers, order, 1), np.take_along_axis(distances, order, 1), self.most)
