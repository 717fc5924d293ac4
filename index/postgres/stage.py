"""The embeddings of an index that is being built in PostgreSQL (storage/stage.py): a table of their own."""

from __future__ import annotations

import numpy as np

from ..storage import stage
from ..storage.stage import Staged
from .address import Address
from .layout import STAGE_TABLE, stage_name, statement
from .push import copy
from .server import Connection, connected


class Stage(stage.Stage):
    """Of an index of vectors of this length."""

    def __init__(self, address: Address, dim: int) -> None:
        self._server, self.dim = connected(address), dim
        self._name = stage_name(address.name)

    def is_there(self) -> bool:
        def work(connection: Connection) -> bool:
            found = connection.execute("SELECT to_regclass(quote_ident(%s)) IS NOT NULL", (self._name,)).fetchone()
            return found == (True,)

        return self._server.ask("read", work)

    def make(self) -> None:
        self._server.make_ready()
        made = statement(STAGE_TABLE, table=self._name, dim=self.dim)
        self._server.ask("create a table", lambda connection: connection.execute(made))

    def put(self, rows: Staged) -> None:
        first, last = int(rows.numbers[0]), int(rows.numbers[-1])

        def work(connection: Connection) -> None:
            connection.execute(
                statement("DELETE FROM {table} WHERE number BETWEEN %s AND %s", table=self._name), (first, last)
            )
            entries = zip(rows.numbers.tolist(), rows.texts, rows.vectors, strict=True)
            copy(connection, self._name, ("number", "text", "vector"), ("int8", "text", "vector"), entries)

        self._server.ask("write", work)

    def get(self, numbers: range) -> Staged:
        found = self._server.rows(
            self._name,
            "SELECT number, text, vector FROM {table} WHERE number >= %s AND number < %s ORDER BY number",
            (numbers.start, numbers.stop),
        )
        return Staged(
            np.array([number for number, _, _ in found], np.int64),
            [text for _, text, _ in found],
            np.array([vector.to_numpy() for _, _, vector in found], np.float32).reshape(
                len(found), -1 if found else self.dim
            ),
        )

    def drop(self) -> None:
        dropped = statement("DROP TABLE IF EXISTS {table}", table=self._name)
        self._server.ask("drop a table", lambda connection: connection.execute(dropped))
