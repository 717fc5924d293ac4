"""What lies around a painting in an index, and how far the surroundings of two paintings agree.

Two works of one artist are near to the same others, whoever painted those: that says more of a pair than its distance
alone, even in an index without any work of theirs. Some paintings of the index, the same ones for every pair, are
the witnesses: each counts by how near it is, and neither painting of a pair is a witness to itself. (Agreement is
the Bhattacharyya coefficient, 1943, of two soft neighbourhoods as in Goldberger et al., 2004.)

A witness counts exp(cosine / scatter), with the scatter of the index: what counts as near follows how far apart its
paintings are. Two paintings then agree as much in an index of one school as in one of all centuries, and one
calibration serves both.

A painting of the index stands among its nearest there, most of which are by its artist where the index holds more by
them: what is odd about the one painting then counts less. Witnesses stand among the nearest witnesses. A painting from
elsewhere stands where it is: its artist may have nothing in the index, and then its nearest are others' works.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .vectors import Array, Doubles, Rows, searched

LEAST_SCATTER = 0.12  # whatever the witnesses: with less, one alike takes nearly all, and float32 loses the others
WITNESSES = 2000  # at most; 1,000 and 9,450 gave the same AUC to 0.0003
FEWEST = 100  # witnesses: with 30 the verdict was worse than by distance alone, with 100 better
NEAREST = 5  # paintings among which one of the index stands; with 3 or 10 validation gave the same within noise
DRAWN_AT_ONCE = 4096  # paintings, whose nearest are 20 MB of vectors


@dataclass(frozen=True)
class Surroundings:
    """Of n paintings, as seen by m witnesses. roots: (n, m) float32, square roots of each witness' share of the counts.

    own: (n,) which witness is the painting itself, or -1; that one counts nothing.
    """

    roots: Array
    own: Rows

    @classmethod
    def of(cls, vectors: Array, witnesses: Array, scatter: float, own: Rows, out: Array | None = None) -> Surroundings:
        """vectors: (n, d) and witnesses: (m, d) of unit length, as they stand; scatter: of the witnesses.

        out: (n, m) for the roots.
        """
        roots = np.matmul(vectors, witnesses.T, out=out)
        roots /= 2 * scatter
        np.exp(roots, out=roots)
        is_own = np.flatnonzero(own >= 0)
        roots[is_own, own[is_own]] = 0
        roots /= np.maximum(np.sqrt(np.einsum("nm,nm->n", roots, roots)), 1e-12)[:, None]
        return cls(roots, own)

    def agreement(self, a: Rows | slice, b: Rows | slice) -> Array:
        """(len(a), len(b)) agreements in [0, 1] between paintings of these places."""
        roots_a, roots_b = self.roots[a], self.roots[b]
        found: Array = roots_a @ roots_b.T
        _leave_out(found, roots_a, self.own[b])
        _leave_out(found.T, roots_b, self.own[a])
        return np.minimum(found, 1, out=found)

    def agreement_of_pairs(self, a: Rows, b: Rows) -> Array:
        """(p,) agreements of the pairs (a[i], b[i])."""
        found: Array = np.einsum("pm,pm->p", self.roots[a], self.roots[b])
        for one, other in ((a, b), (b, a)):
            pairs = np.flatnonzero(self.own[other] >= 0)
            found[pairs] /= np.sqrt(_rest(self.roots[one[pairs], self.own[other[pairs]]]))
        return np.minimum(found, 1, out=found)


def _leave_out(found: Array, roots: Array, own: Rows) -> None:
    """Where a column's painting is a witness itself, share its part in the rows' counts among the others.

    found: (a, b) changed in place; roots: (a, m); own: (b,).
    """
    columns = np.flatnonzero(own >= 0)
    found[:, columns] /= np.sqrt(_rest(roots[:, own[columns]]))


def _rest(roots: Array) -> Array:
    """What is left of all counts without these."""
    left: Array = np.maximum(1 - roots**2, 1e-12)
    return left


def surroundings_among(vectors: Array, gallery: Array, hashes: npt.NDArray[np.object_], own: Rows
                       ) -> Surroundings | None:
    """Of vectors (n, d) in a gallery (g, d) with these hashes (g,); None where it has too few witnesses.

    own: (n,) the vectors' own places in the gallery, -1 for one that is not there.
    """
    witnesses = witness_places(hashes)
    if len(witnesses) < FEWEST:
        return None
    number = np.full(len(gallery) + 1, -1)  # the last stands for -1
    number[witnesses] = np.arange(len(witnesses))
    standing = among_each_other(gallery[witnesses])
    return Surroundings.of(among_nearest(vectors, gallery, own), standing, scatter_of(standing), number[own])


def among_each_other(vectors: Array) -> Array:
    """(n, d) each of vectors (n, d) drawn towards the NEAREST of the others."""
    return among_nearest(vectors, vectors, np.arange(len(vectors)))


def among_nearest(vectors: Array, gallery: Array, own: Rows) -> Array:
    """(n, d) vectors, those of the gallery (g, d) itself drawn towards the NEAREST others there, whoever painted them.

    own: (n,) the vectors' own places in the gallery, -1 for one that is not there and stays where it is.
    """
    found, inside = vectors.copy(), np.flatnonzero(own >= 0)
    for start in range(0, len(inside), DRAWN_AT_ONCE):
        asked = inside[start : start + DRAWN_AT_ONCE]
        _, near = searched(gallery, np.ascontiguousarray(vectors[asked]), min(NEAREST + 1, len(gallery)))
        is_itself = near == own[asked, None]
        is_itself[~is_itself.any(axis=1), -1] = True  # of more alike than there was room for: one too many
        others = near[~is_itself].reshape(len(asked), -1)
        found[asked] = drawn(vectors[asked], gallery[others])
    return found


def drawn(vectors: Array, near: Array) -> Array:
    """(n, d) of unit length: vectors (n, d), each with its nearest (n, k, d) added by the cube of their cosines.

    As queries are expanded by Radenovic et al. (2018).
    """
    weights = np.maximum(np.einsum("nd,nkd->nk", vectors, near), 0) ** 3
    moved = vectors + np.einsum("nk,nkd->nd", weights, near)
    unit: Array = moved / np.linalg.norm(moved, axis=1, keepdims=True)
    return unit


def scatter_of(witnesses: Array) -> float:
    """The root mean square cosine of two different witnesses (m, d), two or more of unit length.

    Rounded, so that the order in which its sums are made does not show, but for a sum at the very edge.
    """
    exact, count = witnesses.astype(np.float64), len(witnesses)
    squares = float(((exact.T @ exact) ** 2).sum()) - count  # of all ordered pairs, without those of one and itself
    return max(round(math.sqrt(max(squares, 0) / (count * (count - 1))), 6), LEAST_SCATTER)


def agreement(a: Doubles, b: Doubles, scatter: float) -> float:
    """Of two paintings' cosines (m,) to the same witnesses of this scatter, -inf for one that must not speak."""
    near_a, near_b = np.exp((a - 1) / scatter), np.exp((b - 1) / scatter)
    weight = near_a.sum() * near_b.sum()
    return float(min(np.sqrt(near_a * near_b).sum() / np.sqrt(weight), 1.0)) if weight > 0 else 0.0


def witness_places(hashes: npt.NDArray[np.object_]) -> Rows:
    """(m,) places of the witnesses among an index's paintings, whose vectors have these hashes (n,).

    Those with the smallest hashes: as good as drawn by lot, and few change when paintings are added or removed.
    """
    return smallest(hashes, WITNESSES)


def smallest(hashes: npt.NDArray[np.object_], most: int) -> Rows:
    """(m,) places of the `most` smallest of hashes (n,), in the order of the places; of all where there are no more."""
    if len(hashes) <= most:
        return np.arange(len(hashes))
    return np.sort(np.argsort(hashes.astype(str), kind="stable")[:most])
