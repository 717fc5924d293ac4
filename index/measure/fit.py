"""Calibrations fitted to labelled paintings, always judged on artists that the fit has not seen.

Needs scikit-learn (artidx[calibrate]). What is fitted is described, and used, in calibration.py.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...embedder.catalogs.catalog import artist_key
from ...errors import BadCatalog, MissingPackage
from ..scoring.artist_scores import gallery_scores
from ..scoring.artists import artist_codes
from ..scoring.calibration import (
    FALSE_POSITIVE_RATES,
    ArtistCalibration,
    ArtistCase,
    Calibration,
    GalleryScores,
    HeldOut,
    PairCalibration,
    Scale,
)
from ..scoring.centre import centre_of, centred
from ..scoring.curve import PairCurve, Pairs, blocks
from ..scoring.neighbourhood import neighbourhoods_among
from ..scoring.open_set import OpenSet, told_apart
from ..scoring.vectors import Array, Doubles, Integers
from ..storage.generations import Generation
from .bootstrap import rate_interval
from .likelihood import Case
from .reliability import brier, even_odds, reliability
from .retrieval import unknown_error

THIN_GALLERIES = (10.0, 3.0, 1.7)  # paintings an artist, on average; a little more, as nobody has none
STIFFNESS = 100.0  # the inverse of regularisation: nothing to thousands of pairs, but a dozen may be separable
MOST_WEIGHT = 2.0  # of the neighbourhoods; beyond, the distance hardly counts
MOST_PAINTINGS = 2000  # of an index whose pairs are looked at: 2 million of them
MOST_OF_ONE = 50  # paintings by one artist among these
FOLDS = 5  # of an index's artists: each in turn is unknown to a gallery of the others
# What artists' scores mean as a rule, and how far collections depart from it (standard deviations): the prior of a fit.
# It decides what the data leave open, such as what a count says where all artists have alike many paintings.
USUAL_SLOPE, SLOPE_SPREAD = 14.0, 1.0  # the spread of its logarithm
USUAL_COUNT_PENALTY, COUNT_PENALTY_SPREAD = 0.7, 0.25
PRIOR_EXPONENT_SPREAD = 0.5  # around none
# Of what is fitted: log of the slope over the usual one, intercept, of which nothing is usual, penalty and exponent.
USUAL = np.array([0.0, 0.0, USUAL_COUNT_PENALTY, 0.0])
SPREADS = np.array([SLOPE_SPREAD, np.inf, COUNT_PENALTY_SPREAD, PRIOR_EXPONENT_SPREAD])
BEGIN = np.array([0.0, -4.0, USUAL_COUNT_PENALTY, 0.0])
STEEPEST = 10.0  # of that log: no more can be told, and a step must not overflow
OPEN_SET_SPREAD = np.array([0.5, 0.5, 0.2, 0.2, 2.0])  # of its weights, around the field alone
ALIKE = 0.2  # standard deviation of the logarithm of artists' counts below which they teach next to nothing


def setting_within(embeddings: Array, artists: Integers, hashes: npt.NDArray[np.object_]) -> Pairs:
    """All pairs of paintings in an index of them alone: around their own centre, landmarks to each other.

    embeddings: (n, d) as of the model; artists: (n,) codes; hashes: (n,) of the vectors (neighbourhood.py).
    """
    vectors = centred(embeddings, centre_of(embeddings, artists))
    return pairs_among(vectors, artists, vectors, hashes, np.arange(len(vectors)))


def setting_asked(
    embeddings: Array, artists: Integers, others: Array, their_artists: Integers, hashes: npt.NDArray[np.object_]
) -> Pairs:
    """All pairs of paintings that are asked of an index of other paintings, by other artists."""
    centre = centre_of(others, their_artists)
    return pairs_among(
        centred(embeddings, centre), artists, centred(others, centre), hashes, np.full(len(embeddings), -1)
    )


def pairs_among(
    vectors: Array, artists: Integers, gallery: Array, hashes: npt.NDArray[np.object_], own: Integers
) -> Pairs:
    """All pairs of vectors (n, d), with the landmarks of a gallery (g, d); own: (n,) their places in it, or -1."""
    return Pairs.joined(list(blocks(vectors, artists, neighbourhoods_among(vectors, gallery, hashes, own))))


def calibrate_pairs(settings: Sequence[Pairs], measured_on: str) -> PairCalibration:
    """Fit by maximum likelihood; the settings weigh the same, and in each of them both kinds of pair do.

    Neighbourhood similarity counts where every setting has it.
    """
    pairs = Pairs.joined(settings)
    weights = np.concatenate([_balanced(part.is_same) for part in settings])
    has_similarities = len(pairs.similarities) == len(pairs.distances)
    by_distance = _scale(pairs, weights, has_similarities=False)
    by_fused_distance = _scale(pairs, weights, has_similarities=True) if has_similarities else by_distance
    same = int(settings[0].is_same.sum())
    weight = _neighbourhood_weight(pairs, weights) if has_similarities else 0.0
    return PairCalibration(by_distance, by_fused_distance, weight, measured_on, same, len(settings[0].distances) - same)


def calibrate_artists(cases: Sequence[ArtistCase], measured_on: str) -> ArtistCalibration:
    """Fit by maximum posterior; the cases weigh the same, and in each the known and the unknown queries do.

    What the cases leave open is taken as usual, and measured_on says so. In none of them may the count of an artist's
    paintings depend on the query: it would tell whose the query is. First what artists' scores mean, then what else
    tells the known from the unknown. Raises BadCatalog where a case has no known or no unknown queries.
    """
    if not cases or any(not len(case.truth) or not len(case.unknown.scores) for case in cases):
        raise BadCatalog("calibrating artists needs, for each gallery, queries by its artists and by others")
    queries = float(np.mean([len(case.truth) for case in cases]))
    prepared = [Case.of(case) for case in cases]

    def loss(weights: Doubles) -> tuple[float, Doubles]:
        slope = _slope(weights)
        found = [each.surprise(np.append(slope, weights[1:])) for each in prepared]
        apart = (weights - USUAL) / SPREADS  # from what is usual
        gradient = np.mean([gradient for _, gradient in found], axis=0)
        gradient[0] *= slope if weights[0] < STEEPEST else 0.0
        surprise = float(np.mean([value for value, _ in found]))
        return surprise + float(apart @ apart) / 2 / queries, gradient + apart / SPREADS / queries

    weights = _needed("scipy.optimize").minimize(loss, BEGIN, jac=True, method="BFGS").x
    _, intercept, count_penalty, prior_exponent = weights.tolist()
    fitted = ArtistCalibration(_slope(weights), intercept, count_penalty, measured_on, prior_exponent)
    fitted = replace(fitted, open_set=_open_set([_Told.of(case, fitted) for case in cases]))
    if max(_spread_of_counts(case) for case in cases) >= ALIKE:
        return fitted
    return replace(
        fitted,
        measured_on=f"{measured_on}; its artists have alike many paintings, so what their number "
        f"says is not measured but taken as usual",
    )


def _slope(weights: Doubles) -> float:
    return USUAL_SLOPE * math.exp(min(float(weights[0]), STEEPEST))


@dataclass(frozen=True)
class _Told:
    """What open_set.py weighs, of a case's known (k, 4) and unknown (u, 4) queries, and their artists."""

    known: Doubles
    unknown: Doubles
    known_by: Integers
    unknown_by: Integers

    @classmethod
    def of(cls, case: ArtistCase, calibration: ArtistCalibration) -> _Told:
        return cls(calibration.terms(case.known), calibration.terms(case.unknown), case.known_by, case.unknown_by)

    def only(self, artists: Integers, is_in: bool) -> _Told:
        known, unknown = (np.isin(by, artists) == is_in for by in (self.known_by, self.unknown_by))
        return _Told(self.known[known], self.unknown[unknown], self.known_by[known], self.unknown_by[unknown])


def _open_set(cases: Sequence[_Told]) -> OpenSet:
    """By maximum posterior, with how good it is on artists held out in turn."""
    model = OpenSet(*_open_set_weights(cases).tolist())
    judged: list[list[tuple[Doubles, Doubles]]] = [[] for _ in cases]
    everybody = np.concatenate([by for case in cases for by in (case.known_by, case.unknown_by)])
    if len(np.unique(everybody)) < 2:
        return model
    for fold in _folds(everybody, FOLDS):
        others = [case for case in (case.only(fold, False) for case in cases) if len(case.known) and len(case.unknown)]
        if not others:
            return model
        held_out = OpenSet(*_open_set_weights(others).tolist())
        for case, found in zip(cases, judged, strict=True):
            here = case.only(fold, True)
            found.append((held_out.log_odds(here.known), held_out.log_odds(here.unknown)))
    odds = [tuple(np.concatenate(kind) for kind in zip(*found, strict=True)) for found in judged]
    auc = float(np.mean([told_apart(known, unknown) for known, unknown in odds]))
    error = float(np.mean([unknown_error(_unknown(known), _unknown(unknown)) for known, unknown in odds]))
    return replace(model, auc=auc, calibration_error=error)


def _open_set_weights(cases: Sequence[_Told]) -> Doubles:
    """(5,) with the cases weighing the same, and in each the known and the unknown."""
    queries = float(np.mean([len(case.known) for case in cases]))
    usual = OpenSet().weights

    def loss(weights: Doubles) -> tuple[float, Doubles]:
        apart = (weights - usual) / OPEN_SET_SPREAD
        total, slope = float(apart @ apart) / 2 / queries, apart / OPEN_SET_SPREAD / queries
        for case in cases:
            for terms, sign in ((case.known, 1.0), (case.unknown, -1.0)):
                terms = np.column_stack([terms, np.ones(len(terms))])[np.isfinite(terms).all(axis=1)]
                odds = sign * (terms @ weights)
                total += float(np.logaddexp(0, -odds).sum()) / max(len(terms), 1) / len(cases)
                slope = slope - sign * (_unknown(odds) @ terms) / max(len(terms), 1) / len(cases)
        return total, slope

    found: Doubles = _needed("scipy.optimize").minimize(loss, usual, jac=True, method="BFGS").x
    return found


def _unknown(odds: Doubles) -> Doubles:
    """The probability against log odds."""
    return np.exp(-np.logaddexp(0, odds))


@dataclass(frozen=True)
class Asked:
    """A gallery with its artists, and queries asked of it, from wherever they are. Vectors as the model gives them.

    gallery: (n, d) and queries: (q, d), with their artists' names in any spelling, None for nobody in particular. A
    query by nobody of the gallery is out of it. own: (q,) the place each query has in the gallery, -1 for none.
    """

    gallery: Array
    gallery_artists: Sequence[str | None]
    queries: Array
    query_artists: Sequence[str | None]
    own: Integers | None = None


def fit_artists(cases: Sequence[Asked], measured_on: str) -> ArtistCalibration:
    """The artists' calibration for galleries and queries of several origins, each case weighing the same.

    Artists are held out over all cases. Raises BadCatalog where a case has no query by an artist of its gallery, or
    none by somebody else.
    """
    names = [
        [artist_key(name) if name else None for name in artists]
        for case in cases
        for artists in (case.gallery_artists, case.query_artists)
    ]
    codes, _ = artist_codes(pd.Series([name for some in names for name in some], dtype=object))
    parts = np.split(codes, np.cumsum([len(some) for some in names])[:-1])
    nobody = int(codes.max(initial=-1)) + 1
    found = []
    for case, theirs, asked in zip(cases, parts[::2], parts[1::2], strict=True):
        here, places = np.unique(theirs[theirs >= 0], return_inverse=True)
        speaking = np.full(len(theirs), -1)
        speaking[theirs >= 0] = places
        centre = centre_of(case.gallery, theirs)
        scored = gallery_scores(
            centred(case.gallery, centre), speaking, len(here), centred(case.queries, centre), case.own
        )
        truth = np.minimum(np.searchsorted(here, asked), max(len(here) - 1, 0))
        is_known = np.isin(asked, here)
        is_known &= scored.paintings[np.arange(len(asked)), truth] > 0
        by = np.where(asked >= 0, asked, nobody + np.cumsum(asked < 0))
        everybody = np.ones(len(here), bool)
        found.append(
            ArtistCase(
                _only(scored, is_known, everybody),
                truth[is_known],
                _only(scored, ~is_known, everybody),
                by[is_known],
                by[~is_known],
            )
        )
    return calibrate_artists(found, measured_on)


def _spread_of_counts(case: ArtistCase) -> float:
    counts = case.known.paintings[0]
    return float(np.log(counts[counts > 0]).std())


def calibrate_model(
    table: pd.DataFrame,
    embeddings: Array,
    splits: pd.Series[str],
    *,
    gallery: str,
    seen: str,
    unseen: str,
    elsewhere: Sequence[str] = (),
) -> Calibration:
    """Pairs on artists the model has not seen, artists on both: seen ones are in the gallery, unseen not.

    Pairs are judged in an index of the unseen artists alone and, those of which it holds neither, in one of the gallery
    alone. elsewhere: splits of
    photographs of other origins, by artists of the gallery and by others: what is fitted then holds for them and for
    those above, both weighing the same. embeddings: (n, d) as of the model.
    """
    codes, keys = artist_codes(table["artist_key"])
    hashes = table["vector_sha256"].to_numpy(object)
    of = {name: (splits == name).to_numpy() & (codes >= 0) for name in (gallery, seen, unseen, *elsewhere)}
    of[seen] &= np.isin(codes, codes[of[gallery]])
    held = of[gallery]
    within, asked_of_gallery, paired = [], [], []
    for name in (unseen, *elsewhere):
        asked = of[name]
        alone = setting_within(embeddings[asked], codes[asked], hashes[asked])
        if alone.is_same.any() and not alone.is_same.all():
            paired.append(name)
            within.append(alone)
            asked_of_gallery.append(
                setting_asked(embeddings[asked], codes[asked], embeddings[held], codes[held], hashes[held])
            )
        elif name == unseen:
            raise BadCatalog(
                f"calibrating needs pairs of paintings by the same artist and by others in the split {unseen}"
            )
    if not of[seen].any():
        raise BadCatalog(f"calibrating needs paintings in the split {seen} by artists of the split {gallery}")
    described = {
        name: f"{here.sum():,} paintings by {len(np.unique(codes[here]))} artists ({name})" for name, here in of.items()
    }

    away = np.any([of[name] for name in elsewhere], axis=0) if elsewhere else np.zeros(len(codes), bool)

    def case(among: Integers, known: npt.NDArray[np.bool_], unknown: npt.NDArray[np.bool_]) -> ArtistCase:
        centre = centre_of(embeddings[among], codes[among])
        scored = [
            gallery_scores(
                centred(embeddings[among], centre), codes[among], len(keys), centred(embeddings[asked], centre)
            )
            for asked in (known, unknown)
        ]
        return ArtistCase(scored[0], codes[known], scored[1], codes[known], codes[unknown])

    whole = np.flatnonzero(held)
    thin = [_thinned(whole, codes, mean) for mean in THIN_GALLERIES]
    means = ", ".join(f"{len(among) / len(np.unique(codes[among])):.1f}" for among in thin)
    is_held = np.isin(codes, codes[held])
    asked_of = [(of[seen], of[unseen] & ~is_held), *([(away & is_held, away & ~is_held)] if elsewhere else [])]
    measured_on = f"all pairs of {described[unseen]}, whom the model had not learnt when it was measured" + "".join(
        f", and of {described[name]}" for name in paired[1:]
    )
    artists = calibrate_artists(
        [case(among, *asked) for among in (whole, *thin) for asked in asked_of],
        f"{described[seen]} as known and {described[unseen]} as unknown"
        + "".join(f", and {described[name]}, known or not" for name in elsewhere)
        + f", against {described[gallery]} and against {means} paintings of each on average",
    )
    return Calibration(calibrate_pairs(within, measured_on), artists, calibrate_pairs(asked_of_gallery, measured_on))


def calibrate_index(generation: Generation, chosen: npt.NDArray[np.bool_], name: str) -> Calibration:
    """On the index's own labelled paintings, those chosen (n,), all others being the gallery.

    Pairs are judged with their artists' other works in the index and, in two halves, without. A painting's artist is
    looked for as in `cases_within`.
    """
    table, vectors = generation.table, generation.vectors.matrix
    codes, _ = artist_codes(table["artist_key"])
    hashes = table["vector_sha256"].to_numpy(object)
    places = _some(np.flatnonzero(chosen & (codes >= 0)), codes)
    with_others = pairs_among(vectors[places], codes[places], vectors, hashes, places)
    if not with_others.is_same.any() or with_others.is_same.all():
        raise BadCatalog(f"calibrating needs two artists or more, one of them with two paintings, in {name}")
    apart = []
    for half in _halves(codes[places]):
        here, there = places[np.isin(codes[places], half)], np.flatnonzero(~np.isin(codes, half))
        apart.append(pairs_among(vectors[here], codes[here], vectors[there], hashes[there], np.full(len(here), -1)))
    without_others = Pairs.joined(apart)
    # Else too few landmarks are left.
    is_alike = len(without_others.similarities) > 0 or not len(with_others.similarities)
    settings = [with_others, without_others] if without_others.is_same.any() and is_alike else [with_others]

    described = f"{len(places):,} paintings by {len(np.unique(codes[places]))} artists ({name})"
    return Calibration(
        calibrate_pairs(settings, f"all pairs of {described}"),
        calibrate_artists(
            cases_within(vectors, codes, places, name),
            f"{described}, each left out of the index, and a fifth of the artists unknown to it in turn",
        ),
    )


def cases_within(vectors: Array, codes: Integers, places: Integers, name: str) -> list[ArtistCase]:
    """Of an index (n, d) with artists (n,): its own paintings at these places (q,) asked of the others.

    A fifth of the artists at a time is unknown to a gallery of all others. To each query of a case all artists then
    bring the same number of paintings, so that no count tells whose it is, nor whether it is anybody's here. Artists
    with a single painting could never be the answer, and so do not take part. Raises BadCatalog where fewer than two
    are left, saying so of `name`.
    """
    artists = int(codes.max(initial=-1)) + 1
    may_be_right = np.bincount(codes[codes >= 0], minlength=artists) > 1
    places = places[may_be_right[codes[places]]]
    truth = codes[places]
    if len(np.unique(truth)) < 2:
        raise BadCatalog(f"calibrating needs two artists or more with two paintings each, in {name}")
    scored = gallery_scores(vectors, codes, artists, vectors[places], own=places)
    cases = []
    for fold in _folds(truth, FOLDS):
        is_here = may_be_right & ~np.isin(np.arange(artists), fold)
        is_known = is_here[truth]
        cases.append(
            ArtistCase(
                _only(scored, is_known, is_here),
                (np.cumsum(is_here) - 1)[truth[is_known]],
                _only(scored, ~is_known, is_here),
                truth[is_known],
                truth[~is_known],
            )
        )
    return cases


def fit_held_out(
    embeddings: Array, codes: Integers, everybody: Integers, name: str
) -> list[tuple[Integers, ArtistCalibration]]:
    """Each half of the artists `everybody` has, with a calibration fitted to the others' paintings alone.

    embeddings: (n, d) of a gallery, as the model gives them; codes: (n,) their artists. Raises BadCatalog where a half
    of them has too few paintings, saying so of `name`.
    """
    found = []
    first, second = _halves(everybody)
    for half, others in ((first, second), (second, first)):
        there = np.isin(codes, others)
        vectors = centred(embeddings[there], centre_of(embeddings[there], codes[there]))
        cases = cases_within(vectors, codes[there], _some(np.arange(len(vectors)), codes[there]), name)
        found.append((half, calibrate_artists(cases, f"half of the artists ({name})")))
    return found


def _only(scored: GalleryScores, queries: npt.NDArray[np.bool_], artists: npt.NDArray[np.bool_]) -> GalleryScores:
    return GalleryScores(scored.scores[np.ix_(queries, artists)], scored.paintings[np.ix_(queries, artists)])


def _balanced(is_same: npt.NDArray[np.bool_]) -> Doubles:
    """(p,) weights of pairs, same-artist ones adding up to one half and the others too."""
    same = max(int(is_same.sum()), 1)
    return np.where(is_same, 0.5 / same, 0.5 / max(len(is_same) - same, 1))


def _logistic(terms: Array, is_same: npt.NDArray[np.bool_], weights: Doubles) -> Doubles:
    """(k + 1,) slopes of the terms (p, k) and the intercept of the log-likelihood ratio."""
    model = _needed("sklearn.linear_model").LogisticRegression(C=STIFFNESS, solver="newton-cholesky", max_iter=200)
    model.fit(terms, is_same, weights * len(weights))
    return np.append(model.coef_[0], model.intercept_)


def _neighbourhood_weight(pairs: Pairs, weights: Doubles) -> float:
    """Of 1 - similarity against distance, between 0 and MOST_WEIGHT: the ratio of their slopes in one logistic fit."""
    terms = np.column_stack([pairs.distances, 1 - pairs.similarities])
    by_distance, by_similarity, _ = _logistic(terms, pairs.is_same, weights).tolist()
    if by_similarity >= 0:
        return 0.0
    return min(by_similarity / by_distance, MOST_WEIGHT) if by_distance < 0 else MOST_WEIGHT


def _compared(pairs: Pairs, weights: Doubles, has_similarities: bool) -> Callable[[Pairs], Array]:
    """What is compared of any pairs, their plain or fused distance, the weight fitted to these."""
    if not has_similarities:
        return lambda others: others.distances
    weight = np.float32(_neighbourhood_weight(pairs, weights))
    return lambda others: others.distances + weight * (1 - others.similarities)


def _scale(pairs: Pairs, weights: Doubles, *, has_similarities: bool) -> Scale:
    x = _compared(pairs, weights, has_similarities)(pairs)
    slope, intercept = _logistic(x[:, None], pairs.is_same, weights).tolist()
    if slope >= 0:
        raise BadCatalog("paintings by one artist are no nearer to each other than to others': nothing to calibrate")
    curve = PairCurve.empty()
    curve.add(x, pairs.is_same)
    parts = _held_out(pairs, has_similarities)
    held_out = [(even_odds(part.evidence), part.pairs.is_same, ~part.pairs.is_same) for part in parts]
    together = tuple(np.concatenate(kind) for kind in zip(*held_out, strict=True))
    error, squared = (reliability(*together).error, brier(*together)) if together else (None, None)
    return Scale(
        slope,
        intercept,
        tuple(curve.at(rate) for rate in FALSE_POSITIVE_RATES),
        curve.equal_error(),
        curve.roc(),
        curve.auc,
        error,
        squared,
        tuple(_rates(parts, number) for number in range(len(FALSE_POSITIVE_RATES))) if parts else (),
    )


@dataclass(frozen=True)
class _Judged:
    """Pairs (p,) of artists that a fit was not made on: the evidence it gave them, and which of them it calls the same
    at each of the nominal rates."""

    pairs: Pairs
    evidence: Doubles
    called: list[npt.NDArray[np.bool_]]


def _held_out(pairs: Pairs, has_similarities: bool) -> list[_Judged]:
    """The pairs of either half of the artists, as a fit to the other half judges them.

    Nothing where a half has not both kinds.
    """
    found = []
    first, second = (pairs.among(half) for half in _halves(np.concatenate([pairs.first, pairs.second])))
    for fitted_on, judged in ((first, second), (second, first)):
        if not fitted_on.is_same.any() or fitted_on.is_same.all():
            return []
        weights = _balanced(fitted_on.is_same)
        compared = _compared(fitted_on, weights, has_similarities)
        x, curve = compared(judged), PairCurve.empty()
        curve.add(compared(fitted_on), fitted_on.is_same)
        slope, intercept = _logistic(compared(fitted_on)[:, None], fitted_on.is_same, weights).tolist()
        found.append(
            _Judged(judged, slope * x + intercept, [x < curve.at(rate).distance for rate in FALSE_POSITIVE_RATES])
        )
    return found


def _rates(parts: Sequence[_Judged], number: int) -> HeldOut:
    """At one of the nominal rates; the intervals by bootstrap over the artists."""
    first, second, called = (
        np.concatenate(some)
        for some in zip(*((part.pairs.first, part.pairs.second, part.called[number]) for part in parts), strict=True)
    )
    codes, places = np.unique(np.concatenate([first, second]), return_inverse=True)
    cells = places[: len(first)] * len(codes) + places[len(first) :]

    def by_artists(chosen: npt.NDArray[np.bool_]) -> Doubles:
        return np.bincount(cells[chosen], minlength=len(codes) ** 2).reshape(len(codes), -1).astype(np.float64)

    rates, intervals = [], []
    for kind in (first != second, first == second):
        counted, passed = by_artists(kind), by_artists(kind & called)
        rates.append(float(passed.sum() / counted.sum()))
        intervals.append(rate_interval(passed, counted))
    return HeldOut(FALSE_POSITIVE_RATES[number], rates[0], rates[1], intervals[0], intervals[1])


def _halves(artists: Integers) -> tuple[Integers, Integers]:
    """The artists in two groups with alike many entries."""
    first, second = _folds(artists, 2)
    return first, second


def _folds(artists: Integers, most: int) -> list[Integers]:
    """Two or more artists in groups with alike many entries."""
    codes, counts = np.unique(artists, return_counts=True)
    ranked = codes[np.lexsort((codes, -counts))]
    folds = max(min(most, len(codes)), 2)
    turns = np.arange(len(ranked)) % (2 * folds)  # 1 2 3 3 2 1 1 2 3 3 2 1: the first does not always win
    return [ranked[(turns == fold) | (turns == 2 * folds - 1 - fold)] for fold in range(folds)]


def _some(places: Integers, codes: Integers) -> Integers:
    """All places, or where there are too many those of some artists, drawn by lot, the same ones at every run."""
    chance, kept, count = np.random.default_rng(0), [], 0
    for artist in chance.permutation(np.unique(codes[places])):
        own = places[codes[places] == artist]
        kept.append(chance.choice(own, min(len(own), MOST_OF_ONE), replace=False))
        count += len(kept[-1])
        if count >= MOST_PAINTINGS:
            break
    return np.sort(np.concatenate(kept)) if kept else places


def _thinned(places: Integers, codes: Integers, mean: float) -> Integers:
    """Few paintings of most artists, as museums have: for each a geometric number, on average in proportion to what
    there is of the artist and one at least; the same ones at every run."""
    chance = np.random.default_rng(0)
    artists, counts = np.unique(codes[places], return_counts=True)
    kept = []
    for artist, count in zip(artists, counts, strict=True):
        expected = max(mean * count / counts.mean(), 1.0)
        own = places[codes[places] == artist]
        kept.append(chance.choice(own, min(count, int(chance.geometric(1 / expected))), replace=False))
    return np.sort(np.concatenate(kept))


def _needed(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        raise MissingPackage("calibrating needs scikit-learn; pip install 'artidx[calibrate]'") from None
