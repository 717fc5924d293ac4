"""artidx benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..index.model_card import share
from .options import MODEL, PATH, json_option
from .output import note, progress, say, say_json

if TYPE_CHECKING:
    from ..index.measure.benchmark import Benchmark, Part, Score


@click.command()
@click.argument("catalog")
@click.option(
    "--model",
    "models",
    type=MODEL,
    multiple=True,
    required=True,
    help="base, small or a file; repeat it for each model. The others are compared with the first.",
)
@click.option(
    "--gallery",
    metavar="SPLIT",
    help="The split to search; the paintings of all other splits are queries.  [default: train; "
    "without a column split, each painting is a query against all others]",
)
@click.option(
    "--work",
    type=PATH,
    default=Path("benchmark-work"),
    show_default=True,
    metavar="FOLDER",
    help="Folder for vectors: an interrupted run resumes, and a second run embeds nothing.",
)
@click.option(
    "--report", type=PATH, metavar="FILE.html", help="Also write a page, with charts if artidx[plot] is installed."
)
@json_option
def benchmark(
    catalog: str, models: tuple[str, ...], gallery: str | None, work: Path, report: Path | None, as_json: bool
) -> None:
    """Compare models on CATALOG, which is anything artidx build takes, by one protocol: docs/benchmark.md.

    Prints each number with its 95% interval, by bootstrap over artists, and its difference from the first model's,
    with a paired interval. If there is a column source, the scores of each source are printed, too. Needs
    artidx[calibrate].
    """
    from ..embedder.catalogs.catalog import read_catalog
    from ..index.measure import benchmark as measuring

    found = measuring.benchmark(read_catalog(catalog), models, work, gallery, progress)
    left_out = found.left_out
    if left_out.unreadable:
        note(
            f"left out: {len(left_out.unreadable):,} that cannot be read; the first: "
            f"{': '.join(left_out.unreadable[0])}"
        )
    for count, what in ((left_out.copies, "copies of other images"), (left_out.without_artist, "without an artist")):
        if count:
            note(f"left out: {count:,} {what}")
    if as_json:
        say_json(found)
    else:
        _show(found)
    if report:
        from ..index.measure.benchmark_page import write_page

        write_page(report, found)


def _show(found: Benchmark) -> None:
    from ..index.measure.benchmark import NAMES

    names = [model.name for model in found.models]
    width = max(map(len, names))
    for model in found.models:
        say(f"{model.name:<{width}}  {model.sha256[:12]}, {model.dim} numbers")
    where = "all others" if found.gallery is None else f"the split {found.gallery}"
    say(
        f"gallery: {where}, {found.gallery_paintings:,} paintings by {found.gallery_artists:,} artists; 95% intervals "
        f"by bootstrap over artists; last, the paired difference from {names[0]}"
    )
    for part in found.parts:
        say()
        say(_heading(part))
        for score, title in NAMES.items():
            for number, (name, value) in enumerate(zip(names, part.scores[score], strict=True)):
                say(f"  {title if number == 0 else '':<36} {name:<{width}}  {_cell(value)}")


def _heading(part: Part) -> str:
    return (
        f"{part.part}: {part.paintings:,} paintings by {part.artists:,} artists, {part.same_pairs:,} pairs by one "
        f"artist and {part.different_pairs:,} others; {part.known:,} asked by artists of the gallery, "
        f"{part.out_of_gallery:,} out of it"
    )


def _cell(score: Score) -> str:
    low, high = score.interval
    text = share(score.value) + (f" ({share(low)} to {share(high)})" if low == low else "")
    if score.difference is None or score.difference_interval is None or score.difference != score.difference:
        return text
    low, high = score.difference_interval
    return f"{text:<24}  {score.difference:+.3f} ({low:+.3f} to {high:+.3f})"
