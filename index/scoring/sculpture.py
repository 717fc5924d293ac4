"""Whether a photograph shows a sculpture, and what follows for the artists of an index.

To a network that was trained on paintings, sculptures are alike, whoever made them. So a sculpture is near to the few
that a painter made beside paintings, and artists' scores name the painter. But its vector tells it from a painting:

    log odds of a sculpture = weights . v + intercept        v: the unit vector as the model gives it

(logistic regression, with both kinds equally frequent). Artists can be named for a photograph of the kind of their
works. The probability of an artist (artist_scores.py) is multiplied by

    likeness = 1 - p * (1 - s)        p: the probability that the query shows a sculpture
                                      s: 0 if up to a quarter of the artist's works in the index are sculptures, 1 from
                                         a half on, and linear in between

and what this takes away goes to "none of the artists". A photograph of a painting changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .vectors import Array, Doubles, Integers

LEAST = 0.01  # a smaller probability of a sculpture counts as none
# Shares of sculptures among an artist's works. Sculptors draw, too, and not every sculpture is recognised.
PAINTER, SCULPTOR = 0.25, 0.5
LEAST_LIKENESS = 1e-9  # not 0, so that logarithms stay finite
LARGEST = 1e9  # of the weights and the intercept: sums must not overflow


@dataclass(frozen=True)
class SculptureDetector:
    """The weights (d,), as a tuple, and the intercept; fitted by fit_sculpture.py, for one model."""

    weights: tuple[float, ...]
    intercept: float
    measured_on: str

    def probabilities(self, embeddings: Array) -> Doubles:
        """(n,) that photographs show sculptures; embeddings: (n, d) as the model gives them. 0 if below LEAST."""
        # Not a matrix product: a photograph's probability must not depend on the others.
        odds = np.vecdot(embeddings.astype(np.float64), np.array(self.weights)) + self.intercept
        found = np.exp(-np.logaddexp(0, -odds))
        return np.where(found < LEAST, 0.0, found)

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> SculptureDetector:
        """Raises KeyError, TypeError, ValueError or OverflowError if it is malformed."""
        detector = cls(**(found | {"weights": tuple(map(float, found["weights"]))}))
        if not all(abs(number) <= LARGEST for number in (*detector.weights, detector.intercept)):  # nor NaN
            raise ValueError("not finite")
        return detector


def likeness(shows: Doubles | float, shares: Doubles | float) -> Doubles:
    """The likeness, for probabilities that queries show a sculpture and artists' shares of sculptures; broadcast."""
    by_sculptors = np.clip((np.asarray(shares, np.float64) - PAINTER) / (SCULPTOR - PAINTER), 0, 1)
    return np.maximum(1 - shows * (1 - by_sculptors), LEAST_LIKENESS)


def shares_of(shows: Doubles, artists: Integers, count: int) -> Doubles:
    """(count,) shares of sculptures among artists' works, 0 for an artist without any.

    shows: (n,) the probabilities that works are sculptures; artists: (n,), -1 for nobody.
    """
    sums, works = _by_artist(shows, artists, count)
    return sums / np.maximum(works, 1)


def likeness_in(
    detector: SculptureDetector,
    gallery: Array,
    artists: Integers,
    count: int,
    queries: Array,
    own: Integers | None = None,
) -> Doubles:
    """(q, count) likeness of queries (q, d) to the artists' works in a gallery (n, d), vectors as the model gives them.

    All works of all artists are looked at; answers look at a hundred of the first ten artists (answers/kinds.py).
    artists: (n,) of the gallery, of whom there are `count`; own: (q,) a query's own place in it, which is left out; -1
    if it has none.
    """
    there, shows = detector.probabilities(gallery), detector.probabilities(queries)
    sums, works = (np.tile(each, (len(queries), 1)) for each in _by_artist(there, artists, count))
    if own is not None:
        rows = np.flatnonzero((own >= 0) & (artists[own] >= 0))
        by = artists[own[rows]]
        sums[rows, by] -= there[own[rows]]
        works[rows, by] -= 1
    return likeness(shows[:, None], np.maximum(sums / np.maximum(works, 1), 0))


def _by_artist(shows: Doubles, artists: Integers, count: int) -> tuple[Doubles, Doubles]:
    """(count,) sums of probabilities, and numbers of works."""
    is_by = artists >= 0
    sums, works = np.zeros(count), np.zeros(count)
    np.add.at(sums, artists[is_by], shows[is_by])
    np.add.at(works, artists[is_by], 1)
    return sums, works
