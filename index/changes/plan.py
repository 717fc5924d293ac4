"""Plan what a catalog changes in an index: what is new, has moved, is replaced or gone. Nothing is changed here.

A painting is its content: a file whose content the index knows is not embedded again.

    the catalog has            and the index has                                       so the painting is
    known content              it under this path                                      already there
    known content              it under a path that no longer leads to that content    moved: path and id follow
    known content              it under a path that still does                         a copy, left alone
    new content                the same path, or an id whose file is gone              replaced: takes its place
    new content                the same id for a painting that stays                   skipped, with the reason
    new content                neither                                                 fresh
    nothing (sync of a folder) a path in that folder where nothing is now              gone
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

import numpy as np
import pandas as pd

from ...embedder import hashed
from ...embedder.catalogs.attribution import artist_key
from ...embedder.locations import Reader, absolute, content_hash, is_remote, split_location
from ...embedder.parallel import ahead
from ...embedder.runtime import available_cores
from ...errors import UnreadableImage
from ..scoring.vectors import Integers, blocks
from ..storage import history
from ..storage.generations import Contents, Generation
from ..storage.paintings import Paintings

COMPARED = 1 << 14  # paintings whose labels are compared at once
# Columns of a catalog that give the location of a painting, or are derived from others.
NOT_LABELS = {*history.FIXED, "id", "attribution", "qualifier"}


@dataclass(frozen=True)
class Plan:
    """What to do. Places are rows of `before`, the paintings of the index that matter; numbers are rows of the catalog.

    fresh: numbers to embed; moved: place -> number; gone: (g,) places whose files in the folder no longer exist; same:
    place -> number of unchanged paintings; copies: number -> a place with its content, which stays; skipped: (path,
    reason) pairs of what cannot be added.
    """

    before: pd.DataFrame
    catalog: pd.DataFrame
    fresh: list[int]
    moved: dict[int, int]
    gone: Integers
    skipped: tuple[tuple[str, str], ...]
    same: dict[int, int]
    copies: dict[int, int]

    @property
    def already_there(self) -> int:
        """The number of paintings of the catalog with nothing to do."""
        return len(self.catalog) - len(self.fresh) - len(self.moved) - len(self.skipped)

    def copies_by_others(self) -> tuple[tuple[tuple[str, str], ...], ...]:
        """For each copy under another artist's name: (id, artist) of the painting that stays, and of the copy."""
        ids, artists, keys = (self.before[name].tolist() for name in ("id", "artist", "artist_key"))
        new_ids, new_artists = self.catalog["id"].tolist(), self.catalog["artist"].tolist()
        return tuple(
            ((ids[place], artists[place]), (new_ids[number], new_artists[number]))
            for number, place in self.copies.items()
            if isinstance(keys[place], str) and artist_key(new_artists[number]) not in (None, keys[place])
        )

    def to_embed(self) -> pd.DataFrame:
        """The catalog's rows that are new to the index."""
        return self.catalog.iloc[self.fresh].reset_index(drop=True)

    def replaced(self, fresh: pd.DataFrame) -> Integers:
        """Places that are replaced by others with the same id or file: these rows of the catalog, and moved ones."""
        paths = [absolute(path) for path in [*fresh["path"], *self.catalog["path"].iloc[[*self.moved.values()]]]]
        is_replaced = (self.before["id"].isin(fresh["id"]) | self.before["path"].isin(paths)).to_numpy(bool)
        return np.setdiff1d(np.flatnonzero(is_replaced), [*self.moved, *self.gone])

    def moves(self, known: pd.DataFrame) -> pd.DataFrame:
        """The moved paintings' new names, in the form of a history; known: the index's history so far.

        Labels derived from the old name follow: in a folder of folders, the artist is the first folder, the title the
        file's name. Labels from a table or a person stay.
        """
        by_hand = known[known["by"] != history.SYNC]
        said = set(zip(by_hand["row"], by_hand["column"], strict=True))
        ids = self.new_ids()
        words: list[tuple[int, str, str | None]] = []
        for place, number in self.moved.items():
            entry, old = self.catalog.iloc[number], self.before.iloc[place]
            words.append((place, "path", absolute(entry["path"])))
            words += [(place, "id", ids[place])] if place in ids else []
            name = PurePath(old["id"])
            made = {"artist": name.parts[0] if len(name.parts) > 1 else None, "title": name.stem}
            words += [
                (place, column, history.word(entry, column))
                for column, value in made.items()
                if _is_made_of(old["id"], old["path"])
                and history.word(old, column) == value
                and history.word(entry, column) is not None
                and (old["row"], column) not in said
            ]
        return history.said(self.before, words, history.SYNC)

    def relabelled(self, base: pd.DataFrame, made: pd.DataFrame) -> pd.DataFrame:
        """How the catalog's table has changed for known paintings since last time, in the form of a history.

        base: `before` without manual corrections. A manual correction stays unless the table has changed
        since. made: changes of moved paintings so far.
        """
        known = set(zip(made["row"], made["column"], strict=True))
        rows = self.before["row"].tolist()
        words: list[tuple[int, str, str | None]] = []
        for column in [name for name in self.catalog if name in self.before and name not in NOT_LABELS]:
            now, then, new = (history.words(table, str(column)) for table in (self.before, base, self.catalog))
            words += [
                (place, str(column), new[number])
                for place, number in sorted((self.same | self.moved).items())
                if new[number] not in (then[place], now[place]) and (rows[place], column) not in known
            ]
        return history.said(self.before, words, history.SYNC)

    def new_ids(self) -> dict[int, str]:
        """The new ids of moved paintings, by place: from a table, or derived from the file's name like the old one.

        Never one that another painting keeps.
        """
        known, paths = self.before["id"].tolist(), self.before["path"].tolist()
        new, new_paths = self.catalog["id"].tolist(), self.catalog["path"].tolist()
        ids = {
            place: new[number]
            for place, number in self.moved.items()
            if _is_made_of(known[place], paths[place]) or not _is_made_of(new[number], new_paths[number])
        }
        leaving = {*self.gone.tolist(), *self.replaced(self.to_embed()).tolist()}
        while True:
            kept = {known[place] for place in range(len(known)) if place not in ids and place not in leaving}
            left = {place: name for place, name in ids.items() if name not in kept}
            if len(left) == len(ids):
                return ids
            ids = left

    def checked(self) -> Plan:
        """The plan without fresh paintings whose id another painting keeps: no id is used twice."""
        known, paths = self.before["id"].tolist(), self.before["path"].tolist()
        ids = self.new_ids()
        gone = {*self.gone.tolist()}
        holders = {ids.get(place, name): place for place, name in enumerate(known) if place not in gone}
        new, new_paths = self.catalog["id"].tolist(), [absolute(path) for path in self.catalog["path"]]
        refused = {
            number: holders[new[number]]
            for number in self.fresh
            if new[number] in holders
            and (
                holders[new[number]] in self.moved
                or not _makes_room(new[number], paths[holders[new[number]]], new_paths[number])
            )
        }
        if not refused:
            return self
        reasons = [
            (
                new_paths[number],
                f"its id {new[number]} is that of another painting, {paths[place] or 'without a file'}; "
                f"remove that one first, or give ids in a table",
            )
            for number, place in refused.items()
        ]
        return replace(
            self, fresh=[number for number in self.fresh if number not in refused], skipped=(*self.skipped, *reasons)
        ).checked()


def _is_made_of(name: str, path: str) -> bool:
    """Whether an id is a file's name below some folder, not one from a table."""
    return bool(path) and PurePath(path).as_posix().endswith(name)


def _makes_room(name: str, old: str, new: str) -> bool:
    """Whether a painting is replaced by a new one of its id: the same file, or a table's id whose file is gone."""
    return old == new or (not _is_made_of(name, new) and (not old or _is_gone(old)))


def plan(
    index: Generation,
    catalog: pd.DataFrame,
    folders: Sequence[str],
    is_table: bool,
    reader: Reader,
    workers: int | None,
    advance: Callable[[int], None],
    *,
    rehash: bool = False,
) -> Plan:
    """Compare a catalog with an index. folders: their missing paintings count as gone or, if the catalog is_table,
    those that it does not name; advance: called for each painting examined; rehash: with folders, also read files that
    look unchanged."""
    paths, threads, is_sync = catalog["path"].tolist(), workers or available_cores(), bool(folders)
    contents = _contents(paths, reader, threads, advance, remembers=is_sync, rehash=rehash)
    paths = [absolute(path) for path in catalog["path"]]
    now = dict(zip(paths, contents, strict=True))
    inside = tuple(os.path.join(absolute(folder), "") for folder in folders)
    affected, unchanged = _affected(index.paintings, now, inside) if is_sync else ([], {})
    left = [row for row in zip(paths, contents, catalog["id"], strict=True) if row[0] not in unchanged]
    concerned = {*affected, *_concerned(index.paintings, left)}
    if is_table and is_sync:
        concerned |= (others := _relabelled(index.contents, catalog.set_axis(paths), unchanged))
        unchanged = {path: at for path, at in unchanged.items() if others.isdisjoint(at)}
    before = index.paintings.frame(sorted(concerned))
    stored = before["path"].tolist()
    places: dict[str, list[int]] = {}
    for place, content in enumerate(before["sha256"]):
        places.setdefault(content, []).append(place)

    def has_left(place: int, content: str) -> bool:
        path = stored[place]
        return now[path] != content if path in now else _is_gone(path)

    new: list[int] = []
    moved: dict[int, int] = {}
    same: dict[int, int] = {}
    copies: dict[int, int] = {}
    by_path = {path: place for place, path in enumerate(stored)}
    for number, (path, content) in enumerate(zip(paths, contents, strict=True)):
        if path in unchanged:
            continue
        if content is None or content not in places:  # unreadable files are reported when they are embedded
            new.append(number)
            if content is None and path in by_path:
                same[by_path[path]] = number
        elif path in (stored[place] for place in places[content]):
            same |= {place: number for place in places[content] if stored[place] == path}
        else:
            old = next((p for p in places[content] if p not in moved and has_left(p, content)), None)
            if old is not None:
                moved[old] = number
            else:
                copies[number] = places[content][0]
    gone = [
        place
        for place, path in enumerate(stored)
        if place not in moved and path not in now and path.startswith(inside) and (is_table or _is_gone(path))
    ]
    return Plan(before, catalog, new, moved, np.array(gone, np.int64), (), same, copies).checked()


def _affected(
    paintings: Paintings, now: Mapping[str, str | None], inside: tuple[str, ...]
) -> tuple[list[int], dict[str, list[int]]]:
    """The places of paintings whose files are missing or have changed, and by path the places of those that have not.

    now: path -> content of the files that are there; inside: where files may be missing.
    """
    affected, unchanged = list[int](), dict[str, list[int]]()
    for place, (path, content) in enumerate(zip(paintings.texts("path"), paintings.texts("sha256"), strict=True)):
        if path in now and now[path] == content:
            unchanged.setdefault(path, []).append(place)
        elif path in now or path.startswith(inside):
            affected.append(place)
    return affected, unchanged


def _relabelled(contents: Contents, catalog: pd.DataFrame, unchanged: Mapping[str, list[int]]) -> set[int]:
    """The places of unchanged paintings that may get other labels (`Plan.relabelled`), compared some at a time.

    catalog: by path; the last row of a path counts.
    """
    paintings, base = contents.paintings, labels_of_tables(contents)
    labels = [name for name in catalog if name in paintings.names and name not in NOT_LABELS]
    last = catalog[~catalog.index.duplicated(keep="last")]
    places = sorted((place, path) for path, at in unchanged.items() for place in at)
    found = set[int]()
    for some in blocks(len(places), COMPARED):
        here, of = zip(*places[some], strict=True)
        tables = paintings.frame(here), base.frame(here), last.loc[list(of)]
        for column in labels:
            words = zip(here, *(history.words(table, str(column)) for table in tables), strict=True)
            found |= {place for place, now, then, new in words if new not in (then, now)}
    return found


def labels_of_tables(contents: Contents) -> Paintings:
    """The paintings without manual corrections."""
    said = contents.history
    return replace(contents, said=said[said["by"] == history.SYNC]).paintings


def _concerned(paintings: Paintings, catalog: Sequence[tuple[str, str | None, str]]) -> set[int]:
    """The places of paintings with a path, a content or an id of the catalog: all that added ones can affect."""
    asked = zip(("path", "sha256", "id"), zip(*catalog, strict=True), strict=False)
    known = [(name, text) for name, texts in asked for text in texts if text]
    return {place for name, text in known for place in paintings.places(name, text)}


def _contents(
    locations: Sequence[str],
    reader: Reader,
    workers: int,
    advance: Callable[[int], None],
    *,
    remembers: bool,
    rehash: bool,
) -> list[str | None]:
    """sha256 of every file; None for one that cannot be read. remembers: use the cache of hashed.py."""
    known = hashed.known(filter(_is_plain, locations)) if remembers and not rehash else {}
    left = [location for location in locations if location not in known]
    read: list[tuple[str, str, str]] = []
    with reader:

        def content(location: str) -> str | None:
            mark = hashed.print_of(location) if _is_plain(location) else ""
            try:
                with reader.open(location) as stream:
                    sha256 = content_hash(stream)
            except UnreadableImage:
                return None
            read.append((location, mark, sha256))
            return sha256

        advance(len(locations) - len(left))
        found: dict[str, str | None] = dict(known)
        for location, each in zip(left, ahead(content, left, workers=workers, most=4 * workers), strict=True):
            found[location] = each
            advance(1)
    if remembers:
        hashed.remember(read)
    return [found[location] for location in locations]


def _is_plain(location: str) -> bool:
    """Whether it is an ordinary file on this machine."""
    return not is_remote(location) and split_location(location)[1] is None


def _is_gone(location: str) -> bool:
    """Whether nothing has that name; a file that merely cannot be accessed is not gone."""
    if is_remote(location):  # not checked
        return False
    try:
        os.lstat(split_location(location)[0])
        return False
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
