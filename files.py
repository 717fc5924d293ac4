"""Atomic writing: files are written aside, flushed to disk and renamed. Also locks, and hashes.

An index may come from strangers: nothing is written through a link, and pipes and devices are not read. Only this
module handles systems whose files and locks differ from those of Linux and macOS.
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
# Windows does not have these flags; its own is for binary files.
NO_LINK, NO_WAITING, OUR_OWN, BINARY = (
    getattr(os, f"O_{name}", 0) for name in ("NOFOLLOW", "NONBLOCK", "CLOEXEC", "BINARY")
)


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` so that the file has either all of it or its old content, whatever happens."""
    with replacing(path) as aside, aside.open("xb") as stream:
        stream.write(data)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to, for data that is too large for memory or is written by a library: at the end of the block it
    replaces `path`, complete and flushed, or nothing is changed."""
    aside = path.with_name(path.name + ".part")
    aside.unlink(missing_ok=True)  # left by a writer that was killed; or a link, which would lead elsewhere
    yield aside
    sync(aside)
    os.replace(aside, path)
    sync(path.parent)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file, created if missing. The lock is the system's, so it ends with its process, however that ends.

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
    """Lock an open file, exclusively or shared; the lock ends when the file is closed.

    Raises BlockingIOError if others hold it, OSError if the file system has no locks.
    """
    kind = portalocker.LockFlags.SHARED if shared else portalocker.LockFlags.EXCLUSIVE
    try:
        portalocker.lock(handle, kind | portalocker.LockFlags.NON_BLOCKING)
    except portalocker.AlreadyLocked:
        raise BlockingIOError(errno.EAGAIN, "locked by another") from None
    except portalocker.LockException as problem:
        raise problem.__cause__ or OSError(errno.ENOLCK, str(problem)) from None


def cache_folder() -> Path:
    """The folder for data that can be recomputed: $ARTIDX_CACHE, else ~/.cache/artidx, created if missing.

    Raises OSError if nothing can be written there, or the user has no home folder.
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
    """Flush a file or folder to the disk. Windows does not flush folders: it has its own journal."""
    if IS_WINDOWS and path.is_dir():
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def open_handle(path: Path) -> int:
    """A file opened for reading, without waiting for the writer of a pipe; child processes do not inherit it."""
    return os.open(path, os.O_RDONLY | NO_WAITING | OUR_OWN | BINARY)


def open_plain(path: Path) -> io.BufferedReader:
    """A plain file, or the target of a link to one, opened for reading.

    Raises OSError for anything else: a pipe would block, and a device has no end.
    """
    handle = open_handle(path)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a plain file", str(path))
    return os.fdopen(handle, "rb")


class Fingerprint(NamedTuple):
    """File status by which an unchanged file is recognised without reading it."""

    device: int
    number: int  # of its inode
    size: int  # bytes
    changed: int  # ns, time of the last change


def fingerprint(path: Path | str) -> Fingerprint:
    """The fingerprint of a file as it is now. Raises OSError."""
    facts = os.stat(path)
    return Fingerprint(facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)


def plain_size(path: Path) -> int:
    """The size of a plain file in bytes, to check it before a library opens it. Raises OSError as open_plain does."""
    with open_plain(path) as stream:
        return os.fstat(stream.fileno()).st_size


def strange_parts(folder: Path) -> Iterator[Path]:
    """Everything below a folder that is neither a folder nor a plain file: links, pipes, devices."""
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
