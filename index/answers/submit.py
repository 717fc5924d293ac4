"""Answer a file of millions of pairs, in the format of the competition Painter by Numbers.

The file is read and written in blocks, so that memory grows only with the number of paintings: 10 KB each, and as much
again for those of the current blocks. The nearest of each painting are searched, many at once and on several cores,
while earlier blocks are still being answered (pair_judge.py). Fused distances are float32 here, accurate to the sixth
digit: enough for ranking, while `pair` is exact to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from threadpoolctl import threadpool_limits

from ...embedder.parallel import ahead
from ...embedder.runtime import available_cores
from ..scoring.artists import artist_codes
from ..scoring.calibration import PairCalibration
from ..scoring.curve import BINS, PairCurve, bins_of
from ..scoring.vectors import Array, Integers
from ..storage.generations import Generation
from .pair_file import Block, Side, pair_file, rows_of, save, ten_digits, whole_file
from .pair_judge import PairJudge

PRIOR = 0.01311  # share of same-artist pairs in Painter by Numbers' test set
MOST_WORKERS = 4  # blocks answered at once; each takes some 100 MB, with 2,000 paintings in it
SEEN_GROUPS = {"train_and_test", "train_only"}  # values of Painter by Numbers' column artist_group
GROUPS = ("neither", "seen", "unseen")  # what two paintings of a pair have in common
COUNTED = (BINS, 2, len(GROUPS))  # fused distance, one artist or two, both seen or both unseen or mixed


@dataclass(frozen=True)
class Submission:
    """Facts about what was written. unanswered: pairs with a painting that is not in the index; they got the prior.

    auc: over all pairs with known artists, and over those of two seen or two unseen ones; NaN if there are none.
    """

    pairs: int
    unanswered: int
    auc: float
    auc_seen: float
    auc_unseen: float


def submit(
    generation: Generation,
    calibration: PairCalibration,
    source: Path,
    target: Path,
    *,
    prior: float = PRIOR,
    encoding: str | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Submission:
    """Write `index,sameArtist` for each `index, first image, second image` of source, columns by position.

    Images are ids of the index; sameArtist is the probability under the prior; encoding: of source, detected by
    default. The target is written atomically. progress is called with the bytes just answered. While it runs, the
    process' BLAS uses one thread per product. Raises BadCatalog.
    """
    workers = min(available_cores(), MOST_WORKERS)
    judge = PairJudge(generation, calibration, workers)
    counter = _Counter(generation.table)
    scale = calibration.scale(judge.has_landmarks)

    def numbered(block: Block) -> tuple[Block, Integers, Integers]:
        judge.look_at(np.concatenate([block.a.places, block.b.places]))
        return block, judge.numbers(block.a.places), judge.numbers(block.b.places)

    def answered(item: tuple[Block, Integers, Integers]) -> _Answered:
        block, rows, columns = item
        is_known = block.a.of(block.a.places >= 0) & block.b.of(block.b.places >= 0)
        apart = judge.fused_distances(block.a.of(rows), block.b.of(columns))
        probability = np.where(is_known, scale.probabilities(apart, prior), np.float32(prior))
        counts = counter.counts(block.a, block.b, apart)
        return _Answered(
            rows_of(block.index, ten_digits(probability)), len(apart), int((~is_known).sum()), counts, block.size
        )

    pairs = unanswered = 0
    counts = np.zeros(COUNTED, np.int64)
    # One core per block: BLAS threads on all cores would spin while they wait, on cores that other blocks need.
    with pair_file(source, generation, encoding) as asked, threadpool_limits(1, "blas"), whole_file(target) as stream:

        def saved(block: _Answered) -> _Answered:
            stream.write(block.text)
            save(stream)
            return block

        stream.write(b"index,sameArtist\n")
        progress(asked.header_bytes)
        # Closed, so that no thread continues after an error. Numbered in the order of the file, whichever is read
        # first, so that the same file gives the same answers to the bit. The disk works in parallel with the cores.
        with (
            closing(ahead(asked.pairs, asked.blocks(), workers=workers, most=2 * workers)) as read,
            closing(ahead(numbered, read, workers=1, most=2 * workers)) as named,
            closing(ahead(answered, named, workers=workers, most=2 * workers)) as judged,
            closing(ahead(saved, judged, workers=1, most=2)) as done,
        ):
            for block in done:
                counts += block.counts
                pairs, unanswered = pairs + block.pairs, unanswered + block.unanswered
                progress(block.size)
    return Submission(pairs, unanswered, *_aucs(counts))


class _Answered(NamedTuple):
    """An answered block of rows. text: their rows in the submission; counts: of _Counter; size: bytes read."""

    text: pa.Buffer
    pairs: int
    unanswered: int
    counts: Integers
    size: int


class _Counter:
    """Counts labelled pairs into COUNTED cells."""

    def __init__(self, table: pd.DataFrame) -> None:
        # One more at the end, without an artist: a place of -1 is a painting that is not in the index.
        self._codes = np.append(artist_codes(table["artist_key"])[0], -1).astype(np.int32)
        self._groups = np.append(_groups(table), 0).astype(np.int8)

    def counts(self, a: Side, b: Side, apart: Array) -> Integers:
        """Counts of the pairs of two paintings whose artists are known."""
        first, second = (side.of(self._codes[side.places]) for side in (a, b))
        group, other = (side.of(self._groups[side.places]) for side in (a, b))
        group = np.where(group == other, group, 0)
        cell = (bins_of(apart) * 2 + (first == second)) * len(GROUPS) + group
        is_labelled = (first >= 0) & (second >= 0)
        cell = cell if is_labelled.all() else cell[is_labelled]
        return np.bincount(cell, minlength=math.prod(COUNTED)).reshape(COUNTED)


def _aucs(counts: Integers) -> list[float]:
    """Over all pairs, those of two seen artists, those of two unseen ones."""
    return [PairCurve(kinds[:, 1], kinds[:, 0]).auc for kinds in (counts.sum(axis=2), counts[..., 1], counts[..., 2])]


def _groups(table: pd.DataFrame) -> npt.NDArray[np.int8]:
    """(n,) in GROUPS: whether a painting's artist is in the competition's training set, if the table says so."""
    if "artist_group" not in table:
        return np.zeros(len(table), np.int8)
    group = table["artist_group"]
    return np.where(group.isna(), 0, np.where(group.isin(SEEN_GROUPS), 1, 2)).astype(np.int8)
