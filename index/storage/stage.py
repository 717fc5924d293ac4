"""Embeddings on a server while an index is built there.

Vectors are measured from the centre of all of them, so none can be written where it will be searched before all are
made. Meanwhile they are in a table of numbered rows beside the index. Any part of it can be written again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from ..scoring.vectors import Array, Integers


class Staged(NamedTuple):
    """Rows of a stage. numbers: (m,) ascending; texts: about each; vectors: (m, d)."""

    numbers: Integers
    texts: Sequence[str]
    vectors: Array


class Stage(ABC):
    """The table of an index that is being built; all methods raise BadIndex. dim: the vectors' length."""

    dim: int

    @abstractmethod
    def is_there(self) -> bool:
        """Whether there is one, of vectors of any length."""

    @abstractmethod
    def make(self) -> None:
        """Make it, unless it is there."""

    @abstractmethod
    def put(self, rows: Staged) -> None:
        """Write consecutive rows; those with the same numbers are replaced."""

    @abstractmethod
    def get(self, numbers: range) -> Staged:
        """The rows with these numbers, as far as they are there."""

    @abstractmethod
    def drop(self) -> None:
        """Remove it."""
