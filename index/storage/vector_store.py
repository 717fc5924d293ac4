"""What answers are made from: the paintings of one published generation with their vectors, wherever they are kept.

A folder searched by FAISS (folder_store.py), a collection in Milvus (milvus/) and a table in PostgreSQL (postgres/) are
such stores, and pass the same tests. A painting is known by its place, an integer; places grow in the order in which
paintings were added. A store does not judge what it finds (search.py, verify.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from ...embedder.catalogs.attribution import attribution
from ..scoring.neighbourhood import Landmarks
from ..scoring.vectors import Array, Codes, Doubles, Integers
from .manifest import Manifest

if TYPE_CHECKING:
    import pandas as pd

SAMPLED = 100_000  # maximal number of paintings on a map
CANDIDATES = 2000  # nearest paintings that are compared one by one, if not all are
FURTHER = ("attribution", "object", "url")  # optional columns that are part of a Painting


@dataclass(frozen=True)
class Painting:
    """A painting of the index, labels as given. artist: whose work it counts as; attribution: what its record says
    about the artist; object: the museum's number, which several photographs may share; url: where people can look at
    it."""

    id: str
    path: str
    artist: str | None
    title: str | None
    year: int | None
    attribution: str | None = None
    object: str | None = None
    url: str | None = None

    @property
    def by(self) -> str:
        """The artist in a sentence: the whole record if the attribution is qualified."""
        is_qualified = self.attribution is not None and attribution(self.attribution).qualifier is not None
        return (self.attribution if is_qualified else self.artist) or self.attribution or "artist not known"


@dataclass(frozen=True)
class Artists:
    """Artists by their numbers. keys: as compared; names: as first given; paintings: (artists,) that may be found."""

    keys: Sequence[str]
    names: Sequence[str]
    paintings: npt.NDArray[np.int64]

    @cached_property
    def numbers(self) -> dict[str, int]:
        """An artist's number by the key."""
        return {key: number for number, key in enumerate(self.keys)}


class Near(NamedTuple):
    """The paintings nearest to a query, nearest first: (k,) places and distances."""

    places: Integers
    distances: Doubles


@dataclass(frozen=True, eq=False)
class Candidates:
    """Paintings compared with a query one by one: (c,) places, artists' numbers (-1 for nobody), cosines to it.

    places: None if they are all, in order. A cosine of -inf marks one that must not count. are_all: no other can be
    found. by_artist: what `by` found for some artists; candidates with the same paintings may share it.
    """

    places: Integers | None
    artists: Integers | Codes
    cosines: Doubles | Array
    are_all: bool
    by_artist: dict[int, Integers] = field(default_factory=dict)

    def places_of(self, numbers: Integers) -> Integers:
        """(m,) the places of some of these."""
        return numbers if self.places is None else self.places[numbers]

    def by(self, artist: int) -> Integers:
        """(a,) which of these are by an artist."""
        if artist not in self.by_artist:
            self.by_artist[artist] = np.flatnonzero(self.artists == artist)
        return self.by_artist[artist]


class Seen(NamedTuple):
    """The result of one pass over the paintings that may be found, for one query."""

    near: Near
    candidates: Candidates


class VectorStore(Protocol):
    """One generation of an index, or the paintings in it that a filter selects; never changes."""

    @property
    def name(self) -> str:
        """Its name in sentences."""

    @property
    def manifest(self) -> Manifest:
        """The generation's manifest."""

    @property
    def sha256(self) -> str:
        """Of the manifest, and so of the whole generation."""

    @property
    def is_approximate(self) -> bool:
        """Whether `nearest` may miss a neighbour."""

    @property
    def facts(self) -> list[str]:
        """What else to say about how the paintings are kept and searched, in sentences."""

    @property
    def artists(self) -> Artists:
        """All artists of the generation."""

    @property
    def landmarks(self) -> Landmarks:
        """Those of the generation, whatever the filter."""

    @property
    def centroids(self) -> Array:
        """(artists, d) of unit length: the mean of each artist's vectors in the generation."""

    @property
    def label_names(self) -> list[str]:
        """The columns of the table that not every index has."""

    def __len__(self) -> int:
        """How many paintings may be found."""

    def only(self, where: str | None, exclude: str | None) -> VectorStore:
        """Those for which `where` holds and `exclude` does not (where.py). Raises BadSetting."""

    @property
    def everything(self) -> VectorStore:
        """All paintings of the generation, whatever the filter."""

    def places(self, column: str, value: str) -> list[int]:
        """Where the id, the path, the sha256 or the object has this value, allowed or not."""

    def paintings(self, places: Sequence[int]) -> list[Painting]:
        """The paintings at these places."""

    def contents(self, places: Sequence[int]) -> list[str]:
        """sha256 of the images at these places, empty if unknown."""

    def artists_at(self, places: Sequence[int]) -> Integers:
        """The artists' numbers, -1 for nobody, of the paintings at these places that may be found."""

    def vectors_at(self, places: Sequence[int]) -> Array:
        """(p, d) their vectors, bit for bit as they were stored."""

    def nearest(self, queries: Array, wanted: Sequence[int]) -> list[Near]:
        """The nearest paintings to each of the queries (q, d), as many as wanted for each; fewer if there are no more.

        The result for one query does not depend on the others.
        """

    def look(self, queries: Array, wanted: Sequence[int], excluded: Sequence[Collection[int]]) -> Iterator[Seen]:
        """The nearest to each query, as in `nearest`, and what artist scores are made of: all paintings that may be
        found, or many of the nearest, except the places excluded for the query.

        Many queries are handled in groups, as memory allows.
        """

    def search(self, words: Sequence[str], artist: int | None, start: int, count: int) -> tuple[list[int], int]:
        """Places of paintings that may be found and whose artist, title and id contain all the words, and how many
        there are in all.

        words: without case and accents (`folded`); artist: only theirs.
        """

    def sample(self, most: int) -> Integers:
        """(m,) places of all paintings of the generation, or of `most` of them, at most SAMPLED, as good as random."""

    def rows(self, places: Sequence[int]) -> pd.DataFrame:
        """The table's rows at these places."""

    def whole(self) -> tuple[pd.DataFrame, Array]:
        """All paintings of the generation and their vectors (n, d), in memory. BadSetting if there are too many."""
