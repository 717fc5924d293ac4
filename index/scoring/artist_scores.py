"""What a gallery says to a query, artist by artist: sums under a kernel that falls steeply with distance."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .calibration import Voices
from .vectors import Array, Doubles

KERNEL = 24.0  # a painting's voice is exp(KERNEL * cosine); with 20 or 28 validation gave the same within noise


def voices(cosines: Doubles, codes: npt.NDArray[np.int64], artists: int) -> Voices:
    """What each of the artists says to a query: (artists,) scores in units of cosine, and counts of paintings.

    cosines: (n,) to the query, -inf for a painting that must not count; codes: (n,) artists, -1 for nobody. The
    score is the log of the sum of the artist's paintings under an exponential kernel.
    """
    is_heard = (codes >= 0) & np.isfinite(cosines)
    codes = codes[is_heard]
    sums = np.bincount(codes, weights=np.exp(KERNEL * (cosines[is_heard] - 1)), minlength=artists)
    with np.errstate(divide="ignore"):
        return Voices(1 + np.log(sums) / KERNEL, np.bincount(codes, minlength=artists).astype(np.float64))


def joined_by(heard: Voices, unheard: Doubles, whisper: float) -> Voices:
    """Voices joined by paintings that nobody listened to one by one: (artists,) how many, each as loud as the other."""
    with np.errstate(divide="ignore"):
        sums = np.exp(KERNEL * (heard.scores - 1)) + unheard * whisper
        return Voices(1 + np.log(sums) / KERNEL, heard.paintings + unheard)


def voices_of(gallery: Array, codes: npt.NDArray[np.int64], artists: int, queries: Array,
              own: npt.NDArray[np.int64] | None = None) -> Voices:
    """What a gallery (n, d) with artists (n,) says to queries (q, d); own: (q,) the place each has in it itself."""
    scores, paintings = [], []
    for number, query in enumerate(queries):
        cosines = np.asarray(gallery @ query, np.float64)
        if own is not None:
            cosines[own[number]] = -np.inf
        heard = voices(cosines, codes, artists)
        scores.append(heard.scores)
        paintings.append(heard.paintings)
    return Voices(np.reshape(scores, (len(queries), artists)), np.reshape(paintings, (len(queries), artists)))


def silenced(known: Voices, artists: npt.NDArray[np.int64]) -> Voices:
    """What is said to the same queries (q,) without their own artists."""
    scores, paintings = known.scores.copy(), known.paintings.copy()
    scores[np.arange(len(artists)), artists] = -np.inf
    paintings[np.arange(len(artists)), artists] = 0
    return Voices(scores, paintings)
