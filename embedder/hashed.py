"""Remember the hashes of files from one run to the next.

A file with the same name, inode, size and modification time is not read again. Large files of an index, which may have
several names, are recognised without the name. The hashes are in a SQLite database in the cache folder (`cache_folder`
in files.py); if there can be none, nothing is remembered and every file is read. A file that was changed and had its
time set back is not noticed: only reading everything would do that.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress

from ..files import Fingerprint, cache_folder, fingerprint

FRESH_NS = 2_000_000_000  # a file this new may be written again and keep the same modification time
WAIT_S = 5.0  # to wait for another run that is writing
LARGE = 16 << 20  # bytes: reading a smaller file is as fast as looking it up, and writes nothing into the home folder
TABLES = """
CREATE TABLE IF NOT EXISTS files (path BLOB PRIMARY KEY, print TEXT, sha256 TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS prints (print TEXT PRIMARY KEY, sha256 TEXT) WITHOUT ROWID;
"""


def known(paths: Iterable[str]) -> dict[str, str]:
    """path -> sha256 of those that have not changed since they were read."""
    found: dict[str, str] = {}
    with suppress(OSError, sqlite3.Error), closing(_database()) as database:
        database.execute("CREATE TEMP TABLE asked (path BLOB)")
        database.executemany("INSERT INTO asked VALUES (?)", ([os.fsencode(path)] for path in paths))
        for name, told, sha256 in database.execute("SELECT path, print, sha256 FROM asked JOIN files USING (path)"):
            if told == print_of(os.fsdecode(name)):
                found[os.fsdecode(name)] = sha256
    return found


def remember(files: Sequence[tuple[str, str, str]]) -> None:
    """(path, print, sha256) of files; prints by `print_of`, taken before the files were read."""
    with suppress(OSError, sqlite3.Error), closing(_database()) as database, database:
        rows = [(os.fsencode(path), mark, sha256) for path, mark, sha256 in files if mark]
        database.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", rows)


def known_by_print(files: Mapping[str, Fingerprint]) -> dict[str, str]:
    """name -> sha256 of those large files that were read with the same print."""
    found: dict[str, str] = {}
    large = {name: _text(mark) for name, mark in files.items() if mark.size >= LARGE}
    if large:
        with suppress(OSError, sqlite3.Error), closing(_database()) as database:
            for name, mark in large.items():
                row = database.execute("SELECT sha256 FROM prints WHERE print = ?", [mark]).fetchone()
                found |= {name: row[0]} if row else {}
    return found


def remember_prints(files: Iterable[tuple[Fingerprint, str]]) -> None:
    """Prints of large files, taken before they were read, and their sha256."""
    rows = [(_text(mark), sha256) for mark, sha256 in files if mark.size >= LARGE and not _is_fresh(mark)]
    if rows:
        with suppress(OSError, sqlite3.Error), closing(_database()) as database, database:
            database.executemany("INSERT OR REPLACE INTO prints VALUES (?, ?)", rows)


def _database() -> sqlite3.Connection:
    database = sqlite3.connect(cache_folder() / "files.sqlite", timeout=WAIT_S)
    database.executescript(TABLES)
    return database


def print_of(path: str) -> str:
    """What identifies the content of a file without reading it; empty if it is too new, or missing."""
    try:
        found = fingerprint(path)
    except (OSError, ValueError):
        return ""
    return "" if _is_fresh(found) else _text(found)


def _is_fresh(found: Fingerprint) -> bool:
    return time.time_ns() - found.changed < FRESH_NS


def _text(found: Fingerprint) -> str:
    return " ".join(map(str, found))
