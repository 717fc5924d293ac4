"""The memory of the process that builds an index on a server (artidx build TABLE -o ADDRESS), by what it does.

    python benchmarks/driver.py 200000 1000000

There is no server, and no image: what workers do there is made up in this process, with vectors of 4 numbers, as if all
were embedded. The table has id, path, artist (of 50 paintings each), title, date and medium, 110 characters in all.
Memory is private memory beyond that of Python and its libraries, sampled 50 times a second. The processor time of
reading is shown, too.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from artidx import Embedder, Settings, read_catalog
from artidx.index import addresses
from artidx.index.changes import build_on_server, stage_jobs
from artidx.index.milvus import layout
from artidx.index.milvus.address import Address
from artidx.index.storage import stage
from artidx.index.storage.stage import Staged

DIM = 4
PART = 1000  # paintings that are written together


class Stage(stage.Stage):
    """Embeddings of any painting, made up when they are read."""

    dim = DIM

    def __init__(self) -> None:
        self.about = Staged(np.zeros(0, np.int64), [], np.zeros((0, DIM), np.float32))

    def is_there(self) -> bool:
        return False

    def make(self) -> None:
        pass

    def put(self, rows: Staged) -> None:
        self.about = rows

    def get(self, numbers: range) -> Staged:
        if numbers.start < 0:
            return self.about
        vectors = np.random.default_rng(numbers.start).normal(size=(len(numbers), DIM)).astype(np.float32)
        texts = [json.dumps(("m" * 32, f"{number:064d}", "")) for number in numbers]
        return Staged(np.array(numbers), texts, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))

    def drop(self) -> None:
        pass


class Embedding:
    """What a worker says of images that are there."""

    def __init__(self, *_: Any) -> None:
        self.stage = Stage()

    def __call__(self, piece: tuple[int, list[str]]) -> stage_jobs.Done:
        start, paths = piece
        texts = self.stage.get(range(start, start + len(paths))).texts
        return stage_jobs.Done(start, [""] * len(paths), stage_jobs._checks(texts))


class Shown:
    """Peaks of memory, by what is done."""

    def __init__(self) -> None:
        self.peaks, self.doing, self._least = dict[str, float](), "", _private_mb()
        threading.Thread(target=self._sample, daemon=True).start()

    def _sample(self) -> None:
        while True:
            self.peaks[self.doing] = max(self.peaks.get(self.doing, 0.0), _private_mb() - self._least)
            time.sleep(0.02)

    @contextmanager
    def bar(self, total: int, what: str) -> Iterator[Callable[[int], None]]:
        self.doing = what
        yield lambda done: None


def _private_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def write_table(path: Path, paintings: int) -> None:
    chance = np.random.default_rng(0)
    with path.open("w") as file:
        file.write("id,file,artist,title,date,medium\n")
        for number in range(paintings):
            where, title = f"s3://scans/{number // 1000:05d}/NG-{number:08d}.jpg", chance.bytes(9).hex()[:17]
            artist = f'"Painter {number % (paintings // 50)}, Jan"'
            file.write(f"NG-{number:08d},{where},{artist},{title},{1500 + number % 400},oil on canvas\n")


def measure(paintings: int) -> None:
    embedder, made_up, shown = Embedder.load(), Stage(), Shown()
    embedder.dim = DIM

    def push(original: Any, address: Address, bar: Any) -> None:
        shown.doing = "writing"
        for frame in original.frames():
            layout.check_fits(frame, original.again)
        parts = [range(start, min(start + PART, paintings)) for start in range(0, paintings, PART)]
        assert sum(original.written(address, parts)) == paintings
        original.artists(), original.centroids()

    build_on_server.Embedding = Embedding
    addresses.stage, addresses.published = lambda *_: made_up, lambda _: None
    addresses.write, addresses.push = lambda *_: None, push
    with tempfile.TemporaryDirectory() as folder:
        write_table(Path(folder, "table.csv"), paintings)
        shown.doing = "reading the catalog"
        started = time.process_time()
        catalog = read_catalog(Path(folder, "table.csv"), on_disk=True)
        reading = time.process_time() - started
    shown.doing = "comparing"
    address = Address.of("milvus+http://nowhere/a")
    build_on_server.build_on_server(address, catalog, embedder, Settings(), bar=shown.bar)
    print(f"{paintings:>9,} reading the catalog {reading:6.1f} s of processor time")
    for doing, peak in shown.peaks.items():
        if doing:
            print(
                f"{paintings:>9,} {doing:20} {peak:6,.0f} MB {peak * 2**20 / paintings:6,.0f} B a painting", flush=True
            )


if __name__ == "__main__":
    if len(sys.argv) == 2:
        measure(int(sys.argv[1]))
    else:
        for size in sys.argv[1:]:
            subprocess.run([sys.executable, __file__, size], check=True)
