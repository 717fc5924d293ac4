"""artidx check."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from .options import PATH
from .output import say


@click.command()
@click.argument("index", type=PATH)
def check(index: Path) -> None:
    """Is every file and every vector of INDEX as it was written?  Exits 1 where one is not, 2 for other trouble."""
    from ..errors import BadIndex
    from ..index import store
    from ..index.opened import Index

    try:
        opened = Index.open(index)
        wrong = opened.check()
    except BadIndex as problem:
        if not store.exists(index):
            raise
        wrong = [str(problem)]
    for line in wrong:
        say(line)
    if wrong:
        sys.exit(1)
    say(f"{index}: {len(opened):,} paintings, every file and vector as it was written")
