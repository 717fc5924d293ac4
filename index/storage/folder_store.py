"""A generation in a folder as a store of vectors: table and vectors mapped from disk, searched by FAISS."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ...errors import BadSetting
from ..scoring.artist_scores import paintings_by
from ..scoring.artists import centroids_of
from ..scoring.neighbourhood import LANDMARKS, Landmarks, first_of_copies
from ..scoring.vectors import NOBODY, Array, Doubles, Integers, Mask
from .generations import Generation
from .manifest import Manifest
from .segments import OWN_COLUMNS
from .vector_store import CANDIDATES, FURTHER, Artists, Candidates, Near, Painting, Seen

if TYPE_CHECKING:
    import pandas as pd

REMEMBERED = 20_000  # paintings in the cache: some megabytes
COLUMNS = ("id", "path", "artist", "title", "year", *FURTHER)  # of a Painting
COMPARED = 1 << 23  # cosines in memory at once: 32 MB, or those of a single query if they are more


class Known:
    """Facts about all paintings of a generation, computed once, when first needed.

    The store of all paintings shares them with filtered ones.
    """

    def __init__(self, generation: Generation) -> None:
        self.paintings, self.vectors = generation.paintings, generation.vectors
        self._read: dict[int, Painting] = {}

    def painting(self, place: int) -> Painting:
        """The painting at a place."""
        known = self._read.get(place)
        if known is None:
            id_, path, artist, title, year, *further = self.paintings.row_at(place, COLUMNS)
            known = Painting(
                id_, path, _text(artist), _text(title), None if year is None else int(year), *map(_text, further)
            )
            if len(self._read) >= REMEMBERED:
                self._read.clear()
            self._read[place] = known
        return known

    def content(self, place: int) -> str:
        """The sha256 of the image at a place, empty if unknown."""
        return str(self.paintings.cell("sha256", place))

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
        return centroids_of(self.vectors.rows, self.paintings.codes, self.paintings.artist_keys)


class FolderStore:
    """The searchable paintings of a generation: all of them or those allowed."""

    def __init__(
        self, generation: Generation, name: str, allowed: Mask | None = None, everything: FolderStore | None = None
    ) -> None:
        """allowed: (n,) which paintings may be found and counted; everything: the store of all of them."""
        self.generation = generation
        self.allowed = allowed
        self.name = name
        self._everything = everything
        self._known: Known = Known(generation) if everything is None else everything._known
        self._paintings, self._vectors = generation.paintings, generation.vectors
        self._allowed_places = None if allowed is None else np.flatnonzero(allowed)

    def __len__(self) -> int:
        return len(self._paintings if self._allowed_places is None else self._allowed_places)

    @property
    def manifest(self) -> Manifest:
        return self.generation.manifest

    @property
    def sha256(self) -> str:
        return self.generation.sha256

    @property
    def is_approximate(self) -> bool:
        """Never with a filter, since filtered searches are exhaustive."""
        return self.allowed is None and self._vectors.is_approximate

    def only(self, where: str | None, exclude: str | None) -> FolderStore:
        allowed = np.ones(len(self._paintings), bool) if self.allowed is None else self.allowed
        if where is not None:
            allowed = allowed & self._paintings.matching(where)
        if exclude is not None:
            allowed = allowed & ~self._paintings.matching(exclude)
        if not allowed.any():
            raise nothing_left(self.name, where, exclude)
        return FolderStore(self.generation, self.name, allowed, self.everything)

    @property
    def everything(self) -> FolderStore:
        return self if self._everything is None else self._everything

    def places(self, column: str, value: str) -> list[int]:
        return self._paintings.places(column, value)

    def paintings(self, places: Sequence[int]) -> list[Painting]:
        return [self._known.painting(place) for place in places]

    def contents(self, places: Sequence[int]) -> list[str]:
        return [self._known.content(place) for place in places]

    def artists_at(self, places: Sequence[int]) -> Integers:
        return self._paintings.codes[self._found_among(places)].astype(np.int64)

    def vectors_at(self, places: Sequence[int]) -> Array:
        return self._vectors.at(places)

    def nearest(self, queries: Array, wanted: Sequence[int]) -> list[Near]:
        if self.is_approximate:  # the number of lists to read depends on it
            return [self._nearest_by_lists(query, k) for query, k in zip(queries, wanted, strict=True)]
        most = min(max(wanted, default=0), len(self))
        places, apart = self._vectors.nearest(queries, most, self.allowed)
        return [_near(*found) for found in zip(places, apart, wanted, strict=True)]

    def look(self, queries: Array, wanted: Sequence[int], excluded: Sequence[Collection[int]]) -> Iterator[Seen]:
        if self.is_approximate:
            for query, k, own in zip(queries, wanted, excluded, strict=True):
                yield Seen(self._nearest_by_lists(query, k), self._candidates_by_lists(query, own))
            return
        among = self._allowed_places
        artists = self._paintings.codes if among is None else self._paintings.codes[among]
        by_artist: dict[int, Integers] = {}
        size = max(1, COMPARED // len(artists))
        for start in range(0, len(queries), size):
            some = slice(start, start + size)
            cosines = self._vectors.cosines(queries[some], among)
            near = self._vectors.nearest_by(cosines, queries[some], min(max(wanted[some]), len(self)), among)
            for number, own in enumerate(excluded[some]):
                own = self._found_among(own)
                cosines[number, own if among is None else np.searchsorted(among, own)] = -np.inf
                candidates = Candidates(among, artists, cosines[number], are_all=True, by_artist=by_artist)
                yield Seen(_near(near[0][number], near[1][number], wanted[start + number]), candidates)

    def search(self, words: Sequence[str], artist: int | None, start: int, count: int) -> tuple[list[int], int]:
        is_found = np.ones(len(self._paintings), bool) if self.allowed is None else self.allowed.copy()
        if artist is not None:
            is_found &= self._paintings.codes == artist
        for word in words:
            is_found &= self._paintings.holding(word)
        places = np.flatnonzero(is_found)
        return places[start : start + count].tolist(), len(places)

    def sample(self, most: int) -> Integers:
        return self._paintings.smallest(most)

    def rows(self, places: Sequence[int]) -> pd.DataFrame:
        return self._paintings.frame(places)

    def whole(self) -> tuple[pd.DataFrame, Array]:
        return self.generation.table, self._vectors.matrix

    @property
    def label_names(self) -> list[str]:
        return [name for name in self._paintings.names if name not in OWN_COLUMNS]

    @property
    def facts(self) -> list[str]:
        found = [
            f"approximate index over {segment.paintings:,} paintings ({segment.approximate.kind}): finds "
            f"{segment.approximate.recall_at_10:.1%} of the ten nearest"
            for segment in self.manifest.segments
            if segment.approximate
        ]
        if corrected := len(self.generation.contents.history):
            found.append(f"corrections: {corrected:,} (artidx label {self.name} --history)")
        return found

    @cached_property
    def artists(self) -> Artists:
        codes, keys = self._paintings.codes, self._paintings.artist_keys
        found = codes if self._allowed_places is None else codes[self._allowed_places]
        return Artists(keys, self._known.names, paintings_by(found, len(keys)))

    @property
    def landmarks(self) -> Landmarks:
        return self._known.landmarks

    @property
    def centroids(self) -> Array:
        return self._known.centroids

    def _found_among(self, places: Collection[int]) -> list[int]:
        """The places that may be found."""
        return [place for place in places if self.allowed is None or self.allowed[place]]

    def _nearest_by_lists(self, query: Array, k: int) -> Near:
        places, apart = self._vectors.nearest(query[None], min(k, len(self)))
        return _near(places[0], apart[0], k)

    def _candidates_by_lists(self, query: Array, excluded: Collection[int]) -> Candidates:
        near = self._nearest_by_lists(query, CANDIDATES + len(excluded))
        counts = ~np.isin(near.places, [*excluded])
        places, apart = near.places[counts][:CANDIDATES], near.distances[counts][:CANDIDATES]
        return Candidates(places, self._paintings.codes[places], 1 - apart, are_all=False)


def _near(places: Integers, apart: Doubles, wanted: int) -> Near:
    """The neighbours of a query, without NOBODY."""
    is_there = places[:wanted] != NOBODY
    return Near(places[:wanted][is_there], apart[:wanted][is_there])


def nothing_left(name: str, where: str | None, exclude: str | None) -> BadSetting:
    """The error for a filter that no painting passes."""
    given = {"--where": where, "--exclude": exclude}
    asked = " ".join(f"{option} {said!r}" for option, said in given.items() if said is not None)
    return BadSetting(f"{name}: no painting is left by {asked}")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
