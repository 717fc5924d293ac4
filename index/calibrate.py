"""From distances to decisions and probabilities: the ROC of labelled pairs, thresholds, and log-likelihood ratios.

A probability needs a prior: the share of same-artist pairs, or of artists the index does not know, that the user
expects. What is fitted here is free of it (a log-likelihood ratio), so that any prior can be put in afterwards.
Fitting needs scipy (artidx[train]); using a fitted calibration needs numpy only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import BadSetting, MissingPackage, Uncalibrated
from .vectors import Array, Doubles

BINS = 1 << 16  # of distance in [0, 2]: an AUC from them is exact to the fifth digit
BLOCK = 2048  # rows of the Gram matrix held at once
FALSE_POSITIVE_RATES = (0.1, 0.01, 0.001)
DEFAULT_FALSE_POSITIVE_RATE = 0.1
DEFAULT_PRIOR = 0.5  # someone asks about two chosen works
UNKNOWN_SHARE = 0.5  # of queries by artists the index does not hold, declared and not measured

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class OperatingPoint:
    """Pairs nearer than `distance` are called same; the rates were counted on the calibration pairs."""

    distance: float
    false_positive_rate: float
    true_positive_rate: float


@dataclass(frozen=True)
class PairCalibration:
    """log(p(distance | same) / p(distance | different)) = slope * distance + intercept (Platt, 1999)."""

    slope: float
    intercept: float
    points: tuple[OperatingPoint, ...]  # at FALSE_POSITIVE_RATES
    equal_error: OperatingPoint
    measured_on: str
    same_pairs: int
    different_pairs: int

    def probability(self, distance: float, prior: float = DEFAULT_PRIOR) -> float:
        """Probability in (0, 1) that a pair at this distance is by one artist, where a share `prior` of pairs is."""
        return float(self.probabilities(np.array(distance), prior))

    def probabilities(self, distances: Doubles, prior: float = DEFAULT_PRIOR) -> Doubles:
        """`probability` of each of many distances, of any shape."""
        if not 0 < prior < 1:
            raise BadSetting(f"prior {prior:g}: must lie between 0 and 1")
        evidence = self.slope * distances + self.intercept + math.log(prior / (1 - prior))
        return np.asarray(np.exp(-np.logaddexp(0, -evidence)))

    def point(self, false_positive_rate: float = DEFAULT_FALSE_POSITIVE_RATE) -> OperatingPoint:
        """The stored operating point for this nominal false-positive rate."""
        if false_positive_rate not in FALSE_POSITIVE_RATES:
            raise BadSetting(f"false-positive rate {false_positive_rate:g}: calibrated are "
                             f"{', '.join(f'{rate:g}' for rate in FALSE_POSITIVE_RATES)}")
        return self.points[FALSE_POSITIVE_RATES.index(false_positive_rate)]


@dataclass(frozen=True)
class Voices:
    """What a gallery's artists say to some queries, before it is weighed.

    scores: (q, a) how near each artist's paintings are (search.voices), -inf for an artist without a
    painting that counts; paintings: (q, a) how many of theirs counted.
    """

    scores: Doubles
    paintings: Doubles


@dataclass(frozen=True)
class ArtistCalibration:
    """Weighs what artists say: log(p(score | this artist) / p(score | somebody unknown)).

    It is slope * score + intercept - crowding * log(paintings): among many paintings one is near by chance.
    """

    slope: float
    intercept: float
    crowding: float
    measured_on: str

    def evidence(self, voices: Voices, unknown_share: float = UNKNOWN_SHARE) -> Doubles:
        """(q, a) log of likelihood ratio times prior, which the artists of the gallery share equally."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = self.slope * voices.scores + self.intercept - self.crowding * np.log(voices.paintings)
        has_voice = voices.paintings > 0
        artists = np.maximum(has_voice.sum(axis=-1, keepdims=True), 1)
        evidence: Doubles = np.where(has_voice, ratio + np.log((1 - unknown_share) / artists), -np.inf)
        return evidence

    def posterior(self, voices: Voices, unknown_share: float = UNKNOWN_SHARE) -> tuple[Doubles, Doubles]:
        """(q, a) probabilities of the artists and (q,) that of somebody unknown; together they add up to 1."""
        known, unknown = self.log_posterior(voices, unknown_share)
        return np.exp(known), np.exp(unknown)

    def log_posterior(self, voices: Voices, unknown_share: float = UNKNOWN_SHARE) -> tuple[Doubles, Doubles]:
        """The logarithms of `posterior`, which stay finite where a probability vanishes."""
        evidence = self.evidence(voices, unknown_share)
        total = np.logaddexp(np.logaddexp.reduce(evidence, axis=-1), math.log(unknown_share))
        return evidence - total[..., None], math.log(unknown_share) - total


@dataclass(frozen=True)
class ArtistCase:
    """A gallery, queries by its artists with the right one, truth (q,), and queries by somebody else."""

    known: Voices
    truth: npt.NDArray[np.int64]
    unknown: Voices


@dataclass(frozen=True)
class Calibration:
    """All that was measured for a model; kept in its metadata and in every generation made with it."""

    pairs: PairCalibration
    artists: ArtistCalibration

    def to_json(self) -> dict[str, Any]:
        """As kept in manifests and model files."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: dict[str, Any] | None, where: str) -> Calibration:
        """Raises Uncalibrated where there is none, or none that can be read."""
        if found is None:
            raise Uncalibrated(f"{where}: its model was never calibrated, so there is no threshold and no probability; "
                               f"make one with artidx train, or ask for distances with artidx nearest --paintings")
        try:
            pairs = dict(found["pairs"])
            points = tuple(OperatingPoint(**point) for point in pairs.pop("points"))
            equal_error = OperatingPoint(**pairs.pop("equal_error"))
            if len(points) != len(FALSE_POSITIVE_RATES):
                raise ValueError("points")
            calibration = cls(PairCalibration(points=points, equal_error=equal_error, **pairs),
                              ArtistCalibration(**found["artists"]))
            parts = (calibration.pairs, *points, equal_error, calibration.artists)
            numbers = [value for part in parts for name, value in vars(part).items()
                       if name not in ("points", "equal_error", "measured_on")]
            if not all(map(math.isfinite, numbers)):
                raise ValueError("not finite")
            return calibration
        except (KeyError, TypeError, ValueError, AttributeError):
            raise Uncalibrated(f"{where}: its calibration is damaged; use a model made by artidx train") from None


@dataclass(frozen=True)
class PairCurve:
    """How the distances of same-artist and of other pairs are spread: counts in BINS bins over [0, 2]."""

    same: Counts
    different: Counts

    @classmethod
    def of(cls, vectors: Array, artists: npt.NDArray[np.int64]) -> PairCurve:
        """All pairs i < j of vectors (n, d); artists: (n,) codes, negative where unknown: those are in no pair."""
        known = artists >= 0
        vectors, artists = vectors[known], artists[known]
        same, different = np.zeros(BINS, np.int64), np.zeros(BINS, np.int64)
        for start in range(0, len(vectors), BLOCK):
            block = vectors[start : start + BLOCK]
            cosines = block @ vectors[start:].T  # (b, n - start)
            bins = bins_of(1 - cosines)
            upper = np.triu(np.ones(cosines.shape, bool), 1)
            is_same = artists[start : start + len(block), None] == artists[None, start:]
            same += np.bincount(bins[is_same & upper], minlength=BINS)
            different += np.bincount(bins[~is_same & upper], minlength=BINS)
        return cls(same, different)

    @property
    def auc(self) -> float:
        """ROC AUC: the chance that a same-artist pair is nearer than another pair; a tie counts one half."""
        if not self.same.sum() or not self.different.sum():
            return math.nan
        farther = self.different[::-1].cumsum()[::-1] - self.different / 2
        return float((self.same * farther).sum() / self.same.sum() / self.different.sum())

    def at(self, false_positive_rate: float) -> OperatingPoint:
        """The largest threshold whose share of different pairs called same stays within the rate."""
        false, true = self._rates()
        place = max(int(np.searchsorted(false, false_positive_rate, side="right")) - 1, 0)
        return OperatingPoint(place * 2 / BINS, float(false[place]), float(true[place]))

    def equal_error(self) -> OperatingPoint:
        """Where as many same pairs are missed as different pairs are called same."""
        false, true = self._rates()
        place = int(np.argmax(false + true >= 1))
        return OperatingPoint(place * 2 / BINS, float(false[place]), float(true[place]))

    def _rates(self) -> tuple[Doubles, Doubles]:
        """(BINS + 1,) shares of different and of same pairs below each bin's lower edge."""
        def below(counts: Counts) -> Doubles:
            return np.concatenate([[0.0], counts.cumsum() / max(counts.sum(), 1)])

        return below(self.different), below(self.same)


def bins_of(distances: Array) -> npt.NDArray[np.int32]:
    """The bin of a PairCurve that each distance falls into."""
    bins: npt.NDArray[np.int32] = np.clip(distances * (BINS / 2), 0, BINS - 1).astype(np.int32)
    return bins


def calibrate_pairs(curve: PairCurve, measured_on: str) -> PairCalibration:
    """Fit slope and intercept by maximum likelihood, both kinds of pair weighing the same in total."""
    centres = (np.arange(BINS) + 0.5) * 2 / BINS
    same, different = curve.same / curve.same.sum(), curve.different / curve.different.sum()

    def loss(line: Doubles) -> float:
        evidence = line[0] * centres + line[1]
        return float(same @ np.logaddexp(0, -evidence) + different @ np.logaddexp(0, evidence))

    slope, intercept = _fit(loss, [-10.0, 8.0]).tolist()
    return PairCalibration(slope, intercept, tuple(curve.at(rate) for rate in FALSE_POSITIVE_RATES),
                           curve.equal_error(), measured_on, int(curve.same.sum()), int(curve.different.sum()))


def calibrate_artists(cases: Sequence[ArtistCase], measured_on: str) -> ArtistCalibration:
    """Fit by maximum likelihood; the cases weigh the same, and in each the known and the unknown queries do."""
    def surprise(calibration: ArtistCalibration, case: ArtistCase) -> float:
        right = calibration.log_posterior(case.known)[0][np.arange(len(case.truth)), case.truth]
        return -float(right.mean() + calibration.log_posterior(case.unknown)[1].mean())

    def calibration(weights: Doubles) -> ArtistCalibration:
        slope, intercept, crowding = weights.tolist()
        return ArtistCalibration(slope, intercept, crowding, measured_on)

    return calibration(_fit(lambda weights: sum(surprise(calibration(weights), case) for case in cases),
                            [15.0, -4.0, 0.5]))


def _fit(loss: Callable[[Doubles], float], start: list[float]) -> Doubles:
    try:
        from scipy.optimize import minimize
    except ModuleNotFoundError:
        raise MissingPackage("calibrating needs scipy; pip install 'artidx[train]'") from None
    fitted: Doubles = minimize(loss, np.array(start), method="BFGS").x  # the losses are convex
    return fitted
