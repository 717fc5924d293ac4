"""artidx info."""

from __future__ import annotations

from pathlib import Path

import click

from .options import json_option
from .output import say, say_json

ARTISTS = 5  # shown


@click.command()
@click.argument("index", type=click.Path(path_type=Path))
@json_option
def info(index: Path, as_json: bool) -> None:
    """What INDEX holds: paintings, artists, model, calibration."""
    from ..errors import Uncalibrated
    from ..index.opened import Index

    opened = Index.open(index)
    manifest = opened.manifest
    if as_json:
        say_json(manifest)
        return
    labelled = opened.generation.table["artist"].dropna()
    most = ", ".join(f"{artist} {count:,}" for artist, count in labelled.value_counts().head(ARTISTS).items())
    say(f"{index}: {manifest.paintings:,} paintings by {manifest.artists:,} artists"
        + (f" (most: {most})" if most else ""))
    say(f"without an artist: {manifest.paintings - len(labelled):,}; skipped when built: {manifest.skipped:,}")
    say(f"generation {manifest.generation}, {manifest.created}, artidx {manifest.artidx}, format {manifest.format}")
    say(f"model {manifest.model.name}, vectors of {manifest.model.dim}, sha256 {manifest.model.sha256}")
    try:
        pairs = opened.calibration.pairs
    except Uncalibrated:
        say("not calibrated: nearest --paintings works, pair and nearest do not")
        return
    say(f"calibrated on {pairs.measured_on}:")
    for point in (*pairs.points, pairs.equal_error):
        say(f"  distance below {point.distance:.3f}: {point.true_positive_rate:.1%} of same-artist pairs, "
            f"{point.false_positive_rate:.2%} of others")
