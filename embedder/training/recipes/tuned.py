"""The tuned recipe: pretrained backbones fine-tuned to tell all training artists apart, beside the linear one.

Members are fine-tuned one after the other (fine_tuning.py), their vectors are joined, and what classifiers make of them
is added: which artist, by one classifier for each member, and which style (joining.py).

A second, shorter cycle of rates follows, on crops of which half are as museums photograph them, with what is around a
canvas. The mean of the weights at the ends of both cycles is kept: it lies in a wider optimum than either (Izmailov
et al., 2018; Wortsman et al., 2022), at no cost to those who use it. MobileNetV2's was better than both.

When all has been measured, a last short cycle teaches the members the artists of the other splits too, and
again the mean of the weights before and after it is kept. So MobileNetV2 tells those artists apart a little better, and
others no worse. The linear recipe's discriminants are found anew, among the artists of all splits.
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
from torch import nn

from ...parallel import Bar
from ..data import crops
from ..data.batches import Places
from ..data.splits import TRAIN
from ..loop.trainer import Score
from ..networks.backbones import BACKBONES, load_backbone
from ..networks.ensemble import Ensemble
from .fine_tuning import DIM, MARGIN, PHOTOGRAPHED, SCALE, MemberRecipe, learn_rest, train_member
from .joining import (
    JOINED_DIM,
    OF_ARTIST,
    OF_STYLE,
    Change,
    Labels,
    half_redigitised,
    half_redigitised_whole,
    head_of,
    labels_of,
    places_of,
    shifted,
    vectors,
)
from .linear import describe_linear, train_linear
from .training_set import Data, data_of

FOLDER = "tuned"
MEMBERS = (
    MemberRecipe("mobilenet_v2", frozen=7, epochs=8, again=5, rest=3, rate=3e-4),
    MemberRecipe("xception", frozen=5, epochs=7, again=3, rest=2, rate=2e-4),
    MemberRecipe("dinov2_vits14", frozen=4, epochs=8, again=2, rest=2, rate=1e-4),
)
REST = "all-splits"
WHOLE = "whole"
LINEAR = 1.0  # weight of the linear recipe's vector
WEIGHTS = (0.5, 1.0, 0.75)  # of the members' vectors


class Tuned(NamedTuple):
    """A trained model, how it was made as Markdown for its card, and its vectors (n, d) of what it has learnt.

    data: all that its members were trained on; places: (n,) of the paintings with vectors in what is packed there, half
    of them seen re-digitised.
    """

    model: Ensemble
    made: str
    data: Data
    places: Places
    vectors: npt.NDArray[np.float32]


def train_tuned(
    table: pd.DataFrame,
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

    The table's column `split` keeps SEEN apart to look at; all is kept below `work`. weights: the backbones' folder;
    learn: the splits whose artists and styles are learnt, TRAIN first, of which features and members are kept; the
    members learn the others in a last cycle. A run that was interrupted goes on from its last epoch. Raises BadModel
    for missing weights, BadCatalog where there are too few artists, and BadSetting where `work` holds a run on other
    paintings.
    """
    for recipe in MEMBERS:
        load_backbone(recipe.backbone, weights)  # what is missing is told now, not after hours
    data = data_of(table, work, note, bar)
    learnt = pd.concat([table[(table["split"] == split) & data.packed.is_read] for split in learn], ignore_index=True)
    linear = train_linear(learnt, weights, work, note, bar)
    named = {"linear": linear}
    more = data_of(table, work, note, bar, learn) if {*learn} != {TRAIN} else None
    for recipe in MEMBERS:
        name = recipe.backbone
        member = train_member(recipe, weights, data, work / FOLDER / name, fabric, score, note, bar)
        if more:
            name = f"{recipe.backbone}-{REST}"
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
    head = head_of(seen, shifts, known, (LINEAR, *WEIGHTS), OF_ARTIST, OF_STYLE)
    made = _described(data, more, describe_linear(len(learnt), learnt["artist"].nunique()), known, learn)
    with torch.inference_mode():
        given = nn.functional.normalize(head(torch.from_numpy(np.hstack(seen))), dim=1).numpy()
    return Tuned(Ensemble([*named.values()], head).cpu().eval(), made, data, every, given)


def _described(data: Data, more: Data | None, linear: str, known: Labels, learn: Sequence[str]) -> str:
    members = "\n".join(
        f"- `{m.backbone}`, all but the first {m.frozen} of its parts, {m.epochs} and {m.again}"
        + (f", then {m.rest} " if more else " ")
        + f"epochs at a rate of "
        f"{m.rate:g}, weight {weight:g}; pretrained under {BACKBONES[m.backbone].licence}"
        for m, weight in zip(MEMBERS, WEIGHTS, strict=True)
    )
    rest = (
        f""" The members were then
taught all splits in a last cycle, {_counted(more)}; again the mean
of the weights before and after it was kept."""
        if more
        else ""
    )
    artists, styles = (len({*labels} - {""}) for labels in (known.artists, known.styles))
    learnt = int(((known.artists != "") | (known.styles != "")).sum())
    said = f"which of {artists:,}\nartists, with weight {OF_ARTIST:g}" + (
        f", and which of {styles} styles, with weight {OF_STYLE:g}" if styles > 1 else ""
    )
    return f"""Pretrained backbones fine-tuned to tell artists apart on {_counted(data)} (CosFace,
scale {SCALE:g}, margin {MARGIN:g}; crops of {crops.CROP} px of paintings re-digitised anew each time), in two cycles:
in the second, {PHOTOGRAPHED:.0%} of the crops were in another light, with a strip of background around them, as in
museums' photographs. Each member has the mean of both cycles' weights, is read at several depths and brought to
{DIM} numbers.{rest}

{members}

Beside them, with weight {LINEAR:g}, the linear recipe's model:

{linear}

The vectors are concatenated, each times its weight, made shorter along the ways in which another light and a strip of
background around the canvas shift them, and brought to {JOINED_DIM} numbers by PCA. Beside them stands what
classifiers say (multinomial logistic regression), as square roots of probabilities, those of artists the mean of one
classifier for each member: {said}; learnt on
{learnt:,} paintings ({", ".join(learn)}). All is brought to {DIM} numbers by PCA."""


def _counted(data: Data) -> str:
    return f"{len(data.training.places):,} paintings by {int(data.training.artists.max()) + 1:,} artists"
