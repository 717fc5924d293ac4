"""artidx remove."""

from __future__ import annotations

from pathlib import Path

import click

from .options import INDEX_FOLDER, PATH, dry_run_option, encoding_option, json_option


@click.command()
@click.argument("index", type=INDEX_FOLDER)
@click.argument("ids", nargs=-1)
@click.option(
    "--list",
    "listed",
    type=PATH,
    metavar="FILE",
    help="Also those in a table with a column id, or in a text file with one id per line.",
)
@click.option(
    "--artist", "artists", multiple=True, metavar="NAME", help="Also all paintings by this artist; may be repeated."
)
@encoding_option
@dry_run_option
@json_option
def remove(
    index: Path,
    ids: tuple[str, ...],
    listed: Path | None,
    artists: tuple[str, ...],
    encoding: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Remove the paintings with these IDS from INDEX; all of them, or none if one is not there."""
    if not (ids or listed or artists):
        raise click.UsageError("name the paintings to remove: IDS, --list FILE or --artist NAME")
    from ..embedder.catalogs.catalog import read_names
    from ..index.opened import Index
    from .recognised import note_guess
    from .report import show_report

    if listed:
        note_guess(listed, encoding)
    wanted = [*ids, *(read_names(listed, encoding) if listed else ())]
    opened = Index.open(index)
    show_report(opened, opened.remove(wanted, artists=artists, dry_run=dry_run), as_json)
