"""Paintings that a table describes: which column is what, where each photograph is, and which photographs show one
object.

The museum's number is the object; it may have several photographs, or none yet. The first photograph of an object has
the object's number as its id, each further one the number and the name of its file: `43.13/detail.jpg`. Rows are gone
through some at a time (on_disk.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...errors import BadCatalog
from ..locations import is_remote
from ..pictures.formats import is_read, unread
from .headings import columns_of, numbered
from .leftovers import LeftAlone
from .on_disk import again, cut, on_disk, pieces
from .photographs import Photographs, names_in
from .tables import FRAME, Table

NAMED = 0.5  # a column holds names of images if this share of its cells does
Folders = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


@dataclass(frozen=True)
class ColumnNames:
    """How to read a table, where a guess would be wrong: headings of its columns, the images' folders, its encoding.

    qualified: count qualified works (workshop of, after ...) as works of the artist, too. before: the headings of the
    last reading, used if they are still there.
    """

    path: str | None = None
    artist: str | None = None
    title: str | None = None
    year: str | None = None
    id: str | None = None
    images: Folders | None = None
    object: str | None = None
    artist_id: str | None = None
    qualifier: str | None = None
    encoding: str | None = None
    qualified: bool = False
    before: Mapping[str, str] = field(default_factory=dict)

    @property
    def folders(self) -> list[str]:
        """The folders of images that were named."""
        if self.images is None:
            return []
        if isinstance(self.images, str | os.PathLike):
            return [os.fspath(self.images)]
        return [os.fspath(folder) for folder in self.images]


@dataclass(frozen=True)
class Recognised:
    """How a table was understood. columns: our names -> its headings; photographs: number of rows whose photograph was
    found.

    missing: objects, and named files that were not found; without: objects that have none yet; unused: photographs in
    the folders that no row names; of: the word for what `rows` counts.
    """

    headings: tuple[str, ...]
    columns: dict[str, str]
    line: int
    encoding: str | None
    sheet: str | None
    rows: int
    folders: tuple[str, ...]
    photographs: int
    missing: tuple[str, ...]
    without: tuple[str, ...]
    unused: int
    of: str = "row"


def described(
    table: Table, names: ColumnNames, url: str | None, left: LeftAlone
) -> tuple[pd.DataFrame, list[tuple[str, str]], Recognised]:
    """The paintings of a table; (path, reason) of photographs that are named twice or are ambiguous; what was
    recognised.

    url: the folder to which file names are relative, if it is not the table's own. Raises BadCatalog.
    """
    frame = table.frame()
    columns = found_columns(table, frame, names)
    first = next(_filled(frame[columns["path"]]), "") if "path" in columns else ""
    folders = names.folders or [url or _beside(table.path, first)]
    for folder in names.folders:
        if not is_remote(folder) and not os.path.isdir(folder):
            raise BadCatalog(f"{folder}: no such folder of images")
    rows = _Rows(frame, columns, Photographs(folders, bool(names.folders), left))
    if "path" not in columns:
        rows.pictured = _by_number(table, rows)
    found = on_disk(_located(some, rows) for some in rows)
    is_there = _are_there(found["path"])
    if rows.is_by_object:
        is_again = again(found, ["object", "path"])
        reason = "the photograph occurs more than once; the first counts"
        rows.problems += [(path, reason) for path in found["path"][is_again]]
        found, is_there = _with_ids(found, is_there, ~is_again), is_there[~is_again]
    facts = Recognised(
        table.headings,
        columns,
        table.line,
        table.encoding,
        table.sheet,
        len(frame),
        tuple(folders),
        int(is_there.sum()),
        tuple(name for some in cut(found, ~is_there) for name in _files(some)),
        _without(rows),
        rows.photographs.unused,
    )
    return found, [*rows.photographs.problems, *rows.problems], facts


@dataclass
class _Rows:
    """The rows of a table in our columns, some at a time, as often as needed.

    pictured: photographs of each object, if the table does not name them. What is found in them: problems; unnamed:
    objects that have a row without a photograph.
    """

    frame: pd.DataFrame
    columns: Mapping[str, str]
    photographs: Photographs
    pictured: Mapping[str, Sequence[str]] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)
    unnamed: dict[str, None] = field(default_factory=dict)

    @property
    def is_by_object(self) -> bool:
        """Whether ids are made from the numbers of objects."""
        return "object" in self.columns and "id" not in self.columns

    def __iter__(self) -> Iterator[pd.DataFrame]:
        for some in cut(self.frame):
            rows = renamed(_joined(some, self.columns), self.columns)
            if "path" not in self.columns:
                rows = rows.assign(path=["|".join(self.pictured.get(number, [])) for number in _numbers(rows)])
            yield rows


def _located(rows: pd.DataFrame, of: _Rows) -> pd.DataFrame:
    """One row for each photograph that they name, with its location, and with its id unless that needs all rows."""
    of.unnamed |= dict.fromkeys(_numbers(rows[rows["path"] == ""]))
    names = [names_in(cell) if cell else [] for cell in rows["path"].tolist()]
    found = [of.photographs.find(name) for several in names for name in several]
    of.problems += [(location, problem) for location, problem in found if problem]
    rows = rows.iloc[np.repeat(np.arange(len(rows)), [len(several) for several in names])]
    rows = rows.assign(path=_text((location for location, _ in found), rows))
    rows = rows[np.array([problem is None for _, problem in found], bool)]
    if "qualifier" in rows and "artist" in rows:
        records = zip(rows["artist"].tolist(), rows["qualifier"].tolist(), strict=True)
        rows = rows.assign(artist=_text((_record(*cells) for cells in records), rows))
    if not of.is_by_object:
        given = rows["id"].tolist() if "id" in rows else [""] * len(rows)
        pairs = zip(given, rows["path"].tolist(), strict=True)
        rows = rows.assign(id=_text((own or _as_said(path, of.photographs.folders) for own, path in pairs), rows))
    return rows.drop(columns="qualifier", errors="ignore")


def _text(cells: Iterable[str], rows: pd.DataFrame) -> pd.Series[Any]:
    """A column for these rows."""
    return pd.Series(list(cells), rows.index, dtype=object)


def _without(rows: _Rows) -> tuple[str, ...]:
    """The objects of which no row names a photograph."""
    found = dict(rows.unnamed)
    for some in rows if found else ():
        for name in _numbers(some[some["path"] != ""]):
            found.pop(name, None)
    return tuple(found)


def _are_there(paths: pd.Series[str]) -> npt.NDArray[np.bool_]:
    """Which locations (n,) are elsewhere, or those of files that exist."""
    each = (path for some in cut(paths) for path in some.tolist())
    return np.fromiter((is_remote(path) or os.path.lexists(path) for path in each), bool, len(paths))


def _files(rows: pd.DataFrame) -> list[str]:
    """The photographs as messages name them."""
    return [f"{number}: {os.path.basename(path)}" for number, path in zip(_numbers(rows), rows["path"], strict=True)]


def _joined(frame: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    """Join several columns of artists, or of photographs, into the first one."""
    for ours, between in (("artist", "; "), ("path", "|")):
        first = columns.get(ours)
        more = [] if first is None else numbered(first, [str(name) for name in frame if name not in columns.values()])
        if first is not None and more:
            cells = frame[[first, *more]].itertuples(index=False, name=None)
            frame = frame.assign(**{first: [between.join(cell for cell in row if cell) for row in cells]})
    return frame


def found_columns(table: Table, frame: pd.DataFrame, names: ColumnNames) -> dict[str, str]:
    """Our column -> the table's heading: as the user names it, as in the last reading, else the best guess."""
    named = {
        ours: theirs
        for ours in ("path", "artist", "title", "year", "id", "object", "artist_id", "qualifier")
        if (theirs := getattr(names, ours)) is not None
    }
    for theirs in named.values():
        if theirs not in frame:
            raise BadCatalog(f"{table.path}: no column named {theirs!r} (it has {listing(table.headings)})")
    before = {
        ours: theirs
        for ours, theirs in names.before.items()
        if ours not in named and theirs in frame and theirs not in named.values()
    }
    return columns_of(list(frame.columns), before | named, lambda heading: _holds_images(frame[heading]))


def renamed(table: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    """The table with our names first; other columns keep theirs, unless one of ours needs it."""
    ours = {ours: table[theirs] for ours, theirs in columns.items()}
    others = {name: table[name] for name in table.columns if name not in columns.values() and name not in RESERVED}
    return pd.DataFrame(ours | others, index=table.index)


RESERVED = ("id", "path", "artist", "title", "year", "object", "artist_id", "qualifier", "attribution", "artist_key")


def listing(names: Iterable[object]) -> str:
    """Names of columns as one line of text."""
    return ", ".join("".join(c if c.isprintable() else " " for c in str(name)) for name in names)[:150]


def _holds_images(cells: pd.Series[str]) -> bool:
    filled = [name for cell in islice(_filled(cells), 1000) for name in names_in(cell)]
    return sum(is_read(name) or unread(name) is not None for name in filled) > NAMED * len(filled)


def _filled(cells: pd.Series[str]) -> Iterator[str]:
    """The cells that are not empty."""
    return (cell for some in cut(cells) for cell in some.tolist() if cell)


def _beside(path: Path, first: str) -> str:
    """The folder of a table's files, of which this is the first."""
    beside = path.parent / "images"
    try:
        is_there = (beside / first).is_file() and not (path.parent / first).is_file()
    except (OSError, ValueError):
        return str(path.parent)
    return str(beside if is_there else path.parent)


def _by_number(table: Table, rows: _Rows) -> dict[str, list[str]]:
    """For a table without file names: the photographs whose names begin with an object's number."""
    is_deep = rows.photographs.is_deep
    numbers = (number for some in rows for number in _numbers(some) if number)
    found = rows.photographs.of_objects(numbers) if is_deep else {}
    if not found:
        where = "" if is_deep else ", or the folder of photographs named by object numbers with --images"
        how = "ColumnNames(path=...)" if table.path == Path(FRAME) else f"--image-column{where}"
        raise BadCatalog(
            f"{table.path}: no column with the file names (it has {listing(table.headings)}); name it with {how}"
        )
    return found


def _numbers(rows: pd.DataFrame) -> pd.Series[str]:
    """How each row is named in messages: by its object, id or title, else by its line."""
    found: pd.Series[str] = pd.Series([f"row {line}" for line in rows.index], index=rows.index, dtype=object)
    for name in ("title", "id", "object"):
        if name in rows:
            found = rows[name].where(rows[name] != "", found)
    return found


def _with_ids(rows: pd.DataFrame, is_there: npt.NDArray[np.bool_], is_kept: npt.NDArray[np.bool_]) -> pd.DataFrame:
    """The kept ones of n rows. Their ids: the object's number for its first photograph that exists, the number and the
    file's name for others."""
    by_presence = np.argsort(~is_there, kind="stable")
    objects = pd.Series(pd.factorize(rows["object"])[0][by_presence])
    is_first = np.zeros(len(rows), bool)
    is_first[by_presence[~objects.duplicated()]] = True

    def named(some: pd.DataFrame, is_first: npt.NDArray[np.bool_]) -> pd.DataFrame:
        each = zip(some["object"].tolist(), some["path"].tolist(), is_first, strict=True)
        return some.assign(id=_text((_id(*facts) for facts in each), some))

    places = pieces(len(rows))
    return on_disk(named(rows.iloc[some], is_first[some])[is_kept[some]] for some in places)


def _id(number: str, path: str, is_first: bool) -> str:
    name = os.path.basename(path)
    if not number:
        return name
    return number if is_first else f"{number}/{name}"


def _as_said(path: str, folders: Sequence[str]) -> str:
    """A file's name below the folder, with slashes; its whole path if it is elsewhere."""
    for folder in folders:
        start = folder.rstrip("/") + "/"
        if path.startswith(start):
            return path[len(start) :]
    return path


def _record(artist: str, qualifier: str) -> str:
    """`Workshop of` in a column of its own, and the name, as one record."""
    if not artist or not qualifier:
        return artist
    return f"{artist} ({qualifier})"
