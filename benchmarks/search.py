"""Times to build, open, search and change an index of many vectors, compared with FAISS called directly in one run.

    python benchmarks/search.py 100000 512
    python benchmarks/search.py 1000000 256
    python benchmarks/search.py reference              # the vectors of the reference gallery, which are real
    python benchmarks/search.py 100000 512 --beside    # also hnswlib, usearch and qdrant-edge-py, where installed

The vectors are synthetic: artists of uneven sizes around schools, so that they cluster. No image is embedded: building
means writing vectors, including hashes and fsync. Rates of many queries are for 1,024 at once.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pandas as pd

from artidx import Embedder, Index
from artidx.files import write_atomically
from artidx.index.answers.search import Gallery, Query
from artidx.index.changes import build, edit
from artidx.index.changes.build import Layout, new_contents
from artidx.index.scoring import upgrades
from artidx.index.scoring.artist_scores import ArtistCalibration
from artidx.index.scoring.calibration import Calibration
from artidx.index.storage import approximate, generations
from artidx.index.storage.folder_store import FolderStore
from artidx.index.storage.manifest import Model
from artidx.index.storage.segments import Tables

QUERIES, K, SINGLE = 1024, 10, 100
NEVER = 1 << 40  # no approximate index: it is measured separately
MODEL = b"vectors made up"
OPEN = """
import sys, time
from artidx import Index
started = time.perf_counter()
index = Index.open(sys.argv[1])
opened = time.perf_counter() - started
index.generation.vectors.nearest(index.generation.vectors.at([0]), 10)
facts = dict(line.split(":") for line in open("/proc/self/smaps_rollup").read().splitlines()[1:])
print(opened, int(facts["Rss"].split()[0]) // 1024, int(facts["Private_Dirty"].split()[0]) // 1024)
"""


def clustered(
    count: int, dim: int, chance: np.random.Generator, vectors: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(n, d) unit vectors, written into `vectors` if given, and (n,) their artists."""
    artists = max(count // 50, 10)
    schools = chance.normal(size=(200, dim))
    centres = 0.8 * schools[chance.integers(0, 200, artists)] + chance.normal(size=(artists, dim))
    shares = 1 / np.sqrt(np.arange(1, artists + 1))
    artist = chance.choice(artists, count, p=shares / shares.sum())
    vectors = np.empty((count, dim), np.float32) if vectors is None else vectors
    for start in range(0, count, 1 << 16):
        some = artist[start : start + (1 << 16)]
        vectors[start : start + len(some)] = unit(centres[some] + chance.normal(size=(len(some), dim)))
    return vectors, artist


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def table_of(numbers: np.ndarray, artist: np.ndarray) -> pd.DataFrame:
    names = pd.Series(artist).map("artist {:06d}".format)
    text = pd.Series(numbers).map("{:08d}".format)
    return pd.DataFrame(
        {
            "row": numbers,
            "id": text + ".jpg",
            "path": "/paintings/" + text + ".jpg",
            "artist": names,
            "artist_key": names,
            "title": "untitled " + text,
            "year": pd.array(1500 + artist % 400, dtype="Int64"),
            "sha256": text.map(lambda name: sha256(name.encode()).hexdigest()),
        }
    )


def timed(work: Callable[[], Any], times: int = 1) -> float:
    """The median of several times, in seconds."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return float(np.median(taken))


def recall(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.mean([len({*a} & {*b}) / len(b) for a, b in zip(found.tolist(), exact.tolist(), strict=True)]))


def publish(path: Path, contents: generations.Contents) -> None:
    model = generations.ModelFile(
        Model(sha256(MODEL).hexdigest(), "made up", len(contents.centre)), None, partial(write_atomically, data=MODEL)
    )
    with generations.writer(path):
        generations.publish(path, contents, model)


def size_of(path: Path) -> float:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e6


def measure(vectors: np.ndarray, artist: np.ndarray, folder: Path, beside: bool) -> None:
    chance = np.random.default_rng(1)
    count, dim = vectors.shape
    queries = vectors[chance.choice(count, QUERIES)] + 0.02 * chance.normal(size=(QUERIES, dim))
    queries = unit(queries).astype(np.float32)
    centre, path, table = np.zeros(dim, np.float32), folder / "i.artidx", table_of(np.arange(count), artist)
    people = len(np.unique(artist))
    contents = replace(new_contents(Tables.of(table), vectors, centre, people, Layout()), approximate_from=NEVER)
    print(f"{count:,} vectors of {dim}, {people:,} artists")
    seconds = timed(lambda: publish(path, contents))
    written = timed(lambda: np.save(folder / "plain.npy", vectors))
    print(
        f"build             {seconds:6.2f} s    ({seconds / written:.1f} times numpy's writing of the vectors alone, "
        f"without fsync); {size_of(path):,.0f} MB, {size_of(path) * 1e6 / count:,.0f} bytes a painting"
    )
    print(f"open              {opening(path)}")
    index = Index.open(path)
    mapped, flat = index.generation.vectors, faiss.IndexFlatIP(dim)
    flat.add(vectors)
    exact = mapped.nearest(queries, K)[0]
    assert recall(flat.search(queries, K)[1], exact) > 0.999
    rounds = 3 if count <= 200_000 else 1
    ours, theirs = (
        timed(work, rounds) for work in (lambda: mapped.nearest(queries, K), lambda: flat.search(queries, K))
    )
    print(f"exact, many       {QUERIES / ours:6,.0f} /s   {ours / theirs:.2f} times the time of FAISS' IndexFlatIP")
    one, other = (
        np.median([timed(partial(work, query[None])) for query in queries[:SINGLE]])
        for work in (lambda q: mapped.nearest(q, K), lambda q: flat.search(q, K))
    )
    print(f"exact, one        {one * 1e3:6.2f} ms   {one / other:.2f} times IndexFlatIP")
    exact_rate = QUERIES / ours

    if count >= approximate.FEWEST:
        seconds = timed(lambda: publish(folder / "lists.artidx", replace(contents, approximate_from=0)))
        quick = Index.open(folder / "lists.artidx")
        facts = quick.manifest.segments[0].approximate
        if facts is None:
            print("approximate       no lists find enough; the index stays exact")
        else:
            search = quick.generation.vectors.nearest
            found = search(queries, K)[0]
            rate = QUERIES / timed(lambda: search(queries, K), 3)
            alone = np.median([timed(partial(search, query[None], K)) for query in queries[:SINGLE]])
            size = (quick.generation.folder / f"{quick.manifest.segments[0].name}.faiss").stat().st_size / 1e6
            print(
                f"approximate       {rate:6,.0f} /s   {rate / exact_rate:.1f} times the exact rate; recall@10 "
                f"{recall(found, exact):.4f} ({facts.kind}, {facts.nprobe} lists; in the manifest "
                f"{facts.recall_at_10:.4f})"
            )
            print(f"approximate, one  {alone * 1e3:6.2f} ms   built in {seconds:.1f} s, {size:,.0f} MB more")
            print(f"approximate, open {opening(folder / 'lists.artidx')}")
            print(f"artists           {named(quick.generation, queries[:SINGLE])}")

    generation = index.generation
    more = table_of(np.arange(count, count + 100), artist[:100])
    added = timed(lambda: publish_more(path, generation, more, unit(vectors[:100] + 0.01).astype(np.float32)))
    removed = timed(lambda: edit.remove(path, [f"{number:08d}.jpg" for number in range(count, count + 100)]))
    print(f"add 100           {added:6.2f} s    without embedding")
    print(f"remove 100        {removed:6.2f} s")
    if beside:
        for name, peer in PEERS.items():
            try:
                print(f"{name:17} {peer(vectors, queries, exact, folder / name)}")
            except ImportError as problem:
                print(f"{name:17} {problem}")


def opening(path: Path) -> str:
    """Seconds and memory of a separate process that has asked once; the median of three."""
    seconds, resident, private = np.median(
        [
            [
                float(value)
                for value in subprocess.run(
                    [sys.executable, "-c", OPEN, path], check=True, capture_output=True, text=True
                ).stdout.split()
            ]
            for _ in range(3)
        ],
        axis=0,
    )
    return (
        f"{seconds:6.2f} s    every file checked; {resident:,.0f} MiB resident, {private:,.0f} MiB of them the "
        f"reader's own"
    )


def named(generation: generations.Generation, queries: np.ndarray) -> str:
    """Artists named with the lists compared with those named by exhaustive search, with the calibration of the shipped
    model."""
    calibration = Calibration.from_json(upgrades.calibration(Embedder.load().metadata["calibration"]), "", 256).artists
    by_lists, by_all = (
        Gallery(FolderStore(generation, "", allowed)) for allowed in (None, np.ones(len(generation.table), bool))
    )
    pairs = [
        [first_artist(gallery, Query("", query, frozenset()), calibration) for gallery in (by_lists, by_all)]
        for query in queries
    ]
    same = sum(ours[0][0].artist == theirs[0][0].artist for ours, theirs in pairs)
    first = max(abs(ours[0][0].probability - theirs[0][0].probability) for ours, theirs in pairs)
    nobody = max(abs(ours[1] - theirs[1]) for ours, theirs in pairs)
    return (
        f"{same:6} of {len(pairs)} named first as by an exhaustive search; probabilities off by {first:.4f} at "
        f"most, that of nobody by {nobody:.4f}"
    )


def first_artist(gallery: Gallery, query: Query, calibration: ArtistCalibration) -> tuple[tuple, float]:
    (seen,) = gallery.look([query], 1)
    return gallery.nearest_artists(query, seen.candidates, 1, calibration)


def publish_more(path: Path, before: generations.Generation, table: pd.DataFrame, embeddings: np.ndarray) -> None:
    with generations.writer(path):
        current = generations.read(path)
        contents = build.grown(current.contents, table, embeddings)
        generations.publish(path, contents, generations.ModelFile.of(current), current)


def result_line(seconds: float, found: Callable[[int], np.ndarray], exact: np.ndarray, size: float) -> str:
    """A line about a graph that is searched with growing effort until it finds 98%."""
    for effort in (16, 32, 64, 128, 256, 512):
        rate = QUERIES / timed(lambda effort=effort: found(effort))
        hits = recall(found(effort), exact)
        if hits >= 0.98:
            break
    return f"{rate:6,.0f} /s   recall@10 {hits:.4f} (effort {effort}); built in {seconds:.0f} s, {size:,.0f} MB"


def with_hnswlib(vectors: np.ndarray, queries: np.ndarray, exact: np.ndarray, path: Path) -> str:
    import hnswlib

    graph = hnswlib.Index(space="ip", dim=vectors.shape[1])
    graph.init_index(len(vectors), M=16, ef_construction=100)
    graph.set_num_threads(os.cpu_count())
    seconds = timed(lambda: graph.add_items(vectors))
    graph.save_index(str(path))

    def found(effort: int) -> np.ndarray:
        graph.set_ef(effort)
        return graph.knn_query(queries, K)[0]

    return result_line(seconds, found, exact, path.stat().st_size / 1e6)


def with_usearch(vectors: np.ndarray, queries: np.ndarray, exact: np.ndarray, path: Path) -> str:
    from usearch.index import Index as Graph

    graph = Graph(ndim=vectors.shape[1], metric="ip", dtype="f32", connectivity=16, expansion_add=100)
    seconds = timed(lambda: graph.add(np.arange(len(vectors)), vectors))
    graph.save(str(path))

    def found(effort: int) -> np.ndarray:
        graph.expansion_search = effort
        return graph.search(queries, K).keys

    return result_line(seconds, found, exact, path.stat().st_size / 1e6)


def with_qdrant(vectors: np.ndarray, queries: np.ndarray, exact: np.ndarray, path: Path) -> str:
    import qdrant_edge as edge

    config = edge.EdgeConfig(
        vectors=edge.EdgeVectorParams(size=vectors.shape[1], distance=edge.Distance.Dot),
        hnsw_config=edge.HnswIndexConfig(m=16, ef_construct=100, full_scan_threshold=10),
        optimizers=edge.EdgeOptimizersConfig(indexing_threshold=1),
    )
    path.mkdir()
    shard = edge.EdgeShard.create(str(path), config)

    def fill() -> None:
        for start in range(0, len(vectors), 1000):
            points = [
                edge.Point(id=start + i, vector=vector.tolist())
                for i, vector in enumerate(vectors[start : start + 1000])
            ]
            shard.update(edge.UpdateOperation.upsert_points(points))
        shard.optimize()
        shard.flush()

    seconds = timed(fill)

    def found(effort: int) -> np.ndarray:
        return np.array(
            [
                [
                    point.id
                    for point in shard.query(
                        edge.QueryRequest(
                            limit=K, query=edge.Query.Nearest(query.tolist()), params=edge.SearchParams(hnsw_ef=effort)
                        )
                    )
                ]
                for query in queries
            ]
        )

    text = result_line(seconds, found, exact, size_of(path))
    shard.close()
    return text


PEERS = {"hnswlib": with_hnswlib, "usearch": with_usearch, "qdrant-edge-py": with_qdrant}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", help="how many vectors, or the word reference")
    parser.add_argument("dim", type=int, nargs="?", default=256)
    parser.add_argument("--beside", action="store_true", help="also measure other programs")
    chosen = parser.parse_args()
    if chosen.count == "reference":
        gallery = Index.open().generation
        vectors, artist = np.array(gallery.vectors.matrix), pd.factorize(gallery.table["artist_key"])[0]
    else:
        vectors, artist = clustered(int(chosen.count), chosen.dim, np.random.default_rng(0))
    folder = Path(tempfile.mkdtemp(dir=os.environ.get("TMPDIR", "/tmp")))
    try:
        measure(vectors, artist, folder, chosen.beside)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
