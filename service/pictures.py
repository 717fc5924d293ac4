"""Pictures of the index's paintings for people to look at: scaled JPEGs, from their files if these still exist.

A file that has changed since it was indexed is not shown: it may be another painting.
"""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import BinaryIO, TypeVar

from PIL import Image

from ..embedder.locations import Reader, content_hash
from ..embedder.pictures.images import picture
from ..errors import UnreadableImage
from ..index.storage.vector_store import Painting

T = TypeVar("T")
QUALITY = 85
KEPT_BYTES = 64 << 20  # bytes of the latest pictures


class Pictures:
    """Makes pictures and caches the latest. Safe to share between threads."""

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._lock = threading.Lock()
        self._made: OrderedDict[tuple[str, int], bytes] = OrderedDict()

    def jpeg(self, painting: Painting, sha256: str, side: int) -> bytes:
        """The painting's picture, no side longer than `side`. Raises UnreadableImage if it cannot be shown."""
        with self._lock:
            if known := self._made.get((sha256, side)):
                self._made.move_to_end((sha256, side))
                return known
        made = self.use(painting, sha256, lambda stream: _jpeg(picture(stream, side, max_pixels=self._max_pixels)))
        with self._lock:
            self._made[sha256, side] = made
            while sum(map(len, self._made.values())) > KEPT_BYTES:
                self._made.popitem(last=False)
        return made

    def has(self, painting: Painting, sha256: str) -> bool:
        """Whether the painting's file exists and has not changed."""
        try:
            return self.use(painting, sha256, lambda _: True)
        except UnreadableImage:
            return False

    def use(self, painting: Painting, sha256: str, function: Callable[[BinaryIO], T]) -> T:
        """The result of a function on the painting's file. Raises UnreadableImage, without naming the path."""
        if not painting.path:
            raise UnreadableImage(f"{painting.id}: the index has no image of it")
        try:
            # A reader keeps archives open; a new one for each use notices replaced ones.
            with Reader(self._max_pixels) as reader, reader.open(painting.path) as stream:
                if content_hash(stream) != sha256:
                    raise UnreadableImage("its image has changed since it was indexed")
                return function(stream)
        except UnreadableImage as problem:
            raise UnreadableImage(f"{painting.id}: {str(problem).partition(':')[0]}") from None


def _jpeg(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue()
