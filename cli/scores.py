"""Printing of scores, for evaluate and train."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..index.measure.evaluate import SplitScores
from ..index.model_card import NAN, share
from .output import say


def show_scores(scores: Sequence[SplitScores]) -> None:
    """Print a paragraph per split; in brackets are 95% intervals, by bootstrap over artists."""
    for split in scores:
        pairs, retrieval, nearest = split.pairs, split.retrieval, split.nearest

        def found(value: float, name: str, intervals: dict[str, tuple[float, float]] = split.intervals) -> str:
            low, high = intervals.get(name, (NAN, NAN))
            return f"{share(value)} ({share(low)} to {share(high)})" if low == low else share(value)

        say(
            f"{split.split}: {pairs.paintings:,} paintings by {pairs.artists:,} artists, "
            f"{pairs.same_pairs + pairs.different_pairs:,} pairs, {pairs.same_pairs:,} of them by one artist"
        )
        say(
            f"  AUC over all pairs               {found(pairs.auc, 'auc')}; by distance alone "
            f"{share(pairs.auc_by_distance)}"
        )
        say(
            f"  found at 1% false positives      {found(pairs.found_at_1_percent, 'found_at_1_percent')}; at 0.1% "
            f"{found(pairs.found_at_0_1_percent, 'found_at_0_1_percent')}"
        )
        say(
            f"  pairs judged correctly           {share(pairs.accuracy)} where "
            + ("pair decides" if pairs.called_same else "both errors are equal")
            + "; both kinds count equally"
        )
        if pairs.called_same and pairs.precision is not None:
            say(
                f"  called the same by pair          {pairs.called_same.true_positive_rate:.1%} of same-artist pairs, "
                f"{pairs.called_same.false_positive_rate:.1%} of others; precision {pairs.precision:.3f} at a prior of "
                f"{pairs.prior:g}"
            )
        if pairs.brier is not None:
            say(
                f"  calibration error                {share(pairs.calibration_error)}; Brier score "
                f"{share(pairs.brier)}, by distance alone {share(pairs.brier_by_distance)}"
            )
        if split.outside and split.outside.called_same:
            outside, called = split.outside, split.outside.called_same
            say(
                f"  neither in the gallery           AUC {found(outside.auc, 'outside_auc')}; "
                f"{called.true_positive_rate:.1%} of same-artist pairs, {called.false_positive_rate:.1%} of others "
                f"called the same by pair; calibration error {share(outside.calibration_error)}"
            )
        say(f"  triplets right                   {found(retrieval.triplet_accuracy, 'triplet_accuracy')}")
        say(
            f"  neighbour by the same artist     first {found(retrieval.recall_at_1, 'recall_at_1')}, among five "
            f"{found(retrieval.recall_at_5, 'recall_at_5')}; mAP@10 "
            f"{found(retrieval.mean_average_precision_at_10, 'mean_average_precision_at_10')}; hubness "
            f"{retrieval.hubness:.1f}"
        )
        if nearest and nearest.queries:
            say(
                f"  artist named first               {found(nearest.top_1, 'top_1')}, among five "
                f"{found(nearest.top_5, 'top_5')}, of {nearest.queries:,} queries; gallery: "
                f"{nearest.gallery_paintings:,} paintings by {nearest.gallery_artists:,} artists"
            )
            at_1, at_10 = nearest.correct_identification
            say(
                f"  correct identification           {share(at_1)} at 1%, {found(at_10, 'identified_at_10_percent')} "
                f"at 10% false acceptance of {nearest.out_of_gallery:,} out of the gallery"
            )
            say(
                f"  in or out of the gallery         AUC {found(nearest.known_auc, 'known_auc')}; calibration error of "
                f"'none of them' {share(nearest.unknown_error)}"
            )
            if not math.isnan(nearest.large_named):  # some were wrong
                say(
                    f"  wrong first answers              {nearest.large_named:.0%} name the tenth of artists with "
                    f"most paintings, who have {nearest.large_hold:.0%} of the paintings"
                    + "".join(
                        f"; {artist} taken for {other} {count} times" for artist, other, count in nearest.confusions[:3]
                    )
                )
        for doubt in split.doubts:
            say(f"  too good to be true              {doubt}")
