"""The map of the index (projection.py), drawn once for a generation by a process of its own, and kept in a folder.

The folder is $ARTIDX_CACHE, else ~/.cache/artidx. A map that is not done yet is no error: it is asked for again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from ..index.milvus.address import TOKEN, Address
from ..index.opened import Index
from ..index.scoring.vectors import Array
from .projection import AWAY

AGAIN_S = 60.0  # until an index that was away is asked for again
# Of our environment, what a process that draws needs: no tokens, and nothing that Python would take code from.
KEPT = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "TMPDIR")
KEPT_FOR_MILVUS = (TOKEN, "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "grpc_proxy", "http_proxy", "https_proxy", "no_proxy")
log = logging.getLogger("artidx.service")


class Maps:
    """Draws one map at a time."""

    def __init__(self) -> None:
        self._folder = _folder()
        self._asked = asyncio.Lock()  # two requests at once must not both begin to draw
        self._drawing: asyncio.subprocess.Process | None = None
        self._failed: set[str] = set()
        self._again_at = 0.0  # where what is to be drawn was away
        self._known: tuple[str, Array] | None = None

    async def points(self, index: Index) -> Array | None:
        """(m, 2) where the paintings of the map lie; None while they are being drawn. Raises OSError, ValueError
        where that failed."""
        async with self._asked:
            return await self._points(index)

    async def _points(self, index: Index) -> Array | None:
        sha256 = index.store.sha256
        if self._known and self._known[0] == sha256:
            return self._known[1]
        target = self._folder / f"map-{sha256}.npy"
        if target.exists():
            self._known = sha256, await asyncio.to_thread(_read, target)
            return self._known[1]
        if sha256 in self._failed:
            raise ValueError("the map could not be drawn")
        if self._drawing is None and time.monotonic() >= self._again_at:
            self._drawing = await _started(index, sha256, target)
            self._watch = asyncio.create_task(self._wait(self._drawing, sha256))
        return None

    async def close(self) -> None:
        """Stop drawing."""
        if self._drawing:
            with suppress(ProcessLookupError):  # it has just ended
                self._drawing.kill()
            await self._watch

    async def _wait(self, process: asyncio.subprocess.Process, sha256: str) -> None:
        _, said = await process.communicate()
        if process.returncode == AWAY:
            self._again_at = time.monotonic() + AGAIN_S
            log.warning("the map is not drawn yet: %s", said.decode(errors="replace").strip())
        elif process.returncode:  # killed, too: for want of memory there is none the next time either
            self._failed.add(sha256)
            log.error("the map could not be drawn: %s", said.decode(errors="replace")[-500:])
        self._drawing = None


async def _started(index: Index, sha256: str, target: Path) -> asyncio.subprocess.Process:
    """A process that draws, from which the folder that the service was started in is far: whoever filled that folder
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
        "artidx.service.projection",
        kept_at,
        sha256,
        os.path.abspath(target),
        cwd="/",
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=environment | {"OMP_NUM_THREADS": "1"},
    )


def _read(path: Path) -> Array:
    points: Array = np.load(path, allow_pickle=False)
    if points.ndim != 2 or points.shape[1] != 2 or points.dtype != np.float32:
        raise ValueError(f"{path}: not a map; remove it")
    return points


def _folder() -> Path:
    """Where maps are kept; for this service alone where that cannot be written to."""
    with suppress(OSError, RuntimeError):  # of a user without a home
        folder = Path(os.environ.get("ARTIDX_CACHE") or "~/.cache/artidx").expanduser()
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    return Path(tempfile.mkdtemp(prefix="artidx-"))
