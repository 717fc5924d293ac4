"""artidx train."""

from __future__ import annotations

from pathlib import Path

import click

from .options import PATH
from .output import note, say


@click.command()
@click.argument("catalog")
@click.option("--trunks", type=PATH, required=True, metavar="FOLDER",
              help="Where the trunks' pretrained weights lie.")
@click.option("--work", type=PATH, required=True, metavar="FOLDER",
              help="Where features are kept; a run that was interrupted goes on from there.")
@click.option("-o", "--output", type=PATH, required=True, metavar="MODEL.onnx",
              help="The model to make; its card is written beside it.")
@click.option("--name", default="base", show_default=True, help="The model's name.")
def train(catalog: str, trunks: Path, work: Path, output: Path, name: str) -> None:
    """Train a model on CATALOG, measure and calibrate it, and write it as one ONNX file with a model card.

    CATALOG is anything artidx build takes. Its column `split` says which paintings to train on (train) and which
    are kept apart (val_seen: other works by the same artists; val_unseen: other artists); without that column a
    tenth of each is kept apart. pip install 'artidx[cpu,train]'.
    """
    from ..embedder.catalog import read_catalog
    from ..errors import MissingPackage
    from .scores import show_scores

    try:
        from .training import train_model
    except ModuleNotFoundError as missing:
        raise MissingPackage(f"training needs {missing.name}; pip install 'artidx[train]'") from None
    table = read_catalog(catalog).table
    scores = train_model(table, trunks, work, output, name, note)
    say(f"{output}: {output.stat().st_size / 1e6:.1f} MB")
    show_scores(scores)
