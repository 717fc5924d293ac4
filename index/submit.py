"""Answer a file of pairs, millions of them, as the competition Painter by Numbers asks for it.

The file is read and written in blocks, so that memory does not grow with it. A block of pairs mostly joins few
paintings with few others: then their Gram matrix is made and read off, which costs a small part of what gathering
every pair's two vectors would. Distances here are float32, good to the sixth digit: enough to rank by, while `pair` is
exact to the last bit.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import BadCatalog
from .calibrate import BINS, PairCalibration, PairCurve, bins_of
from .search import artist_codes
from .store import Generation
from .vectors import Array

PRIOR = 0.01311  # share of same-artist pairs in Painter by Numbers' test set
BLOCK_BYTES = 8 << 20  # of the file read at once: some 200,000 pairs
DENSE = 16  # a Gram matrix with at most so many entries for each pair asked for is cheaper than gathering
GATHER = 1 << 14  # pairs whose vectors are gathered at once
SEEN_GROUPS = {"train_and_test", "train_only"}  # values of Painter by Numbers' column artist_group

Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Submission:
    """What was written. unanswered: pairs with a painting that is not in the index; they got the prior.

    auc: over all pairs with known artists, and over those of two seen or two unseen ones; NaN where there are none.
    """

    pairs: int
    unanswered: int
    auc: float
    auc_seen: float
    auc_unseen: float


def submit(generation: Generation, calibration: PairCalibration, source: Path, target: Path, *, prior: float = PRIOR,
           progress: Callable[[int], None] = lambda done: None) -> Submission:
    """Write `index,sameArtist` for each `index, first image, second image` of source, columns by position.

    Images are ids of the index; sameArtist is the probability under the prior. The target appears whole or not at
    all. progress is called with the bytes just read. Raises BadCatalog.
    """
    ids = pd.Index(generation.table["id"])
    matrix = generation.vectors.matrix
    codes, _ = artist_codes(generation.table["artist_key"])
    seen = _seen(generation.table)
    counts = {name: _no_pairs() for name in ("all", "seen", "unseen")}
    pairs = unanswered = 0
    with _appears_whole(target) as stream:
        stream.write(b"index,sameArtist\n")
        for numbers, first, second, size in _blocks(source):
            a, b = ids.get_indexer(first), ids.get_indexer(second)
            is_known = (a >= 0) & (b >= 0)
            apart = np.zeros(len(a), np.float32)
            apart[is_known] = distances_of_pairs(matrix, a[is_known], b[is_known])
            probability = np.where(is_known, calibration.probabilities(apart.astype(np.float64), prior), prior)
            _write(stream, numbers, probability)
            pairs, unanswered = pairs + len(a), unanswered + int((~is_known).sum())
            _count(counts, apart, a, b, is_known, codes, seen)
            progress(size)
    curves = {name: PairCurve(*both) for name, both in counts.items()}
    return Submission(pairs, unanswered, curves["all"].auc, curves["seen"].auc, curves["unseen"].auc)


def distances_of_pairs(matrix: Array, a: Places, b: Places) -> Array:
    """(p,) float32 distances between matrix[a[i]] and matrix[b[i]]; matrix: (n, d) unit vectors."""
    rows, row = np.unique(a, return_inverse=True)
    columns, column = np.unique(b, return_inverse=True)
    if len(rows) * len(columns) <= DENSE * len(a):
        gram = matrix[rows] @ matrix[columns].T
        apart: Array = 1 - gram[row, column]
        return apart
    parts = [1 - np.einsum("pd,pd->p", matrix[a[i : i + GATHER]], matrix[b[i : i + GATHER]])
             for i in range(0, len(a), GATHER)]
    return np.concatenate(parts) if parts else np.empty(0, np.float32)


@contextmanager
def _appears_whole(target: Path) -> Iterator[BinaryIO]:
    aside = target.with_name(target.name + ".part")
    try:
        with aside.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(aside, target)
    finally:
        aside.unlink(missing_ok=True)


def _blocks(source: Path) -> Iterator[tuple[Any, Any, Any, int]]:
    """(index, first, second, bytes read) as Arrow arrays of text and pandas arrays, block by block."""
    import pyarrow as pa
    import pyarrow.csv

    try:
        header = pyarrow.csv.open_csv(source).schema.names
        if len(header) < 3:
            raise BadCatalog(f"{source}: has {len(header)} columns; expected index, first image, second image")
        options = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(header[:3], pa.string()),
                                             include_columns=header[:3])
        reader = pyarrow.csv.open_csv(source, read_options=pyarrow.csv.ReadOptions(block_size=BLOCK_BYTES),
                                      convert_options=options)
        for batch in reader:
            yield batch[0], batch[1].to_pandas(), batch[2].to_pandas(), batch.nbytes
    except pa.ArrowInvalid as problem:
        raise BadCatalog(f"{source}: {' '.join(str(problem).split())[:200]}") from None
    except FileNotFoundError:
        raise BadCatalog(f"{source}: no such file") from None


def _write(stream: Any, numbers: Any, probability: npt.NDArray[np.float64]) -> None:
    import pyarrow as pa
    import pyarrow.csv

    table = pa.table({"index": numbers, "sameArtist": pa.array(probability.astype(np.float32))})
    pyarrow.csv.write_csv(table, stream, pyarrow.csv.WriteOptions(include_header=False, quoting_style="none"))


def _seen(table: pd.DataFrame) -> npt.NDArray[np.int8]:
    """(n,) 1 for a painting by an artist the competition trains on, 0 for another, -1 where the table does not say."""
    if "artist_group" not in table:
        return np.full(len(table), -1, np.int8)
    group = table["artist_group"]
    return np.where(group.isna(), -1, group.isin(SEEN_GROUPS)).astype(np.int8)


def _no_pairs() -> tuple[Places, Places]:
    return np.zeros(BINS, np.int64), np.zeros(BINS, np.int64)


def _count(counts: dict[str, tuple[Places, Places]], apart: Array, a: Places, b: Places,
           is_known: npt.NDArray[np.bool_], codes: Places, seen: npt.NDArray[np.int8]) -> None:
    """Add a block's labelled pairs to the curves: of all, of two seen artists, of two unseen ones."""
    is_labelled = is_known & (codes[a] >= 0) & (codes[b] >= 0)
    bins = bins_of(apart)
    is_same = codes[a] == codes[b]
    chosen = {"all": is_labelled, "seen": is_labelled & (seen[a] == 1) & (seen[b] == 1),
              "unseen": is_labelled & (seen[a] == 0) & (seen[b] == 0)}
    for name, (same, different) in counts.items():
        same += np.bincount(bins[chosen[name] & is_same], minlength=BINS)
        different += np.bincount(bins[chosen[name] & ~is_same], minlength=BINS)
