"""The tuned recipe: pretrained backbones, fine-tuned to distinguish all training artists, beside the linear recipe.

Members are fine-tuned one after the other (fine_tuning.py), their vectors are joined, and probabilities of classifiers
are appended: of artists, by one classifier for each member, and of styles (joining.py).

A second, shorter cycle follows, in which half of the crops show the surroundings of a canvas, as in museums'
photographs. The mean of the weights at the ends of both cycles is kept: it is in a wider optimum than either (Izmailov
et al., 2018; Wortsman et al., 2022), and costs nothing at inference. MobileNetV2's mean was better than both.

After measurement, a last short cycle trains the members on the artists of the other splits too, and again the mean of
the weights before and after it is kept. MobileNetV2 then distinguishes those artists slightly better, and others no
worse. The linear recipe's discriminants are refitted to the artists of all splits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from lightning_fabric import Fabric
from pydantic import Field, field_validator
from torch import nn

from ...parallel import Bar
from ..data import crops
from ..data.batches import Places
from ..data.splits import TRAIN
from ..loop.epochs import Score
from ..networks.backbones import BACKBONES, load_backbone
from ..networks.ensemble import Ensemble
from ..settings import Settings
from .fine_tuning import FineTuningSettings, MemberRecipe, MemberSettings, Weight, learn_rest, train_member, trainable
from .joining import (
    Change,
    HeadSettings,
    Labels,
    half_redigitised,
    half_redigitised_whole,
    head_of,
    labels_of,
    places_of,
    shifted,
    vectors,
)
from .linear import LinearSettings, describe_linear, train_linear
from .training_set import Data, data_of

FOLDER = "tuned"
MEMBERS = (
    MemberSettings(backbone="mobilenet_v2", frozen=7, epochs=8, again=5, rest=3, rate=3e-4, weight=0.5),
    MemberSettings(backbone="xception", frozen=5, epochs=7, again=3, rest=2, rate=2e-4, weight=1.0),
    MemberSettings(backbone="dinov2_vits14", frozen=4, epochs=8, again=2, rest=2, rate=1e-4, weight=0.75),
)
REST = "all-splits"
WHOLE = "whole"


class TunedSettings(Settings):
    """The settings of the recipe; members are trained one after the other."""

    members: tuple[MemberSettings, ...] = Field(MEMBERS, min_length=1, max_length=8)
    fine_tuning: FineTuningSettings = FineTuningSettings()
    head: HeadSettings = HeadSettings()
    linear_weight: Weight = Field(1.0, description="of the linear recipe's vector beside the members'")
    linear: LinearSettings = LinearSettings()

    @field_validator("members")
    @classmethod
    def _are_distinct(cls, members: tuple[MemberSettings, ...]) -> tuple[MemberSettings, ...]:
        if len({each.backbone for each in members}) < len(members):
            raise ValueError("two members have the same backbone")
        return members

    def recipes(self) -> list[MemberRecipe]:
        """The recipes of the members."""
        return [MemberRecipe(each, self.fine_tuning) for each in self.members]


class Tuned(NamedTuple):
    """A trained model, a description in Markdown for its card, and its vectors (n, d) of the training paintings.

    data: all that its members were trained on; places: (n,) positions there of the paintings with vectors, half of
    which were re-digitised.
    """

    model: Ensemble
    made: str
    data: Data
    places: Places
    vectors: npt.NDArray[np.float32]


def train_tuned(
    table: pd.DataFrame,
    settings: TunedSettings,
    weights: Path,
    work: Path,
    fabric: Fabric,
    score: Score,
    note: Callable[[str], None],
    bar: Bar,
    *,
    learn: Sequence[str] = (TRAIN,),
) -> Tuned:
    """Train on a catalog's table.

    The table's column `split` holds out SEEN for the curves; all results are kept below `work`. weights: the backbones'
    folder; learn: the splits whose artists and styles are trained on, TRAIN first, for which features and members are
    kept; the others are added in a last cycle. An interrupted run resumes after its last epoch. Raises BadModel for
    missing weights, BadCatalog if there are too few artists, and BadSetting if `work` holds a run on other paintings or
    with other settings.
    """
    for each in settings.members:  # report missing weights now, not after hours
        trainable(load_backbone(each.backbone, weights), each.frozen)
    data = data_of(table, work, note, bar)
    labelled = pd.concat([table[(table["split"] == split) & data.packed.is_read] for split in learn], ignore_index=True)
    linear = train_linear(labelled, settings.linear, weights, work, note, bar)
    named = {"linear": linear}
    more = data_of(table, work, note, bar, learn) if {*learn} != {TRAIN} else None
    for recipe in settings.recipes():
        name = recipe.own.backbone
        member = train_member(recipe, weights, data, work / FOLDER / name, fabric, score, note, bar)
        if more:
            name = f"{recipe.own.backbone}-{REST}"
            member = learn_rest(recipe, member, more, work / FOLDER / name, fabric, score, note, bar)
        named[name] = member

    def vectors_of(what: str, places: Places, change: Change) -> list[npt.NDArray[np.float32]]:
        return [
            vectors(member, work / FOLDER / name, what, places, change, data, fabric, bar)
            for name, member in named.items()
        ]

    places = [places_of(table, data.packed, split) for split in learn]
    parts = [vectors_of(split, here, half_redigitised) for split, here in zip(learn, places, strict=True)]
    every = np.concatenate(places)
    seen = [np.concatenate(part) for part in zip(*parts, strict=True)]  # of each member
    some = shifted(len(every))
    whole = vectors_of(WHOLE, every[some], half_redigitised_whole)
    known = labels_of(table, every)
    shifts = [moved - part[some] for moved, part in zip(whole, seen, strict=True)]
    relative = [settings.linear_weight, *(each.weight for each in settings.members)]
    head = head_of(seen, shifts, known, relative, settings.head)
    linear_made = describe_linear(len(labelled), labelled["artist"].nunique(), settings.linear, weights)
    made = _described(settings, data, more, linear_made, known, learn)
    with torch.inference_mode():
        given = nn.functional.normalize(head(torch.from_numpy(np.hstack(seen))), dim=1).numpy()
    return Tuned(Ensemble([*named.values()], head).cpu().eval(), made, data, every, given)


def _described(
    settings: TunedSettings, data: Data, more: Data | None, linear: str, known: Labels, learn: Sequence[str]
) -> str:
    how, head = settings.fine_tuning, settings.head
    members = "\n".join(
        f"- `{m.backbone}`: all but its first {parts(m.frozen)}, {m.epochs} and {m.again}"
        + (f", then {m.rest} " if more else " ")
        + f"epochs at a rate of "
        f"{m.rate:g}, weight {m.weight:g}; pretrained weights under {BACKBONES[m.backbone].licence}"
        for m in settings.members
    )
    rest = (
        f""" The members were then
trained on all splits in a last cycle, {_counted(more)}; the weights
were averaged over before and after it."""
        if more
        else ""
    )
    artists, styles = (len({*labels} - {""}) for labels in (known.artists, known.styles))
    labelled = int(((known.artists != "") | (known.styles != "")).sum())
    said = f"one of {artists:,}\nartists, with weight {head.of_artist:g}" + (
        f", the other of {styles} styles, with weight {head.of_style:g}" if styles > 1 else ""
    )
    return f"""Pretrained backbones fine-tuned to tell artists apart on {_counted(data)} (CosFace,
scale {how.scale:g}, margin {how.margin:g}; crops of {crops.CROP} px of paintings re-digitised at random), in two
cycles: in the second, {how.photographed:.0%} of the crops were in another light, with a strip of background around
them, as in museums' photographs. Each member has the mean of both cycles' weights, is read at several depths and
gives {how.dim} numbers.{rest}

{members}

Beside them, with weight {settings.linear_weight:g}, the linear recipe's model:

{linear}

The vectors are concatenated, each times its weight. Directions in which another light, and a strip of background around
the canvas, shift them are shortened, and PCA reduces them to {head.joined_dim} numbers. Appended are the square roots
of the probabilities of classifiers (multinomial logistic regression; for artists, the mean of one classifier per
member): {said}. They were fitted to
{labelled:,} paintings ({", ".join(learn)}). PCA reduces all of it to {head.dim} numbers."""


def parts(count: int) -> str:
    """A number of parts of a backbone, in words."""
    return "part" if count == 1 else f"{count} parts"


def _counted(data: Data) -> str:
    return f"{len(data.training.places):,} paintings by {int(data.training.artists.max()) + 1:,} artists"
