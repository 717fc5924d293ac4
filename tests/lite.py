"""A Milvus server in a separate process, for tests: Milvus Lite, which has Milvus' protocol."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path


class MilvusLite:
    """Runs within a with statement; stop and start keep the data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    def address(self, collection: str) -> str:
        return f"milvus+http://127.0.0.1:{self.port}/{collection}"

    def start(self) -> None:
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "milvus_lite",
                    "server",
                    "--data-dir",
                    str(self.folder / "data"),
                    "--host",
                    "127.0.0.1",
                    "--port",
                    str(self.port),
                ],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 120  # on a machine that is busy
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def stop(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> MilvusLite:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
