"""Files that hold what they should or are as they were: written aside, flushed to disk, renamed; and their hashes.

An index may have come by mail: nothing is written through a link, and a pipe or a device is not read from.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path


def write_atomically(path: Path, data: bytes) -> None:
    """The file holds `data` whole or is as it was, whatever happens meanwhile."""
    aside = path.with_name(path.name + ".part")
    aside.unlink(missing_ok=True)  # of a writer that was killed; or a link, which would lead elsewhere
    with aside.open("xb") as stream:
        stream.write(data)
    sync(aside)
    os.replace(aside, path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Flush a file or folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def open_plain(path: Path) -> io.BufferedReader:
    """A plain file, or what a link to one leads to, opened for reading.

    Raises OSError for anything else: a pipe would be waited for, and a device has no end.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a plain file", str(path))
    return os.fdopen(handle, "rb")


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
