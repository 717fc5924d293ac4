"""The server: uvicorn, with timeouts for clients that do not finish their requests."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ..as_json import as_json
from ..errors import BadSetting
from ..plain_text import escaped

HEAD_S = 10  # for the head of a request
MAX_HEAD_BYTES = 64 << 10
READ_S = 30  # for a client to read what was written
MOST_CONNECTIONS = 900  # of 1,024 files that a process may usually have open
FINISH_S = 70  # for answers in flight when the service is stopped: more than any of them may take


class Impatient(HttpToolsProtocol):
    """A connection that is closed if a head is too late or too long, if the client does not read, or if there are too
    many."""

    _late: asyncio.TimerHandle | None = None  # while waiting for a head
    _unread: asyncio.TimerHandle | None = None  # while the client does not read fast enough
    _head_bytes = 0
    _began = 0.0  # when it last became idle

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._began = self.loop.time()
        self._make_room()
        self._late = self.loop.call_later(HEAD_S, transport.abort)

    def _make_room(self) -> None:
        """If there are too many connections, close the longest idle one of the address with the most: so an address
        that opens many loses its own. If all of those are busy, close this one."""
        there = [other for other in cast("set[Impatient]", self.connections) if not other.transport.is_closing()]
        if len(there) > MOST_CONNECTIONS:
            busiest, _ = Counter(other.address for other in there).most_common(1)[0]
            idle = [other for other in there if other.address == busiest and other.is_idle and other is not self]
            min(idle, key=lambda other: other._began, default=self).transport.abort()

    @property
    def address(self) -> str:
        """The client's address."""
        return self.client[0] if self.client else ""

    @property
    def is_idle(self) -> bool:
        """Whether none of its requests is being read or answered."""
        return self.cycle is None or bool(self.cycle.response_complete)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._late is None and self.cycle is not None and self.cycle.response_complete:
            self._late = self.loop.call_later(HEAD_S, self.transport.abort)  # only line ends between requests
        if self._late is not None:  # the head is not complete
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.transport.abort()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._began = self.loop.time()
        self._in_time()
        self._late = self.loop.call_later(HEAD_S, self.transport.abort)

    def on_headers_complete(self) -> None:
        self._in_time()
        super().on_headers_complete()

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client will send no more: continue only if there is a complete request to answer."""
        return self.cycle is not None and not self.cycle.more_body and not self.cycle.response_complete

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(READ_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        self._in_time()
        if self._unread is not None:
            self._unread.cancel()
        super().connection_lost(exc)

    def _in_time(self) -> None:
        if self._late is not None:
            self._late.cancel()
        self._late, self._head_bytes = None, 0


def bound(host: str, port: int) -> socket.socket:
    """A socket to listen on; port The port to listen at; 0 picks a free one. Raises BadSetting."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=1024)
    except (OSError, OverflowError) as problem:
        raise BadSetting(f"--host {host} --port {port}: {getattr(problem, 'strerror', None) or problem}") from None


def server_of(app: FastAPI, proxies: Sequence[str] = ()) -> uvicorn.Server:
    """uvicorn, configured for the application; accepted requests are finished before it stops.

    proxies: addresses whose X-Forwarded-For is trusted.
    """
    options: dict[str, Any] = {
        "http": Impatient,
        "ws": "none",
        "access_log": False,
        "log_config": None,
        "server_header": False,
        "proxy_headers": bool(proxies),
        "forwarded_allow_ips": [*proxies],
        "timeout_graceful_shutdown": FINISH_S,
    }
    return uvicorn.Server(uvicorn.Config(app, **options))


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, message, and the facts of a request; never a picture or a token."""

    def format(self, record: logging.LogRecord) -> str:
        facts: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname,
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            facts["traceback"] = self.formatException(record.exc_info)
        return escaped(as_json(facts))


def log_as_json() -> None:
    """Log JSON lines on stderr: every request, and warnings of uvicorn and of the trace exporter."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name in ("artidx.service", "uvicorn.error", "opentelemetry"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO if name == "artidx.service" else logging.WARNING)
