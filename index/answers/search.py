"""Rank the paintings nearest to a query, and the artists who might have painted it.

Every painting counts for its artist, by a kernel that falls steeply with distance (artist_scores.py); calibration.py
corrects an artist's score for the number of paintings. Whether two paintings share an artist is decided in verify.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...embedder.catalogs.attribution import artist_key
from ..scoring.artist_scores import (
    KERNEL,
    ArtistCalibration,
    GalleryScores,
    artist_scores,
    compensated,
    largest,
    paintings_by,
    with_tail,
)
from ..scoring.neighbourhood import FEWEST, NEAREST, nearness, query_expansion, similarity
from ..scoring.vectors import NOBODY, Array, Doubles, Integers, Mask, blocks, distances
from ..storage.vector_store import Candidates, Near, Painting, Seen, VectorStore
from . import wording
from .kinds import Kinds
from .same_picture import SamePicture
from .wording import Summary

if TYPE_CHECKING:
    import pandas as pd

COMPARED = 1024  # paintings whose nearness to the landmarks is remembered: 16 MB
SHOWN = 3  # paintings shown as the evidence for an artist
SCORED_AT_ONCE = 1 << 16  # scores of artists that are turned into probabilities together: half a megabyte each time


@dataclass(frozen=True)
class Neighbour:
    """A painting of the index and its distance (1 - cosine, 0 to 2) to the query."""

    painting: Painting
    distance: float


@dataclass(frozen=True)
class RankedArtist:
    """An artist, the probability that the query is by this artist, and the artist's nearest paintings as evidence.

    works: the number of their paintings that could count, without the query itself.
    """

    artist: str
    probability: float
    paintings: tuple[Neighbour, ...]
    works: int


@dataclass(frozen=True)
class Twin:
    """A painting of the index whose photograph shows the query's picture, and how."""

    painting: Painting
    how: SamePicture


@dataclass(frozen=True)
class Answer:
    """Who might have painted the query. unknown: the probability that none of the index's artists did.

    searched: how many paintings could have been found; approximate: whether the search may have missed one;
    one_picture: paintings that show the same picture, as far as they were compared; painting: the query itself, if the
    index has it; recorded_works: how many others by its recorded artist could count; sculpture: the probability that
    the query shows a sculpture; summary: the answer in sentences, None if only paintings were asked for.
    """

    query: str
    artists: tuple[RankedArtist, ...]
    unknown: float | None  # None if only paintings were asked for
    paintings: tuple[Neighbour, ...]
    searched: int
    approximate: bool
    model: str
    generation: int
    one_picture: tuple[Twin, ...] = ()
    painting: Painting | None = None
    recorded_works: int = 0
    sculpture: float | None = None  # None if only paintings were asked for, or the model does not tell
    summary: Summary | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "summary", self._in_words())

    def _in_words(self) -> Summary | None:
        if self.unknown is None:
            return None
        recorded = None
        if self.painting and (key := artist_key(self.painting.artist)):
            ranks = [rank for rank, each in enumerate(self.artists) if artist_key(each.artist) == key]
            recorded = wording.Recorded(self.painting.by, ranks[0] if ranks else None, self.recorded_works)
        named = [wording.Named(each.artist, each.probability, each.works) for each in self.artists]
        return wording.of_artists(
            named,
            self.unknown,
            self.searched,
            recorded,
            is_from_elsewhere=self.painting is None,
            sculpture=self.sculpture,
        )

    def to_frame(self) -> pd.DataFrame:
        """One row per painting: `artist` and `probability`, likeliest first, and `id`, `title`, `year` and `distance`.

        The paintings are those that speak for each artist; if only paintings were asked for, the nearest, without a
        probability.
        """
        import pandas as pd

        rows: list[tuple[str | None, float | None, Neighbour]] = [
            (ranked.artist, ranked.probability, near) for ranked in self.artists for near in ranked.paintings
        ]
        rows = rows or [(near.painting.artist, None, near) for near in self.paintings]
        frame = pd.DataFrame(
            [
                (artist, probability, near.painting.id, near.painting.title, near.painting.year, near.distance)
                for artist, probability, near in rows
            ],
            columns=["artist", "probability", "id", "title", "year", "distance"],
        )
        return frame.astype({"probability": "float64", "year": "Int64", "distance": "float64"})


@dataclass(frozen=True)
class Query:
    """A painting asked about: its vector (d,), and the places in a generation's table that are the same painting.

    expanded: (d,) the vector for its neighbourhood, if that was computed (`Gallery.expanded`).
    """

    name: str
    vector: Array
    own: frozenset[int]
    painting: Painting | None = None
    expanded: Array | None = None


class Scored(NamedTuple):
    """All artists by how near they are to a query, or to each of several (q, artists).

    is_near: (artists,) who has a painting among the candidates; left_out: (artists,) how many of theirs are the query.
    """

    scores: GalleryScores
    is_near: Mask
    left_out: Integers


class Gallery:
    """A store's paintings as evidence: which are near, and by which artists."""

    def __init__(self, store: VectorStore) -> None:
        self.store = store
        self._near_landmarks: dict[bytes, Doubles] = {}  # of queries compared last, by their expanded vectors
        self.kinds = Kinds(store)

    def __len__(self) -> int:
        return len(self.store)

    def neighbourhood_similarities(self, pairs: Sequence[tuple[Query, Query]]) -> Doubles | None:
        """(p,) of the two paintings of each pair, 0 to 1 (neighbourhood.py); None if there are too few landmarks.

        Neither painting, nor a copy of one, counts as a landmark.
        """
        landmarks = self.store.landmarks
        if len(landmarks) < FEWEST:
            return None
        queries = {id(query): query for pair in pairs for query in pair}
        near = {
            key: (self._nearness(np.asarray(query.expanded)), landmarks.of_painting(query.own, query.vector))
            for key, query in zip(queries, self.expanded([*queries.values()]), strict=True)
        }
        return np.array([_similarity(*near[id(a)], *near[id(b)]) for a, b in pairs])

    @property
    def expands_by_looking(self) -> bool:
        """Whether `look` finds all that `expanded` needs."""
        return self.store.everything is self.store and not self.store.is_approximate

    def _nearness(self, expanded: Array) -> Doubles:
        """(m,) of a vector (d,) to the landmarks."""
        key = expanded.tobytes()
        found = self._near_landmarks.get(key)
        if found is None:
            landmarks = self.store.landmarks
            found = nearness((landmarks.augmented @ expanded).astype(np.float64), landmarks.bandwidth)
            if len(self._near_landmarks) >= COMPARED:
                self._near_landmarks.clear()
            self._near_landmarks[key] = found
        return found

    def expanded(self, queries: Sequence[Query], near: Sequence[Near] = ()) -> list[Query]:
        """The same queries: a painting of the index is expanded by its nearest there, one from elsewhere is unchanged.

        A picture that was saved again at a painting's path counts as from elsewhere. All are searched at once, unless
        the nearest of each in this store are known.
        """
        found = [query if query.painting or query.expanded is not None else _as_it_is(query) for query in queries]
        missing = [number for number, query in enumerate(found) if query.expanded is None]
        if not missing:
            return found
        every = self.store.everything
        if near and every is self.store:
            near = [near[number] for number in missing]
        else:
            near = every.nearest(_vectors(found[n] for n in missing), [NEAREST + len(found[n].own) for n in missing])
        for number, those in zip(missing, near, strict=True):
            found[number] = self._expanded(found[number], those)
        return found

    def _expanded(self, query: Query, near: Near) -> Query:
        """near: the nearest in the whole index, or some of them."""
        every = self.store.everything
        while True:
            vectors = every.vectors_at(near.places.tolist())
            is_other = (vectors != query.vector).any(axis=1)  # nor a copy
            is_other &= [place not in query.own for place in near.places.tolist()]
            more = near
            if is_other.sum() < NEAREST:
                (more,) = every.nearest(query.vector[None], [2 * len(near.places)])
            if len(more.places) <= len(near.places):
                others = vectors[is_other][None, :NEAREST]
                return replace(query, expanded=query_expansion(query.vector[None], others)[0])
            near = more

    def look(self, queries: Sequence[Query], k: int) -> Iterator[Seen]:
        """What `nearest_paintings` (up to k) and `nearest_artists` need for each query, in one pass over the
        paintings."""
        own = [query.own for query in queries]
        return self.store.look(_vectors(queries), [k + len(places) for places in own], own)

    def nearest_paintings(self, queries: Sequence[Query], k: int) -> list[tuple[Neighbour, ...]]:
        """The k paintings nearest to each query, without itself."""
        found = self.store.nearest(_vectors(queries), [k + len(query.own) for query in queries])
        return [self.neighbours(query, near, k) for query, near in zip(queries, found, strict=True)]

    def neighbours(self, query: Query, near: Near, k: int) -> tuple[Neighbour, ...]:
        """The first k of those near to a query, without itself."""
        return tuple(self.neighbours_without(query, [frozenset()], near, k)[0].values())

    def neighbours_without(
        self, query: Query, others: Sequence[frozenset[int]], near: Near, k: int
    ) -> list[dict[int, Neighbour]]:
        """The same by their places, once without each of the others: places that are left out, too."""
        most = k + max(map(len, others), default=0)
        found = [
            (place, distance)
            for place, distance in zip(near.places.tolist(), near.distances.tolist(), strict=True)
            if place not in query.own
        ][:most]
        places = [place for place, _ in found]
        neighbours = [*zip(places, self._neighbours(places, [distance for _, distance in found]), strict=True)]
        return [dict([each for each in neighbours if each[0] not in other][:k]) for other in others]

    def nearest_artists(
        self, query: Query, candidates: Candidates, k: int, calibration: ArtistCalibration
    ) -> tuple[tuple[RankedArtist, ...], float]:
        """The k most probable artists, and the probability that it is none of the index's artists.

        candidates: the result of a pass over the paintings. Artists whose only painting is the query itself are left
        out.
        """
        return next(self.nearest_artists_without(query, [frozenset()], candidates, k, calibration))

    def nearest_artists_without(
        self,
        query: Query,
        others: Sequence[frozenset[int]],
        candidates: Candidates,
        k: int,
        calibration: ArtistCalibration,
    ) -> Iterator[tuple[tuple[RankedArtist, ...], float]]:
        """The same, once without each of the others: places that are left out, too.

        The query is scored once, and only the artists of others again. candidates: all paintings, unless the others are
        empty.
        """
        tail = self._tail_estimate(query, candidates)
        own = self.store.artists_at(list(query.own))
        left_out = paintings_by(own, len(self.store.artists.keys))
        scored = _scored(candidates, self.store.artists.paintings, left_out, tail)
        for some in blocks(len(others), max(1, SCORED_AT_ONCE // max(len(left_out), 1))):
            again = self._scored_without(others[some], candidates, scored)
            yield from self._ranked(query, others[some], candidates, again, k, calibration)

    def _scored_without(self, others: Sequence[frozenset[int]], candidates: Candidates, scored: Scored) -> Scored:
        """(o, artists) of a query with these scores (artists,), without each of the others (o)."""
        known, size = scored.scores, (len(others), 1)
        paintings, left_out = known.paintings, np.tile(scored.left_out, size)
        scores, is_near = np.tile(known.scores, size), np.tile(scored.is_near, size)
        artists = [self.store.artists_at(list(other)).tolist() if other else [] for other in others]
        theirs = [(row, code) for row, codes in enumerate(artists) for code in codes if code != NOBODY]
        for row, code in theirs:
            left_out[row, code] += 1
        if theirs:
            rows, codes = np.array(sorted(set(theirs))).T
            fewer = _fewer_of(others, candidates, rows, codes)
            again = _scored(fewer, self.store.artists.paintings[codes], left_out[rows, codes], 0.0)
            scores[rows, codes], is_near[rows, codes] = again.scores.scores, again.is_near
            if (again.scores.paintings != paintings[codes]).any():
                paintings = np.tile(paintings, size)
                paintings[rows, codes] = again.scores.paintings
        return Scored(GalleryScores(scores, paintings), is_near, left_out)

    def _ranked(
        self,
        query: Query,
        others: Sequence[frozenset[int]],
        candidates: Candidates,
        scored: Scored,
        k: int,
        calibration: ArtistCalibration,
    ) -> Iterator[tuple[tuple[RankedArtist, ...], float]]:
        """`nearest_artists_without` by known scores (o, artists)."""
        left_out = [query.own | other for other in others]
        probabilities, unknown = calibration.posterior(
            self.kinds.compared(query.vector, left_out, scored.scores, calibration)
        )
        order = largest(np.where(scored.is_near, probabilities, -np.inf), k)
        is_there = np.take_along_axis(scored.is_near, order, axis=1)
        nearest = {code: _nearest_first(candidates, code) for code in {*order[is_there].tolist()}}
        shown = []  # for each of the others, the artists and their places
        for other, codes, there in zip(others, order, is_there, strict=True):
            own = query.own | other
            shown.append([(code, _first_without(own, nearest[code])) for code in codes[there].tolist()])
        distinct = {places for ranked in shown for _, places in ranked}
        near = self._by_distance(query, {place for places in distinct for place in places})
        evidence = {places: tuple(sorted((near[p] for p in places), key=lambda n: n.distance)) for places in distinct}
        artists = self.store.artists
        for row, ranked in enumerate(shown):
            yield (
                tuple(
                    RankedArtist(
                        artists.names[code],
                        float(probabilities[row, code]),
                        evidence[places],
                        int(artists.paintings[code] - scored.left_out[row, code]),
                    )
                    for code, places in ranked
                ),
                float(unknown[row]),
            )

    def other_works(self, query: Query) -> int:
        """How many paintings by the query's recorded artist could count, not including the query itself."""
        key = artist_key(query.painting.artist) if query.painting else None
        code = None if key is None else self.store.artists.numbers.get(key)
        if code is None:
            return 0
        return int(self.store.artists.paintings[code] - (self.store.artists_at(list(query.own)) == code).sum())

    def _tail_estimate(self, query: Query, candidates: Candidates) -> float:
        """exp(KERNEL * (cosine - 1)) of a painting that is farther than the candidates, estimated as a mean over the
        landmarks."""
        if candidates.are_all or not len(candidates.cosines):
            return 0.0
        cosines = np.asarray(self.store.landmarks.vectors @ query.vector, np.float64)
        far = cosines[cosines < candidates.cosines.min()]
        return float(np.exp(KERNEL * (far - 1)).mean()) if len(far) else 0.0

    def _by_distance(self, query: Query, found: Collection[int]) -> dict[int, Neighbour]:
        """Neighbours at these places."""
        places = sorted(found)
        apart = distances(query.vector[None], self.store.vectors_at(places)).tolist() if places else []
        return dict(zip(places, self._neighbours(places, apart), strict=True))

    def _neighbours(self, places: list[int], apart: list[float]) -> tuple[Neighbour, ...]:
        return tuple(
            Neighbour(painting, distance)
            for painting, distance in zip(self.store.paintings(places), apart, strict=True)
        )


def _similarity(near_a: Doubles, own_a: list[int], near_b: Doubles, own_b: list[int]) -> float:
    """Of two paintings with this nearness (m,) to the landmarks, of which some are themselves."""
    if own := own_a + own_b:
        near_a, near_b = near_a.copy(), near_b.copy()
        near_a[own] = near_b[own] = 0
    return similarity(near_a, near_b)


def _scored(candidates: Candidates, paintings: Integers, left_out: Integers, tail: float) -> Scored:
    """Artists (a,), as the candidates number them, of so many paintings; left_out and tail: as in artist_scores.py."""
    scored = artist_scores(candidates.cosines, candidates.artists, len(paintings))
    whole = with_tail(scored, paintings - left_out - scored.paintings, tail)
    return Scored(compensated(whole, left_out), scored.paintings > 0, left_out)


def _as_it_is(query: Query) -> Query:
    return replace(query, expanded=query.vector)


def _vectors(queries: Iterable[Query]) -> Array:
    """(q, d)"""
    return np.array([query.vector for query in queries], np.float32)


def _fewer_of(others: Sequence[frozenset[int]], candidates: Candidates, rows: Integers, codes: Integers) -> Candidates:
    """Paintings by some artists (s,), each without one of the others; the artists are numbered anew from 0.

    rows: (s,) which of the others; codes: (s,) the artists' numbers.
    """
    numbers = [candidates.by(code) for code in codes.tolist()]
    artists, every = np.repeat(np.arange(len(codes)), [*map(len, numbers)]), np.concatenate(numbers)
    places, cosines = candidates.places_of(every), candidates.cosines[every]
    left_out = [others[row] for row in rows[artists].tolist()]
    cosines[[place in other for place, other in zip(places.tolist(), left_out, strict=True)]] = -np.inf
    return Candidates(places, artists, cosines, are_all=True)


def _nearest_first(candidates: Candidates, artist: int) -> list[int]:
    """The places of an artist's paintings."""
    numbers = candidates.by(artist)
    order = np.argsort(-candidates.cosines[numbers], kind="stable")
    found: list[int] = candidates.places_of(numbers[order]).tolist()
    return found


def _first_without(own: Collection[int], nearest_first: list[int]) -> tuple[int, ...]:
    """The first places that are shown, ascending, so that equally near ones keep their order."""
    return tuple(sorted(islice((place for place in nearest_first if place not in own), SHOWN)))
