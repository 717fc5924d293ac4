"""Rank the paintings nearest to a query, and the artists who might have painted it.

All paintings speak for their artist, with a voice that falls steeply with distance; calibration (calibrate.py) weighs
what an artist says against how many paintings said it. Whether two paintings share an artist is decided in verify.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from .calibrate import ArtistCalibration, Voices
from .store import Generation
from .surroundings import FEWEST, agreement, witness_places
from .vectors import NOBODY, Array, Doubles, Mask, Rows, distances

KERNEL = 16.0  # a painting's voice is exp(KERNEL * cosine); chosen among 12, 16, 20 and 25 with the calibration
SPEAKERS = 3  # paintings shown as the evidence for an artist
REMEMBERED = 20_000  # paintings whose cells have been read: some megabytes
HEARD = 2000  # paintings, the nearest, that are heard one by one where there is an approximate index


@dataclass(frozen=True)
class Painting:
    """A painting of the index, labels as given."""

    id: str
    path: str
    artist: str | None
    title: str | None
    year: int | None


@dataclass(frozen=True)
class Neighbour:
    """A painting of the index and its distance (1 - cosine, 0 to 2) to the query."""

    painting: Painting
    distance: float


@dataclass(frozen=True)
class RankedArtist:
    """An artist, the probability that the query is theirs, and the paintings that speak for it, nearest first."""

    artist: str
    probability: float
    paintings: tuple[Neighbour, ...]


@dataclass(frozen=True)
class Answer:
    """Who might have painted the query. unknown: the probability that none of the index's artists did.

    searched: how many paintings could have been found; approximate: whether one of them may have been missed.
    """

    query: str
    artists: tuple[RankedArtist, ...]
    unknown: float | None  # None where only paintings were asked for
    paintings: tuple[Neighbour, ...]
    searched: int
    approximate: bool
    model: str
    generation: int


@dataclass(frozen=True)
class Query:
    """A painting asked about: its vector (d,), and the places in a generation's table that are that same painting."""

    name: str
    vector: Array
    own: frozenset[int]
    painting: Painting | None = None


class Gallery:
    """A generation's paintings by artist, id, path and content, ready to be searched; all of them or those allowed."""

    def __init__(self, generation: Generation, allowed: Mask | None = None) -> None:
        """allowed: (n,) which paintings may be found and speak."""
        self.generation = generation
        self.allowed = allowed
        self._read: dict[int, Painting] = {}

    def __len__(self) -> int:
        return len(self.generation.table) if self.allowed is None else int(self.allowed.sum())

    @property
    def is_approximate(self) -> bool:
        """Whether a neighbour may be missed: never among allowed paintings only, which are all looked at."""
        return self.allowed is None and self.generation.vectors.is_approximate

    def places(self, column: str, value: str) -> list[int]:
        """Where in the table a column has this value."""
        return [int(place) for place in np.flatnonzero(self.generation.table[column] == value)]

    def content(self, place: int) -> str:
        """sha256 of the image in a place of the table."""
        return str(self._cells["sha256"][place])

    def painting(self, place: int) -> Painting:
        """The painting in a place of the table."""
        known = self._read.get(place)
        if known is None:
            cells = self._cells
            year = cells["year"][place]
            known = Painting(cells["id"][place], cells["path"][place], _text(cells["artist"][place]),
                             _text(cells["title"][place]), None if pd.isna(year) else int(year))
            if len(self._read) >= REMEMBERED:
                self._read.clear()
            self._read[place] = known
        return known

    def agreement(self, a: Query, b: Query) -> float | None:
        """How far the surroundings of two paintings agree, 0 to 1; None where there are too few witnesses.

        The paintings themselves, both, do not speak.
        """
        witness, vectors = self._witnesses
        if len(witness) < FEWEST:
            return None
        silent = [witness[place] for place in a.own | b.own if place in witness]
        near_a, near_b = ((vectors @ query.vector).astype(np.float64) for query in (a, b))
        near_a[silent] = near_b[silent] = -np.inf
        return agreement(near_a, near_b)

    def nearest_paintings(self, query: Query, k: int) -> tuple[Neighbour, ...]:
        """The k paintings nearest to the query, itself left out."""
        found, apart = self._nearest(query, k)
        return tuple(Neighbour(self.painting(place), distance)
                     for place, distance in zip(found.tolist(), apart.tolist(), strict=True))

    def nearest_artists(self, query: Query, k: int, calibration: ArtistCalibration
                        ) -> tuple[tuple[RankedArtist, ...], float]:
        """The k most probable artists, and the probability that it is none of the index's artists.

        Artists whose only painting is the query itself cannot be judged and are left out.
        """
        places, cosines = self._speakers(query)
        theirs = self.codes[places]
        heard = voices(cosines, theirs, len(self.keys))
        own = [place for place in query.own if self.allowed is None or self.allowed[place]]
        others = self._paintings - np.bincount(self.codes[own] + 1, minlength=len(self.keys) + 1)[1:]
        all_voices = joined_by(heard, others - heard.paintings, self._whisper(query, cosines))
        probabilities, unknown = calibration.posterior(all_voices)
        ranked = [code for code in np.argsort(-probabilities, kind="stable").tolist() if heard.paintings[code]]
        artists = tuple(self._ranked(query, code, float(probabilities[code]), places, cosines, theirs == code)
                        for code in ranked[:k])
        return artists, float(unknown)

    @property
    def artists(self) -> int:
        """How many artists have a painting that may be found."""
        return int((self._paintings > 0).sum())

    @cached_property
    def _coded(self) -> tuple[npt.NDArray[np.int64], list[str]]:
        return artist_codes(self.generation.table["artist_key"])

    @property
    def codes(self) -> npt.NDArray[np.int64]:
        """(n,) a number for each painting's artist, -1 for nobody."""
        return self._coded[0]

    @property
    def keys(self) -> list[str]:
        """The artists, as compared, by their numbers."""
        return self._coded[1]

    @cached_property
    def names(self) -> list[str]:
        """The artists by their numbers, each as the first of their paintings gives it."""
        return artist_names(self.generation.table, self.codes, self.keys)

    @cached_property
    def _paintings(self) -> npt.NDArray[np.int64]:
        """(artists,) how many of each may be found."""
        codes = self.codes if self.allowed is None else self.codes[self.allowed]
        return np.bincount(codes + 1, minlength=len(self.keys) + 1)[1:]

    @cached_property
    def _cells(self) -> dict[str, Any]:
        return {name: self.generation.table[name].array
                for name in ("id", "path", "artist", "title", "year", "sha256")}

    @cached_property
    def _witnesses(self) -> tuple[dict[int, int], Array]:
        """Which number the painting at a place has among them, and their vectors (m, d)."""
        places = witness_places(self.generation.table["vector_sha256"].to_numpy(object))
        return {place: number for number, place in enumerate(places.tolist())}, self.generation.vectors.at(places)

    def _nearest(self, query: Query, k: int) -> tuple[Rows, Doubles]:
        places, apart = self.generation.vectors.nearest(query.vector[None], k + len(query.own), self.allowed)
        is_other = (places[0] != NOBODY) & ~np.isin(places[0], list(query.own))
        return places[0][is_other][:k], apart[0][is_other][:k]

    def _speakers(self, query: Query) -> tuple[Rows, Doubles]:
        """(s,) places that speak, and their cosines: all that may, or the nearest by an approximate index."""
        if self.is_approximate:
            places, apart = self._nearest(query, HEARD)
            return places, 1 - apart
        cosines = self.generation.vectors.cosines(query.vector)
        cosines[list(query.own)] = -np.inf
        if self.allowed is not None:
            cosines[~self.allowed] = -np.inf
        return np.arange(len(cosines)), cosines

    def _whisper(self, query: Query, heard: Doubles) -> float:
        """exp(KERNEL * (cosine - 1)) of a painting farther than those heard, on average over the witnesses."""
        if not self.is_approximate or not len(heard):
            return 0.0
        cosines = np.asarray(self._witnesses[1] @ query.vector, np.float64)
        far = cosines[cosines < heard.min()]
        return float(np.exp(KERNEL * (far - 1)).mean()) if len(far) else 0.0

    def _ranked(self, query: Query, code: int, probability: float, places: Rows, cosines: Doubles, theirs: Mask
                ) -> RankedArtist:
        """The artist with the paintings, theirs (s,), that speak loudest; cosines: (s,), -inf for who may not."""
        numbers = np.flatnonzero(theirs)
        numbers = numbers[np.isfinite(cosines[numbers])]
        loudest = places[numbers[np.argsort(-cosines[numbers], kind="stable")[:SPEAKERS]]]
        apart = distances(query.vector[None], self.generation.vectors.at(loudest)).tolist()
        nearest_first = sorted(zip(apart, loudest.tolist(), strict=True))
        return RankedArtist(self.names[code], probability,
                            tuple(Neighbour(self.painting(place), distance) for distance, place in nearest_first))


def artist_codes(keys: pd.Series[Any]) -> tuple[npt.NDArray[np.int64], list[str]]:
    """(n,) a number for each painting's artist, -1 where there is none, and the artists' keys in that order."""
    codes, uniques = pd.factorize(keys.astype(object).where(keys.notna(), None), sort=True)
    return codes.astype(np.int64), [str(key) for key in uniques]


def artist_names(table: pd.DataFrame, codes: npt.NDArray[np.int64], keys: list[str]) -> list[str]:
    """Each artist's name as the first of their paintings gives it."""
    first = table.assign(code=codes).drop_duplicates("code").set_index("code")["artist"]
    return [str(first[code]) for code in range(len(keys))]


def split_names(table: pd.DataFrame, column: str) -> pd.Series[str]:
    """(n,) the split each painting belongs to: what the column says, `all` where there is no such column."""
    if column not in table:
        return pd.Series("all", index=table.index, dtype=object)
    return table[column].astype(object).where(table[column].notna(), "none").astype(str)


def voices(cosines: Doubles, codes: npt.NDArray[np.int64], artists: int) -> Voices:
    """What each of the artists says to a query: (artists,) scores in units of cosine, and counts of paintings.

    cosines: (n,) to the query, -inf for a painting that must not count; codes: (n,) artists, -1 for nobody. The
    score is the log of the sum of the artist's paintings under an exponential kernel.
    """
    is_heard = (codes >= 0) & np.isfinite(cosines)
    codes = codes[is_heard]
    sums = np.bincount(codes, weights=np.exp(KERNEL * (cosines[is_heard] - 1)), minlength=artists)
    with np.errstate(divide="ignore"):
        return Voices(1 + np.log(sums) / KERNEL, np.bincount(codes, minlength=artists).astype(np.float64))


def joined_by(heard: Voices, unheard: Doubles, whisper: float) -> Voices:
    """Voices joined by paintings that nobody listened to one by one: (artists,) how many, each as loud as the other."""
    with np.errstate(divide="ignore"):
        sums = np.exp(KERNEL * (heard.scores - 1)) + unheard * whisper
        return Voices(1 + np.log(sums) / KERNEL, heard.paintings + unheard)


def voices_of(gallery: Array, codes: npt.NDArray[np.int64], artists: int, queries: Array,
              own: npt.NDArray[np.int64] | None = None) -> Voices:
    """What a gallery (n, d) with artists (n,) says to queries (q, d); own: (q,) the place each has in it itself."""
    scores, paintings = [], []
    for number, query in enumerate(queries):
        cosines = np.asarray(gallery @ query, np.float64)
        if own is not None:
            cosines[own[number]] = -np.inf
        heard = voices(cosines, codes, artists)
        scores.append(heard.scores)
        paintings.append(heard.paintings)
    return Voices(np.reshape(scores, (len(queries), artists)), np.reshape(paintings, (len(queries), artists)))


def silenced(known: Voices, artists: npt.NDArray[np.int64]) -> Voices:
    """What is said to the same queries (q,) without their own artists."""
    scores, paintings = known.scores.copy(), known.paintings.copy()
    scores[np.arange(len(artists)), artists] = -np.inf
    paintings[np.arange(len(artists)), artists] = 0
    return Voices(scores, paintings)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
