"""Records whose photographs show the same picture: candidates by vector, decided by geometry.

Neighbours are compared, nearest first, up to the largest distance of any copy in our tests. To most models, a picture
and its mirror image are nearly the same, so neighbours include mirror images; if a few tests show that it is otherwise
for this model, the mirror images of all are embedded as well. Photographs of one object are no duplicates.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import ImageOps
from threadpoolctl import threadpool_limits

from ...embedder.locations import Reader
from ...embedder.parallel import Bar, ahead
from ...embedder.pictures.images import picture
from ...embedder.resources import available_cores
from ...embedder.runtime import Embedder
from ...errors import UnreadableImage
from ..answers.same_picture import IDENTICAL, Reach, SamePicture, Seen, has_geometry, same_picture
from ..answers.twins import seen_painting
from ..scoring.centre import centred
from ..scoring.vectors import Array, Integers
from ..storage.vector_store import VectorStore

NEIGHBOURS = 5  # of each photograph
NEAREST = 2  # of these are compared at larger distances (Reach)
MOST = 5000  # pairs that are compared, the nearest: six minutes of two cores at most
HELD = 256  # photographs with their features, 1.5 MB each
TRIED = 8  # photographs whose mirror images are tested first
SIDE = 1024  # pixels of mirrored pictures; more than any model needs
BLOCK = 512


@dataclass(frozen=True)
class Duplicate:
    """Places of two photographs of different objects, and how they show one picture."""

    a: int
    b: int
    distance: float
    how: SamePicture


@dataclass(frozen=True)
class Duplicates:
    """found: all duplicates; compared: number of pairs; left_out: near pairs that were not compared; unread:
    photographs that could not be read."""

    found: tuple[Duplicate, ...]
    compared: int
    left_out: int
    unread: int


def duplicates(
    store: VectorStore, names: list[str], vectors: Array, centre: Array, embedder: Embedder, reach: Reach, bar: Bar
) -> Duplicates:
    """All pairs of photographs of different objects that show one picture. names, vectors: of the table's rows."""
    contents = store.contents(range(len(names)))
    identical = {pair: SamePicture((IDENTICAL,)) for pair in _identical(contents) if names[pair[0]] != names[pair[1]]}
    near = _near(names, vectors, vectors, reach)
    compared, found = 0, []
    if has_geometry():
        near |= _mirrored(store, names, vectors, centre, embedder, reach, bar)
    pairs = sorted((apart, a, b) for (a, b), apart in near.items() if contents[a] != contents[b] or not contents[a])
    left_out, pairs = max(0, len(pairs) - MOST), pairs[:MOST]
    order = sorted((a, b) for _, a, b in pairs)  # so that most photographs are read once
    # One BLAS thread per comparison, since comparisons run on all cores; with more they take twice as long.
    with threadpool_limits(1, "blas"), Reader() as reader, bar(len(order), "comparing photographs") as advance:
        photographs = _Photographs(store, contents, reader)
        for (a, b), how in zip(
            order, ahead(photographs.compared, order, workers=available_cores(), most=64), strict=True
        ):
            advance(1)
            compared += 1
            if how is not None:
                found.append(Duplicate(a, b, near[a, b], how))
        unread = len(photographs.unread)
    found += [Duplicate(a, b, 0.0, how) for (a, b), how in identical.items()]
    return Duplicates(tuple(found), compared, left_out, unread)


class _Photographs:
    """Photographs of the index, with a cache of the last ones."""

    def __init__(self, store: VectorStore, contents: list[str], reader: Reader) -> None:
        self._store, self._contents, self._reader = store, contents, reader
        self._held: OrderedDict[int, Seen | None] = OrderedDict()
        self._lock = threading.Lock()
        self.unread: set[int] = set()

    def compared(self, pair: tuple[int, int]) -> SamePicture | None:
        a, b = (self._seen(place) for place in pair)
        return None if a is None or b is None else same_picture(a, b)

    def _seen(self, place: int) -> Seen | None:
        with self._lock:
            if place in self._held:
                self._held.move_to_end(place)
                return self._held[place]
        found = seen_painting(self._store.paintings([place])[0], self._contents[place], self._reader)
        with self._lock:
            if found is None:
                self.unread.add(place)
            self._held[place] = found
            while len(self._held) > HELD:
                self._held.popitem(last=False)
        return found


def _identical(contents: list[str]) -> Iterator[tuple[int, int]]:
    """Pairs of each photograph with the first one of the same content."""
    first: dict[str, int] = {}
    for place, content in enumerate(contents):
        if content and first.setdefault(content, place) != place:
            yield first[content], place


def _near(
    names: list[str], asked: Array, vectors: Array, reach: Reach, places: Integers | None = None
) -> dict[tuple[int, int], float]:
    """Distances of near pairs of different objects. asked: (q, d) vectors of the photographs at `places`, or of all."""
    of = np.arange(len(asked)) if places is None else places
    found: dict[tuple[int, int], float] = {}
    k = min(NEIGHBOURS + 1, len(vectors) - 1)
    if k < 1:
        return found
    for start in range(0, len(asked), BLOCK):
        apart = 1 - asked[start : start + BLOCK] @ vectors.T
        nearest = np.argpartition(apart, k, axis=1)[:, : k + 1]
        nearest = np.take_along_axis(nearest, np.take_along_axis(apart, nearest, 1).argsort(axis=1, kind="stable"), 1)
        for row, others in enumerate(nearest.tolist()):
            own = int(of[start + row])
            others = [other for other in others if names[other] != names[own]]
            for rank, other in enumerate(others):
                if apart[row, other] < (reach.near if rank < NEAREST else reach.nearer):
                    pair = (min(own, other), max(own, other))
                    found[pair] = min(float(apart[row, other]), found.get(pair, np.inf))
    return found


def _mirrored(
    store: VectorStore, names: list[str], vectors: Array, centre: Array, embedder: Embedder, reach: Reach, bar: Bar
) -> dict[tuple[int, int], float]:
    """Near pairs of one photograph and another's mirror image, if the model separates a picture from its mirror
    image."""
    tried = np.unique(np.linspace(0, len(names) - 1, TRIED).astype(np.int64))
    places, mirrors = _mirror_vectors(store, tried, centre, embedder)
    if not len(places) or float((1 - (mirrors * vectors[places]).sum(axis=1)).max()) < reach.near / 2:
        return {}
    with bar(len(names), "embedding mirror images") as advance:
        found: dict[tuple[int, int], float] = {}
        for start in range(0, len(names), BLOCK):
            block = np.arange(start, min(start + BLOCK, len(names)))
            places, mirrors = _mirror_vectors(store, block, centre, embedder)
            found |= _near(names, mirrors, vectors, reach, places)
            advance(len(block))
    return found


def _mirror_vectors(store: VectorStore, places: Integers, centre: Array, embedder: Embedder) -> tuple[Integers, Array]:
    """(m,) the places whose photographs can be read, and (m, d) vectors of their mirror images."""
    kept, images = [], []
    with Reader() as reader:
        for place, painting in zip(places.tolist(), store.paintings(places.tolist()), strict=True):
            try:
                with reader.open(painting.path) as stream:
                    images.append(ImageOps.mirror(picture(stream, SIDE)))
                kept.append(place)
            except UnreadableImage:
                continue
    vectors = embedder.transform(images)
    return np.array(kept, np.int64), np.stack([centred(each, centre) for each in vectors]) if kept else vectors
