"""Whether events happen as often as their probabilities say: reliability, and summary errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..scoring.vectors import Doubles

BINS = 15  # of probability; 10 to 20 are usual

Counted = npt.NDArray[np.int64] | npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Reliability:
    """Probabilities in bins: (bins,) their mean, the observed frequency, and the share of all in the bin."""

    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    weight: tuple[float, ...]

    @property
    def error(self) -> float:
        """Expected calibration error, sum of weight * |predicted - observed| over the bins (Naeini et al., 2015)."""
        return float(np.array(self.weight) @ np.abs(np.array(self.predicted) - np.array(self.observed)))


def reliability(given: Doubles, is_so: Counted, is_not: Counted) -> Reliability:
    """Reliability of probabilities (k,), with both kinds weighing the same: a prior of one half.

    is_so, is_not: (k,) numbers of cases with this probability in which the event happened, and did not.
    """
    so, other = _halved(is_so, is_not)
    bins = np.minimum((given * BINS).astype(np.int64), BINS - 1)
    both = so + other
    weight, predicted, observed = (
        np.bincount(bins, values, BINS).astype(np.float64) for values in (both, given * both, so)
    )
    filled = np.maximum(weight, 1e-300)
    return Reliability(
        tuple((predicted / filled).tolist()), tuple((observed / filled).tolist()), tuple(weight.tolist())
    )


def brier(given: Doubles, is_so: Counted, is_not: Counted) -> float:
    """Mean squared error of probabilities (Brier, 1950), with the arguments and the prior of `reliability`."""
    so, other = _halved(is_so, is_not)
    return float((so * (1 - given) ** 2 + other * given**2).sum())


def even_odds(evidence: Doubles) -> Doubles:
    """The probabilities of log-likelihood ratios at a prior of one half."""
    found: Doubles = 1 / (1 + np.exp(-evidence))
    return found


def _halved(is_so: Counted, is_not: Counted) -> tuple[Doubles, Doubles]:
    """Both counts as weights that add up to one half."""
    return is_so / max(2 * is_so.sum(), 1), is_not / max(2 * is_not.sum(), 1)
