"""artidx evaluate."""

from __future__ import annotations

from pathlib import Path

import click

from .options import json_option
from .output import say_json


@click.command()
@click.argument("index", type=click.Path(path_type=Path))
@click.option("--split-column", metavar="NAME", default="split", show_default=True,
              help="Column that parts the paintings; without it they are one split.")
@click.option("--gallery", metavar="SPLIT", default="train", show_default=True,
              help="Split in which artists are looked for; within a split itself where it does not exist.")
@json_option
def evaluate(index: Path, split_column: str, gallery: str, as_json: bool) -> None:
    """How good the answers of INDEX are on its own labelled paintings, split by split."""
    from ..index import evaluate as scoring
    from ..index.opened import Index
    from .scores import show_scores

    opened = Index.open(index)
    table = opened.generation.table
    splits = scoring.split_names(table, split_column)
    names = sorted(set(splits))
    found = scoring.evaluate(table, opened.generation.embeddings, splits, names,
                             gallery if gallery in names else None,
                             opened.calibration.artists if opened.manifest.calibration else None)
    if as_json:
        say_json(found)
        return
    show_scores(found)
