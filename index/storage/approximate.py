"""An approximate index over many vectors: FAISS' inverted lists of 8-bit codes, and how much they miss.

Exhaustive search is exact, and fast enough for most collections; with a million paintings and more, lists answer some
forty times as many queries. Their codes only propose neighbours (vectors.py computes exact distances), so distances do
not change, but a neighbour may be missed: how often is measured when the index is built, and written into the manifest.
It can always be rebuilt from the vectors.

Chosen on a million clustered vectors of 256 numbers, 2 cores, against exhaustive search in the same run: IVF4096,SQ8
had a recall of 0.9999 at 33 times the rate, 4-bit product codes (PQ128x4fs) 0.990 at 50 times.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import damaged, exhausted
from ...files import sha256_of
from ..scoring.vectors import MADE_AT_ONCE, Integers, Lists, Part, Rows, Vectors, blocks, load_faiss
from .lists_file import check_lists

AUTOMATIC = 1_000_000  # paintings: below this, exhaustive search takes less time than embedding the query
FEWEST = 10_000  # below this, there is nothing to gain
TRAINED_ON = 64  # training vectors per list; FAISS wants at least 39
SAMPLE = 500  # vectors whose neighbours are searched to measure the recall
K = 10  # neighbours of each
ENOUGH = 0.99  # recall: as few lists are read as reach it
MOST = 1 / 16  # share of the lists to read; vectors without structure are searched faster exhaustively


@dataclass(frozen=True)
class Approximate:
    """How a segment is searched approximately. kind: FAISS' factory string; recall_at_10: measured."""

    kind: str
    nprobe: int
    recall_at_10: float


def made(matrix: Rows, seed: int = 0) -> tuple[Approximate, Lists] | None:
    """Build lists for a matrix (m, d), m at least FEWEST, and find how many to read for a recall of ENOUGH.

    None if that takes more than MOST of them.
    """
    faiss = load_faiss()
    # Four times the square root of m, rounded to a power of two, as in FAISS' guidelines.
    count = 1 << int(math.log2(min(4 * math.sqrt(len(matrix)), len(matrix) / 39)))
    kind = f"IVF{count},SQ8"
    index = faiss.index_factory(matrix.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
    chance = np.random.default_rng(seed)
    some = np.sort(chance.choice(len(matrix), min(len(matrix), TRAINED_ON * count), replace=False))
    index.train(matrix[some])
    for each in blocks(len(matrix), MADE_AT_ONCE // matrix.shape[1]):
        index.add(np.ascontiguousarray(matrix[each]))
    queries = matrix[np.sort(chance.choice(len(matrix), min(len(matrix), SAMPLE), replace=False))]
    exact = Vectors([Part(matrix)]).nearest(queries, K + 1)[0][:, 1:]  # without the queries themselves
    nprobe = 1
    while nprobe <= MOST * count:
        lists = Lists(lambda: index, nprobe)
        recall = recall_at(exact, Vectors([Part(matrix, lists)]).nearest(queries, K + 1)[0])
        if recall >= ENOUGH:
            return Approximate(kind, nprobe, round(recall, 4)), lists
        nprobe *= 2
    return None


def recall_at(exact: Integers, found: Integers) -> float:
    """The share of the nearest to each query (q, K) that were found (q, K + 1)."""
    hits = [len({*near} & {*ours}) for near, ours in zip(exact.tolist(), found.tolist(), strict=True)]
    return float(np.mean(hits) / exact.shape[1])


def write(path: Path, lists: Lists) -> None:
    """Write in FAISS' format. Raises OSError if the disk is full."""
    try:
        load_faiss().write_index(lists.index, str(path))
    except RuntimeError as problem:  # FAISS hides the system's error
        raise exhausted(problem, str(path)) or OSError(
            f"{path}: cannot be written: {' '.join(str(problem).split())[:200]}"
        ) from None


def read(path: Path, facts: Approximate, length: int, dim: int, sha256: str) -> Lists:
    """The lists in a file, which is checked and mapped into memory when they are first used.

    That raises BadIndex if the file does not match the manifest.
    """
    return Lists(partial(_opened, path, length, dim, sha256), facts.nprobe)


def _opened(path: Path, length: int, dim: int, sha256: str) -> Any:
    if not path.is_file() or sha256_of(path) != sha256:
        raise damaged(path, "its sha256 is not the one in manifest.json")
    try:
        check_lists(path, length, dim)
    except (OSError, ValueError) as problem:
        raise exhausted(problem, str(path)) or damaged(
            path, f"not inverted lists over {length:,} vectors of {dim}: {problem}"
        ) from None
    faiss = load_faiss()
    try:
        return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC | faiss.IO_FLAG_READ_ONLY)
    except RuntimeError as problem:
        raise exhausted(problem, str(path)) or damaged(
            path, f"not a FAISS index: {' '.join(str(problem).split())[:200]}"
        ) from None


def needed(length: int, smallest: int) -> bool:
    """Whether this many vectors get an approximate index, if it begins at `smallest`."""
    return length >= max(smallest, FEWEST)


def as_facts(found: object) -> Approximate | None:
    """Facts from a manifest, checked. Raises TypeError or ValueError."""
    if found is None:
        return None
    if not isinstance(found, dict):
        raise TypeError("approximate")
    facts = Approximate(**found)
    if not (isinstance(facts.nprobe, int) and 0 < facts.nprobe < 1 << 31):
        raise ValueError("nprobe")
    return dataclasses.replace(facts, recall_at_10=float(facts.recall_at_10))
