"""The student project's recipe: many small siamese networks, each for a few artists, joined in a super model.

The artists with the most paintings are dealt into groups of about 20; one network learns to distinguish each group's,
from the hardest triplets of each batch. Side by side, with their vectors concatenated and multiplied by a matrix that
is initialised as the identity, they are then trained further on all artists. A single member for all artists is the
plain network with which this is compared. Settings have the paper's values; epochs.py has the loop.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from lightning_fabric import Fabric
from pydantic import BaseModel, Field, model_validator
from torch import Tensor, nn

from ....errors import BadCatalog, BadModel
from ....files import write_atomically
from ... import kept
from ...catalogs.catalog import artist_key
from ...parallel import Bar
from ..data.batches import Places
from ..data.packed import Packed, pack
from ..data.splits import SEEN, TRAIN, labels_sha256
from ..loop import checkpoint, trainer
from ..loop.curves import Epoch, best_epoch
from ..loop.epochs import Score
from ..loop.trainer import Labelled, Positive, TrainingSettings, embed, precision_of, train
from ..networks.backbones import SiameseNetwork
from ..networks.ensemble import Ensemble
from ..settings import Settings

FOLDER, SETTINGS, SUPER = "paper", "settings.json", "super"


class NetworkSettings(Settings):
    """The architecture of one member."""

    channels: Annotated[tuple[Positive, ...], Field(min_length=1, max_length=8)] = (16, 32, 64, 64)
    kernel: Annotated[int, Field(ge=1, le=31)] = 5
    hidden: Positive = 256
    dim: Positive = 64
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    batch_norm: bool = True  # validation accuracy of one member on 20 artists: 0.69 with dropout, 0.66 without


class PaperSettings(Settings):
    """The settings of the recipe; the tables of a settings file have these names."""

    size: Annotated[int, Field(ge=16, le=2048)] = 256  # px
    members: Positive = 10
    artists_per_member: Annotated[int, Field(ge=2)] = 20
    freeze_members: bool = False  # train only the joining matrix, on vectors computed once
    network: NetworkSettings = NetworkSettings()
    member_training: TrainingSettings = TrainingSettings()
    super_training: TrainingSettings = TrainingSettings(learning_rate=1e-4)

    @model_validator(mode="after")
    def _fits(self) -> PaperSettings:
        if self.network.kernel % 2 == 0:
            raise ValueError("network.kernel must be odd")
        if self.size >> len(self.network.channels) < 1:
            raise ValueError(
                f"size {self.size} is too small for {len(self.network.channels)} blocks, each of which halves it"
            )
        return self


class _Run(BaseModel):
    """The description in a run's folder: a run resumes only with the same settings and labels."""

    settings: PaperSettings
    origin: dict[str, str]


class Outcome(NamedTuple):
    """A trained super model; the curves of the members and its own; artists that any member was trained on."""

    ensemble: Ensemble
    size: int
    curves: dict[str, list[Epoch]]
    artists: int


def train_paper(
    table: pd.DataFrame,
    work: Path,
    settings: PaperSettings,
    fabric: Fabric,
    score: Score,
    note: Callable[[str], None],
    bar: Bar,
) -> Outcome:
    """Train on a catalog's table, whose column `split` holds out SEEN for validation; all results are kept below
    `work`.

    An interrupted run resumes after its last epoch. Raises BadCatalog if there are too few artists, and BadSetting if
    `work` holds a run with other settings.
    """
    folder = work / FOLDER
    with fabric.rank_zero_first():
        with bar(len(table), "packing paintings") as advance:
            packed = pack(table, work, settings.size, advance)
        run = _Run(
            settings=settings,
            origin=kept.origin(
                settings=settings.model_dump(),
                labels=labels_sha256(table),
                paintings=packed.digest,
                constants=kept.constants(trainer, sys.modules[__name__]),
                machines=[precision_of(fabric), fabric.world_size],
            ),
        )
        _check(folder / SETTINGS, run)
    if skipped := int((~packed.is_read).sum()):
        note(f"{skipped:,} paintings cannot be read; listed in {work / f'packed-{settings.size}' / 'skipped.csv'}")
    split = table["split"].to_numpy(str)
    codes = _codes(table, packed.is_read & np.isin(split, (TRAIN, SEEN)))
    groups = deal(codes[split == TRAIN], settings.members, settings.artists_per_member)
    _check_validation(groups, codes[split == SEEN])
    if fabric.is_global_zero:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / SETTINGS, run.model_dump_json(indent=1).encode())

    def labelled(name: str, chosen: Places, inputs: Packed | _Vectors = packed) -> Labelled:
        places = np.flatnonzero((split == name) & np.isin(codes, chosen))
        return Labelled(inputs, places, codes[places])

    curves: dict[str, list[Epoch]] = {}
    members: list[nn.Module] = []
    for number, group in enumerate(groups, start=1):
        name = member_name(number)
        torch.manual_seed(settings.member_training.seed + number)
        member: nn.Module = _member(settings)
        curves[name] = train(
            member,
            labelled(TRAIN, group),
            labelled(SEEN, group),
            folder / name,
            settings.member_training,
            fabric,
            score,
            note,
            bar,
        )
        members.append(member)
    ensemble = Ensemble(members, _joining(settings))
    everyone = np.unique(codes[codes >= 0])
    if settings.freeze_members:
        with fabric.rank_zero_first(), bar(len(members), "vectors of members") as advance:
            vectors = _Vectors(
                np.concatenate(
                    [
                        _vectors(member, packed, folder / name, fabric, advance)
                        for name, member in zip(curves, members, strict=True)
                    ],
                    axis=1,
                )
            )
        trained: nn.Module = Ensemble([nn.Identity()], ensemble.head)
        training, validation = labelled(TRAIN, everyone, vectors), labelled(SEEN, everyone, vectors)
    else:
        trained, training, validation = ensemble, labelled(TRAIN, everyone), labelled(SEEN, everyone)
    if len(members) > 1:
        curves[SUPER] = train(
            trained, training, validation, folder / SUPER, settings.super_training, fabric, score, note, bar
        )
    return Outcome(ensemble.cpu().eval(), settings.size, curves, sum(map(len, groups)))


def describe_paper(settings: PaperSettings, outcome: Outcome) -> str:
    """A description of the model in Markdown for its card."""
    blocks = ", ".join(map(str, settings.network.channels))
    reached = "\n".join(
        f"| {name} | {len(epochs)} | {best.epoch} | {best.training_accuracy:.3f} | {best.validation_accuracy:.3f} |"
        for name, epochs in outcome.curves.items()
        for best in [best_epoch(epochs)]
    )
    how = "the joining matrix alone" if settings.freeze_members else "members and joining matrix together"
    shape, batches = settings.network, settings.member_training.batches
    return f"""Siamese networks trained from scratch, after a student project: {settings.members} of them, with
convolution blocks of {blocks} channels ({shape.kernel} x {shape.kernel} px), each trained with {batches} batches on
up to {settings.artists_per_member} artists of its own, {outcome.artists} in all.
Their vectors are concatenated, and were trained further on all artists ({how}).

| network | epochs | best epoch | triplets right, training batches | triplets right, validation paintings |
|---|---|---|---|---|
{reached}"""


def load_trained(work: Path, name: str) -> tuple[Ensemble, PaperSettings]:
    """A network of a run, finished or not, as it was after its best epoch: `super`, or `member-01` and so on."""
    folder = work / FOLDER
    try:
        settings: PaperSettings = _Run.model_validate_json((folder / SETTINGS).read_bytes()).settings
    except (OSError, ValueError):
        raise BadModel(f"{work}: has no run of the paper's recipe; artidx train --recipe paper makes one") from None
    if name != SUPER:
        member = _member(settings)
        member.load_state_dict(checkpoint.load(folder / name / "best.safetensors")[0])
        return Ensemble([member], nn.Identity()).eval(), settings
    ensemble = Ensemble([_member(settings) for _ in range(settings.members)], _joining(settings))
    if settings.freeze_members or settings.members == 1:
        for number, each in enumerate(ensemble.members, start=1):
            each.load_state_dict(checkpoint.load(folder / member_name(number) / "best.safetensors")[0])
    if settings.members > 1:
        ensemble.load_state_dict(
            checkpoint.load(folder / SUPER / "best.safetensors")[0], strict=not settings.freeze_members
        )
    return ensemble.eval(), settings


def deal(codes: Places, groups: int, size: int) -> list[Places]:
    """The artists with the most paintings, at least two, dealt to `groups` of `size` like cards, so that groups have
    equal sizes.

    codes: (n,) artists of the paintings. With too few artists, groups are smaller. Raises BadCatalog.
    """
    found, counts = np.unique(codes[codes >= 0], return_counts=True)
    ranked = found[np.lexsort((found, -counts))][: groups * size]
    ranked = ranked[np.isin(ranked, found[counts > 1])]
    if len(ranked) < 2 * groups:
        raise BadCatalog(
            f"{groups} members need {2 * groups} artists or more with two paintings each to train on; "
            f"there are {len(ranked)}; set members to fewer"
        )
    return [ranked[start::groups] for start in range(groups)]


def member_name(number: int) -> str:
    """The name of a member, counted from 1, and of its folder."""
    return f"member-{number:02d}"


class _Vectors:
    """Members' vectors of every painting, computed once: the inputs if members are frozen."""

    def __init__(self, vectors: npt.NDArray[np.float32]) -> None:
        self._vectors = torch.from_numpy(vectors)

    def __getitem__(self, places: Places) -> Tensor:
        return self._vectors[torch.from_numpy(places)]


def _member(settings: PaperSettings) -> SiameseNetwork:
    return SiameseNetwork(settings.size, **settings.network.model_dump()).to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _joining(settings: PaperSettings) -> nn.Module:
    """A single member is unchanged; with several, the joining matrix is initialised as the identity: plain
    concatenation."""
    width = settings.members * settings.network.dim
    if settings.members == 1:
        return nn.Identity()
    matrix = nn.Linear(width, width, bias=False)
    nn.init.eye_(matrix.weight)
    return matrix


def _vectors(
    member: nn.Module, packed: Packed, folder: Path, fabric: Fabric, advance: Callable[[int], None]
) -> npt.NDArray[np.float32]:
    def made() -> npt.NDArray[np.float32]:
        with fabric.autocast():  # without fabric.setup, which would wait for the other processes
            return embed(member.to(fabric.device), packed, np.arange(len(packed)), fabric)

    key = kept.key_of(packed.digest, member.state_dict(), precision_of(fabric), kept.libraries())
    found = kept.array(folder, "vectors", key, made)
    advance(1)
    return found


def _codes(table: pd.DataFrame, is_used: npt.NDArray[np.bool_]) -> Places:
    keys = pd.Series([artist_key(name) for name in table["artist"]], dtype=object).where(is_used, None)
    codes = pd.factorize(keys, sort=True)[0]
    return codes.astype(np.int64)


def _check_validation(groups: list[Places], seen: Places) -> None:
    """Raises BadCatalog unless each group can be validated; checked before training begins."""
    codes, counts = np.unique(seen, return_counts=True)
    for number, group in enumerate(groups, start=1):
        if (np.isin(codes, group) & (counts > 1)).sum() < 2:
            raise BadCatalog(
                f"{member_name(number)} cannot be validated: of its {len(group)} artists fewer than two "
                f"have two paintings in {SEEN}; set members to fewer, or give more paintings that split"
            )


def _check(path: Path, run: _Run) -> None:
    if path.exists():
        try:
            found = json.loads(path.read_bytes())
        except ValueError:
            found = {}
        before = found.get("origin", {}) if isinstance(found, dict) else {}
        kept.check_origin(path, before if isinstance(before, dict) else {}, run.origin)
