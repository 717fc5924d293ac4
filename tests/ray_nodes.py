"""A Ray cluster of two nodes on loopback addresses of this machine, each with one core, that can be killed
separately."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

HEAD, OTHER = "127.0.0.2", "127.0.0.3"


class TwoNodes:
    """Runs within a with statement. environment: for processes that join it."""

    def __init__(self) -> None:
        with socket.create_server((HEAD, 0)) as free:
            self.address = f"{HEAD}:{free.getsockname()[1]}"
        outside = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        self.environment = outside | {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": uuid.uuid4().hex,
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_worker_niceness": "0",  # else workers wait for everything else on a busy machine
            "RAY_enable_metrics_collection": "0",
            "RAY_health_check_initial_delay_ms": "0",
            "RAY_health_check_period_ms": "500",
            "RAY_health_check_timeout_ms": "500",
            "RAY_health_check_failure_threshold": "3",
        }
        self._folder = tempfile.TemporaryDirectory(prefix="r", dir="/tmp", ignore_cleanup_errors=True)
        self.nodes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> TwoNodes:
        host, _, port = self.address.partition(":")
        self._start(
            "--head",
            f"--node-ip-address={HEAD}",
            f"--port={port}",
            "--include-dashboard=false",
            f"--temp-dir={self._folder.name}",
        )
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection((host, int(port)), 1).close()
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        self.start_other()
        return self

    def __exit__(self, *_: object) -> None:
        for node in reversed(self.nodes):
            _kill_session(node.pid)
        for node in self.nodes:
            node.wait(30)
        self._folder.cleanup()

    def start_other(self) -> None:
        """Start the second node, initially or after it was killed."""
        self._start(f"--address={self.address}", f"--node-ip-address={OTHER}")

    def kill_other(self) -> None:
        """Kill it at once, with everything that runs on it."""
        _kill_session(self.nodes[-1].pid)

    def wait_for_both(self) -> None:
        """Wait until the second node has joined."""
        code = (
            f"import ray, time\nray.init('{self.address}', _node_ip_address='{HEAD}', log_to_driver=False)\n"
            "while sum(node['Alive'] for node in ray.nodes()) < 2: time.sleep(0.1)"
        )
        subprocess.run([sys.executable, "-c", code], env=self.environment, check=True, capture_output=True, timeout=60)

    def wait_for_workers(self, count: int) -> None:
        """Wait until this many actors embed."""
        deadline = time.monotonic() + 60
        while sum(b"ray::MapWorker" in command for command in _commands()) < count:
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def _start(self, *options: str) -> None:
        with Path(self._folder.name, "log").open("ab") as log:
            self.nodes.append(
                subprocess.Popen(
                    [
                        str(Path(sys.executable).with_name("ray")),
                        "start",
                        *options,
                        "--num-cpus=1",
                        "--object-store-memory=100000000",
                        "--disable-usage-stats",
                        "--block",
                    ],
                    env=self.environment,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )


def _kill_session(session: int) -> None:
    """A node's processes are in many process groups, but in one session."""
    for found in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.getsid(int(found.name)) == session:
                os.kill(int(found.name), signal.SIGKILL)


def _commands() -> Iterator[bytes]:
    for found in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            yield found.read_bytes()
