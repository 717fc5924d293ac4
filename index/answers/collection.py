"""Browse an index: its paintings by words, its artists, and which artists are near to each other.

There are no queries by picture and no probabilities here: those are in search.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ...embedder.catalogs.attribution import artist_key
from ...errors import UnknownArtist, UnknownPainting
from ..storage.vector_store import Painting, VectorStore
from ..storage.words import folded

if TYPE_CHECKING:
    import pandas as pd

NEAR = 8  # artists shown beside one
FEWEST_NEAR = 2  # paintings that an artist must have to be shown: the position of a single one means little


@dataclass(frozen=True)
class Listed:
    """Some of the matching paintings, and how many match in all."""

    paintings: tuple[Painting, ...]
    total: int


@dataclass(frozen=True)
class Artist:
    """An artist of the index. id: the key of the name (catalog.artist_key), the same for all spellings."""

    id: str
    artist: str
    paintings: int


@dataclass(frozen=True)
class NearArtist:
    """Another artist, and how far apart the centroids of their works are (1 - cosine, 0 to 2)."""

    artist: Artist
    distance: float


class Collection:
    """A generation's paintings and artists, for browsing."""

    def __init__(self, store: VectorStore) -> None:
        self._store = store

    def search(self, words: str = "", artist: str | None = None, *, start: int = 0, count: int = 50) -> Listed:
        """Paintings whose artist, title and id contain all the words, in the order of the index.

        Case and accents do not matter. artist: only theirs, in any spelling. Raises UnknownArtist if no painting is by
        them.
        """
        code = None if artist is None else self._code(artist)
        places, total = self._store.search(_words(words), code, start, count)
        return Listed(tuple(self._store.paintings(places)), total)

    def rows(self, words: str, most: int) -> pd.DataFrame:
        """The table's rows of the paintings that `search` finds, `most` of them at most."""
        return self._store.rows(self._store.search(_words(words), None, 0, most)[0])

    def labels(self, painting: Painting) -> Mapping[str, str | None]:
        """Further columns of a painting, such as its style; None if empty."""
        import pandas as pd

        row = self._store.rows(self._store.places("id", painting.id)[:1]).iloc[0]
        return {name: None if pd.isna(row[name]) else str(row[name]) for name in self.label_names}

    @property
    def label_names(self) -> list[str]:
        """The columns of the index's table that not every index has."""
        return self._store.label_names

    def painting(self, painting: str) -> tuple[Painting, str]:
        """The painting with this id, and the sha256 of its image, empty if not known. Raises UnknownPainting."""
        places = self._store.places("id", painting)[:1]
        if not places:
            raise UnknownPainting(f"{painting}: no painting of the index has this id")
        return self._store.paintings(places)[0], self._store.contents(places)[0]

    @cached_property
    def artists(self) -> tuple[Artist, ...]:
        """All artists, those with the most paintings first."""
        counts = self._store.artists.paintings
        return tuple(self._artist(code) for code in np.lexsort((np.arange(len(counts)), -counts)).tolist())

    def search_artists(self, words: str = "") -> tuple[Artist, ...]:
        """Artists whose names contain all the words, in the order of `artists`."""
        wanted = (artist_key(words) or "").split()
        return tuple(artist for artist in self.artists if all(word in artist.id for word in wanted))

    def artist(self, name: str) -> Artist:
        """The artist of this name, in any spelling. Raises UnknownArtist."""
        return self._artist(self._code(name))

    def near(self, artist: Artist, count: int = NEAR) -> tuple[NearArtist, ...]:
        """The artists whose works are nearest to an artist's, by the centroids of their vectors."""
        code, centroids = self._code(artist.id), self._store.centroids
        apart = 1 - centroids.astype(np.float64) @ centroids[code].astype(np.float64)
        may = (self._store.artists.paintings >= FEWEST_NEAR) & (np.arange(len(apart)) != code)
        order = [other for other in np.argsort(apart, kind="stable").tolist() if may[other]]
        return tuple(NearArtist(self._artist(other), float(max(apart[other], 0))) for other in order[:count])

    def _code(self, name: str) -> int:
        key = artist_key(name)
        code = None if key is None else self._store.artists.numbers.get(key)
        if code is None:
            raise UnknownArtist(f"{name}: the index has no painting by this artist")
        return code

    def _artist(self, code: int) -> Artist:
        artists = self._store.artists
        return Artist(artists.keys[code], artists.names[code], int(artists.paintings[code]))


def _words(words: str) -> list[str]:
    found: list[str] = folded(pa.array([words]))[0].as_py().split()
    return found
