"""artidx sync."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .options import INDEX_FOLDER, PATH, dry_run_option, embedding_options, own_device, settings
from .output import progress


@click.command()
@click.argument("index", type=INDEX_FOLDER)
@click.argument("folder", type=PATH)
@dry_run_option
@embedding_options
def sync(index: Path, folder: Path, dry_run: bool, device: str, as_json: bool, **options: Any) -> None:
    """Let INDEX follow FOLDER, which is laid out as for artidx build.

    New images are added, changed ones embedded anew, renamed ones follow their new name, and paintings whose file in
    FOLDER is gone are removed. Paintings from elsewhere stay. Labels that somebody has corrected stay corrected.
    """
    from ..embedder.catalog import read_catalog
    from ..index.opened import Index
    from .report import show_report

    catalog = read_catalog(folder)
    opened = Index.open(index, device=own_device(options, device))
    with settings(options, device) as chosen:
        report = opened.sync(catalog, settings=chosen, dry_run=dry_run, bar=progress)
    show_report(opened, report, as_json)
