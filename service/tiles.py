"""Tiles of the index's pictures, so that a browser can zoom into large ones without loading them completely.

All tiles of a picture are cut when the first is requested, since any of them needs the whole file decoded. Level 0 fits
on one tile, and each further level is twice as wide and high, up to full size.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from PIL import Image

from ..embedder.pictures.images import used

TILE = 512  # px: a dozen fill a screen
QUALITY = 88
KEPT_BYTES = 128 << 20  # bytes of JPEG tiles: 64 megapixels of a painting take about 20 MB


@dataclass(frozen=True)
class Pyramid:
    """A picture's tiles as JPEG by (level, column, row), and its size in pixels."""

    width: int
    height: int
    levels: int
    tiles: Mapping[tuple[int, int, int], bytes]

    @property
    def size_bytes(self) -> int:
        """The size of all tiles in bytes."""
        return sum(map(len, self.tiles.values()))


def tiles_of(stream: BinaryIO, max_pixels: int) -> Pyramid:
    """The tiles of an image, decoded at full size. Raises UnreadableImage."""
    return used(stream, max_pixels, cut, max_pixels=max_pixels)


def cut(rgb: Image.Image) -> Pyramid:
    """The tiles of an RGB image; those on its right and lower edges may be smaller."""
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
