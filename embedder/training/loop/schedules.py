"""How fast a network learns: learning rates before each step, and when there is nothing more to learn."""

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
        """whole: epochs that are done; share: of this one that is."""

    def after_epoch(self, epoch: Epoch) -> None:
        """Told once of each epoch, of those before an interruption too."""

    def is_over(self, history: Sequence[Epoch]) -> bool:
        """Whether no more is to be learnt."""


class Cosine:
    """Rates rise from nothing for a share of a cycle's steps, then fall with a cosine (`pace`).

    rates: the highest, one for each group of weights; share_of_cycle: how much of its cycle is done after so many
    epochs of this schedule; before: epochs that were another's.
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
    """One rate, which fades where the validation accuracy no longer rises; over when it has not for long.

    patience: epochs without a better validation accuracy before it is over; after a third of them the rate is
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
    """Of the highest rate, after this share of a cycle's steps, of which it rises for the share `warm_up`.

    share / warm_up, then (1 + cos(pi * (share - warm_up) / (1 - warm_up))) / 2.
    """
    return share / warm_up if share < warm_up else 0.5 * (1 + math.cos(math.pi * (share - warm_up) / (1 - warm_up)))
