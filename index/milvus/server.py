"""A Milvus server, through pymilvus: every call has a timeout, and fails with one of our errors."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from functools import cache
from time import monotonic, sleep
from typing import Any

from ...embedder.neutral import neutral_import
from ...errors import BadIndex, IndexAway, MissingPackage
from .address import TOKEN, Address
from .layout import generation_of

RETURN_S = 10.0  # to wait for a server that is being restarted
AWAY = 2  # pymilvus' code for an unreachable server
READING = ("query", "search")
RELEASED, LOADING = 101, (103, 106)  # Milvus' codes for a collection that cannot be read yet
EAGER = {"grpc.initial_reconnect_backoff_ms": 200, "grpc.max_reconnect_backoff_ms": 1000}  # its default is minutes
CALL_S = 60.0  # for an answer; slower means that the server has a problem
CONNECT_S = 10.0
MOST_FOUND = 16384  # Milvus' limit of rows per query
ROWS = 1000  # rows read or written at once: 2 MB with 512 numbers each, and their texts


class Server:
    """A connection to a server, created by `connected`; safe to share between threads."""

    def __init__(self, address: Address, token: str) -> None:
        """Raises IndexAway if the server does not answer, or refuses us; MissingPackage."""
        try:
            from grpc import RpcError

            with neutral_import("pymilvus"):
                from pymilvus import MilvusClient, MilvusException
        except ModuleNotFoundError:
            raise MissingPackage("an index in Milvus needs pymilvus; pip install 'artidx[milvus]'") from None
        for name in ("pymilvus", "grpc"):  # errors are raised here, without pymilvus' own log
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self.address = address
        self._problems = (MilvusException, RpcError)
        try:
            self.client = MilvusClient(uri=address.server, token=token, timeout=CONNECT_S, grpc_options=EAGER)
            self.version: str = self.client.get_server_version(timeout=CONNECT_S)
        except self._problems as problem:
            raise IndexAway(
                f"{address}: no Milvus answers there, or it refuses {TOKEN} ({_reason(problem)}); "
                f"start it, or correct the address or the token"
            ) from None

    def ask(self, what: str, *args: Any, seconds: float = CALL_S, **more: Any) -> Any:
        """Call a method of MilvusClient, with retries if the server has just gone away or is loading the collection.

        Raises IndexAway if it does not come back, or if the collection was released; else BadIndex.
        """
        deadline = monotonic() + RETURN_S
        while True:
            try:
                return getattr(self.client, what)(*args, timeout=seconds, **more)
            except self._problems as problem:
                may_pass = _is_away(problem) or (what in READING and _code(problem) in LOADING)
                if not may_pass or monotonic() > deadline:
                    raise self._refusal(what, problem) from None
            sleep(0.2)

    def _refusal(self, what: str, problem: Exception) -> BadIndex:
        if what in READING and _code(problem) in (RELEASED, *LOADING):
            return IndexAway(
                f"{self.address}: Milvus has not loaded the collection; load it there, or open the index again"
            )
        what = what.replace("_", " ")
        if _is_away(problem):
            return IndexAway(f"{self.address}: Milvus does not answer (to {what}); is it running?")
        return BadIndex(f"{self.address}: Milvus cannot {what}: {_reason(problem)}")

    def published(self) -> str | None:
        """The collection of the generation that answers; None if the address' name does not exist.

        Raises BadIndex if a collection or an alias of another program has that name.
        """
        name = self.address.collection
        collection: str = name
        if name not in self.ask("list_collections"):
            if not self.ask("has_collection", name):
                return None
            collection = self.ask("describe_alias", name)["collection_name"]
        if generation_of(name, collection) is None:
            raise BadIndex(f"{self.address}: a collection that artidx did not make; choose another name")
        return collection

    def load(self, collection: str, seconds: float = CALL_S) -> None:
        """Load a collection, so that it answers."""
        if self.ask("get_load_state", collection)["state"].name != "Loaded":
            self.ask("load_collection", collection, seconds=seconds)

    def count(self, collection: str, condition: str = "", *, is_exact: bool = False) -> int:
        """The number of rows for which the condition holds. is_exact: includes everything written until now."""
        level = "Strong" if is_exact else "Bounded"
        found = self.ask("query", collection, filter=condition, output_fields=["count(*)"], consistency_level=level)
        return int(found[0]["count(*)"])

    def rows(self, collection: str, condition: str, fields: list[str]) -> list[dict[str, Any]]:
        """The rows for which the condition holds, at most MOST_FOUND, in the order of their numbers."""
        found = self.ask(
            "query", collection, filter=condition, output_fields=["row", *fields], consistency_level="Bounded"
        )
        return sorted(found, key=lambda row: int(row["row"]))

    def windows(
        self, collection: str, numbers: range, fields: list[str], *, of: str = "row", condition: str = ""
    ) -> Iterator[list[dict[str, Any]]]:
        """The same for any number of rows, one window of their numbers at a time, since Milvus returns arbitrary rows
        if there are more than its limit. of: another field that numbers them.
        """
        for start in range(numbers.start, numbers.stop, numbers.step):
            window = f"{of} >= {start} and {of} < {min(start + numbers.step, numbers.stop)}"
            yield self.rows(collection, f"{window} and ({condition})" if condition else window, fields)


def connected(address: Address) -> Server:
    """The connection to an address, shared by the whole process. Raises BadIndex."""
    return _connected(address, os.environ.get(TOKEN, ""))


_connected = cache(Server)  # a lost connection recovers by itself, as fast as a new one


def _is_away(problem: Exception) -> bool:
    """Whether the server was not reached, or did not answer in time: then it is gRPC's own error, not pymilvus'."""
    return _code(problem) == AWAY or not hasattr(problem, "message")


def _code(problem: Exception) -> object:
    return getattr(problem, "code", None)


def _reason(problem: Exception) -> str:
    return " ".join(str(getattr(problem, "message", "") or problem).split())[:200] or type(problem).__name__
