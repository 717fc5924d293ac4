"""artidx export-vectors."""

from __future__ import annotations

from pathlib import Path

import click

from .options import INDEX_FOLDER, PATH
from .output import say


@click.command("export-vectors")
@click.argument("index", type=INDEX_FOLDER)
@click.argument("folder", type=PATH)
def export_vectors(index: Path, folder: Path) -> None:
    """Write the vectors and paintings of INDEX into a new FOLDER, for other programs: numpy and parquet."""
    from ..index.opened import Index

    opened = Index.open(index)
    opened.export_vectors(folder)
    say(
        f"{folder}: {len(opened):,} vectors of {opened.manifest.model.dim} in vectors.npy, their paintings in "
        f"paintings.parquet, row for row"
    )
