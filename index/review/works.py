"""A collection as a review sees it: objects with one or several photographs, and whose work each is.

Photographs of one object, and photographs that show one picture, are one *work*: they are no evidence for each other,
and among an artist's works they count once. When a work is left out, its artist's score is compensated for it;
otherwise the lower count would reveal the artist (artist_scores.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...embedder.catalogs.attribution import attribution
from ..scoring.artist_scores import KERNEL, GalleryScores, compensated
from ..scoring.artists import artist_codes, artist_names
from ..scoring.vectors import Array, Doubles

BLOCK = 1 << 26  # numbers in memory at once

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Object:
    """What a museum numbers. places: of its photographs in the table."""

    name: str
    places: tuple[int, ...]


class Works:
    """The table (n rows) and vectors (n, d) of an index, by objects and by works."""

    def __init__(self, table: pd.DataFrame, vectors: Array, same: Iterable[tuple[int, int]] = ()) -> None:
        """same: places of photographs that show one picture."""
        self.table, self.vectors = table, vectors
        self.names = _object_names(table)
        self.codes, self.keys = artist_codes(table["artist_key"])
        self.artists = artist_names(table, self.codes, self.keys)
        self.work = _joined(self.names, same)

    @cached_property
    def objects(self) -> list[Object]:
        """In the order of the table."""
        places: dict[str, list[int]] = {}
        for place, name in enumerate(self.names):
            places.setdefault(name, []).append(place)
        return [Object(name, tuple(found)) for name, found in places.items()]

    @cached_property
    def gallery(self) -> Integers:
        """Places of works that count for an artist, each work once, ordered by the artists' numbers."""
        speaking = np.flatnonzero(self.codes >= 0)
        _, first = np.unique(np.stack([self.codes[speaking], self.work[speaking]]), axis=1, return_index=True)
        return speaking[first]

    @cached_property
    def _gallery_codes(self) -> Integers:
        """(places,) the artists' numbers, ascending."""
        return self.codes[self.gallery]

    @cached_property
    def counts(self) -> Integers:
        """(artists,) the number of works of each."""
        return np.bincount(self._gallery_codes, minlength=len(self.keys)).astype(np.int64)

    def record(self, place: int) -> str | None:
        """The record of an object's artist, as written in the table."""
        return self._records[place]

    @cached_property
    def _records(self) -> list[str | None]:
        said = self.table["artist"] if "artist" in self.table else pd.Series(None, self.table.index, dtype=object)
        if "attribution" in self.table:
            said = self.table["attribution"].where(self.table["attribution"].notna(), said)
        return [None if pd.isna(each) else str(each) for each in said.tolist()]

    @cached_property
    def is_qualified(self) -> npt.NDArray[np.bool_]:
        """(n,) whether the record is qualified."""
        said = {record: bool(record and attribution(record).qualifier is not None) for record in {*self._records}}
        return np.array([said[record] for record in self._records], np.bool_)

    def scores(self, asked: Sequence[Object]) -> Iterator[list[tuple[Object, GalleryScores]]]:
        """For each object (artists,) scores by all works but its own, averaged over its photographs; in blocks."""
        gallery = self.vectors[self.gallery]
        codes, works = self._gallery_codes, self.work[self.gallery]
        starts = np.flatnonzero(np.diff(codes, prepend=-1))
        rows = max(1, BLOCK // max(len(gallery), 1))
        for begin in range(0, len(asked), rows):
            block = asked[begin : begin + rows]
            places = np.array([place for each in block for place in each.places], np.int64)
            kernel = np.exp(KERNEL * (np.asarray(self.vectors[places] @ gallery.T, np.float32) - 1))
            own = [np.flatnonzero(works == self.work[place]) for place in places]
            for number, left_out in enumerate(own):
                kernel[number, left_out] = 0
            sums = np.add.reduceat(kernel, starts, axis=1, dtype=np.float64) if len(starts) else kernel[:, :0]
            owner = np.repeat(np.arange(len(block)), [len(each.places) for each in block])
            found = []
            for number, each in enumerate(block):
                mine = np.flatnonzero(owner == number)
                out = np.bincount(codes[own[mine[0]]], minlength=len(self.keys))
                with np.errstate(divide="ignore"):
                    near = 1 + np.log(sums[mine].mean(axis=0)) / KERNEL
                found.append((each, compensated(GalleryScores(near, (self.counts - out).astype(np.float64)), out)))
            yield found

    def evidence_of(self, one: Object, artist: int, most: int) -> list[tuple[int, float]]:
        """The artist's works nearest to an object, without its own: places and distances."""
        first, end = np.searchsorted(self._gallery_codes, (artist, artist + 1))
        gallery = self.gallery[first:end]
        gallery = gallery[self.work[gallery] != self.work[one.places[0]]]
        apart: Doubles = (1 - self.vectors[gallery] @ self.vectors[list(one.places)].T).min(axis=1).astype(np.float64)
        return [(int(gallery[at]), float(apart[at])) for at in np.argsort(apart, kind="stable")[:most]]


def _object_names(table: pd.DataFrame) -> list[str]:
    ids = table["id"].astype(str).tolist()
    if "object" not in table:
        return ids
    return [
        id_ if pd.isna(number) or not number else str(number)
        for id_, number in zip(ids, table["object"].tolist(), strict=True)
    ]


def _joined(names: Sequence[str], same: Iterable[tuple[int, int]]) -> Integers:
    """(n,) a number for each work: objects, joined if their photographs show one picture."""
    numbers: dict[str, int] = {}
    of = [numbers.setdefault(name, len(numbers)) for name in names]
    parent = list(range(len(numbers)))

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    for a, b in same:
        parent[root(of[a])] = root(of[b])
    return np.array([root(number) for number in of], np.int64)
