"""A PostgreSQL server, through psycopg: every statement has a timeout, and fails with one of our errors.

A call is one transaction, repeated if the connection was lost: it must be idempotent.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from time import monotonic, sleep
from typing import Any, LiteralString, TypeVar

import psycopg
from pgvector.psycopg import register_vector
from psycopg import errors, sql
from psycopg.conninfo import make_conninfo

from ...errors import BadIndex, IndexAway, IndexBusy
from . import layout
from .address import Address
from .layout import statement

T = TypeVar("T")
Connection = psycopg.Connection[Any]
RETURN_S = 10.0  # to wait for a server that is being restarted
CONNECT_S = 10
CALL_S = 60.0  # for an answer; slower means that the server has a problem
UNLOCKED_S = 10.0  # for others to release what is to be dropped
MOST_CONNECTIONS = 8  # connections of a process: PostgreSQL allows 100 in all
MEANWHILE = (errors.UniqueViolation, errors.DeadlockDetected)  # a worker believed dead wrote the same rows
OLDEST = (0, 8)  # of pgvector: in older versions, a graph finds at most a thousand paintings
ROWS = 1000  # rows read or written at once: 2 MB with 512 numbers each


class Server:
    """Connections to the database of an address, created by `connected`; safe to share between threads."""

    def __init__(self, address: Address) -> None:
        """Raises IndexAway if the server does not answer, or refuses us."""
        self.address = address
        self._idle: list[Connection] = []
        self._room = threading.BoundedSemaphore(MOST_CONNECTIONS)
        try:
            connection = self._connect()
        except psycopg.Error as problem:
            raise IndexAway(
                f"{address}: no PostgreSQL answers there, or it refuses us ({_reason(problem)}); start it, or correct "
                f"the address or the password (PGPASSWORD, ~/.pgpass)"
            ) from None
        self._idle.append(connection)
        atexit.register(self.close)  # otherwise the server logs a lost client
        self.version = str(connection.info.parameter_status("server_version")).split(" ")[0]
        if (encoding := connection.info.parameter_status("server_encoding")) != "UTF8":
            self.close()
            raise BadIndex(f"{address}: a database in {encoding}; make one in UTF8")

    def ask(self, what: str, work: Callable[[Connection], T], seconds: float = CALL_S) -> T:
        """Do `work` in a transaction, with retries if the server has just gone away.

        what: the task, for the message. Raises IndexAway if the server does not come back, else BadIndex.
        """
        deadline = monotonic() + RETURN_S
        while True:
            try:
                with self._connection() as connection, connection.transaction():
                    set_for_now(connection, {"statement_timeout": str(round(seconds * 1000))})
                    return work(connection)
            except psycopg.Error as problem:
                if not (_is_away(problem) or isinstance(problem, MEANWHILE)) or monotonic() > deadline:
                    raise self._refusal(what, problem) from None
            sleep(0.2)

    def rows(
        self,
        table: str,
        text: LiteralString,
        values: tuple[Any, ...] = (),
        settings: Mapping[str, str] | None = None,
        **parts: sql.Composable,
    ) -> list[tuple[Any, ...]]:
        """The rows of a query. text: with {table} and the other parts; settings: of the server, for this query."""

        def work(connection: Connection) -> list[tuple[Any, ...]]:
            set_for_now(connection, settings or {})
            with connection.cursor(binary=True) as cursor:
                return cursor.execute(statement(text, table=table, **parts), values).fetchall()

        return self.ask("read", work)

    def published(self) -> str | None:
        """The table of the generation that answers; None if the address' name does not exist.

        Raises BadIndex if a table of another program has that name.
        """
        return self.ask("read", self.published_by)

    def published_by(self, connection: Connection) -> str | None:
        """The same, within a transaction."""
        if not self.is_ours(connection):
            return None
        found = connection.execute(
            statement("SELECT called FROM {table} WHERE answers", table=self.address.name)
        ).fetchone()
        return found and str(found[0])

    def is_ours(self, connection: Connection) -> bool:
        """Whether there is a table of generations by the address' name. Raises BadIndex for one of another program."""
        found = connection.execute(
            "SELECT obj_description(to_regclass(quote_ident(%s)), 'pg_class') = %s, "
            "to_regclass(quote_ident(%s)) IS NOT NULL",
            (self.address.name, layout.MARK, self.address.name),
        ).fetchone()
        is_mine, is_there = found or (False, False)
        if is_there and not is_mine:
            raise BadIndex(f"{self.address}: a table that artidx did not make; choose another name")
        return bool(is_there)

    def make_ready(self) -> None:
        """Create the extension and the table of generations. Raises BadIndex if the user may not do that."""

        def extension(connection: Connection) -> None:
            if not _has_vectors(connection):
                connection.execute("CREATE EXTENSION IF NOT EXISTS vector")

        def own_table(connection: Connection) -> None:
            if not self.is_ours(connection):
                connection.execute(statement(layout.OWN_TABLE, table=self.address.name))
                connection.execute(
                    statement("CREATE UNIQUE INDEX ON {table} (answers) WHERE answers", table=self.address.name)
                )
                connection.execute(
                    statement(
                        "COMMENT ON TABLE {table} IS {mark}", table=self.address.name, mark=sql.Literal(layout.MARK)
                    )
                )

        try:
            self.ask("create the extension vector", extension)
        except IndexAway:
            raise
        except BadIndex as problem:
            raise BadIndex(
                f"{problem}; install pgvector on the server, and have a superuser run CREATE EXTENSION vector in "
                f"this database"
            ) from None
        self.close()  # a connection older than the extension does not know its type
        self.ask("create its table", own_table)
        self.ask("read", _check_version(self.address))

    @contextmanager
    def connection_of_its_own(self) -> Iterator[Connection]:
        """A connection outside the pool. Raises IndexAway."""
        try:
            connection = self._connect()
        except psycopg.Error as problem:
            raise self._refusal("connect", problem) from None
        with connection:
            yield connection

    def close(self) -> None:
        """Close idle connections; the next query opens one."""
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        with self._room:
            connection = self._taken() or self._connect()
            try:
                yield connection
            finally:
                if not connection.closed:
                    self._idle.append(connection)

    def _taken(self) -> Connection | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _connect(self) -> Connection:
        given: dict[str, Any] = {
            "host": self.address.host,
            "port": self.address.port,
            "user": self.address.user,
            "dbname": self.address.database,
        }
        connection = psycopg.connect(
            make_conninfo(**{name: value for name, value in given.items() if value is not None}),
            autocommit=True,
            prepare_threshold=None,  # proxies such as PgBouncer may not keep prepared statements
            application_name="artidx",
            client_encoding="UTF8",
            connect_timeout=CONNECT_S,
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=round(CALL_S * 1000),
        )
        if _has_vectors(connection):
            register_vector(connection)
        return connection

    def _refusal(self, what: str, problem: Exception) -> BadIndex:
        if _is_away(problem):
            return IndexAway(f"{self.address}: PostgreSQL does not answer (to {what}); is it running?")
        if isinstance(problem, errors.UndefinedTable):
            return BadIndex(f"{self.address}: this generation is not kept there any more; open the index again")
        if isinstance(problem, errors.LockNotAvailable):
            return IndexBusy(f"{self.address}: somebody is reading what PostgreSQL is to {what}; try again later")
        if isinstance(problem, errors.QueryCanceled):
            return IndexAway(f"{self.address}: PostgreSQL took too long to {what}; is it busy?")
        return BadIndex(f"{self.address}: PostgreSQL cannot {what}: {_reason(problem)}")


def connected(address: Address) -> Server:
    """The connections to an address, shared by the whole process. Raises BadIndex."""
    return _connected(address)


_connected = cache(Server)  # a lost one is replaced with the next query


def set_for_now(connection: Connection, settings: Mapping[str, str]) -> None:
    """Set parameters of the server for this transaction."""
    for name, value in settings.items():
        connection.execute("SELECT set_config(%s, %s, true)", (name, value))


def _has_vectors(connection: Connection) -> bool:
    return connection.execute("SELECT 1 FROM pg_extension WHERE extname = 'vector'").fetchone() is not None


def _check_version(address: Address) -> Callable[[Connection], None]:
    def check(connection: Connection) -> None:
        found = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchone()
        version = str(found and found[0])
        if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < OLDEST:
            raise BadIndex(f"{address}: pgvector {version} is too old; update it to 0.8 or newer")

    return check


def _is_away(problem: Exception) -> bool:
    """Whether the server was not reached, or is stopping or starting: not an error of the query."""
    gone = (errors.AdminShutdown, errors.CrashShutdown, errors.CannotConnectNow)
    return isinstance(problem, gone) or (
        isinstance(problem, psycopg.OperationalError) and getattr(problem, "sqlstate", None) is None
    )


def _reason(problem: Exception) -> str:
    return " ".join(str(problem).split())[:200] or type(problem).__name__
