"""artidx pair."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from .options import query_options
from .output import say, say_json

SHARED = 5  # neighbours shown; --json has them all


@click.command()
@click.argument("a")
@click.argument("b")
@click.option("--prior", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.5, show_default=True,
              help="Share of same-artist pairs among those you ask about.")
@click.option("--fpr", type=click.Choice(["0.1", "0.01", "0.001"]), default="0.1", show_default=True,
              help="Share of pairs by different artists that may pass the threshold.")
@query_options
def pair(a: str, b: str, prior: float, fpr: str, index: Path, model: Path | None, device: str, max_pixels: int | None,
         as_json: bool) -> None:
    """Were A and B painted by the same artist?  Exits 0 for same, 1 for different, 2 for trouble.

    A and B are image files, ids of paintings in the index (id:NAME where a file has that name too), or - for an
    image on stdin. They need not be in the index; its paintings give the evidence.
    """
    from .query import images, named, open_index, percent, pixel_limit, ranked

    opened = open_index(index, model, device)
    limit = pixel_limit(max_pixels)
    verdict = opened.pair(*images(a, b, max_pixels=limit), prior=prior, false_positive_rate=float(fpr),
                          max_pixels=limit)
    if as_json:
        say_json(verdict)
    else:
        side = "below" if verdict.same else "above"
        say(f"{'same' if verdict.same else 'different'} artist: distance {verdict.distance:.3f}, {side} the threshold "
            f"{verdict.threshold:.3f} (which {verdict.false_positive_rate:.1%} of pairs by different artists pass)")
        say(f"probability of the same artist {percent(verdict.probability)}, if {prior:.0%} of the pairs you ask about "
            f"are (the prior)")
        say(f"measured on {verdict.measured_on}")
        for letter, painting in (("A", verdict.a), ("B", verdict.b)):
            say(f"{letter}  {named(painting.painting) if painting.painting else painting.name}")
            say(f"   nearest artists, the other left out: {ranked(painting.artists)}; none of the "
                f"{opened.manifest.artists} artists here {percent(painting.unknown)}")
        say(f"neighbours of both: {len(verdict.shared) or 'none'}")
        for shared in verdict.shared[:SHARED]:
            say(f"   {shared.distance_a:.3f} from A, {shared.distance_b:.3f} from B  {named(shared.painting)}")
    sys.exit(0 if verdict.same else 1)
