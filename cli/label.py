"""artidx label."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import INDEX_FOLDER, PATH, dry_run_option, encoding_option, json_option
from .output import note, say, say_json

if TYPE_CHECKING:
    import pandas as pd


@click.command()
@click.argument("index", type=INDEX_FOLDER)
@click.argument("table", type=PATH, required=False, metavar="FILE.csv")
@click.option(
    "--by",
    metavar="NAME",
    envvar="ARTIDX_BY",
    show_envvar=True,
    help="Who makes these corrections.  [default: your name on this machine]",
)
@encoding_option
@click.option("--history", is_flag=True, help="Show all corrections so far, and change nothing.")
@dry_run_option
@json_option
def label(
    index: Path, table: Path | None, by: str | None, encoding: str | None, history: bool, dry_run: bool, as_json: bool
) -> None:
    """Correct labels of INDEX from a table with a column id, and artist, title, year or other columns of the index.

    An empty cell leaves a label as it is; write unknown to remove an artist. The history keeps the old labels, who
    corrected them, and when; --history shows it. If one id is not in the index, nothing is corrected.

    From review.xlsx, its column decision is read. The current attribution there means that it is right: artidx review
    does not list that finding again.
    """
    if history == bool(table):
        raise click.UsageError("give FILE.csv, or --history, not both")
    from ..embedder.catalogs.catalog import read_labels
    from ..index.opened import Index
    from ..index.review import decisions
    from ..index.review.sheet import left_in
    from .recognised import note_guess
    from .report import show_report

    opened = Index.open(index)
    if table is None:
        _show(opened.history, as_json)
        return
    note_guess(table, encoding)
    by = by or _own_name()
    report, words = opened.label(read_labels(table, encoding), by=by, dry_run=dry_run)
    if left := left_in(table, by, decisions.now(), encoding):
        if not dry_run:
            decisions.note(index, *left)
        note(
            f"{len(left):,} {'finding is' if len(left) == 1 else 'findings are'} left as recorded, and not listed again"
        )
    show_report(opened, report, as_json)
    if not as_json:
        _show(words, as_json)


def _own_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # users may have no name, as in many containers
        raise click.UsageError("this user has no name on this machine; give one with --by") from None


def _show(words: pd.DataFrame, as_json: bool) -> None:
    """One line per correction, or JSON lines."""
    for row in words.astype(object).where(words.notna(), None).to_dict("records"):
        if as_json:
            say_json(row)
        else:
            say(
                f"{row['at']}  {row['by']}: {row['column']} of {row['id']}: {row['before'] or 'unknown'} -> "
                f"{row['after'] or 'unknown'}"
            )
