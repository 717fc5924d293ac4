"""The distilled recipe: one small network that learns to reproduce the vectors of the tuned recipe's model.

The ensemble is the teacher (Hinton, Vinyals and Dean, 2015), and the student's targets are its vectors of the training
paintings, which include probabilities of artists and styles. They say more about a painting than its artist does, so a
student learns more from the same number of pictures. It is initialised by ridge regression of those vectors on the
features of its frozen backbone, and is trained on crops (crops.py), some of them with the surroundings of a canvas. The
targets are those of pictures without surroundings, so that the student learns to give the same vector for both.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from lightning_fabric import Fabric
from pydantic import Field
from torch import Tensor, nn

from ....errors import BadSetting
from ... import kept
from ...catalogs.catalog import artist_key
from ...parallel import Bar
from ..data import augment, crops
from ..data.batches import Places
from ..data.features import backbone_features
from ..data.splits import SEEN
from ..loop.epochs import Examples, Objective, Run, Score, kept_in, run_epochs
from ..loop.schedules import Cosine
from ..loop.trainer import embed, precision_of
from ..networks.backbones import BACKBONES, PooledBackbone, load_backbone, weights_sha256
from ..networks.ensemble import Ensemble, LinearHead, balanced
from . import fine_tuning, joining, training_set, tuned
from .linear import SIZE

FOLDER = "distilled"
ALL_POINTWISE = True  # the recipe's own backbone keeps its quality in int8; for others this is measured
SAME_TEACHER = 1e-3  # largest difference of cosine

Vectors = npt.NDArray[np.float32]


class DistilledSettings(fine_tuning.Stepping):
    """The settings of the recipe; the tables below `teacher` are those of the tuned one."""

    backbone: fine_tuning.Tunable = "efficientnet_lite2"
    frozen: fine_tuning.Frozen = Field(4, description="of its first parts keep their weights")
    epochs: int = Field(14, ge=1, le=1000)
    rate: fine_tuning.Rate = Field(4e-4, description="highest learning rate of the backbone")
    photographed: fine_tuning.Share = Field(0.25, description="of the crops are photographed whole")
    ridge: float = Field(0.01, gt=0, le=100, description="of the mean variance of a feature")
    copies: int = Field(
        2, ge=1, le=16, description="of each painting that the regression sees: as it is, and re-digitised"
    )
    teacher: tuned.TunedSettings = tuned.TunedSettings()


class Targets(NamedTuple):
    """Positions of packed paintings, the teacher's vectors of them (n, d), and codes of their artists."""

    places: Places
    targets: Tensor
    artists: Places


def train_distilled(
    table: pd.DataFrame,
    settings: DistilledSettings,
    weights: Path,
    work: Path,
    fabric: Fabric,
    score: Score,
    note: Callable[[str], None],
    bar: Bar,
) -> tuple[Ensemble, str]:
    """Train on a catalog's table, the teacher first; returns the model, and a description in Markdown for its card.

    Results that the tuned recipe has kept below `work` are reused. Raises what train_tuned does.
    """
    backbone = load_backbone(settings.backbone, weights)  # report missing weights now
    fine_tuning.trainable(backbone, settings.frozen)
    teacher = tuned.train_tuned(table, settings.teacher, weights, work, fabric, score, note, bar)
    data = teacher.data
    seen = joining.places_of(table, data.packed, SEEN)
    expected = joining.vectors(
        teacher.model, work / FOLDER / "teacher", SEEN, seen, lambda square, place: square, data, fabric, bar
    )
    training, validation = (
        Targets(places, torch.from_numpy(targets), _codes(table, places))
        for places, targets in ((teacher.places, teacher.vectors), (seen, expected))
    )
    features = _features(table.iloc[training.places].reset_index(drop=True), settings, weights, work, bar)
    targets = np.tile(teacher.vectors, (settings.copies, 1))
    head = first_head(features, targets, BACKBONES[settings.backbone].widths, settings.ridge)
    student = Ensemble([backbone], head).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    _train(
        student,
        training,
        validation,
        settings,
        weights_sha256(settings.backbone, weights),
        data,
        work / FOLDER,
        fabric,
        score,
        note,
        bar,
    )
    return student.cpu().eval(), _described(settings, teacher)


def _described(settings: DistilledSettings, teacher: tuned.Tuned) -> str:
    s, licence = settings, BACKBONES[settings.backbone].licence
    return f"""One `{s.backbone}` with pretrained weights (licence: {licence}), read at several depths (mean and
standard deviation of every channel). It was trained to reproduce the vectors of a larger model, its teacher, for the
{len(teacher.places):,} training paintings. It started from a ridge regression of these vectors on the pretrained
backbone's features. Then all but its first {tuned.parts(s.frozen)} were trained for {s.epochs} epochs at a rate of
{s.rate:g}, on crops of {crops.CROP} px of paintings that were re-digitised at random,
{s.photographed:.0%} of them in another light and with a strip of background around them.

The teacher, which is not in this file:

{teacher.made}"""


def _codes(table: pd.DataFrame, places: Places) -> Places:
    return pd.factorize(np.array([artist_key(name) for name in table["artist"].iloc[places]], dtype=object))[0]


def _features(rows: pd.DataFrame, settings: DistilledSettings, weights: Path, work: Path, bar: Bar) -> Vectors:
    """(copies * n, f) of the frozen backbone, balanced."""
    name, found = settings.backbone, []
    for copy in range(settings.copies):
        with bar(len(rows), f"{name}, copy {copy + 1} of {settings.copies}, paintings") as advance:
            found.append(backbone_features(name, weights, rows, copy, work / "features", SIZE, advance))
    return balanced(torch.from_numpy(np.concatenate(found)), BACKBONES[name].widths).numpy()


def first_head(features: Vectors, targets: Vectors, widths: list[int], ridge: float) -> LinearHead:
    """The head that maps balanced features (n, f) to vectors (n, d), by ridge regression.

    ridge: relative to the mean variance of a feature.
    """
    centre, mean = features.mean(axis=0, dtype=np.float64), targets.mean(axis=0, dtype=np.float64)
    centred = features - centre
    scatter = centred.T @ centred
    added = ridge * np.trace(scatter) / len(scatter) * np.eye(len(scatter))
    projection = np.linalg.solve(scatter + added, centred.T @ (targets - mean))
    offset = np.linalg.lstsq(projection.T, mean, rcond=None)[0]  # a head has no bias: its centre is moved instead
    return LinearHead(widths, torch.from_numpy(centre - offset).float(), torch.from_numpy(projection).float())


def _train(
    student: Ensemble,
    training: Targets,
    validation: Targets,
    settings: DistilledSettings,
    began_with: str,
    data: training_set.Data,
    folder: Path,
    fabric: Fabric,
    score: Score,
    note: Callable[[str], None],
    bar: Bar,
) -> None:
    """Train the student; checkpoints are below `folder`, and a run resumes after the last complete epoch.

    The validation set is only used for the curves; nothing is chosen by it.
    """
    origin = kept.origin(
        settings=settings.model_dump(exclude={"teacher"}),  # the teacher is identified by its vectors
        constants=kept.constants(sys.modules[__name__], fine_tuning, crops, augment),
        paintings=data.digest,
        labels=[training.places, training.artists],
        begin=began_with,
        precision=precision_of(fabric),
    )
    before = kept_in(folder, origin)
    if before:
        targets = before.tensors["targets"]
        if not _is_same_teacher(targets, training.targets):
            raise BadSetting(
                f"{folder}: a run with another teacher; give another --work folder, or delete this one to train again"
            )
        training = training._replace(targets=targets)
    rates = before.facts["rates"] if before else _rates(student, settings)
    run = Run(
        {"student": student},
        Student(training, validation, settings, data, fabric, score),
        torch.optim.AdamW(_trained(student, settings.frozen), weight_decay=settings.weight_decay),
        Cosine(rates, settings.warm_up, lambda passed: passed / settings.epochs),
        fabric,
        score,
        longest_gradient=fine_tuning.LONGEST_GRADIENT,
        beside={"targets": training.targets},
    )
    if before:
        run.resume(before)
    run_epochs(run, range(1, settings.epochs + 1), folder, {**origin, "rates": rates}, note, bar)


def _is_same_teacher(kept: Tensor, targets: Tensor) -> bool:
    """Refitted classifiers differ in their last bits; a run continues with the vectors that it began with."""
    return kept.shape == targets.shape and bool((kept * targets).sum(dim=1).min() > 1 - SAME_TEACHER)


def _rates(student: Ensemble, settings: DistilledSettings) -> list[float]:
    """The highest learning rates of the backbone and of the projection, whose weights may have any magnitude."""
    size = float(student.head.get_parameter("projection").detach().pow(2).mean().sqrt())
    return [settings.rate, settings.head_rate * size]


def _trained(student: Ensemble, frozen: int) -> list[dict[str, Any]]:
    """The parameter groups of the optimizer; their rates are set before each step."""
    (backbone,), projection = student.members, student.head.get_parameter("projection")
    trained = fine_tuning.trainable(cast(PooledBackbone, backbone), frozen)
    for weight in (*trained, projection):
        weight.requires_grad_(True)
    return [{"params": trained}, {"params": [projection], "weight_decay": 0.0}]


class Student(Objective):
    """The objective: the vectors of the teacher."""

    def __init__(
        self,
        training: Targets,
        validation: Targets,
        settings: DistilledSettings,
        data: training_set.Data,
        fabric: Fabric,
        score: Score,
    ) -> None:
        self.training, self.validation, self.settings = training, validation, settings
        self.data, self.fabric, self.score = data, fabric, score
        self.steps = math.ceil(len(training.places) / crops.BATCH)

    def begin(self, network: nn.Module, number: int) -> None:
        network.train(number > 1)  # batch normalisation

    def batches(self, number: int) -> Iterator[Examples]:
        """Every training painting once."""
        seed, photographed = self.settings.seed, self.settings.photographed
        turn = np.random.default_rng((seed, number)).permutation(len(self.training.places))
        shown = crops.drawn(self.data.packed, self.training.places[turn], seed, number, photographed=photographed)
        for start, x in zip(range(0, len(turn), crops.BATCH), shown, strict=True):
            here = turn[start : start + crops.BATCH]
            yield Examples((x,), self.training.artists[here], self.training.targets[here])

    def loss(self, vectors: Tensor, examples: Examples, number: int) -> Tensor:
        return _difference(vectors, self.fabric.to_device(examples.target))

    def validated(self, network: nn.Module, number: int) -> tuple[float, float]:
        found = embed(network, self.data.packed, self.validation.places, self.fabric)
        loss = _difference(torch.from_numpy(found), self.validation.targets)
        return float(loss), self.score(found, self.validation.artists)


def _difference(vectors: Tensor, targets: Tensor) -> Tensor:
    """One minus the cosine, on average; both (n, d) of unit length."""
    return 1 - (vectors * targets).sum(dim=1).mean()
