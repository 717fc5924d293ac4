"""Learning rates before each step, and when training is over."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from .curves import Epoch, best_epoch


class Schedule(Protocol):
    """What sets the learning rates of an optimizer."""

    def before_step(self, optimizer: Any, whole: int, share: float) -> None:
        """whole: completed epochs; share: of the current epoch that is done."""

    def after_epoch(self, epoch: Epoch) -> None:
        """Called once for each epoch, including those before an interruption."""

    def is_over(self, history: Sequence[Epoch]) -> bool:
        """Whether training is over."""


class Cosine:
    """Rates rise from zero for a share of a cycle's steps, then fall along a cosine (`pace`).

    rates: the highest, one for each group of weights; share_of_cycle: how much of the cycle is done after so many
    epochs of this schedule; before: epochs of an earlier schedule.
    """

    def __init__(
        self, rates: Sequence[float], warm_up: float, share_of_cycle: Callable[[float], float], before: int = 0
    ) -> None:
        self.rates, self.warm_up, self.share_of_cycle, self.before = rates, warm_up, share_of_cycle, before

    def before_step(self, optimizer: Any, whole: int, share: float) -> None:
        now = pace(self.share_of_cycle(whole - self.before + share), self.warm_up)
        for group, rate in zip(optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * now

    def after_epoch(self, epoch: Epoch) -> None:
        pass

    def is_over(self, history: Sequence[Epoch]) -> bool:
        return False


class Plateau:
    """One rate, reduced when the validation accuracy no longer rises; training is over if it has not risen for long.

    patience: epochs without a better validation accuracy before training is over; after a third of them the rate is
    multiplied by `fade`.
    """

    def __init__(self, optimizer: Optimizer, patience: int, fade: float) -> None:
        self.patience = patience
        self.fading = ReduceLROnPlateau(optimizer, "max", fade, patience=patience // 3)

    def before_step(self, optimizer: Any, whole: int, share: float) -> None:
        pass

    def after_epoch(self, epoch: Epoch) -> None:
        self.fading.step(epoch.validation_accuracy)

    def is_over(self, history: Sequence[Epoch]) -> bool:
        return bool(history) and len(history) - best_epoch(history).epoch >= self.patience


def pace(share: float, warm_up: float) -> float:
    """The share of the highest rate after this share of a cycle's steps; it rises during the share `warm_up`.

    share / warm_up, then (1 + cos(pi * (share - warm_up) / (1 - warm_up))) / 2.
    """
    return share / warm_up if share < warm_up else 0.5 * (1 + math.cos(math.pi * (share - warm_up) / (1 - warm_up)))
