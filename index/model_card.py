"""The model card: what a model was made from, what it was measured at, and what it must not be used for."""

from __future__ import annotations

from collections.abc import Sequence

from ..embedder.runtime import PREPROCESSING, Embedder
from .measure.evaluate import SplitScores
from .scoring.calibration import Calibration

NAN = float("nan")

MEASURED = """The exported file itself, on paintings it was not trained on: val_seen are other works by training artists, val_unseen
are by other artists. Any other split holds photographs of other origins, whose artists it may have learnt or not."""
MEASURED_BEFORE = """The model before, which had learnt the split train alone, exported, on paintings it was not trained on: val_seen are
other works by training artists, val_unseen are by other artists. This file has then learnt all three splits: nothing is
left to measure it on. It has the calibration of the model before."""


def model_card(
    embedder: Embedder,
    made: str,
    scores: Sequence[SplitScores],
    calibration: Calibration,
    is_of_all_splits: bool = False,
) -> str:
    """The card as Markdown. made: how, in the words of the recipe; is_of_all_splits: the scores are those of a model
    before."""
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

Turns a picture of a painting into a vector of {embedder.dim} numbers of unit length. Vectors of paintings by one artist
lie nearer to each other than to those of others. Input: RGB without the outermost {PREPROCESSING["inset"]:.0%} of
each side (less where fewer than {embedder.size} px would be left), squashed to {embedder.size} x {embedder.size} px and saved as a JPEG of quality {PREPROCESSING["jpeg_quality"]},
so that all collections' pictures are alike in that; all of the path from there on is in the file.

## How it was made

{made}

The training images are not part of the model. Made by `artidx train`; largest difference of any number to PyTorch:
{parity["largest_difference_to_pytorch"]:.1e}; weights are stored in 8 and 16 bits, which turns a vector by {parity["largest_cosine_lost_to_stored_weights"]:.1e} of cosine at most.
{said_of_sums(parity)}
## What it was measured at

{MEASURED_BEFORE if is_of_all_splits else MEASURED}

| split | paintings | artists | AUC | triplet accuracy | same pairs found at 1 % false positives | artist first | in five |
|---|---|---|---|---|---|---|---|
{rows}

AUC over all pairs of a split as an index of it alone judges them; triplet accuracy by distance. Artists are looked for among the training paintings.

Calibration of pairs: {calibration.pairs.measured_on} ({calibration.pairs.same_pairs:,} same, {calibration.pairs.different_pairs:,} different),
in an index of them and in one of the training paintings. Compared is the fused distance, distance + {calibration.pairs.neighbourhood_weight:.3f} x (1 - similarity
of the neighbourhoods). On artists held out of the fit, at a prior of one half: calibration error {share(scale.calibration_error)} and Brier score
{share(scale.brier)}; by distance alone {share(calibration.pairs.by_distance.calibration_error)} and {share(calibration.pairs.by_distance.brier)}.

| called same below a fused distance of | of different pairs | of same pairs |
|---|---|---|
{points}

Calibration of artists: {calibration.artists.measured_on}.

## Use, misuse, limits

Meant for finding candidates and comparing works in a collection: a lead for someone who then looks, reads and tests.
Not evidence of authorship: do not use it to authenticate, price, insure or accuse. It compares photographs, and
so also how they were taken: a painting asked of another collection's index is at a disadvantage, and two from a
collection that the index does not hold look alike to it. Copies, prints after
a painting and works of one school look like one hand. Its probabilities hold for paintings like
those of the calibration.
"""


def said_of_sums(parity: dict[str, float]) -> str:
    """What sums in 8 bits cost, where some are made so."""
    if "mean_cosine_lost_to_sums_in_8_bits" not in parity:
        return ""
    return f"""Operations that bear it sum in 8 bits: pointwise convolutions and, where it has tokens, their products with weights. Ranges
are from some training paintings; that turned the vectors of as many others by {parity["mean_cosine_lost_to_sums_in_8_bits"]:.1e} of cosine on average and {parity["largest_cosine_lost_to_sums_in_8_bits"]:.1e} at most.
"""


def share(value: float | None) -> str:
    """Three digits, or a dash where there was nothing to count."""
    return "-" if value is None or value != value else f"{value:.3f}"
