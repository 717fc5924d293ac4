"""Ten million paintings on one machine, in half precision: what it takes to build, open, ask, change and compact.

    python benchmarks/millions.py FOLDER 100000 300000 1000000 3000000 10000000

Each step is a process of its own, whose peak of private memory is sampled. Its results are written to FOLDER, and a
step that has them is not run again: the same command resumes. Vectors are synthetic, with 256 numbers, and cluster as
artists do (benchmarks/search.py). Ten million need 45 GB of disk. Times are processor times, since such a run is long
and seldom alone; those of questions are compared with FAISS' own half precision in the same process. At the end, the
costs of all sizes are fitted, checked, extrapolated and drawn (FOLDER/memory.png).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from growth import OPEN, add
from scale import DIM, peaks, write
from search import NEVER, unit

from artidx import Index
from artidx.index.changes.build import Layout
from artidx.index.scoring.vectors import Vectors, blocks
from artidx.index.storage import approximate, generations
from artidx.index.storage.segments import Draft

K, ASKED, CHANGED, SEED = 10, 64, 100, 1
FEW, HALF = "year == 1510", "year < 1700"
REMOVED = 0.26  # of the paintings: a little more than makes a segment be written anew
PICTURE = "memory.png"

Facts = dict[str, float]


def source(folder: Path) -> Facts:
    write(folder / "from", int(folder.name), np.float16)
    return {}


def build(folder: Path) -> Facts:
    """Import, without an approximate index."""
    approximate.AUTOMATIC = NEVER
    shutil.rmtree(index_of(folder), ignore_errors=True)
    Index.import_vectors(index_of(folder), folder / "from", layout=Layout(half=True))
    return sizes(folder)


def sizes(folder: Path) -> Facts:
    """Bytes of the published generation by kind of file."""
    files = [*Index.open(index_of(folder)).generation.folder.iterdir()]
    kinds = {"vectors": ".npy", "table": ".parquet", "columns": ".arrow", "lists": ".faiss"}
    return {name: sum(file.stat().st_size for file in files if file.suffix == end) for name, end in kinds.items()}


def opened(folder: Path) -> Facts:
    """By another process."""
    words = [sys.executable, "-c", OPEN, index_of(folder), *names(folder)[:2]]
    told = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
    return dict(zip(("open_s", "open_mb", "asked_mb"), map(float, told), strict=True))


def questions(folder: Path) -> Facts:
    """Answered exhaustively, and compared with FAISS' search of its own half precision, which fits into memory."""
    index, asked = Index.open(index_of(folder)), names(folder)
    vectors = index.generation.vectors
    queries = queries_of(vectors)
    flat = faiss.IndexScalarQuantizer(DIM, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    for some in blocks(len(vectors), 1 << 16):
        flat.add(vectors.parts[0].matrix[some])
    flat.search(queries[:1], K)
    found = {
        "faiss_one_s": busy(lambda: flat.search(queries[:1], K)),
        "faiss_many_s": busy(lambda: flat.search(queries, K)),
        "one_s": busy(lambda: vectors.nearest(queries[:1], K)),
        "many_s": busy(lambda: vectors.nearest(queries, K)),
    }
    index.nearest(asked[0])
    few, half = index.only(FEW), index.only(HALF)
    return found | {
        "nearest_s": busy(lambda: index.nearest(asked[2])),
        "filter_s": busy(lambda: index.only(HALF)),
        "few_s": busy(lambda: few.nearest(asked[2])),
        "few": len(few.store),
        "half_s": busy(lambda: half.nearest(asked[2])),
        "half": len(half.store),
        "id_s": busy(lambda: index.store.places("id", asked[4][3:]), 50),
    }


def changes(folder: Path) -> Facts:
    index = Index.open(index_of(folder))
    pictures = folder / "pictures"
    shutil.rmtree(pictures, ignore_errors=True)
    vectors = unit(np.array(index.generation.vectors.at(np.arange(CHANGED))) + np.float32(0.01))
    found = {"add_s": busy(lambda: add(index, pictures, vectors))}
    index = Index.open(index_of(folder))
    ids = [f"{number}.jpg" for number in range(CHANGED)]
    return found | {"remove_s": busy(lambda: index.remove(ids))}


def compaction(folder: Path) -> Facts:
    """So many are removed, in a copy, that the rest is written anew."""
    path, current = folder / "compacted.artidx", generations.read(index_of(folder))
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(index_of(folder) / "generations", path / "generations", copy_function=os.link)
    shutil.copy(index_of(folder) / "CURRENT", path)
    removed = np.arange(CHANGED, int(REMOVED * len(current)), dtype=np.int64)
    removed = np.concatenate([current.contents.removed, removed])
    publish(path, replace(current.contents, removed=removed))
    found = {"segments": len(generations.read(path).manifest.segments)}
    shutil.rmtree(path)
    return found


def lists(folder: Path) -> Facts:
    """The same paintings, written again with an approximate index, and asked through it."""
    path, current = index_of(folder), generations.read(index_of(folder))
    first = current.contents.segments[0]
    drafts = [Draft(first.tables, first.stored), *current.contents.segments[1:]]
    publish(path, replace(current.contents, segments=drafts, approximate_from=0))
    index, asked = Index.open(path), names(folder)
    vectors, facts = index.generation.vectors, index.manifest.segments[0].approximate
    queries = queries_of(vectors)
    vectors.nearest(queries[:1], K)
    index.pair(asked[0], asked[1])
    return {
        "recall": facts.recall_at_10 if facts else 1.0,
        "one_s": busy(lambda: vectors.nearest(queries[:1], K), 20),
        "many_s": busy(lambda: vectors.nearest(queries, K), 5),
        "nearest_s": busy(lambda: index.nearest(asked[2]), 5),
        "pair_s": busy(lambda: index.pair(asked[2], asked[3]), 5),
        **sizes(folder),
    }


STEPS: dict[str, Callable[[Path], Facts]] = {
    step.__name__: step for step in (source, build, opened, questions, changes, compaction, lists)
}


def publish(path: Path, contents: generations.Contents) -> None:
    current = generations.read(path)
    with generations.writer(path):
        generations.publish(path, contents, generations.ModelFile.of(current), current)


def queries_of(vectors: Vectors) -> np.ndarray:
    return np.array(vectors.at(np.arange(ASKED) * (len(vectors) // ASKED)))


def index_of(folder: Path) -> Path:
    return folder / "i.artidx"


def names(folder: Path) -> list[str]:
    return [f"id:{n}.jpg" for n in np.random.default_rng(SEED).choice(int(folder.name), ASKED, replace=False)]


def busy(work: Callable[[], Any], times: int = 1) -> float:
    """Seconds of processor time, the mean of several times."""
    started = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - started) / times


def measured(folder: Path, count: int, steps: Sequence[str]) -> dict[str, Facts]:
    """The results of steps for so many paintings, and of those before."""
    kept, place = folder / f"{count}.json", folder / str(count)
    found: dict[str, Facts] = json.loads(kept.read_text()) if kept.exists() else {}
    for step in steps:
        if step not in found:
            place.mkdir(exist_ok=True)
            started = time.monotonic()
            own, whole, seconds = peaks([sys.executable, __file__, "--step", step, str(place)])
            found[step] = json.loads((place / f"{step}.json").read_text()) | {
                "own_mb": own,
                "mapped_mb": whole,
                "processor_s": seconds,
                "clock_s": time.monotonic() - started,
            }
            kept.write_text(json.dumps(found, indent=1))
            print(f"{count:,} {step}: {json.dumps(found[step])}", flush=True)
    return found


def lists_work(count: float) -> float:
    """Products of vectors that building lists over so many takes: training and assigning (approximate.py)."""
    lists = 2 ** np.floor(np.log2(min(4 * np.sqrt(count), count / 39)))
    return float(lists * (count + 10 * approximate.TRAINED_ON * lists))  # in 10 iterations


Sized = dict[int, dict[str, Facts]]
COSTS: dict[str, tuple[Callable[[dict[str, Facts]], float], Callable[[float], float]]] = {
    "disk, GB": (lambda of: sum(of["build"][each] for each in ("vectors", "table", "columns")) / 1e9, float),
    "disk of lists, GB": (lambda of: of["lists"]["lists"] / 1e9, float),
    "build, s": (lambda of: of["build"]["processor_s"], float),
    "lists, s": (lambda of: of["lists"]["processor_s"], lists_work),
    "memory to build, GB": (lambda of: of["build"]["own_mb"] / 1e3, float),
    "memory for lists, GB": (lambda of: of["lists"]["own_mb"] / 1e3, float),
    "memory to change, GB": (lambda of: of["changes"]["own_mb"] / 1e3, float),
    "memory to compact, GB": (lambda of: of["compaction"]["own_mb"] / 1e3, float),
    "memory of a reader, GB": (lambda of: of["opened"]["asked_mb"] / 1e3, float),
    "open, s": (lambda of: of["opened"]["open_s"], float),
    "exact search, s": (lambda of: of["questions"]["one_s"], float),
    "approximate search, ms": (lambda of: 1e3 * of["lists"]["one_s"], np.sqrt),
    "add 100, s": (lambda of: of["changes"]["add_s"], float),
    "remove 100, s": (lambda of: of["changes"]["remove_s"], float),
    "compact, s": (lambda of: of["compaction"]["processor_s"], float),
}


def line(sizes_: list[int], costs: list[float], work: Callable[[float], float]) -> Callable[[float], float]:
    """cost = a + b * work(size), by least squares of the relative error; neither negative."""
    from scipy.optimize import nnls

    rows = np.array([[1.0, work(size)] for size in sizes_])
    scale = rows.max(axis=0)
    weights = 1 / np.maximum(np.array(costs), 1e-9)
    a, b = nnls(rows / scale * weights[:, None], np.ones(len(costs)))[0] / scale
    return lambda size: float(a + b * work(size))


def fitted(results: Sized) -> None:
    """Each cost: as measured, as expected from the smaller sizes, and by the line through all."""
    for name, (cost, work) in COSTS.items():
        costs, checks = {}, []
        for count, of in sorted(results.items()):
            with suppress(KeyError):  # not measured yet
                costs[count] = cost(of)
        counts = [*costs]
        for count in counts:
            below = [each for each in counts if each < count]
            if len(below) > 1:
                told = line(below, [costs[each] for each in below], work)(count)
                checks.append(f"{costs[count]:.3g} at {count:,} ({told:.3g} expected)")
            else:
                checks.append(f"{costs[count]:.3g} at {count:,}")
        if len(counts) > 1:
            model = line(counts, [*costs.values()], work)
            checks += [f"about {model(size):.3g} at {size:,}" for size in (10**8, 10**9)]
        print(f"{name:24} {'; '.join(checks)}")


def drawn(results: Sized, path: Path) -> None:
    """Memory by size, both logarithmic."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for name, label, style in (
        ("disk, GB", "the index on disk", {"color": "0.6", "linestyle": "--"}),
        ("memory for lists, GB", "building an approximate index", {}),
        ("memory to build, GB", "importing", {}),
        ("memory to compact, GB", "compacting", {}),
        ("memory to change, GB", "adding and removing 100", {}),
        ("memory of a reader, GB", "a reader, after a question", {}),
    ):
        cost, points = COSTS[name][0], []
        for count, of in sorted(results.items()):
            with suppress(KeyError):
                points.append((count, cost(of)))
        axes.plot(*zip(*points, strict=True), marker="o", label=label, **style)
    axes.set(xscale="log", yscale="log", xlabel="paintings", ylabel="GB")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize=8)
    figure.savefig(path, dpi=140)


def main() -> None:
    if sys.argv[1] == "--step":
        step, folder = sys.argv[2], Path(sys.argv[3])
        (folder / f"{step}.json").write_text(json.dumps(STEPS[step](folder)))
        return
    folder, counts = Path(sys.argv[1]).absolute(), [int(each) for each in sys.argv[2:]]
    folder.mkdir(parents=True, exist_ok=True)
    *first, last = STEPS
    for steps in (first, [last]):  # what takes longest comes last
        results = {count: measured(folder, count, steps) for count in counts}
        print(f"{os.cpu_count()} cores")
        fitted(results)
        drawn(results, folder / PICTURE)
    for count in counts:
        shutil.rmtree(folder / str(count), ignore_errors=True)


if __name__ == "__main__":
    main()
