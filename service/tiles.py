"""Tiles of the index's pictures, so that a browser can look closely into large ones without taking them whole.

A picture's tiles are cut at once when the first is asked for, since its file must be decoded whole for any of them, and
kept a while. Level 0 fits on one tile, and each level after it is twice as wide and high, up to the picture as it is.
"""

from __future__ import annotations

import asyncio
import io
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from PIL import Image

from ..embedder.pictures.images import used
from ..index.storage.vector_store import Painting
from .pictures import Pictures

TILE = 512  # px: a screen has a dozen
QUALITY = 88
KEPT_BYTES = 128 << 20  # of tiles as JPEG: 64 megapixels of paint take about 20 MB


@dataclass(frozen=True)
class Pyramid:
    """A picture's tiles as JPEG by (level, column, row), and its size in pixels."""

    width: int
    height: int
    levels: int
    tiles: Mapping[tuple[int, int, int], bytes]

    @property
    def size_bytes(self) -> int:
        """Of all its tiles."""
        return sum(map(len, self.tiles.values()))


class Tiles:
    """Cuts pictures and keeps the latest. For one event loop."""

    def __init__(self, pictures: Pictures, max_pixels: int) -> None:
        self._pictures = pictures
        self._max_pixels = max_pixels
        self._kept: OrderedDict[str, Pyramid] = OrderedDict()
        self._cutting: dict[str, asyncio.Future[Pyramid]] = {}

    async def of(
        self, painting: Painting, sha256: str, run: Callable[[Callable[[], Pyramid]], Awaitable[Pyramid]]
    ) -> Pyramid:
        """A painting's tiles, cut once by whoever asks first; run: does it in a thread. Raises UnreadableImage."""
        if known := self._kept.get(sha256):
            self._kept.move_to_end(sha256)
            return known
        cutting = self._cutting.get(sha256)
        if cutting is None:
            cutting = self._cutting[sha256] = asyncio.ensure_future(run(lambda: self._cut(painting, sha256)))
            cutting.add_done_callback(lambda done: self._keep(sha256, done))
        return await asyncio.shield(cutting)  # who leaves must not stop it for the others

    def _cut(self, painting: Painting, sha256: str) -> Pyramid:
        most = self._max_pixels
        return self._pictures.use(
            painting,
            sha256,
            lambda stream: used(stream, most, cut, max_pixels=most),  # never reduced
        )

    def _keep(self, sha256: str, done: asyncio.Future[Pyramid]) -> None:
        del self._cutting[sha256]
        if done.cancelled() or done.exception():
            return
        self._kept[sha256] = done.result()
        while len(self._kept) > 1 and sum(each.size_bytes for each in self._kept.values()) > KEPT_BYTES:
            self._kept.popitem(last=False)


def cut(rgb: Image.Image) -> Pyramid:
    """The tiles of an RGB image; those on its right and lower edges are smaller."""
    images = [rgb]
    while max(images[-1].size) > TILE:
        images.append(images[-1].reduce(2))
    tiles = {
        (level, left // TILE, top // TILE): _jpeg(
            image.crop((left, top, min(left + TILE, image.width), min(top + TILE, image.height)))
        )
        for level, image in enumerate(reversed(images))
        for top in range(0, image.height, TILE)
        for left in range(0, image.width, TILE)
    }
    return Pyramid(rgb.width, rgb.height, len(images), tiles)


def _jpeg(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue()
