"""artidx check."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from .options import INDEX_FOLDER
from .output import say


@click.command()
@click.argument("index", type=INDEX_FOLDER)
@click.option("--repair", is_flag=True, help="Rebuild what can be rebuilt: vectors, approximate index, model, CURRENT.")
def check(index: Path, repair: bool) -> None:
    """Check that every file and vector of INDEX is as it was written.  Exits 1 if one is not, 2 for other trouble.

    With --repair, damaged vectors are copied from wherever they are intact, or embedded again from their images; then
    the index is published again. If something cannot be rebuilt, it is named, and nothing is changed.
    """
    from ..errors import BadIndex
    from ..index.opened import Index
    from ..index.storage import generations

    if repair:
        from ..index.changes.repair import repair as mend

        for line in mend(index):
            say(line)
    try:
        opened = Index.open(index)
        wrong = opened.check()
    except BadIndex as problem:
        if not generations.numbers(index):
            raise
        wrong = [str(problem)]
    for line in wrong:
        say(line)
    if wrong:
        sys.exit(1)
    say(f"{index}: {len(opened):,} paintings, every file and vector as it was written")
