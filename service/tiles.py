"""Tiles of the index's pictures, so that a browser can look closely into large ones without taking them whole.

A picture's tiles are cut at once when the first is asked for, since its file must be decoded whole for any of them.
Level 0 fits on one tile, and each level after it is twice as wide and high, up to the picture as it is.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from PIL import Image

from ..embedder.pictures.images import used

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


def tiles_of(stream: BinaryIO, max_pixels: int) -> Pyramid:
    """The tiles of an image, decoded as large as it is. Raises UnreadableImage."""
    return used(stream, max_pixels, cut, max_pixels=max_pixels)


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
