"""Holds the index that answers now. A newer generation replaces it once it is open and warm; no request waits for that.

A request uses the index with which it began, to its end.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from ..errors import ArtidxError, Uncalibrated
from ..index.answers.same_picture import has_geometry
from ..index.opened import Index
from ..index.sources import Source
from ..index.storage.reference import Reference

LOOK_S = 1.0  # between two checks for a new generation, each of which reads one line
log = logging.getLogger("artidx.service")


class IndexHolder:
    """Holds the generation that answers."""

    def __init__(self, source: Source | None, device: str | None = None) -> None:
        """Raises ArtidxError if it cannot be opened or has no model."""
        self._renewing = asyncio.Lock()
        self._said = ""  # of a generation that cannot be opened
        self.index = Index.open(source, device=device)
        _warm(self.index)

    async def watch(self) -> None:
        """Check for a new generation until cancelled."""
        while not isinstance(self.index.source, Reference):
            await asyncio.sleep(LOOK_S)
            try:
                await self.renew()
                self._said = ""
            except (ArtidxError, OSError) as problem:  # damaged, or just being replaced: the open one stays
                if str(problem) != self._said:  # logged once, not every second
                    log.error("the new generation cannot be opened: %s", problem)
                self._said = str(problem)
            except Exception:  # a bug, or no memory: the next generation may be better
                log.exception("the new generation cannot be opened")

    async def renew(self) -> None:
        """Switch to the generation that is published now."""
        async with self._renewing:
            if await asyncio.to_thread(self.index.is_current):
                return
            index = await asyncio.to_thread(self.index.renewed)
            await asyncio.to_thread(_warm, index)
            self.index = index
            log.info("generation %d answers now, with %d paintings", index.manifest.generation, len(index))


def _warm(index: Index) -> None:
    """Load the model, and compute what the first questions would otherwise wait for."""
    _ = index.embedder, has_geometry()
    if len(index):
        query = index.query_of_id(index.store.paintings(index.store.sample(1).tolist())[0].id)
        index.nearest_to(query)
        with suppress(Uncalibrated):
            index.answer(query)
            index.pair(f"id:{query.name}", f"id:{query.name}")
