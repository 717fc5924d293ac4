"""A real service on a port of this machine, and what its clients need."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from artidx.service.app import create_app
from artidx.service.holder import IndexHolder
from artidx.service.server import bound, server_of
from artidx.service.settings import ServiceSettings
from artidx.service.state import AppState
from artidx.service.traces import Traces

TOKEN = "a-secret-for-writing"


@dataclass
class Service:
    """The address of a service, and its internals."""

    port: int
    state: AppState

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, token: str | None = None) -> httpx.Client:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, trust_env=False)


@contextmanager
def served(index: Path | None, traces: Traces | None = None, **settings: Any) -> Iterator[Service]:
    """A context with the service of an index, which answers in a thread."""
    app = create_app(IndexHolder(index), ServiceSettings(**settings), traces)
    listening = bound("127.0.0.1", 0)
    server = server_of(app)
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield Service(listening.getsockname()[1], app.state.shared)
    finally:
        server.should_exit = True
        thread.join()


def form(**fields: Any) -> dict[str, Any]:
    """Fields of multipart/form-data for httpx: a path or (name, bytes) is a file, everything else is text."""

    def part(value: Any) -> Any:
        if isinstance(value, Path):
            return value.name, value.read_bytes()
        return value if isinstance(value, tuple) else (None, str(value))

    return {"files": {name: part(value) for name, value in fields.items()}}


def as_served(value: Any) -> Any:
    """An answer as the service returns it: of the path of an image, only the file name."""
    if isinstance(value, list):
        return [as_served(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {name: Path(each).name if name == "path" else as_served(each) for name, each in value.items()}
