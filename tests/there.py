"""The servers of tests of stores, and what is done there that no push does."""

from __future__ import annotations

import uuid

import numpy as np
import pandas as pd

from artidx.index.milvus import layout
from artidx.index.milvus import push as pushing
from artidx.index.milvus import stage as milvus_stage
from artidx.index.milvus.address import Address
from artidx.index.milvus.server import connected
from artidx.index.postgres import layout as postgres_layout
from artidx.index.postgres import push as postgres_push
from artidx.index.postgres import server as postgres_server
from artidx.index.postgres import stage as postgres_stage
from artidx.index.postgres.address import Address as PostgresAddress


class InMilvus:
    """A server, names on it that nobody else has, and what is done there that no push does."""

    all_are_looked_at, pushing, rows_made_by, stage = "FLAT", pushing, (layout, "entities"), milvus_stage.Stage

    def __init__(self, where):
        self.where = where

    def address(self):
        return Address.of(f"milvus+http://{self.where}/t{uuid.uuid4().hex[:12]}")

    def generations(self, address):
        """Of each collection that there is of an index."""
        names = [name for name in connected(address).ask("list_collections") if name.startswith(f"{address.name}_")]
        return sorted(layout.generation_of(address.name, name) for name in names)

    def restart(self, address):
        """A server that is restarted does not load what is not published."""
        server = connected(address)
        for name in server.ask("list_collections"):
            if name.startswith(f"{address.name}_") and name.removesuffix(layout.ABOUT) != server.published():
                server.ask("release_collection", name)

    def bend(self, rows):
        rows[0]["vector"] = rows[0]["vector"] * np.float32(0.5)
        return rows

    def lose(self, address, rows):
        server = connected(address)
        server.ask("delete", server.published(), ids=rows)

    def damage(self, address):
        server = connected(address)
        about = server.published() + layout.ABOUT
        row = server.rows(about, "row == 0", ["text", "vector"])[0]
        server.ask("upsert", about, [{**row, "text": row["text"].replace("small", "large")}])
        server.count(about, is_exact=True)


class InPostgres:
    """The same of a database."""

    all_are_looked_at, pushing, rows_made_by = "exact", postgres_push, (postgres_layout, "rows_of")
    stage = postgres_stage.Stage

    def __init__(self, where, server=None):
        self.where = where
        self.server = server

    def address(self):
        return PostgresAddress.of(f"postgresql://{self.where}/t{uuid.uuid4().hex[:12]}")

    def do(self, address, text, values=()):
        """A statement with {own}, the table of generations, and {table}, what answers; how many rows it was about."""
        server = postgres_server.connected(address)
        statement = postgres_layout.statement(text, own=address.name, table=server.published() or address.name)
        return server.ask("test", lambda connection: connection.execute(statement, values).rowcount)

    def generations(self, address):
        found = postgres_server.connected(address).rows(
            "pg_class", "SELECT relname FROM {table} WHERE relkind = 'r' AND relname ~ %s", (f"^{address.name}_",)
        )
        return sorted(int(name.split("_")[1]) for (name,) in found)

    def restart(self, address):
        postgres_server.connected(address).close()

    def bend(self, rows):
        return [(*rows[0][:-1], rows[0][-1] * np.float32(0.5)), *rows[1:]]

    def lose(self, address, rows):
        assert self.do(address, "DELETE FROM {table} WHERE number = ANY(%s)", (rows,)) == len(rows)

    def damage(self, address):
        assert self.do(address, "UPDATE {own} SET manifest = replace(manifest, 'small', 'large')") == 1


def same(built, expected):
    """Two indexes on servers, to the last bit."""
    for ours, theirs in zip(built.whole(), expected.whole(), strict=True):
        assert ours.equals(theirs) if isinstance(ours, pd.DataFrame) else ours.tobytes() == theirs.tobytes()
    ours, theirs = built.store, expected.store
    assert ours.centroids.tobytes() == theirs.centroids.tobytes()
    assert ours.landmarks.vectors.tobytes() == theirs.landmarks.vectors.tobytes()
    assert (ours.artists.keys, ours.artists.names) == (theirs.artists.keys, theirs.artists.names)
    assert (ours.manifest.centre, ours.manifest.calibration) == (theirs.manifest.centre, theirs.manifest.calibration)
