"""Sculptures among the paintings of a store, and the artists of an answer compared with the query by that kind.

The model's calibration tells a sculpture by its vector; scoring/sculpture.py has the formulas.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from ..scoring.artist_scores import NEXT, ArtistCalibration, GalleryScores, largest
from ..scoring.centre import uncentred
from ..scoring.sculpture import SculptureDetector, likeness
from ..scoring.vectors import Array, Doubles
from ..storage.vector_store import VectorStore

LOOKED_AT = 100  # works of an artist at most, the first in the table, to see how many are sculptures


class Kinds:
    """What the vectors of a store say about sculptures; nothing if the model's calibration has no detector."""

    def __init__(self, store: VectorStore) -> None:
        self._store = store
        self._centre = np.array(store.manifest.centre, np.float32)

    def sculpture(self, vector: Array, calibration: ArtistCalibration) -> float | None:
        """The probability that a query (d,) shows a sculpture; None without a detector."""
        detector = calibration.sculptures
        return None if detector is None else float(self._probabilities(vector[None], detector)[0])

    def compared(
        self, vector: Array, left_out: Sequence[frozenset[int]], scores: GalleryScores, calibration: ArtistCalibration
    ) -> GalleryScores:
        """The scores (o, artists) of a query (d,) with its likeness to artists' works.

        left_out: (o) places that do not count. Only the works of the NEXT artists with the most evidence are looked at;
        those of all others count as paintings.
        """
        detector, shows = calibration.sculptures, self.sculpture(vector, calibration)
        if detector is None or not shows:
            return scores
        first = largest(calibration.evidence(scores), NEXT)
        works = {code: frozenset(self._works(code)) for code in {*first.ravel().tolist()}}

        @cache
        def share(code: int, without: frozenset[int]) -> float:
            return self._share(works[code] - without, detector)

        shares = [
            [share(code, works[code] & places) for code in codes]
            for codes, places in zip(first.tolist(), left_out, strict=True)
        ]
        alike = np.full(scores.scores.shape, likeness(shows, 0.0))
        np.put_along_axis(alike, first, likeness(shows, np.array(shares, np.float64)), axis=1)
        return replace(scores, likeness=alike)

    def _works(self, artist: int) -> list[int]:
        """The places of an artist's works."""
        return self._store.search((), artist, 0, len(self._store))[0]

    def _share(self, works: frozenset[int], detector: SculptureDetector) -> float:
        """Of sculptures among works; among the first ones, if there are many."""
        places = sorted(works)[:LOOKED_AT]
        return float(self._probabilities(self._store.vectors_at(places), detector).mean()) if places else 0.0

    def _probabilities(self, vectors: Array, detector: SculptureDetector) -> Doubles:
        """(n,) for vectors (n, d) as the store has them."""
        return detector.probabilities(uncentred(vectors, self._centre))
