"""What a catalog would change in an index: what is new, has moved, is replaced or gone. Nothing is changed here.

A painting is its content. A file whose content the index knows is not embedded again: where the name under which the
index has it no longer leads to that content, the painting has moved; else it is a copy, and left alone.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..embedder.locations import Reader, absolute, content_hash, split_location
from ..embedder.parallel import ahead
from ..embedder.runtime import available_cores
from ..errors import UnreadableImage
from . import history
from .vectors import Rows

LABELS = ("artist", "title", "year")


@dataclass(frozen=True)
class Plan:
    """What to do. Places are of the index's table before, numbers are rows of the catalog's.

    fresh: numbers to embed; moved: place -> number; gone: (g,) places whose files in the folder are there no more.
    """

    before: pd.DataFrame
    catalog: pd.DataFrame
    fresh: list[int]
    moved: dict[int, int]
    gone: Rows

    @property
    def already_there(self) -> int:
        """Paintings of the catalog with nothing to do."""
        return len(self.catalog) - len(self.fresh) - len(self.moved)

    def to_embed(self) -> pd.DataFrame:
        """The catalog's rows that are new to the index."""
        return self.catalog.iloc[self.fresh].reset_index(drop=True)

    def replaced(self, fresh: pd.DataFrame) -> Rows:
        """Places that make room for others of the same id or file: these rows of the catalog, and what has moved."""
        others = pd.concat([fresh, self.catalog.iloc[list(self.moved.values())]])
        is_replaced = (self.before["id"].isin(others["id"])
                       | self.before["path"].isin([absolute(path) for path in others["path"]])).to_numpy(bool)
        return np.setdiff1d(np.flatnonzero(is_replaced), [*self.moved, *self.gone])

    def moves(self, corrected: pd.DataFrame) -> pd.DataFrame:
        """The moved paintings' new names, and the labels that go with them unless somebody has corrected those.

        corrected: the history of the index.
        """
        by_hand = corrected[corrected["by"] != history.SYNC]
        kept = set(zip(by_hand["row"], by_hand["column"], strict=True))
        words: list[tuple[int, str, str | None]] = []
        for place, number in self.moved.items():
            entry, row = self.catalog.iloc[number], self.before["row"].iloc[place]
            words += [(place, "id", entry["id"]), (place, "path", absolute(entry["path"]))]
            words += [(place, name, str(entry[name])) for name in LABELS
                      if not pd.isna(entry[name]) and (row, name) not in kept]
        return history.said(self.before, words, history.SYNC)


def plan(before: pd.DataFrame, catalog: pd.DataFrame, folder: Path | None, max_pixels: int, workers: int | None
         ) -> Plan:
    """Compare a catalog with an index's table. folder: its paintings that are there no more count as gone."""
    contents = _contents(catalog["path"].tolist(), max_pixels, workers or available_cores())
    paths = [absolute(path) for path in catalog["path"]]
    now = dict(zip(paths, contents, strict=True))
    stored = before["path"].tolist()
    places: dict[str, list[int]] = {}
    for place, content in enumerate(before["sha256"]):
        places.setdefault(content, []).append(place)

    def has_left(place: int, content: str) -> bool:
        path = stored[place]
        return now[path] != content if path in now else not _is_there(path)

    fresh: list[int] = []
    moved: dict[int, int] = {}
    for number, (path, content) in enumerate(zip(paths, contents, strict=True)):
        if content is None or content not in places:  # what cannot be read is reported when it is to be embedded
            fresh.append(number)
        elif path not in (stored[place] for place in places[content]):
            left = next((p for p in places[content] if p not in moved and has_left(p, content)), None)
            if left is not None:
                moved[left] = number
    gone = [place for place, path in enumerate(stored)
            if place not in moved and _is_inside(path, folder) and path not in now and not _is_there(path)]
    return Plan(before, catalog, fresh, moved, np.array(gone, np.int64))


def _contents(locations: Sequence[str], max_pixels: int, workers: int) -> list[str | None]:
    """sha256 of every file; None for one that cannot be read."""
    with Reader(max_pixels) as reader:
        def content(location: str) -> str | None:
            try:
                with reader.open(location) as stream:
                    return content_hash(stream)
            except UnreadableImage:
                return None

        return list(ahead(content, locations, workers=workers, most=4 * workers))


def _is_there(location: str) -> bool:
    return os.path.lexists(split_location(location)[0])


def _is_inside(location: str, folder: Path | None) -> bool:
    return folder is not None and location.startswith(os.path.join(os.path.abspath(folder), ""))
