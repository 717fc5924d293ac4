"""artidx: an index of paintings that knows their artists.

    import artidx
    index = artidx.Index.open("paintings.artidx")
    index.pair("a.jpg", "b.jpg").same
    index.nearest("a.jpg").artists[0].artist

Names are imported when first used, so that `import artidx` is quick.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import Client
    from .embedder.catalogs.catalog import Catalog, ColumnNames, read_catalog
    from .embedder.runtime import Embedder
    from .errors import ArtidxError
    from .index.answers.search import Answer, Neighbour, RankedArtist
    from .index.answers.verify import Verdict
    from .index.changes.build import Report, Settings
    from .index.opened import Index
    from .index.storage.vector_store import Painting

_HOMES = {
    "Answer": ".index.answers.search",
    "ArtidxError": ".errors",
    "Catalog": ".embedder.catalogs.catalog",
    "Client": ".client",
    "ColumnNames": ".embedder.catalogs.catalog",
    "Embedder": ".embedder.runtime",
    "Index": ".index.opened",
    "Neighbour": ".index.answers.search",
    "Painting": ".index.storage.vector_store",
    "RankedArtist": ".index.answers.search",
    "Report": ".index.changes.build",
    "Settings": ".index.changes.build",
    "Verdict": ".index.answers.verify",
    "read_catalog": ".embedder.catalogs.catalog",
}

__all__ = [
    "Answer",
    "ArtidxError",
    "Catalog",
    "Client",
    "ColumnNames",
    "Embedder",
    "Index",
    "Neighbour",
    "Painting",
    "RankedArtist",
    "Report",
    "Settings",
    "Verdict",
    "read_catalog",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("artidx")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name], __name__), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
