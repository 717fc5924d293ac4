"""Fit the calibration of artists: what scores say about who painted a picture, and whether any artist of a gallery did.

Fitted by maximum a posteriori with a prior from other collections, which decides what the data leave open. The formulas
are described, and used, in calibration.py and artist_scores.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...embedder.catalogs.catalog import artist_key
from ...errors import BadCatalog
from ..scoring.artist_scores import ArtistCalibration, ArtistCase, GalleryScores, OpenSet, auc_of, gallery_scores
from ..scoring.artists import artist_codes
from ..scoring.centre import centre_of, centred
from ..scoring.vectors import Array, Doubles, Integers
from .groups import folds, halves, sampled
from .likelihood import Case
from .packages import needed
from .retrieval import unknown_error

FOLDS = 5  # of an index's artists: each group in turn is unknown to a gallery of the others
# The usual parameters, and how much they vary between collections (standard deviations): the prior of a fit. It decides
# what the data leave open, such as the effect of counts if all artists have equally many paintings.
USUAL_SLOPE, SLOPE_SPREAD = 14.0, 1.0  # the spread of its logarithm
USUAL_COUNT_PENALTY, COUNT_PENALTY_SPREAD = 0.7, 0.25
PRIOR_EXPONENT_SPREAD = 0.5  # around zero
# Of the parameters: log of the slope over the usual one, intercept (for which nothing is usual), penalty and exponent.
USUAL = np.array([0.0, 0.0, USUAL_COUNT_PENALTY, 0.0])
SPREADS = np.array([SLOPE_SPREAD, np.inf, COUNT_PENALTY_SPREAD, PRIOR_EXPONENT_SPREAD])
BEGIN = np.array([0.0, -4.0, USUAL_COUNT_PENALTY, 0.0])
STEEPEST = 10.0  # bound of that log: a step must not overflow
OPEN_SET_SPREAD = np.array([0.5, 0.5, 0.2, 0.2, 2.0])  # standard deviations of its weights, around the field alone
ALIKE = 0.2  # if the logarithm of artists' counts has a smaller standard deviation, counts tell next to nothing


def calibrate_artists(cases: Sequence[ArtistCase], measured_on: str) -> ArtistCalibration:
    """Fit by maximum a posteriori; cases have equal weights, and so have known and unknown queries in each.

    Parameters that the cases leave open keep their usual values, and measured_on says so. In no case may the count of
    an artist's paintings depend on the query: it would reveal the artist. First the parameters of scores are fitted,
    then the weights that separate known from unknown queries. Raises BadCatalog if a case has no known or no unknown
    queries.
    """
    if not cases or any(not len(case.truth) or not len(case.unknown.scores) for case in cases):
        raise BadCatalog("calibrating artists needs, for each gallery, queries by its artists and by others")
    queries = float(np.mean([len(case.truth) for case in cases]))
    prepared = [Case.of(case) for case in cases]

    def loss(weights: Doubles) -> tuple[float, Doubles]:
        slope = _slope(weights)
        found = [each.surprise(np.append(slope, weights[1:])) for each in prepared]
        apart = (weights - USUAL) / SPREADS  # start from the usual values
        gradient = np.mean([gradient for _, gradient in found], axis=0)
        gradient[0] *= slope if weights[0] < STEEPEST else 0.0
        surprise = float(np.mean([value for value, _ in found]))
        return surprise + float(apart @ apart) / 2 / queries, gradient + apart / SPREADS / queries

    weights = needed("scipy.optimize").minimize(loss, BEGIN, jac=True, method="BFGS").x
    _, intercept, count_penalty, prior_exponent = weights.tolist()
    fitted = ArtistCalibration(_slope(weights), intercept, count_penalty, measured_on, prior_exponent)
    fitted = replace(fitted, open_set=_open_set([OpenSetCase.of(case, fitted) for case in cases]))
    if max(_spread_of_counts(case) for case in cases) >= ALIKE:
        return fitted
    return replace(
        fitted,
        measured_on=f"{measured_on}; its artists have equally many paintings, so the usual effect of "
        f"that number is assumed, not measured",
    )


def _slope(weights: Doubles) -> float:
    return USUAL_SLOPE * math.exp(min(float(weights[0]), STEEPEST))


@dataclass(frozen=True)
class OpenSetCase:
    """The terms of OpenSet for a case's known (k, 4) and unknown (u, 4) queries, and the queries' artists."""

    known: Doubles
    unknown: Doubles
    known_by: Integers
    unknown_by: Integers

    @classmethod
    def of(cls, case: ArtistCase, calibration: ArtistCalibration) -> OpenSetCase:
        return cls(calibration.terms(case.known), calibration.terms(case.unknown), case.known_by, case.unknown_by)

    def only(self, artists: Integers, is_in: bool) -> OpenSetCase:
        known, unknown = (np.isin(by, artists) == is_in for by in (self.known_by, self.unknown_by))
        return OpenSetCase(self.known[known], self.unknown[unknown], self.known_by[known], self.unknown_by[unknown])


def _open_set(cases: Sequence[OpenSetCase]) -> OpenSet:
    """Fit by maximum a posteriori; measured by cross-validation over artists."""
    model = OpenSet(*open_set_weights(cases).tolist())
    judged: list[list[tuple[Doubles, Doubles]]] = [[] for _ in cases]
    everybody = np.concatenate([by for case in cases for by in (case.known_by, case.unknown_by)])
    if len(np.unique(everybody)) < 2:
        return model
    for fold in folds(everybody, FOLDS):
        others = [case for case in (case.only(fold, False) for case in cases) if len(case.known) and len(case.unknown)]
        if not others:
            return model
        held_out = OpenSet(*open_set_weights(others).tolist())
        for case, found in zip(cases, judged, strict=True):
            here = case.only(fold, True)
            found.append((held_out.log_odds(here.known), held_out.log_odds(here.unknown)))
    odds = [tuple(np.concatenate(kind) for kind in zip(*found, strict=True)) for found in judged]
    auc = float(np.mean([auc_of(known, unknown) for known, unknown in odds]))
    error = float(np.mean([unknown_error(_unknown(known), _unknown(unknown)) for known, unknown in odds]))
    return replace(model, auc=auc, calibration_error=error)


def open_set_weights(cases: Sequence[OpenSetCase]) -> Doubles:
    """(5,) weights; cases have equal weights, and so have known and unknown queries in each."""
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

    found: Doubles = needed("scipy.optimize").minimize(loss, usual, jac=True, method="BFGS").x
    return found


def _unknown(odds: Doubles) -> Doubles:
    """The probability of log odds against a query's being known."""
    return np.exp(-np.logaddexp(0, odds))


@dataclass(frozen=True)
class Asked:
    """A gallery with its artists, and queries from any source. Vectors as the model gives them.

    gallery: (n, d) and queries: (q, d), with their artists' names in any spelling, None for nobody in particular. A
    query by none of the gallery's artists is out of it. own: (q,) the query's place in the gallery, -1 for none.
    """

    gallery: Array
    gallery_artists: Sequence[str | None]
    queries: Array
    query_artists: Sequence[str | None]
    own: Integers | None = None


def fit_artists(cases: Sequence[Asked], measured_on: str) -> ArtistCalibration:
    """The artists' calibration for galleries and queries from several sources; cases have equal weights.

    Artists are held out across all cases. Raises BadCatalog if a case has no query by an artist of its gallery, or none
    by another artist.
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


def cases_within(vectors: Array, codes: Integers, places: Integers, name: str) -> list[ArtistCase]:
    """`cases_of` an index (n, d) with artists (n,), -1 for nobody: its own paintings at these places (q,) are asked."""
    counts = np.bincount(codes[codes >= 0])
    scored = gallery_scores(vectors, codes, len(counts), vectors[places], own=places)
    return cases_of(scored, codes[places], counts, name)


def cases_of(scored: GalleryScores, truth: Integers, counts: Integers, name: str) -> list[ArtistCase]:
    """Cases within an index whose artists have so many paintings (a,): queries by artists truth (q,) are its own
    paintings, each scored (q, a) in a gallery of the others.

    A fifth of the artists at a time is unknown to a gallery of all others. For each query of a case, counts of
    paintings are the same as for the others, so that no count reveals its artist, nor whether the artist is known.
    Artists with a single painting could never be the answer and are left out. Raises BadCatalog, naming `name`, if
    fewer than two are left.
    """
    may_be_right = counts > 1
    is_asked = may_be_right[truth]
    if len(np.unique(truth[is_asked])) < 2:
        raise BadCatalog(f"calibrating needs two artists or more with two paintings each, in {name}")
    cases = []
    for fold in folds(truth[is_asked], FOLDS):
        is_here = may_be_right & ~np.isin(np.arange(len(counts)), fold)
        is_known, is_unknown = is_asked & is_here[truth], is_asked & ~is_here[truth]
        cases.append(
            ArtistCase(
                _only(scored, is_known, is_here),
                (np.cumsum(is_here) - 1)[truth[is_known]],
                _only(scored, is_unknown, is_here),
                truth[is_known],
                truth[is_unknown],
            )
        )
    return cases


def fit_held_out(
    embeddings: Array, codes: Integers, everybody: Integers, name: str
) -> list[tuple[Integers, ArtistCalibration]]:
    """Each half of the artists in `everybody`, with a calibration fitted to the other half's paintings.

    embeddings: (n, d) of a gallery, as the model gives them; codes: (n,) their artists. Raises BadCatalog, naming
    `name`, if a half has too few paintings.
    """
    found = []
    first, second = halves(everybody)
    for half, others in ((first, second), (second, first)):
        there = np.isin(codes, others)
        vectors = centred(embeddings[there], centre_of(embeddings[there], codes[there]))
        cases = cases_within(vectors, codes[there], sampled(np.arange(len(vectors)), codes[there]), name)
        found.append((half, calibrate_artists(cases, f"half of the artists ({name})")))
    return found


def _only(scored: GalleryScores, queries: npt.NDArray[np.bool_], artists: npt.NDArray[np.bool_]) -> GalleryScores:
    return GalleryScores(scored.scores[np.ix_(queries, artists)], scored.paintings[np.ix_(queries, artists)])
