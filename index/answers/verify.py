"""The verdict on a pair: distance, threshold, probability, and the evidence in the neighbours of both.

The decision compares the distance with a threshold. The calibration is that of the fused distance (calibration.py),
made of distance and neighbourhood similarity. So the threshold is lower for two paintings with different neighbours,
and higher for two with the same. Artists and shared neighbours are shown as evidence and do not change it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np

from ...embedder import bounds
from ..scoring.calibration import DEFAULT_FALSE_POSITIVE_RATE, DEFAULT_PRIOR, Calibration, PairCalibration
from ..scoring.vectors import Doubles, distances
from ..storage.vector_store import Painting, Seen
from . import wording
from .same_picture import SamePicture
from .search import Gallery, Neighbour, Query, RankedArtist
from .wording import Summary

NEIGHBOURS = 15  # nearest paintings of each side, among which shared ones are found
ARTISTS = 3  # named on each side
NOTHING = frozenset[int]()


@dataclass(frozen=True)
class Side:
    """One of the two paintings: the painting of the index, if it is one, and the artists nearest to it.

    sculpture: the probability that it is none, but a sculpture; None if the model does not tell.
    """

    name: str
    painting: Painting | None
    artists: tuple[RankedArtist, ...]
    unknown: float
    sculpture: float | None = None


@dataclass(frozen=True)
class SharedNeighbour:
    """A painting among the nearest of both, with its distance to each."""

    painting: Painting
    distance_a: float
    distance_b: float


@dataclass(frozen=True)
class Judgement:
    """Were the two painted by the same artist? same is distance < threshold; probability holds under the prior.

    neighbourhood_similarity: 0 to 1; None if the index has too few paintings, and then the distance alone decides.
    false_positive_rate: None if the threshold was given.
    """

    same: bool
    distance: float
    threshold: float
    false_positive_rate: float | None
    probability: float
    probability_by_distance: float  # without the neighbourhood
    neighbourhood_similarity: float | None
    prior: float


@dataclass(frozen=True)
class Verdict(Judgement):
    """A judgement with its evidence: the artists nearest to each, and the paintings near to both.

    one_picture: how the two show the same picture, if they were compared and do; is_too_sure: the index holds neither,
    and its calibration was never measured on such pairs; summary: the answer in sentences.
    """

    a: Side
    b: Side
    shared: tuple[SharedNeighbour, ...]
    measured_on: str
    model: str
    generation: int
    one_picture: SamePicture | None = None
    is_too_sure: bool = False
    summary: Summary = wording.UNTOLD

    def __post_init__(self) -> None:
        judged = {name: getattr(self, name) for name in Judgement.__dataclass_fields__}
        says = self.one_picture.says if self.one_picture else None
        sculptures = [name for name, side in (("A", self.a), ("B", self.b)) if wording.is_sculpture(side.sculpture)]
        summary = wording.of_pair(
            **judged, one_picture=says, is_too_sure=self.is_too_sure, sculptures=" and ".join(sculptures)
        )
        object.__setattr__(self, "summary", summary)


@dataclass(frozen=True)
class Decision:
    """How to decide: at a calibrated false-positive rate, or at a given distance; and the prior."""

    false_positive_rate: float = DEFAULT_FALSE_POSITIVE_RATE
    threshold: float | None = None
    prior: float = DEFAULT_PRIOR

    def __post_init__(self) -> None:
        """Raises BadSetting for a number that is out of bounds."""
        bounds.PRIOR.checked("prior", self.prior)
        if self.threshold is not None:
            bounds.DISTANCE.checked("threshold", self.threshold)


def judge(gallery: Gallery, a: Query, b: Query, calibration: Calibration, decision: Decision) -> Judgement:
    """Compare two paintings, without collecting evidence."""
    return judgements(gallery, [(a, b)], calibration, decision)[0]


def judgements(
    gallery: Gallery, pairs: Sequence[tuple[Query, Query]], calibration: Calibration, decision: Decision
) -> list[Judgement]:
    """`judge` on several pairs; what belongs to one painting is computed once."""
    if not pairs:
        return []
    apart = distances(*(np.array([pair[side].vector for pair in pairs]) for side in (0, 1)))
    similarities = gallery.neighbourhood_similarities(pairs)
    is_inside = np.array([_is_any_inside(*pair) for pair in pairs])
    found: dict[int, Judgement] = {}
    for inside in (True, False):
        these = np.flatnonzero(is_inside == inside)
        similar = None if similarities is None else similarities[these]
        judged = _judged(apart[these], similar, calibration.pairs_where(is_any_inside=inside), decision)
        found.update(zip(these.tolist(), judged, strict=True))
    return [found[number] for number in range(len(pairs))]


def _judged(
    apart: Doubles, similarities: Doubles | None, calibration: PairCalibration, decision: Decision
) -> Iterator[Judgement]:
    """By distances (p,) and neighbourhood similarities (p,)."""
    scale = calibration.scale(similarities is not None)
    point = scale.point(decision.false_positive_rate)
    added = np.zeros(len(apart)) if similarities is None else calibration.neighbourhood_weight * (1 - similarities)
    thresholds = point.distance - added if decision.threshold is None else np.full(len(apart), decision.threshold)
    for distance, threshold, probability, by_distance, similarity in zip(
        apart.tolist(),
        thresholds.tolist(),
        scale.probabilities(apart + added, decision.prior).tolist(),
        calibration.by_distance.probabilities(apart, decision.prior).tolist(),
        repeat(None) if similarities is None else similarities.tolist(),
        strict=False,
    ):
        yield Judgement(
            same=distance < threshold,
            distance=distance,
            threshold=threshold,
            false_positive_rate=point.false_positive_rate if decision.threshold is None else None,
            probability=probability,
            probability_by_distance=by_distance,
            neighbourhood_similarity=similarity,
            prior=decision.prior,
        )


def verdict(gallery: Gallery, a: Query, b: Query, calibration: Calibration, decision: Decision) -> Verdict:
    """Compare two paintings and say why."""
    return next(verdicts(gallery, [(a, b)], calibration, decision))


def verdicts(
    gallery: Gallery, pairs: Sequence[tuple[Query, Query]], calibration: Calibration, decision: Decision
) -> Iterator[Verdict]:
    """`verdict` on several pairs; each of their paintings is searched for once, all together."""
    found = _evidence(gallery, pairs, calibration)
    both = [(found[_key(a, b)], found[_key(b, a)]) for a, b in pairs]
    judged = judgements(gallery, [(of_a.query, of_b.query) for of_a, of_b in both], calibration, decision)
    for pair, judgement, sides in zip(pairs, judged, both, strict=True):
        yield _verdict(gallery, pair, judgement, sides, calibration)


class _Evidence(NamedTuple):
    """One side of a pair, expanded (search.py), and what is near to it, by place."""

    query: Query
    neighbours: dict[int, Neighbour]
    artists: tuple[RankedArtist, ...]
    unknown: float


# Of a side: its vector, itself, whether it is from elsewhere, and the other side.
_Key = tuple[bytes, frozenset[int], bool, frozenset[int]]


def _key(query: Query, other: Query) -> _Key:
    return query.vector.tobytes(), query.own, query.painting is None, other.own - query.own


def _evidence(
    gallery: Gallery, pairs: Sequence[tuple[Query, Query]], calibration: Calibration
) -> dict[_Key, _Evidence]:
    """Of both sides of all pairs. Neither painting of a pair is evidence for the other."""
    asked: dict[tuple[Any, ...], tuple[Query, dict[frozenset[int], _Key]]] = {}
    for pair in pairs:
        for query, partner in (pair, pair[::-1]):
            key = _key(query, partner)
            # An approximate search is short, and made for each pair.
            asked.setdefault(key if gallery.store.is_approximate else key[:3], (query, {}))[1][key[3]] = key
    sides, others_of = [side for side, _ in asked.values()], [others for _, others in asked.values()]
    if not gallery.expands_by_looking:
        sides = gallery.expanded(sides)
    # If there is only one other side, a painting is searched for without it.
    queries = [
        _without(side, *others) if len(others) == 1 else side for side, others in zip(sides, others_of, strict=True)
    ]
    most = max((len(other) for others in others_of if len(others) > 1 for other in others), default=0)
    looked = gallery.look(queries, NEIGHBOURS + most)
    found: dict[_Key, _Evidence] = {}
    for side, query, keys, seen in zip(sides, queries, others_of, looked, strict=True):
        (expanded,) = gallery.expanded([side], [seen.near])
        others = [other - query.own for other in keys]
        if seen.candidates.are_all or not any(others):
            each = _evidence_of(gallery, expanded, query, others, seen, calibration)
        else:
            aparts = [_without(query, other) for other in others]
            each = (
                evidence
                for apart in aparts
                for afresh in gallery.look([apart], NEIGHBOURS)
                for evidence in _evidence_of(gallery, expanded, apart, [NOTHING], afresh, calibration)
            )
        found.update(zip(keys.values(), each, strict=True))
    return found


def _without(query: Query, other: frozenset[int]) -> Query:
    return replace(query, own=query.own | other)


def _evidence_of(
    gallery: Gallery,
    expanded: Query,
    query: Query,
    others: Sequence[frozenset[int]],
    seen: Seen,
    calibration: Calibration,
) -> Iterator[_Evidence]:
    """For a query without each of the others."""
    near = gallery.neighbours_without(query, others, seen.near, NEIGHBOURS)
    ranked = gallery.nearest_artists_without(query, others, seen.candidates, ARTISTS, calibration.artists)
    for neighbours, (artists, unknown) in zip(near, ranked, strict=True):
        yield _Evidence(expanded, neighbours, artists, unknown)


def _verdict(
    gallery: Gallery,
    pair: tuple[Query, Query],
    judgement: Judgement,
    sides: tuple[_Evidence, _Evidence],
    calibration: Calibration,
) -> Verdict:
    (a, b), (of_a, of_b) = pair, sides
    manifest = gallery.store.manifest
    shows = partial(gallery.kinds.sculpture, calibration=calibration.artists)
    return Verdict(
        **vars(judgement),
        a=Side(a.name, a.painting, of_a.artists, of_a.unknown, shows(a.vector)),
        b=Side(b.name, b.painting, of_b.artists, of_b.unknown, shows(b.vector)),
        shared=_shared(of_a.neighbours, of_b.neighbours),
        measured_on=calibration.pairs_where(is_any_inside=_is_any_inside(a, b)).measured_on,
        model=manifest.model.sha256,
        generation=manifest.generation,
        is_too_sure=calibration.outside is None and not (a.painting or b.painting),
    )


def _is_any_inside(a: Query, b: Query) -> bool:
    return bool(a.own or b.own)


def _shared(of_a: dict[int, Neighbour], of_b: dict[int, Neighbour]) -> tuple[SharedNeighbour, ...]:
    """Nearest to both first."""
    both = [SharedNeighbour(of_a[p].painting, of_a[p].distance, of_b[p].distance) for p in of_a if p in of_b]
    return tuple(sorted(both, key=lambda s: (s.distance_a + s.distance_b, s.painting.id)))
