"""artidx import-vectors."""

from __future__ import annotations

from pathlib import Path

import click

from .options import PATH, json_option, layout, layout_options, model_option, output_option, replace_option


@click.command("import-vectors")
@click.argument("folder", type=PATH)
@output_option
@replace_option
@layout_options
@model_option
@json_option
def import_vectors(
    folder: Path, output: Path, replace: bool, half: bool, approximate: bool, model: str | None, as_json: bool
) -> None:
    """Make an index from vectors written by artidx export-vectors, or by another program.

    FOLDER has vectors.npy, unit vectors as the model gives them, and paintings.parquet, row for row, with a column id,
    and optionally artist, title, year, path, sha256 and others.
    """
    from ..embedder.runtime import Embedder
    from ..index.opened import Index
    from .report import note_exact, show_report

    index, report = Index.import_vectors(
        output, folder, embedder=Embedder.load(model), layout=layout(half, approximate), replace=replace
    )
    show_report(index, report, as_json)
    note_exact(index, approximate)
