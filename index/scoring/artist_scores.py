"""How near a query is to each artist: sums over the artist's paintings under an exponential kernel.

    score(artist) = 1 + log(sum over the artist's paintings v of exp(KERNEL * (q.v - 1))) / KERNEL

It is in units of cosine, and equal to the cosine if an artist has one painting; more paintings raise it, near ones
most. calibration.py turns scores into probabilities.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .calibration import GalleryScores
from .vectors import Array, Doubles

KERNEL = 24.0  # 20 and 28 gave the same on validation, within noise


def artist_scores(cosines: Doubles, codes: npt.NDArray[np.int64], artists: int) -> GalleryScores:
    """(artists,) scores for one query, and how many paintings of each artist were counted.

    cosines: (n,) to the query, -inf for a painting that must not count; codes: (n,) artists, -1 for nobody.
    """
    is_counted = (codes >= 0) & np.isfinite(cosines)
    codes = codes[is_counted]
    sums = np.bincount(codes, weights=np.exp(KERNEL * (cosines[is_counted] - 1)), minlength=artists)
    with np.errstate(divide="ignore"):
        return GalleryScores(1 + np.log(sums) / KERNEL, np.bincount(codes, minlength=artists).astype(np.float64))


def with_tail(scored: GalleryScores, others: Doubles, tail: float) -> GalleryScores:
    """Scores plus an estimate for paintings that were not compared one by one.

    others: (artists,) the number of those paintings; tail: the estimated contribution of each to its artist's sum.
    """
    with np.errstate(divide="ignore"):
        sums = np.exp(KERNEL * (scored.scores - 1)) + others * tail
        return GalleryScores(1 + np.log(sums) / KERNEL, scored.paintings + others)


def compensated(scored: GalleryScores, left_out: npt.NDArray[np.int64]) -> GalleryScores:
    """Scores and counts as if no painting had been left out. left_out: (artists,) number of those that were.

    A painting of the index is no evidence for itself. If only its artist were one painting short, the count would
    reveal the artist. So the sum is divided by the share of the artist's paintings that was counted.
    """
    is_counted = scored.paintings > 0
    counts = np.where(is_counted, scored.paintings + left_out, 0.0)
    share = np.where(is_counted, scored.paintings, 1) / np.where(is_counted, counts, 1)
    return GalleryScores(scored.scores - np.log(share) / KERNEL, counts)


def gallery_scores(
    gallery: Array, codes: npt.NDArray[np.int64], artists: int, queries: Array, own: npt.NDArray[np.int64] | None = None
) -> GalleryScores:
    """(q, artists) for queries (q, d) in a gallery (n, d) with artists (n,).

    own: (q,) a query's own place in the gallery, which is left out and compensated for; -1 if it has none.
    """
    scores, paintings = [], []
    for number, query in enumerate(queries):
        cosines = np.asarray(gallery @ query, np.float64)
        place = -1 if own is None else own[number]
        if place >= 0:
            cosines[place] = -np.inf
        scored = artist_scores(cosines, codes, artists)
        if place >= 0 and codes[place] >= 0:
            scored = compensated(scored, np.bincount(codes[place, None], minlength=artists))
        scores.append(scored.scores)
        paintings.append(scored.paintings)
    return GalleryScores(np.reshape(scores, (len(queries), artists)), np.reshape(paintings, (len(queries), artists)))


def without_own_artists(known: GalleryScores, artists: npt.NDArray[np.int64]) -> GalleryScores:
    """The scores of the same queries (q,) in a gallery without the queries' own artists."""
    scores, paintings = known.scores.copy(), known.paintings.copy()
    scores[np.arange(len(artists)), artists] = -np.inf
    paintings[np.arange(len(artists)), artists] = 0
    return GalleryScores(scores, paintings)
