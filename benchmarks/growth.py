"""How times grow with the size of an index, from 10,000 paintings on, in one run.

    python benchmarks/growth.py                    # 10,000 and 100,000 paintings
    python benchmarks/growth.py 10000 100000 1000000

Vectors are synthetic, with 256 numbers, and cluster as artists do (benchmarks/search.py). No image is embedded: queries
are ids. Each time is compared with that of FAISS for as many exact searches, in the same process. Files of pairs and
lists, opening and changes are in processor time; memory is that of a process without mapped files, and, where it is
called a reader's own, without its libraries.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pandas as pd
from PIL import Image
from scale import peaks
from search import MODEL, NEVER, clustered, table_of, timed

from artidx import Embedder, Index, read_catalog
from artidx.cli.bulk import answer_list, answer_pairs
from artidx.embedder.catalogs.attribution import attributed
from artidx.embedder.pictures.images import MAX_PIXELS
from artidx.embedder.runtime import Embedding
from artidx.files import sha256_of, write_atomically
from artidx.index.answers.verify import Decision
from artidx.index.changes import build
from artidx.index.changes.build import Layout, new_contents
from artidx.index.storage import generations
from artidx.index.storage.manifest import Model
from artidx.index.storage.segments import Tables

DIM, ASKED, PAIRS = 256, 64, 300
OPEN = """
import sys, time, faiss, pandas, pyarrow.compute, pyarrow.parquet
from artidx import Index

def own():
    facts = dict(line.split(":") for line in open("/proc/self/smaps_rollup").read().splitlines()[1:])
    return int(facts["Anonymous"].split()[0]) / 1024

libraries = own()
started = time.process_time()
index = Index.open(sys.argv[1])
print(time.process_time() - started)
print(own() - libraries)
index.pair(sys.argv[2], sys.argv[3])
print(own() - libraries)
"""


def index_of(count: int, path: Path, vectors: np.ndarray, artist: np.ndarray) -> Index:
    """An index of synthetic vectors with the calibration of the shipped model."""
    table = attributed(table_of(np.arange(count), artist))
    table = table.astype({name: "str" for name in table if name not in ("row", "year")})
    contents = new_contents(Tables.of(table), vectors, np.zeros(DIM, np.float32), len(artist), Layout())
    calibration = Embedder.load().metadata["calibration"]
    facts = Model(sha256(MODEL).hexdigest(), "made up", DIM)
    with generations.writer(path):
        model = generations.ModelFile(facts, calibration, partial(write_atomically, data=MODEL))
        generations.publish(path, replace(contents, approximate_from=NEVER), model)
    return Index.open(path)


def quietly(work: Callable[[], Any]) -> Callable[[], Any]:
    def done() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            work()

    return done


def measure(count: int, folder: Path) -> dict[str, str]:
    chance = np.random.default_rng(1)
    vectors, artist = clustered(count, DIM, np.random.default_rng(0))
    path = folder / f"{count}.artidx"
    index = index_of(count, path, vectors, artist)
    names = [f"id:{place:08d}.jpg" for place in chance.choice(count, ASKED, replace=False)]
    flat = faiss.IndexFlatIP(DIM)
    flat.add(vectors)
    one = timed(lambda: flat.search(vectors[:1], 10), 5)
    pairs = folder / "pairs.csv"
    with pairs.open("w", newline="") as stream:
        rows = [("a", "b"), *(tuple(names[n] for n in chance.choice(ASKED, 2, replace=False)) for _ in range(PAIRS))]
        csv.writer(stream).writerows(rows)
    index.pair(names[0], names[1])
    found = {"FAISS, one exact search": ms(one)}

    def show(what: str, seconds: float, of: float) -> None:
        found[what] = f"{ms(seconds)} ({seconds / of:.1f})"

    show("pair", timed(lambda: index.pair(names[0], names[1]), 5), one)
    show("nearest", timed(lambda: index.nearest(names[0]), 5), one)
    few = "year == 1510"  # about 1 % of them
    show(f"nearest --where '{few}'", timed(lambda: index.only(few).nearest(names[0]), 5), one)
    half = "year < 1700"
    show(f"nearest --where '{half}'", timed(lambda: index.only(half).nearest(names[0]), 5), one)
    asked = partial(answer_pairs, index, pairs, Decision(), MAX_PIXELS)
    searched = least(lambda: flat.search(vectors[:ASKED], 10))
    show(f"pair --pairs, {PAIRS} of {ASKED} paintings", least(quietly(lambda: asked(False))), searched)
    show("the same, --json", least(quietly(lambda: asked(True))), searched)
    listed = partial(answer_list, index, names, 10)
    show(f"nearest --list, {ASKED}", least(quietly(lambda: listed(False, MAX_PIXELS, False))), searched)
    show("the same, --paintings", least(quietly(lambda: listed(True, MAX_PIXELS, False))), searched)
    found["look up an id"] = f"{timed(lambda: index.store.places('id', names[0][3:]), 50) * 1e6:,.0f} us"
    for question in ("nearest(sys.argv[2])", "pair(sys.argv[2], sys.argv[3])"):
        code = f"import sys; from artidx import Index; Index.open(sys.argv[1]).{question}"
        most, _, _ = peaks([sys.executable, "-c", code, path, names[2], names[3]])
        found[f"most memory of {question.partition('(')[0]}, with Python and all"] = f"{most:,} MiB"

    labels = pd.DataFrame({"id": [names[0][3:]], "title": ["another"]})
    found["label 1 of an open index"] = ms(busy(lambda: index.label(labels, by="somebody")))
    found["remove 1"] = ms(busy(lambda: index.remove([names[1][3:]])))
    found["add 1, its vector made already"] = ms(busy(lambda: add(index, folder / str(count), vectors[:1])))
    time.sleep(2)  # files that were just written are not trusted by their time
    for times in ("the first time", "again"):
        words = [sys.executable, "-c", OPEN, path, names[2], names[3]]
        opened, private, asked = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
        found[f"open, {times}"] = ms(float(opened))
    found["memory of a reader's own"] = f"{float(private):,.0f} MiB"
    found["... once asked about a pair"] = f"{float(asked):,.0f} MiB"
    return found


class Made:
    """An embedder that returns one of these vectors (n, d) for each picture, in order."""

    source = name = "made up"

    def __init__(self, index: Index, vectors: np.ndarray) -> None:
        self.sha256, self.dim, self._vectors = index.manifest.model.sha256, DIM, vectors

    def embed(self, paths: Iterable[str], **_: Any) -> Iterator[Embedding]:
        for path, vector in zip(paths, self._vectors, strict=True):
            yield Embedding(vector, sha256_of(Path(path)), "")


def add(index: Index, folder: Path, vectors: np.ndarray) -> None:
    """Add a small picture for each of these vectors (n, d)."""
    folder.mkdir()
    for number in range(len(vectors)):
        Image.new("RGB", (64, 64), number).save(folder / f"new {number}.png")
    build.add(index.source, read_catalog(folder), Made(index, vectors), build.Settings(), opened=index.generation)


def busy(work: Callable[[], Any]) -> float:
    """Seconds of processor time."""
    started = time.process_time()
    work()
    return time.process_time() - started


def least(work: Callable[[], Any]) -> float:
    """The same, the least of three times."""
    return min(busy(work) for _ in range(3))


def ms(seconds: float) -> str:
    return f"{seconds * 1e3:,.2f} ms" if seconds < 0.01 else f"{seconds * 1e3:,.0f} ms"


def main() -> None:
    sizes = [int(each) for each in sys.argv[1:]] or [10_000, 100_000]
    folder = Path(tempfile.mkdtemp(dir=os.environ.get("TMPDIR", "/tmp")))
    columns: dict[str, dict[str, str]] = {}
    try:
        for size in sizes:
            columns[f"{size:,}"] = measure(size, folder)
            shutil.rmtree(folder / f"{size}.artidx")
    finally:
        shutil.rmtree(folder)
    print(f"{os.cpu_count()} cores; in brackets, times as long as FAISS takes for the searches alone")
    print(pd.DataFrame(columns).to_string())


if __name__ == "__main__":
    main()
