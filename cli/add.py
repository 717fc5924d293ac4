"""artidx add."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .options import (
    INDEX_FOLDER,
    catalog_options,
    column_names,
    dry_run_option,
    embedding_options,
    own_device,
    settings,
)
from .output import progress


@click.command()
@click.argument("index", type=INDEX_FOLDER)
@click.argument("source")
@dry_run_option
@catalog_options
@embedding_options
def add(index: Path, source: str, dry_run: bool, device: str, as_json: bool, **options: Any) -> None:
    """Add the paintings of SOURCE to INDEX.

    SOURCE is anything artidx build takes, or one image. A painting whose content is in the index already is not added
    again; if its file has moved, the new name is recorded. A painting that has the id or the file of another, and new
    content, replaces it.
    """
    from ..embedder.catalogs.catalog import read_catalog
    from ..index.opened import Index
    from .recognised import note_recognised
    from .report import show_report

    opened = Index.open(index, device=own_device(options, device))
    names, least = column_names(options, opened.manifest.reading), opened.embedder.preprocessing.least_side
    catalog = read_catalog(source, names, options["allow"], least=least, on_disk=True, bar=progress)
    note_recognised(catalog)
    with settings(options, device) as chosen:
        report = opened.add(catalog, settings=chosen, dry_run=dry_run, bar=progress)
    show_report(opened, report, as_json)
