"""artidx info."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .options import ANY_INDEX, json_option
from .output import say, say_json

if TYPE_CHECKING:
    from ..index.sources import Source

ARTISTS = 5  # shown


@click.command()
@click.argument("index", type=ANY_INDEX)
@json_option
def info(index: Source, as_json: bool) -> None:
    """Show what INDEX holds: paintings, artists, model, calibration."""
    from ..errors import Uncalibrated
    from ..index.opened import Index

    opened = Index.open(index)
    manifest = opened.manifest
    if as_json:
        say_json(manifest)
        return
    most = ", ".join(f"{artist.artist} {artist.paintings:,}" for artist in opened.collection.artists[:ARTISTS])
    say(
        f"{index}: {manifest.paintings:,} paintings by {manifest.artists:,} artists"
        + (f" (most: {most})" if most else "")
    )
    say(f"without an artist: {manifest.paintings - opened.store.artists.paintings.sum():,}")
    say(f"skipped when last built or added to: {manifest.skipped:,}")
    say(f"generation {manifest.generation}, {manifest.created}, artidx {manifest.artidx}, format {manifest.format}")
    if manifest.storage.type != "float32":
        say(
            f"vectors stored as {manifest.storage.type}: distances change by at most "
            f"{manifest.storage.largest_error:.1g}, {manifest.storage.recall_at_10:.2%} of the ten nearest stay"
        )
    for line in opened.store.facts:
        say(line)
    say(f"model {manifest.model.name}, vectors of {manifest.model.dim}, sha256 {manifest.model.sha256}")
    try:
        pairs = opened.calibration.pairs
    except Uncalibrated:
        say("not calibrated: nearest --paintings works, pair and nearest do not")
        return
    say(f"calibrated on {pairs.measured_on}:")
    for point in (*pairs.by_fused_distance.points, pairs.by_fused_distance.equal_error):
        say(
            f"  fused distance below {point.distance:.3f}: {point.true_positive_rate:.1%} of same-artist pairs, "
            f"{point.false_positive_rate:.2%} of others"
        )
