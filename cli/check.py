"""artidx check."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from .output import say


@click.command()
@click.argument("index", type=click.Path(path_type=Path))
def check(index: Path) -> None:
    """Is every file and every vector of INDEX as it was written?  Exits 1 where one is not."""
    from ..index.opened import Index

    opened = Index.open(index)
    wrong = opened.check()
    for line in wrong:
        say(line)
    if wrong:
        sys.exit(1)
    say(f"{index}: {len(opened):,} paintings, every file and vector as it was written")
