"""artidx nearest."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from .options import PATH, WholeNumber, encoding_option, note_option, query_options
from .output import note, say, say_json, say_summary

if TYPE_CHECKING:
    from ..index.answers.search import Answer
    from ..index.sources import Source


@click.command()
@click.argument("images", nargs=-1, metavar="IMAGE")
@click.option(
    "--list",
    "listed",
    type=PATH,
    metavar="FILE|FOLDER",
    help="Answer many images: a text file with one name per line, a table, or a folder; writes CSV, or JSON lines.",
)
@encoding_option
@click.option(
    "-k",
    type=WholeNumber(min=1),
    default=10,
    show_default=True,
    help="How many artists to show; with --paintings, how many paintings.",
)
@click.option("--paintings", is_flag=True, help="Only the nearest paintings, without artists or probabilities.")
@click.option(
    "--where",
    metavar="EXPRESSION",
    help="Search only paintings for which this holds, such as \"year < 1700 and style == 'Baroque'\".",
)
@click.option("--exclude", metavar="EXPRESSION", help="Leave out paintings for which this holds.")
@note_option
@query_options
def nearest(
    images: tuple[str, ...],
    listed: Path | None,
    encoding: str | None,
    k: int,
    paintings: bool,
    where: str | None,
    exclude: str | None,
    output: Path | None,
    index: Source | None,
    model: str | None,
    device: str,
    max_pixels: int | None,
    as_json: bool,
) -> None:
    """Who might have painted IMAGE?  Artists by probability, each with the paintings that speak for them.

    IMAGE is an image file, the id of a painting in the index (id:NAME if a file has that name, too), or - for an
    image on stdin. A painting is never its own neighbour. With --list it exits 0 when all images were answered, and 2
    when some could not be.
    """
    from .query import checked, note_shown, note_without_geometry, open_index, open_service, pixel_limit
    from .query import images as read_images

    checked(images, 1, listed, "--list")
    if output and listed:
        raise click.UsageError("-o writes a note on one image; --list answers on stdout")
    limit = pixel_limit(max_pixels)
    if service := open_service(index, ("-o", output), ("--model", model), ("--paintings", paintings)):
        with service:
            if listed:
                from .bulk import write_answers

                names = [*dict.fromkeys(_listed(listed, encoding))]
                found = service.nearest_of_each(names, k=k, where=where, exclude=exclude)
                _end_list(write_answers(zip(names, found, strict=True), paintings, as_json))
            (image,) = read_images(*images, max_pixels=limit)
            _tell(service.nearest(image, k=k, where=where, exclude=exclude), as_json)
        return
    opened = open_index(index, model, device)
    if where is not None or exclude is not None:
        everything, opened = len(opened), opened.only(where, exclude)
        note(f"among {len(opened):,} of {everything:,} paintings")
    if listed:
        from .bulk import answer_list

        _end_list(answer_list(opened, _listed(listed, encoding), k, paintings, limit, as_json))
    ask = opened.nearest_paintings if paintings else opened.nearest
    asked = read_images(*images, max_pixels=limit)
    answer = ask(*asked, k=k, max_pixels=limit)
    if output:
        from ..index.review import iiif, notes

        painting = opened.query(asked[0], limit).painting
        if output.suffix == ".json":
            note_shown(iiif.write_nearest(answer, painting, opened.store, output))
        else:
            notes.write_nearest(answer, asked[0], painting, opened.name, output)
    is_near = bool(answer.paintings) and answer.paintings[0].distance < opened.reach.very_near
    if is_near and not as_json and not answer.one_picture:
        note_without_geometry("this and the nearest")
    _tell(answer, as_json)


def _listed(listed: Path, encoding: str | None) -> Iterator[str]:
    from .bulk import read_list
    from .recognised import note_guess

    note_guess(listed, encoding)
    return read_list(listed, encoding)


def _end_list(failed: int) -> NoReturn:
    from .bulk import report_failed

    report_failed(failed)
    sys.exit(2 if failed else 0)


def _tell(answer: Answer, as_json: bool) -> None:
    if as_json:
        say_json(answer)
    else:
        _show(answer)


def _show(answer: Answer) -> None:
    from ..index.answers.wording import percent
    from .query import named

    for twin in answer.one_picture:
        say(f"this and {named(twin.painting)} {twin.how.says}")
    if answer.summary is None:
        for neighbour in answer.paintings:
            say(f"{neighbour.distance:.3f}  {named(neighbour.painting)}")
        return
    say_summary(answer.summary)
    for artist in answer.artists:
        say(f"{percent(artist.probability):>4}  {artist.artist}")
        for neighbour in artist.paintings:
            say(f"      {neighbour.distance:.3f}  {named(neighbour.painting)}")
    say(f"{percent(answer.unknown or 0):>4}  none of the artists here")
