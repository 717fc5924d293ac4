"""The speed of a build relative to the model alone, and its memory.

    python benchmarks/build.py paintings.csv

The model alone is timed on decoded images, before and after the build, in the same process with the same threads: what
counts is the ratio.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from artidx import Catalog, Embedder, Index, read_catalog
from artidx.embedder.locations import Reader
from artidx.embedder.pictures.images import Pixels


def model_rate(embedder: Embedder, squares: Pixels) -> float:
    started = time.perf_counter()
    embedder.infer(squares)
    return len(squares) / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("--paintings", type=int, help="only the first so many")
    chosen = parser.parse_args()
    catalog = read_catalog(chosen.source)
    catalog = Catalog(catalog.source, catalog.table.head(chosen.paintings or len(catalog)).reset_index(drop=True))
    embedder = Embedder.load()
    with Reader() as reader:
        squares = np.stack([reader.square(path, embedder.size) for path in catalog.table["path"].head(256)])
    model_rate(embedder, squares[:16])  # the first run allocates memory
    before = model_rate(embedder, squares)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        index, report = Index.build(Path(folder, "benchmark.artidx"), catalog, embedder=embedder)
        seconds = time.perf_counter() - started
        on_disk = sum(p.stat().st_size for p in index.source.rglob("*") if p.is_file())
    after = model_rate(embedder, squares)
    rate, alone = report.paintings / seconds, (before + after) / 2
    print(f"whole build   {report.paintings:,} paintings in {seconds:.1f} s, {rate:.1f} images/s")
    print(f"model alone   {before:.1f} images/s before, {after:.1f} after")
    print(f"ratio         {rate / alone:.3f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory   {peak:.0f} MiB; index on disk {on_disk / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
