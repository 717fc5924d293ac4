"""Paintings that IIIF manifests and collections describe, as a table: Presentation API 2 and 3, here or on the web.

The headings of that table are the labels of the manifests' metadata, so it is read like any museum's table
(headings.py). Images are requested from the Image API at the size that a model needs; only addresses below an allowed
prefix are fetched, a few at once (web.py). A local file may name only others in its own folder and below.

A manifest is an object, and so is a canvas that has its own metadata. The number of documents, their depth and their
content are bounded; what is left out is reported.
"""

from __future__ import annotations

import json
import os
import re
from collections import ChainMap, Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock
from urllib.parse import unquote, urljoin, urlsplit

import pandas as pd

from ...errors import BadCatalog, UnreadableImage
from ...files import open_plain
from ..locations import Remote, is_remote
from ..parallel import Bar, ahead
from ..pictures.formats import is_read
from ..web import AT_ONCE, FRESH_S
from .described import ColumnNames, Recognised, found_columns, renamed
from .headings import columns_of
from .leftovers import LeftAlone
from .photographs import Photographs
from .presentation import Found, Object, Picture, read
from .tables import Table, is_table

MAX_DOCUMENT_BYTES = 16 << 20  # at most 350 MB as Python objects; one is parsed at a time
MAX_DOCUMENTS = 200_000
MAX_DEPTH = 12  # of collections in collections
MAX_PICTURES = 1_000_000
MAX_TEXT = 256 << 20  # characters of all metadata
MAX_CELLS = 20_000_000  # of the table: a million pictures with 20 headings, 20,000 with a thousand
READ_S = 60.0
LABEL = "label"  # our heading for what a manifest is called
OWN = ("manifest", "canvas", "canvas_size", "image_service", "url")  # our columns, beside those of the metadata
CHOICES = "further images of one view, such as an x-ray"
NOT_IMAGES = re.compile(r"manifest(\.json)?|info\.json|iiif|presentation|v?[23](\.\d)?|", re.IGNORECASE)


def is_document(source: str) -> bool:
    """Whether to read it as a manifest or a collection; on the web, everything that is neither a table nor an image."""
    name = source.partition("?")[0].rstrip("/").lower()
    is_other = is_table(name) or is_read(name) or name.endswith(".parquet")
    return name.endswith((".json", ".jsonld")) or (name.startswith("https://") and not is_other)


@dataclass(frozen=True)
class _Row:
    """A picture of an object. number: of the object, if its metadata have none."""

    object: Object
    picture: Picture
    number: str
    labels: Mapping[str, str]
    where: str  # the document


@dataclass
class _Walk:
    """What was found so far. seen: documents that were read or requested."""

    remote: Remote
    root: Path | None
    rows: list[_Row] = field(default_factory=list)
    without: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    choices: int = 0
    text: int = 0  # characters of metadata
    unfolding: Lock = field(default_factory=Lock)
    seen: set[str] = field(default_factory=set)


def paintings(
    source: str, names: ColumnNames, remote: Remote, least: int, left: LeftAlone, bar: Bar
) -> tuple[pd.DataFrame, list[tuple[str, str]], Recognised]:
    """The paintings of a manifest, or of everything in a collection; (where, reason) of what was left out.

    least: pixels of the shorter side that a model needs. Raises BadCatalog; UnreachableStorage.
    """
    walk = _Walk(remote, None if is_remote(source) else Path(os.path.realpath(source)).parent)
    _walk(source, walk, bar)
    if not walk.rows:
        why = "; ".join(f"{where}: {reason}" for where, reason in walk.skipped[:1])
        raise BadCatalog(f"{source}: no images in it{f' ({why})' if why else ''}")
    left.count(CHOICES, walk.choices)
    return _table(source, names, walk, least, left)


def _walk(source: str, walk: _Walk, bar: Bar) -> None:
    """Read documents level by level."""
    level, depth = [source], 0
    walk.seen.add(source)
    while level and depth <= MAX_DEPTH:
        fresh_s = FRESH_S if depth else 0  # the document that the user names is fetched anew, as a table is
        following: list[str] = []
        with bar(len(level), "reading manifests") as advance:
            read_one = partial(_document, walk=walk, fresh_s=fresh_s)
            for where, found in zip(level, ahead(read_one, level, workers=AT_ONCE, most=4 * AT_ONCE), strict=True):
                advance(1)
                if isinstance(found, Found):
                    following += _taken(where, found, walk)
                elif depth == 0:
                    raise BadCatalog(f"{where}: {found}")
                else:
                    walk.skipped.append((where, found))
        if len(walk.seen) > MAX_DOCUMENTS:
            raise BadCatalog(f"{source}: leads to more than {MAX_DOCUMENTS:,} documents; give its parts one by one")
        level, depth = following, depth + 1
    walk.skipped += [(each, f"more than {MAX_DEPTH} collections deep") for each in level]


def _document(where: str, walk: _Walk, fresh_s: float) -> Found | str:
    """The content of a document, or why it cannot be read."""
    try:
        data = _bytes(where, walk, fresh_s)
        with walk.unfolding:
            found = read(json.loads(data))
    except UnreadableImage as problem:
        return str(problem)
    except OSError as problem:
        return problem.strerror or str(problem)
    except (ValueError, RecursionError):
        return "not JSON"
    return found or "neither a IIIF manifest nor a collection, of Presentation 2 or 3"


def _bytes(where: str, walk: _Walk, fresh_s: float) -> bytes:
    if is_remote(where):
        data = walk.remote.read(where, MAX_DOCUMENT_BYTES, READ_S, fresh_s)
    else:
        with open_plain(Path(where)) as stream:
            data = stream.read(MAX_DOCUMENT_BYTES + 1)
    if len(data) > MAX_DOCUMENT_BYTES:
        raise UnreadableImage(f"a document of more than {MAX_DOCUMENT_BYTES >> 20} MB")
    return data


def _taken(where: str, found: Found, walk: _Walk) -> Iterator[str]:
    """Note the objects of a document and of those embedded in it; returns the documents that it refers to."""
    waiting = [found]
    while waiting:
        now = waiting.pop(0)
        for each in now.objects:
            _note(where, each, walk)
        waiting += [inside for node in now.inside if (inside := read(node)) is not None]
        for address in now.references:
            at, problem = _address(address, where, walk)
            if at in walk.seen:
                continue
            walk.seen.add(at)
            if problem:
                walk.skipped.append((at, problem))
            else:
                yield at


def _note(where: str, one: Object, walk: _Walk) -> None:
    walk.choices += one.choices
    name = one.label or one.address or where
    if not one.pictures:
        walk.without.append(name)
    labels = {**one.labels, LABEL: one.label}
    number = _number(one.address or where)
    walk.text += _length(labels)
    for picture in one.pictures:
        if picture.labels:  # the canvas is an object of its own, to which the manifest's labels apply, too
            own = ChainMap({**picture.labels, LABEL: picture.label or one.label}, labels)
            walk.text += _length(picture.labels)
            walk.rows.append(_Row(one, picture, _number(picture.canvas), own, where))
        else:
            walk.rows.append(_Row(one, picture, number, labels, where))
    if len(walk.rows) > MAX_PICTURES or walk.text > MAX_TEXT:
        raise BadCatalog(
            f"{where}: more than {MAX_PICTURES:,} images, or {MAX_TEXT >> 20} million characters of metadata, so far; "
            f"give the collection's parts one by one"
        )


def _length(labels: Mapping[str, str]) -> int:
    return sum(len(heading) + len(value) for heading, value in labels.items())


def _address(said: str, where: str, walk: _Walk) -> tuple[str, str | None]:
    """The address of something that a document names, and why it is not read, if it is not."""
    said = re.sub(r"^http:", "https:", said)  # old manifests write http, though their servers answer by https
    if is_remote(where):
        said = urljoin(where, said)
    if is_remote(said):
        return said, None
    if walk.root is None or urlsplit(said).scheme:
        return said, "not an address that is read here"
    path = os.path.realpath(os.path.join(os.path.dirname(where), unquote(said)))
    if not path.startswith(os.path.join(walk.root, "")):
        return said, f"leads out of the folder {walk.root}"
    return path, None


def _number(address: str) -> str:
    """A number for an object from the address of its manifest: the last part that is not the same for all."""
    parts = [unquote(part) for part in urlsplit(address).path.split("/")]
    telling = [re.sub(r"\.json(ld)?$", "", part) for part in parts if not NOT_IMAGES.fullmatch(part)]
    return telling[-1] if telling else address


def _table(
    source: str, names: ColumnNames, walk: _Walk, least: int, left: LeftAlone
) -> tuple[pd.DataFrame, list[tuple[str, str]], Recognised]:
    frame = _frame([row.labels for row in walk.rows], walk)
    table = Table(Path(source), tuple(frame.columns), 1)
    columns = _columns(table, frame, names)
    filled, shown = _filled(frame, columns, names)
    rows = renamed(filled, columns)
    numbers = [row.number for row in walk.rows]
    if "object" in columns:
        numbers = [said or number for said, number in zip(rows["object"].tolist(), numbers, strict=True)]
    located = _located(walk, names, least, left)
    rows = rows.assign(
        path=[path for path, _ in located],
        object=numbers,
        manifest=[row.object.address or row.where for row in walk.rows],
        canvas=[row.picture.canvas for row in walk.rows],
        canvas_size=["{}x{}".format(*row.picture.size) if all(row.picture.size) else "" for row in walk.rows],
        image_service=[_service(row.picture) for row in walk.rows],
        url=[row.picture.url if row.picture.labels and row.picture.url else row.object.url for row in walk.rows],
    )
    rows = rows.assign(id=_ids(numbers, walk.rows))
    again = rows["path"].duplicated().tolist()
    problems = [
        problem or ("the image occurs more than once; the first counts" if stands_again else None)
        for (_, problem), stands_again in zip(located, again, strict=True)
    ]
    left_out = [(path, problem) for (path, _), problem in zip(located, problems, strict=True) if problem]
    rows = rows.loc[[problem is None for problem in problems]]
    if rows.empty:
        raise BadCatalog(f"{source}: none of its images can be read; the first: {': '.join(left_out[0])}")
    facts = Recognised(
        tuple(frame.columns),
        shown,
        line=1,
        encoding=None,
        sheet=None,
        rows=len({*numbers}) + len(walk.without),
        folders=_places(rows["path"].tolist()),
        photographs=len(rows),
        missing=(),
        without=tuple(walk.without),
        unused=0,
        of="object",
    )
    return rows, [*walk.skipped, *left_out], facts


def _frame(labels: Sequence[Mapping[str, str]], walk: _Walk) -> pd.DataFrame:
    """One row per picture, one column per heading, in the order of appearance; of too many headings, those that most
    pictures have."""
    counts = Counter(heading for each in labels for heading in each if heading not in (*OWN, LABEL))
    most = MAX_CELLS // len(labels)
    if len(counts) >= most:
        common = {heading for heading, _ in counts.most_common(max(0, most - 1))}
        walk.skipped.append((f"{len(counts) - len(common):,} headings", "too much metadata; the most common are kept"))
        counts = Counter({heading: count for heading, count in counts.items() if heading in common})
    columns = {heading: [each.get(heading, "") for each in labels] for heading in (LABEL, *counts)}
    return pd.DataFrame(columns, dtype="str")


def _columns(table: Table, frame: pd.DataFrame, names: ColumnNames) -> dict[str, str]:
    columns = found_columns(table, frame, names)
    columns.pop("path", None)
    if "id" in columns:  # it belongs to the object, not to each of its pictures
        columns.setdefault("object", columns.pop("id"))
    if LABEL not in columns.values():
        columns.setdefault("title", LABEL)
    return columns


def _filled(frame: pd.DataFrame, columns: dict[str, str], names: ColumnNames) -> tuple[pd.DataFrame, dict[str, str]]:
    """The same frame, with empty cells filled from other headings that mean the same, as in the manifests of several
    museums; and which headings were used for each column."""
    shown, used = dict(columns), {*columns.values()}
    while True:
        rest = [heading for heading in map(str, frame) if heading not in used]
        more = {ours: theirs for ours, theirs in columns_of(rest, {}, lambda _: False).items() if ours in columns}
        more |= {"title": LABEL} if LABEL in rest and "title" in columns else {}
        for ours, theirs in more.items():
            used.add(theirs)
            cells, others = frame[columns[ours]], frame[theirs]
            if getattr(names, ours) is None and ((cells == "") & (others != "")).any():
                frame = frame.assign(**{columns[ours]: cells.where(cells != "", others)})
                shown[ours] += f", {theirs}"
        if not more:
            return frame, shown


def _located(walk: _Walk, names: ColumnNames, least: int, left: LeftAlone) -> list[tuple[str, str | None]]:
    """Where each picture is, and why it is not read, if it is not: in the user's folders by its name, else where the
    manifest says."""
    folders = Photographs(names.folders, True, left) if names.folders else None
    found = []
    for row in walk.rows:
        if folders is not None:
            location, problem = folders.find(_name(row.picture))
            found.append((location, problem or (None if os.path.lexists(location) else "no such file")))
            continue
        at, problem = _address(row.picture.location(least), row.where, walk)
        if problem is None and is_remote(at):
            try:
                walk.remote.check(at)
            except UnreadableImage as refused:
                problem = str(refused)
        found.append((at, problem))
    return found


def _name(picture: Picture) -> str:
    """The name of a file with this picture."""
    address = picture.service.address if picture.service else picture.address
    return unquote(urlsplit(address).path.rstrip("/").rpartition("/")[2])


def _service(picture: Picture) -> str:
    """The kind and the address of the image's server, for programs that show it."""
    if picture.service is None:
        return ""
    return f"{picture.service.kind} {re.sub(r'^http:', 'https:', picture.service.address)}"


def _ids(numbers: Sequence[str], rows: Sequence[_Row]) -> list[str]:
    """The object's number for its first picture, the number and the canvas' label, or position, for others."""
    taken: set[str] = set()
    found = []
    counts: dict[str, int] = {}
    for number, row in zip(numbers, rows, strict=True):
        counts[number] = counts.get(number, 0) + 1
        further = f"{number}/{row.picture.label or counts[number]}"
        name = number if counts[number] == 1 else further
        while name in taken:
            name = f"{further}/{counts[number]}"
            counts[number] += 1
        taken.add(name)
        found.append(name)
    return found


def _places(paths: Iterable[str]) -> tuple[str, ...]:
    """The servers, or folders, of the images."""
    return tuple(
        dict.fromkeys(
            "/".join(path.split("/", 3)[:3]) + "/" if is_remote(path) else os.path.dirname(path) for path in paths
        )
    )
