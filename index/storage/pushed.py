"""Shared by pushes of a generation to servers of any kind.

Paintings are written in parts, by this process or by the workers of a cluster (changes/cluster.py). A part may be
written twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..scoring.vectors import Integers, Vectors
from .address import Address
from .generations import Generation
from .vector_store import SAMPLED

CHECKED = 500  # randomly chosen paintings that are read back and compared
K = 10  # neighbours of each, for measuring the recall
EXHAUSTIVE = ("FLAT", "exact")  # kinds of index with exhaustive search


# Writes parts of a generation to an address, and yields how many paintings each has once it is there. Raises BadIndex.
Spread = Callable[[Address, Generation, Sequence[range]], Iterator[int]]


def written_here(write: Callable[[range], None], parts: Sequence[range]) -> Iterator[int]:
    """Write the parts in this process, one after the other, and yield how many paintings each has."""
    for part in parts:
        write(part)
        yield len(part)


@dataclass(frozen=True)
class Pushed:
    """The result of a push. written: paintings that it sent; recall_at_10: measured on CHECKED of them."""

    paintings: int
    generation: int
    written: int
    kind: str
    recall_at_10: float
    seconds: float


def ranks(generation: Generation, unranked: int) -> Integers:
    """(n,) the rank of each painting's hash (neighbourhood.smallest), for landmarks and for the sample of a map."""
    few = generation.paintings.smallest(SAMPLED)
    hashes = np.array(generation.paintings.cells("vector_sha256", few.tolist()), str)
    found = np.full(len(generation), unranked)
    found[few[np.argsort(hashes, kind="stable")]] = np.arange(len(few))
    return found


def nearest_rows(generation: Generation, places: Integers) -> Integers:
    """(m, K) the numbers of the paintings nearest to those at these places (m,), including themselves."""
    vectors = generation.vectors.at(places)
    exact = Vectors.of(generation.vectors.matrix).nearest(vectors, min(K, len(generation)))[0]
    return generation.table["row"].to_numpy(np.int64)[exact]
