"""artidx evaluate."""

from __future__ import annotations

from pathlib import Path

import click

from .options import PATH, json_option
from .output import say_json


@click.command()
@click.argument("index", type=PATH)
@click.option("--split-column", metavar="NAME",
              help="Column that parts the paintings.  [default: split; without it they are one split]")
@click.option("--gallery", metavar="SPLIT",
              help="Split in which artists are looked for.  [default: train; without it each split itself]")
@json_option
def evaluate(index: Path, split_column: str | None, gallery: str | None, as_json: bool) -> None:
    """How good the answers of INDEX are on its own labelled paintings, split by split."""
    from ..errors import BadSetting
    from ..index import evaluate as scoring
    from ..index.opened import Index
    from .scores import show_scores

    opened = Index.open(index)
    table = opened.generation.table
    if split_column and split_column not in table:
        raise BadSetting(f"--split-column {split_column}: {index} has no such column")
    splits = scoring.split_names(table, split_column or "split")
    names = sorted(set(splits))
    if gallery and gallery not in names:
        raise BadSetting(f"--gallery {gallery}: no such split; there are {', '.join(names)}")
    gallery = gallery or "train"
    found = scoring.evaluate(table, opened.generation.embeddings, splits, names,
                             gallery if gallery in names else None,
                             opened.calibration.artists if opened.manifest.calibration else None)
    if as_json:
        say_json(found)
        return
    show_scores(found)
