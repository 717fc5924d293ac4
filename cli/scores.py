"""The table that evaluate and train print."""

from __future__ import annotations

from collections.abc import Sequence

from ..index.evaluate import SplitScores
from .output import say

NAN = float("nan")


def show_scores(scores: Sequence[SplitScores]) -> None:
    """One line a split."""
    say("split        paintings artists    pairs (same)            AUC  triplets  found at 1%  artist first  in five"
        "    of")
    for split in scores:
        pairs, nearest = split.pairs, split.nearest
        counts = f"{pairs.same_pairs + pairs.different_pairs:,} ({pairs.same_pairs:,})"
        first, in_five, of = (nearest.top_1, nearest.top_5, nearest.queries) if nearest else (NAN, NAN, 0)
        say(f"{split.split:12} {pairs.paintings:9,} {pairs.artists:7,}    {counts:21} {share(pairs.auc)} "
            f"{share(pairs.triplet_accuracy):>9} {share(pairs.found_at_1_percent):>12} {share(first):>13} "
            f"{share(in_five):>8} {of:>5,}")


def share(value: float) -> str:
    """Three digits, or a dash where there was nothing to count."""
    return "-" if value != value else f"{value:.3f}"
