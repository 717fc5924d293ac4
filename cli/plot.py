"""artidx plot."""

from __future__ import annotations

from pathlib import Path

import click

from .options import INDEX_FOLDER, PATH, WholeNumber
from .output import say


@click.command()
@click.argument("index", type=INDEX_FOLDER)
@click.option(
    "-o",
    "--output",
    type=PATH,
    required=True,
    metavar="FILE",
    help="space.png for a picture, space.html for a plot to rotate in a browser.",
)
@click.option(
    "--artists",
    type=WholeNumber(1, 20),
    default=10,
    show_default=True,
    help="How many artists to show, those with the most paintings first.",
)
def plot(index: Path, output: Path, artists: int) -> None:
    """Plot the paintings of INDEX in three dimensions, coloured by artist.

    The dimensions are the principal components of their vectors. pip install 'artidx[cpu,plot]'.
    """
    from ..errors import BadSetting
    from ..index.measure.space import draw, space_of, write_page
    from ..index.opened import Index

    writers = {".png": draw, ".html": write_page}
    if output.suffix.lower() not in writers:
        raise BadSetting(f"{output}: name it .png for a picture or .html for a page")
    space = space_of(Index.open(index).generation, artists)
    writers[output.suffix.lower()](space, output)
    say(
        f"{output}: {len(space.table):,} paintings by {len(space.artists)} artists, "
        f"{space.explained.sum():.0%} of their variance"
    )
