"""Facts about all paintings of a generation, whatever the filter: computed once, when first needed.

Filtered stores share one of these with the store of all paintings (folder_store.py).
"""

from __future__ import annotations

from functools import cached_property

from ...plain_text import is_text
from ..scoring.artists import centroids_of
from ..scoring.neighbourhood import LANDMARKS, first_of_copies
from ..scoring.vectors import Array, Integers
from .generations import Generation
from .vector_store import FURTHER, Landmarks, Painting

REMEMBERED = 20_000  # paintings in the cache: some megabytes


class Known:
    """The paintings of a generation by place, and their artists by number."""

    def __init__(self, generation: Generation) -> None:
        self.paintings, self.vectors = generation.paintings, generation.vectors
        self._read: dict[int, Painting] = {}

    def places(self, column: str, value: str) -> list[int]:
        """The places at which an ordered column of text is this value."""
        return self.paintings.places(column, value) if is_text(value) else []

    def painting(self, place: int) -> Painting:
        """The painting at a place."""
        known = self._read.get(place)
        if known is None:
            cell = self.paintings.cell
            year = cell("year", place)
            known = Painting(
                cell("id", place),
                cell("path", place),
                _text(cell("artist", place)),
                _text(cell("title", place)),
                None if year is None else int(year),
                *(_text(cell(name, place)) for name in FURTHER),
            )
            if len(self._read) >= REMEMBERED:
                self._read.clear()
            self._read[place] = known
        return known

    def content(self, place: int) -> str:
        """The sha256 of the image at a place, empty if unknown."""
        return str(self.paintings.cell("sha256", place))

    @property
    def codes(self) -> Integers:
        """(n,) the artists' numbers, -1 for nobody."""
        return self.paintings.codes

    @property
    def keys(self) -> list[str]:
        """The artists' keys, by number."""
        return self.paintings.artist_keys

    @cached_property
    def names(self) -> list[str]:
        """The artists' names as first given, by number."""
        return self.paintings.artist_names

    @cached_property
    def landmarks(self) -> Landmarks:
        """The landmarks, by which neighbourhoods are compared."""
        places = self.paintings.smallest(LANDMARKS)
        places = first_of_copies(places, self.paintings.cells("vector_sha256", places.tolist()))
        return Landmarks.of(places.tolist(), self.vectors.at(places))

    @cached_property
    def centroids(self) -> Array:
        """(artists, d) at unit length."""
        return centroids_of(self.vectors.rows, self.codes, self.keys)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
