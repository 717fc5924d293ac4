"""artidx nearest."""

from __future__ import annotations

from pathlib import Path

import click

from .options import query_options
from .output import say, say_json


@click.command()
@click.argument("image")
@click.option("-k", type=click.IntRange(min=1), default=10, show_default=True, help="How many to show.")
@click.option("--paintings", is_flag=True, help="The nearest paintings alone, without artists or probabilities.")
@query_options
def nearest(image: str, k: int, paintings: bool, index: Path, model: Path | None, device: str,
            max_pixels: int | None, as_json: bool) -> None:
    """Who might have painted IMAGE?  Artists by probability, each with the paintings that speak for it.

    IMAGE is an image file, the id of a painting in the index (id:NAME where a file has that name too), or - for an
    image on stdin. A painting is never its own neighbour.
    """
    from .query import images, named, open_index, percent, pixel_limit

    opened = open_index(index, model, device)
    ask = opened.nearest_paintings if paintings else opened.nearest
    limit = pixel_limit(max_pixels)
    answer = ask(*images(image, max_pixels=limit), k=k, max_pixels=limit)
    if as_json:
        say_json(answer)
        return
    if paintings:
        for neighbour in answer.paintings:
            say(f"{neighbour.distance:.3f}  {named(neighbour.painting)}")
        return
    for artist in answer.artists:
        say(f"{percent(artist.probability):>4}  {artist.artist}")
        for neighbour in artist.paintings:
            say(f"      {neighbour.distance:.3f}  {named(neighbour.painting)}")
    say(f"{percent(answer.unknown or 0):>4}  none of the {opened.manifest.artists:,} artists here, if half of the "
        f"paintings you ask about are by others")
