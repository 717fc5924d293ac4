"""The index that answers now. A newer generation takes its place once it is open and warm; nobody waits for it.

A request keeps the index it began with, to its end.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from ..errors import ArtidxError, Uncalibrated
from ..index.answers.same_picture import has_geometry
from ..index.opened import Index
from ..index.sources import Source

LOOK_S = 1.0  # between two looks for a new generation: the reading of a line
log = logging.getLogger("artidx.service")


class IndexHolder:
    """Holds the generation that answers."""

    def __init__(self, source: Source, device: str | None = None) -> None:
        """Raises ArtidxError where it cannot be opened or has no model."""
        self._renewing = asyncio.Lock()
        self._said = ""  # of what cannot be opened
        self.index = Index.open(source, device=device)
        _warm(self.index)

    async def watch(self) -> None:
        """Look for a new generation until cancelled."""
        while self.index.source is not None:
            await asyncio.sleep(LOOK_S)
            try:
                await self.renew()
                self._said = ""
            except (ArtidxError, OSError) as problem:  # damaged, or just being replaced: what is open goes on answering
                if str(problem) != self._said:  # once, not every second
                    log.error("the new generation cannot be opened: %s", problem)
                self._said = str(problem)
            except Exception:  # a bug, or no memory: the next generation may be better
                log.exception("the new generation cannot be opened")

    async def renew(self) -> None:
        """Take up what is published now."""
        async with self._renewing:
            if await asyncio.to_thread(self.index.is_current):
                return
            index = await asyncio.to_thread(self.index.renewed)
            await asyncio.to_thread(_warm, index)
            self.index = index
            log.info("generation %d answers now, with %d paintings", index.manifest.generation, len(index))


def _warm(index: Index) -> None:
    """Load the model and work out what the first questions would have to wait for."""
    _ = index.embedder, has_geometry()
    if len(index):
        query = index.query_of_id(index.store.paintings(index.store.sample(1).tolist())[0].id)
        index.nearest_to(query)
        with suppress(Uncalibrated):
            index.answer(query)
            index.pair(f"id:{query.name}", f"id:{query.name}")
