"""What is known of a generation's paintings, whatever a filter allows: made when it is first asked for, and once.

A filter's paintings and all of them share one of these (folder_store.py).
"""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from ...embedder.catalogs.catalog import is_text
from ..scoring.artists import artist_codes, artist_names, centroids_of
from ..scoring.neighbourhood import landmark_places
from ..scoring.vectors import Array, Integers
from .generations import Generation
from .lookup import Lookup
from .vector_store import FURTHER, Landmarks, Painting
from .words import searched_text

FEW = 100  # values looked for along a whole column, before it is worth a Lookup
REMEMBERED = 20_000  # paintings whose cells have been read: some megabytes


class Known:
    """The paintings of a generation by place, and their artists by number."""

    def __init__(self, generation: Generation) -> None:
        self.table, self.vectors = generation.table, generation.vectors
        self._read: dict[int, Painting] = {}
        self._asked: Counter[str] = Counter()
        self._lookups: dict[str, Lookup] = {}

    def places(self, column: str, value: str) -> list[int]:
        """Where a column of text has this value."""
        if column not in self.table or not is_text(value):
            return []
        self._asked[column] += 1
        if self._asked[column] > FEW:
            if column not in self._lookups:
                self._lookups[column] = Lookup(self.table[column])
            return self._lookups[column].places(value)
        return [int(place) for place in np.flatnonzero(self.table[column] == value)]

    def painting(self, place: int) -> Painting:
        """The painting at a place."""
        known = self._read.get(place)
        if known is None:
            cells = self._cells
            year = cells["year"][place]
            known = Painting(
                cells["id"][place],
                cells["path"][place],
                _text(cells["artist"][place]),
                _text(cells["title"][place]),
                None if pd.isna(year) else int(year),
                *(_text(cells[name][place]) if name in cells else None for name in FURTHER),
            )
            if len(self._read) >= REMEMBERED:
                self._read.clear()
            self._read[place] = known
        return known

    def content(self, place: int) -> str:
        """The sha256 of the image at a place, empty where it is not known."""
        return str(self._cells["sha256"][place])

    @property
    def codes(self) -> Integers:
        """(n,) the artists' numbers, -1 for nobody."""
        return self._coded[0]

    @property
    def keys(self) -> list[str]:
        """The artists' keys, by number."""
        return self._coded[1]

    @cached_property
    def names(self) -> list[str]:
        """The artists' names as first given, by number."""
        return artist_names(self.table, *self._coded)

    @cached_property
    def landmarks(self) -> Landmarks:
        """By which neighbourhoods are compared."""
        places = landmark_places(self.table["vector_sha256"].to_numpy(object))
        return Landmarks.of(places.tolist(), self.vectors.at(places))

    @cached_property
    def centroids(self) -> Array:
        """(artists, d) of unit length."""
        return centroids_of(self.vectors.matrix, *self._coded)

    @cached_property
    def text(self) -> Any:
        """(n,) what words are looked for in (words.py)."""
        return searched_text(self.table)

    @cached_property
    def _coded(self) -> tuple[Integers, list[str]]:
        return artist_codes(self.table["artist_key"])

    @cached_property
    def _cells(self) -> dict[str, Any]:
        names = ("id", "path", "artist", "title", "year", "sha256", *FURTHER)
        return {name: self.table[name].array for name in names if name in self.table}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
