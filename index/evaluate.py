"""How good a model is on labelled paintings; every published number comes from here.

Pairs are never looped over: distances are counted into bins, one block of the Gram matrix at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import BadCatalog
from .calibrate import Calibration, PairCurve, calibrate_artists, calibrate_pairs
from .search import artist_codes, artist_scores
from .vectors import Array, Doubles

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PairScores:
    """All pairs of one split. found_at_1_percent: share of same pairs found where 1 % of different ones are, too."""

    paintings: int
    artists: int
    same_pairs: int
    different_pairs: int
    auc: float
    triplet_accuracy: float
    found_at_1_percent: float


@dataclass(frozen=True)
class NearestScores:
    """Queries by artists of the gallery: share with the right artist ranked first, and among the first five."""

    queries: int
    gallery_paintings: int
    gallery_artists: int
    top_1: float
    top_5: float


def pair_scores(vectors: Array, artists: Codes) -> PairScores:
    """vectors: (n, d) unit; artists: (n,) codes, negative where unknown."""
    curve = PairCurve.of(vectors, artists)
    known = artists >= 0
    return PairScores(int(known.sum()), len(np.unique(artists[known])), int(curve.same.sum()),
                      int(curve.different.sum()), curve.auc, triplet_accuracy(vectors, artists),
                      curve.at(0.01).true_positive_rate)


def triplet_accuracy(vectors: Array, artists: Codes) -> float:
    """The chance that a painting is nearer to another by its artist than to one by someone else.

    Every anchor that has a positive weighs the same, and all of its triplets are counted; a tie is one half.
    """
    known = artists >= 0
    vectors, artists = vectors[known], artists[known]
    won = []
    for anchor, artist in enumerate(artists):
        cosines = vectors @ vectors[anchor]
        is_same = artists == artist
        negatives = np.sort(cosines[~is_same])
        is_same[anchor] = False
        positives = cosines[is_same]
        if len(positives) and len(negatives):
            lost_or_tied = np.searchsorted(negatives, positives, side="right").mean()
            lost = np.searchsorted(negatives, positives, side="left").mean()
            won.append((lost_or_tied + lost) / 2 / len(negatives))
    return float(np.mean(won)) if won else float("nan")


def nearest_scores(scores: Doubles, truth: Codes, gallery: Codes) -> NearestScores:
    """scores: (q, a) of every gallery artist for every query, truth: (q,) codes; gallery: (n,) its paintings' codes."""
    judged = np.isin(truth, gallery[gallery >= 0])
    scores, truth = scores[judged], truth[judged]
    right = scores[np.arange(len(truth)), truth]
    rank = (scores > right[:, None]).sum(axis=1)  # 0 is first
    return NearestScores(len(truth), int((gallery >= 0).sum()), len(np.unique(gallery[gallery >= 0])),
                        float((rank < 1).mean()) if len(rank) else float("nan"),
                        float((rank < 5).mean()) if len(rank) else float("nan"))


def scores_against(queries: Array, gallery: Array, codes: Codes, artists: int, *, leave_one_out: bool = False
                   ) -> Doubles:
    """(q, artists): what nearest-artist search makes of each query (q, d) against a gallery (n, d).

    leave_one_out: the queries are the gallery, and none speaks for itself.
    """
    found = []
    for i, query in enumerate(queries):
        cosines = np.asarray(gallery @ query, np.float64)
        if leave_one_out:
            cosines[i] = -np.inf
        found.append(artist_scores(cosines, codes, artists))
    return np.array(found).reshape(len(queries), artists)


@dataclass(frozen=True)
class SplitScores:
    """One split of a labelled index."""

    split: str
    pairs: PairScores
    nearest: NearestScores


def split_names(table: pd.DataFrame, column: str) -> pd.Series[str]:
    """(n,) the split each painting belongs to: what the column says, `all` where there is no such column."""
    if column not in table:
        return pd.Series("all", index=table.index, dtype=object)
    return table[column].astype(object).where(table[column].notna(), "none").astype(str)


def evaluate(table: pd.DataFrame, vectors: Array, splits: pd.Series[str], chosen: Sequence[str],
             gallery: str | None = None) -> list[SplitScores]:
    """Scores of the chosen splits. table: the index's rows; vectors: (n, d); splits: (n,) names.

    Artists are looked for among the paintings of split `gallery`, and where there is none, or for that split
    itself, among the split's own other paintings.
    """
    codes, keys = artist_codes(table["artist_key"])
    found = []
    for split in chosen:
        here = (splits == split).to_numpy()
        there = here if gallery in (None, split) else (splits == gallery).to_numpy()
        scores = scores_against(vectors[here], vectors[there], codes[there], len(keys), leave_one_out=there is here)
        found.append(SplitScores(split, pair_scores(vectors[here], codes[here]),
                                 nearest_scores(scores, codes[here], codes[there])))
    return found


def calibrate(table: pd.DataFrame, vectors: Array, splits: pd.Series[str], *, gallery: str, seen: str, unseen: str
              ) -> Calibration:
    """Calibrate pairs on artists the model has not seen, artists on both: seen ones are in the gallery, unseen not."""
    codes, keys = artist_codes(table["artist_key"])
    of = {name: (splits == name).to_numpy() for name in (gallery, seen, unseen)}
    curve = PairCurve.of(vectors[of[unseen]], codes[of[unseen]])
    if not curve.same.any() or not curve.different.any():
        raise BadCatalog(f"calibrating needs pairs of paintings by the same artist and by others in the split {unseen}")
    if not np.isin(codes[of[seen]], codes[of[gallery]]).all():
        raise BadCatalog(f"calibrating needs the artists of the split {seen} to be in the split {gallery} too")
    described = {name: f"{here.sum():,} paintings by {len(np.unique(codes[here]))} artists ({name})"
                 for name, here in of.items()}
    in_gallery = np.unique(codes[of[gallery]])
    in_gallery = in_gallery[in_gallery >= 0]

    def scores(name: str) -> Doubles:
        return scores_against(vectors[of[name]], vectors[of[gallery]], codes[of[gallery]], len(keys))[:, in_gallery]

    pairs = calibrate_pairs(curve, f"all pairs of {described[unseen]}, by artists the model was not trained on")
    truth = np.searchsorted(in_gallery, codes[of[seen]])
    artists = calibrate_artists(scores(seen), truth, scores(unseen), f"{described[seen]} as known and "
                                f"{described[unseen]} as unknown, against {described[gallery]}")
    return Calibration(pairs, artists)
