"""What answers are made from: the paintings of one published generation with their vectors, wherever they are kept.

A folder searched by FAISS (folder_store.py) and a collection in Milvus (milvus/) are such stores, held to the same
tests. A painting is known by its place, a whole number; places grow in the order in which paintings came in. Does not
judge what it finds (search.py, verify.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...embedder.catalogs.attribution import attribution
from ..scoring.neighbourhood import augmented, bandwidth_of
from ..scoring.vectors import Array, Doubles, Integers, vector_hash
from .manifest import Manifest

SAMPLED = 20_000  # paintings at most: as many as are drawn on a map
CANDIDATES = 2000  # paintings, the nearest, that are compared one by one where not all are
FURTHER = ("attribution", "object", "url")  # columns that an index need not have, and that a painting is told by


@dataclass(frozen=True)
class Painting:
    """A painting of the index, labels as given. artist: for whom it speaks; attribution: what its record says of the
    artist; object: the museum's number, which several photographs may share; url: where people can look at it."""

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
        """The artist in a sentence: the whole record where the work does not simply speak for one."""
        is_qualified = self.attribution is not None and attribution(self.attribution).qualifier is not None
        return (self.attribution if is_qualified else self.artist) or self.attribution or "artist not known"


@dataclass(frozen=True)
class Artists:
    """Artists by their numbers. keys: as compared; names: as first given; paintings: (artists,) that may be found."""

    keys: Sequence[str]
    names: Sequence[str]
    paintings: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.keys)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """An artist's number by the key."""
        return {key: number for number, key in enumerate(self.keys)}


class Near(NamedTuple):
    """The paintings nearest to a query, nearest first: (k,) places and distances."""

    places: Integers
    distances: Doubles


class Candidates(NamedTuple):
    """Paintings compared with a query one by one: (c,) places, artists' numbers (-1 for nobody), cosines to it.

    A cosine of -inf is of one that must not count. are_all: no other may be found.
    """

    places: Integers
    artists: Integers
    cosines: Doubles
    are_all: bool


class Seen(NamedTuple):
    """What one look at the paintings that may be found tells of a query."""

    near: Near
    candidates: Candidates


@dataclass(frozen=True)
class Landmarks:
    """The paintings by which neighbourhoods are compared (neighbourhood.py): their vectors (m, d), all different.

    by_place and by_hash: the number among them of the painting at a place, and of any with a vector of this hash.
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


class VectorStore(Protocol):
    """One generation of an index, or those of its paintings that a filter allows; never changes."""

    @property
    def name(self) -> str:
        """What it is called in sentences."""

    @property
    def manifest(self) -> Manifest:
        """What the generation says of itself."""

    @property
    def sha256(self) -> str:
        """Of the manifest, and so of all that the generation is."""

    @property
    def is_approximate(self) -> bool:
        """Whether `nearest` may miss a neighbour."""

    @property
    def facts(self) -> list[str]:
        """What else is to be said of how the paintings are kept and searched, in sentences."""

    @property
    def artists(self) -> Artists:
        """All artists of the generation."""

    @property
    def landmarks(self) -> Landmarks:
        """The generation's, whatever is allowed."""

    @property
    def centroids(self) -> Array:
        """(artists, d) of unit length: the mean of each artist's vectors in the generation."""

    @property
    def label_names(self) -> list[str]:
        """The columns of the table that every index need not have."""

    def __len__(self) -> int:
        """How many paintings may be found."""

    def only(self, where: str | None, exclude: str | None) -> VectorStore:
        """Those for which `where` holds and `exclude` does not (where.py). Raises BadSetting."""

    @property
    def everything(self) -> VectorStore:
        """All paintings of the generation, whatever is allowed here."""

    def places(self, column: str, value: str) -> list[int]:
        """Where the id, the path, the sha256 or the object has this value, allowed or not."""

    def paintings(self, places: Sequence[int]) -> list[Painting]:
        """The paintings at these places."""

    def contents(self, places: Sequence[int]) -> list[str]:
        """sha256 of the images at these places, empty where it is not known."""

    def artists_at(self, places: Sequence[int]) -> Integers:
        """The artists' numbers, -1 for nobody, of those paintings at these places that may be found."""

    def vectors_at(self, places: Sequence[int]) -> Array:
        """(p, d) their vectors, bit for bit as they were stored."""

    def nearest(self, queries: Array, wanted: Sequence[int]) -> list[Near]:
        """The nearest to each of queries (q, d), as many as are wanted of each; fewer where there are no more.

        What is found for one does not depend on what else is asked.
        """

    def look(self, queries: Array, wanted: Sequence[int], excluded: Sequence[Collection[int]]) -> Iterator[Seen]:
        """The nearest to each, as `nearest` finds them, and what artist scores are made of: all that may be found, or
        the nearest of many, but not the places that are excluded for the query.

        Of many queries some are looked at at once, as memory allows.
        """

    def search(self, words: Sequence[str], artist: int | None, start: int, count: int) -> tuple[list[int], int]:
        """Places of paintings that may be found, in whose artist, title and id all the words occur, and how many there
        are in all.

        words: without case and accents (`folded`); artist: only theirs.
        """

    def sample(self, most: int) -> Integers:
        """(m,) places of all paintings of the generation, or of `most`, SAMPLED at most, as good as drawn by lot."""

    def rows(self, places: Sequence[int]) -> pd.DataFrame:
        """The table's rows at these places."""

    def whole(self) -> tuple[pd.DataFrame, Array]:
        """All paintings of the generation and their vectors (n, d), in memory. Raises BadSetting where that is too
        much."""
