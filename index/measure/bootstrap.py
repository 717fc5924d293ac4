"""95% intervals by bootstrap over artists (Efron, 1979).

Results for paintings of one artist are correlated, so resampling single paintings would make every interval too narrow.
Statistics of the same artists use the same samples: two models on the same paintings can be compared sample by sample.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ..scoring.curve import Pairs
from ..scoring.vectors import Array, Doubles, Integers

DRAWS = 200
MOST_PAIRS = 300_000  # of each kind; more are subsampled at random

Interval = tuple[float, float]


def mean_interval(values: Doubles, artists: Integers) -> Interval:
    """Interval of the mean of values (q,), one per painting; artists: (q,)."""
    return interval_of(mean_draws(values, artists))


def mean_draws(values: Doubles, artists: Integers) -> list[float]:
    """The same mean in each sample."""
    if not len(values):
        return []
    _, places = np.unique(artists, return_inverse=True)
    sums, counts = np.bincount(places, values), np.bincount(places)
    return [float(drawn @ sums / (drawn @ counts)) for drawn in _draws(len(counts))]


def auc_interval(known: Doubles, out_of_gallery: Doubles, known_by: Integers, outside_by: Integers) -> Interval:
    """Interval of the probability that one of the known (k,) is above one of the out_of_gallery (s,); with the artists
    of each."""
    return interval_of(auc_draws(known, out_of_gallery, known_by, outside_by))


def auc_draws(known: Doubles, out_of_gallery: Doubles, known_by: Integers, outside_by: Integers) -> list[float]:
    """The same probability in each sample."""
    ranked = np.argsort(np.concatenate([out_of_gallery, known]), kind="stable")
    is_known = ranked >= len(out_of_gallery)
    values = []
    for known_weights, outside_weights in _drawn_apart(known_by, outside_by):
        weights = np.concatenate([outside_weights, known_weights])[ranked]
        below = np.cumsum(np.where(is_known, 0, weights))
        if below[-1] and known_weights.sum():
            values.append(float((below * weights)[is_known].sum() / below[-1] / known_weights.sum()))
    return values


def identified_interval(
    best: Doubles,
    is_right: npt.NDArray[np.bool_],
    out_of_gallery: Doubles,
    rate: float,
    known_by: Integers,
    outside_by: Integers,
) -> Interval:
    """Interval of the share of queries (k,) correctly named with a probability that at most a share `rate` of
    out_of_gallery (s,) exceeds."""
    return interval_of(identified_draws(best, is_right, out_of_gallery, rate, known_by, outside_by))


def identified_draws(
    best: Doubles,
    is_right: npt.NDArray[np.bool_],
    out_of_gallery: Doubles,
    rate: float,
    known_by: Integers,
    outside_by: Integers,
) -> list[float]:
    """The same share in each sample."""
    order = np.argsort(-out_of_gallery, kind="stable")
    values = []
    for known_weights, outside_weights in _drawn_apart(known_by, outside_by):
        passed = np.cumsum(outside_weights[order])
        if passed[-1] and known_weights.sum():
            limit = out_of_gallery[order][np.searchsorted(passed, rate * passed[-1], side="right")]
            values.append(float(known_weights @ ((best > limit) & is_right) / known_weights.sum()))
    return values


def _drawn_apart(known_by: Integers, outside_by: Integers) -> Iterator[tuple[Integers, Integers]]:
    """How often each query of either kind is sampled, with its artist."""
    _, known = np.unique(known_by, return_inverse=True)
    _, out_of_gallery = np.unique(outside_by, return_inverse=True)
    for drawn in _draws(int(known.max()) + 1 + int(out_of_gallery.max()) + 1):
        yield drawn[known], drawn[int(known.max()) + 1 + out_of_gallery]


def rate_interval(called: Doubles, counted: Doubles) -> Interval:
    """Interval of the share of pairs that are called the same. called, counted: (a, a) numbers of pairs by artists.

    Same-artist pairs are on the diagonal; only one kind of pair is counted at a time.
    """
    values = []
    is_same = bool(np.diag(counted).any())
    for drawn in _draws(len(counted)):
        found, of = ((drawn @ np.diag(counts)) if is_same else drawn @ counts @ drawn for counts in (called, counted))
        if of:
            values.append(float(found / of))
    return interval_of(values)


def pair_intervals(x: Array, pairs: Pairs) -> dict[str, Interval]:
    """Intervals of `auc` and the shares found; x: (p,) by which pairs are ranked, smallest first."""
    return {name: interval_of(values) for name, values in pair_draws(x, pairs).items()}


def pair_draws(x: Array, pairs: Pairs) -> dict[str, list[float]]:
    """The same numbers in each sample. Pairs of the same artists use the same samples, whatever they are ranked by."""
    order = np.argsort(x, kind="stable")
    artists, places = np.unique(np.concatenate([pairs.first[order], pairs.second[order]]), return_inverse=True)
    first, second = np.split(places, 2)
    is_same = first == second
    found: dict[str, list[float]] = {"auc": [], "found_at_1_percent": [], "found_at_0_1_percent": []}
    for drawn in _draws(len(artists)):
        weights = np.where(is_same, drawn[first], drawn[first] * drawn[second])
        same, different = (np.cumsum(np.where(kind, weights, 0)) for kind in (is_same, ~is_same))
        if not same[-1] or not different[-1]:
            continue
        false, true = different / different[-1], same / same[-1]
        found["auc"].append(float(1 - (np.where(is_same, weights, 0) @ false) / same[-1]))
        for name, rate in (("found_at_1_percent", 0.01), ("found_at_0_1_percent", 0.001)):
            place = int(np.searchsorted(false, rate, side="right")) - 1
            found[name].append(float(true[place]) if place >= 0 else 0.0)
    return found


def thinned(pairs: Pairs, share_same: float, share_different: float, chance: np.random.Generator) -> Pairs:
    """A random subset: each pair is kept with the probability of its kind."""
    kept = chance.random(len(pairs.distances)) < np.where(pairs.is_same, share_same, share_different)
    return pairs.of(kept)


def _draws(count: int) -> Iterator[npt.NDArray[np.int64]]:
    """How often each of `count` artists is sampled, the same in every run."""
    chance = np.random.default_rng(0)
    for _ in range(DRAWS):
        yield chance.multinomial(count, np.full(count, 1 / count))


def interval_of(values: list[float]) -> Interval:
    """The middle 95% of the samples' values."""
    if not values:
        return float("nan"), float("nan")
    low, high = np.nanpercentile(values, (2.5, 97.5)).tolist()
    return low, high
