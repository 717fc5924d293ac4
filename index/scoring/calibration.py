"""From distances to decisions and probabilities: thresholds and log-likelihood ratios, fitted once and used here.

A probability needs a prior: the share of same-artist pairs, or of artists that the index does not know, that the user
expects. What is stored does not depend on it (a log-likelihood ratio), so that any prior can be applied later. fit.py
fits; using a calibration needs only numpy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...embedder import bounds
from ...errors import BadSetting, Uncalibrated
from .artist_scores import ArtistCalibration, OpenSet
from .sculpture import SculptureDetector

FALSE_POSITIVE_RATES = (0.1, 0.01, 0.001)
DEFAULT_FALSE_POSITIVE_RATE = 0.1
DEFAULT_PRIOR = 0.5  # people ask about two works for a reason
VERSION = 4  # if similarities (neighbourhood.py) or scores (artist_scores.py) change, older fits must not be upgraded
MOST_COUNT_PENALTY = 5.0  # either way; 1 means that twice the paintings need twice the evidence


@dataclass(frozen=True)
class OperatingPoint:
    """Pairs below `distance` are called same; the rates were counted on labelled pairs."""

    distance: float
    false_positive_rate: float
    true_positive_rate: float


def steps(points: Sequence[OperatingPoint]) -> tuple[OperatingPoint, ...]:
    """The points in order, each distance once, so that there is a slope between any two."""
    return tuple({point.distance: point for point in points}.values())


@dataclass(frozen=True)
class HeldOut:
    """Measured rates of a threshold for a nominal rate on pairs of held-out artists, with 95% intervals."""

    nominal: float
    false_positive_rate: float
    true_positive_rate: float
    false_positive_interval: tuple[float, float]
    true_positive_interval: tuple[float, float]


@dataclass(frozen=True)
class Scale:
    """The meaning of a distance x, plain or fused: log(p(x | same) / p(x | different)) = slope * x + intercept.

    Platt (1999). With slope -8 and intercept 4 a distance of 0.3 has the log-likelihood ratio 1.6, and at a prior of
    one half the probability 1 / (1 + exp(-1.6)) = 0.83.

    calibration_error and brier: of the probabilities at a prior of one half, on held-out artists; None if there were
    too few artists to hold some out. The points' own rates are for the artists of the fit; held_out has them for
    others, and is empty if there were too few.
    """

    slope: float
    intercept: float
    points: tuple[OperatingPoint, ...]  # at FALSE_POSITIVE_RATES
    equal_error: OperatingPoint
    roc: tuple[OperatingPoint, ...]  # from the strictest to the most lenient, at different distances
    auc: float
    calibration_error: float | None
    brier: float | None
    held_out: tuple[HeldOut, ...] = ()

    def evidence(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Log-likelihood ratios, of any shape."""
        return self.slope * x + self.intercept

    def probabilities(self, x: npt.NDArray[Any], prior: float = DEFAULT_PRIOR) -> npt.NDArray[Any]:
        """In (0, 1), that pairs are by one artist, if a share `prior` of pairs is."""
        bounds.PRIOR.checked("prior", prior)
        with np.errstate(over="ignore"):  # overflow to a probability of 0 is correct
            return np.asarray(1 / (1 + np.exp(-self.evidence(x) - math.log(prior / (1 - prior)))))

    def probability(self, x: float, prior: float = DEFAULT_PRIOR) -> float:
        """`probabilities` of a single distance."""
        return float(self.probabilities(np.array(x), prior))

    def point(self, false_positive_rate: float = DEFAULT_FALSE_POSITIVE_RATE) -> OperatingPoint:
        """The stored operating point for this nominal false-positive rate."""
        if false_positive_rate not in FALSE_POSITIVE_RATES:
            raise BadSetting(
                f"false-positive rate {false_positive_rate:g}: not calibrated; there are "
                f"{', '.join(f'{rate:g}' for rate in FALSE_POSITIVE_RATES)}"
            )
        return self.points[FALSE_POSITIVE_RATES.index(false_positive_rate)]

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Scale:
        """Raises KeyError, TypeError or ValueError if it is malformed."""
        points, roc = (tuple(OperatingPoint(**point) for point in found[name]) for name in ("points", "roc"))
        equal_error = OperatingPoint(**found["equal_error"])
        if len(points) != len(FALSE_POSITIVE_RATES):
            raise ValueError("points")
        held_out = tuple(
            HeldOut(
                **(
                    point
                    | {
                        name: (float(point[name][0]), float(point[name][1]))
                        for name in ("false_positive_interval", "true_positive_interval")
                    }
                )
            )
            for point in found.get("held_out", ())
        )
        roc = steps(roc)  # artidx 0.1 repeated points that several rates share
        scale = cls(**(found | {"points": points, "roc": roc, "equal_error": equal_error, "held_out": held_out}))
        numbers = [
            value
            for point in held_out
            for value in (
                point.nominal,
                point.false_positive_rate,
                point.true_positive_rate,
                *point.false_positive_interval,
                *point.true_positive_interval,
            )
        ]
        numbers += [scale.slope, scale.intercept, scale.auc, scale.calibration_error or 0, scale.brier or 0]
        numbers += [value for point in (*points, *roc, equal_error) for value in asdict(point).values()]
        if not all(map(math.isfinite, numbers)):
            raise ValueError("not finite")
        return scale


@dataclass(frozen=True)
class PairCalibration:
    """How pairs are judged: by their distance and by their neighbourhood similarity (neighbourhood.py), fused:

        fused distance = distance + neighbourhood_weight * (1 - similarity)

    If an index has too few landmarks, only the distance is used, with its own scale.
    """

    by_distance: Scale
    by_fused_distance: Scale
    neighbourhood_weight: float
    measured_on: str
    same_pairs: int
    different_pairs: int

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> PairCalibration:
        """Raises KeyError, TypeError or ValueError if it is malformed."""
        scales = {name: Scale.from_json(found[name]) for name in ("by_distance", "by_fused_distance")}
        return cls(**(found | scales))

    def scale(self, has_landmarks: bool) -> Scale:
        """The scale to use."""
        return self.by_fused_distance if has_landmarks else self.by_distance

    def fused_distances(self, distances: npt.NDArray[Any], similarities: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Fused distances of pairs with these distances and similarities, of any shape."""
        return distances + self.neighbourhood_weight * (1 - similarities)


@dataclass(frozen=True)
class Calibration:
    """Everything fitted for a model; stored in its metadata and in every generation made with it.

    outside: for pairs of which the index holds neither painting; None if that was not fitted separately. Measured from
    another collection's centre, photographs from one source are near to each other whoever painted them.
    """

    pairs: PairCalibration
    artists: ArtistCalibration
    outside: PairCalibration | None = None

    def pairs_where(self, *, is_any_inside: bool) -> PairCalibration:
        """The calibration for pairs of which one painting is in the index, or neither."""
        return self.pairs if is_any_inside or self.outside is None else self.outside

    def to_json(self) -> dict[str, Any]:
        """As stored in manifests and model files."""
        return {"version": VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, found: dict[str, Any] | None, where: str, dim: int) -> Calibration:
        """Of this version (upgrades.py), for vectors of `dim` numbers. Raises Uncalibrated if there is none, or it
        cannot be read."""
        if found is None:
            raise Uncalibrated(
                f"{where}: not calibrated, so there is no threshold and no probability; run artidx calibrate, "
                f"or ask for distances with artidx nearest --paintings"
            )
        try:
            if found["version"] != VERSION:
                raise ValueError("version")
            pairs = PairCalibration.from_json(found["pairs"])
            outside = PairCalibration.from_json(found["outside"]) if found.get("outside") else None
            open_set = OpenSet.from_json(found["artists"].get("open_set", {}))
            sculptures = _detector(found["artists"].get("sculptures"), dim)
            artists = ArtistCalibration(**(found["artists"] | {"open_set": open_set, "sculptures": sculptures}))
            calibration = cls(pairs, artists, outside)
            numbers = (
                pairs.neighbourhood_weight,
                outside.neighbourhood_weight if outside else 0.0,
                artists.slope,
                artists.intercept,
                artists.count_penalty,
                artists.prior_exponent,
            )
            if not all(map(math.isfinite, numbers)):
                raise ValueError("not finite")
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError):
            raise Uncalibrated(
                f"{where}: its calibration is damaged, or from another version of artidx; "
                f"calibrate it again with artidx calibrate"
            ) from None
        if abs(artists.count_penalty) > MOST_COUNT_PENALTY:
            raise Uncalibrated(
                f"{where}: its calibration infers the artist from the number of paintings, as that of artidx 0.1 "
                f"could; calibrate it again with artidx calibrate"
            )
        return calibration


def stored_detector(calibration: dict[str, Any] | None, dim: int) -> SculptureDetector | None:
    """The detector in a stored calibration, which need not be usable otherwise; None if it has no usable one."""
    try:
        return _detector((calibration or {})["artists"].get("sculptures"), dim)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError):
        return None


def _detector(found: dict[str, Any] | None, dim: int) -> SculptureDetector | None:
    """Raises KeyError, TypeError, ValueError or OverflowError if it is malformed, or for vectors of another length."""
    if found is None:
        return None
    detector = SculptureDetector.from_json(found)
    if len(detector.weights) != dim:
        raise ValueError("sculptures")
    return detector
