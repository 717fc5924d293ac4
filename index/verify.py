"""The verdict on a pair: distance, threshold, probability, and what the neighbours of both say.

The decision is the distance against a threshold whose false-positive rate was counted at calibration; the
neighbours are shown as evidence and do not move it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .calibrate import Calibration, OperatingPoint
from .search import Gallery, Neighbour, Painting, Query, RankedArtist
from .vectors import distances

NEIGHBOURS = 15  # paintings looked at on each side for those they share
ARTISTS = 3  # named on each side


@dataclass(frozen=True)
class Side:
    """One of the two paintings: its place in the index, if it has one, and the artists nearest to it."""

    name: str
    painting: Painting | None
    artists: tuple[RankedArtist, ...]
    unknown: float


@dataclass(frozen=True)
class SharedNeighbour:
    """A painting among the nearest of both, with its distance to either."""

    painting: Painting
    distance_a: float
    distance_b: float


@dataclass(frozen=True)
class Verdict:
    """Were the two painted by the same artist? same is distance < threshold; probability holds under the prior."""

    same: bool
    distance: float
    threshold: float
    false_positive_rate: float
    probability: float
    prior: float
    a: Side
    b: Side
    shared: tuple[SharedNeighbour, ...]
    measured_on: str
    model: str
    generation: int


def verdict(gallery: Gallery, a: Query, b: Query, calibration: Calibration, point: OperatingPoint, prior: float
            ) -> Verdict:
    """Compare two paintings; `point` is the threshold to decide at."""
    distance = float(distances(a.vector, b.vector))
    manifest = gallery.generation.manifest
    # Neither speaks for the other: that would be no third witness.
    a, b = (replace(query, own_rows=a.own_rows | b.own_rows) for query in (a, b))
    return Verdict(
        same=distance < point.distance, distance=distance, threshold=point.distance,
        false_positive_rate=point.false_positive_rate, probability=calibration.pairs.probability(distance, prior),
        prior=prior, a=_side(gallery, a, calibration), b=_side(gallery, b, calibration),
        shared=_shared(gallery, a, b), measured_on=calibration.pairs.measured_on,
        model=manifest.model.sha256, generation=manifest.generation,
    )


def _side(gallery: Gallery, query: Query, calibration: Calibration) -> Side:
    artists, unknown = gallery.nearest_artists(query, ARTISTS, calibration.artists)
    return Side(query.name, query.painting, artists, unknown)


def _shared(gallery: Gallery, a: Query, b: Query) -> tuple[SharedNeighbour, ...]:
    """Nearest to both first."""
    def near(query: Query) -> dict[Painting, Neighbour]:
        return {n.painting: n for n in gallery.nearest_paintings(query, NEIGHBOURS)}

    of_a, of_b = near(a), near(b)
    both = [SharedNeighbour(p, of_a[p].distance, of_b[p].distance) for p in of_a if p in of_b]
    return tuple(sorted(both, key=lambda s: (s.distance_a + s.distance_b, s.painting.id)))
