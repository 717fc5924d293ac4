"""Which paintings of an index show the same picture as the query: their files are read again and compared.

Only the nearest paintings are compared, and only if their files have not changed since they were indexed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from typing import TypeVar

from ...embedder.catalogs.photographs import spellings
from ...embedder.locations import Reader, content_hash
from ...embedder.pictures.images import MAX_PIXELS, Source
from ...embedder.runtime import ImageLike
from ...errors import UnreadableImage
from ..storage.vector_store import Painting, VectorStore
from .same_picture import IDENTICAL, Reach, SamePicture, Seen, greys, may_be_alike, same_picture, seen
from .search import Neighbour, Query, Twin

T = TypeVar("T")
LOOKED_AT = 5  # of the nearest


def seen_painting(painting: Painting, content: str, reader: Reader) -> Seen | None:
    """The photograph of a painting of the index; None if its file is missing or has changed."""
    return _of_painting(painting, content, reader, _seen(reader))


def seen_image(store: VectorStore, image: ImageLike, query: Query, reader: Reader) -> Seen | None:
    """The image of the query: a file, bytes, or a painting of the index."""
    return _of_image(store, image, query, reader, _seen(reader))


def _seen(reader: Reader) -> Callable[[Source, str], Seen]:
    return lambda image, content: seen(image, content, max_pixels=reader.max_pixels)


def _of_painting(painting: Painting, content: str, reader: Reader, use: Callable[[Source, str], T]) -> T | None:
    if not painting.path:
        return None
    try:
        with reader.open(painting.path) as stream:
            if content and content_hash(stream) != content:
                return None
            return use(stream, content)
    except UnreadableImage:
        return None


def _of_image(
    store: VectorStore, image: ImageLike, query: Query, reader: Reader, use: Callable[[Source, str], T]
) -> T | None:
    """The result of `use` for the image and the sha256 of its bytes (empty if it has none); None if it cannot be
    read."""
    if isinstance(image, str | os.PathLike) and query.painting is not None:
        return _of_painting(query.painting, _content(store, query.painting), reader, use)
    try:
        if isinstance(image, str | os.PathLike):
            with reader.open(query.name) as stream:  # the file that was found for it
                return use(stream, content_hash(stream))
        return use(image, hashlib.sha256(image).hexdigest() if isinstance(image, bytes) else "")
    except UnreadableImage:
        return None


def of_pair(
    store: VectorStore,
    images: tuple[ImageLike, ImageLike],
    queries: tuple[Query, Query],
    distance: float,
    reach: Reach,
    max_pixels: int = MAX_PIXELS,
) -> SamePicture | None:
    """Whether the two images of a pair show one picture."""
    if distance >= reach.near and all(_is_by_id(image, query) for image, query in zip(images, queries, strict=True)):
        return None  # no files are read for two distant paintings of the index: the distance answers in a millisecond
    contents = [_content(store, query.painting) if query.painting else "" for query in queries]
    if contents[0] and contents[0] == contents[1]:
        return SamePicture((IDENTICAL,))
    with Reader(max_pixels) as reader:
        asked = list(zip(images, queries, strict=True))
        if distance >= reach.near:
            small = [
                _of_image(store, *each, reader, lambda image, _: greys(image, max_pixels=max_pixels)) for each in asked
            ]
            if small[0] is None or small[1] is None or not may_be_alike(small[0], small[1]):
                return None
        a, b = (seen_image(store, image, query, reader) for image, query in asked)
        return None if a is None or b is None else same_picture(a, b)


def identical(store: VectorStore, query: Query, is_by_id: bool) -> tuple[Twin, ...]:
    """The paintings with the same bytes as the query; no file is read.

    is_by_id: the query is a painting of the index; other photographs of its object are then not reported.
    """
    known = query.painting
    content = _content(store, known) if known is not None else ""
    others = store.paintings(store.places("sha256", content)) if content else ()
    return tuple(
        Twin(painting, SamePicture((IDENTICAL,)))
        for painting in others
        if known is None or not is_by_id or not _is_one_object(painting, known)
    )


def of_query(
    store: VectorStore,
    image: ImageLike,
    query: Query,
    near: Sequence[Neighbour],
    reach: Reach,
    max_pixels: int = MAX_PIXELS,
) -> tuple[Twin, ...]:
    """The paintings that show the same picture as the query: those with its bytes, and very near ones that match it.

    Less near ones are compared only by `pair` and review: a comparison takes 0.2 s, an answer a hundredth of that.
    """
    found = list(identical(store, query, _is_by_id(image, query)))
    close = [each.painting for each in near[:LOOKED_AT] if each.distance < reach.very_near]
    if not close:
        return tuple(found)
    with Reader(max_pixels) as reader:
        own = seen_image(store, image, query, reader)
        if own is None:
            return tuple(found)
        for painting in close:
            other = seen_painting(painting, _content(store, painting), reader)
            if other is not None and (how := same_picture(own, other)) is not None:
                found.append(Twin(painting, how))
    return tuple(found)


def _is_by_id(image: ImageLike, query: Query) -> bool:
    known = query.painting
    return known is not None and isinstance(image, str) and known.id in spellings(image.removeprefix("id:"))


def _content(store: VectorStore, painting: Painting) -> str:
    return store.contents(store.places("id", painting.id)[:1])[0]


def _is_one_object(a: Painting, b: Painting) -> bool:
    return a.id == b.id or (a.object is not None and a.object == b.object)
