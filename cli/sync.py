"""artidx sync."""

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
@click.option(
    "--rehash",
    is_flag=True,
    help="Read every file. By default, a file with the size and time of the last sync counts as unchanged.",
)
@catalog_options
@embedding_options
def sync(index: Path, source: str, dry_run: bool, rehash: bool, device: str, as_json: bool, **options: Any) -> None:
    """Make INDEX match SOURCE: a folder, a table with its --images, or a IIIF collection, as for artidx build.

    New images are added, changed ones embedded again, renamed ones recognised, and paintings that SOURCE no longer has
    are removed. Paintings from elsewhere stay. If a table has changed since the last sync, labels follow it; otherwise
    corrected labels stay. --dry-run lists every painting that would change.
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
        report = opened.sync(catalog, settings=chosen, rehash=rehash, dry_run=dry_run, bar=progress)
    show_report(opened, report, as_json)
