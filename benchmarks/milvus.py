"""An index in Milvus compared with the same index in its folder, in one run; the server is killed twice.

    python benchmarks/milvus.py SERVER/bin/python            # 100,000 vectors of 256 numbers
    python benchmarks/milvus.py SERVER/bin/python 300000

SERVER is a virtual environment with a real server in it: pip install milvus==2.3.5 pymilvus==2.3.7 'setuptools<81'
'marshmallow<4'. The vectors are synthetic, as in benchmarks/search.py. The server is killed and restarted once during
the push and once after it: the push resumes, and the answers stay the same.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles

import numpy as np
import pandas as pd
from search import clustered

from artidx import Index
from artidx.errors import BadIndex

PORT, ASKED = 19532, 200
SERVER = """
import sys, time
from milvus import default_server
default_server.set_base_dir(sys.argv[1])
default_server.listen_port = int(sys.argv[2])
default_server.start()
print(default_server.listen_port, flush=True)
time.sleep(1 << 30)
"""


class Milvus:
    """The server, which can be killed and restarted on its data."""

    def __init__(self, python: str, folder: Path) -> None:
        self._command = [python, "-c", SERVER, str(folder), str(PORT)]

    def start(self) -> float:
        """Start it; returns the seconds until it answered."""
        started = time.perf_counter()
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        )
        assert self._process.stdout
        self.address = f"milvus+http://127.0.0.1:{int(self._process.stdout.readline())}/paintings"  # a free port
        return time.perf_counter() - started

    def kill(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    @property
    def megabytes(self) -> int:
        """Memory of all its processes."""
        found = subprocess.run(["ps", "-o", "rss=", "-s", str(self._process.pid)], capture_output=True, text=True)
        return sum(map(int, found.stdout.split())) // 1024


def timed(index: Index, names: list[str]) -> tuple[str, list[str]]:
    """Milliseconds of nearest by id, and whom each answer names first."""
    taken, first = [], []
    for name in names:
        started = time.perf_counter()
        answer = index.nearest(f"id:{name}", k=10)
        taken.append(1000 * (time.perf_counter() - started))
        first.append(answer.artists[0].artist)
    return f"p50 {median(taken):.1f} ms, p99 {quantiles(taken, n=100)[-1]:.1f} ms", first


def found(index: Index, names: list[str]) -> list[dict[str, float]]:
    return [
        {near.painting.id: near.distance for near in index.nearest_paintings(f"id:{name}", k=10).paintings}
        for name in names
    ]


def main() -> None:
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    folder = Path(tempfile.mkdtemp(dir=os.environ.get("TMPDIR", "/tmp")))
    server = Milvus(sys.argv[1], folder / "milvus")
    try:
        vectors, artists = clustered(count, 256, np.random.default_rng(0))
        (folder / "from").mkdir()
        np.save(folder / "from" / "vectors.npy", vectors)
        pd.DataFrame({"id": [f"{i}.jpg" for i in range(count)], "artist": [f"artist {a}" for a in artists]}).to_parquet(
            folder / "from" / "paintings.parquet"
        )
        here = Index.import_vectors(folder / "i.artidx", folder / "from")[0]
        names = [f"{i}.jpg" for i in np.random.default_rng(1).choice(count, ASKED, replace=False)]
        print(f"{count:,} vectors of 256; server up in {server.start():.1f} s, {server.megabytes} MB")
        sent = 0

        def count_and_kill(done: int) -> None:
            nonlocal sent
            sent += done
            if sent == count // 2:
                server.kill()

        @contextmanager
        def killing(total: int, stage: str) -> Iterator[Callable[[int], None]]:
            yield count_and_kill

        try:
            here.push(server.address, bar=killing)
        except BadIndex as problem:
            print(f"killed after {sent:,}: {problem}")
        print(f"started again in {server.start():.1f} s")
        pushed = here.push(server.address)
        print(
            f"pushed again: {pushed.written:,} of {pushed.paintings:,} in {pushed.seconds:.1f} s; {pushed.kind}, "
            f"recall of the ten nearest {pushed.recall_at_10:.4f}; {server.megabytes} MB"
        )
        there = Index.open(server.address)
        exact, ours = found(here, names), found(there, names)
        assert all(
            mine[name] == theirs[name]
            for theirs, mine in zip(exact, ours, strict=True)
            for name in mine
            if name in theirs
        )
        print("distances are those of the folder to the bit")
        for _ in range(2):
            (slow, whom), (quick, known) = timed(there, names), timed(here, names)
            same = np.mean([a == b for a, b in zip(whom, known, strict=True)])
            print(f"nearest by id: in Milvus {slow}; in the folder {quick}; the same first artist for {same:.1%}")
        server.kill()
        print(f"killed, and started again in {server.start():.1f} s")
        again = found(Index.open(server.address), names)
        print(f"the same answers to {np.mean([a == b for a, b in zip(again, ours, strict=True)]):.1%} of the questions")
    finally:
        server.kill()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
