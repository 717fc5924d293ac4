"""The table that evaluate and train print."""

from __future__ import annotations

from collections.abc import Sequence

from ..index.evaluate import SplitScores
from .output import say


def show_scores(scores: Sequence[SplitScores]) -> None:
    """One line a split."""
    say("split        paintings artists    pairs (same)            AUC  triplets  found at 1%  artist first  in five")
    for split in scores:
        pairs, nearest = split.pairs, split.nearest
        counts = f"{pairs.same_pairs + pairs.different_pairs:,} ({pairs.same_pairs:,})"
        say(f"{split.split:12} {pairs.paintings:9,} {pairs.artists:7,}    {counts:21} {_share(pairs.auc)} "
            f"{_share(pairs.triplet_accuracy):>9} {_share(pairs.found_at_1_percent):>12} {_share(nearest.top_1):>13} "
            f"{_share(nearest.top_5):>8}")


def _share(value: float) -> str:
    return "-" if value != value else f"{value:.3f}"
