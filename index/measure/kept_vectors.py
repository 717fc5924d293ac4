"""Vectors of images, kept in a folder between the runs of a benchmark: a second run embeds nothing.

A vector is kept under a key of everything it depends on: the bytes of the model, including its preprocessing, the bytes
of the image, and the versions of the libraries that decode and compute. Files are renamed into place when complete, so
that an interrupted run resumes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from ...embedder.locations import Reader, content_hash
from ...embedder.parallel import Bar, ahead, batches
from ...embedder.resources import available_cores
from ...embedder.runtime import Embedder, Embedding
from ...errors import IndexBusy, UnreadableImage, exhausted
from ...files import take_lock, write_atomically
from ..scoring.vectors import Array
from ..storage.bounded_parquet import read_frame

PIECE = 128  # images per file: an interrupted run loses a few seconds of work
COLUMNS = ["sha256", "embedding"]
VERSIONS = ("artidx", "pillow", "numpy")


def contents_of(paths: Sequence[str], bar: Bar) -> tuple[list[str], dict[str, str]]:
    """The sha256 of each image's bytes, empty for those that cannot be read; and their problems by path."""
    problems: dict[str, str] = {}
    with Reader() as reader, bar(len(paths), "reading") as advance:

        def content(path: str) -> str:
            try:
                with reader.open(path) as stream:
                    return content_hash(stream)
            except UnreadableImage as problem:
                problems[path] = str(problem)
                return ""

        found = []
        for each in ahead(content, paths, workers=available_cores(), most=2 * available_cores()):
            found.append(each)
            advance(1)
    return found, problems


def vectors_of(
    images: Mapping[str, str], embedder: Embedder, work: Path, bar: Bar
) -> tuple[dict[str, Array], dict[str, str]]:
    """The vector (d,) of each image that has one, by the sha256 of its bytes, and the problems of others by path.

    images: a path for each sha256. Only images without a vector in the folder `work` are embedded. Raises IndexBusy if
    another run uses it.
    """
    folder = work / _key(embedder)
    folder.mkdir(parents=True, exist_ok=True)
    with _alone_in(folder):
        known = _kept(folder, embedder.dim)
        missing = [path for sha256, path in images.items() if sha256 not in known]
        problems: dict[str, str] = {}
        with bar(len(missing), f"embedding by {embedder.name}") as advance:
            for piece in batches(_outcomes(missing, embedder), PIECE):
                done = {found.sha256: found.vector for _, found in piece if found.vector is not None}
                problems |= {path: found.problem for path, found in piece if found.vector is None}
                if done:
                    _keep(folder, done)
                known |= done
                advance(len(piece))
    changed = {
        path: "changed while it was read"
        for sha256, path in images.items()
        if sha256 not in known and path not in problems
    }
    return {sha256: known[sha256] for sha256 in images if sha256 in known}, problems | changed


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """The lock is the system's, so it ends with its process, however that ends."""
    with (folder / "LOCK").open("w") as lock:
        try:
            take_lock(lock.fileno())
        except BlockingIOError:
            raise IndexBusy(
                f"{folder}: another run is embedding with this model; wait until it has finished, or name "
                f"another folder with --work"
            ) from None
        yield


def _outcomes(paths: Iterable[str], embedder: Embedder) -> Iterator[tuple[str, Embedding]]:
    paths = list(paths)
    yield from zip(paths, embedder.embed(paths), strict=True)


def _key(embedder: Embedder) -> str:
    runtime = "onnxruntime-gpu" if embedder.device == "cuda" else "onnxruntime"
    facts = [embedder.sha256, embedder.provider, *(f"{name} {version(name)}" for name in (*VERSIONS, runtime))]
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()[:32]


def _keep(folder: Path, done: Mapping[str, Array]) -> None:
    rows = [(sha256, np.ascontiguousarray(vector, "<f4").tobytes()) for sha256, vector in done.items()]
    name = hashlib.sha256("\0".join(done).encode()).hexdigest()[:32]
    write_atomically(folder / f"{name}.parquet", pd.DataFrame(rows, columns=COLUMNS).to_parquet(index=False))


def _kept(folder: Path, dim: int) -> dict[str, Array]:
    """Vectors of earlier runs; a damaged file is ignored, and its images are embedded again."""
    found: dict[str, Array] = {}
    for path in sorted(folder.glob("*.parquet")):
        try:
            rows = read_frame(path, columns=COLUMNS)
            vectors = np.frombuffer(b"".join(rows["embedding"]), "<f4").reshape(len(rows), dim)
        except Exception as problem:  # parquet can be damaged in many ways
            if out := exhausted(problem, str(path)):
                raise out from None
            continue
        if np.allclose((vectors * vectors).sum(axis=1), 1, atol=1e-3):
            found |= dict(zip(rows["sha256"], vectors, strict=True))
    return found
