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
from .calibrate import (
    ArtistCalibration,
    ArtistCase,
    Calibration,
    PairCurve,
    Voices,
    calibrate_artists,
    calibrate_pairs,
)
from .centre import centre_of, centred
from .search import artist_codes, voices
from .vectors import Array, Doubles

Codes = npt.NDArray[np.int64]

THIN_GALLERIES = (10.0, 3.0, 1.7)  # paintings an artist, on average


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
                      curve.at(0.01).true_positive_rate if curve.same.any() else float("nan"))


def triplet_accuracy(vectors: Array, artists: Codes) -> float:
    """The chance that a painting is nearer to another by its artist than to one by someone else.

    Every anchor that has a positive weighs the same, and all of its triplets are counted; a tie is one half.
    """
    known = artists >= 0
    vectors, artists = vectors[known], artists[known]
    shares = []
    for anchor, artist in enumerate(artists):
        cosines = vectors @ vectors[anchor]
        is_same = artists == artist
        negatives = np.sort(cosines[~is_same])
        is_same[anchor] = False
        positives = cosines[is_same]
        if len(positives) and len(negatives):
            won = np.searchsorted(negatives, positives, side="left").mean()
            won_or_tied = np.searchsorted(negatives, positives, side="right").mean()
            shares.append((won + won_or_tied) / 2 / len(negatives))
    return float(np.mean(shares)) if shares else float("nan")


def nearest_scores(evidence: Doubles, truth: Codes, gallery: Codes) -> NearestScores:
    """evidence: (q, a) for every artist, -inf for one without a painting that counts; truth: (q,) codes.

    gallery: (n,) its paintings' codes. A query whose artist has no painting that counts is not judged.
    """
    right = np.full(len(truth), -np.inf)
    right[truth >= 0] = evidence[np.flatnonzero(truth >= 0), truth[truth >= 0]]
    is_judged = np.isfinite(right)
    ahead = (evidence[is_judged] > right[is_judged, None]).sum(axis=1)
    return NearestScores(len(ahead), int((gallery >= 0).sum()), len(np.unique(gallery[gallery >= 0])),
                         float((ahead < 1).mean()) if len(ahead) else float("nan"),
                         float((ahead < 5).mean()) if len(ahead) else float("nan"))


def voices_of(gallery: Array, codes: Codes, artists: int, queries: Array, *, leave_one_out: bool = False) -> Voices:
    """What a gallery (n, d) with artists (n,) says to queries (q, d); with leave_one_out none speaks for itself."""
    scores, paintings = [], []
    for i, query in enumerate(queries):
        cosines = np.asarray(gallery @ query, np.float64)
        if leave_one_out:
            cosines[i] = -np.inf
        heard = voices(cosines, codes, artists)
        scores.append(heard.scores)
        paintings.append(heard.paintings)
    return Voices(np.reshape(scores, (len(queries), artists)), np.reshape(paintings, (len(queries), artists)))


@dataclass(frozen=True)
class SplitScores:
    """One split of a labelled index."""

    split: str
    pairs: PairScores
    nearest: NearestScores | None  # None where the model is not calibrated


def split_names(table: pd.DataFrame, column: str) -> pd.Series[str]:
    """(n,) the split each painting belongs to: what the column says, `all` where there is no such column."""
    if column not in table:
        return pd.Series("all", index=table.index, dtype=object)
    return table[column].astype(object).where(table[column].notna(), "none").astype(str)


def evaluate(table: pd.DataFrame, embeddings: Array, splits: pd.Series[str], chosen: Sequence[str],
             gallery: str | None, calibration: ArtistCalibration | None) -> list[SplitScores]:
    """Scores of the chosen splits. table: the index's rows; embeddings: (n, d) as of the model; splits: (n,) names.

    Pairs are judged as in an index of that split alone, around its own centre. Artists are looked for in an index of
    the split `gallery`, and where there is none, or for that split itself, among the split's own other paintings.
    """
    codes, keys = artist_codes(table["artist_key"])
    found = []
    for split in chosen:
        here = (splits == split).to_numpy()
        there = here if gallery in (None, split) else (splits == gallery).to_numpy()
        own, centre = (centre_of(embeddings[part], codes[part]) for part in (here, there))
        nearest = None
        if calibration:
            queries, among = (centred(embeddings[part], centre) for part in (here, there))
            heard = voices_of(among, codes[there], len(keys), queries, leave_one_out=there is here)
            nearest = nearest_scores(calibration.evidence(heard), codes[here], codes[there])
        found.append(SplitScores(split, pair_scores(centred(embeddings[here], own), codes[here]), nearest))
    return found


def calibrate(table: pd.DataFrame, embeddings: Array, splits: pd.Series[str], *, gallery: str, seen: str, unseen: str
              ) -> Calibration:
    """Calibrate pairs on artists the model has not seen, artists on both: seen ones are in the gallery, unseen not.

    embeddings: (n, d) as of the model; pairs and gallery stand around their own centres, as in an index of them.
    """
    codes, keys = artist_codes(table["artist_key"])
    of = {name: (splits == name).to_numpy() & (codes >= 0) for name in (gallery, seen, unseen)}
    of[seen] &= np.isin(codes, codes[of[gallery]])
    around = centred(embeddings[of[unseen]], centre_of(embeddings[of[unseen]], codes[of[unseen]]))
    curve = PairCurve.of(around, codes[of[unseen]])
    if not curve.same.any() or not curve.different.any():
        raise BadCatalog(f"calibrating needs pairs of paintings by the same artist and by others in the split {unseen}")
    if not of[seen].any():
        raise BadCatalog(f"calibrating needs paintings in the split {seen} by artists of the split {gallery}")
    described = {name: f"{here.sum():,} paintings by {len(np.unique(codes[here]))} artists ({name})"
                 for name, here in of.items()}

    def case(among: Codes) -> ArtistCase:
        centre = centre_of(embeddings[among], codes[among])
        known, unknown = (voices_of(centred(embeddings[among], centre), codes[among], len(keys),
                                    centred(embeddings[of[name]], centre)) for name in (seen, unseen))
        return ArtistCase(known, codes[of[seen]], unknown)

    whole = np.flatnonzero(of[gallery])
    galleries = [whole, *(_thinned(whole, codes, mean) for mean in THIN_GALLERIES)]
    pairs = calibrate_pairs(curve, f"all pairs of {described[unseen]}, by artists the model was not trained on")
    artists = calibrate_artists([case(among) for among in galleries], f"{described[seen]} as known and "
                                f"{described[unseen]} as unknown, against {described[gallery]} and against "
                                f"{', '.join(f'{mean:g}' for mean in THIN_GALLERIES)} paintings of each on average")
    return Calibration(pairs, artists)


def _thinned(places: Codes, codes: Codes, mean: float) -> Codes:
    """Few paintings of most artists, as museums have: a geometric number, the same ones at every run."""
    chance = np.random.default_rng(0)
    kept = []
    for artist in np.unique(codes[places]):
        own = places[codes[places] == artist]
        kept.append(chance.choice(own, min(len(own), int(chance.geometric(1 / mean))), replace=False))
    return np.sort(np.concatenate(kept))
