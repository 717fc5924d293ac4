"""Shared by pushes to servers of any kind: what is copied, and the paintings as they are written.

Paintings are written in parts, by this process or by the workers of a cluster (changes/cluster.py). A part may be
written twice.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..scoring.artist_scores import paintings_by
from ..scoring.artists import centroids_of
from ..scoring.vectors import Array, Codes, Integers, Vectors
from .address import Address
from .generations import Generation
from .manifest import Manifest, manifest_bytes
from .vector_store import SAMPLED

if TYPE_CHECKING:
    import pandas as pd

CHECKED = 500  # randomly chosen paintings that are read back and compared
FRAME = 10_000  # rows of a table that are in memory together
K = 10  # neighbours of each, for measuring the recall
EXHAUSTIVE = ("FLAT", "exact")  # kinds of index with exhaustive search
UNRANKED = -1


@dataclass(frozen=True)
class Entries:
    """Some paintings as they are written. table: (m,) their rows; vectors: (m, d); artists: (m,) numbers, -1 for
    nobody; ranks: (m,) of their hashes (neighbourhood.smallest), UNRANKED beyond SAMPLED."""

    table: pd.DataFrame
    vectors: Array
    artists: Integers
    ranks: Integers


class Original(ABC):
    """A generation that is copied to a server. manifest_text: as published; sha256: of that.

    again, to_replace: what to do, in an error, when something was wrong; and when another one was published meanwhile.
    Its paintings have places, from 0 on, and numbers, which ascend with them.
    """

    again: ClassVar[str]
    to_replace: ClassVar[str]
    manifest: Manifest
    manifest_text: str
    sha256: str

    def __len__(self) -> int:
        return self.manifest.paintings

    @abstractmethod
    def frames(self) -> Iterator[pd.DataFrame]:
        """Its table, at most FRAME paintings at a time."""

    @property
    @abstractmethod
    def columns(self) -> list[str]:
        """The columns of the table, in order."""

    @abstractmethod
    def number(self, place: int) -> int:
        """The number of the painting at a place."""

    @abstractmethod
    def written(self, address: Address, parts: Sequence[range]) -> Iterator[int]:
        """Write the paintings at some places, and yield how many each part has once it is there. Raises BadIndex."""

    @abstractmethod
    def artists(self) -> list[tuple[str, str, int]]:
        """The key, the name and the number of paintings of each artist, by number."""

    @abstractmethod
    def centroids(self) -> Array:
        """(artists, d) the centroid of each artist."""

    @abstractmethod
    def sample(self) -> tuple[list[int], Array]:
        """The numbers of CHECKED paintings, those with the smallest hashes, and their vectors (m, d)."""

    @abstractmethod
    def nearest(self, queries: Array) -> Integers:
        """(q, K) the numbers of the paintings nearest to vectors of paintings (q, d), including themselves."""


# Writes the paintings at some places of a generation to an address, as `Original.written`.
Spread = Callable[[Address, Generation, Sequence[range]], Iterator[int]]


class Folder(Original):
    """A generation that is published in a folder."""

    again, to_replace = "push again", "push again to replace it with this one"

    def __init__(self, generation: Generation, spread: Spread) -> None:
        """spread: who writes the paintings."""
        self._generation, self._spread = generation, spread
        self.manifest, self.sha256 = generation.manifest, generation.sha256
        self.manifest_text = manifest_bytes(generation.folder).decode()

    def frames(self) -> Iterator[pd.DataFrame]:
        for start in range(0, len(self), FRAME):
            yield self._generation.paintings.frame(range(start, min(start + FRAME, len(self))))

    @property
    def columns(self) -> list[str]:
        return self._generation.paintings.names

    def number(self, place: int) -> int:
        return self._generation.paintings.row(place)

    def written(self, address: Address, parts: Sequence[range]) -> Iterator[int]:
        return self._spread(address, self._generation, parts)

    def artists(self) -> list[tuple[str, str, int]]:
        paintings = self._generation.paintings
        return named_artists(paintings.codes, paintings.artist_keys, paintings.artist_names)

    def centroids(self) -> Array:
        paintings = self._generation.paintings
        return centroids_of(self._generation.vectors.rows, paintings.codes, paintings.artist_keys)

    def sample(self) -> tuple[list[int], Array]:
        places = self._generation.paintings.smallest(CHECKED)
        return [self.number(place) for place in places.tolist()], self._generation.vectors.at(places)

    def nearest(self, queries: Array) -> Integers:
        exact = Vectors.of(self._generation.vectors.matrix).nearest(queries, min(K, len(self)))[0]
        return np.array([[self.number(place) for place in places] for places in exact.tolist()], np.int64)


def named_artists(codes: Integers | Codes, keys: Sequence[str], names: Sequence[str]) -> list[tuple[str, str, int]]:
    """The key, the name and the number of paintings of each artist. codes: (n,) of the paintings."""
    return list(zip(keys, names, paintings_by(codes, len(keys)).tolist(), strict=True))


class EntriesOf:
    """The paintings at some places of a generation, as they are written."""

    def __init__(self, generation: Generation) -> None:
        self._generation = generation
        self._codes, self._ranks = generation.paintings.codes, _ranks(generation)

    def __call__(self, part: range) -> Entries:
        places = np.array(part)
        return Entries(
            self._generation.paintings.frame(places.tolist()),
            self._generation.vectors.at(places),
            self._codes[places],
            self._ranks[places],
        )


def _ranks(generation: Generation) -> Integers:
    """(n,) the rank of each painting's hash, for landmarks and for the sample of a map."""
    few = generation.paintings.smallest(SAMPLED)
    hashes = np.array(generation.paintings.cells("vector_sha256", few.tolist()), str)
    found = np.full(len(generation), UNRANKED)
    found[few[np.argsort(hashes, kind="stable")]] = np.arange(len(few))
    return found


@dataclass(frozen=True)
class Pushed:
    """The result of a push. written: paintings that it sent; recall_at_10: measured on CHECKED of them."""

    paintings: int
    generation: int
    written: int
    kind: str
    recall_at_10: float
    seconds: float
