"""Calibrations fitted to labelled paintings, always judged on artists that the fit has not seen.

Needs scikit-learn (artidx[calibrate]). What is fitted is described, and used, in calibrate.py.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import BadCatalog, MissingPackage
from .calibrate import (
    FALSE_POSITIVE_RATES,
    ArtistCalibration,
    ArtistCase,
    Calibration,
    PairCalibration,
    Scale,
    Voices,
)
from .centre import centre_of, centred
from .curve import Codes, PairCurve, Pairs, blocks
from .search import artist_codes, silenced, voices_of
from .store import Generation
from .surroundings import surroundings_among
from .vectors import Array, Doubles

THIN_GALLERIES = (10.0, 3.0, 1.7)  # paintings an artist, on average
ROC_RATES = np.geomspace(1e-4, 1, 60)  # false-positive rates at which a curve is kept
BINS = 15  # of probability, for the calibration error
MOST_PAINTINGS = 2000  # of an index whose pairs are looked at: 2 million of them
MOST_OF_ONE = 50  # paintings by one artist among these


Counted = npt.NDArray[np.int64] | npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Reliability:
    """Pairs in bins of the probability they were given, both kinds weighing the same: (bins,) each."""

    predicted: Doubles
    observed: Doubles
    weight: Doubles

    @property
    def error(self) -> float:
        """Expected calibration error (Naeini et al., 2015)."""
        return float((self.weight * np.abs(self.predicted - self.observed)).sum())


def reliability(evidence: Doubles, same: Counted, different: Counted) -> Reliability:
    """Of log-likelihood ratios (k,) at a prior of one half; same and different: (k,) how many pairs have each."""
    probability, as_same, as_different = _halved(evidence, same, different)
    bins = np.minimum((probability * BINS).astype(np.int64), BINS - 1)
    both = as_same + as_different
    weight, predicted, observed = (np.bincount(bins, values, BINS).astype(np.float64)
                                   for values in (both, probability * both, as_same))
    filled = np.maximum(weight, 1e-300)
    return Reliability(predicted / filled, observed / filled, weight)


def brier(evidence: Doubles, same: Counted, different: Counted) -> float:
    """Mean squared error of the probabilities (Brier, 1950) at a prior of one half, of pairs as in `reliability`."""
    probability, as_same, as_different = _halved(evidence, same, different)
    return float((as_same * (1 - probability) ** 2 + as_different * probability**2).sum())


def _halved(evidence: Doubles, same: Counted, different: Counted) -> tuple[Doubles, Doubles, Doubles]:
    """Probabilities, and both kinds' counts as weights that add up to one half."""
    return 1 / (1 + np.exp(-evidence)), same / max(2 * same.sum(), 1), different / max(2 * different.sum(), 1)


def setting_within(embeddings: Array, artists: Codes, hashes: npt.NDArray[np.object_]) -> Pairs:
    """All pairs of paintings in an index of them alone: around their own centre, witnesses to each other.

    embeddings: (n, d) as of the model; artists: (n,) codes; hashes: (n,) of the vectors (surroundings.py).
    """
    vectors = centred(embeddings, centre_of(embeddings, artists))
    return pairs_among(vectors, artists, vectors, hashes, np.arange(len(vectors)))


def setting_asked(embeddings: Array, artists: Codes, others: Array, their_artists: Codes,
                  hashes: npt.NDArray[np.object_]) -> Pairs:
    """All pairs of paintings that are asked of an index of other paintings, by other artists."""
    centre = centre_of(others, their_artists)
    return pairs_among(centred(embeddings, centre), artists, centred(others, centre), hashes,
                       np.full(len(embeddings), -1))


def pairs_among(vectors: Array, artists: Codes, gallery: Array, hashes: npt.NDArray[np.object_], own: Codes) -> Pairs:
    """All pairs of vectors (n, d), with the witnesses of a gallery (g, d); own: (n,) their places in it, or -1."""
    return Pairs.joined(list(blocks(vectors, artists, surroundings_among(vectors, gallery, hashes, own))))


def calibrate_pairs(settings: Sequence[Pairs], measured_on: str) -> PairCalibration:
    """Fit by maximum likelihood; the settings weigh the same, and in each of them both kinds of pair do.

    Agreement counts where every setting has it.
    """
    pairs = Pairs.joined(settings)
    weights = np.concatenate([_balanced(part.is_same) for part in settings])
    by_distance = by_separation = _scale(pairs, weights, pairs.distances[:, None], 0.0)
    disagreement = 0.0
    if len(pairs.agreements) == len(pairs.distances):
        terms = np.column_stack([pairs.distances, 1 - pairs.agreements])
        fitted = _logistic(terms, pairs.is_same, weights)
        if min(-fitted[:2]) > 0:  # else disagreement speaks for one artist, as it does by chance among few paintings
            disagreement = float(fitted[1] / fitted[0])
            by_separation = _scale(pairs, weights, terms, disagreement)
    same = int(settings[0].is_same.sum())
    return PairCalibration(by_distance, by_separation, disagreement, measured_on, same,
                           len(settings[0].distances) - same)


def calibrate_artists(cases: Sequence[ArtistCase], measured_on: str) -> ArtistCalibration:
    """Fit by maximum likelihood; the cases weigh the same, and in each the known and the unknown queries do."""
    def surprise(calibration: ArtistCalibration, case: ArtistCase) -> float:
        right = calibration.log_posterior(case.known)[0][np.arange(len(case.truth)), case.truth]
        return -float(right.mean() + calibration.log_posterior(case.unknown)[1].mean())

    def calibration(weights: Doubles) -> ArtistCalibration:
        slope, intercept, crowding = weights.tolist()
        return ArtistCalibration(slope, intercept, crowding, measured_on)

    minimize = _needed("scipy.optimize").minimize  # the loss is convex
    fitted = minimize(lambda weights: sum(surprise(calibration(weights), case) for case in cases),
                      np.array([15.0, -4.0, 0.5]), method="BFGS")
    return calibration(fitted.x)


def calibrate_model(table: pd.DataFrame, embeddings: Array, splits: pd.Series[str], *, gallery: str, seen: str,
                    unseen: str) -> Calibration:
    """Pairs on artists the model has not seen, artists on both: seen ones are in the gallery, unseen not.

    Pairs are judged in an index of the unseen artists alone and in one of the gallery alone. embeddings: (n, d) as
    of the model.
    """
    codes, keys = artist_codes(table["artist_key"])
    hashes = table["vector_sha256"].to_numpy(object)
    of = {name: (splits == name).to_numpy() & (codes >= 0) for name in (gallery, seen, unseen)}
    of[seen] &= np.isin(codes, codes[of[gallery]])
    asked, held = of[unseen], of[gallery]
    settings = [setting_within(embeddings[asked], codes[asked], hashes[asked]),
                setting_asked(embeddings[asked], codes[asked], embeddings[held], codes[held], hashes[held])]
    if not settings[0].is_same.any() or settings[0].is_same.all():
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
    pairs = calibrate_pairs(settings, f"all pairs of {described[unseen]}, by artists the model was not trained on")
    artists = calibrate_artists([case(among) for among in galleries], f"{described[seen]} as known and "
                                f"{described[unseen]} as unknown, against {described[gallery]} and against "
                                f"{', '.join(f'{mean:g}' for mean in THIN_GALLERIES)} paintings of each on average")
    return Calibration(pairs, artists)


def calibrate_index(generation: Generation, chosen: npt.NDArray[np.bool_], name: str) -> Calibration:
    """On the index's own labelled paintings, those chosen (n,), all others being the gallery.

    Pairs are judged with their artists' other works in the index and, in two halves, without. A painting's artist is
    looked for with the painting left out, and counts as unknown with all of the artist's left out.
    """
    table, vectors = generation.table, generation.vectors.matrix
    codes, keys = artist_codes(table["artist_key"])
    hashes = table["vector_sha256"].to_numpy(object)
    places = _some(np.flatnonzero(chosen & (codes >= 0)), codes)
    with_others = pairs_among(vectors[places], codes[places], vectors, hashes, places)
    if not with_others.is_same.any() or with_others.is_same.all():
        raise BadCatalog(f"calibrating needs two artists or more, one of them with two paintings, in {name}")
    apart = []
    for half in _halves(codes[places]):
        here, there = places[np.isin(codes[places], half)], np.flatnonzero(~np.isin(codes, half))
        apart.append(pairs_among(vectors[here], codes[here], vectors[there], hashes[there], np.full(len(here), -1)))
    settings = [with_others, joined] if (joined := Pairs.joined(apart)).is_same.any() else [with_others]

    heard = voices_of(vectors, codes, len(keys), vectors[places], own=places)
    is_judged = heard.paintings[np.arange(len(places)), codes[places]] > 0
    known = Voices(heard.scores[is_judged], heard.paintings[is_judged])
    truth = codes[places][is_judged]
    described = f"{len(places):,} paintings by {len(np.unique(codes[places]))} artists ({name})"
    return Calibration(calibrate_pairs(settings, f"all pairs of {described}"),
                       calibrate_artists([ArtistCase(known, truth, silenced(known, truth))],
                                         f"{described}, each left out of the index, and all of its artist's"))


def _balanced(is_same: npt.NDArray[np.bool_]) -> Doubles:
    """(p,) weights of pairs, same-artist ones adding up to one half and the others too."""
    same = max(int(is_same.sum()), 1)
    return np.where(is_same, 0.5 / same, 0.5 / max(len(is_same) - same, 1))


def _logistic(terms: Array, is_same: npt.NDArray[np.bool_], weights: Doubles) -> Doubles:
    """(k + 1,) slopes of the terms (p, k) and the intercept of the log-likelihood ratio."""
    model = _needed("sklearn.linear_model").LogisticRegression(C=np.inf, solver="newton-cholesky", max_iter=200)
    model.fit(terms, is_same, weights * len(weights))
    return np.append(model.coef_[0], model.intercept_)


def _scale(pairs: Pairs, weights: Doubles, terms: Array, disagreement: float) -> Scale:
    """terms: (p, k) what the fit sees; the first is the distance."""
    *slopes, intercept = _logistic(terms, pairs.is_same, weights).tolist()
    if slopes[0] >= 0:
        raise BadCatalog("paintings by one artist are no nearer to each other than to others': nothing to calibrate")
    x = terms @ np.array([1.0, disagreement][: terms.shape[1]])
    curve = PairCurve.empty()
    curve.add(x, pairs.is_same)
    held_out = _held_out(pairs, terms)
    error, squared = (reliability(*held_out).error, brier(*held_out)) if held_out else (None, None)
    return Scale(slopes[0], intercept, tuple(curve.at(rate) for rate in FALSE_POSITIVE_RATES), curve.equal_error(),
                 tuple(curve.at(rate) for rate in ROC_RATES.tolist()), curve.auc, error, squared)


def _held_out(pairs: Pairs, terms: Array) -> tuple[Doubles, Counted, Counted] | None:
    """Evidence by a fit to one half of the artists on the pairs of the other, and which are same and different.

    None where a half has not both kinds.
    """
    evidence, is_same = [], []
    halves = _halves(np.concatenate([pairs.first, pairs.second]))
    inside = [np.isin(pairs.first, half) & np.isin(pairs.second, half) for half in halves]
    for fitted_on, judged in (inside, inside[::-1]):
        kinds = pairs.is_same[fitted_on]
        if not kinds.any() or kinds.all():
            return None
        *slopes, intercept = _logistic(terms[fitted_on], kinds, _balanced(kinds)).tolist()
        evidence.append(terms[judged] @ np.array(slopes) + intercept)
        is_same.append(pairs.is_same[judged])
    kinds = np.concatenate(is_same)
    return np.concatenate(evidence), kinds, ~kinds


def _halves(artists: Codes) -> tuple[Codes, Codes]:
    """The artists in two groups with alike many entries."""
    codes, counts = np.unique(artists, return_counts=True)
    ranked = codes[np.lexsort((codes, -counts))]
    is_first = np.isin(np.arange(len(ranked)) % 4, (0, 3))  # 1 2 2 1 1 2 2 1: the first does not always win
    return ranked[is_first], ranked[~is_first]


def _some(places: Codes, codes: Codes) -> Codes:
    """All places, or where there are too many those of some artists, drawn by lot, the same ones at every run."""
    chance, kept, count = np.random.default_rng(0), [], 0
    for artist in chance.permutation(np.unique(codes[places])):
        own = places[codes[places] == artist]
        kept.append(chance.choice(own, min(len(own), MOST_OF_ONE), replace=False))
        count += len(kept[-1])
        if count >= MOST_PAINTINGS:
            break
    return np.sort(np.concatenate(kept)) if kept else places


def _thinned(places: Codes, codes: Codes, mean: float) -> Codes:
    """Few paintings of most artists, as museums have: a geometric number, the same ones at every run."""
    chance = np.random.default_rng(0)
    kept = []
    for artist in np.unique(codes[places]):
        own = places[codes[places] == artist]
        kept.append(chance.choice(own, min(len(own), int(chance.geometric(1 / mean))), replace=False))
    return np.sort(np.concatenate(kept))


def _needed(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        raise MissingPackage("calibrating needs scikit-learn; pip install 'artidx[calibrate]'") from None
