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
from .vectors import Array, Doubles, distances

KERNEL = 16.0  # a painting's voice is exp(KERNEL * cosine); chosen among 12, 16, 20 and 25 with the calibration
SPEAKERS = 3  # paintings shown as the evidence for an artist


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
    """Who might have painted the query. unknown: the probability that none of the index's artists did."""

    query: str
    artists: tuple[RankedArtist, ...]
    unknown: float | None  # None where only paintings were asked for
    paintings: tuple[Neighbour, ...]
    model: str
    generation: int


@dataclass(frozen=True)
class Query:
    """A painting asked about: its vector (d,), and the rows of the index that are that same painting."""

    name: str
    vector: Array
    own_rows: frozenset[int]
    painting: Painting | None = None


class Gallery:
    """A generation's paintings by artist, id, path and content, ready to be searched."""

    def __init__(self, generation: Generation) -> None:
        self.generation = generation
        table = generation.table
        rows = table["row"].tolist()
        self.codes, self.keys = artist_codes(table["artist_key"])
        self.names = artist_names(table, self.codes, self.keys)
        self.row_of_id: dict[str, int] = dict(zip(table["id"], rows, strict=True))
        self.rows_of_path = _grouped(table["path"], rows)
        self.rows_of_content = _grouped(table["sha256"], rows)
        self._place = {row: place for place, row in enumerate(rows)}

    def content(self, row: int) -> str:
        """sha256 of the image stored under a row number."""
        return str(self.generation.table["sha256"].iloc[self._place[row]])

    def painting(self, row: int) -> Painting:
        """The painting stored under a row number."""
        found = self.generation.table.iloc[self._place[row]]
        return Painting(found["id"], found["path"], _text(found["artist"]), _text(found["title"]),
                        None if pd.isna(found["year"]) else int(found["year"]))

    def agreement(self, a: Query, b: Query) -> float | None:
        """How far the surroundings of two paintings agree, 0 to 1; None where there are too few witnesses.

        The paintings' own rows, of both, do not speak.
        """
        witness, vectors = self._witnesses
        if len(witness) < FEWEST:
            return None
        silent = [witness[place] for row in a.own_rows | b.own_rows if (place := self._place[row]) in witness]
        near_a, near_b = ((vectors @ query.vector).astype(np.float64) for query in (a, b))
        near_a[silent] = near_b[silent] = -np.inf
        return agreement(near_a, near_b)

    @cached_property
    def _witnesses(self) -> tuple[dict[int, int], Array]:
        """Which number the painting at a place has among them, and their vectors (m, d)."""
        places = witness_places(self.generation.table["vector_sha256"].to_numpy(object))
        return {place: number for number, place in enumerate(places.tolist())}, self.generation.vectors.matrix[places]

    def nearest_paintings(self, query: Query, k: int) -> tuple[Neighbour, ...]:
        """The k paintings nearest to the query, itself left out."""
        rows, apart = self.generation.vectors.nearest(query.vector, k, query.own_rows)
        return tuple(Neighbour(self.painting(row), float(d)) for row, d in zip(rows.tolist(), apart, strict=True))

    def nearest_artists(self, query: Query, k: int, calibration: ArtistCalibration
                        ) -> tuple[tuple[RankedArtist, ...], float]:
        """The k most probable artists, and the probability that it is none of the index's artists.

        Artists whose only painting is the query itself cannot be judged and are left out.
        """
        cosines = np.asarray(self.generation.vectors.matrix @ query.vector, np.float64)
        cosines[[self._place[row] for row in query.own_rows]] = -np.inf
        heard = voices(cosines, self.codes, len(self.keys))
        probabilities, unknown = calibration.posterior(heard)
        ranked = [code for code in np.argsort(-probabilities, kind="stable").tolist() if heard.paintings[code]]
        artists = tuple(self._ranked(query, code, float(probabilities[code]), cosines) for code in ranked[:k])
        return artists, float(unknown)

    def _ranked(self, query: Query, code: int, probability: float, cosines: Doubles) -> RankedArtist:
        """The artist with the paintings that speak loudest; cosines: (n,), -inf for the query's own."""
        places = np.flatnonzero((self.codes == code) & np.isfinite(cosines))
        places = places[np.argsort(-cosines[places], kind="stable")[:SPEAKERS]]
        rows = self.generation.vectors.rows[places].tolist()
        apart = distances(query.vector[None], self.generation.vectors.of_rows(rows)).tolist()
        nearest_first = sorted(zip(apart, rows, strict=True))
        return RankedArtist(self.names[code], probability,
                            tuple(Neighbour(self.painting(row), distance) for distance, row in nearest_first))


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


def _grouped(values: pd.Series[str], rows: list[int]) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = {}
    for value, row in zip(values, rows, strict=True):
        groups.setdefault(value, []).append(row)
    return groups


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
