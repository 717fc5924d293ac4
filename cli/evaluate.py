"""artidx evaluate."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..embedder import bounds
from .options import MODEL, PATH, json_option, real
from .output import note, progress, say_json

if TYPE_CHECKING:
    from ..index.opened import Index


@click.command()
@click.argument("index", metavar="INDEX|CATALOG")
@click.option(
    "--split-column",
    metavar="NAME",
    help="Column with each painting's split.  [default: split; without it, all are one split]",
)
@click.option(
    "--gallery",
    metavar="SPLIT",
    help="The split to search for artists.  [default: train; without it, each split itself]",
)
@click.option(
    "--prior",
    type=real(bounds.PRIOR),
    default=0.5,
    show_default=True,
    help="Share of same-artist pairs, for the precision.",
)
@click.option("--report", type=PATH, metavar="FILE.html", help="Also write a page with charts.")
@click.option(
    "--model",
    type=MODEL,
    help="base, small or a file: the model for a CATALOG; of an INDEX, a check that it was built with this "
    "model.  [default: that of build, or the index's own]",
)
@json_option
def evaluate(
    index: str,
    split_column: str | None,
    gallery: str | None,
    prior: float,
    report: Path | None,
    model: str | None,
    as_json: bool,
) -> None:
    """Measure how good the answers of INDEX are on its own labelled paintings, split by split.

    A CATALOG, which is anything artidx build takes, is embedded first; no index is kept. In brackets are 95%
    intervals, by bootstrap over artists. The page needs artidx[plot].
    """
    from ..errors import BadSetting, Uncalibrated
    from ..index.measure import evaluate as scoring
    from ..index.measure.splits import split_names
    from .scores import show_scores

    with _opened(index, model) as opened:
        table, embeddings = opened.whole()
        if split_column and split_column not in table:
            raise BadSetting(f"--split-column {split_column}: {index} has no such column")
        splits = split_names(table, split_column or "split")
        names = sorted(set(splits))
        if gallery and gallery not in names:
            raise BadSetting(f"--gallery {gallery}: no such split; there are {', '.join(names)}")
        gallery = gallery or "train"
        try:
            calibration = opened.calibration
        except Uncalibrated as problem:
            note(f"{problem}; the scores are those of distances alone")
            calibration = None
        found = scoring.evaluate(
            table, embeddings, splits, names, gallery if gallery in names else None, calibration, prior
        )
    if as_json:
        say_json(found)
    else:
        show_scores(found)
    if report:
        from ..index.measure.report import write_report

        write_report(report, index, opened.manifest, found)


@contextmanager
def _opened(source: str, model: str | None) -> Iterator[Index]:
    """The index, or a temporary one of the catalog."""
    from ..embedder.catalogs.catalog import read_catalog
    from ..embedder.runtime import Embedder
    from ..index.addresses import is_address
    from ..index.opened import Index
    from ..index.storage.generations import exists

    if is_address(source) or exists(Path(source)):
        yield Index.open(source, embedder=Embedder.load(model) if model else None)
        return
    catalog = read_catalog(source)
    with tempfile.TemporaryDirectory() as folder:
        index, report = Index.build(
            Path(folder) / "evaluated.artidx", catalog, embedder=Embedder.load(model), bar=progress
        )
        if report.skipped:
            note(f"skipped {len(report.skipped):,} paintings; the first: {': '.join(report.skipped[0])}")
        yield index
