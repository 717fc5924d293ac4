"""Rank the paintings nearest to a query, and the artists who might have painted it.

All paintings speak for their artist, with a voice that falls steeply with distance; calibration (calibrate.py) weighs
what an artist says against how many paintings said it. Whether two paintings share an artist is decided in verify.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from .calibrate import ArtistCalibration, Voices
from .surroundings import FEWEST, NEAREST, agreement, drawn
from .vector_store import Painting, Speakers, VectorStore
from .vectors import Array, Doubles, distances

KERNEL = 24.0  # a painting's voice is exp(KERNEL * cosine); with 20 or 28 validation gave the same within noise
SPEAKERS = 3  # paintings shown as the evidence for an artist


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
    """A store's paintings as evidence: which are near, and for whom they speak."""

    def __init__(self, store: VectorStore) -> None:
        self.store = store

    def __len__(self) -> int:
        return len(self.store)

    def agreement(self, a: Query, b: Query) -> float | None:
        """How far the surroundings of two paintings agree, 0 to 1; None where there are too few witnesses.

        The paintings themselves, both, do not speak.
        """
        witnesses = self.store.witnesses
        if len(witnesses) < FEWEST:
            return None
        silent = [witnesses.numbers[place] for place in a.own | b.own if place in witnesses.numbers]
        near_a, near_b = ((witnesses.standing @ self._standing(query)).astype(np.float64) for query in (a, b))
        near_a[silent] = near_b[silent] = -np.inf
        return agreement(near_a, near_b, witnesses.scatter)

    def _standing(self, query: Query) -> Array:
        """(d,) where it is heard from: a painting of the index among its nearest there (surroundings.py).

        A picture saved anew at a painting's path is from elsewhere.
        """
        if query.painting is None:
            return query.vector
        every = self.store.everything
        places, _ = every.nearest(query.vector, NEAREST + len(query.own))
        others = every.vectors_at(places[~np.isin(places, list(query.own))][:NEAREST].tolist())
        found: Array = drawn(query.vector[None], others[None])[0]
        return found

    def nearest_paintings(self, query: Query, k: int) -> tuple[Neighbour, ...]:
        """The k paintings nearest to the query, itself left out."""
        places, apart = self.store.nearest(query.vector, k + len(query.own))
        is_other = ~np.isin(places, list(query.own))
        return self._neighbours(places[is_other][:k].tolist(), apart[is_other][:k].tolist())

    def nearest_artists(self, query: Query, k: int, calibration: ArtistCalibration
                        ) -> tuple[tuple[RankedArtist, ...], float]:
        """The k most probable artists, and the probability that it is none of the index's artists.

        Artists whose only painting is the query itself cannot be judged and are left out.
        """
        artists, speakers = self.store.artists, self.store.speakers(query.vector, list(query.own))
        heard = voices(speakers.cosines, speakers.artists, len(artists))
        own = self.store.artists_at(list(query.own))
        left_out = np.bincount(own + 1, minlength=len(artists) + 1)[1:]
        unheard = artists.paintings - left_out - heard.paintings
        all_voices = stood_in(joined_by(heard, unheard, self._whisper(query, speakers)), left_out)
        probabilities, unknown = calibration.posterior(all_voices)
        ranked = [code for code in np.argsort(-probabilities, kind="stable").tolist() if heard.paintings[code]][:k]
        shown = [_loudest(speakers, code) for code in ranked]
        neighbours = self._by_distance(query, [place for places in shown for place in places])
        return tuple(RankedArtist(artists.names[code], float(probabilities[code]),
                                  tuple(sorted((neighbours[place] for place in places), key=lambda n: n.distance)))
                     for code, places in zip(ranked, shown, strict=True)), float(unknown)

    def _whisper(self, query: Query, speakers: Speakers) -> float:
        """exp(KERNEL * (cosine - 1)) of a painting farther than those heard, on average over the witnesses."""
        if speakers.are_all or not len(speakers.cosines):
            return 0.0
        cosines = np.asarray(self.store.witnesses.vectors @ query.vector, np.float64)
        far = cosines[cosines < speakers.cosines.min()]
        return float(np.exp(KERNEL * (far - 1)).mean()) if len(far) else 0.0

    def _by_distance(self, query: Query, places: list[int]) -> dict[int, Neighbour]:
        """Neighbours at these places, ascending so that equally near ones keep the order of their places."""
        places = sorted(set(places))
        apart = distances(query.vector[None], self.store.vectors_at(places)).tolist() if places else []
        return dict(zip(places, self._neighbours(places, apart), strict=True))

    def _neighbours(self, places: list[int], apart: list[float]) -> tuple[Neighbour, ...]:
        return tuple(Neighbour(painting, distance)
                     for painting, distance in zip(self.store.paintings(places), apart, strict=True))


def _loudest(speakers: Speakers, artist: int) -> list[int]:
    """The places of an artist's paintings that speak loudest, in the order of the places."""
    numbers = np.flatnonzero(speakers.artists == artist)
    numbers = numbers[np.isfinite(speakers.cosines[numbers])]
    loudest = numbers[np.argsort(-speakers.cosines[numbers], kind="stable")[:SPEAKERS]]
    return sorted(speakers.places[loudest].tolist())


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


def stood_in(heard: Voices, left_out: npt.NDArray[np.int64]) -> Voices:
    """Voices as loud and as many as if nobody had been left out; left_out: (artists,) paintings that did not speak.

    A painting of the index does not speak to itself. Were its artist one painting short, where all others are whole,
    the count would tell whose it is. So the artist's other paintings, on average, speak in its place.
    """
    is_heard = heard.paintings > 0
    counts = np.where(is_heard, heard.paintings + left_out, 0.0)
    louder = np.log(np.where(is_heard, counts, 1) / np.where(is_heard, heard.paintings, 1))
    return Voices(heard.scores + louder / KERNEL, counts)


def voices_of(gallery: Array, codes: npt.NDArray[np.int64], artists: int, queries: Array,
              own: npt.NDArray[np.int64] | None = None) -> Voices:
    """What a gallery (n, d) with artists (n,) says to queries (q, d).

    own: (q,) the place each has in it itself, where it does not speak and is stood in for; -1 where it has none.
    """
    scores, paintings = [], []
    for number, query in enumerate(queries):
        cosines = np.asarray(gallery @ query, np.float64)
        place = -1 if own is None else own[number]
        if place >= 0:
            cosines[place] = -np.inf
        heard = voices(cosines, codes, artists)
        if place >= 0 and codes[place] >= 0:
            heard = stood_in(heard, np.bincount(codes[place, None], minlength=artists))
        scores.append(heard.scores)
        paintings.append(heard.paintings)
    return Voices(np.reshape(scores, (len(queries), artists)), np.reshape(paintings, (len(queries), artists)))


def silenced(known: Voices, artists: npt.NDArray[np.int64]) -> Voices:
    """What is said to the same queries (q,) without their own artists."""
    scores, paintings = known.scores.copy(), known.paintings.copy()
    scores[np.arange(len(artists)), artists] = -np.inf
    paintings[np.arange(len(artists)), artists] = 0
    return Voices(scores, paintings)
