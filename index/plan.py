"""What a catalog would change in an index: what is new, has moved, is replaced or gone. Nothing is changed here.

A painting is its content. A file whose content the index knows is not embedded again: where the name under which the
index has it no longer leads to that content, the painting has moved; else it is a copy, and left alone.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
import pandas as pd

from ..embedder.locations import Reader, absolute, content_hash, split_location
from ..embedder.parallel import ahead
from ..embedder.runtime import available_cores
from ..errors import UnreadableImage
from . import history
from .vectors import Rows


@dataclass(frozen=True)
class Plan:
    """What to do. Places are of the index's table before, numbers are rows of the catalog's.

    fresh: numbers to embed; moved: place -> number; gone: (g,) places whose files in the folder are there no more;
    skipped: (path, reason) pairs of what cannot come in.
    """

    before: pd.DataFrame
    catalog: pd.DataFrame
    fresh: list[int]
    moved: dict[int, int]
    gone: Rows
    skipped: tuple[tuple[str, str], ...]

    @property
    def already_there(self) -> int:
        """Paintings of the catalog with nothing to do."""
        return len(self.catalog) - len(self.fresh) - len(self.moved) - len(self.skipped)

    def to_embed(self) -> pd.DataFrame:
        """The catalog's rows that are new to the index."""
        return self.catalog.iloc[self.fresh].reset_index(drop=True)

    def replaced(self, fresh: pd.DataFrame) -> Rows:
        """Places that make room for others of the same id or file: these rows of the catalog, and what has moved."""
        paths = [absolute(path) for path in [*fresh["path"], *self.catalog["path"].iloc[list(self.moved.values())]]]
        is_replaced = (self.before["id"].isin(fresh["id"]) | self.before["path"].isin(paths)).to_numpy(bool)
        return np.setdiff1d(np.flatnonzero(is_replaced), [*self.moved, *self.gone])

    def moves(self) -> pd.DataFrame:
        """The moved paintings' new names, in the form of a history.

        What was made of the old name follows: an id that is its end, an artist who is one of its folders, a title that
        is the file's. What a table or a person has said stays.
        """
        ids = self._new_ids()
        words: list[tuple[int, str, str | None]] = []
        for place, number in self.moved.items():
            entry, known = self.catalog.iloc[number], self.before.iloc[place]
            old = PurePath(known["path"])
            words.append((place, "path", absolute(entry["path"])))
            words += [(place, "id", ids[place])] if place in ids else []
            words += [(place, name, entry[name]) for name, made in (("artist", old.parts), ("title", (old.stem,)))
                      if known[name] in made and not pd.isna(entry[name])]
        return history.said(self.before, words, history.SYNC)

    def _new_ids(self) -> dict[int, str]:
        """The ids that moved paintings get: those made of their file's name, unless another painting keeps that id."""
        known, paths = self.before["id"].tolist(), self.before["path"].tolist()
        ids = {place: self.catalog["id"].iloc[number] for place, number in self.moved.items()
               if paths[place] and PurePath(paths[place]).as_posix().endswith(known[place])}
        leaving = {*self.gone.tolist(), *self.replaced(self.to_embed()).tolist()}
        while True:
            kept = {known[place] for place in range(len(known)) if place not in ids and place not in leaving}
            left = {place: name for place, name in ids.items() if name not in kept}
            if len(left) == len(ids):
                return ids
            ids = left


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
        return now[path] != content if path in now else _is_gone(path)

    new: list[int] = []
    moved: dict[int, int] = {}
    for number, (path, content) in enumerate(zip(paths, contents, strict=True)):
        if content is None or content not in places:  # what cannot be read is reported when it is to be embedded
            new.append(number)
        elif path not in (stored[place] for place in places[content]):
            left = next((p for p in places[content] if p not in moved and has_left(p, content)), None)
            if left is not None:
                moved[left] = number
    gone = [place for place, path in enumerate(stored)
            if place not in moved and _is_inside(path, folder) and path not in now and _is_gone(path)]
    # An id that is another painting's, whose file is elsewhere and still there, cannot be given a second time.
    keeps = {id_: path for place, (id_, path) in enumerate(zip(before["id"], stored, strict=True))
             if place not in moved and path}
    ids = catalog["id"].tolist()
    refused = {number: keeps[ids[number]] for number in new
               if keeps.get(ids[number], paths[number]) != paths[number] and not _is_gone(keeps[ids[number]])}
    reasons = tuple((paths[number], f"its id {ids[number]} is that of {other}; remove that one, or give ids in a table")
                    for number, other in refused.items())
    return Plan(before, catalog, [number for number in new if number not in refused], moved, np.array(gone, np.int64),
                reasons)


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


def _is_gone(location: str) -> bool:
    """Whether there is nothing by that name; what merely cannot be looked at is there."""
    try:
        os.lstat(split_location(location)[0])
        return False
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False


def _is_inside(location: str, folder: Path | None) -> bool:
    return folder is not None and location.startswith(os.path.join(os.path.abspath(folder), ""))
