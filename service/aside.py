"""What takes minutes to make of a generation: made once, by a process of its own, and kept in a folder.

The folder is the one for what can be made again (files.py); what was not asked for lately is forgotten. What is not
done yet is no error: it is asked for again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Generic, TypeVar

from ..files import cache_folder
from ..index.milvus.address import TOKEN, Address
from ..index.opened import Index

T = TypeVar("T")
AWAY = os.EX_TEMPFAIL  # the exit status where what it is to be made of cannot be reached just now
AGAIN_S = 60.0  # until an index that was away is asked for again
KEPT_FILES, KEPT_BYTES = 32, 1 << 30  # of a name in the folder, of all indexes that are served here
# Of our environment, what such a process needs: no tokens, and nothing that Python would take code from.
KEPT = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "TMPDIR")
KEPT_FOR_MILVUS = (TOKEN, "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "grpc_proxy", "http_proxy", "https_proxy", "no_proxy")
log = logging.getLogger("artidx.service")


class MadeAside(Generic[T]):
    """Makes one thing at a time, such as the map."""

    def __init__(
        self, name: str, module: str, suffix: str, read: Callable[[Path], T], said: Callable[[Index], int] = lambda _: 0
    ) -> None:
        """module: what is run to make it, with where the index is kept, the sha256 of the generation's manifest and the
        file to write; read: what is made of that file, and raises OSError or ValueError where it is damaged; said: how
        many corrections it takes into account."""
        self._name, self._module, self._suffix, self._read, self._said = name, module, suffix, read, said
        self._folder = _folder()
        self._asked = asyncio.Lock()  # two requests at once must not both begin to make it
        self._making: asyncio.subprocess.Process | None = None
        self._failed: set[Path] = set()
        self._again_at = 0.0  # where what it is made of was away
        self._known: tuple[Path, T] | None = None

    async def of(self, index: Index) -> T | None:
        """The thing of this generation; None while it is being made. Raises OSError, ValueError where that failed."""
        async with self._asked:
            return await self._of(index)

    async def before(self, index: Index) -> T | None:
        """The latest thing of the same paintings that is there, whatever has been said of them since."""
        pattern = f"{self._name}-{index.manifest.paintings_sha256}-*{self._suffix}"
        there = sorted(path for path in self._folder.glob(pattern) if path <= self.path(index))
        async with self._asked:
            return await self._read_once(there[-1]) if there else None

    @property
    def latest(self) -> T | None:
        """The thing of the last generation that was asked for and of which it was made."""
        return self._known[1] if self._known else None

    def path(self, index: Index) -> Path:
        """Where the thing of a generation is kept, once it is made."""
        said = f"{self._said(index):09d}"
        return self._folder / f"{self._name}-{index.manifest.paintings_sha256}-{said}{self._suffix}"

    async def _of(self, index: Index) -> T | None:
        target = self.path(index)
        if target.exists():
            return await self._read_once(target)
        if target in self._failed:
            raise ValueError(f"the {self._name} could not be made")
        if self._making is None and time.monotonic() >= self._again_at:
            self._making = await _started(self._module, index, target)
            self._watch = asyncio.create_task(self._wait(self._making, target))
        return None

    async def _read_once(self, path: Path) -> T:
        if self._known is None or self._known[0] != path:
            self._known = path, await asyncio.to_thread(self._read, path)
        os.utime(path)  # it is asked for, and not to be forgotten
        return self._known[1]

    async def close(self) -> None:
        """Stop making it."""
        if self._making:
            with suppress(ProcessLookupError):  # it has just ended
                self._making.kill()
            await self._watch

    async def _wait(self, process: asyncio.subprocess.Process, target: Path) -> None:
        _, said = await process.communicate()
        if process.returncode == AWAY:
            self._again_at = time.monotonic() + AGAIN_S
            log.warning("the %s is not made yet: %s", self._name, said.decode(errors="replace").strip())
        elif process.returncode:  # killed, too: for want of memory there is none the next time either
            self._failed.add(target)
            log.error("the %s could not be made: %s", self._name, said.decode(errors="replace")[-500:])
        else:
            await asyncio.to_thread(forget, self._folder, f"{self._name}-*{self._suffix}", KEPT_FILES, KEPT_BYTES)
        self._making = None


async def _started(module: str, index: Index, target: Path) -> asyncio.subprocess.Process:
    """A process that makes it, from which the folder that the service was started in is far: whoever filled that folder
    could have put modules there that Python would run."""
    is_remote = isinstance(index.source, Address)
    kept_at = str(index.source) if is_remote else os.path.abspath(index.generation.folder)
    environment = {
        name: os.environ[name] for name in (*KEPT, *(KEPT_FOR_MILVUS if is_remote else ())) if name in os.environ
    }
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        module,
        kept_at,
        index.store.sha256,
        os.path.abspath(target),
        cwd="/",
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=environment | {"OMP_NUM_THREADS": "1"},
    )


def forget(folder: Path, pattern: str, most_files: int, most_bytes: int) -> None:
    """Remove files but those last used; the very last one stays, however large it is."""
    facts = []
    for path in folder.glob(pattern):
        with suppress(FileNotFoundError):  # another service has just forgotten it
            facts.append((path.stat().st_mtime_ns, path.stat().st_size, path))
    kept_bytes = 0
    for number, (_, size, path) in enumerate(sorted(facts, reverse=True)):
        kept_bytes += size
        if number and (number >= most_files or kept_bytes > most_bytes):
            path.unlink(missing_ok=True)


def _folder() -> Path:
    """Where it is kept; for this service alone where that cannot be written to."""
    try:
        return cache_folder()
    except OSError:
        return Path(tempfile.mkdtemp(prefix="artidx-"))
