"""artidx calibrate."""

from __future__ import annotations

from pathlib import Path

import click

from .options import INDEX_FOLDER, json_option
from .output import say, say_json


@click.command()
@click.argument("index", type=INDEX_FOLDER)
@click.option("--split", metavar="NAME", help="Take the pairs of these paintings only.  [default: all with an artist]")
@click.option("--split-column", metavar="NAME", help="Column that names the split.  [default: split]")
@json_option
def calibrate(index: Path, split: str | None, split_column: str | None, as_json: bool) -> None:
    """Make thresholds and probabilities from the labelled paintings of INDEX, for paintings like these.

    Published as a new generation. Paintings that the model was trained on make it too sure: name a split that was kept
    apart, where there is one. The errors told are of artists that the fit has not seen. Needs artidx[calibrate].
    """
    if split_column and not split:
        raise click.UsageError("--split-column needs --split NAME")
    from ..index.opened import Index
    from .scores import share

    opened = Index.open(index)
    calibration = opened.calibrate(split=split, column=split_column or "split")
    if as_json:
        say_json(calibration)
        return
    pairs = calibration.pairs
    say(f"{index}: generation {opened.manifest.generation}, calibrated on {pairs.measured_on}")
    for what, scale in (("by distance alone", pairs.by_distance), ("as pair judges", pairs.by_separation)):
        say(f"{what:18} AUC {scale.auc:.3f}; on artists held apart: calibration error "
            f"{share(scale.calibration_error)}, Brier score {share(scale.brier)}")
    for point in (*pairs.by_separation.points, pairs.by_separation.equal_error):
        say(f"  of pairs by different artists {point.false_positive_rate:6.2%} pass, of same-artist pairs "
            f"{point.true_positive_rate:5.1%}")
    say(f"artists: on {calibration.artists.measured_on}")
