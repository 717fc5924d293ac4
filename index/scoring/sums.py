"""Sums of vectors by artist whose bits depend neither on how paintings are divided nor on the order of the parts.

Floating-point sums do: (a + b) + c is not a + (b + c). So every number is rounded once, to a multiple of QUANTUM, and
whole numbers are added. A part of an index gives its sums, any tree joins them, and the bits are those of the whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .vectors import Doubles, Integers, Rows, blocks

# Half of it, the most by which a number is changed, is 1/64 of the last bit of a float32 of 1/16, a usual number of a
# vector of 256. Two billion paintings fill 63 bits.
QUANTUM = 2.0**-32
AT_ONCE = 4096  # vectors as whole numbers: 16 MB of 512 numbers each

LISTED = 1 << 20  # artists' numbers that are sorted at once


@dataclass(frozen=True)
class Sums:
    """Of vectors (n, d) by their artists, in QUANTUM.

    artists: (a,) numbers or keys, which grow; sums: (a, d); counts: (a,) how many vectors.
    """

    artists: npt.NDArray[Any]
    sums: Integers
    counts: Integers

    @classmethod
    def of(cls, vectors: Rows, artists: npt.NDArray[Any], zeros: Callable[..., Integers] = np.zeros) -> Sums:
        """Of vectors (n, d), no number of them beyond 1, by these artists (n,). zeros: mapped.zeros for sums in a
        file."""
        known = artists[:0]
        for some in blocks(len(artists), LISTED):
            known = np.union1d(known, artists[some])
        sums, counts = zeros((len(known), vectors.shape[1]), np.int64), np.zeros(len(known), np.int64)
        for some in blocks(len(vectors), AT_ONCE):
            codes = np.searchsorted(known, artists[some])
            order = np.argsort(codes, kind="stable")
            there, first, times = np.unique(codes[order], return_index=True, return_counts=True)
            sums[there] += np.add.reduceat(whole(vectors[some])[order], first, axis=0)
            counts[there] += times
        return cls(known, sums, counts)

    def __add__(self, other: Sums) -> Sums:
        known, codes = np.unique(np.concatenate([self.artists, other.artists]), return_inverse=True)
        ours, theirs = codes[: len(self.artists)], codes[len(self.artists) :]
        sums, counts = np.zeros((len(known), self.sums.shape[1]), np.int64), np.zeros(len(known), np.int64)
        for each, at in ((self, ours), (other, theirs)):
            sums[at] += each.sums
            counts[at] += each.counts
        return Sums(known, sums, counts)

    def means(self, some: slice = slice(None)) -> Doubles:
        """(a, d) of each artist, or of some."""
        means: Doubles = self.sums[some] * QUANTUM / self.counts[some, None]
        return means


def whole(numbers: npt.NDArray[np.floating[Any]]) -> Integers:
    """Numbers as multiples of QUANTUM."""
    return np.rint(numbers.astype(np.float64) / QUANTUM).astype(np.int64)
