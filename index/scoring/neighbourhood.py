"""Neighbourhood similarity: how far two paintings are near to the same others of an index.

Two works of one artist are near to the same others, whoever painted those: that says more about a pair than its
distance alone, even in an index without works by that artist. Soft neighbourhoods (Goldberger et al., 2004) are
compared over landmarks: some paintings of the index, the same ones for every pair. With unit vectors x and y of two
paintings, w of a landmark, and the index's kernel bandwidth h:

    p(w) = exp(x.w / h) / sum over landmarks of exp(x.w / h),  q(w) likewise of y
    similarity = sum over landmarks of sqrt(p(w) q(w))         (Bhattacharyya, 1943), 0 to 1

Neither painting of a pair is a landmark of that pair, nor is a copy of one. With three landmarks, shares of 0.7, 0.2,
0.1 for x and of 0.6, 0.3, 0.1 for y, the similarity is sqrt(.42) + sqrt(.06) + sqrt(.01) = 0.993.

The bandwidth depends on how far apart the index's paintings are, so that similarities have the same scale in an index
of one school as in one of all centuries, and one calibration serves both.

A painting of the index is expanded by its nearest there (query expansion): most of those are by its artist, if the
index holds more by them, and what is atypical of the one painting then counts less. So are landmarks, among landmarks
(database augmentation). A painting from elsewhere is not expanded: its artist may have nothing in the index, and then
its nearest are others' works.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from .vectors import Array, Doubles, Integers, blocks, nearest_rows, vector_hash

LEAST_BANDWIDTH = 0.12  # with a smaller one, a single landmark gets nearly everything, and float32 loses the others
LANDMARKS = 2000  # maximal number; 1,000 and 9,450 gave the same AUC to 0.0003
FEWEST = 100  # landmarks: with 30 the verdict was worse than with distance alone, with 100 better
NEAREST = 5  # paintings by which one of the index is expanded; 3 and 10 gave the same on validation, within noise
EXPANDED_AT_ONCE = 4096  # paintings whose nearest are found together
GATHERED = 256  # paintings whose nearest are copied together: a megabyte of vectors


@dataclass(frozen=True)
class Landmarks:
    """The paintings over which neighbourhoods are compared: their vectors (m, d), all different.

    by_place and by_hash: the landmark's number, for the painting at a place, and for any painting whose vector has this
    hash.
    """

    vectors: Array
    by_place: dict[int, int]
    by_hash: dict[str, int]

    @classmethod
    def of(cls, places: Sequence[int], vectors: Array) -> Landmarks:
        """Of paintings at these places (p,) with vectors (p, d); of copies the first."""
        by_hash: dict[str, int] = {}
        hashes = [vector_hash(vector) for vector in vectors]
        numbers = [by_hash.setdefault(found, len(by_hash)) for found in hashes]
        first = np.unique(np.array(numbers, np.int64), return_index=True)[1]
        return cls(vectors[first], dict(zip(places, numbers, strict=True)), by_hash)

    def of_painting(self, own: Collection[int], vector: Array) -> list[int]:
        """The numbers of the landmarks that are a painting at these places with this vector (d,), or a copy of it."""
        found = {self.by_place[place] for place in own if place in self.by_place}
        if (number := self.by_hash.get(vector_hash(vector))) is not None:
            found.add(number)
        return sorted(found)

    def __len__(self) -> int:
        return len(self.vectors)

    @cached_property
    def augmented(self) -> Array:
        """(m, d) each expanded by the nearest of the others."""
        return augmented(self.vectors)

    @cached_property
    def bandwidth(self) -> float:
        """Of two or more, expanded."""
        return bandwidth_of(self.augmented)


@dataclass(frozen=True)
class Neighbourhoods:
    """The neighbourhoods of n paintings over m landmarks, in a form in which a matrix product gives their similarities.

    roots: (n, m) float32, the square roots of each landmark's share, rows at unit length; own: (n,) the landmark that
    is the painting itself, whose share is 0, or -1. If the other painting b of a pair is a landmark, too, its share r^2
    is removed from the sum of a's shares, and the rest is divided by sqrt(1 - r^2), as if that landmark did not exist.
    """

    roots: Array
    own: Integers

    @classmethod
    def of(
        cls, vectors: Array, landmarks: Array, bandwidth: float, own: Integers, out: Array | None = None
    ) -> Neighbourhoods:
        """vectors: (n, d) and landmarks: (m, d) at unit length, expanded; bandwidth: of the landmarks.

        out: (n, m) for the roots.
        """
        roots = np.matmul(vectors, landmarks.T, out=out)
        roots /= 2 * bandwidth
        np.exp(roots, out=roots)
        is_own = np.flatnonzero(own >= 0)
        roots[is_own, own[is_own]] = 0
        roots /= np.maximum(np.sqrt(np.einsum("nm,nm->n", roots, roots)), 1e-12)[:, None]
        return cls(roots, own)

    def similarity(self, a: Integers | slice, b: Integers | slice) -> Array:
        """(len(a), len(b)) similarities in [0, 1] of all paintings at a with all at b."""
        roots_a, roots_b = self.roots[a], self.roots[b]
        found: Array = roots_a @ roots_b.T
        _leave_out(found, roots_a, self.own[b])
        _leave_out(found.T, roots_b, self.own[a])
        return np.minimum(found, 1, out=found)

    def similarity_of_pairs(self, a: Integers, b: Integers) -> Array:
        """(p,) similarities of the pairs (a[i], b[i])."""
        found: Array = np.einsum("pm,pm->p", self.roots[a], self.roots[b])
        for one, other in ((a, b), (b, a)):
            pairs = np.flatnonzero(self.own[other] >= 0)
            found[pairs] /= np.sqrt(_rest(self.roots[one[pairs], self.own[other[pairs]]]))
        return np.minimum(found, 1, out=found)


def _leave_out(found: Array, roots: Array, own: Integers) -> None:
    """Remove a column's painting from the rows' neighbourhoods if it is a landmark (see the class).

    found: (a, b) sums of products of roots, changed in place; roots: (a, m); own: (b,).
    """
    columns = np.flatnonzero(own >= 0)
    found[:, columns] /= np.sqrt(_rest(roots[:, own[columns]]))


def _rest(roots: Array) -> Array:
    """The remaining sum of shares without those of these roots."""
    left: Array = np.maximum(1 - roots**2, 1e-12)
    return left


def neighbourhoods_among(
    vectors: Array, gallery: Array, hashes: npt.NDArray[np.object_], own: Integers
) -> Neighbourhoods | None:
    """Neighbourhoods of vectors (n, d) in a gallery (g, d) with these hashes (g,); None if it has too few landmarks.

    own: (n,) the vectors' own places in the gallery, -1 if not there.
    """
    landmarks = landmark_places(hashes)
    if len(landmarks) < FEWEST:
        return None
    number = np.append(landmark_numbers(hashes, landmarks), -1)  # the last element is for -1
    seen_from = augmented(gallery[landmarks])
    return Neighbourhoods.of(
        expanded(vectors, gallery, own, copies_of(hashes)), seen_from, bandwidth_of(seen_from), number[own]
    )


def augmented(vectors: Array) -> Array:
    """(n, d) database augmentation: each of vectors (n, d) expanded by the NEAREST of the others."""
    places = np.arange(len(vectors))
    return expanded(vectors, vectors, places, places)


def expanded(vectors: Array, gallery: Array, own: Integers, copies: Integers) -> Array:
    """(n, d) vectors; those of the gallery (g, d) itself are expanded by the NEAREST others there, whoever painted
    them.

    own: (n,) the vectors' own places in the gallery, -1 for one that is not there and is not changed; copies: (g,)
    numbers, the same for copies of one painting, which do not count as others.
    """
    found, inside = vectors.copy(), np.flatnonzero(own >= 0)
    often = np.bincount(copies)[copies[own[inside]]]  # number of copies of each
    for is_asked in (often == 1, often > 1):
        asked, room = inside[is_asked], min(NEAREST + int(often[is_asked].max(initial=1)), len(gallery))
        size = max(1, EXPANDED_AT_ONCE * (NEAREST + 1) // max(room, 1))
        for start in range(0, len(asked), size):
            some = asked[start : start + size]
            near = nearest_rows(gallery, np.ascontiguousarray(vectors[some]), room)
            is_copy = copies[near] == copies[own[some], None]
            first = np.argsort(is_copy, axis=1, kind="stable")[:, :NEAREST]
            near, is_copy = (np.take_along_axis(each, first, axis=1) for each in (near, is_copy))
            for rows in blocks(len(some), GATHERED):
                others = gallery[near[rows]]
                others[is_copy[rows]] = 0  # if there are fewer others: adds nothing
                found[some[rows]] = query_expansion(vectors[some[rows]], others)
    return found


def query_expansion(vectors: Array, near: Array) -> Array:
    """(n, d) at unit length: v + sum of max(v.n, 0)^3 n, for vectors (n, d) and the nearest n of each (n, k, d).

    Radenović et al. (2018).
    """
    weights = np.maximum(np.einsum("nd,nkd->nk", vectors, near), 0) ** 3
    moved = vectors + np.einsum("nk,nkd->nd", weights, near)
    unit: Array = moved / np.linalg.norm(moved, axis=1, keepdims=True)
    return unit


def bandwidth_of(landmarks: Array) -> float:
    """The root mean square cosine of two different landmarks (m, d), two or more at unit length.

    Rounded, so that the order of summation almost never matters.
    """
    exact, count = landmarks.astype(np.float64), len(landmarks)
    squares = float(((exact.T @ exact) ** 2).sum()) - count  # over all ordered pairs of two different landmarks
    return max(round(math.sqrt(max(squares, 0) / (count * (count - 1))), 6), LEAST_BANDWIDTH)


def nearness(cosines: Doubles, bandwidth: float) -> Doubles:
    """(m,) a painting's kernels, by its cosines (m,) to landmarks of this bandwidth."""
    found: Doubles = np.exp((cosines - 1) / bandwidth)
    return found


def similarity(near_a: Doubles, near_b: Doubles) -> float:
    """The similarity by two paintings' nearness (m,) to the same landmarks, 0 for one that must not count."""
    weight = near_a.sum() * near_b.sum()
    return float(min(np.sqrt(near_a * near_b).sum() / np.sqrt(weight), 1.0)) if weight > 0 else 0.0


def landmark_places(hashes: npt.NDArray[np.object_]) -> Integers:
    """(m,) places of the landmarks among an index's paintings, by the hashes (n,) of their vectors.

    Those with the smallest hashes: in effect random, and few change if paintings are added or removed. Of copies, which
    have one hash, the first.
    """
    places = smallest(hashes, LANDMARKS)
    return first_of_copies(places, hashes[places].tolist())


def first_of_copies(places: Integers, hashes: Sequence[str]) -> Integers:
    """Places (m,), in order, without those of copies; hashes: of the paintings' vectors."""
    return places[np.sort(np.unique(np.array(hashes, str), return_index=True)[1])]


def landmark_numbers(hashes: npt.NDArray[np.object_], landmarks: Integers) -> Integers:
    """(n,) the landmark (of m) that each painting is, or of which it is a copy; -1 for none."""
    import pandas as pd

    numbers: Integers = pd.Index(hashes[landmarks]).get_indexer(pd.Index(hashes)).astype(np.int64)
    return numbers


def copies_of(hashes: npt.NDArray[np.object_]) -> Integers:
    """(n,) numbers, the same for copies: paintings with equal vectors, such as those of one file."""
    import pandas as pd

    return pd.factorize(hashes)[0].astype(np.int64)


def smallest(hashes: npt.NDArray[np.object_], most: int) -> Integers:
    """(m,) places of the `most` smallest of hashes (n,), in the order of the places; all if there are no more."""
    if len(hashes) <= most:
        return np.arange(len(hashes))
    return np.sort(np.argsort(hashes.astype(str), kind="stable")[:most])
