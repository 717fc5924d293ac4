"""One training loop: epochs of batches, a look at the validation paintings, patience, the best epoch kept.

Lightning Fabric brings device, precision and the other processes; what is left is the loop. Chance is seeded by
epoch, so a run that was killed goes on from its last whole epoch to the same result. Does not know what is trained
(paper.py) nor what a batch is made of (batches.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from lightning_fabric import Fabric
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from ...parallel import Bar
from ..data.batches import Batch, Places, Works, artists, epoch, pairs, triplets
from ..settings import Settings
from . import checkpoint
from .curves import Epoch, best_epoch, draw_curves
from .losses import contrastive_loss, hard_batch, semi_hard, triplet_loss

EMBEDDED_AT_ONCE = 64  # paintings, where no gradient is taken
FADE = 0.5  # of the learning rate where the validation accuracy no longer rises
VALIDATION_BATCHES = 10  # drawn once, for the validation loss

Score = Callable[[npt.NDArray[np.float32], Places], float]  # of unit vectors (n, d) and artists (n,)
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
    """What the network is fed, by place."""

    def __getitem__(self, places: Places, /) -> Tensor:
        """(len(places), ...)."""


class Labelled(NamedTuple):
    """Paintings with their artists. places: (n,) in inputs; artists: (n,) codes."""

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
    """Train a network (b, ...) -> (b, d) unit vectors and leave it as it was after its best epoch.

    folder: keeps `checkpoint.safetensors` (the last epoch), `best.safetensors` and `curves.png`; a run that was
    interrupted goes on from there. score gives the validation accuracy; `note` gets a line after each epoch, and `bar`
    shows the batches of one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    last, best = folder / "checkpoint.safetensors", folder / "best.safetensors"
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], settings.learning_rate)
    schedule = ReduceLROnPlateau(optimizer, "max", FADE, patience=settings.patience // 3)
    run = _Run(training, validation, settings, fabric, score)
    wrapped, stepping = fabric.setup(network, optimizer)
    history = _resume(last, network, optimizer, schedule)  # after setup: what the optimizer remembers moves along
    while len(history) < settings.epochs and _is_hopeful(history, settings.patience):
        number = len(history) + 1
        rate = optimizer.param_groups[0]["lr"]
        started = time.monotonic()
        with bar(settings.batches_per_epoch, f"{folder.name}, epoch {number}, batches") as advance:
            loss, accuracy, images = run.trained(wrapped, stepping, number, advance)
        seconds = time.monotonic() - started
        validated = fabric.broadcast(run.validated(wrapped, number))  # all processes go on, or stop, together
        history.append(Epoch(number, loss, validated[0], accuracy, validated[1], rate, images, seconds))
        schedule.step(validated[1])
        if fabric.is_global_zero:
            facts = {"history": [asdict(epoch) for epoch in history]}
            if best_epoch(history).epoch == number:
                checkpoint.save(best, network.state_dict(), facts)
            checkpoint.save(
                last,
                checkpoint.with_prefix("network.", network.state_dict())
                | checkpoint.with_prefix("optimizer.", checkpoint.optimizer_tensors(optimizer)),
                facts,
            )
            draw_curves(history, folder.name, folder / "curves.png")
            note(f"{folder.name}, {history[-1]}")
        fabric.barrier()
    network.load_state_dict(checkpoint.load(best)[0])
    return history


def embed(network: nn.Module, inputs: Inputs, places: Places, fabric: Fabric) -> npt.NDArray[np.float32]:
    """(len(places), d) by the network as it is when it is used, without dropout."""
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
    """What numbers a network is trained in, and on what."""
    return f"{fabric._precision.precision} {fabric.device.type}"


class _Run:
    """What stays the same from epoch to epoch."""

    def __init__(
        self, training: Labelled, validation: Labelled, settings: TrainingSettings, fabric: Fabric, score: Score
    ) -> None:
        self.training, self.validation = training, validation
        self.settings, self.fabric, self.score = settings, fabric, score
        self.works = Works(training.artists)
        self.loss = (contrastive_loss if settings.batches == "pairs" else triplet_loss)(settings.margin)
        self.hard, self.semi_hard = hard_batch(), semi_hard(settings.margin)
        looked_at = Works(validation.artists)
        self.validation_batches = list(epoch(self._drawer(looked_at), VALIDATION_BATCHES, settings.seed, 0))

    def trained(
        self, network: Any, optimizer: Any, number: int, advance: Callable[[int], None]
    ) -> tuple[float, float, int]:
        """Epoch `number`: mean loss, mean accuracy within batches, and images seen by all processes."""
        network.train()
        fabric, seed = self.fabric, self.settings.seed
        torch.manual_seed(hash((seed, number, fabric.global_rank)))  # dropout
        losses, accuracies, images = [], [], 0
        for batch in epoch(self._drawer(self.works), self.settings.batches_per_epoch, seed, number, fabric.global_rank):
            x = fabric.to_device(self.training.inputs[self.training.places[batch.places]])
            vectors = network(x.float()).float()  # (b, d)
            loss = self._loss(vectors, batch, self.training.artists, number)
            optimizer.zero_grad()
            fabric.backward(loss)
            optimizer.step()
            losses.append(float(loss.detach()))
            accuracies.append(self.score(vectors.detach().cpu().numpy(), self.training.artists[batch.places]))
            images += len(batch.places)
            advance(1)
        means = torch.tensor([np.mean(losses), np.nanmean(accuracies)])
        everywhere: Any = fabric.all_reduce(fabric.to_device(means), reduce_op="mean")
        return float(everywhere[0]), float(everywhere[1]), images * fabric.world_size

    def validated(self, network: Any, number: int) -> tuple[float, float]:
        """Loss over the fixed batches, mined as in this epoch, and accuracy over all triplets of the paintings."""
        vectors = embed(network, self.validation.inputs, self.validation.places, self.fabric)
        losses = [
            float(self._loss(torch.from_numpy(vectors[batch.places]), batch, self.validation.artists, number))
            for batch in self.validation_batches
        ]
        return float(np.mean(losses)), self.score(vectors, self.validation.artists)

    def _drawer(self, works: Works) -> Callable[[np.random.Generator], Batch]:
        size = self.settings.batch_size
        if self.settings.batches == "pairs":
            return lambda chance: pairs(works, size, chance)
        if self.settings.batches == "triplets":
            return lambda chance: triplets(works, size, chance)
        return lambda chance: artists(works, size, chance, per_artist=self.settings.paintings_per_artist)

    def _loss(self, vectors: Tensor, batch: Batch, codes: Places, number: int) -> Tensor:
        labels = torch.from_numpy(codes[batch.places]).to(vectors.device)
        if batch.compared is not None:
            compared = tuple(torch.from_numpy(place).to(vectors.device) for place in batch.compared)
        else:
            miner = self.semi_hard if number <= self.settings.warm_up_epochs else self.hard
            compared = miner(vectors, labels)
        found: Tensor = self.loss(vectors, labels, compared)
        return found


def _resume(
    last: Path, network: nn.Module, optimizer: torch.optim.Optimizer, schedule: ReduceLROnPlateau
) -> list[Epoch]:
    if not last.exists():
        return []
    tensors, facts = checkpoint.load(last)
    network.load_state_dict(checkpoint.without_prefix("network.", tensors))
    checkpoint.restore_optimizer(optimizer, checkpoint.without_prefix("optimizer.", tensors))
    history = [Epoch(**found) for found in facts["history"]]
    for past in history:  # the learning rate follows from what was measured
        schedule.step(past.validation_accuracy)
    return history


def _is_hopeful(history: Sequence[Epoch], patience: int) -> bool:
    return not history or len(history) - best_epoch(history).epoch < patience
