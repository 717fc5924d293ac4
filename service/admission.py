"""Admission of every request: limits of size, time and number; and headers that every answer has.

Refuses before any work is done; counts and logs answers. Checked in this order:

| problem | answer |
|---|---|
| a browser sends it for a foreign page (origin.py) | 403 |
| its address has `in_flight_of_one` requests of its kind in flight | 429 `too-many-requests` |
| `in_flight` requests of its kind are in flight | 503 `busy` |
| it is larger than `max_body_bytes`, or says so | 413 `too-large` |
| it has not arrived within `body_s` | 408 `too-slow` |
| it is not answered within `answer_s`, or the next piece of a long answer is not | 503 `too-slow` |
| memory, files or threads ran out meanwhile | 503 `out-of-resources` |
| it raised anything else | 500 `bug` |

The two kinds are requests with a body and requests without; the page's files are neither. rights.py checks tokens;
server.py closes idle connections.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import exhausted
from ..index.opened import Index
from .origin import check_site
from .problems import Problem, bug, response
from .state import AppState
from .traces import RequestSpan

SENDING = {"POST", "PUT", "PATCH", "DELETE"}
DRAIN_S = 1.0  # the rest of a refused body is read, or the client would see only a broken connection
REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
log = logging.getLogger("artidx.service")


class AdmissionMiddleware:
    """Middleware around the whole application."""

    def __init__(self, app: ASGIApp, state: AppState) -> None:
        self._app = app
        self._state = state
        self._sending: Counter[str] = Counter()  # requests in flight, by address
        self._looking: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with self._state.traces.request(scope) as span, ExitStack() as room:
            request = _Request(scope, receive, send, self._state, room, span)
            try:
                if scope["method"] in SENDING:
                    check_site(Headers(scope=scope), self._state.settings)
                room.enter_context(self._room(scope))
                async with asyncio.timeout(self._state.settings.answer_s) as request.limit:
                    await self._app(scope, request.receive, request.send)
            except Problem as problem:
                await request.refuse(problem)
            except ClientDisconnect:
                pass
            except TimeoutError:
                await request.refuse(Problem(503, "too-slow", f"no answer within {self._state.settings.answer_s:g} s"))
            except Exception as failure:
                scope["state"]["failure"] = failure
                out = exhausted(failure, "the service")
                await request.refuse(Problem(503, "out-of-resources", str(out)) if out else bug())
            finally:
                request.end()

    @contextmanager
    def _room(self, scope: Scope) -> Iterator[None]:
        """A place for one more request, or a Problem; the two kinds have separate places."""
        is_sending = scope["method"] in SENDING
        if not is_sending and not scope["path"].startswith("/v1/"):  # files of the page cost nothing
            yield
            return
        taken = self._sending if is_sending else self._looking
        settings, address = self._state.settings, (scope.get("client") or ("", 0))[0]
        if taken[address] >= settings.in_flight_of_one:
            raise Problem(
                429, "too-many-requests", f"{settings.in_flight_of_one} requests of yours are in flight already"
            )
        if taken.total() >= settings.in_flight:
            raise Problem(503, "busy", f"{settings.in_flight} requests are in flight already")
        taken[address] += 1
        self._state.metrics.in_flight.set(self._sending.total())
        try:
            yield
        finally:
            taken[address] -= 1
            if not taken[address]:
                del taken[address]
            self._state.metrics.in_flight.set(self._sending.total())


class _Request:
    """One request and its answer."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, state: AppState, room: ExitStack, span: RequestSpan
    ) -> None:
        """room: the place that the request takes until it is refused or answered; span: of the request, in traces."""
        self._scope, self._receive, self._send = scope, receive, send
        self._room, self._span = room, span
        self._state = state
        self._settings = state.settings
        self._began = time.perf_counter()
        self._headers = Headers(scope=scope)
        self._received = self._sent = 0  # bytes
        self.limit = asyncio.timeout(None)  # of the answer, or of a piece of it
        self._has_all = not ("content-length" in self._headers or "transfer-encoding" in self._headers)
        self._status = 0
        asked = self._headers.get("x-request-id", "")
        self.id = asked if REQUEST_ID.fullmatch(asked) else uuid.uuid4().hex
        scope.setdefault("state", {})["index"] = state.holder.index

    async def receive(self) -> Message:
        """The next piece of the body. Raises Problem if it is too large or too slow."""
        length = self._headers.get("content-length", "")
        self._check_size(int(length) if length.isdecimal() else 0)
        if self._has_all:
            return await self._receive()  # the client has disconnected
        left = self._began + self._settings.body_s - time.perf_counter()
        try:
            async with asyncio.timeout(max(left, 0)):
                message = await self._receive()
        except TimeoutError:
            raise Problem(408, "too-slow", f"the request did not arrive within {self._settings.body_s:g} s") from None
        self._note(message)
        self._check_size(self._received)
        return message

    async def send(self, message: Message) -> None:
        """Send a piece of the answer, with the headers that every answer carries."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            await self._drain()
            self._complete(MutableHeaders(scope=message))
        self._sent += len(message.get("body", b""))
        if message.get("more_body"):  # each piece of an answer has the full time
            self.limit.reschedule(asyncio.get_running_loop().time() + self._settings.answer_s)
        await self._send(message)

    async def refuse(self, problem: Problem) -> None:
        """Answer with a problem, unless an answer has already begun."""
        if not self._status:
            await response(problem)(self._scope, self.receive, self.send)

    def end(self) -> None:
        """Count and log it."""
        seconds = time.perf_counter() - self._began
        route = getattr(self._scope.get("route"), "path", "none")
        self._state.metrics.answered(self._scope["method"], route, self._status, seconds)
        generation = self._scope["state"]["index"].manifest.generation
        self._span.end(self._scope["method"], route, self._status, self.id, generation)
        failure = self._scope["state"].get("failure")
        log.log(
            logging.ERROR if failure else logging.INFO,
            "answered",
            exc_info=failure,
            extra={
                "facts": {
                    "request": self.id,
                    "method": self._scope["method"],
                    "path": self._scope["path"][:500],
                    "status": self._status,
                    "ms": round(seconds * 1000, 1),
                    "received": self._received,
                    "sent": self._sent,
                    **({"trace": self._span.trace} if self._span.trace else {}),
                    **({"token": name} if (name := self._scope["state"].get("token")) else {}),
                }
            },
        )

    def _complete(self, headers: MutableHeaders) -> None:
        index: Index = self._scope["state"]["index"]
        headers.update(HEADERS)
        headers["x-request-id"] = self.id
        headers["artidx-index"] = quote(os.fsencode(index.public_name), safe=" ")
        headers["artidx-model"] = index.manifest.model.sha256
        headers["artidx-generation"] = str(index.manifest.generation)
        headers.setdefault("cache-control", "no-store" if self._scope["path"].startswith("/v1") else "no-cache")
        if not self._has_all:
            headers["connection"] = "close"

    async def _drain(self) -> None:
        if self._has_all or "expect" in self._headers:  # with Expect: 100-continue, the client has sent nothing yet
            return
        self._room.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while not self._has_all:
                    self._note(await self._receive())

    def _note(self, message: Message) -> None:
        self._received += len(message.get("body", b""))
        self._has_all = message["type"] != "http.request" or not message.get("more_body", False)

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self._settings.max_body_bytes:
            raise Problem(413, "too-large", f"over {self._settings.max_body_bytes >> 20} MB")
