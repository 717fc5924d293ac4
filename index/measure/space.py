"""The space of an index in three dimensions, as an image and as an interactive page.

Principal components of the vectors of a few artists: the view with the widest spread. Distances in it are projections
of the true ones. Needs artidx[plot].
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...embedder.neutral import neutral_import
from ...errors import BadIndex, BadSetting, MissingPackage
from ...files import write_atomically
from ..scoring.vectors import Array
from ..storage.generations import Generation

COLOURS = (
    "#1f77b4",
    "#ff7f0e",
    "#2ca02c",
    "#d62728",
    "#9467bd",
    "#8c564b",
    "#e377c2",
    "#7f7f7f",
    "#bcbd22",
    "#17becf",
    "#aec7e8",
    "#ffbb78",
    "#98df8a",
    "#ff9896",
    "#c5b0d5",
    "#c49c94",
    "#f7b6d2",
    "#c7c7c7",
    "#dbdb8d",
    "#9edae5",
)
MOST_ARTISTS = len(COLOURS)


@dataclass(frozen=True)
class Space:
    """points: (n, 3) of the paintings in `table`; explained: (3,) share of their variance along each axis."""

    table: pd.DataFrame
    points: npt.NDArray[np.float64]
    explained: npt.NDArray[np.float64]

    @property
    def artists(self) -> list[str]:
        """The artists, those with the most paintings first."""
        return [str(name) for name in self.table["artist"].value_counts().index]


def space_of(generation: Generation, artists: int) -> Space:
    """The space of the paintings by the `artists` with the most of them. Raises BadIndex if there are fewer than two
    paintings."""
    if not 1 <= artists <= MOST_ARTISTS:
        raise BadSetting(f"--artists {artists}: must be between 1 and {MOST_ARTISTS}, the number of colours")
    table = generation.table
    chosen = table["artist_key"].value_counts().index[:artists]
    is_shown = table["artist_key"].isin(chosen).to_numpy(bool)
    shown = table[is_shown].reset_index(drop=True)
    shown["artist"] = shown.groupby("artist_key")["artist"].transform("first")
    if len(shown) < 2:
        raise BadIndex(f"{generation.folder}: fewer than two paintings have an artist; there is nothing to show")
    points, explained = principal_components(generation.vectors.matrix[is_shown], 3)
    return Space(shown, points, explained)


def principal_components(vectors: Array, count: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(n, count) coordinates along the directions of most variance and (count,) the shares of it (Pearson, 1901)."""
    centred = vectors - vectors.mean(axis=0, dtype=np.float64)
    _, singular, axes = np.linalg.svd(centred, full_matrices=False)
    axes *= np.where(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)] < 0, -1, 1)[:, None]  # fixes the sign
    points, variance = np.zeros((len(vectors), count)), np.zeros(count)
    found = min(count, len(axes))
    points[:, :found] = centred @ axes[:found].T
    variance[:found] = singular[:found] ** 2 / max((singular**2).sum(), 1e-12)
    return points, variance


def draw(space: Space, target: Path) -> None:
    """PNG, seen from one side."""
    try:
        with neutral_import("matplotlib"):
            import matplotlib as mpl
            from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise _missing() from None
    figure = Figure(figsize=(9, 6), dpi=120, layout="constrained")
    axes: Any = figure.add_subplot(projection="3d")
    for artist, colour in zip(space.artists, COLOURS, strict=False):
        x, y, z = space.points[(space.table["artist"] == artist).to_numpy(bool)].T
        axes.scatter(x, y, z, s=9, color=colour, label=artist, depthshade=True)
    for number, set_label in enumerate((axes.set_xlabel, axes.set_ylabel, axes.set_zlabel)):
        set_label(_axis(space, number))
    drawn = io.BytesIO()
    with mpl.rc_context({"text.parse_math": False}), warnings.catch_warnings():  # a $ in a name is a $
        warnings.simplefilter("ignore")  # warnings about scripts that the font lacks
        figure.legend(loc="outside right upper", frameon=False, fontsize=8, markerscale=2)
        figure.savefig(drawn, format="png")
    write_atomically(target, drawn.getvalue())


def write_page(space: Space, target: Path) -> None:
    """One self-contained HTML file: drag to rotate, point to read a title, click an artist to hide their works."""
    try:
        from plotly import graph_objects
    except ModuleNotFoundError:
        raise _missing() from None
    figure = graph_objects.Figure(
        layout={
            "title": "Paintings as the model sees them",
            "legend": {"itemsizing": "constant"},
            "margin": {"l": 0, "r": 0, "b": 0},
            "scene": {f"{axis}axis": {"title": {"text": _axis(space, number)}} for number, axis in enumerate("xyz")},
        }
    )
    for artist, colour in zip(space.artists, COLOURS, strict=False):
        is_theirs = (space.table["artist"] == artist).to_numpy(bool)
        x, y, z = space.points[is_theirs].T
        titles = space.table["title"][is_theirs].fillna(space.table["id"][is_theirs]).map(_escaped)
        figure.add_scatter3d(
            x=x,
            y=y,
            z=z,
            mode="markers",
            name=_escaped(artist),
            text=list(titles),
            hovertemplate="%{text}",
            marker={"size": 3, "color": colour},
        )
    page = figure.to_html(include_plotlyjs=True, default_height="95vh")
    write_atomically(target, page.encode())


def _axis(space: Space, number: int) -> str:
    return f"component {number + 1} ({space.explained[number]:.0%})"


def _escaped(text: object) -> str:
    """plotly interprets some HTML in its texts."""
    return str(text).replace("&", "&amp;").replace("<", "&lt;")


def _missing() -> MissingPackage:
    return MissingPackage("pictures need matplotlib and plotly; pip install 'artidx[plot]'")
