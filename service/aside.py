"""Results that take minutes to compute for a generation: computed once, in a separate process, and cached in a folder.

The folder is the cache folder (files.py); results that were not used lately are removed. A result that is not ready is
no error: the client asks again.
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
from ..index.opened import Index
from ..index.storage.address import Address

T = TypeVar("T")
AWAY = os.EX_TEMPFAIL  # the exit status if the index cannot be reached at the moment
AGAIN_S = 60.0  # before an index that could not be reached is tried again
KEPT_FILES, KEPT_BYTES = 32, 1 << 30  # files of one kind in the folder, for all indexes that are served on this machine
# The environment of such a process: no tokens, and nothing from which Python would load code.
KEPT = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "TMPDIR")
log = logging.getLogger("artidx.service")


class MadeAside(Generic[T]):
    """Computes one result at a time, such as the map."""

    def __init__(
        self, name: str, module: str, suffix: str, read: Callable[[Path], T], said: Callable[[Index], int] = lambda _: 0
    ) -> None:
        """module: the program to run, with the location of the index, the sha256 of the generation's manifest and the
        file to write as arguments; read: parses that file, and raises OSError or ValueError if it is damaged; said: the
        number of corrections that a result takes into account."""
        self._name, self._module, self._suffix, self._read, self._said = name, module, suffix, read, said
        self._folder = _folder()
        self._asked = asyncio.Lock()  # two simultaneous requests must not both start it
        self._making: asyncio.subprocess.Process | None = None
        self._failed: set[Path] = set()
        self._again_at = 0.0  # if the index could not be reached
        self._known: tuple[Path, T] | None = None

    async def of(self, index: Index) -> T | None:
        """The result for this generation; None while it is being computed. Raises OSError, ValueError if that
        failed."""
        async with self._asked:
            return await self._of(index)

    async def before(self, index: Index) -> T | None:
        """The latest result for the same paintings, whatever corrections have been made since."""
        pattern = f"{self._name}-{index.manifest.paintings_sha256}-*{self._suffix}"
        there = sorted(path for path in self._folder.glob(pattern) if path <= self.path(index))
        async with self._asked:
            return await self._read_once(there[-1]) if there else None

    @property
    def latest(self) -> T | None:
        """The result for the last generation that was asked for and is ready."""
        return self._known[1] if self._known else None

    def path(self, index: Index) -> Path:
        """The file of the result for a generation, once it is ready."""
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
        os.utime(path)  # marks it as used
        return self._known[1]

    async def close(self) -> None:
        """Stop computing it."""
        if self._making:
            with suppress(ProcessLookupError):  # it has just ended
                self._making.kill()
            await self._watch

    async def _wait(self, process: asyncio.subprocess.Process, target: Path) -> None:
        _, said = await process.communicate()
        if process.returncode == AWAY:
            self._again_at = time.monotonic() + AGAIN_S
            log.warning("the %s is not made yet: %s", self._name, said.decode(errors="replace").strip())
        elif process.returncode:  # killed, too: if memory was too small, it will be the next time
            self._failed.add(target)
            log.error("the %s could not be made: %s", self._name, said.decode(errors="replace")[-500:])
        else:
            await asyncio.to_thread(forget, self._folder, f"{self._name}-*{self._suffix}", KEPT_FILES, KEPT_BYTES)
        self._making = None


async def _started(module: str, index: Index, target: Path) -> asyncio.subprocess.Process:
    """A process that computes it, in another current folder than the service's: that might contain modules which Python
    would run."""
    if isinstance(index.source, Address):
        kept_at, needed = str(index.source), (*KEPT, *index.source.environment)
    else:
        kept_at, needed = os.path.abspath(index.generation.folder), KEPT
    environment = {name: os.environ[name] for name in needed if name in os.environ}
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
    """Remove all but the most recently used files; the last one stays, however large it is."""
    facts = []
    for path in folder.glob(pattern):
        with suppress(FileNotFoundError):  # another service has just removed it
            facts.append((path.stat().st_mtime_ns, path.stat().st_size, path))
    kept_bytes = 0
    for number, (_, size, path) in enumerate(sorted(facts, reverse=True)):
        kept_bytes += size
        if number and (number >= most_files or kept_bytes > most_bytes):
            path.unlink(missing_ok=True)


def _folder() -> Path:
    """The folder of results; a temporary one for this service if that cannot be written to."""
    try:
        return cache_folder()
    except OSError:
        return Path(tempfile.mkdtemp(prefix="artidx-"))
