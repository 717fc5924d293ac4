"""The scores of evaluate as one self-contained HTML page with charts. Needs artidx[plot]."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from html import escape
from itertools import cycle
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ...embedder.neutral import neutral_import
from ...errors import MissingPackage
from ...files import write_atomically
from ..storage.manifest import Manifest
from .evaluate import SplitScores
from .retrieval import NearestScores

T = TypeVar("T")

COLOURS = ("#1d4ed8", "#b45309", "#047857", "#7c3aed", "#be185d", "#4b5563")
MATRIX = 16  # artists in the confusion matrix, those most often mistaken
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2937; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; } th, td { padding: .25rem .7rem; text-align: right; }
th { font-weight: 600; border-bottom: 1px solid #9ca3af; } th:first-child, td:first-child { text-align: left; }
td small { color: #6b7280; display: block; } .pictures { display: flex; flex-wrap: wrap; gap: 1rem; }
svg { max-width: 100%; height: auto; } h2 { margin-top: 2.5rem; }
.doubt { border-left: 4px solid #b45309; background: #fef3c7; padding: .5rem .8rem; }
"""
NUMBERS: tuple[tuple[str, str, str], ...] = (  # heading, field of the scores, name
    ("AUC", "pairs", "auc"),
    ("AUC by distance alone", "pairs", "auc_by_distance"),
    ("found at 1% false positives", "pairs", "found_at_1_percent"),
    ("at 0.1%", "pairs", "found_at_0_1_percent"),
    ("pairs judged correctly", "pairs", "accuracy"),
    ("precision", "pairs", "precision"),
    ("calibration error", "pairs", "calibration_error"),
    ("Brier score", "pairs", "brier"),
    ("AUC, neither in the gallery", "outside", "auc"),
    ("calibration error, neither in the gallery", "outside", "calibration_error"),
    ("triplets right", "retrieval", "triplet_accuracy"),
    ("mAP@10", "retrieval", "mean_average_precision_at_10"),
    ("R@1", "retrieval", "recall_at_1"),
    ("R@5", "retrieval", "recall_at_5"),
    ("artist first", "nearest", "top_1"),
    ("in first five", "nearest", "top_5"),
    ("in or out of the gallery (AUC)", "nearest", "known_auc"),
    ("calibration error of none of them", "nearest", "unknown_error"),
)


def write_report(target: Path, source: str, manifest: Manifest, scores: Sequence[SplitScores]) -> None:
    """Write the page. source: what was evaluated, as the user named it."""
    pictures = [picture(_draw_rocs, scores), picture(_draw_reliability, scores), picture(_draw_open_sets, scores)]
    confused = [split for split in scores if split.nearest and split.nearest.confusions]
    parts = [
        f"<h1>How good the answers are: {escape(source)}</h1>",
        f"<p>{manifest.paintings:,} paintings by {manifest.artists:,} artists; model {escape(manifest.model.name)} "
        f"{manifest.model.sha256[:12]}, generation {manifest.generation}. Below each number its 95% interval, by "
        f"bootstrap over artists. Precision is at a prior of {scores[0].pairs.prior:g}, calibration error and "
        f"Brier score at one half.</p>",
        *_doubts(scores),
        _table(scores),
        '<div class="pictures">',
        *pictures,
        "</div>",
        *(
            f"<h2>Who is taken for whom: {escape(split.split)}</h2>"
            + picture(_draw_confusions, [split], (7.5, 6))
            + _artists(split.nearest)
            for split in confused
            if split.nearest
        ),
    ]
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>artidx: {escape(source)}</title><style>{STYLE}</style>{''.join(parts)}</html>"
    )
    write_atomically(target, page.encode())


def _doubts(scores: Sequence[SplitScores]) -> list[str]:
    return [
        f'<p class="doubt">{escape(split.split)}: {escape(doubt)}.</p>' for split in scores for doubt in split.doubts
    ]


def _table(scores: Sequence[SplitScores]) -> str:
    head = "".join(f"<th>{escape(split.split)}</th>" for split in scores)
    rows = [
        f"<tr><td>{escape(heading)}</td>" + "".join(_cell(split, part, name) for split in scores) + "</tr>"
        for heading, part, name in NUMBERS
    ]
    counts = "".join(f"<td>{s.pairs.paintings:,}<small>{s.pairs.artists:,} artists</small></td>" for s in scores)
    return f"<table><tr><th></th>{head}</tr><tr><td>paintings</td>{counts}</tr>{''.join(rows)}</table>"


def _cell(split: SplitScores, part: str, name: str) -> str:
    value = getattr(getattr(split, part), name, None)
    low, high = split.intervals.get(f"outside_{name}" if part == "outside" else name, (np.nan, np.nan))
    interval = f"<small>{low:.3f} to {high:.3f}</small>" if low == low else ""
    return "<td>-</td>" if value is None or value != value else f"<td>{value:.3f}{interval}</td>"


def _artists(nearest: NearestScores) -> str:
    rows = "".join(
        f"<tr><td>{escape(a.artist)}</td><td>{a.paintings:,}</td><td>{a.queries:,}</td><td>{a.top_1:.2f}</td>"
        f"<td>{a.top_5:.2f}</td><td>{escape(a.taken_for or '')}</td></tr>"
        for a in nearest.by_artist
    )
    return (
        "<details><summary>Every artist</summary><table><tr><th>artist</th><th>paintings</th><th>asked</th>"
        f"<th>first</th><th>in first five</th><th>else mostly taken for</th></tr>{rows}</table></details>"
    )


def picture(
    draw: Callable[[Any, Sequence[T]], None], scores: Sequence[T], inches: tuple[float, float] = (4.6, 4)
) -> str:
    """The SVG that `draw` draws on axes of this size in inches. Raises MissingPackage."""
    try:
        with neutral_import("matplotlib"):
            import matplotlib as mpl
            from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise MissingPackage("a report needs matplotlib; pip install 'artidx[plot]'") from None
    style: Any = {
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "svg.hashsalt": "artidx",
        "text.parse_math": False,
    }  # a $ in a name is a $
    with mpl.rc_context(style), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings about scripts that the font lacks, and about axes without a line
        figure = Figure(figsize=inches, layout="constrained")
        draw(figure.subplots(), scores)
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()[drawn.getvalue().index("<svg") :]


def _draw_rocs(axes: Any, scores: Sequence[SplitScores]) -> None:
    for split, colour in zip(scores, cycle(COLOURS), strict=False):
        for roc, style, label in ((split.curves.roc, "-", split.split), (split.curves.roc_by_distance, ":", None)):
            axes.plot(
                [p.false_positive_rate for p in roc],
                [p.true_positive_rate for p in roc],
                style,
                color=colour,
                label=label,
            )
    axes.set(
        xscale="log",
        xlim=(1e-3, 1),
        ylim=(0, 1),
        xlabel="pairs by different artists called the same",
        ylabel="same-artist pairs found",
        title="Pairs (dotted: by distance alone)",
    )
    axes.xaxis.set_major_formatter("{x:g}")  # powers of ten would be mathematics
    axes.legend(frameon=False)


def _draw_reliability(axes: Any, scores: Sequence[SplitScores]) -> None:
    axes.plot([0, 1], [0, 1], color="#9ca3af", linewidth=0.8)
    for split, colour in zip(scores, cycle(COLOURS), strict=False):
        if (found := split.curves.reliability) is not None:
            points = zip(found.predicted, found.observed, found.weight, strict=True)
            filled = [(predicted, observed) for predicted, observed, weight in points if weight]
            axes.plot(
                *zip(*filled, strict=True),
                "o-",
                color=colour,
                markersize=3.5,
                label=f"{split.split}, error {found.error:.3f}",
            )
    axes.set(
        xlim=(0, 1),
        ylim=(0, 1),
        xlabel="probability given",
        ylabel="share by one artist",
        title="Reliability, at a prior of one half",
    )
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False)


def _draw_open_sets(axes: Any, scores: Sequence[SplitScores]) -> None:
    for split, colour in zip(scores, cycle(COLOURS), strict=False):
        if split.nearest and split.nearest.queries:
            axes.plot(*zip(*split.curves.open_set, strict=True), color=colour, label=split.split)
    axes.set(
        xscale="log",
        xlim=(1e-3, 1),
        ylim=(0, 1),
        xlabel="false acceptance, of out-of-gallery paintings",
        ylabel="correct identification",
        title="Artists, with out-of-gallery queries",
    )
    axes.xaxis.set_major_formatter("{x:g}")  # powers of ten would be mathematics
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False)


def _draw_confusions(axes: Any, scores: Sequence[SplitScores]) -> None:
    nearest = scores[0].nearest
    if nearest is None:
        return
    names = list(dict.fromkeys(name for pair in nearest.confusions for name in pair[:2]))[:MATRIX]
    counts = np.zeros((len(names), len(names)))
    for artist, other, count in nearest.confusions:
        if artist in names and other in names:
            counts[names.index(artist), names.index(other)] = count
    axes.imshow(counts, cmap="Blues")
    for row, column in np.argwhere(counts).tolist():
        axes.text(
            column,
            row,
            f"{counts[row, column]:.0f}",
            ha="center",
            va="center",
            color="white" if counts[row, column] > counts.max() / 2 else "black",
        )
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="named first", ylabel="painted by")
