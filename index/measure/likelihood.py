"""The loss by which the calibration of artists is fitted, and its gradient.

For queries by artists of the gallery and queries by others, equally frequent, with e the evidence for each artist
(ArtistCalibration.evidence), which depends on slope, intercept, count penalty and prior exponent:

    surprise = mean over the known of log(1 + sum of exp(e)) - e of the right artist
             + mean over the unknown of log(1 + sum of exp(e))

This is the mean negative log-likelihood in nats, and it is smooth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..scoring.artist_scores import ArtistCase, GalleryScores
from ..scoring.vectors import Doubles


@dataclass(frozen=True)
class Said:
    """Scores (q, a) of queries and artists, log counts (r, a), and (r, a) 0 or, for an artist without a painting, -inf.

    r is 1 if all queries have the same counts, which is usual and saves half of the work, else q.
    """

    scores: Doubles
    counts: Doubles
    absent: Doubles

    @classmethod
    def of(cls, scored: GalleryScores) -> Said:
        """The scores of a gallery."""
        paintings = scored.paintings
        if (paintings == paintings[:1]).all():
            paintings = paintings[:1]
        is_there = paintings > 0
        return cls(
            np.where(is_there, scored.scores, 0),
            np.log(np.where(is_there, paintings, 1)),
            np.where(is_there, 0.0, -np.inf),
        )

    def evidence(self, weights: Doubles) -> tuple[Doubles, Doubles]:
        """(q, a) evidence of ArtistCalibration with these weights (4,), and (r, 1) the expected log count under its
        shares."""
        slope, intercept, count_penalty, prior_exponent = weights
        shares = prior_exponent * self.counts + self.absent
        top = np.maximum(shares.max(axis=1, keepdims=True), -1e6)  # no artists, no shares
        grown = np.exp(shares - top)
        total = np.maximum(grown.sum(axis=1, keepdims=True), 1e-300)
        expected = (grown * self.counts).sum(axis=1, keepdims=True) / total
        of_count = intercept - count_penalty * self.counts + shares - top - np.log(total)
        return slope * self.scores + of_count, expected

    def total(self, weights: Doubles) -> tuple[float, Doubles]:
        """The mean over queries of log(1 + sum of exp(evidence)), and its gradient (4,)."""
        evidence, expected = self.evidence(weights)
        top = np.maximum(evidence.max(axis=1, keepdims=True), 0)
        grown = np.exp(evidence - top)
        sums = grown.sum(axis=1, keepdims=True) + np.exp(-top)
        pull = grown / sums  # (q, a) derivative of the total by each evidence
        by_count = float((pull * self.counts).sum())
        by_share = by_count - float((pull * expected).sum())
        gradient = np.array([float((pull * self.scores).sum()), float(pull.sum()), -by_count, by_share])
        return float((top + np.log(sums)).mean()), gradient / len(evidence)


@dataclass(frozen=True)
class Case:
    """One gallery's scores for known and unknown queries, and the right artists (q,) of the known ones."""

    known: Said
    unknown: Said
    truth: npt.NDArray[np.int64]

    @classmethod
    def of(cls, case: ArtistCase) -> Case:
        """A case in the form that the fit needs."""
        return cls(Said.of(case.known), Said.of(case.unknown), case.truth)

    def surprise(self, weights: Doubles) -> tuple[float, Doubles]:
        """The loss in nats, and its gradient (4,). weights: slope, intercept, count penalty and prior exponent."""
        (of_known, up), (of_unknown, also_up) = self.known.total(weights), self.unknown.total(weights)
        evidence, expected = self.known.evidence(weights)
        rows = np.arange(len(self.truth))
        counts = np.broadcast_to(self.known.counts, evidence.shape)[rows, self.truth]
        of_truth = np.array(
            [
                self.known.scores[rows, self.truth].mean(),
                1.0,
                -counts.mean(),
                (counts - np.broadcast_to(expected, (len(rows), 1))[:, 0]).mean(),
            ]
        )
        return of_known - float(evidence[rows, self.truth].mean()) + of_unknown, up + also_up - of_truth
