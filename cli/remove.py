"""artidx remove."""

from __future__ import annotations

from pathlib import Path

import click

from .options import PATH, json_option


@click.command()
@click.argument("index", type=PATH)
@click.argument("ids", nargs=-1, required=True)
@json_option
def remove(index: Path, ids: tuple[str, ...], as_json: bool) -> None:
    """Remove the paintings with these IDS from INDEX; all of them, or none if one is not there."""
    from ..index.opened import Index
    from .report import show_report

    opened = Index.open(index)
    show_report(opened, opened.remove(ids), as_json)
