"""The head of the tuned recipe: members' vectors side by side, and probabilities of classifiers (posteriors.py).

Members' vectors are computed once and kept. Their shifts by another light and by the surroundings of a canvas are
measured, and these nuisance directions are shortened.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from lightning_fabric import Fabric
from pydantic import Field
from torch import Tensor

from ... import kept
from ...catalogs.catalog import artist_key
from ...parallel import Bar
from ...pictures.images import Pixels
from ..data import augment
from ..data.augment import photographed_whole, redigitised
from ..data.batches import Places
from ..data.packed import Packed
from ..loop.trainer import embed, precision_of
from ..networks.ensemble import Ensemble
from ..networks.posteriors import Question, WithPosteriors, principal, with_posteriors
from ..settings import Settings
from .linear import SIZE
from .training_set import Data

SHOWN = 256  # paintings between two updates of the progress bar
SMALLEST_STYLE = 20  # paintings
SHIFTED = 1000  # training paintings, about

Change = Callable[[Pixels, int], Pixels]  # of a painting's square and its position among the packed ones


class HeadSettings(Settings):
    """The table [head]: how members' vectors become one."""

    of_artist: float = Field(0.8, ge=0, le=100, description="weight of the artist probabilities, beside 1")
    of_style: float = Field(0.3, ge=0, le=100, description="and of styles; 0 for nothing")
    joined_dim: int = Field(
        512, ge=1, le=8192, description="of the members' vectors together, from which styles are predicted"
    )
    dim: int = Field(256, ge=1, le=4096, description="numbers of the model's vector")


class Labels(NamedTuple):
    """Labels for classifiers. places: (n,) positions among the packed paintings; artists, styles: (n,), "" for none."""

    places: Places
    artists: npt.NDArray[Any]
    styles: npt.NDArray[Any]


def head_of(
    parts: Sequence[npt.NDArray[np.float32]],
    shifts: Sequence[npt.NDArray[np.float32]] | None,
    known: Labels,
    weights: Sequence[float],
    settings: HeadSettings,
) -> WithPosteriors:
    """The head of members, fitted to their vectors of labelled paintings, each (n, d).

    shifts: (m, d) of each member, by another light and by the surroundings of a canvas; weights: of the members.
    """
    scales = [np.full(part.shape[1], weight) for part, weight in zip(parts, weights, strict=True)]
    joined = principal(np.hstack(parts), np.hstack(scales), settings.joined_dim, np.hstack(shifts) if shifts else None)
    members = [
        principal(part, scale, len(scale), shifts[number] if shifts else None)
        for number, (part, scale) in enumerate(zip(parts, scales, strict=True))
    ]
    questions = [
        Question(known.artists, settings.of_artist, members),
        Question(known.styles, settings.of_style, [joined]),
    ]
    return with_posteriors(joined, np.hstack(parts), [each for each in questions if each.weight], settings.dim)


def vectors(
    member: Ensemble, folder: Path, what: str, places: Places, change: Change, data: Data, fabric: Fabric, bar: Bar
) -> npt.NDArray[np.float32]:
    """(n, d) of one member for the paintings at these positions, computed once and kept in its folder under the name
    `what`."""

    def made() -> npt.NDArray[np.float32]:
        parts, inputs = [], _Changed(data.packed, change)
        with bar(len(places), f"{folder.name}, vectors of {what}, paintings") as advance, fabric.autocast():
            moved = member.to(fabric.device)
            for start in range(0, len(places), SHOWN):
                parts.append(embed(moved, inputs, places[start : start + SHOWN], fabric))
                advance(len(parts[-1]))
        return np.concatenate(parts)

    key = kept.key_of(
        data.digest,
        places,
        member.state_dict(),
        getattr(change, "__name__", ""),
        precision_of(fabric),
        kept.libraries(),
        kept.constants(augment),
    )
    return kept.array(folder, what, key, made)


class _Changed:
    """Packed paintings as inputs, each of them changed."""

    def __init__(self, packed: Packed, change: Change) -> None:
        self.packed, self.change = packed, change

    def __getitem__(self, places: Places, /) -> Tensor:
        squares = [
            self.change(square, place)
            for place, square in zip(places.tolist(), self.packed.squares(places), strict=True)
        ]
        return torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2)


def half_redigitised(square: Pixels, place: int) -> Pixels:
    """Every second painting as another museum might have published it, as half of the queries will be."""
    return redigitised(square, SIZE, random.Random(f"joined {place}")) if place % 2 else square


def half_redigitised_whole(square: Pixels, place: int) -> Pixels:
    """The same, with the surroundings of the canvas."""
    return photographed_whole(half_redigitised(square, place), random.Random(f"whole {place}"))


def shifted(count: int) -> Places:
    """Which of this many training paintings are also embedded with surroundings, to measure how their vectors shift."""
    return np.arange(0, count, max(1, count // SHIFTED))


def places_of(table: pd.DataFrame, packed: Packed, split: str) -> Places:
    """Positions of the paintings of a split that can be read and have an artist."""
    is_known = np.array([artist_key(name) is not None for name in table["artist"]])
    return np.flatnonzero(packed.is_read & is_known & (table["split"] == split).to_numpy(bool))


def labels_of(table: pd.DataFrame, places: Places) -> Labels:
    """The labels at these positions, without artists of one painting and styles of few."""
    rows = table.iloc[places]
    artists = pd.Series([artist_key(name) for name in rows["artist"]], dtype=object)
    styles = (
        (rows["style"] if "style" in rows else pd.Series("", rows.index))
        .fillna("")
        .astype(object)
        .reset_index(drop=True)
    )
    for labels, fewest in ((artists, 2), (styles, SMALLEST_STYLE)):
        labels[labels.map(labels.value_counts()) < fewest] = ""
    return Labels(places, artists.to_numpy(str), styles.to_numpy(str))
