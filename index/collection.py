"""Look through an index: its paintings by words, its artists, and which artists are near to each other.

Nothing is asked of a picture here, so nothing is probable: that is search.py's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ..embedder.catalog import artist_key
from ..errors import UnknownPainting
from .search import Gallery, Painting
from .segments import OWN_COLUMNS
from .vectors import Array

NEAR = 8  # artists shown beside one
FEWEST_NEAR = 2  # paintings that an artist must have to be shown beside another: one alone lies anywhere


@dataclass(frozen=True)
class Listed:
    """Some of the paintings that were asked for, and how many there are in all."""

    paintings: tuple[Painting, ...]
    total: int


@dataclass(frozen=True)
class Artist:
    """An artist of the index. id: the name as it is compared (catalog.artist_key), the same for all its spellings."""

    id: str
    artist: str
    paintings: int


@dataclass(frozen=True)
class NearArtist:
    """Another artist, and how far apart the middles of their works are (1 - cosine, 0 to 2)."""

    artist: Artist
    distance: float


class Collection:
    """A generation's paintings and artists, to be looked through."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._table = gallery.generation.table

    def search(self, words: str = "", artist: str | None = None, *, start: int = 0, count: int = 50) -> Listed:
        """Paintings in whose artist, title and id all the words occur, in the order of the index.

        Case and accents do not matter. artist: only theirs, in any spelling. Raises UnknownPainting where no painting
        is by them.
        """
        is_found = np.ones(len(self._table), bool)
        if artist is not None:
            is_found &= self._gallery.codes == self._code(artist)
        for word in _folded(pa.array([words]))[0].as_py().split():
            is_found &= np.asarray(pc.match_substring(self._text, word))
        places = np.flatnonzero(is_found)
        return Listed(tuple(self._gallery.painting(place) for place in places[start : start + count].tolist()),
                      len(places))

    def labels(self, painting: Painting) -> Mapping[str, str | None]:
        """What else the index's table says of a painting, such as its style; what it does not say is None."""
        row = self._table.iloc[self._gallery.places("id", painting.id)[0]]
        return {name: None if pd.isna(row[name]) else str(row[name]) for name in self.label_names}

    @property
    def label_names(self) -> list[str]:
        """The columns of the index's table that every index need not have."""
        return [name for name in self._table.columns if name not in OWN_COLUMNS]

    def painting(self, painting: str) -> tuple[Painting, str]:
        """The painting with this id, and the sha256 of its image, empty if not known. Raises UnknownPainting."""
        places = self._gallery.places("id", painting)
        if not places:
            raise UnknownPainting(f"{painting}: no painting of the index has this id")
        return self._gallery.painting(places[0]), self._gallery.content(places[0])

    @cached_property
    def artists(self) -> tuple[Artist, ...]:
        """Those with the most paintings first."""
        order = np.lexsort((np.arange(len(self._gallery.keys)), -self._counts))
        return tuple(self._artist(code) for code in order.tolist())

    def search_artists(self, words: str = "") -> tuple[Artist, ...]:
        """Those in whose names all the words occur, in the order of `artists`."""
        wanted = (artist_key(words) or "").split()
        return tuple(artist for artist in self.artists if all(word in artist.id for word in wanted))

    def artist(self, name: str) -> Artist:
        """The artist of this name, in any spelling. Raises UnknownPainting."""
        return self._artist(self._code(name))

    def near(self, artist: Artist, count: int = NEAR) -> tuple[NearArtist, ...]:
        """The artists whose works lie nearest to an artist's, each taken at the middle of their vectors."""
        code = self._code(artist.id)
        apart = 1 - self._middles.astype(np.float64) @ self._middles[code].astype(np.float64)
        may = (self._counts >= FEWEST_NEAR) & (np.arange(len(apart)) != code)
        order = [other for other in np.argsort(apart, kind="stable").tolist() if may[other]]
        return tuple(NearArtist(self._artist(other), float(max(apart[other], 0))) for other in order[:count])

    def _code(self, name: str) -> int:
        key = artist_key(name)
        if key is None or key not in self._codes:
            raise UnknownPainting(f"{name}: no painting of the index is by them")
        return self._codes[key]

    def _artist(self, code: int) -> Artist:
        return Artist(self._gallery.keys[code], self._gallery.names[code], int(self._counts[code]))

    @cached_property
    def _codes(self) -> dict[str, int]:
        return {key: code for code, key in enumerate(self._gallery.keys)}

    @cached_property
    def _counts(self) -> npt.NDArray[np.int64]:
        return np.bincount(self._gallery.codes + 1, minlength=len(self._gallery.keys) + 1)[1:]

    @cached_property
    def _text(self) -> Any:
        """(n,) what words are looked for in."""
        columns = [pc.fill_null(pa.array(self._table[name], pa.string(), from_pandas=True), "")
                   for name in ("artist", "title", "id")]
        return _folded(pc.binary_join_element_wise(*columns, " "))

    @cached_property
    def _middles(self) -> Array:
        """(artists, d) of unit length: the mean of each artist's vectors."""
        order = np.argsort(self._gallery.codes, kind="stable")
        ends = np.cumsum(self._counts) + (len(order) - self._counts.sum())  # nobody's come first
        middles = np.stack([self._gallery.generation.vectors.at(order[end - count : end]).mean(axis=0)
                            for end, count in zip(ends, self._counts, strict=True)])
        unit: Array = middles / np.maximum(np.linalg.norm(middles, axis=1, keepdims=True), 1e-12)
        return unit


def _folded(texts: Any) -> Any:
    """Without case and accents."""
    decomposed = pc.utf8_normalize(texts, form="NFKD")
    return pc.utf8_lower(pc.replace_substring_regex(decomposed, pattern=r"\p{Mn}", replacement=""))
