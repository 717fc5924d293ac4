"""Paintings that a server was asked for of late: who answers needs the same ones again and again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..scoring.vectors import Array
from .vector_store import Painting

REMEMBERED = 20_000  # recently read paintings: at most some 50 MB
AT_ONCE = 1000  # asked for: of 512 numbers each, 2 MB


class Record(NamedTuple):
    """What is known of a painting. sha256: of the image, empty if unknown; vector: (d,)."""

    painting: Painting
    sha256: str
    vector: Array


class Remembered:
    """Paintings by place, read when they are first asked for. Safe to share between threads."""

    def __init__(self, read: Callable[[Sequence[int]], dict[int, Record]]) -> None:
        self._read = read
        self._known: dict[int, Record] = {}

    def at(self, places: Sequence[int]) -> list[Record]:
        """The paintings at these places."""
        known = self._known  # another thread may begin again
        found = {place: known[place] for place in places if place in known}
        missing = [place for place in places if place not in found]
        for start in range(0, len(missing), AT_ONCE):
            found |= self.keep(self._read(missing[start : start + AT_ONCE]))
        return [found[place] for place in places]

    def keep(self, found: dict[int, Record]) -> dict[int, Record]:
        """Remember what was read."""
        if len(self._known) > REMEMBERED:
            self._known = {}
        self._known |= found
        return found
