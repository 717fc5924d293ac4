"""Training by comparison: pairs, triplets or hard batches of paintings; the best epoch is kept.

epochs.py has the loop. Does not know what is trained (paper.py) nor what a batch is made of (batches.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from lightning_fabric import Fabric
from pydantic import Field, model_validator
from torch import Tensor, nn

from ...parallel import Bar
from ..data.batches import Batch, Places, Works, artists, epoch, pairs, triplets
from ..settings import Settings
from . import checkpoint
from .curves import Epoch, best_epoch
from .epochs import Examples, Objective, Run, Score, kept_in, run_epochs
from .losses import contrastive_loss, hard_batch, semi_hard, triplet_loss
from .schedules import Plateau

EMBEDDED_AT_ONCE = 64  # paintings at once, without gradients
FADE = 0.5  # factor of the learning rate when the validation accuracy no longer rises
VALIDATION_BATCHES = 10  # sampled once, for the validation loss

Positive = Annotated[int, Field(ge=1)]


class TrainingSettings(Settings):
    """How a network is trained. Every batch has `batch_size` paintings, or a few less."""

    batches: Literal["hard", "triplets", "pairs"] = "hard"
    batch_size: Annotated[int, Field(ge=4)] = 32
    paintings_per_artist: Annotated[int, Field(ge=2)] = 4  # in a hard batch
    batches_per_epoch: Positive = 40
    epochs: Positive = 60
    warm_up_epochs: Annotated[int, Field(ge=0)] = 15  # semi-hard: hard batches after 3 or 6 epochs collapsed
    margin: Annotated[float, Field(gt=0)] = 0.2
    learning_rate: Annotated[float, Field(gt=0)] = 3e-4
    patience: Positive = 10  # epochs without a better validation result before training stops
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _fits(self) -> TrainingSettings:
        if self.batches == "hard" and self.batch_size < 2 * self.paintings_per_artist:
            raise ValueError(
                f"batch_size {self.batch_size} has no room for two artists with paintings_per_artist "
                f"{self.paintings_per_artist}"
            )
        return self


class Inputs(Protocol):
    """Inputs of the network, by position."""

    def __getitem__(self, places: Places, /) -> Tensor:
        """(len(places), ...)."""


class Labelled(NamedTuple):
    """Paintings with their artists. places: (n,) positions in the inputs; artists: (n,) codes."""

    inputs: Inputs
    places: Places
    artists: Places


def train(
    network: nn.Module,
    training: Labelled,
    validation: Labelled,
    folder: Path,
    settings: TrainingSettings,
    fabric: Fabric,
    score: Score,
    note: Callable[[str], None],
    bar: Bar,
) -> list[Epoch]:
    """Train a network (b, ...) -> (b, d) unit vectors, and restore it to its best epoch.

    folder: keeps `checkpoint.safetensors` (the last epoch), `best.safetensors` and `curves.png`; an interrupted run
    resumes from there. score gives the validation accuracy; `note` gets a line after each epoch, and `bar` shows the
    batches of one.
    """
    best = folder / "best.safetensors"
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], settings.learning_rate)
    run = Run(
        {"network": network},
        Comparison(training, validation, settings, fabric, score),
        optimizer,
        Plateau(optimizer, settings.patience, FADE),
        fabric,
        score,
    )
    if before := kept_in(folder, {}):
        run.resume(before)

    def keep_best(number: int) -> None:
        if fabric.is_global_zero and best_epoch(run.history).epoch == number:
            checkpoint.save(best, network.state_dict(), run.facts())

    run_epochs(run, range(1, settings.epochs + 1), folder, {}, note, bar, keep_best)
    network.load_state_dict(checkpoint.load(best)[0])
    return run.history


def embed(network: nn.Module, inputs: Inputs, places: Places, fabric: Fabric) -> npt.NDArray[np.float32]:
    """(len(places), d) by the network in evaluation mode, without dropout."""
    was_training = network.training
    network.eval()
    found = []
    with torch.inference_mode():
        for start in range(0, len(places), EMBEDDED_AT_ONCE):
            x = fabric.to_device(inputs[places[start : start + EMBEDDED_AT_ONCE]])
            found.append(network(x.float()).float().cpu().numpy())
    network.train(was_training)
    return np.concatenate(found)


def precision_of(fabric: Fabric) -> str:
    """The precision and device of training, as text."""
    return f"{fabric._precision.precision} {fabric.device.type}"


class Comparison(Objective):
    """The objective: paintings of one artist are nearer to each other than to those of others."""

    def __init__(
        self, training: Labelled, validation: Labelled, settings: TrainingSettings, fabric: Fabric, score: Score
    ) -> None:
        self.training, self.validation = training, validation
        self.settings, self.fabric, self.score = settings, fabric, score
        self.steps = settings.batches_per_epoch
        self.works = Works(training.artists)
        self.compared = (contrastive_loss if settings.batches == "pairs" else triplet_loss)(settings.margin)
        self.hard, self.semi_hard = hard_batch(), semi_hard(settings.margin)
        looked_at = Works(validation.artists)
        self.validation_batches = list(epoch(self._drawer(looked_at), VALIDATION_BATCHES, settings.seed, 0))

    def begin(self, network: nn.Module, number: int) -> None:
        network.train()
        torch.manual_seed(hash((self.settings.seed, number, self.fabric.global_rank)))  # dropout

    def batches(self, number: int) -> Iterator[Examples]:
        drawn = epoch(self._drawer(self.works), self.steps, self.settings.seed, number, self.fabric.global_rank)
        for batch in drawn:
            x = self.training.inputs[self.training.places[batch.places]]
            yield Examples((x,), self.training.artists[batch.places], batch.compared)

    def loss(self, vectors: Tensor, examples: Examples, number: int) -> Tensor:
        labels = torch.from_numpy(examples.artists).to(vectors.device)
        if examples.target is not None:
            compared = tuple(torch.from_numpy(place).to(vectors.device) for place in examples.target)
        else:
            miner = self.semi_hard if number <= self.settings.warm_up_epochs else self.hard
            compared = miner(vectors, labels)
        found: Tensor = self.compared(vectors, labels, compared)
        return found

    def validated(self, network: nn.Module, number: int) -> tuple[float, float]:
        """Loss over the fixed batches, mined as in this epoch, and accuracy over all triplets of the paintings."""
        codes = self.validation.artists
        vectors = embed(network, self.validation.inputs, self.validation.places, self.fabric)
        losses = [
            float(
                self.loss(
                    torch.from_numpy(vectors[batch.places]), Examples((), codes[batch.places], batch.compared), number
                )
            )
            for batch in self.validation_batches
        ]
        return float(np.mean(losses)), self.score(vectors, codes)

    def _drawer(self, works: Works) -> Callable[[np.random.Generator], Batch]:
        size = self.settings.batch_size
        if self.settings.batches == "pairs":
            return lambda chance: pairs(works, size, chance)
        if self.settings.batches == "triplets":
            return lambda chance: triplets(works, size, chance)
        return lambda chance: artists(works, size, chance, per_artist=self.settings.paintings_per_artist)
