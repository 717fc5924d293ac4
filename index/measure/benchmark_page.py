"""A benchmark as one self-contained HTML page; with a chart if matplotlib is installed."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import cycle
from pathlib import Path
from typing import Any

from ...errors import MissingPackage
from ...files import write_atomically
from .benchmark import NAMES, Benchmark, Part, Score
from .report import COLOURS, STYLE, picture


def write_page(target: Path, found: Benchmark) -> None:
    """Write the page: a table for each part, with models side by side."""
    where = "all other paintings" if found.gallery is None else f"the split {escape(found.gallery)}"
    left_out = found.left_out
    head = "".join(
        f"<tr><td>{escape(model.name)}</td><td><code>{model.sha256[:12]}</code></td><td>{model.dim:,}</td></tr>"
        for model in found.models
    )
    parts = [
        f"<h1>Models side by side: {escape(found.catalog)}</h1>",
        f"<p>Asked of {where}: {found.gallery_paintings:,} paintings by {found.gallery_artists:,} artists. Below each "
        f"number its 95% interval, by bootstrap over artists; then the difference from "
        f"{escape(found.models[0].name)}, with the interval of the paired draws.</p>",
        f"<p>Left out: {len(left_out.unreadable):,} that cannot be read, {left_out.copies:,} copies of images that are "
        f"there already, {left_out.without_artist:,} without an artist.</p>",
        f"<table><tr><th>model</th><th>sha256</th><th>numbers</th></tr>{head}</table>",
        *(_part(found, part) for part in found.parts),
    ]
    title = f"artidx: {escape(found.catalog)}"
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{STYLE}</style>{''.join(parts)}</html>"
    )
    write_atomically(target, page.encode("utf-8", "backslashreplace"))


def _part(found: Benchmark, part: Part) -> str:
    models = "".join(f"<th>{escape(model.name)}</th>" for model in found.models)
    rows = "".join(
        f"<tr><td>{escape(title)}</td>" + "".join(map(_cell, part.scores[name])) + "</tr>"
        for name, title in NAMES.items()
    )
    return (
        f"<h2>{escape(part.part)}</h2><p>{part.paintings:,} paintings by {part.artists:,} artists, "
        f"{part.same_pairs:,} pairs by one artist and {part.different_pairs:,} others; {part.known:,} asked by "
        f"artists of the gallery, {part.out_of_gallery:,} out of it.</p>"
        f"<table><tr><th></th>{models}</tr>{rows}</table>{_drawn(found, part)}"
    )


def _cell(score: Score) -> str:
    if score.value != score.value:
        return "<td>-</td>"
    text = f"{score.value:.3f}<small>{score.interval[0]:.3f} to {score.interval[1]:.3f}</small>"
    if score.difference is not None and score.difference_interval is not None:
        low, high = score.difference_interval
        text += f"<small>{score.difference:+.3f}: {low:+.3f} to {high:+.3f}</small>"
    return f"<td>{text}</td>"


def _drawn(found: Benchmark, part: Part) -> str:
    """The chart; nothing without matplotlib, since the table has the same numbers."""
    models = [model.name for model in found.models]

    def draw(axes: Any, parts: Sequence[Part]) -> None:
        for place, name in enumerate(NAMES):
            for number, (score, colour) in enumerate(zip(parts[0].scores[name], cycle(COLOURS), strict=False)):
                height = place + (number - (len(models) - 1) / 2) * 0.7 / len(models)
                axes.plot(score.interval, [height, height], color=colour, linewidth=1.5)
                axes.plot(
                    score.value, height, "o", color=colour, markersize=4, label=models[number] if place == 0 else None
                )
        axes.set_yticks(range(len(NAMES)), NAMES.values())
        axes.invert_yaxis()
        axes.set(xlim=(0, 1))
        axes.legend(frameon=False, loc="lower right")

    try:
        return picture(draw, [part], (7.5, 5))
    except MissingPackage:
        return ""
