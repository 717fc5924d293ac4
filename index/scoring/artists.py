"""Artists as numbers, by the keys of their names (catalog.artist_key)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .sums import Sums
from .vectors import NOBODY, Array, Codes, Integers, Rows

if TYPE_CHECKING:
    import pandas as pd


def artist_codes(keys: pd.Series[Any]) -> tuple[npt.NDArray[np.int64], list[str]]:
    """(n,) a number for each painting's artist, -1 if there is none, and the artists' keys in that order."""
    import pandas as pd

    codes, uniques = pd.factorize(keys.astype(object).where(keys.notna(), None), sort=True)
    return codes.astype(np.int64), [str(key) for key in uniques]


def artist_names(table: pd.DataFrame, codes: npt.NDArray[np.int64], keys: list[str]) -> list[str]:
    """Each artist's name as written for the first of their paintings."""
    first = table.assign(code=codes).drop_duplicates("code").set_index("code")["artist"]
    return [str(first[code]) for code in range(len(keys))]


def centroids_of(vectors: Rows, codes: Integers | Codes, keys: Sequence[str]) -> Array:
    """(artists, d) at unit length: the mean of each artist's vectors (n, d)."""
    return centroids_of_sums(Sums.of(vectors, codes), len(keys))


def centroids_of_sums(sums: Sums, artists: int) -> Array:
    """The same (artists, d) of sums of vectors by artists' numbers, whatever parts these were joined from."""
    centroids = np.zeros((artists, sums.sums.shape[1]), np.float32)
    is_known = sums.artists != NOBODY
    centroids[sums.artists[is_known]] = sums.means()[is_known]
    unit: Array = centroids / np.maximum(np.linalg.norm(centroids, axis=1, keepdims=True), 1e-12)
    return unit
