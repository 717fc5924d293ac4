"""artidx calibrate."""

from __future__ import annotations

from pathlib import Path

import click

from .options import INDEX_FOLDER, json_option
from .output import say, say_json


@click.command()
@click.argument("index", type=INDEX_FOLDER)
@click.option("--split", metavar="NAME", help="Use only the paintings of this split.  [default: all with an artist]")
@click.option("--split-column", metavar="NAME", help="Column that names the split.  [default: split]")
@json_option
def calibrate(index: Path, split: str | None, split_column: str | None, as_json: bool) -> None:
    """Fit thresholds and probabilities to the labelled paintings of INDEX, for paintings like these.

    The result is published as a new generation. Paintings that the model was trained on make probabilities too high:
    name a split that was held out, if there is one. In brackets are the rates on held-out artists, with 95% intervals
    by bootstrap over artists. Needs artidx[calibrate].
    """
    if split_column and not split:
        raise click.UsageError("--split-column needs --split NAME")
    from ..index.model_card import share
    from ..index.opened import Index

    opened = Index.open(index)
    calibration = opened.calibrate(split=split, column=split_column or "split")
    if as_json:
        say_json(calibration)
        return
    pairs = calibration.pairs
    say(f"{index}: generation {opened.manifest.generation}, calibrated on {pairs.measured_on}")
    for what, scale in (("by distance alone", pairs.by_distance), ("as pair judges", pairs.by_fused_distance)):
        say(
            f"{what:18} AUC {scale.auc:.3f}; on artists held out: calibration error "
            f"{share(scale.calibration_error)}, Brier score {share(scale.brier)}"
        )
    for number, point in enumerate(pairs.by_fused_distance.points):
        held_out = pairs.by_fused_distance.held_out[number] if pairs.by_fused_distance.held_out else None
        say(
            f"  of pairs by different artists {point.false_positive_rate:6.2%} pass"
            + (
                f" ({held_out.false_positive_rate:.2%} held out, {_span(held_out.false_positive_interval)})"
                if held_out
                else ""
            )
            + f", of same-artist pairs {point.true_positive_rate:5.1%}"
            + (f" ({held_out.true_positive_rate:.1%}, {_span(held_out.true_positive_interval)})" if held_out else "")
        )
    point = pairs.by_fused_distance.equal_error
    say(
        f"  of pairs by different artists {point.false_positive_rate:6.2%} pass, of same-artist pairs "
        f"{point.true_positive_rate:5.1%}, where both errors are equal"
    )
    open_set = calibration.artists.open_set
    say(f"artists            on {calibration.artists.measured_on}")
    say(
        f"  in or out of the gallery, on artists held out: AUC {share(open_set.auc)}, calibration error of 'none of "
        f"them' {share(open_set.calibration_error)}"
    )


def _span(interval: tuple[float, float]) -> str:
    return f"{interval[0]:.2%} to {interval[1]:.2%}"
