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
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ...errors import damaged, exhausted
from ...files import sha256_of
from ..scoring.vectors import MADE_AT_ONCE, Integers, Lists, Part, Rows, Vectors, blocks, load_faiss
from .lists_file import check_lists, write_joined

AUTOMATIC = 1_000_000  # paintings: below this, exhaustive search takes less time than embedding the query
FEWEST = 10_000  # below this, there is nothing to gain
TRAINED_ON = 64  # training vectors per list; FAISS wants at least 39
ENCODED = 1 << 14  # vectors whose range the codes cover. FAISS copies them; with 100,000 it finds as many
SHARD = 8  # blocks of MADE_AT_ONCE numbers: 35 MB of codes and numbers, in memory while vectors are added
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


def write(path: Path, matrix: Rows, seed: int = 0) -> Approximate | None:
    """Build lists for a matrix (m, d), m at least FEWEST, in a file, and find how many to read for a recall of ENOUGH.

    None, and no file, if that takes more than MOST of them. Raises OSError if the disk is full.
    """
    # Four times the square root of m, rounded to a power of two, as in FAISS' guidelines.
    count = 1 << int(math.log2(min(4 * math.sqrt(len(matrix)), len(matrix) / 39)))
    kind = f"IVF{count},SQ8"
    chance = np.random.default_rng(seed)
    with TemporaryDirectory(dir=path.parent) as folder:
        _write_lists(path, matrix, _trained(kind, matrix, TRAINED_ON * count, chance, Path(folder)), Path(folder))
    queries = matrix[np.sort(chance.choice(len(matrix), min(len(matrix), SAMPLE), replace=False))]
    exact = Vectors([Part(matrix)]).nearest(queries, K + 1)[0][:, 1:]  # without the queries themselves
    nprobe = 1
    while nprobe <= MOST * count:
        lists = Lists(partial(_mapped, path), nprobe)
        recall = recall_at(exact, Vectors([Part(matrix, lists)]).nearest(queries, K + 1)[0])
        if recall >= ENOUGH:
            return Approximate(kind, nprobe, round(recall, 4))
        nprobe *= 2
    path.unlink()
    return None


def _trained(kind: str, matrix: Rows, most: int, chance: np.random.Generator, folder: Path) -> Any:
    """FAISS' index without vectors, trained on at most so many of them, which are mapped from a file."""
    faiss, dim = load_faiss(), matrix.shape[1]
    some = np.sort(chance.choice(len(matrix), min(len(matrix), most), replace=False))
    with (folder / "sample").open("xb") as stream:
        for each in blocks(len(some), MADE_AT_ONCE // dim):
            stream.write(np.ascontiguousarray(matrix[some[each]]).data)
    sample = np.memmap(folder / "sample", np.float32, "r", shape=(len(some), dim))
    index = faiss.index_factory(dim, kind, faiss.METRIC_INNER_PRODUCT)
    index.train_q1(len(sample), faiss.swig_ptr(sample), False, index.metric_type)  # the lists' centres
    index.train(sample[:: max(1, len(sample) // ENCODED)])  # the codes
    return index


def _write_lists(path: Path, matrix: Rows, index: Any, folder: Path) -> None:
    """Add all vectors to a trained index: each SHARD to lists of its own, which are then joined."""
    size = MADE_AT_ONCE // matrix.shape[1]
    shards: list[Path] = []
    for shard in blocks(len(matrix), SHARD * size):
        for start in range(shard.start, shard.stop, size):
            some = np.arange(start, min(start + size, shard.stop))
            index.add_with_ids(np.ascontiguousarray(matrix[some[0] : some[-1] + 1]), some)
        shards.append(folder / f"{len(shards)}.faiss")
        _save(shards[-1], index)
        index.reset()
    index.ntotal = len(matrix)
    write_joined(path, load_faiss().serialize_index(index).tobytes(), [_mapped(shard) for shard in shards])


def recall_at(exact: Integers, found: Integers) -> float:
    """The share of the nearest to each query (q, K) that were found (q, K + 1)."""
    hits = [len({*near} & {*ours}) for near, ours in zip(exact.tolist(), found.tolist(), strict=True)]
    return float(np.mean(hits) / exact.shape[1])


def _save(path: Path, index: Any) -> None:
    try:
        load_faiss().write_index(index, str(path))
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
    try:
        return _mapped(path)
    except RuntimeError as problem:
        raise exhausted(problem, str(path)) or damaged(
            path, f"not a FAISS index: {' '.join(str(problem).split())[:200]}"
        ) from None


def _mapped(path: Path) -> Any:
    faiss = load_faiss()
    return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC | faiss.IO_FLAG_READ_ONLY)


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
