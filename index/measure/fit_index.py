"""Calibrate an index on its own labelled paintings, part by part: no more than a part is in memory at once.

    sample      some artists' paintings, chosen by their hashes
    look        in each part: for the sample's nearest, the sums of its artists' kernels, and landmarks
    fit         from these, here

What is known of the parts is joined in any order (scoring/parts.py), and the calibration is that of the whole, to the
last bit: cosines are products of whole numbers, which float64 adds exactly, and kernels are added as whole numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...errors import BadCatalog
from ..scoring.artist_scores import KERNEL, GalleryScores, compensated
from ..scoring.calibration import Calibration
from ..scoring.curve import Pairs, blocks
from ..scoring.neighbourhood import FEWEST, LANDMARKS, NEAREST, Neighbourhoods, augmented, bandwidth_of, query_expansion
from ..scoring.parts import Nearest, Part, Smallest, joined
from ..scoring.sculpture import SculptureDetector
from ..scoring.vectors import NOBODY, Array, Doubles, Integers, Mask, Vectors
from ..storage.generations import Generation
from .fit_artists import calibrate_artists, cases_of
from .fit_pairs import calibrate_pairs
from .groups import MOST_OF_ONE, halves, some_artists

# Vectors are rounded to multiples of it, as fine as a float32 of one half. Sums of products of two unit vectors are
# then below 2**49 of its squares, and float64 has all whole numbers up to 2**53: no order of summation rounds them.
GRID = 2.0**-24
# Kernels are rounded to multiples of it, the smallest that counts being that of a painting at a cosine of -0.3. Coarser
# for an artist with more than 131,071 paintings (`quantum_of`).
FINEST = 2.0**-45
ALL = "all of this index"  # the name of its paintings in `measured_on`
AT_ONCE = 1 << 14  # paintings of a part
COMPARED = 1 << 11  # of those compared at once: 32 MB of cosines to a sample of 2,000

Hashes = npt.NDArray[np.str_]
P = TypeVar("P", bound=Part)


class Some(NamedTuple):
    """Some paintings of an index: their numbers (n,), which ascend, artists (n,), -1 for nobody, whether they may be in
    the sample (n,), hashes of vectors (n,), and vectors (n, d)."""

    numbers: Integers
    artists: Integers
    is_chosen: Mask
    hashes: Hashes
    vectors: Array


@dataclass(frozen=True)
class Divided:
    """An index in parts. Of all paintings by number, artists: (n,), -1 for nobody, and is_chosen: (n,); done: the
    results of a job for each part, in any order; vectors_at: (..., d) of the paintings with these numbers (...)."""

    artists: Integers
    is_chosen: Mask
    done: Callable[[Callable[[Some], P]], Iterator[P]]
    vectors_at: Callable[[Integers], Array]

    @classmethod
    def of(cls, generation: Generation, is_chosen: Mask) -> Divided:
        """A generation in a folder; numbers are places in its table."""
        paintings, vectors = generation.paintings, generation.vectors
        codes = paintings.codes.astype(np.int64)

        def some(start: int) -> Some:
            places = np.arange(start, min(start + AT_ONCE, len(paintings)))
            hashes = np.array(paintings.cells("vector_sha256", places.tolist()), str)
            return Some(places, codes[places], is_chosen[places], hashes, vectors.at(places))

        def done(job: Callable[[Some], P]) -> Iterator[P]:
            return (job(some(start)) for start in range(0, len(paintings), AT_ONCE))

        return cls(codes, is_chosen, done, vectors.at)


def calibrate_index(index: Divided, name: str, sculptures: SculptureDetector | None = None) -> Calibration:
    """Calibrate on an index's own labelled paintings, those chosen; all others are the gallery.

    Pairs are judged with their artists' other works in the index and, in two halves, without. Artists are ranked as in
    `cases_of`. sculptures: the model's detector, which is kept. Raises BadCatalog, naming `name`, if there are too few.
    """
    labelled = np.where(index.is_chosen, index.artists, NOBODY)
    if not (labelled >= 0).any():
        raise _too_few(name)
    sample = joined(index.done(_Sampling(some_artists(labelled)))).by_number()
    artists = index.artists[sample.numbers]
    if not 1 < len(np.unique(artists)) < len(artists):
        raise _too_few(name)
    asked = index.vectors_at(sample.numbers)
    groups = halves(artists)
    counts = np.bincount(index.artists[index.artists >= 0])
    found = joined(index.done(_Looking(sample, asked, groups, quantum_of(int(counts.max())))))
    around = _neighbourhoods(index, _expanded(index, asked, found.nearest), found.landmarks[0], sample.hashes)
    with_others = Pairs.joined(list(blocks(asked, artists, around)))
    apart: list[Pairs] = []
    for group, landmarks in zip(groups, found.landmarks[1:], strict=True):
        here = np.isin(artists, group)
        around = _neighbourhoods(index, asked[here], landmarks, np.full(here.sum(), ""))
        apart.extend(blocks(asked[here], artists[here], around))
    without_others = Pairs.joined(apart)
    # Otherwise too few landmarks are left.
    is_alike = len(without_others.similarities) > 0 or not len(with_others.similarities)
    settings = [with_others, without_others] if without_others.is_same.any() and is_alike else [with_others]

    described = f"{len(artists):,} paintings by {len(np.unique(artists))} artists ({name})"
    ranked = calibrate_artists(
        cases_of(found.kernels.scores(artists, counts), artists, counts, name),
        f"{described}, each left out of the index, and a fifth of the artists unknown to it in turn",
    )
    return Calibration(calibrate_pairs(settings, f"all pairs of {described}"), replace(ranked, sculptures=sculptures))


def _too_few(name: str) -> BadCatalog:
    return BadCatalog(f"calibrating needs two artists or more, one of them with two paintings, in {name}")


@dataclass(frozen=True)
class Sample:
    """Some paintings of each artist (s,), MOST_OF_ONE at most, with their hashes (s,) and numbers (s,).

    They are those with the smallest hashes if read backwards: in effect random, and as often landmarks as others are,
    which are those with the smallest hashes.
    """

    artists: Integers
    hashes: Hashes
    numbers: Integers

    @classmethod
    def of(cls, artists: Integers, hashes: Hashes, numbers: Integers) -> Sample:
        order = np.lexsort((numbers, np.array([each[::-1] for each in hashes.tolist()], str), artists))
        first = np.searchsorted(artists[order], artists[order])
        kept = order[np.arange(len(order)) - first < MOST_OF_ONE]
        return cls(artists[kept], hashes[kept], numbers[kept])

    def __add__(self, other: Sample) -> Sample:
        return Sample.of(
            np.concatenate([self.artists, other.artists]),
            np.concatenate([self.hashes, other.hashes]),
            np.concatenate([self.numbers, other.numbers]),
        )

    def by_number(self) -> Sample:
        """The same, in the order of the numbers."""
        order = np.argsort(self.numbers)
        return Sample(self.artists[order], self.hashes[order], self.numbers[order])


@dataclass(frozen=True)
class _Sampling:
    """Find the sample of these artists."""

    artists: Integers

    def __call__(self, some: Some) -> Sample:
        wanted = np.isin(some.artists, self.artists) & some.is_chosen
        return Sample.of(some.artists[wanted], some.hashes[wanted], some.numbers[wanted])


def quantum_of(most: int) -> float:
    """Of kernels, such that the sum of so many fits into 63 bits, even of copies of one painting; they are 1 each."""
    return max(FINEST, 2.0 ** (most.bit_length() - 62))


@dataclass(frozen=True)
class Kernels:
    """Sums of exp(KERNEL * (cosine - 1)) over the paintings of each artist (a,), for queries: (q, a), in quanta."""

    artists: Integers
    sums: Integers
    quantum: float

    @classmethod
    def of(cls, some: Some, queries: Array, own: Integers, quantum: float) -> Kernels:
        """own: (q,) numbers of the queries (q, d), which do not count for themselves."""
        asked, order = _on_grid(queries), np.argsort(some.artists, kind="stable")
        order = order[some.artists[order] >= 0]
        known = np.unique(some.artists[order])
        sums = np.zeros((len(queries), len(known)), np.int64)
        for start in range(0, len(order), COMPARED):
            these = order[start : start + COMPARED]
            kernels = np.exp(KERNEL * (asked @ _on_grid(some.vectors[these]).T - 1))
            kernels[own[:, None] == some.numbers[these]] = 0
            artists, first = np.unique(some.artists[these], return_index=True)
            whole = np.rint(kernels / quantum).astype(np.int64)
            sums[:, np.searchsorted(known, artists)] += np.add.reduceat(whole, first, axis=1)
        return cls(known, sums, quantum)

    def __add__(self, other: Kernels) -> Kernels:
        known = np.union1d(self.artists, other.artists)
        sums = np.zeros((len(self.sums), len(known)), np.int64)
        for each in (self, other):
            sums[:, np.searchsorted(known, each.artists)] += each.sums
        return Kernels(known, sums, self.quantum)

    def scores(self, by: Integers, counts: Integers) -> GalleryScores:
        """(q, artists) of queries by these artists (q,), left out and compensated for; counts: (artists,) paintings."""
        sums = np.zeros((len(by), len(counts)), np.int64)
        sums[:, self.artists] = self.sums
        left_out = np.zeros_like(sums)
        left_out[np.arange(len(by)), by] = 1
        paintings = (counts - left_out).astype(np.float64)
        scores = np.where(paintings > 0, 1 + np.log(np.maximum(sums, 1) * self.quantum) / KERNEL, -np.inf)
        return compensated(GalleryScores(scores, paintings), left_out)


def _on_grid(vectors: Array) -> Doubles:
    rounded: Doubles = np.rint(vectors.astype(np.float64) / GRID) * GRID
    return rounded


@dataclass(frozen=True)
class Looked:
    """What a part knows of a sample: the nearest that are no copies, kernels, and landmarks: among all paintings, and
    among those that are not by either group of artists."""

    nearest: Nearest
    kernels: Kernels
    landmarks: tuple[Smallest, ...]

    def __add__(self, other: Looked) -> Looked:
        landmarks = tuple(ours + theirs for ours, theirs in zip(self.landmarks, other.landmarks, strict=True))
        return Looked(self.nearest + other.nearest, self.kernels + other.kernels, landmarks)


@dataclass(frozen=True)
class _Looking:
    """Look at a part. asked: (s, d) the sample's vectors; groups: of artists; quantum: of kernels."""

    sample: Sample
    asked: Array
    groups: tuple[Integers, ...]
    quantum: float

    def __call__(self, some: Some) -> Looked:
        landmarks = []
        for group in (np.empty(0, np.int64), *self.groups):
            others = ~np.isin(some.artists, group)
            landmarks.append(Smallest.of(some.hashes[others], some.numbers[others], LANDMARKS))
        kernels = Kernels.of(some, self.asked, self.sample.numbers, self.quantum)
        return Looked(self._nearest(some), kernels, tuple(landmarks))

    def _nearest(self, some: Some) -> Nearest:
        ordered = np.sort(some.hashes)
        first, last = (np.searchsorted(ordered, self.sample.hashes, side) for side in ("left", "right"))
        room = min(NEAREST + int((last - first).max(initial=0)), len(some.numbers))
        places, apart = Vectors.of(some.vectors).nearest(self.asked, room)
        is_copy = some.hashes[places] == self.sample.hashes[:, None]
        order = np.argsort(is_copy, axis=1, kind="stable")[:, :NEAREST]
        numbers = np.where(is_copy, NOBODY, some.numbers[places])
        apart = np.where(is_copy, np.inf, apart)
        return Nearest(np.take_along_axis(numbers, order, 1), np.take_along_axis(apart, order, 1), NEAREST)


def _expanded(index: Divided, asked: Array, nearest: Nearest) -> Array:
    """(s, d) the sample's vectors (s, d), expanded."""
    others = index.vectors_at(np.maximum(nearest.numbers, 0))
    others[nearest.numbers == NOBODY] = 0  # adds nothing
    return query_expansion(asked, others)


def _neighbourhoods(index: Divided, vectors: Array, landmarks: Smallest, hashes: Hashes) -> Neighbourhoods | None:
    """Of vectors (p, d), with hashes (p,) of those that may be landmarks; None if there are too few landmarks."""
    order = np.argsort(landmarks.numbers)
    first = np.sort(np.unique(landmarks.hashes[order], return_index=True)[1])  # of copies the first
    numbers, known = landmarks.numbers[order][first], landmarks.hashes[order][first]
    if len(numbers) < FEWEST:
        return None
    seen_from = augmented(index.vectors_at(numbers))
    own = pd.Index(known).get_indexer(pd.Index(hashes)).astype(np.int64)
    return Neighbourhoods.of(vectors, seen_from, bandwidth_of(seen_from), own)
