"""Files that hold what they should or are as they were: written aside, flushed to disk, renamed; locks, and hashes.

An index may have come by mail: nothing is written through a link, and a pipe or a device is not read from. What other
systems do otherwise than Linux and macOS with files and locks is dealt with here alone.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import platform
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import portalocker

IS_WINDOWS = os.name == "nt"
# Windows has no such flags; its own is for files that are not text.
NO_LINK, NO_WAITING, OUR_OWN, BINARY = (
    getattr(os, f"O_{name}", 0) for name in ("NOFOLLOW", "NONBLOCK", "CLOEXEC", "BINARY")
)


def write_atomically(path: Path, data: bytes) -> None:
    """The file holds `data` whole or is as it was, whatever happens meanwhile."""
    with replacing(path) as aside, aside.open("xb") as stream:
        stream.write(data)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Where to write what is too large for the memory, or is written by a library: it takes the place of `path` at the
    end of the block, whole and flushed, or nothing does."""
    aside = path.with_name(path.name + ".part")
    aside.unlink(missing_ok=True)  # of a writer that was killed; or a link, which would lead elsewhere
    yield aside
    sync(aside)
    os.replace(aside, path)
    sync(path.parent)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file, made where there is none. It ends with its holder, however that ends: the system has it.

    Raises BlockingIOError, whose text says who holds it; OSError for a link, a pipe, or a folder that is read-only.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | NO_LINK | NO_WAITING | OUR_OWN, 0o666)
    with os.fdopen(handle, "r+") as lock:
        try:
            take_lock(lock.fileno())
        except BlockingIOError:
            pid, _, host = lock.read(200).strip().partition(" ")
            raise BlockingIOError(errno.EAGAIN, f"process {pid} on {host}") from None
        lock.truncate()
        lock.write(f"{os.getpid()} {platform.node()}\n")
        lock.flush()
        yield


def take_lock(handle: int, *, shared: bool = False) -> None:
    """Lock an open file, for its holder alone or for all who share it; the lock ends when the file is closed.

    Raises BlockingIOError where others hold it, OSError where the file system has no locks.
    """
    kind = portalocker.LockFlags.SHARED if shared else portalocker.LockFlags.EXCLUSIVE
    try:
        portalocker.lock(handle, kind | portalocker.LockFlags.NON_BLOCKING)
    except portalocker.AlreadyLocked:
        raise BlockingIOError(errno.EAGAIN, "locked by another") from None
    except portalocker.LockException as problem:
        raise problem.__cause__ or OSError(errno.ENOLCK, str(problem)) from None


def cache_folder() -> Path:
    """Where is kept what can be made again: $ARTIDX_CACHE, else ~/.cache/artidx, made where it is missing.

    Raises OSError where nothing can be written there, or the user has no home.
    """
    try:
        folder = Path(os.environ.get("ARTIDX_CACHE") or "~/.cache/artidx").expanduser()
    except RuntimeError as problem:
        raise OSError(errno.ENOENT, str(problem)) from None
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
    return folder


def sync(path: Path) -> None:
    """Flush a file or folder to the disk. Windows flushes no folders: it keeps its own journal of them."""
    if IS_WINDOWS and path.is_dir():
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def open_handle(path: Path) -> int:
    """A file opened for reading, a pipe without waiting for its writer; no process that we start has it."""
    return os.open(path, os.O_RDONLY | NO_WAITING | OUR_OWN | BINARY)


def open_plain(path: Path) -> io.BufferedReader:
    """A plain file, or what a link to one leads to, opened for reading.

    Raises OSError for anything else: a pipe would be waited for, and a device has no end.
    """
    handle = open_handle(path)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a plain file", str(path))
    return os.fdopen(handle, "rb")


class Fingerprint(NamedTuple):
    """By which a file that was read before is known again, without reading it: one written since has another."""

    device: int
    number: int  # of its inode
    size: int  # bytes
    changed: int  # ns, when it was last written to


def fingerprint(path: Path) -> Fingerprint:
    """Of the file as it is now. Raises OSError."""
    facts = path.stat()
    return Fingerprint(facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)


def plain_size(path: Path) -> int:
    """Bytes of a plain file, for whoever gives its name to a library. Raises OSError as open_plain does."""
    with open_plain(path) as stream:
        return os.fstat(stream.fileno()).st_size


def strange_parts(folder: Path) -> Iterator[Path]:
    """Whatever below a folder is neither a folder nor a plain file: links, pipes, devices."""
    for above, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(above, name)
            try:
                mode = path.lstat().st_mode
            except FileNotFoundError:  # another writer has just removed it
                continue
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                yield path


def sha256_of(path: Path) -> str:
    """sha256 of a plain file as hex."""
    with open_plain(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
