"""The one training loop: epochs of batches, validation after each, then a checkpoint and curves.

An objective gives batches, computes the loss and validates. A schedule sets the learning rates (schedules.py).
Lightning Fabric handles device, precision and other processes. Random numbers depend on the number of the epoch, so a
run that was killed resumes after its last complete epoch and reaches the same result.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from ... import kept
from ...parallel import Bar
from ..data.batches import Places
from . import checkpoint
from .curves import Epoch, draw_curves
from .schedules import Schedule

CHECKPOINT = "checkpoint.safetensors"

Score = Callable[[npt.NDArray[np.float32], Places], float]  # of unit vectors (n, d) and artists (n,)


class Examples(NamedTuple):
    """A batch.

    inputs: of the network, each (b, ...); artists: (b,) codes; target: what else the loss needs.
    """

    inputs: tuple[Tensor, ...]
    artists: Places
    target: Any = None


class Kept(NamedTuple):
    """A checkpoint's tensors by name, and its facts."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]


class Objective(ABC):
    """What a network (b, ...) -> (b, d) is trained for. steps: batches in an epoch."""

    steps: int

    @abstractmethod
    def begin(self, network: nn.Module, number: int) -> None:
        """Called before an epoch's first batch: prepares what depends on the epoch in the network itself."""

    @abstractmethod
    def batches(self, number: int) -> Iterator[Examples]:
        """The batches of an epoch, the same at every call."""

    @abstractmethod
    def loss(self, vectors: Tensor, examples: Examples, number: int) -> Tensor:
        """The loss of the vectors (b, d) of these examples in epoch `number`."""

    @abstractmethod
    def validated(self, network: nn.Module, number: int) -> tuple[float, float]:
        """Loss and accuracy on the validation set."""


class Run:
    """A network during training. history: of the complete epochs.

    modules: saved after each epoch, by their names in the checkpoint, the network first; beside: further tensors to
    save. longest_gradient: gradients are clipped to this norm, and steps with one that is not finite are skipped; None:
    no clipping.
    """

    def __init__(
        self,
        modules: dict[str, nn.Module],
        objective: Objective,
        optimizer: Optimizer,
        schedule: Schedule,
        fabric: Fabric,
        score: Score,
        *,
        longest_gradient: float | None = None,
        beside: dict[str, Tensor] | None = None,
    ) -> None:
        self.modules, self.beside = modules, beside or {}
        self.objective, self.schedule, self.fabric, self.score = objective, schedule, fabric, score
        self.network = next(iter(modules.values()))
        self.plain, self.longest_gradient = optimizer, longest_gradient
        self.wrapped, self.optimizer = fabric.setup(self.network, optimizer)
        self.history: list[Epoch] = []

    def resume(self, before: Kept) -> None:
        """Continue after a checkpoint."""
        tensors, facts = before
        for name, module in self.modules.items():
            module.load_state_dict(checkpoint.without_prefix(f"{name}.", tensors))
        checkpoint.restore_optimizer(self.plain, checkpoint.without_prefix("optimizer.", tensors))
        self.history = [Epoch(**epoch) for epoch in facts["history"]]
        for past in self.history:
            self.schedule.after_epoch(past)

    def tensors(self) -> dict[str, Tensor]:
        """What `resume` needs, and the further tensors."""
        found = checkpoint.with_prefix("optimizer.", checkpoint.optimizer_tensors(self.plain)) | self.beside
        for name, module in self.modules.items():
            found |= checkpoint.with_prefix(f"{name}.", module.state_dict())
        return found

    def facts(self) -> dict[str, Any]:
        """The history, as the checkpoint stores it."""
        return {"history": [asdict(past) for past in self.history]}

    def epoch(self, number: int, advance: Callable[[int], None]) -> Epoch:
        """Train on an epoch's batches, in all processes, then validate."""
        self.objective.begin(self.wrapped, number)
        started, losses, right, images = time.monotonic(), [], [], 0
        for step, examples in enumerate(self.objective.batches(number)):
            self.schedule.before_step(self.optimizer, number - 1, step / self.objective.steps)
            vectors = self.wrapped(*(self.fabric.to_device(x).float() for x in examples.inputs)).float()  # (b, d)
            loss = self.objective.loss(vectors, examples, number)
            take_step(self.fabric, self.network, self.optimizer, loss, self.longest_gradient)
            losses.append(float(loss.detach()))
            right.append(self.score(vectors.detach().cpu().numpy(), examples.artists))
            images += len(examples.artists)
            advance(1)
        means: Any = self.fabric.to_device(torch.tensor([np.mean(losses), np.nanmean(right)]))
        everywhere: Any = self.fabric.all_reduce(means, reduce_op="mean")
        seconds = time.monotonic() - started
        validated = self.fabric.broadcast(self.objective.validated(self.wrapped, number))
        return Epoch(
            epoch=number,
            training_loss=float(everywhere[0]),
            validation_loss=validated[0],
            training_accuracy=float(everywhere[1]),
            validation_accuracy=validated[1],
            learning_rate=self.optimizer.param_groups[0]["lr"],
            images=images * self.fabric.world_size,
            seconds=seconds,
        )


def kept_in(folder: Path, origin: dict[str, str]) -> Kept | None:
    """The checkpoint that `run_epochs` has written there, or None. Raises BadSetting if that run had another origin
    (kept.py)."""
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    tensors, facts = checkpoint.load(path)
    kept.check_origin(path, facts, origin)
    return Kept(tensors, facts)


def run_epochs(
    run: Run,
    numbers: range,
    folder: Path,
    facts: dict[str, Any],
    note: Callable[[str], None],
    bar: Bar,
    ended: Callable[[int], None] = lambda number: None,
) -> None:
    """The epochs of these numbers that `run.history` lacks, until the schedule is over.

    folder: created if missing, gets CHECKPOINT and `curves.png` after each epoch, written by the first process. facts:
    further ones for the checkpoint. note: gets a line after each epoch; bar: shows the batches of one. ended: called
    after each epoch, before the checkpoint is written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers[len(run.history) :]:
        if run.schedule.is_over(run.history):
            return
        with bar(run.objective.steps, f"{folder.name}, epoch {number}, batches") as advance:
            epoch = run.epoch(number, advance)
        run.history.append(epoch)
        run.schedule.after_epoch(epoch)
        ended(number)
        if run.fabric.is_global_zero:
            checkpoint.save(folder / CHECKPOINT, run.tensors(), facts | run.facts())
            draw_curves(run.history, folder.name, folder / "curves.png")
            note(f"{folder.name}, {epoch}")
        run.fabric.barrier()


def take_step(
    fabric: Fabric, network: nn.Module, optimizer: Any, loss: Tensor, longest_gradient: float | None = None
) -> None:
    """One step of the optimizer.

    longest_gradient: gradients are clipped to this norm, and a step with one that is not finite is skipped: it would
    spoil all weights.
    """
    optimizer.zero_grad()
    fabric.backward(loss)
    if longest_gradient is not None:
        length = fabric.clip_gradients(network, optimizer, max_norm=longest_gradient, error_if_nonfinite=False)
        if length is not None and not torch.isfinite(length):
            return
    optimizer.step()
