"""An index for notebooks: distances and neighbours as tables, and a page that shows it.

Every distance is the same as in `pair`, to the bit. Pictures are read from the paths in the index.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from ..embedder.locations import Reader, is_remote
from ..embedder.parallel import batches
from ..embedder.pictures.images import picture
from ..errors import ArtidxError
from .answers.search import Gallery, Query
from .scoring.vectors import Doubles, distances
from .storage.vector_store import Painting, VectorStore

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 12  # paintings on the page of an index
AT_ONCE = 256  # paintings whose neighbours are searched together
SIDE = 96  # px, of their thumbnails: some 4 KB each
PICTURE_PIXELS = 50_000_000  # of an image; a larger one would take seconds to show


def distance_matrix(a: Sequence[Query], b: Sequence[Query]) -> Doubles:
    """(len(a), len(b)) distances of paintings from `Index.query` or `Index.queries`."""
    if not a or not b:
        return np.empty((len(a), len(b)))
    others = np.stack([query.vector for query in b])
    return np.stack([distances(query.vector[None], others) for query in a])


def usable(queries: Iterable[Query | ArtidxError]) -> list[Query]:
    """All of them. Raises the first error among them."""
    found = []
    for query in queries:
        if isinstance(query, ArtidxError):
            raise query
        found.append(query)
    return found


def neighbours(store: VectorStore, ids: Iterable[str], query_of: Callable[[str], Query], k: int) -> pd.DataFrame:
    """The k nearest others of each painting, one row per edge: `a` and `b` (ids) and `distance`, nearest first."""
    import pandas as pd

    rows: list[tuple[str, str, float]] = []
    for names in batches(ids, AT_ONCE):
        found = Gallery(store).nearest_paintings([query_of(name) for name in names], k)
        rows += [
            (name, near.painting.id, near.distance) for name, all_ in zip(names, found, strict=True) for near in all_
        ]
    return pd.DataFrame(rows, columns=["a", "b", "distance"])


def page(name: str, store: VectorStore, ids: Sequence[str] | None) -> str:
    """A few lines of self-contained HTML with some of the paintings. ids: of those that a filter selects; None for
    all."""
    with Reader(PICTURE_PIXELS) as reader:
        cells = [_cell(painting, reader) for painting in store.paintings(_some(store, ids))]
    return (
        f"<div><p><b>{escape(name)}</b>: {_summary(store)}</p>"
        f'<div style="display: flex; flex-wrap: wrap; gap: 8px">{"".join(cells)}</div></div>'
    )


def described(store: VectorStore) -> str:
    """One line: its name and content."""
    return f"<Index {store.name}: {_summary(store)}>"


def _some(store: VectorStore, ids: Sequence[str] | None) -> list[int]:
    """Places of at most SHOWN paintings, spread over the index."""
    if ids is None:
        return [int(place) for place in store.sample(SHOWN)]
    return [store.places("id", name)[0] for name in ids[:: max(1, len(ids) // SHOWN)][:SHOWN]]


def _summary(store: VectorStore) -> str:
    manifest, artists = store.manifest, int((store.artists.paintings > 0).sum())
    return (
        f"{len(store):,} paintings by {artists:,} artists, generation {manifest.generation}, model "
        f"{escape(manifest.model.name)}"
    )


def _cell(painting: Painting, reader: Reader) -> str:
    words = ", ".join(escape(str(word)) for word in (painting.artist, painting.title, painting.year) if word)
    return (
        f'<figure style="margin: 0; width: {SIDE + 24}px; font-size: 11px">{_picture(painting, reader)}'
        f"<figcaption>{words or escape(painting.id)}</figcaption></figure>"
    )


def _picture(painting: Painting, reader: Reader) -> str:
    """The thumbnail; empty if the picture is not available without a network."""
    if not painting.path or is_remote(painting.path):
        return ""
    saved = io.BytesIO()
    try:
        with reader.open(painting.path) as stream:
            picture(stream, SIDE, max_pixels=PICTURE_PIXELS).save(saved, "JPEG", quality=80)
    except ArtidxError as problem:
        return f"<small>{escape(str(problem))}</small>"
    return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(saved.getvalue()).decode()}">'
