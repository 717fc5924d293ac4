"""Indexes on a server: what a user's word for one means, and what can be done there.

An address is only data (milvus/address.py, postgres/address.py). What speaks to its server is imported when that is
asked. Asking raises BadIndex, IndexAway where no server answers or it does not know us, and MissingPackage.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import BadSetting, MissingPackage
from .milvus import address as milvus
from .postgres import address as postgres
from .storage.address import Address

if TYPE_CHECKING:
    import pandas as pd

    from ..embedder.parallel import Bar
    from .storage.generations import Generation
    from .storage.pushed import Entries, Original, Pushed
    from .storage.stage import Stage
    from .storage.vector_store import VectorStore

EXPECTED = f"{milvus.PREFIX}http://HOST:{milvus.PORT}/COLLECTION or {postgres.PREFIXES[0]}HOST/DATABASE/NAME"


def is_address(text: str | os.PathLike[str]) -> bool:
    """Whether this means an index on a server, and not a file."""
    return milvus.is_address(text) or postgres.is_address(text)


def address_of(text: str) -> Address:
    """Read an address. Raises BadSetting."""
    if postgres.is_address(text):
        return postgres.Address.of(text)
    if milvus.is_address(text):
        return milvus.Address.of(text)
    raise BadSetting(f"{text}: not an address; expected {EXPECTED}")


def open_copy(address: Address) -> VectorStore:
    """The generation that answers there."""
    found: VectorStore = _store(address).open(address)
    return found


def published_sha256(address: Address) -> str:
    """The beginning of the sha256 of the manifest of the generation that answers there."""
    return str(_store(address).published_sha256(address))


def check(address: Address) -> None:
    """Raises its error if no copy could be made there, as far as can be known at once."""
    _store(address).check(address)


def published(address: Address) -> tuple[int, str] | None:
    """The number of the generation that answers there, and the beginning of its manifest's sha256; None for none."""
    found: tuple[int, str] | None = _store(address).published(address)
    return found


def push(original: Original, address: Address, bar: Bar) -> Pushed:
    """Copy a generation, which then answers there."""
    found: Pushed = _pushing(address).push(original, address, bar)
    return found


def check_fits(address: Address, table: pd.DataFrame, again: str) -> None:
    """Raises BadIndex if the server cannot keep a text of these paintings. again: what to do then, once corrected."""
    _pushing(address).layout.check_fits(table, again)


def write(address: Address, generation: int, sha256: str, entries: Entries) -> None:
    """Write paintings of the generation with this number and sha256, for which a push has made a table."""
    _pushing(address).write(address, generation, sha256, entries)


def writer(address: Address, generation: Generation) -> Callable[[range], None]:
    """What writes the paintings at some places of a generation, once a push has made a table for it."""
    from .storage.pushed import EntriesOf

    entries_of = EntriesOf(generation)
    return lambda part: write(address, generation.manifest.generation, generation.sha256, entries_of(part))


def written_here(address: Address, generation: Generation, parts: Sequence[range]) -> Iterator[int]:
    """Write the parts in this process, one after the other, and yield how many paintings each has (pushed.Spread)."""
    write_part = writer(address, generation)
    for part in parts:
        write_part(part)
        yield len(part)


def stage(address: Address, dim: int) -> Stage:
    """Where embeddings of this length are while an index is built there."""
    found: Stage = _staging(address).Stage(address, dim)
    return found


def _store(address: Address) -> Any:
    """The class of stores on the address's server."""
    if isinstance(address, milvus.Address):
        from .milvus.milvus_store import MilvusStore

        return MilvusStore
    try:
        from .postgres.postgres_store import PostgresStore
    except ImportError:
        raise MissingPackage(
            "an index in PostgreSQL needs psycopg and pgvector; pip install 'artidx[postgres]'"
        ) from None
    return PostgresStore


def _pushing(address: Address) -> Any:
    """The module that writes to the address's server."""
    _store(address)  # what cannot be imported is said there
    if isinstance(address, milvus.Address):
        from .milvus import push as to_milvus

        return to_milvus
    from .postgres import push as to_postgres

    return to_postgres


def _staging(address: Address) -> Any:
    """The module of embeddings on the address's server."""
    _store(address)
    if isinstance(address, milvus.Address):
        from .milvus import stage as in_milvus

        return in_milvus
    from .postgres import stage as in_postgres

    return in_postgres
