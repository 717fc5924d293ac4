"""How surprising what a gallery says is, under what its artists' scores are taken to mean, and how that changes.

For queries by artists of the gallery and queries by others, both kinds as frequent, with e the evidence for each artist
(ArtistCalibration.evidence) as it follows from slope, intercept, count penalty and prior exponent:

    surprise = mean over the known of log(1 + sum of exp(e)) - e of the right artist
             + mean over the unknown of log(1 + sum of exp(e))

This is the mean negative log-likelihood in nats, and smooth: a fit follows its gradient.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..scoring.calibration import ArtistCase, GalleryScores
from ..scoring.vectors import Doubles


@dataclass(frozen=True)
class Said:
    """Of queries (q,) and artists (a,): scores (q, a), and log counts and 0 or -inf for who has no painting (r, a).

    r is 1 where all queries meet the same counts, which is the rule and saves half of the work, and else q.
    """

    scores: Doubles
    counts: Doubles
    absent: Doubles

    @classmethod
    def of(cls, scored: GalleryScores) -> Said:
        """Artists' scores by their definition."""
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
        """(q, a) of ArtistCalibration with these weights (4,), and (r, 1) the log count that its shares expect."""
        slope, intercept, count_penalty, prior_exponent = weights
        shares = prior_exponent * self.counts + self.absent
        top = np.maximum(shares.max(axis=1, keepdims=True), -1e6)  # of nobody there is no share
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
        pull = grown / sums  # (q, a) how much the total grows with each evidence
        by_count = float((pull * self.counts).sum())
        by_share = by_count - float((pull * expected).sum())
        gradient = np.array([float((pull * self.scores).sum()), float(pull.sum()), -by_count, by_share])
        return float((top + np.log(sums)).mean()), gradient / len(evidence)


@dataclass(frozen=True)
class Case:
    """One gallery, what it says to known and unknown queries, and the right artists of the known (q,)."""

    known: Said
    unknown: Said
    truth: npt.NDArray[np.int64]

    @classmethod
    def of(cls, case: ArtistCase) -> Case:
        """A case as it is fitted to."""
        return cls(Said.of(case.known), Said.of(case.unknown), case.truth)

    def surprise(self, weights: Doubles) -> tuple[float, Doubles]:
        """In nats, and its gradient (4,). weights: slope, intercept, count penalty and prior exponent."""
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
