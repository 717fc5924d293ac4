"""What a curator should look at: records that show one picture, doubtful attributions, works without an artist.

Best first within each kind. Each finding has its evidence: paintings by each artist who is named. Only persons are
named, never "unknown" or a qualified name (attribution.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import numpy as np

from ...embedder.parallel import Bar, no_bar
from ...embedder.runtime import Embedder
from ..answers.same_picture import Reach, SamePicture, has_geometry
from ..answers.search import Answer, Query, RankedArtist
from ..scoring.calibration import Calibration
from ..scoring.centre import uncentred
from ..scoring.vectors import Array, Doubles
from ..storage.generations import Generation
from ..storage.manifest import Manifest
from ..storage.vector_store import Painting, VectorStore
from .doubtful import doubts, judged
from .duplicates import Duplicate, Duplicates, duplicates
from .evidence import Elsewhere, Evidence
from .works import Object, Works

NAMED = 5  # artists
SHOWN = 3  # of their paintings
DUPLICATE, DOUBTFUL, UNATTRIBUTED = "duplicate", "doubtful", "unattributed"


@dataclass(frozen=True)
class Witness:
    """A painting as evidence for an artist, its object, and its distance to the one in question."""

    painting: Painting
    object: str
    distance: float


@dataclass(frozen=True)
class Candidate:
    """An artist who may have painted it, how probable that is, and the nearest works."""

    artist: str
    probability: float
    paintings: tuple[Witness, ...]


@dataclass(frozen=True)
class Finding:
    """One thing to look at. objects: their numbers; paintings: a photograph of each; recorded: the record of the first
    one's artist; records: of each.

    duplicate: `how`, `distance` and `picture` describe the match. doubtful: `doubt` in nats; `expected_false` the
    expected share of right attributions among this one and the more doubtful; `for_recorded` the recorded artist with
    the nearest works. unattributed and doubtful: `candidates` of the index, `reference` of the reference gallery;
    `unknown` and `reference_unknown`: the probability of none of these.
    """

    kind: str
    objects: tuple[str, ...]
    paintings: tuple[Painting, ...]
    recorded: str | None
    records: tuple[str | None, ...]
    candidates: tuple[Candidate, ...] = ()
    unknown: float | None = None
    reference: tuple[Candidate, ...] = ()
    reference_unknown: float | None = None
    how: str | None = None
    picture: SamePicture | None = None
    distance: float | None = None
    doubt: float | None = None
    expected_false: float | None = None
    for_recorded: Candidate | None = None


@dataclass(frozen=True)
class Review:
    """All findings of an index, with their basis. notes: what was not examined, in sentences."""

    findings: tuple[Finding, ...]
    index: str
    paintings: int
    objects: int
    artists: int
    model: str
    model_name: str
    generation: int
    made: str  # UTC
    judged: int  # attributions
    measured_on: str
    notes: tuple[str, ...]

    def of(self, kind: str) -> tuple[Finding, ...]:
        return tuple(each for each in self.findings if each.kind == kind)


class Opened(Protocol):
    """The part of Index that a review needs (opened.py)."""

    @property
    def name(self) -> str: ...

    @property
    def store(self) -> VectorStore: ...

    @property
    def generation(self) -> Generation: ...

    @property
    def manifest(self) -> Manifest: ...

    @property
    def centre(self) -> Array: ...

    @property
    def embedder(self) -> Embedder: ...

    @property
    def calibration(self) -> Calibration: ...

    @property
    def reach(self) -> Reach: ...

    def query_of_vector(self, vector: Array, name: str) -> Query: ...

    def answer(self, query: Query, *, k: int = 10) -> Answer: ...


def review(index: Opened, reference: Opened | None, bar: Bar = no_bar) -> Review:
    """Review an index in a folder. reference: the reference gallery of its model, if it has one.

    Raises BadIndex for a collection in Milvus, and Uncalibrated.
    """
    calibration = index.calibration.artists  # first, since it may raise
    elsewhere = None if reference is None else _elsewhere(reference)
    table, vectors = index.generation.table, index.generation.vectors.matrix
    alone = Works(table, vectors)
    same = duplicates(index.store, alone.names, vectors, index.centre, index.embedder, index.reach, bar)
    works = Works(table, vectors, ((each.a, each.b) for each in same.found if not each.how.is_version))
    builder = _FindingBuilder(index, works, reference)
    found = [*(builder.duplicate(each) for each in _ranked(same.found, works))]
    evidence = Evidence(works, calibration, index.centre, elsewhere, bar)
    for doubt in doubts(works, evidence):
        recorded = int(works.codes[doubt.one.places[0]])
        others = doubt.probabilities.copy()
        others[recorded] = 0
        found.append(
            builder.finding(
                DOUBTFUL,
                doubt.one,
                candidates=builder.candidates(doubt.one, others),
                unknown=doubt.unknown,
                doubt=doubt.doubt,
                expected_false=doubt.expected_false,
                for_recorded=builder.candidate(doubt.one, recorded, float(doubt.probabilities[recorded])),
            )
        )
    nameless = [each for each in works.objects if works.codes[each.places[0]] < 0 or works.is_qualified[each.places[0]]]
    answers = []
    for weighed in map(evidence.by_kind, evidence.of(nameless)):
        one = weighed.one
        theirs, nobody = builder.in_reference(one)
        answers.append(
            builder.finding(
                UNATTRIBUTED,
                one,
                candidates=builder.candidates(one, weighed.probabilities),
                unknown=weighed.unknown,
                reference=theirs,
                reference_unknown=nobody,
            )
        )
    found += sorted(
        answers, key=lambda each: -max((c.probability for c in (*each.candidates, *each.reference)), default=0.0)
    )
    return Review(
        tuple(found),
        index.name,
        len(table),
        len(works.objects),
        int((works.counts > 0).sum()),
        index.manifest.model.sha256,
        index.manifest.model.name,
        index.manifest.generation,
        datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
        len(judged(works)),
        index.calibration.artists.measured_on,
        tuple(_notes(same, reference)),
    )


class _FindingBuilder:
    """Turns duplicates, doubts and works without an artist into findings."""

    def __init__(self, index: Opened, works: Works, reference: Opened | None) -> None:
        self._index, self._works, self._reference = index, works, reference

    def finding(self, kind: str, one: Object, **facts: object) -> Finding:
        place = one.places[0]
        record = self._works.record(place)
        return Finding(kind, (one.name,), tuple(self._index.store.paintings([place])), record, (record,), **facts)  # type: ignore[arg-type]

    def duplicate(self, found: Duplicate) -> Finding:
        places = (found.a, found.b)
        records = tuple(self._works.record(place) for place in places)
        return Finding(
            DUPLICATE,
            tuple(self._works.names[place] for place in places),
            tuple(self._index.store.paintings(places)),
            records[0],
            records,
            how=found.how.how,
            picture=found.how,
            distance=found.distance,
        )

    def candidates(self, one: Object, probabilities: Doubles) -> tuple[Candidate, ...]:
        first = np.argsort(-probabilities, kind="stable")[:NAMED].tolist()
        found = [
            self.candidate(one, artist, float(probabilities[artist])) for artist in first if probabilities[artist] > 0
        ]
        return tuple(each for each in found if each.paintings)

    def candidate(self, one: Object, artist: int, probability: float) -> Candidate:
        near = self._works.evidence_of(one, artist, SHOWN)
        paintings = self._index.store.paintings([place for place, _ in near])
        return Candidate(
            self._works.artists[artist],
            probability,
            tuple(
                Witness(painting, self._works.names[place], apart)
                for painting, (place, apart) in zip(paintings, near, strict=True)
            ),
        )

    def in_reference(self, one: Object) -> tuple[tuple[Candidate, ...], float | None]:
        """Candidates of the reference gallery for an object's first photograph."""
        if self._reference is None:
            return (), None
        vector = uncentred(self._works.vectors[one.places[0]][None], self._index.centre)[0]
        answer = self._reference.answer(self._reference.query_of_vector(vector, one.name), k=NAMED)
        return tuple(_of_reference(each) for each in answer.artists), answer.unknown


def _elsewhere(reference: Opened) -> Elsewhere:
    gallery = reference.generation
    return Elsewhere(gallery.vectors.matrix, reference.centre, gallery.table["artist_key"])


def _of_reference(ranked: RankedArtist) -> Candidate:
    return Candidate(
        ranked.artist,
        ranked.probability,
        tuple(Witness(each.painting, each.painting.id, each.distance) for each in ranked.paintings),
    )


def _ranked(found: Sequence[Duplicate], works: Works) -> list[Duplicate]:
    """Same pictures before versions; then those whose records differ on the artist; then the most certain."""

    def order(each: Duplicate) -> tuple[bool, bool, float]:
        is_one_artist = works.codes[each.a] == works.codes[each.b]
        return each.how.is_version, bool(is_one_artist), -(1.0 if each.how.agreement is None else each.how.agreement)

    return sorted(found, key=order)


def _notes(same: Duplicates, reference: Opened | None) -> Iterator[str]:
    if not has_geometry():
        yield (
            "only identical photographs were found; pip install 'artidx[review]' to also find "
            "smaller, cropped, grey, mirrored and recoloured ones"
        )
    if same.unread:
        yield f"photographs that were not compared, because they are missing or have changed: {same.unread:,}"
    if same.left_out:
        yield f"the nearest {same.compared:,} pairs of photographs were compared; {same.left_out:,} more were left out"
    if reference is None:
        yield "artidx has no reference gallery for this index's model, so it names no artists from one"
