"""The model card: how a model was made, its scores, and what it must not be used for."""

from __future__ import annotations

from collections.abc import Sequence

from ..embedder.runtime import PREPROCESSING, Embedder
from .measure.evaluate import SplitScores
from .scoring.calibration import Calibration

NAN = float("nan")

MEASURED = """The scores are those of this file, on paintings that it was not trained on: val_seen has other works by artists of the
training set, val_unseen has works by other artists. Any other split has photographs from other sources, by artists of
the training set or not."""
MEASURED_BEFORE = """The scores and the calibration are those of an earlier model, which was trained on the split train alone. They were measured
on paintings that it was not trained on: val_seen has other works by artists of the training set, val_unseen has works
by other artists. This file was then trained on all three splits, so no paintings are left to measure it on."""


def model_card(
    embedder: Embedder,
    made: str,
    scores: Sequence[SplitScores],
    calibration: Calibration,
    is_of_all_splits: bool = False,
) -> str:
    """The card as Markdown. made: how the model was made, by the recipe; is_of_all_splits: the scores are those of the
    model before it was trained on all splits."""
    rows = "\n".join(
        f"| {s.split} | {s.pairs.paintings:,} | {s.pairs.artists} | {s.pairs.auc:.3f} | {s.retrieval.triplet_accuracy:.3f} | "
        f"{s.pairs.found_at_1_percent:.3f} | {share(s.nearest.top_1 if s.nearest else NAN)} | {share(s.nearest.top_5 if s.nearest else NAN)} |"
        for s in scores
    )
    scale = calibration.pairs.by_fused_distance
    points = "\n".join(
        f"| {p.distance:.4f} | {p.false_positive_rate:.2%} | {p.true_positive_rate:.1%} |"
        for p in (*scale.points, scale.equal_error)
    )
    parity = embedder.metadata["parity"]
    return f"""# Model card: {embedder.name}

sha256 `{embedder.sha256}`

Turns a picture of a painting into a vector of {embedder.dim} numbers, at unit length. Vectors of paintings by one artist are nearer
to each other than to those of others. Preprocessing: the outermost {PREPROCESSING["inset"]:.0%} are cut off each side (less if fewer than {embedder.size} px
would be left), and the rest is squashed to {embedder.size} x {embedder.size} px RGB and saved as a JPEG of quality {PREPROCESSING["jpeg_quality"]}, so that pictures from
all collections are alike in sharpness. Everything after that is in the model file.

## How it was made

{made}

The model does not contain the training images. It was exported by `artidx train`. The largest difference of any number to
PyTorch is {parity["largest_difference_to_pytorch"]:.1e}. Weights are stored in 8 and 16 bits, which turns a vector by at most {parity["largest_cosine_lost_to_stored_weights"]:.1e} of cosine.
{said_of_int8(parity)}
## Scores

{MEASURED_BEFORE if is_of_all_splits else MEASURED}

| split | paintings | artists | AUC of pairs | triplets right | pairs found at 1% | artist first | in first five |
|---|---|---|---|---|---|---|---|
{rows}

Pairs are judged in an index of the split alone, triplets by distance. The gallery for artists is the training set.

**Calibration of pairs.** Fitted to {calibration.pairs.measured_on}: {calibration.pairs.same_pairs:,} pairs by one artist and
{calibration.pairs.different_pairs:,} by two, in an index of these paintings and in one of the training set. The fused distance is distance +
{calibration.pairs.neighbourhood_weight:.3f} x (1 - neighbourhood similarity). On artists held out of the fit, at a prior of one half, its calibration error is
{share(scale.calibration_error)} and its Brier score {share(scale.brier)}; by distance alone {share(calibration.pairs.by_distance.calibration_error)} and {share(calibration.pairs.by_distance.brier)}. The last row has the point where both
errors are equal.

| fused distance below | pairs by two artists | pairs by one artist |
|---|---|---|
{points}

**Calibration of artists.** Fitted to {calibration.artists.measured_on}.

## Use, misuse, limits

Use it to find candidates and to compare works in a collection. Its answers are leads for someone who then looks, reads and
tests. They are not evidence of authorship: do not use it to authenticate, price, insure or accuse.

The model compares photographs, so it also compares how they were taken. A photograph from another collection than the
index is at a disadvantage, and two from one collection that the index does not hold look alike to it. Copies,
prints after a painting and works of one school look like the work of one hand. Probabilities hold for paintings
like those of the calibration.
"""


def said_of_int8(parity: dict[str, float]) -> str:
    """What int8 activations cost, if the model has any."""
    if "mean_cosine_lost_to_sums_in_8_bits" not in parity:
        return ""
    return f"""Pointwise convolutions and matrix products of tokens with weights have int8 activations, where that costs little. Their
ranges were found on some training paintings; on as many others, int8 turned the vectors by {parity["mean_cosine_lost_to_sums_in_8_bits"]:.1e} of cosine on average and {parity["largest_cosine_lost_to_sums_in_8_bits"]:.1e} at most.
"""


def share(value: float | None) -> str:
    """Three digits, or a dash if there was nothing to count."""
    return "-" if value is None or value != value else f"{value:.3f}"
