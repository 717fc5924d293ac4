"""What all requests share: the index that answers, the model, threads for decoding and searching, counters."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, TypeVar

from fastapi import Depends, Request

from ..embedder.locations import content_hash
from ..embedder.pictures.images import Pixels, check_size
from ..embedder.pictures.images import is_quick as is_quick_to_decode
from ..embedder.runtime import Embedder, available_cores
from ..errors import UnreadableImage
from ..index.answers.search import Query
from ..index.opened import Index
from ..index.scoring.vectors import Array
from . import findings, projection
from .aside import MadeAside
from .engine import Engine
from .forms import Asked
from .holder import IndexHolder
from .kept import Kept
from .metrics import Metrics
from .pictures import Pictures
from .remembered import Remembered
from .settings import ServiceSettings
from .sheets import KEPT_BYTES as SHEETS_BYTES
from .tiles import KEPT_BYTES as TILES_BYTES
from .tiles import Pyramid
from .tokens import Tokens
from .traces import Traces

T = TypeVar("T")
PARTS_BYTES = 64 << 20  # vectors of the parts of some 3,500 pictures
MAPPED = 2  # generations whose map is in use: before and after a change
FILTERED = 8  # filtered indexes, whose results people scroll through


class AppState:
    """Does the work of requests. Close it when there are no more requests."""

    def __init__(self, holder: IndexHolder, settings: ServiceSettings, traces: Traces) -> None:
        self.holder = holder
        self.settings = settings
        self.metrics = Metrics()
        self.traces = traces
        self.engine = Engine(holder.index.embedder, self.metrics, traces)
        self.maps = MadeAside("map", projection.__name__, f".{projection.MOST}.npy", projection.read)
        self._mapped: Kept[list[int]] = Kept(MAPPED)
        self.reviews = MadeAside("review", findings.__name__, ".jsonl", findings.read, lambda index: len(index.history))
        self.pictures = Pictures(settings.max_pixels)
        self.pyramids: Kept[Pyramid] = Kept(TILES_BYTES, lambda pyramid: pyramid.size_bytes)
        self._filtered: Kept[Index] = Kept(FILTERED)
        self._parts: Kept[Array] = Kept(PARTS_BYTES, lambda vectors: vectors.nbytes)
        self._one_picture = asyncio.Semaphore(1)
        self.sheets: Kept[bytes] = Kept(SHEETS_BYTES, len)
        self.tokens = Tokens(settings)
        self.writing = asyncio.Lock()
        self.added = Remembered()
        self._decoders = ThreadPoolExecutor(available_cores(), "decode")
        self._slow_decoders = ThreadPoolExecutor(available_cores(), "decode-slow", _give_way)
        self._searchers = ThreadPoolExecutor(available_cores(), "search")

    async def decoded(self, work: Callable[[], T], *sent: Asked) -> T:
        """Decode pictures in a thread.

        An uploaded picture that is much work is decoded in a low-priority thread, so that a small one need not wait for
        large ones.
        """
        streams = [asked.stream for asked in sent if asked.stream is not None]
        most = self.settings.max_pixels
        is_quick = not streams or await self.searched(lambda: all(is_quick_to_decode(each, most) for each in streams))
        return await self._timed("decode", self._decoders if is_quick else self._slow_decoders, work)

    async def decoded_aside(self, work: Callable[[], T]) -> T:
        """Decode pictures in a low-priority thread: large ones, or many."""
        return await self._timed("decode", self._slow_decoders, work)

    async def searched(self, work: Callable[[], T]) -> T:
        """Search an index in a thread."""
        return await self._timed("search", self._searchers, work)

    async def among(self, index: Index, where: str | None) -> Index:
        """The index with only the paintings for which `where` holds. Raises BadSetting."""
        if where is None:
            return index
        return await self._filtered.of(
            f"{index.store.sha256} {where}", lambda: self.searched(lambda: index.only(where))
        )

    async def mapped(self, index: Index, points: Array) -> list[int]:
        """Places of the paintings on its map, in the order of a curve through the map's points (m, 2)."""

        def ordered() -> list[int]:
            places: list[int] = index.store.sample(projection.MOST)[projection.along_curve(points)].tolist()
            return places

        return await self._mapped.of(index.store.sha256, lambda: self.searched(ordered))

    async def squares(self, asked: Asked, decode: Callable[[], Pixels]) -> Pixels:
        """The result of `decode` for an uploaded picture. Raises UnreadableImage with the picture's name."""
        try:
            check_size(asked.size_bytes, self.settings.max_pixels)
            return await self.decoded(decode, asked)
        except UnreadableImage as problem:
            raise type(problem)(f"{asked.name}: {problem}") from None

    async def parts(self, embedder: Embedder, sha256: str, decode: Callable[[], Awaitable[Pixels]]) -> Array:
        """(p, d) vectors of the parts of a picture with this content, which are kept.

        One picture's at a time: they take as long as so many questions, which have the other cores meanwhile.
        """
        key = f"{embedder.sha256} {sha256}"
        if (known := self._parts.there(key)) is not None:
            return known
        async with self._one_picture:
            squares = await decode()
            return await self._parts.of(key, lambda: self.engine.embed(embedder, squares))

    async def query(self, index: Index, asked: Asked) -> Callable[[], Query]:
        """The query for a painting, embedded unless the index has it. Raises UnreadableImage.

        The result is called in the thread that then searches, because looking up an id (which may raise
        UnknownPainting) takes no longer than a switch of threads.
        """
        stream = asked.stream
        if stream is None:
            return lambda: index.query_of_id(asked.name)
        known = await self.searched(lambda: index.query_of_content(content_hash(stream), asked.name))
        if known:
            return lambda: known
        embedder, most = index.embedder, self.settings.max_pixels
        squares = await self.squares(asked, lambda: embedder.square(stream, max_pixels=most)[None])
        vectors = await self.engine.embed(embedder, squares)
        return lambda: index.query_of_vector(vectors[0], asked.name)

    async def close(self) -> None:
        """Finish accepted work, and stop work for which nobody waits."""
        await self.maps.close()
        await self.reviews.close()
        for pool in (self._decoders, self._slow_decoders, self._searchers):
            pool.shutdown()
        self.engine.close()
        self.traces.close()

    async def _timed(self, stage: str, pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        where = self.traces.here()

        def timed() -> T:
            with self.metrics.stage(stage), self.traces.stage(stage, where):
                return work()

        return await asyncio.get_running_loop().run_in_executor(pool, timed)


def _give_way() -> None:
    """Lower the priority of this thread and of the processes it starts; only on Linux, since elsewhere it would affect
    the whole process."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


# Coroutines, because FastAPI calls plain functions in threads.
async def _state(request: Request) -> AppState:
    state: AppState = request.app.state.shared
    return state


async def _index(request: Request) -> Index:
    index: Index = request.state.index
    return index


SharedState = Annotated[AppState, Depends(_state)]
HeldIndex = Annotated[Index, Depends(_index)]  # the generation with which this request began
