"""Scores of rankings: neighbours by the same artist, the right artist first, queries out of the gallery recognised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..scoring.artist_scores import ArtistCalibration, GalleryScores, auc_of
from ..scoring.vectors import Array, Doubles, Integers
from .bootstrap import Interval, auc_interval, identified_interval, mean_interval
from .reliability import reliability

DEPTH = 10  # neighbours for mAP and hubness
FALSE_ACCEPTANCES = (0.01, 0.1)
CONFUSIONS = 20
OPEN_SET_POINTS = np.concatenate([[0.0], np.geomspace(1e-3, 1, 40)])


OpenSetCurve = tuple[tuple[float, float], ...]  # (false acceptance, correct identification)


@dataclass(frozen=True)
class RetrievalScores:
    """Scores of neighbours, for paintings with another one by their artist in the split.

    triplet_accuracy: the chance that a painting is nearer to another by its artist than to one by someone else.
    mean_average_precision_at_10 is relative to the best that ten places allow. hubness: skewness of how often each
    painting is among the ten nearest of others (Radovanovic et al., 2010); 0 if all are equal.
    """

    queries: int
    triplet_accuracy: float
    mean_average_precision_at_10: float
    recall_at_1: float
    recall_at_5: float
    hubness: float


def retrieval_scores(vectors: Array, artists: Integers) -> tuple[RetrievalScores, dict[str, Interval]]:
    """Scores of vectors (n, d) with artists (n,), negative if unknown: those are left out. With intervals.

    Every query has the same weight, and all of its triplets are counted; a tie is one half.
    """
    places = np.flatnonzero(artists >= 0)
    vectors, artists = vectors[places], artists[places]
    rows, askers, near_counts = [], [], np.zeros(len(places), np.int64)
    for query, artist in enumerate(artists):
        cosines = vectors @ vectors[query]
        cosines[query] = -np.inf
        nearest = np.argsort(-cosines, kind="stable")[: min(DEPTH, len(cosines) - 1)]
        near_counts[nearest] += 1
        is_same = artists == artist
        won = _triplets_won(cosines, is_same, query)
        if won is not None:
            hits = is_same[nearest]
            precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
            rows.append(
                (
                    won,
                    (precision * hits).sum() / min(DEPTH, is_same.sum() - 1),
                    float(hits[:1].any()),
                    float(hits[:5].any()),
                )
            )
            askers.append(artist)
    found = np.array(rows, np.float64).reshape(-1, 4)
    names = ("triplet_accuracy", "mean_average_precision_at_10", "recall_at_1", "recall_at_5")
    means = found.mean(axis=0) if len(found) else np.full(4, np.nan)
    intervals = {name: mean_interval(found[:, i], np.array(askers)) for i, name in enumerate(names)}
    scores = RetrievalScores(
        len(found), float(means[0]), float(means[1]), float(means[2]), float(means[3]), _skewness(near_counts)
    )
    return scores, intervals


def triplet_accuracy(vectors: Array, artists: Integers) -> float:
    """Only the number of `retrieval_scores` that training needs."""
    known = artists >= 0
    vectors, artists = vectors[known], artists[known]
    won = [_triplets_won(vectors @ vector, artists == artists[anchor], anchor) for anchor, vector in enumerate(vectors)]
    judged = [share for share in won if share is not None]
    return float(np.mean(judged)) if judged else float("nan")


def _triplets_won(cosines: Array, is_same: npt.NDArray[np.bool_], anchor: int) -> float | None:
    """The share of an anchor's triplets with the positive nearer; None if it has no triplet."""
    negatives = np.sort(cosines[~is_same])
    positives = np.delete(cosines, anchor)[np.delete(is_same, anchor)]
    if not len(positives) or not len(negatives):
        return None
    before, after = (np.searchsorted(negatives, positives, side=side).mean() for side in ("left", "right"))
    return float((before + after) / 2 / len(negatives))


@dataclass(frozen=True)
class ArtistScores:
    """Scores of one artist's queries: share with the right name first and among five, and who was most often named
    instead."""

    artist: str
    paintings: int  # in the gallery
    queries: int
    top_1: float
    top_5: float
    taken_for: str | None


@dataclass(frozen=True)
class NearestScores:
    """Scores of queries by artists of the gallery: share with the right artist first, and among the first five.

    correct_identification: share of them with the right name first, at a probability that the first artists of only a
    share false_acceptance of out-of-gallery queries reach. large_named: share of the wrong first answers that name one
    of the tenth of artists with the most paintings, who have the share large_hold of the gallery. unknown_error:
    calibration error of `unknown`, with equal weights for queries of the gallery and out of it.
    """

    queries: int
    gallery_paintings: int
    gallery_artists: int
    out_of_gallery: int
    top_1: float
    top_5: float
    false_acceptance: tuple[float, ...]
    correct_identification: tuple[float, ...]
    known_auc: float
    unknown_error: float
    large_named: float
    large_hold: float
    confusions: tuple[tuple[str, str, int], ...]  # artist, who was named first instead, how often
    by_artist: tuple[ArtistScores, ...]


def nearest_scores(
    known: GalleryScores,
    truth: Integers,
    out_of_gallery: GalleryScores,
    gallery: Integers,
    names: list[str],
    calibration: ArtistCalibration,
    outside_by: Integers | None = None,
) -> tuple[NearestScores, dict[str, Interval], OpenSetCurve]:
    """known: the gallery's scores for queries by its artists, truth (q,); out_of_gallery: for queries by others.

    gallery: (n,) its paintings' codes, negative if unknown. A query whose artist has no painting that counts is left
    out. outside_by: (s,) artists of out_of_gallery, all different by default. With intervals, and the open-set curve as
    (false acceptance, correct identification).
    """
    is_judged = known.paintings[np.arange(len(truth)), truth] > 0
    truth, scored = truth[is_judged], known.of(is_judged)
    probabilities, unknown = calibration.posterior(scored)
    foreign, foreign_unknown = calibration.posterior(out_of_gallery)
    evidence = calibration.evidence(scored)
    ahead = (evidence > evidence[np.arange(len(truth)), truth][:, None]).sum(axis=1)
    named = probabilities.argmax(axis=1) if len(truth) else truth
    sizes = np.bincount(gallery[gallery >= 0], minlength=len(names))
    is_large = np.isin(np.arange(len(names)), np.argsort(-sizes, kind="stable")[: -(-int((sizes > 0).sum()) // 10)])
    wrong = named != truth
    limits = acceptance_limits(foreign.max(axis=1, initial=0), OPEN_SET_POINTS)
    best = probabilities.max(axis=1, initial=0)
    identified = [float(((best > limit) & ~wrong).mean()) if len(truth) else np.nan for limit in limits]
    scores = NearestScores(
        len(truth),
        int(sizes.sum()),
        int((sizes > 0).sum()),
        len(foreign),
        _share(ahead < 1),
        _share(ahead < 5),
        FALSE_ACCEPTANCES,
        tuple(
            float(((best > limit) & ~wrong).mean()) if len(truth) else np.nan
            for limit in acceptance_limits(foreign.max(axis=1, initial=0), np.array(FALSE_ACCEPTANCES))
        ),
        auc_of(-unknown, -foreign_unknown),
        unknown_error(unknown, foreign_unknown),
        _share(is_large[named[wrong]]),
        float(sizes[is_large].sum() / max(sizes.sum(), 1)),
        _confusions(truth[wrong], named[wrong], names),
        _by_artist(truth, named, ahead, sizes, names),
    )
    intervals = {
        "top_1": mean_interval((ahead < 1).astype(float), truth),
        "top_5": mean_interval((ahead < 5).astype(float), truth),
    }
    outside_by = np.arange(len(foreign)) if outside_by is None else outside_by
    if len(truth) and len(foreign):
        intervals["known_auc"] = auc_interval(-unknown, -foreign_unknown, truth, outside_by)
        intervals["identified_at_10_percent"] = identified_interval(
            best, ~wrong, foreign.max(axis=1), 0.1, truth, outside_by
        )
    return scores, intervals, tuple(zip(OPEN_SET_POINTS.tolist(), identified, strict=True))


def acceptance_limits(first: Doubles, shares: Doubles) -> list[float]:
    """Probabilities that at most these shares of out-of-gallery queries' first artists exceed."""
    ranked = np.sort(first)[::-1]
    places = np.minimum((shares * len(ranked)).astype(np.int64), len(ranked) - 1)
    return (
        [1.0] * len(shares)
        if not len(ranked)
        else [-1.0 if share >= 1 else float(ranked[place]) for share, place in zip(shares, places, strict=True)]
    )


def unknown_error(known: Doubles, out_of_gallery: Doubles) -> float:
    """Calibration error (reliability.py) of `unknown` for the known (k,) and for out_of_gallery (s,)."""
    if not len(known) or not len(out_of_gallery):
        return float("nan")
    is_outside = np.repeat([False, True], [len(known), len(out_of_gallery)])
    return reliability(np.concatenate([known, out_of_gallery]), is_outside, ~is_outside).error


def _confusions(truth: Integers, named: Integers, names: list[str]) -> tuple[tuple[str, str, int], ...]:
    pairs, counts = np.unique(np.column_stack([truth, named]), axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:CONFUSIONS]
    return tuple((names[pairs[i][0]], names[pairs[i][1]], int(counts[i])) for i in order.tolist() if counts[i] > 1)


def _by_artist(
    truth: Integers, named: Integers, ahead: Integers, sizes: Integers, names: list[str]
) -> tuple[ArtistScores, ...]:
    rows = []
    for code in np.unique(truth).tolist():
        own = truth == code
        others, counts = np.unique(named[own & (named != code)], return_counts=True)
        taken_for = names[others[counts.argmax()]] if len(others) else None
        rows.append(
            ArtistScores(
                names[code], int(sizes[code]), int(own.sum()), _share(ahead[own] < 1), _share(ahead[own] < 5), taken_for
            )
        )
    return tuple(rows)


def _share(is_so: npt.NDArray[np.bool_]) -> float:
    return float(is_so.mean()) if len(is_so) else float("nan")


def _skewness(counts: npt.NDArray[np.int64]) -> float:
    if not len(counts) or not counts.std():
        return 0.0
    return float((((counts - counts.mean()) / counts.std()) ** 3).mean())
