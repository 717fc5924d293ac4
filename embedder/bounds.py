"""Bounds of the numbers that users may set, the same on the command line, by HTTP and in Python.

The number of neighbours has no bound here: nobody gets more than the index holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from ..errors import BadSetting

N = TypeVar("N", int, float)


@dataclass(frozen=True)
class Bounds:
    """From low to high; is_open: both ends excluded. NaN is never within bounds."""

    low: float
    high: float
    is_open: bool = False

    def __contains__(self, value: float) -> bool:
        return self.low < value < self.high if self.is_open else self.low <= value <= self.high

    def __str__(self) -> str:
        return (
            f"{'between' if self.is_open else 'from'} {self.low:.12g} {'and' if self.is_open else 'to'} "
            f"{self.high:.12g}"
        )

    def checked(self, name: str, value: N) -> N:
        """The value itself. Raises BadSetting if it is out of bounds."""
        if value not in self:
            raise BadSetting(f"{name} {value}: must be a number {self}")
        return value


PRIOR = Bounds(0, 1, is_open=True)
DISTANCE = Bounds(0, 2)
PORT = Bounds(0, 65535)
WORKERS = Bounds(1, 1024)
BATCH_SIZE = Bounds(1, 4096)
PIXELS = Bounds(1, 10_000_000_000)  # 30 GB of memory for one image
GPU_SHARE = Bounds(0.0001, 1)  # Ray has no smaller ones
IN_FLIGHT = Bounds(2, 900)  # requests: not more than connections (service/server.py)
BODY_MB = Bounds(1, 1024)
MACHINES = Bounds(1, 1024)
