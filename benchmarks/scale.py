"""The cost of a painting, for estimates of ten million or a billion: bytes and recall by layout, and memory.

    python benchmarks/scale.py            # 200,000 synthetic vectors of 256 numbers
    python benchmarks/scale.py 1000000    # another number, and only memory
    python benchmarks/scale.py reference  # those of the reference gallery, which are real

Layouts are FAISS' codes, searched exhaustively, so that misses are due to the code alone; recall is of the ten nearest.
Memory is the peak of a process that publishes an index of this many vectors, and of one that opens it and answers.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import faiss
import numpy as np
import pandas as pd
from search import clustered

from artidx import Index

K, ASKED, DIM = 10, 500, 256
LAYOUTS = {
    "float32": "Flat",
    "float16": "SQfp16",
    "8 bits": "SQ8",
    "product codes, 64 B": "PQ64",
    "product codes, 32 B": "PQ32",
    "product codes, 16 B": "PQ16",
}
PEAK = "print(next(int(line.split()[1]) // 1024 for line in open('/proc/self/status') if line.startswith('VmHWM')))"
PUBLISH = "import sys; from artidx import Index; Index.import_vectors(sys.argv[2], sys.argv[1])"
ANSWER = "import sys; from artidx import Index; Index.open(sys.argv[2]).nearest('id:0.jpg')"


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


def memory(vectors: np.ndarray, artists: np.ndarray) -> None:
    for count in (len(vectors) // 4, len(vectors)):
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / "from", Path(folder) / "i.artidx"
            source.mkdir()
            np.save(source / "vectors.npy", vectors[:count])
            names = [f"{i}.jpg" for i in range(count)]
            pd.DataFrame(
                {
                    "id": names,
                    "path": [f"s3://scans/{name}" for name in names],
                    "artist": [f"artist {a}" for a in artists[:count]],
                    "title": [f"a title of some words {i}" for i in range(count)],
                }
            ).to_parquet(source / "paintings.parquet")
            peaks = [
                int(
                    subprocess.run(
                        [sys.executable, "-c", f"{code}\n{PEAK}", source, target],
                        check=True,
                        capture_output=True,
                        text=True,
                    ).stdout
                )
                for code in (PUBLISH, ANSWER)
            ]
            generation = Index.open(target).generation
            size = sum(file.stat().st_size for file in generation.folder.iterdir() if file.suffix == ".parquet")
        print(
            f"{count:,} paintings: {peaks[0]} MB to publish, {peaks[1]} MB to open and answer; table "
            f"{size / count:.0f} B a painting on disk",
            flush=True,
        )


def main() -> None:
    print(f"{os.cpu_count()} cores")
    if "reference" in sys.argv:
        layouts(np.array(Index.open().generation.vectors.matrix))
        return
    vectors, artists = clustered(int(sys.argv[1]) if sys.argv[1:] else 200_000, DIM, np.random.default_rng(0))
    memory(vectors, artists)
    if not sys.argv[1:]:
        layouts(vectors)


if __name__ == "__main__":
    main()
