"""The cost of a painting, for estimates of ten million or a billion: bytes and recall by layout, and memory.

    python benchmarks/scale.py                         # 200,000 synthetic vectors of 256 numbers
    python benchmarks/scale.py 10000 100000 500000     # so many, and memory alone
    python benchmarks/scale.py 10000 100000 --beside BEFORE/bin/python      # ... and with artidx as it was
    python benchmarks/scale.py reference               # those of the reference gallery, which are real

Layouts are FAISS' codes, searched exhaustively, so that misses are due to the code alone; recall is of the ten nearest.
Memory is the peak of a process that publishes an index of so many vectors, and of one that opens it and answers: its
own, and with it the files that are mapped, which the system takes back where it needs the room.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import faiss
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from search import clustered

from artidx import Index
from artidx.index.scoring.vectors import blocks

K, ASKED, DIM = 10, 500, 256
SUFFIXES = ".parquet", ".arrow"
LAYOUTS = {
    "float32": "Flat",
    "float16": "SQfp16",
    "8 bits": "SQ8",
    "product codes, 64 B": "PQ64",
    "product codes, 32 B": "PQ32",
    "product codes, 16 B": "PQ16",
}
PUBLISH = "import sys; from artidx import Index; Index.import_vectors(sys.argv[2], sys.argv[1])"
ANSWER = "import sys; from artidx import Index; Index.open(sys.argv[2]).nearest('id:0.jpg')"
EVERY_S = 0.01


def peaks(command: Sequence[str | Path]) -> tuple[int, int, float]:
    """Peak MB of a process, private and with mapped files, sampled a hundred times per second; and its processor
    seconds."""
    before = os.times()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    own = whole = 0
    while process.poll() is None:
        told = dict(line.split(":", 1) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines())
        if "RssAnon" in told:
            own = max(own, int(told["RssAnon"].split()[0]))
            whole = max(whole, int(told["VmHWM"].split()[0]))
        time.sleep(EVERY_S)
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed")
    after = os.times()
    busy = after.children_user + after.children_system - before.children_user - before.children_system
    return own // 1024, whole // 1024, busy


def layouts(vectors: np.ndarray) -> None:
    chance = np.random.default_rng(0)
    asked = vectors[chance.choice(len(vectors), ASKED, replace=False)]
    exact = faiss.knn(asked, vectors, K + 1, metric=faiss.METRIC_INNER_PRODUCT)[1]
    some = vectors[chance.choice(len(vectors), min(len(vectors), 50_000), replace=False)]
    for name, kind in LAYOUTS.items():
        index = faiss.index_factory(vectors.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
        index.train(some)
        index.add(vectors)
        started = time.perf_counter()
        found = index.search(asked, 4 * K + 1)[1]
        seconds = time.perf_counter() - started
        plain, again = (
            np.mean([len({*near} & {*ours}) - 1 for near, ours in zip(exact, found[:, :most], strict=True)])
            for most in (K + 1, 4 * K + 1)
        )
        print(
            f"{name:20} {index.sa_code_size():5} B  recall {plain / K:.3f}, of 40 measured anew {again / K:.3f}, "
            f"{ASKED / seconds:,.0f} questions/s",
            flush=True,
        )


def memory(counts: Sequence[int], pythons: Sequence[str]) -> None:
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "from"
            write(source, count)
            for number, python in enumerate(pythons):
                target = Path(folder) / f"{number}.artidx"
                published, answered = (peaks([python, "-c", code, source, target]) for code in (PUBLISH, ANSWER))
                files = [*target.glob("generations/*/*")]
                sizes = [sum(file.stat().st_size for file in files if file.suffix == end) for end in SUFFIXES]
                print(
                    f"{count:,} paintings{', beside' if number else ''}: publishing takes {published[0]:,} MB of its "
                    f"own ({published[1]:,} with mapped files) and {published[2]:.1f} s of processor time, opening and "
                    f"answering {answered[0]:,} MB ({answered[1]:,}); on disk {sizes[0] / count:.0f} B a painting in "
                    f"the table, {sizes[1] / count:.0f} B to be looked up",
                    flush=True,
                )
                shutil.rmtree(target)


def write(folder: Path, count: int, kind: npt.DTypeLike = np.float32) -> None:
    """Vectors and paintings as another program exports them, with only some of them in memory."""
    folder.mkdir()
    vectors = np.lib.format.open_memmap(folder / "vectors.npy", "w+", kind, (count, DIM))
    artists = clustered(count, DIM, np.random.default_rng(0), vectors)[1]
    writer = None
    for some in blocks(count, 1 << 16):
        names = [f"{i}.jpg" for i in range(some.start, some.stop)]
        table = pa.table(
            {
                "id": names,
                "path": [f"s3://scans/{name}" for name in names],
                "artist": [f"artist {a}" for a in artists[some]],
                "title": [f"a title of some words {i}" for i in range(some.start, some.stop)],
                "year": 1500 + artists[some] % 400,
            }
        )
        writer = writer or pq.ParquetWriter(folder / "paintings.parquet", table.schema)
        writer.write_table(table)
    writer.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", nargs="*", help="numbers of vectors, or reference")
    parser.add_argument("--beside", action="append", default=[], help="a Python that has another artidx")
    given = parser.parse_args()
    print(f"{os.cpu_count()} cores")
    if given.what == ["reference"]:
        layouts(np.array(Index.open().generation.vectors.matrix))
        return
    memory([int(each) for each in given.what] or [50_000, 200_000], [sys.executable, *given.beside])
    if not given.what:
        layouts(clustered(200_000, DIM, np.random.default_rng(0))[0])


if __name__ == "__main__":
    main()
