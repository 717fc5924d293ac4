"""Where the bytes of an image come from: a file, a member of a zip archive, a row of a parquet file, object storage.

A location is one line of text, so that it fits into a table and an error message: `a/b.jpg`,
`train_1.zip::train_1/7.jpg`, `wikiart.parquet::41` (or `wikiart.parquet::picture::41` to name the column),
`s3://bucket/a/b.jpg`, `https://host/a/b.jpg`. Does not decode (images.py) nor list (catalog.py).

Object storage and the web are read through fsspec: only addresses below the prefixes that the user has allowed, without
following a redirection, and every read is bounded in bytes and time. Credentials are those that the storage's own
library finds in the environment. Web servers are asked with restraint (web.py). An error of one object is that image's
problem; storage that cannot be reached, or refuses us, stops the run, since every further image would have the same
problem.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import os
import re
import threading
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, cast

from ..errors import BadSetting, MissingPackage, UnreadableImage
from . import bounds, fetched
from .pictures.images import MAX_PIXELS, Pixels, check_size, file_limit_bytes, open_file, square
from .web import FRESH_S, Web, unreachable

SEPARATOR = "::"
IMAGE_COLUMNS = ("image", "bytes", "image_bytes", "jpg", "png")  # as data sets on Hugging Face name it
MAX_ROW_GROUP_BYTES = 2 << 30
MAX_MEMBER_BYTES = 512 << 20  # of an image in an archive, which is unpacked into memory
HELD, MAX_HELD_BYTES = 64, 512 << 20  # rows of a parquet file kept in memory: many threads read them nearly in order
READ_BYTES = 1 << 20  # of a parquet file at once
NOT_PLAIN = re.compile(r"/\.{1,2}(/|$)|[\x00-\x1f\x7f]")
NOT_PLAIN_ON_THE_WEB = re.compile(r"/\.{1,2}(/|\?|#|$)|%2e|[\\\s\x00-\x1f\x7f]", re.IGNORECASE)
KINDS = {"s3": "s3fs", "gs": "gcsfs", "abfs": "adlfs", "https": "aiohttp"}  # scheme -> the package that it needs
READ_S = 60.0  # an object
LIST_S = 3600.0  # the names of about ten million objects
CONNECT_S = 10.0
TRIES = 3
S3 = {
    "connect_timeout": CONNECT_S,
    "read_timeout": READ_S / TRIES,
    "retries": {"total_max_attempts": TRIES, "mode": "standard"},
}
OPTIONS: dict[str, dict[str, Any]] = {"s3": {"config_kwargs": S3}, "https": {"encoded": True}}


def split_location(location: str) -> tuple[str, str | None]:
    """`archive.zip::member` -> (archive.zip, member); a plain file -> (path, None)."""
    found = SEPARATOR in location and re.search(rf"\.(zip|parquet){SEPARATOR}", location, re.IGNORECASE)
    if found:
        return location[: found.end() - len(SEPARATOR)], location[found.end() :]
    return location, None


def is_remote(location: str) -> bool:
    """Whether a location is not on this machine."""
    return location.partition("://")[0] in KINDS and "://" in location


def absolute(location: str) -> str:
    """The same location, readable from any folder."""
    if is_remote(location):
        return location
    container, inside = split_location(location)
    return os.path.abspath(container) + (SEPARATOR + inside if inside is not None else "")


class Reader:
    """Opens locations; keeps archives open between calls. Safe to share between threads; close when done."""

    def __init__(self, max_pixels: int = MAX_PIXELS, allowed: Sequence[str] = (), fresh_s: float = FRESH_S) -> None:
        """allowed: prefixes of object storage that may be read; fresh_s: maximal age of what is cached from the web."""
        self.max_pixels = bounds.PIXELS.checked("max pixels", max_pixels)
        self._remote = Remote(allowed) if allowed else None
        self._fresh_s = fresh_s
        self._lock = threading.Lock()
        self._archives: dict[str, zipfile.ZipFile] = {}
        self._tables: dict[str, _ParquetImages] = {}

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        with self._lock:
            for archive in self._archives.values():
                archive.close()
            for table in self._tables.values():
                table.close()
            self._archives.clear()
            self._tables.clear()

    @contextmanager
    def open(self, location: str) -> Iterator[BinaryIO]:
        """The bytes at `location` as a seekable stream. Raises UnreadableImage; UnreachableStorage."""
        if is_remote(location):
            remote = self._remote or Remote()  # with nothing allowed, it has only the cache
            data = remote.read(location, file_limit_bytes(self.max_pixels), fresh_s=self._fresh_s)
            check_size(len(data), self.max_pixels)
            yield io.BytesIO(data)
            return
        container, inside = split_location(location)
        if inside is None:
            with open_file(Path(container), self.max_pixels) as stream:
                yield stream
        else:
            yield io.BytesIO(self._bytes_inside(container, inside))

    def square(self, location: str, size: int) -> Pixels:
        """The picture at `location` as images.square makes it. Raises UnreadableImage, which names the location."""
        try:
            with self.open(location) as stream:
                return square(stream, size, max_pixels=self.max_pixels)
        except UnreadableImage as problem:
            raise UnreadableImage(f"{location}: {problem}") from None

    def fingerprint(self, location: str) -> str:
        """A text that changes whenever the bytes at `location` do, without reading them; empty if there is nothing.

        It is empty for object storage, too: asking for each object is slow, and objects are rarely overwritten.
        """
        if is_remote(location):
            return ""
        container, inside = split_location(location)
        try:
            facts = Path(container).stat()
        except (OSError, ValueError):
            return ""
        return f"{facts.st_size} {facts.st_mtime_ns} {inside or ''}"

    def _bytes_inside(self, container: str, inside: str) -> bytes:
        if Path(container).exists() and not Path(container).is_file():  # a pipe would block
            raise UnreadableImage(f"not a file: {container}")
        try:
            if container.lower().endswith(".zip"):
                return self._zip_member(container, inside)
            return self._parquet_row(container, inside)
        except UnreadableImage:
            raise
        except FileNotFoundError:
            raise UnreadableImage(f"no such file: {container}") from None
        except Exception as problem:  # damaged archives raise anything: BadZipFile, zlib.error, ArrowInvalid ...
            reason = " ".join(str(problem).split()) or type(problem).__name__
            raise UnreadableImage(f"cannot be read from {Path(container).name}: {reason[:200]}") from problem

    def _zip_member(self, container: str, inside: str) -> bytes:
        with self._lock:
            if container not in self._archives:
                self._archives[container] = zipfile.ZipFile(container)
            archive = self._archives[container]
        try:
            member = archive.getinfo(inside)
        except KeyError:
            raise UnreadableImage(f"not in {Path(container).name}") from None
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others have no bound
            raise UnreadableImage(f"neither stored nor deflated in {Path(container).name}; zip it again")
        check_size(member.file_size, self.max_pixels)
        _check_member(member.file_size)
        with archive.open(member) as stream:
            data = stream.read(member.file_size + 1)  # the header may be wrong about the size
        check_size(len(data), self.max_pixels)
        return data

    def _parquet_row(self, container: str, inside: str) -> bytes:
        with self._lock:
            if container not in self._tables:
                self._tables[container] = _ParquetImages(container)
            column, _, row = inside.rpartition(SEPARATOR)
            data = self._tables[container].row(int(row), column or None)
        check_size(len(data), self.max_pixels)
        return data


def _check_member(size_bytes: int) -> None:
    if size_bytes > MAX_MEMBER_BYTES:
        raise UnreadableImage(
            f"{size_bytes / 1e6:,.0f} MB in an archive, of which at most {MAX_MEMBER_BYTES >> 20} "
            f"are unpacked into memory; unpack it to a folder"
        )


class _ParquetImages:
    """Image bytes of one parquet file by row number; keeps the last rows, since they are read nearly in order.

    One row is unpacked at a time: a file stores equal images once, so half a kilobyte can stand for gigabytes.
    """

    def __init__(self, path: str) -> None:
        import pyarrow.parquet as pq

        self._file = pq.ParquetFile(path, pre_buffer=False, buffer_size=READ_BYTES)  # else whole row groups are loaded
        self._names: list[str] = self._file.schema_arrow.names
        sizes = [self._file.metadata.row_group(i).num_rows for i in range(self._file.metadata.num_row_groups)]
        self._starts = [sum(sizes[:i]) for i in range(len(sizes) + 1)]
        self._reading: tuple[object, Iterator[Any]] = (None, iter(()))
        self._held: dict[int, bytes | None] = {}  # of the open row group, in order of their position
        self._next = 0

    def row(self, number: int, column: str | None) -> bytes:
        column = image_column(self._names, column)
        if not 0 <= number < self._starts[-1]:
            raise UnreadableImage(f"no row {number}")
        group = next(i for i, start in enumerate(self._starts[1:]) if number < start)
        data = self._data(group, column, number - self._starts[group])
        if data is None:
            raise UnreadableImage("no image bytes in this row")
        return data

    def _data(self, group: int, column: str, wanted: int) -> bytes | None:
        is_behind = wanted not in self._held and wanted < self._next
        if self._reading[0] != (group, column) or is_behind:
            if self._file.metadata.row_group(group).total_byte_size > MAX_ROW_GROUP_BYTES:
                raise UnreadableImage("row group over 2 GB; rewrite the file with smaller row groups")
            self._held, self._next = {}, 0
            self._reading = (group, column), self._file.iter_batches(1, [group], [column], use_threads=False)
        while wanted not in self._held:
            value = next(self._reading[1]).column(0)[0].as_py()
            data = value.get("bytes") if isinstance(value, dict) else value
            self._held[self._next] = data if isinstance(data, bytes) else None
            self._next += 1
            while len(self._held) > HELD or (len(self._held) > 1 and self._held_bytes() > MAX_HELD_BYTES):
                self._held.pop(next(iter(self._held)))
        return self._held[wanted]

    def _held_bytes(self) -> int:
        return sum(len(data or b"") for data in self._held.values())

    def close(self) -> None:
        self._file.close()


def image_column(names: list[str], named: str | None = None) -> str:
    """The column of a parquet file with the image bytes, as named or guessed. Raises UnreadableImage if there is
    none."""
    for candidate in (named,) if named else IMAGE_COLUMNS:
        if candidate in names:
            return candidate
    looked_for = named or ", ".join(IMAGE_COLUMNS)
    raise UnreadableImage(f"no column of image bytes (looked for {looked_for}); name it with --image-column")


def content_hash(stream: BinaryIO) -> str:
    """sha256 of the stream as hex; rewinds the stream."""
    stream.seek(0)
    digest = hashlib.file_digest(cast(io.BufferedReader, stream), "sha256").hexdigest()
    stream.seek(0)
    return digest


class Remote:
    """Reads objects below allowed prefixes. Safe to share between threads."""

    def __init__(self, allowed: Sequence[str] = ()) -> None:
        """allowed: such as s3://bucket/scans. Raises BadSetting for what is no such prefix."""
        self.allowed = tuple(_checked_prefix(prefix) for prefix in allowed)
        self._web = Web(lambda: self._system("https"))

    def read(self, location: str, limit: int, seconds: float = READ_S, fresh_s: float = FRESH_S) -> bytes:
        """The bytes of an object, limit + 1 at most. fresh_s: maximal age of what is cached from the web.

        If nothing is allowed, no server is asked: web objects then come from the cache, however old. Raises
        UnreadableImage; UnreachableStorage.
        """
        kind = location.partition("://")[0]
        if kind == "https" and not self.allowed and (kept := fetched.find(location, limit)):
            return kept.data
        self.check(location)
        if kind == "https":
            return self._web.read(location, limit, seconds, fresh_s)
        system = self._system(kind)
        try:
            return bytes(system.cat_file(location, start=0, end=limit + 1, timeout=seconds))
        except Exception as problem:
            raise _said(location, problem, seconds) from None

    def listing(self, folder: str) -> list[str]:
        """All objects below a folder, in order. Raises UnreachableStorage; BadSetting for the web: it has no lists."""
        self.check(folder)
        kind = folder.partition("://")[0]
        if kind == "https":
            raise BadSetting(f"{folder}: the web cannot list files; give a table of them")
        try:
            return sorted(f"{kind}://{name}" for name in self._system(kind).find(folder, timeout=LIST_S))
        except FileNotFoundError:
            return []
        except Exception as problem:
            raise _said(folder, problem, LIST_S) from None

    def check(self, location: str) -> None:
        """Raises UnreadableImage unless the location lies below an allowed prefix."""
        if (NOT_PLAIN_ON_THE_WEB if location.startswith("https:") else NOT_PLAIN).search(location):
            raise UnreadableImage("not a plain address: it contains .. or a forbidden character")
        if not any(location.startswith(prefix) for prefix in self.allowed):
            raise UnreadableImage(f"not below an allowed prefix; allow it with --allow {_parent(location)}")

    def _system(self, kind: str) -> Any:
        return self._systems[kind] if kind in self._systems else self._systems.setdefault(kind, _opened(kind))

    @cached_property
    def _systems(self) -> dict[str, Any]:
        return {}


def _opened(kind: str) -> Any:
    try:
        fsspec = importlib.import_module("fsspec")
        return fsspec.filesystem(kind, use_listings_cache=False, **OPTIONS.get(kind, {}))
    except ImportError:
        raise MissingPackage(
            f"{kind}:// needs fsspec and {KINDS[kind]}; pip install "
            + ("'artidx[web]'" if kind == "https" else f"'artidx[ray]' {KINDS[kind]}")
        ) from None


def _said(location: str, problem: Exception, seconds: float) -> Exception:
    """The failure of a read as one of our errors."""
    if isinstance(problem, UnreadableImage):
        return problem
    if isinstance(problem, FileNotFoundError):
        return UnreadableImage("no such object")
    if isinstance(problem, TimeoutError) and "Connect" not in type(problem).__name__:
        return UnreadableImage(f"took longer than {seconds:.0f} s to read")
    answer = getattr(problem.__cause__, "response", None)
    code = answer["Error"].get("Code") if isinstance(answer, dict) and "Error" in answer else None
    if code == "AccessDenied":
        return UnreadableImage("the storage refuses it (AccessDenied)")
    if code == "InvalidRange":
        return UnreadableImage("the object is empty")
    return unreachable(location, problem)


def _checked_prefix(prefix: str) -> str:
    if not is_remote(prefix) or not prefix.partition("://")[2].strip("/"):
        raise BadSetting(f"--allow {prefix}: expected such as s3://bucket/folder, with {', '.join(KINDS)}")
    return prefix.rstrip("/") + "/"


def _parent(location: str) -> str:
    kind, _, rest = location.partition("://")
    return f"{kind}://{rest.partition('/')[0]}/"
