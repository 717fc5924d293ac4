"""A cache of what was fetched from the web: an interrupted run does not ask a museum for anything twice.

One file per object in the cache folder (`cache_folder` in files.py): a line of JSON with the address and the server's
validators (ETag, Last-Modified), then the bytes. An incomplete file is ignored. If nothing can be written, work
continues without a cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..files import cache_folder, open_plain

MOST_BYTES = 10 << 30  # of all files; beyond that the oldest are removed, a tenth at once
MAX_HEADER_BYTES = 16 << 10


@dataclass(frozen=True)
class Fetched:
    """An object, when the server last confirmed it, and the validators for asking whether it has changed."""

    data: bytes
    at: float  # seconds since 1970
    etag: str
    modified: str


def find(url: str, limit: int) -> Fetched | None:
    """The cached object of an address; None if there is none, or it has more than limit bytes."""
    try:
        path = _path(url)
        with open_plain(path) as stream:
            facts = json.loads(stream.readline(MAX_HEADER_BYTES))
            data = stream.read(limit + 1)
        if facts["url"] == url and len(data) <= limit and facts["sha256"] == hashlib.sha256(data).hexdigest():
            return Fetched(data, path.stat().st_mtime, str(facts["etag"]), str(facts["modified"]))
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        pass
    return None


def confirm(url: str) -> None:
    """Note that the server has confirmed the cached object."""
    with suppress(OSError):
        os.utime(_path(url))


class Keeper:
    """Writes what one run fetches to the cache. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bytes: int | None = None  # of all files, once they have been counted

    def keep(self, url: str, data: bytes, etag: str, modified: str) -> None:
        facts = {"url": url, "etag": etag, "modified": modified, "sha256": hashlib.sha256(data).hexdigest()}
        header = json.dumps(facts).encode() + b"\n"
        if len(header) > MAX_HEADER_BYTES:
            return
        with suppress(OSError):
            path = _path(url)
            path.parent.mkdir(parents=True, exist_ok=True)
            aside = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.part")
            aside.write_bytes(header + data)
            os.replace(aside, path)
            self._count(len(header) + len(data))

    def _count(self, more: int) -> None:
        with self._lock:
            self._bytes = _size() if self._bytes is None else self._bytes + more
            if self._bytes > MOST_BYTES:
                self._bytes = _thinned(self._bytes)


def _path(url: str) -> Path:
    name = hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()
    return cache_folder() / "web" / name[:2] / name


def _files() -> list[tuple[float, int, str]]:
    found = []
    for entry in (each for folder in os.scandir(cache_folder() / "web") for each in os.scandir(folder)):
        facts = entry.stat(follow_symlinks=False)
        found.append((facts.st_mtime, facts.st_size, entry.path))
    return sorted(found)


def _size() -> int:
    return sum(size for _, size, _ in _files())


def _thinned(size: int) -> int:
    for _, less, path in _files():
        if size <= MOST_BYTES * 0.9:
            break
        with suppress(FileNotFoundError):
            os.unlink(path)
        size -= less
    return size
