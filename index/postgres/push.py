"""Copy a generation to PostgreSQL: written aside, checked, then switched to.

Readers of the previous generation continue with it: it is dropped when the one after the next is pushed. An interrupted
push resumes when it is run again; only its last transaction changes what answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from time import monotonic
from typing import Any

import numpy as np
from psycopg import sql
from psycopg.types.json import Jsonb

from ...embedder.parallel import Bar, no_bar
from ...errors import BadIndex, IndexAway, IndexBusy
from ..storage.pushed import Entries, K, Original, Pushed
from . import layout
from .address import Address
from .layout import ARTISTS, Kind, statement
from .postgres_store import About, PostgresStore
from .server import ROWS, UNLOCKED_S, Connection, Server, connected, set_for_now

READY_S = 24 * 3600.0  # a graph of very many paintings takes hours


def push(original: Original, address: Address, bar: Bar = no_bar, kind: Kind | None = None) -> Pushed:
    """Copy a generation to PostgreSQL, where it then answers at an address. Raises BadIndex.

    kind: how vectors are searched; by default the one for this many paintings.
    """
    started = monotonic()
    server = connected(address)
    server.make_ready()
    name = layout.table_name(address.name, original.manifest.generation, original.sha256)
    with _alone(server):
        before = server.published()
        written = 0
        if before != name or not _is_whole(server, name, original):
            for frame in original.frames():
                layout.check_fits(frame, original.again)
            kind = kind or layout.kind_for(len(original), original.manifest.model.dim)
            written = _write(server, name, original, bar)
            _index(server, name, original, kind, bar)
            _write_about(server, name, original, _checked(server, name, original, kind, bar))
            PostgresStore.of(server, name)  # it is published only if it can be read back
            _publish(server, name, before, original.to_replace)
            _drop_older(server, kept={name, before})
    about = PostgresStore.of(server, name).about
    return Pushed(
        len(original), original.manifest.generation, written, about.kind.type, about.recall_at_10, monotonic() - started
    )


@contextmanager
def _alone(server: Server) -> Iterator[None]:
    """A lock against other pushes to the address, which the server releases if a push is killed. Raises IndexBusy."""
    with server.connection_of_its_own() as connection:
        found = connection.execute(
            "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (f"artidx {server.address.name}",)
        ).fetchone()
        if found != (True,):
            raise IndexBusy(f"{server.address}: another push is writing there; wait until it is done")
        yield


def _is_whole(server: Server, name: str, original: Original) -> bool:
    """Whether the generation that answers has all its paintings and facts."""
    try:
        PostgresStore.of(server, name)
    except IndexAway:
        raise
    except BadIndex:
        return False
    return _count(server, name) == len(original)


def _count(server: Server, name: str, first: int = 0, last: int = 1 << 62) -> int:
    ((found,),) = server.rows(name, "SELECT count(*) FROM {table} WHERE number BETWEEN %s AND %s", (first, last))
    return int(found)


def write(address: Address, generation: int, sha256: str, entries: Entries) -> None:
    """Write paintings of a generation into its table, which is there already. Raises BadIndex."""
    rows = list(layout.rows_of(entries.table, entries.vectors, entries.artists, entries.ranks))
    first, last = (int(entries.table["row"].iloc[at]) for at in (0, -1))
    name = layout.table_name(address.name, generation, sha256)
    connected(address).ask("write", _replacing(name, first, last, rows))


def _write(server: Server, name: str, original: Original, bar: Bar) -> int:
    """Write the paintings that are not there yet; returns their number."""
    server.ask("create a table", lambda connection: _make(connection, server.address.name, name, original))
    paintings = len(original)
    parts = [range(start, min(start + ROWS, paintings)) for start in range(0, paintings, ROWS)]
    missing = [part for part in parts if not _is_there(server, name, original, part)]
    wanted = sum(map(len, missing))
    with bar(paintings, "pushing") as advance:
        advance(paintings - wanted)
        for written in original.written(server.address, missing):
            advance(written)
    return wanted


def _is_there(server: Server, name: str, original: Original, part: range) -> bool:
    first, last = original.number(part[0]), original.number(part[-1])
    return _count(server, name, first, last) >= len(part)


def _make(connection: Connection, own: str, name: str, original: Original) -> None:
    dim = original.manifest.model.dim
    connection.execute(statement(layout.PAINTINGS, table=name, dim=dim))
    if dim <= layout.INLINE:  # every search reads them
        connection.execute(statement("ALTER TABLE {table} ALTER COLUMN vector SET STORAGE PLAIN", table=name))
    connection.execute(
        statement(
            "INSERT INTO {table} (called, generation, paintings) VALUES (%s, %s, %s) ON CONFLICT (called) DO NOTHING",
            table=own,
        ),
        (name, original.manifest.generation, len(original)),
    )


def _replacing(name: str, first: int, last: int, rows: Sequence[tuple[Any, ...]]) -> Callable[[Connection], None]:
    def work(connection: Connection) -> None:
        connection.execute(statement("DELETE FROM {table} WHERE number BETWEEN %s AND %s", table=name), (first, last))
        copy(connection, name, layout.WRITTEN, layout.TYPES, rows)

    return work


def copy(
    connection: Connection, table: str, columns: Sequence[str], types: Sequence[str], rows: Iterable[tuple[Any, ...]]
) -> None:
    """Write rows into columns of these types of a table."""
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    text = statement("COPY {table} ({names}) FROM STDIN (FORMAT BINARY)", table=table, names=names)
    with connection.cursor() as cursor, cursor.copy(text) as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)


def _index(server: Server, name: str, original: Original, kind: Kind, bar: Bar) -> None:
    """Build the indexes for lookups, and the graph of the vectors."""
    paintings = len(original)
    wanted = layout.LOOKED_UP | ({} if kind.is_exact else {"_v": layout.GRAPH})
    with bar(paintings, "indexing") as advance:
        if (found := _count(server, name)) != paintings:
            raise BadIndex(f"{server.address}: {found:,} of {paintings:,} paintings have arrived; {original.again}")
        for suffix, by in wanted.items():
            made = statement(
                "CREATE INDEX IF NOT EXISTS {index} ON {table} USING {by}",
                table=name,
                index=name + suffix,
                by=sql.SQL(by),
            )
            server.ask("index", _doing(made), READY_S)
        server.ask("index", _doing(statement("ANALYZE {table}", table=name)), READY_S)
        advance(paintings)


def _doing(made: sql.Composed) -> Callable[[Connection], object]:
    return lambda connection: connection.execute(made)


def _checked(server: Server, name: str, original: Original, kind: Kind, bar: Bar) -> About:
    """Compare a sample of paintings bit by bit and measure the recall; returns the facts to store."""
    about = About(original.manifest_text, original.columns, kind, 1.0)
    store = PostgresStore(server, name, about, original.manifest, original.sha256)
    sample, vectors = original.sample()
    with bar(len(sample), "checking") as advance:
        try:
            is_same = np.array_equal(store.vectors_at(sample).view(np.int32), vectors.view(np.int32))
        except KeyError:
            is_same = False
        if not is_same:
            raise BadIndex(f"{server.address}: a vector came back changed; drop the table {name}, and {original.again}")
        if not kind.is_exact:
            near = original.nearest(vectors)
            found = store.nearest(vectors, [K] * len(sample))
            hits = sum(
                len({*ours.places.tolist()} & {*theirs.tolist()}) for ours, theirs in zip(found, near, strict=True)
            )
            about = replace(about, recall_at_10=round(hits / near.size, 4))
        advance(len(sample))
    return about


def _write_about(server: Server, name: str, original: Original, about: About) -> None:
    dim = original.manifest.model.dim
    facts = enumerate(zip(original.artists(), original.centroids(), strict=True))
    rows = [(number, *artist, centroid) for number, (artist, centroid) in facts]

    def work(connection: Connection) -> None:
        connection.execute(
            statement("DROP TABLE IF EXISTS {table}", table=name + ARTISTS)
        )  # left by an interrupted push
        connection.execute(statement(layout.ARTISTS_TABLE, table=name + ARTISTS, dim=dim))
        columns, types = ("number", "key", "name", "paintings", "centroid"), ("int4", "text", "text", "int8", "vector")
        copy(connection, name + ARTISTS, columns, types, rows)
        connection.execute(
            statement(
                "UPDATE {table} SET manifest = %s, columns = %s, kind = %s, recall_at_10 = %s WHERE called = %s",
                table=server.address.name,
            ),
            (about.manifest, Jsonb(about.columns), about.kind.type, about.recall_at_10, name),
        )

    server.ask("write", work)


def _publish(server: Server, name: str, before: str | None, to_replace: str) -> None:
    """Switch to a generation in one transaction. Raises BadIndex if another one has been published, with what to do."""

    def work(connection: Connection) -> None:
        own = server.address.name
        connection.execute(statement("LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE", table=own))  # readers continue
        if server.published_by(connection) not in (before, name):  # ours, if the answer to the first attempt was lost
            raise BadIndex(f"{server.address}: another generation was published there in the meantime; {to_replace}")
        connection.execute(statement("UPDATE {table} SET answers = false WHERE answers", table=own))
        connection.execute(statement("UPDATE {table} SET answers = true WHERE called = %s", table=own), (name,))

    server.ask("publish", work)


def _drop_older(server: Server, kept: set[str | None]) -> None:
    """Drop the other generations; one that is being read stays until the next push."""
    own = server.address.name
    for (name,) in server.rows(own, "SELECT called FROM {table} ORDER BY generation"):
        if name not in kept:
            with suppress(IndexBusy):
                server.ask("drop a table", _dropping(own, name))


def _dropping(own: str, name: str) -> Callable[[Connection], None]:
    def work(connection: Connection) -> None:
        set_for_now(connection, {"lock_timeout": str(round(UNLOCKED_S * 1000))})
        for table in (name + ARTISTS, name):
            connection.execute(statement("DROP TABLE IF EXISTS {table}", table=table))
        connection.execute(statement("DELETE FROM {table} WHERE called = %s", table=own), (name,))

    return work
