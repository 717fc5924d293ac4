"""The verdict on a pair: distance, threshold, probability, and the evidence in the neighbours of both.

The decision compares the distance with a threshold. The calibration is that of the fused distance (calibration.py),
made of distance and neighbourhood similarity. So the threshold is lower for two paintings with different neighbours,
and higher for two with the same. Artists and shared neighbours are shown as evidence and do not change it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from ...embedder import bounds
from ..scoring.calibration import DEFAULT_FALSE_POSITIVE_RATE, DEFAULT_PRIOR, Calibration, PairCalibration
from ..scoring.vectors import distances
from ..storage.vector_store import Painting, Seen
from . import wording
from .same_picture import SamePicture
from .search import Gallery, Neighbour, Query, RankedArtist
from .wording import Summary

NEIGHBOURS = 15  # nearest paintings of each side, among which shared ones are found
ARTISTS = 3  # named on each side


@dataclass(frozen=True)
class Side:
    """One of the two paintings: the painting of the index, if it is one, and the artists nearest to it."""

    name: str
    painting: Painting | None
    artists: tuple[RankedArtist, ...]
    unknown: float


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
        summary = wording.of_pair(**judged, one_picture=says, is_too_sure=self.is_too_sure)
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


def judge(gallery: Gallery, a: Query, b: Query, calibrations: Calibration, decision: Decision) -> Judgement:
    """Compare two paintings, without collecting evidence."""
    calibration = _calibration_for(a, b, calibrations)
    distance = float(distances(a.vector, b.vector))
    similarity = gallery.neighbourhood_similarity(a, b)
    scale = calibration.scale(similarity is not None)
    point = scale.point(decision.false_positive_rate)
    added = 0.0 if similarity is None else calibration.neighbourhood_weight * (1 - similarity)
    threshold = point.distance - added if decision.threshold is None else decision.threshold
    return Judgement(
        same=distance < threshold,
        distance=distance,
        threshold=threshold,
        false_positive_rate=point.false_positive_rate if decision.threshold is None else None,
        probability=scale.probability(distance + added, decision.prior),
        probability_by_distance=calibration.by_distance.probability(distance, decision.prior),
        neighbourhood_similarity=similarity,
        prior=decision.prior,
    )


def verdict(gallery: Gallery, a: Query, b: Query, calibration: Calibration, decision: Decision) -> Verdict:
    """Compare two paintings and say why."""
    return next(verdicts(gallery, [(a, b)], calibration, decision))


def verdicts(
    gallery: Gallery, pairs: Sequence[tuple[Query, Query]], calibration: Calibration, decision: Decision
) -> Iterator[Verdict]:
    """`verdict` on several pairs; their paintings are searched for together."""
    # Neither painting of a pair is evidence for the other.
    apart = [replace(query, own=a.own | b.own) for a, b in pairs for query in (a, b)]
    seen = gallery.look(apart, NEIGHBOURS)
    for number, pair in enumerate(pairs):
        yield _verdict(
            gallery, pair, apart[2 * number : 2 * number + 2], [next(seen), next(seen)], calibration, decision
        )


def _verdict(
    gallery: Gallery,
    pair: tuple[Query, Query],
    apart: Sequence[Query],
    seen: Sequence[Seen],
    calibration: Calibration,
    decision: Decision,
) -> Verdict:
    """apart: the two queries, each without the other; seen: their results."""
    a, b = gallery.expanded(pair, seen)
    manifest = gallery.store.manifest
    side_a, side_b = (_side(gallery, *each, calibration) for each in zip(apart, seen, strict=True))
    return Verdict(
        **vars(judge(gallery, a, b, calibration, decision)),
        a=side_a,
        b=side_b,
        shared=_shared(*(gallery.neighbours(q, each.near, NEIGHBOURS) for q, each in zip(apart, seen, strict=True))),
        measured_on=_calibration_for(a, b, calibration).measured_on,
        model=manifest.model.sha256,
        generation=manifest.generation,
        is_too_sure=calibration.outside is None and not (a.painting or b.painting),
    )


def _calibration_for(a: Query, b: Query, calibration: Calibration) -> PairCalibration:
    return calibration.pairs_where(is_any_inside=bool(a.own or b.own))


def _side(gallery: Gallery, query: Query, seen: Seen, calibration: Calibration) -> Side:
    artists, unknown = gallery.nearest_artists(query, seen.candidates, ARTISTS, calibration.artists)
    return Side(query.name, query.painting, artists, unknown)


def _shared(near_a: Iterable[Neighbour], near_b: Iterable[Neighbour]) -> tuple[SharedNeighbour, ...]:
    """Nearest to both first."""
    of_a, of_b = ({neighbour.painting: neighbour for neighbour in near} for near in (near_a, near_b))
    both = [SharedNeighbour(p, of_a[p].distance, of_b[p].distance) for p in of_a if p in of_b]
    return tuple(sorted(both, key=lambda s: (s.distance_a + s.distance_b, s.painting.id)))
