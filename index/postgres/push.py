"""Copy the generation of a folder to PostgreSQL: written aside, checked, then switched to.

Readers of the previous generation continue with it: it is dropped when the one after the next is pushed. An interrupted
push resumes when it is run again; only its last transaction changes what answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from psycopg import sql
from psycopg.types.json import Jsonb

from ...embedder.parallel import Bar, no_bar
from ...errors import BadIndex, IndexAway, IndexBusy
from ..scoring.artists import centroids_of
from ..storage import generations
from ..storage.generations import Generation
from ..storage.pushed import CHECKED, K, Pushed, Spread, nearest_rows, ranks, written_here
from . import layout
from .address import Address
from .layout import ARTISTS, Kind, statement
from .postgres_store import About, PostgresStore
from .server import ROWS, UNLOCKED_S, Connection, Server, connected, set_for_now

READY_S = 24 * 3600.0  # a graph of very many paintings takes hours


def push(
    index: Path, address: Address, bar: Bar = no_bar, kind: Kind | None = None, spread: Spread | None = None
) -> Pushed:
    """Copy the published generation of a folder to PostgreSQL, where it then answers at an address. Raises BadIndex.

    kind: how vectors are searched; by default the one for this many paintings. spread: who writes the paintings, if
    not this process.
    """
    started = monotonic()
    generation = generations.read(index)
    server = connected(address)
    server.make_ready()
    name = _name_of(address, generation)
    with _alone(server):
        before = server.published()
        written = 0
        if before != name or not _is_whole(server, name, generation):
            kind = kind or layout.kind_for(len(generation), generation.manifest.model.dim)
            written = _write(server, name, generation, bar, spread)
            _index(server, name, len(generation), kind, bar)
            _write_about(server, name, generation, _checked(server, name, generation, kind, bar))
            PostgresStore.of(server, name)  # it is published only if it can be read back
            _publish(server, name, before)
            _drop_older(server, kept={name, before})
    about = PostgresStore.of(server, name).about
    return Pushed(
        len(generation),
        generation.manifest.generation,
        written,
        about.kind.type,
        about.recall_at_10,
        monotonic() - started,
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


def _is_whole(server: Server, name: str, generation: Generation) -> bool:
    """Whether the generation that answers has all its paintings and facts."""
    try:
        PostgresStore.of(server, name)
    except IndexAway:
        raise
    except BadIndex:
        return False
    return _count(server, name) == len(generation)


def _count(server: Server, name: str, first: int = 0, last: int = 1 << 62) -> int:
    ((found,),) = server.rows(name, "SELECT count(*) FROM {table} WHERE number BETWEEN %s AND %s", (first, last))
    return int(found)


class Writer:
    """Writes paintings of a generation into its table, which is there already."""

    def __init__(self, address: Address, generation: Generation) -> None:
        self._server, self._generation = connected(address), generation
        self._name = _name_of(address, generation)
        self._codes, self._ranks = generation.paintings.codes, ranks(generation, layout.NOBODY)

    def __call__(self, part: range) -> None:
        places = np.array(part)
        table = self._generation.paintings.frame(places.tolist())
        vectors = self._generation.vectors.at(places)
        rows = list(layout.rows_of(table, vectors, self._codes[places], self._ranks[places]))
        first, last = int(table["row"].iloc[0]), int(table["row"].iloc[-1])
        self._server.ask("write", _replacing(self._name, first, last, rows))


def _name_of(address: Address, generation: Generation) -> str:
    return layout.table_name(address.name, generation.manifest.generation, generation.sha256)


def _write(server: Server, name: str, generation: Generation, bar: Bar, spread: Spread | None) -> int:
    """Write the paintings that are not there yet; returns their number."""
    server.ask("create a table", lambda connection: _make(connection, server.address.name, name, generation))
    paintings = len(generation)
    parts = [range(start, min(start + ROWS, paintings)) for start in range(0, paintings, ROWS)]
    missing = [part for part in parts if not _is_there(server, name, generation, part)]
    wanted = sum(map(len, missing))
    with bar(paintings, "pushing") as advance:
        advance(paintings - wanted)
        if spread is None:
            sent = written_here(Writer(server.address, generation), missing)
        else:
            sent = spread(server.address, generation, missing)
        for written in sent:
            advance(written)
    return wanted


def _is_there(server: Server, name: str, generation: Generation, part: range) -> bool:
    first, last = generation.paintings.row(part[0]), generation.paintings.row(part[-1])
    return _count(server, name, first, last) >= len(part)


def _make(connection: Connection, own: str, name: str, generation: Generation) -> None:
    dim = generation.manifest.model.dim
    connection.execute(statement(layout.PAINTINGS, table=name, dim=dim))
    if dim <= layout.INLINE:  # every search reads them
        connection.execute(statement("ALTER TABLE {table} ALTER COLUMN vector SET STORAGE PLAIN", table=name))
    connection.execute(
        statement(
            "INSERT INTO {table} (called, generation, paintings) VALUES (%s, %s, %s) ON CONFLICT (called) DO NOTHING",
            table=own,
        ),
        (name, generation.manifest.generation, len(generation)),
    )


def _replacing(name: str, first: int, last: int, rows: Sequence[tuple[Any, ...]]) -> Callable[[Connection], None]:
    def work(connection: Connection) -> None:
        connection.execute(statement("DELETE FROM {table} WHERE number BETWEEN %s AND %s", table=name), (first, last))
        _copy(connection, name, layout.WRITTEN, layout.TYPES, rows)

    return work


def _copy(
    connection: Connection, table: str, columns: Sequence[str], types: Sequence[str], rows: Iterable[tuple[Any, ...]]
) -> None:
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    text = statement("COPY {table} ({names}) FROM STDIN (FORMAT BINARY)", table=table, names=names)
    with connection.cursor() as cursor, cursor.copy(text) as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)


def _index(server: Server, name: str, paintings: int, kind: Kind, bar: Bar) -> None:
    """Build the indexes for lookups, and the graph of the vectors."""
    wanted = layout.LOOKED_UP | ({} if kind.is_exact else {"_v": layout.GRAPH})
    with bar(paintings, "indexing") as advance:
        if (found := _count(server, name)) != paintings:
            raise BadIndex(f"{server.address}: {found:,} of {paintings:,} paintings have arrived; push again")
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


def _checked(server: Server, name: str, generation: Generation, kind: Kind, bar: Bar) -> About:
    """Compare a sample of paintings bit by bit and measure the recall; returns the facts to store."""
    manifest = (generation.folder / "manifest.json").read_text(encoding="utf-8")
    about = About(manifest, list(generation.paintings.names), kind, 1.0)
    store = PostgresStore(server, name, about, generation.manifest, generation.sha256)
    sample = generation.paintings.smallest(CHECKED)
    numbers = [generation.paintings.row(place) for place in sample.tolist()]
    vectors = generation.vectors.at(sample)
    with bar(len(sample), "checking") as advance:
        try:
            is_same = np.array_equal(store.vectors_at(numbers).view(np.int32), vectors.view(np.int32))
        except KeyError:
            is_same = False
        if not is_same:
            raise BadIndex(f"{server.address}: a vector came back changed; drop the table {name}, and push again")
        if not kind.is_exact:
            near = nearest_rows(generation, sample)
            found = store.nearest(vectors, [K] * len(sample))
            hits = sum(
                len({*ours.places.tolist()} & {*theirs.tolist()}) for ours, theirs in zip(found, near, strict=True)
            )
            about = replace(about, recall_at_10=round(hits / near.size, 4))
        advance(len(sample))
    return about


def _write_about(server: Server, name: str, generation: Generation, about: About) -> None:
    paintings, dim = generation.paintings, generation.manifest.model.dim
    keys, names = paintings.artist_keys, paintings.artist_names
    counts = np.bincount(paintings.codes + 1, minlength=len(keys) + 1)[1:].tolist()
    centroids = centroids_of(generation.vectors.matrix, paintings.codes, keys)
    rows = list(zip(range(len(keys)), keys, names, counts, centroids, strict=True))

    def work(connection: Connection) -> None:
        connection.execute(
            statement("DROP TABLE IF EXISTS {table}", table=name + ARTISTS)
        )  # left by an interrupted push
        connection.execute(statement(layout.ARTISTS_TABLE, table=name + ARTISTS, dim=dim))
        columns, types = ("number", "key", "name", "paintings", "centroid"), ("int4", "text", "text", "int8", "vector")
        _copy(connection, name + ARTISTS, columns, types, rows)
        connection.execute(
            statement(
                "UPDATE {table} SET manifest = %s, columns = %s, kind = %s, recall_at_10 = %s WHERE called = %s",
                table=server.address.name,
            ),
            (about.manifest, Jsonb(about.columns), about.kind.type, about.recall_at_10, name),
        )

    server.ask("write", work)


def _publish(server: Server, name: str, before: str | None) -> None:
    """Switch to a generation in one transaction. Raises BadIndex if another one has been published."""

    def work(connection: Connection) -> None:
        own = server.address.name
        connection.execute(statement("LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE", table=own))  # readers continue
        if server.published_by(connection) not in (before, name):  # ours, if the answer to the first attempt was lost
            raise BadIndex(
                f"{server.address}: another generation was published there in the meantime; push again to replace it "
                f"with this one"
            )
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
