"""Fetch objects from the web politely: few at once from a host, later if it asks for that, nothing twice.

No redirection is followed, and what is read is bounded in bytes and time. A busy server is asked again. An error for
one address is that object's problem; but a host that cannot be reached, that refuses requests, or that fails for one
object after the other stops the run: every further object would have the same problem. Objects are cached for a while
(fetched.py), then revalidated.
"""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from ..errors import UnreachableStorage, UnreadableImage
from . import fetched

AT_ONCE = 4  # of a host, by one process
FRESH_S = 12 * 3600.0  # without revalidation: for a run, its interruptions, and another run
PAUSES_S = (1.0, 5.0)  # before the second and the third attempt
LONGEST_PAUSE_S = 60.0  # the longest that a server may ask for
IN_A_ROW = 8  # objects of a host that fail in a row: then it is the host's problem
BUSY = {429, 502, 503, 504}
CHUNK = 1 << 16
AGENT = "artidx (an index of paintings; it asks for few images at once and keeps them)"


class Got(NamedTuple):
    """A response: its status, its bytes, and how long to wait before asking again, if it says so."""

    status: int
    data: bytes
    etag: str
    modified: str
    pause_s: float


class _Host:
    """The state of one server. Shared between threads."""

    def __init__(self) -> None:
        self.turns = threading.BoundedSemaphore(AT_ONCE)
        self.not_before = 0.0
        self.failed = 0  # in a row

    def wait(self) -> None:
        time.sleep(max(0.0, self.not_before - time.monotonic()))


class Web:
    """Reads addresses for one run. Safe to share between threads."""

    def __init__(self, open_system: Callable[[], Any]) -> None:
        """open_system: returns fsspec's HTTP file system, when it is first needed."""
        self._open_system = open_system
        self._hosts: dict[str, _Host] = {}
        self._keeper = fetched.Keeper()

    def read(self, url: str, limit: int, seconds: float, fresh_s: float) -> bytes:
        """The bytes at an address, limit + 1 at most. fresh_s: maximal age of a cached object.

        Raises UnreadableImage; UnreachableStorage.
        """
        kept = fetched.find(url, limit)
        if kept and 0 <= time.time() - kept.at < fresh_s:
            return kept.data
        host = self._hosts.setdefault(url.split("/", 3)[2].lower(), _Host())
        with host.turns:
            got = self._tried(url, limit, seconds, kept, host)
        if got.status == 304 and kept:
            fetched.confirm(url)
            return kept.data
        if len(got.data) <= limit:
            self._keeper.keep(url, got.data, got.etag, got.modified)
        return got.data

    def _tried(self, url: str, limit: int, seconds: float, kept: fetched.Fetched | None, host: _Host) -> Got:
        system = self._open_system()
        for pause in (*PAUSES_S, None):
            host.wait()
            try:
                got = _sync(system.loop, _get, system, url, limit, kept, timeout=seconds)
            except Exception as problem:
                # A server that does not even accept a connection in time (aiohttp.ConnectionTimeoutError) cannot be
                # reached.
                if isinstance(problem, TimeoutError) and "Connect" not in type(problem).__name__:
                    raise UnreadableImage(f"took longer than {seconds:.0f} s to read") from None
                if pause is None:
                    raise unreachable(url, problem) from None
            else:
                if got.status not in BUSY or pause is None:
                    return _checked(url, got, host)
                pause = max(pause, min(got.pause_s, LONGEST_PAUSE_S))
            host.not_before = time.monotonic() + pause
        raise AssertionError("the last try has returned or raised")


def unreachable(location: str, problem: object) -> UnreachableStorage:
    """An error that stops a run which can be resumed later."""
    reason = " ".join(str(problem).split())[:200] or type(problem).__name__
    return UnreachableStorage(
        f"{location}: cannot be read: {reason}; what is done is kept: mend the address or its credentials, and run the "
        f"same again"
    )


def _checked(url: str, got: Got, host: _Host) -> Got:
    """Raises the error that a status means."""
    host.failed = host.failed + 1 if got.status >= 500 else 0
    if got.status == 429 or host.failed >= IN_A_ROW:
        raise unreachable(url, f"the server answers {got.status}, time after time; give it a rest")
    if got.status in (200, 304):
        return got
    if 300 <= got.status < 400:
        raise UnreadableImage(f"the server points elsewhere, where nothing is allowed ({got.status})")
    said = {401: "the server refuses it (401)", 403: "the server refuses it (403)"}
    raise UnreadableImage(
        "no such object" if got.status in (404, 410) else said.get(got.status, f"the server answers {got.status}")
    )


def _sync(*args: Any, timeout: float) -> Any:
    return importlib.import_module("fsspec.asyn").sync(*args, timeout=timeout)


async def _get(system: Any, url: str, limit: int, kept: fetched.Fetched | None) -> Got:
    """Not with fsspec itself, which would follow redirections to addresses that are not allowed, and read without a
    limit."""
    session = await system.set_session()
    asked = {"User-Agent": AGENT}
    if kept and kept.etag:
        asked["If-None-Match"] = kept.etag
    elif kept and kept.modified:
        asked["If-Modified-Since"] = kept.modified
    found = bytearray()
    async with session.get(url, allow_redirects=False, headers=asked) as response:
        if response.status == 200:
            async for chunk in response.content.iter_chunked(CHUNK):
                found += chunk[: limit + 1 - len(found)]
                if len(found) > limit:
                    break
        named = response.headers
        pause = named.get("Retry-After", "")
        return Got(
            response.status,
            bytes(found),
            named.get("ETag", ""),
            named.get("Last-Modified", ""),
            float(pause) if pause.isdecimal() else 0.0,
        )
