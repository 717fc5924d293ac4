"""Embed on a Ray cluster: the catalog is sent in small pieces, a pool of actors embeds them, the vectors come back.

Each actor has one model and reads its images itself, from paths that every node has or from object storage; its results
are the same as here, so that shards, resuming and the published generation are those of a local build. Ray Data grows
the pool with the cluster, slows it down if results pile up, and gives the work of a lost worker to another: a piece may
be embedded twice, and counts once. Needs artidx[ray] here and on every node.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import pickle
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ... import errors
from ...embedder.locations import absolute
from ...embedder.runtime import Embedder, Embedding
from ...errors import ArtidxError, BadSetting, ClusterFailed, MissingPackage
from ..addresses import writer
from ..storage.address import Address
from ..storage.generations import Generation, read_generation

AUTO = "auto"  # the cluster that runs here or that $RAY_ADDRESS names; else a new one on this machine
PIECE = 32  # paintings: seconds of one core, so that little is repeated when a worker is lost
CONNECT_S = 5.0
GPU_CORES = 4  # in addition to a share of a GPU, for decoding
MOST_BLOCKS = 100_000  # of Ray Data: rows that go out one by one
PACKAGES = ("artidx", "onnxruntime", "pillow", "numpy")  # must have the same version everywhere, for the same bits


class Piece(NamedTuple):
    """Results of consecutive images: their shard, and the position in it from which they start."""

    shard: int
    start: int
    outcomes: list[Embedding]


@dataclass(frozen=True)
class Work:
    """How to embed. workers: their maximal number; gpu_share: of a GPU for each, 0 if the model runs on a core."""

    batch_size: int
    max_pixels: int
    allowed: tuple[str, ...]
    workers: int | None
    gpu_share: float


@dataclass(frozen=True)
class Cluster:
    """A cluster that has been joined."""

    nodes: int
    cores: float
    gpus: float

    def pieces(self, shards: Sequence[Sequence[str]], embedder: Embedder, work: Work) -> Iterator[Piece]:
        """The results of all locations in some shards, as they are done. Raises ClusterFailed, and what a worker
        raised."""
        ray: Any = importlib.import_module("ray")
        rows = [
            {"shard": number, "start": start, "paths": [absolute(path) for path in paths[start : start + PIECE]]}
            for number, paths in enumerate(shards)
            for start in range(0, len(paths), PIECE)
        ]
        if not rows:
            return
        model = [ray.put(embedder.data)], embedder.source, _device(work)
        for row in _mapped(rows, _Worker, [*model, work, _versions()], **self._pool(work, len(rows))):
            yield Piece(int(row["shard"]), int(row["start"]), _outcomes(row, embedder.dim))

    def _pool(self, work: Work, pieces: int) -> dict[str, Any]:
        """How Ray Data grows a pool of workers that embed. Raises ClusterFailed."""
        data: Any = importlib.import_module("ray.data")
        on_gpu = work.gpu_share > 0
        if on_gpu and not self.gpus:
            raise ClusterFailed("the Ray cluster has no GPU; leave out --device cuda")
        room = int(self.gpus / work.gpu_share if on_gpu else self.cores)
        first = max(1, min(room, work.workers or room, pieces))
        return {
            "compute": data.ActorPoolStrategy(min_size=first, max_size=work.workers),
            "num_cpus": GPU_CORES if on_gpu else 1,
            "num_gpus": work.gpu_share if on_gpu else 0,
        }

    def model(self, embedder: Embedder, work: Work) -> Callable[[], tuple[Embedder, int]]:
        """What loads a model in a worker, with the number of its threads there."""
        ray: Any = importlib.import_module("ray")
        return partial(_loaded, [ray.put(embedder.data)], embedder.source, _device(work))

    def done(self, job: Callable[[Any], Any], items: Sequence[Any], work: Work | None = None) -> Iterator[Any]:
        """What a job returns for each item, in any order; both must be such that pickle can send them.

        work: for a job that embeds. Raises ClusterFailed, and what the job raised.
        """
        if not items:
            return
        data: Any = importlib.import_module("ray.data")
        workers = max(1, min(int(self.cores), len(items)))
        one_core = {"compute": data.ActorPoolStrategy(min_size=1, max_size=workers), "num_cpus": 1}
        pool = self._pool(work, len(items)) if work else one_core
        for row in _mapped([{"item": pickle.dumps(item)} for item in items], _Doer, [[job], _versions()], **pool):
            yield pickle.loads(row["done"])  # noqa: S301  from a worker, which runs our code

    def written(self, address: Address, generation: Generation, parts: Sequence[range]) -> Iterator[int]:
        """Parts of a generation, written to a server by workers that read it from its folder: how many paintings each
        has, as they are done (pushed.Spread). Raises ClusterFailed, and what a worker raised.
        """
        if not parts:
            return
        data: Any = importlib.import_module("ray.data")
        workers = max(1, min(int(self.cores), len(parts)))
        done = _mapped(
            [{"start": part.start, "stop": part.stop} for part in parts],
            _Writer,
            [[address], os.path.abspath(generation.folder), generation.sha256, _versions()],
            compute=data.ActorPoolStrategy(min_size=1, max_size=workers),
            num_cpus=1,
        )
        for row in done:
            yield int(row["stop"]) - int(row["start"])


def _mapped(rows: Sequence[dict[str, Any]], worker: type, arguments: list[Any], **how: Any) -> Iterator[dict[str, Any]]:
    """The results of workers for rows, as they are done. The rows of a lost worker go to another.

    Raises ClusterFailed, and the error that a worker reports.
    """
    ray: Any = importlib.import_module("ray")
    data: Any = importlib.import_module("ray.data")
    data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    done = data.from_items(rows, override_num_blocks=min(len(rows), MOST_BLOCKS))
    try:
        for row in done.map(worker, fn_constructor_args=arguments, **how).iter_rows():
            if row["error"]:
                raise getattr(errors, row["error"])(row["problems"][0])
            yield row
    except ray.exceptions.RayError as problem:
        raise ClusterFailed(
            f"the Ray cluster failed: {_reason(problem)}; what is done is kept: run the same command again"
        ) from None


@contextmanager
def joined(address: str) -> Iterator[Cluster]:
    """A context that joins the cluster at an address, or AUTO. Raises ClusterFailed, MissingPackage."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # a cluster started here would report to Ray's makers
    try:
        ray: Any = importlib.import_module("ray")
        importlib.import_module("ray.data")
    except ModuleNotFoundError as problem:
        raise MissingPackage(f"--ray needs {problem.name}; pip install 'artidx[cpu,ray]'") from None
    # Ray prints the logs of nodes on stdout, which is for data.
    with contextlib.redirect_stdout(sys.stderr):
        _join(ray, address)
        try:
            facts = ray.cluster_resources()
            nodes = sum(bool(node["Alive"]) for node in ray.nodes())
            yield Cluster(nodes, facts.get("CPU", 0.0), facts.get("GPU", 0.0))
        finally:
            ray.shutdown()


def _join(ray: Any, address: str) -> None:
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address != AUTO:
        _check_there(address)
    try:
        with contextlib.chdir("/"):  # Ray's workers import code from the folder in which Ray is joined
            _init(ray, address, quiet)
    except (ConnectionError, RuntimeError, ValueError, OSError) as problem:
        raise ClusterFailed(f"--ray {address}: cannot be joined: {_reason(problem)}") from None


def _init(ray: Any, address: str, quiet: dict[str, Any]) -> None:
    host = address.rpartition(":")[0]
    # For a cluster of this machine alone, Ray would connect to the machine's external address.
    own = {"_node_ip_address": host} if host.startswith("127.") else {}
    try:
        ray.init(address=address, **quiet, **own)
    except ConnectionError:
        if address != AUTO:
            raise
        ray.init(include_dashboard=False, **quiet)


def _check_there(address: str) -> None:
    """Fail at once if nobody answers; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise BadSetting(f"--ray {address}: expected {AUTO} or HOST:PORT, as printed by ray start")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
    except (OSError, OverflowError) as problem:
        raise ClusterFailed(
            f"--ray {address}: nothing answers there ({problem}); start the cluster, or correct the address"
        ) from None


class _Worker:
    """Embeds pieces, in a separate process on some node."""

    def __init__(self, model: list[Any], source: str, device: str, work: Work, versions: dict[str, str]) -> None:
        self.work, self.problem = work, _difference(versions)
        if not self.problem:
            self.embedder, self.cores = _loaded(model, source, device)

    def __call__(self, piece: dict[str, Any]) -> dict[str, Any]:
        """One row with vectors, contents and problems, or with the error that ends the build."""
        found = {
            "shard": piece["shard"],
            "start": piece["start"],
            "error": "",
            "sha256": [],
            "reading": [],
            "embedding": [],
            "vectors": b"",
        }
        if self.problem:
            return found | {"error": "ClusterFailed", "problems": [self.problem]}
        try:
            done = list(
                self.embedder.embed(
                    list(piece["paths"]),
                    batch_size=self.work.batch_size,
                    workers=self.cores,
                    max_pixels=self.work.max_pixels,
                    allowed=self.work.allowed,
                )
            )
        except ArtidxError as problem:
            return found | {"error": type(problem).__name__, "problems": [str(problem)]}
        vectors = [each.vector for each in done if each.vector is not None]
        return found | {
            "problems": [each.problem for each in done],
            "sha256": [each.sha256 for each in done],
            "reading": [each.reading for each in done],
            "embedding": [each.embedding for each in done],
            "vectors": np.array(vectors, "<f4").tobytes(),
        }


class _Doer:
    """Does a job, in a separate process on some node."""

    def __init__(self, job: list[Callable[[Any], Any]], versions: dict[str, str]) -> None:
        self.job, self.problem = job[0], _difference(versions)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """One row with what the job returns, or with the error that ends the work."""
        try:
            if self.problem:
                raise ClusterFailed(self.problem)
            done = self.job(pickle.loads(row["item"]))  # noqa: S301  from the driver
        except ArtidxError as problem:
            return {"done": b"", "error": type(problem).__name__, "problems": [str(problem)]}
        return {"done": pickle.dumps(done), "error": "", "problems": []}


class _Writer:
    """Writes parts of a generation to a server, in a separate process on some node."""

    def __init__(self, address: list[Address], folder: str, sha256: str, versions: dict[str, str]) -> None:
        self.address, self.folder, self.sha256 = address[0], Path(folder), sha256
        self.problem = _difference(versions)
        self.write: Callable[[range], None] | None = None

    def __call__(self, part: dict[str, Any]) -> dict[str, Any]:
        """The part, once it is written, or the error that ends the push."""
        try:
            if self.problem:
                raise ClusterFailed(self.problem)
            if self.write is None:
                self.write = writer(self.address, self._generation())
            self.write(range(int(part["start"]), int(part["stop"])))
        except ArtidxError as problem:
            return part | {"error": type(problem).__name__, "problems": [str(problem)]}
        return part | {"error": "", "problems": []}

    def _generation(self) -> Generation:
        try:
            return read_generation(self.folder, self.sha256)
        except FileNotFoundError:
            raise ClusterFailed(
                f"{self.folder}: not there on {socket.gethostname()}; --ray needs the index in a folder that every "
                f"node has at this path"
            ) from None


def _device(work: Work) -> str:
    return "cuda" if work.gpu_share > 0 else "cpu"


def _loaded(model: list[Any], source: str, device: str) -> tuple[Embedder, int]:
    import ray

    return Embedder(ray.get(model[0]), source, device), GPU_CORES if device == "cuda" else 1


def _outcomes(row: dict[str, Any], dim: int) -> list[Embedding]:
    vectors = iter(np.frombuffer(row["vectors"], "<f4").reshape(-1, dim))
    return [
        Embedding(None if problem else next(vectors), sha256, problem, float(reading), float(embedding))
        for sha256, problem, reading, embedding in zip(
            row["sha256"], row["problems"], row["reading"], row["embedding"], strict=True
        )
    ]


def _versions() -> dict[str, str]:
    return {"Python": sys.version.split()[0]} | {name: _installed(name) for name in PACKAGES}


def _installed(name: str) -> str:
    try:
        return version(name)
    except ModuleNotFoundError:
        return "none"


def _difference(theirs: dict[str, str]) -> str:
    """Why a worker cannot embed for a build: the same image would get other bits."""
    ours = _versions()
    wrong = [f"{name} {ours[name]} instead of {theirs[name]}" for name in theirs if ours[name] != theirs[name]]
    return f"a worker on {socket.gethostname()} has {', '.join(wrong)}; install the same on every node" if wrong else ""


def _reason(problem: Exception) -> str:
    text = " ".join(str(problem).split())
    if "No module named 'artidx" in text:
        return "a worker has no artidx; install artidx[cpu,ray] on every node"
    return text[-300:] or type(problem).__name__
