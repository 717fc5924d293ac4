"""Paintings that a table describes: which column is what, where each photograph is, and which photographs show one
object.

The museum's number is the object; it may have several photographs, or none yet. The first photograph of an object has
the object's number as its id, each further one the number and the name of its file: `43.13/detail.jpg`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from ...errors import BadCatalog
from ..locations import is_remote
from ..pictures.formats import is_read, unread
from .headings import columns_of, numbered
from .leftovers import LeftAlone
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
    files = frame[columns["path"]].tolist() if "path" in columns else []
    folders = names.folders or [url or _beside(table.path, files)]
    for folder in names.folders:
        if not is_remote(folder) and not os.path.isdir(folder):
            raise BadCatalog(f"{folder}: no such folder of images")
    photographs = Photographs(folders, bool(names.folders), left)
    rows = renamed(_joined(frame, columns), columns)
    if "path" not in columns:
        rows = _by_number(table, rows, photographs, bool(names.folders))
    rows = rows.assign(path=pd.Series([names_in(cell) for cell in rows["path"]], index=rows.index)).explode("path")
    numbered = _numbers(rows)
    is_named = (rows["path"] != "").to_numpy(bool)
    has_some = set(numbered[is_named])
    without = tuple(
        dict.fromkeys(
            name for name, named in zip(numbered, is_named, strict=True) if not named and name not in has_some
        )
    )
    rows = rows.loc[is_named]
    found = [photographs.find(str(name)) for name in rows["path"]]
    rows = rows.assign(path=[location for location, _ in found])
    problems = [(location, problem) for location, problem in found if problem]
    rows = rows.loc[np.array([problem is None for _, problem in found], bool)]
    if "object" in columns and "id" not in columns:
        again = rows.duplicated(["object", "path"]).to_numpy(bool)
        problems += [(path, "the photograph occurs more than once; the first counts") for path in rows["path"][again]]
        rows = rows.loc[~again]
    is_there = [is_remote(path) or os.path.lexists(path) for path in rows["path"]]
    if "object" in columns and "id" not in columns:
        rows = rows.assign(id=_ids(rows, is_there))
    elif "id" in columns:
        rows = rows.assign(id=rows["id"].where(rows["id"] != "", [_as_said(path, folders) for path in rows["path"]]))
    else:
        rows = rows.assign(id=[_as_said(path, folders) for path in rows["path"]])
    if "qualifier" in rows and "artist" in rows:
        rows = rows.assign(artist=[_record(*cells) for cells in zip(rows["artist"], rows["qualifier"], strict=True)])
    missing = tuple(
        f"{number}: {os.path.basename(path)}"
        for number, path, there in zip(_numbers(rows), rows["path"], is_there, strict=True)
        if not there
    )
    facts = Recognised(
        table.headings,
        columns,
        table.line,
        table.encoding,
        table.sheet,
        len(frame),
        tuple(folders),
        sum(is_there),
        missing,
        without,
        photographs.unused,
    )
    return rows.drop(columns="qualifier", errors="ignore"), [*photographs.problems, *problems], facts


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
    filled = [name for cell in cells[cells != ""].head(1000) for name in names_in(cell)]
    return sum(is_read(name) or unread(name) is not None for name in filled) > NAMED * len(filled)


def _beside(path: Path, files: Sequence[str]) -> str:
    first = next((f for f in files if f), "")
    beside = path.parent / "images"
    try:
        is_there = (beside / first).is_file() and not (path.parent / first).is_file()
    except (OSError, ValueError):
        return str(path.parent)
    return str(beside if is_there else path.parent)


def _by_number(table: Table, rows: pd.DataFrame, photographs: Photographs, is_deep: bool) -> pd.DataFrame:
    """A table without file names: the photographs whose names begin with an object's number."""
    numbers = _numbers(rows)
    found = photographs.of_objects(number for number in numbers if number) if is_deep else {}
    if not found:
        where = "" if is_deep else ", or the folder of photographs named by object numbers with --images"
        how = "ColumnNames(path=...)" if table.path == Path(FRAME) else f"--image-column{where}"
        raise BadCatalog(
            f"{table.path}: no column with the file names (it has {listing(table.headings)}); name it with {how}"
        )
    return rows.assign(path=["|".join(found.get(number, [])) for number in numbers])


def _numbers(rows: pd.DataFrame) -> pd.Series[str]:
    """How each row is named in messages: by its object, id or title, else by its line."""
    found: pd.Series[str] = pd.Series([f"row {line}" for line in rows.index], index=rows.index, dtype=object)
    for name in ("title", "id", "object"):
        if name in rows:
            found = rows[name].where(rows[name] != "", found)
    return found


def _ids(rows: pd.DataFrame, is_there: Sequence[bool]) -> list[str]:
    """The object's number for its first photograph that exists, the number and the file's name for others."""
    first: dict[str, int] = {}
    for place, (number, there) in enumerate(zip(rows["object"], is_there, strict=True)):
        if number and (number not in first or (there and not is_there[first[number]])):
            first[number] = place
    return [
        os.path.basename(path)
        if not number
        else number
        if first[number] == place
        else f"{number}/{os.path.basename(path)}"
        for place, (number, path) in enumerate(zip(rows["object"], rows["path"], strict=True))
    ]


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
