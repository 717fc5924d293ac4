"""Sheets of thumbnails for the map: 64 paintings each, in the map's order, so that a browser needs few files.

A cell has its picture in the middle, in its own proportions; the rest of the cell is transparent.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence

from PIL import Image

from ..embedder.pictures.images import picture
from ..errors import UnreadableImage
from ..index.storage.vector_store import Painting
from .pictures import Pictures

ROW = 8  # cells
ON_A_SHEET = ROW * ROW  # half a second of work for files of 100 kB
LARGE, SMALL = 128, 64  # px of a cell
MOST_LARGE = 4096  # paintings on a map with large cells: 0.3 GB on a graphics card, as much as 16,384 small ones
KEPT_BYTES = 64 << 20  # 40,000 paintings of a map, at 64 px
QUALITY = 75


def cell_of(paintings: int) -> int:
    """The side of the cells in px, for a map of this many paintings."""
    return LARGE if paintings <= MOST_LARGE else SMALL


def key_of(contents: Sequence[str], cell: int) -> str:
    """The key of a sheet, from the sha256 of its images."""
    return hashlib.sha256(" ".join([str(cell), *contents]).encode()).hexdigest()


def sheet(
    pictures: Pictures, paintings: Sequence[Painting], contents: Sequence[str], cell: int, max_pixels: int
) -> bytes:
    """A WebP of (ROW * cell) px a side, of at most ON_A_SHEET paintings and the sha256 of their images."""
    whole = Image.new("RGBA", (ROW * cell, ROW * cell))
    for number, (painting, sha256) in enumerate(zip(paintings, contents, strict=True)):
        try:
            small = pictures.use(painting, sha256, lambda stream: picture(stream, cell, max_pixels=max_pixels))
        except UnreadableImage:
            continue
        row, column = divmod(number, ROW)
        whole.paste(small, (column * cell + (cell - small.width) // 2, row * cell + (cell - small.height) // 2))
    stream = io.BytesIO()
    whole.save(stream, "WEBP", quality=QUALITY, method=2)
    return stream.getvalue()
