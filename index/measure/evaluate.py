"""How good the answers are on labelled paintings; every published number comes from here.

There is no loop over pairs: they are counted in bins, one block of the Gram matrix at a time. Rankings are scored in
retrieval.py, intervals are from bootstrap.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..scoring.artist_scores import GalleryScores, gallery_scores, without_own_artists
from ..scoring.artists import artist_codes, artist_names
from ..scoring.calibration import DEFAULT_PRIOR, Calibration, OperatingPoint, PairCalibration
from ..scoring.centre import centre_of, centred
from ..scoring.curve import BINS, SPAN, PairCurve, Pairs, blocks
from ..scoring.neighbourhood import Neighbourhoods, neighbourhoods_among
from ..scoring.sculpture import SculptureDetector, likeness_in
from ..scoring.vectors import Array, Integers
from .bootstrap import MOST_PAIRS, Interval, pair_intervals, thinned
from .reliability import Reliability, brier, even_odds, reliability
from .retrieval import NearestScores, OpenSetCurve, RetrievalScores, nearest_scores, retrieval_scores
from .too_good import perfect_scores, reads_the_answer

Roc = tuple[OperatingPoint, ...]


@dataclass(frozen=True)
class PairScores:
    """Scores of all pairs of one split, ranked as in the verdict if the index is calibrated, else by distance.

    found_at_...: share of same-artist pairs found at the threshold that this share of the others passes. called_same:
    the threshold of `pair`, with its rates on this split; accuracy: share of pairs it judges correctly there (at the
    equal-error point if it is not calibrated), both kinds weighing the same; precision: share of same-artist pairs
    among those it calls the same, under the prior. calibration_error and brier: at a prior of one half.
    """

    paintings: int
    artists: int
    same_pairs: int
    different_pairs: int
    auc: float
    auc_by_distance: float
    found_at_1_percent: float
    found_at_0_1_percent: float
    accuracy: float
    called_same: OperatingPoint | None
    prior: float
    precision: float | None
    calibration_error: float | None
    brier: float | None
    brier_by_distance: float | None


@dataclass(frozen=True)
class Curves:
    """The data of a report's charts. open_set: (false acceptance, correct identification)."""

    roc: Roc
    roc_by_distance: Roc
    reliability: Reliability | None
    open_set: OpenSetCurve


@dataclass(frozen=True)
class SplitScores:
    """One split of a labelled index. intervals: of numbers of pairs, retrieval and nearest, by their names.

    outside: the same pairs asked of the gallery, which holds neither painting, with intervals named `outside_...`; None
    for the gallery itself, without a gallery, and without a calibration. doubts: what is too good to be true, in
    sentences (too_good.py).
    """

    split: str
    pairs: PairScores
    retrieval: RetrievalScores
    nearest: NearestScores | None  # None if the index is not calibrated
    intervals: dict[str, Interval]
    curves: Curves
    outside: PairScores | None = None
    doubts: tuple[str, ...] = ()


def evaluate(
    table: pd.DataFrame,
    embeddings: Array,
    splits: pd.Series[str],
    chosen: Sequence[str],
    gallery: str | None,
    calibration: Calibration | None,
    prior: float = DEFAULT_PRIOR,
) -> list[SplitScores]:
    """Scores of the chosen splits. table: the index's rows; embeddings: (n, d) as of the model; splits: (n,) names.

    Pairs are judged as in an index of that split alone, around its own centre; with a calibration and a gallery, also
    as in an index of the gallery alone. Artists are searched in an index of the split `gallery`; without one, or for
    that split itself, among the split's own other paintings. Splits other than the gallery are also scored together, as
    the last. Queries out of the gallery are the chosen splits' paintings by artists whom it does not hold; if there are
    none, the queries themselves, without their artist's paintings.
    """
    codes, keys = artist_codes(table["artist_key"])
    names = artist_names(table, codes, keys)
    hashes = table["vector_sha256"].to_numpy(object)
    others = [split for split in chosen if split != gallery]
    together = [(" + ".join(others), splits.isin(others))] if gallery and len(others) > 1 else []
    found = []
    for split, is_here in [*((split, splits == split) for split in chosen), *together]:
        here = is_here.to_numpy(bool)
        vectors = centred(embeddings[here], centre_of(embeddings[here], codes[here]))
        itself = neighbourhoods_among(vectors, vectors, hashes[here], np.arange(len(vectors))) if calibration else None
        pairs, intervals, curves = _pair_scores(
            vectors, codes[here], itself, calibration.pairs if calibration else None, prior
        )
        retrieval, more = retrieval_scores(vectors, codes[here])
        intervals |= more
        nearest: NearestScores | None = None
        outside: PairScores | None = None
        open_set: OpenSetCurve = ()
        doubts: list[str] = []
        if calibration:
            is_itself = gallery is None or gallery == split
            there = here if is_itself else (splits == gallery).to_numpy(bool)
            asked = np.flatnonzero(here & (codes >= 0))
            known = _scored(embeddings, codes, there, asked, calibration.artists.sculptures, is_itself=is_itself)
            foreign = np.flatnonzero(splits.isin(chosen).to_numpy(bool) & (codes >= 0) & ~np.isin(codes, codes[there]))
            out_of_gallery = (
                _scored(embeddings, codes, there, foreign, calibration.artists.sculptures, is_itself=False)
                if len(foreign)
                else without_own_artists(known, codes[asked])
            )
            nearest, more, open_set = nearest_scores(
                known,
                codes[asked],
                out_of_gallery,
                codes[there],
                names,
                calibration.artists,
                codes[foreign if len(foreign) else asked],
            )
            intervals |= more
            if not is_itself:
                outside, more = _outside(embeddings, codes, hashes, here, there, calibration, prior)
                intervals |= more
            if is_itself:
                doubts = reads_the_answer(vectors, codes[here], calibration.artists)
        doubts += perfect_scores(
            pairs.auc, pairs.same_pairs, *((nearest.top_1, nearest.queries) if nearest else (math.nan, 0))
        )
        curves_of = Curves(*curves, open_set)
        found.append(SplitScores(split, pairs, retrieval, nearest, intervals, curves_of, outside, tuple(doubts)))
    return found


def _scored(
    embeddings: Array,
    codes: Integers,
    there: npt.NDArray[np.bool_],
    asked: Integers,
    sculptures: SculptureDetector | None,
    *,
    is_itself: bool,
) -> GalleryScores:
    """Scores of the queries (q,) in a gallery, the paintings `there` (n,), which holds them if it is the same split."""
    centre = centre_of(embeddings[there], codes[there])
    gallery, queries = centred(embeddings[there], centre), centred(embeddings[asked], centre)
    own = np.searchsorted(np.flatnonzero(there), asked) if is_itself else None
    artists = int(codes.max(initial=-1)) + 1
    scored = gallery_scores(gallery, codes[there], artists, queries, own)
    if sculptures is None:
        return scored
    alike = likeness_in(sculptures, embeddings[there], codes[there], artists, embeddings[asked], own)
    return replace(scored, likeness=alike)


def _outside(
    embeddings: Array,
    codes: Integers,
    hashes: npt.NDArray[np.object_],
    here: npt.NDArray[np.bool_],
    there: npt.NDArray[np.bool_],
    calibration: Calibration,
    prior: float,
) -> tuple[PairScores, dict[str, Interval]]:
    """Scores of pairs of the paintings `here` (n,) as `pair` judges them in an index of those `there`, which holds
    neither."""
    centre = centre_of(embeddings[there], codes[there])
    vectors, gallery = centred(embeddings[here], centre), centred(embeddings[there], centre)
    neighbourhoods = neighbourhoods_among(vectors, gallery, hashes[there], np.full(len(vectors), -1))
    pairs, intervals, _ = _pair_scores(
        vectors, codes[here], neighbourhoods, calibration.pairs_where(is_any_inside=False), prior
    )
    return pairs, {f"outside_{name}": interval for name, interval in intervals.items()}


def _pair_scores(
    vectors: Array,
    artists: Integers,
    neighbourhoods: Neighbourhoods | None,
    calibration: PairCalibration | None,
    prior: float,
) -> tuple[PairScores, dict[str, Interval], tuple[Roc, Roc, Reliability | None]]:
    _, counts = np.unique(artists[artists >= 0], return_counts=True)
    same = int((counts * (counts - 1)).sum()) // 2
    different = int(counts.sum() * (counts.sum() - 1)) // 2 - same
    by_distance, by_verdict = PairCurve.empty(), PairCurve.empty()
    chance, kept = np.random.default_rng(0), []
    for pairs in blocks(vectors, artists, neighbourhoods):
        by_distance.add(pairs.distances, pairs.is_same)
        by_verdict.add(_judged(pairs, calibration), pairs.is_same)
        kept.append(thinned(pairs, MOST_PAIRS / max(same, 1), MOST_PAIRS / max(different, 1), chance))
    called = precision = spread = error = squared = squared_by_distance = None
    if calibration and same and different:
        scale = calibration.scale(neighbourhoods is not None)
        called = by_verdict.called_same(scale.point().distance)
        found, mistaken = prior * called.true_positive_rate, (1 - prior) * called.false_positive_rate
        precision = found / (found + mistaken) if found + mistaken else None
        centres = (np.arange(BINS) + 0.5) * SPAN / BINS
        given, given_by_distance = (even_odds(each.evidence(centres)) for each in (scale, calibration.by_distance))
        spread = reliability(given, by_verdict.same, by_verdict.different)
        error = spread.error
        squared = brier(given, by_verdict.same, by_verdict.different)
        squared_by_distance = brier(given_by_distance, by_distance.same, by_distance.different)
    found_at = [
        by_verdict.at(rate).true_positive_rate if same and different else float("nan") for rate in (0.01, 0.001)
    ]
    decided = called or by_verdict.equal_error()
    right = (decided.true_positive_rate + 1 - decided.false_positive_rate) / 2
    accuracy = right if same and different else float("nan")
    scores = PairScores(
        int(counts.sum()),
        len(counts),
        same,
        different,
        by_verdict.auc,
        by_distance.auc,
        found_at[0],
        found_at[1],
        accuracy,
        called,
        prior,
        precision,
        error,
        squared,
        squared_by_distance,
    )
    sample = Pairs.joined(kept) if kept else None
    intervals = pair_intervals(_judged(sample, calibration), sample) if sample and same and different else {}
    return scores, intervals, (by_verdict.roc(), by_distance.roc(), spread)


def _judged(pairs: Pairs, calibration: PairCalibration | None) -> Array:
    """(p,) the distances that the verdict compares with a threshold."""
    if calibration is None or not len(pairs.similarities):
        return pairs.distances
    found: Array = calibration.fused_distances(pairs.distances, pairs.similarities)
    return found
