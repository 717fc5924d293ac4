"""Generations of an index on disk: written aside, checked, published by one rename; never edited.

    paintings.artidx/
      CURRENT              number of the published generation and the sha256 of its manifest
      LOCK                 held while someone writes; says who
      building/            shards of a build that has not finished
      generations/000003/
        manifest.json      format, model, counts, calibration, the sha256 of every file
        paintings.parquet  one row a painting: the truth
        vectors.faiss      its vector under the same row number
        model.onnx         the model that made the vectors, so that the index can always answer
        skipped.csv        paintings that could not be indexed, and why

A reader keeps the generation it opened. Does not embed (build.py) nor answer (search.py, verify.py).
"""

from __future__ import annotations

import csv
import dataclasses
import errno
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..embedder.runtime import Embedder, read_model
from ..errors import BadIndex, IndexBusy, ModelMismatch
from .centre import uncentred
from .vectors import Array, Vectors

FORMAT = 1
SUFFIX = ".artidx"
KEPT = 2  # generations: the published one, and the one before it for readers that are opening it
OWN_COLUMNS = ("row", "id", "path", "artist", "artist_key", "title", "year", "sha256", "vector_sha256")
MAX_MANIFEST_BYTES = 1 << 20
OWN_NAMES = {"CURRENT", "CURRENT.part", "LOCK", "building", "generations"}
FILES = ("paintings.parquet", "vectors.faiss", "model.onnx", "skipped.csv")


@dataclass(frozen=True)
class Model:
    """Which model made the vectors. sha256 is that of the model file, which holds the preprocessing too."""

    sha256: str
    name: str
    dim: int


@dataclass(frozen=True)
class Manifest:
    """What a generation says of itself; `manifest.json` has these keys."""

    format: int
    generation: int
    created: str
    artidx: str
    model: Model
    paintings: int
    artists: int
    skipped: int
    next_row: int
    centre: list[float]  # of the collection (centre.py); the vectors are as seen from it
    centre_people: int  # in the index when the centre was set: artists, and paintings without one
    calibration: dict[str, Any] | None
    files: dict[str, str]  # name -> sha256


@dataclass(frozen=True)
class Generation:
    """One published state of an index, opened: table row i and vectors.rows[i] belong together."""

    folder: Path
    manifest: Manifest
    table: pd.DataFrame
    vectors: Vectors
    model_path: Path  # the model that made the vectors

    @property
    def centre(self) -> Array:
        """(d,) what the collection's paintings have in common."""
        return np.array(self.manifest.centre, np.float32)

    @property
    def embeddings(self) -> Array:
        """(n, d) as the model gave them, up to rounding, in the order of the table."""
        return uncentred(self.vectors.matrix, self.centre)


@dataclass(frozen=True)
class ModelFile:
    """What a generation keeps of its model: the facts, the calibration made for it, and a way to write the file."""

    facts: Model
    calibration: dict[str, Any] | None
    save: Callable[[Path], None]

    @classmethod
    def of(cls, source: Embedder | Generation) -> ModelFile:
        """The model of an embedder, or the one another generation was made with."""
        if isinstance(source, Generation):
            if not source.model_path.is_file():
                raise _damaged(source.model_path, "missing")
            return cls(source.manifest.model, source.manifest.calibration,
                       lambda target: write_atomically(target, read_model(source.model_path)))
        return cls(Model(source.sha256, source.name, source.dim), source.metadata.get("calibration"), source.save)


def read(index: Path) -> Generation:
    """Open the published generation. Raises BadIndex with one line for anything that is not as it was written."""
    while True:
        number, manifest_sha256 = _current(index)
        folder = _generation_folder(index, number)
        try:
            return _read_generation(folder, manifest_sha256)
        except FileNotFoundError as problem:
            if _current(index)[0] == number:  # really gone, not collected by a writer between our two looks
                raise BadIndex(f"{problem.filename}: missing from the index; restore it from a copy, or rebuild "
                               f"with artidx build --replace") from None
        except OSError as problem:
            raise BadIndex(f"{folder}: cannot be read: {problem.strerror or problem}") from None


def exists(index: Path) -> bool:
    """Whether a generation has been published there."""
    return (index / "CURRENT").is_file()


def check_model(index: Path | str, generation: Generation, embedder: Embedder) -> None:
    """Raises ModelMismatch unless the generation's vectors are this model's."""
    theirs = generation.manifest.model.sha256
    if embedder.sha256 != theirs:
        raise ModelMismatch(f"{index}: built with model {theirs[:12]}, {embedder.source} is {embedder.sha256[:12]}; "
                            f"leave out --model to use the index's own, or rebuild with artidx build --replace")


def skipped_of(generation: Generation) -> list[tuple[str, str]]:
    """The (path, reason) pairs of skipped.csv."""
    with (generation.folder / "skipped.csv").open(encoding="utf-8", newline="") as stream:
        return [(path, reason) for path, reason in list(csv.reader(stream))[1:]]


def damaged_files(generation: Generation) -> list[str]:
    """Names of the generation's files that are not as they were written."""
    def is_whole(name: str, sha256: str) -> bool:
        path = generation.folder / name
        return path.is_file() and sha256_of(path) == sha256

    return [name for name, sha256 in generation.manifest.files.items() if not is_whole(name, sha256)]


@contextmanager
def writer(index: Path) -> Iterator[None]:
    """Hold the index for writing; created where there is nothing. Raises IndexBusy, and BadIndex for a stranger."""
    if not str(index).isprintable():
        raise BadIndex(f"{index!a}: not a name that can be printed; choose another name")
    if index.exists() and not _is_index(index):
        raise BadIndex(f"{index}: exists and is not an index of artidx; choose another name")
    index.mkdir(parents=True, exist_ok=True)
    with (index / "LOCK").open("a+") as lock:
        _lock(lock, index)
        lock.seek(0)
        lock.truncate()
        lock.write(f"{os.getpid()} {platform.node()}\n")
        lock.flush()
        _collect(index)
        yield


@dataclass(frozen=True)
class Contents:
    """What a generation is made of. table: rows in the order of vectors; skipped: (path, reason) pairs."""

    table: pd.DataFrame
    vectors: Vectors
    centre: Array
    centre_people: int
    skipped: Sequence[tuple[str, str]]
    next_row: int

    @property
    def artists(self) -> int:
        """How many artists have a painting in it."""
        return int(self.table["artist_key"].nunique())


def publish(index: Path, contents: Contents, model: ModelFile) -> Generation:
    """Write the next generation aside, then make it the current one. Call inside `writer`."""
    number = max(_numbers(index), default=0) + 1
    folder = _generation_folder(index, number)
    aside = folder.with_name(f"{folder.name}.part")
    aside.mkdir(parents=True)
    contents.table.to_parquet(aside / "paintings.parquet", index=False)
    contents.vectors.write(aside / "vectors.faiss")
    _write_skipped(aside / "skipped.csv", contents.skipped)
    _put_model(index, aside / "model.onnx", model)
    manifest = Manifest(
        format=FORMAT, generation=number, created=datetime.now(UTC).isoformat(timespec="seconds"),
        artidx=version("artidx"), model=model.facts, paintings=len(contents.table), artists=contents.artists,
        skipped=len(contents.skipped), next_row=contents.next_row, centre=contents.centre.tolist(),
        centre_people=contents.centre_people, calibration=model.calibration,
        files={name: sha256_of(aside / name) for name in FILES},
    )
    text = json.dumps(asdict(manifest), indent=1, ensure_ascii=False).encode()
    if manifest.files["model.onnx"] != model.facts.sha256:
        raise _damaged(folder.parent, "the model of the generation before is not the one that made its vectors")
    (aside / "manifest.json").write_bytes(text)
    for name in (*FILES, "manifest.json"):
        sync(aside / name)
    sync(aside)
    manifest_sha256 = hashlib.sha256(text).hexdigest()
    written = _read_generation(aside, manifest_sha256)  # what cannot be read back is not published
    os.replace(aside, folder)
    sync(folder.parent)
    write_atomically(index / "CURRENT", f"{number:06d} {manifest_sha256}\n".encode())
    _collect(index)
    return dataclasses.replace(written, folder=folder, model_path=folder / "model.onnx")


def check_files(folder: Path, manifest: Manifest, names: Iterable[str]) -> None:
    """Raises BadIndex unless these files are as they were written."""
    for name in names:
        if sha256_of(folder / name) != manifest.files[name]:
            raise _damaged(folder / name, "its sha256 is not the one in manifest.json")


def assembled(folder: Path, manifest: Manifest, vectors: Vectors, model_path: Path) -> Generation:
    """The generation of vectors and the table beside them. Raises BadIndex where they do not belong together."""
    table = _read_table(folder / "paintings.parquet")
    if table["row"].tolist() != vectors.rows.tolist() or len(table) != manifest.paintings:
        raise _damaged(folder, "the paintings and their vectors do not belong together")
    if vectors.dim != manifest.model.dim:
        raise _damaged(folder, f"vectors of {vectors.dim} numbers, the manifest says {manifest.model.dim}")
    return Generation(folder, manifest, table, vectors, model_path)


def write_atomically(path: Path, data: bytes) -> None:
    """The file holds `data` whole or is as it was, whatever happens meanwhile."""
    aside = path.with_name(path.name + ".part")
    aside.write_bytes(data)
    sync(aside)
    os.replace(aside, path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Flush a file or folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_of(path: Path) -> str:
    """sha256 of a file as hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _numbers(index: Path) -> list[int]:
    return sorted(int(f.name) for f in index.glob("generations/*") if f.name.isdecimal())


def _generation_folder(index: Path, number: int) -> Path:
    return index / "generations" / f"{number:06d}"


def _current(index: Path) -> tuple[int, str]:
    path = index / "CURRENT"
    if not index.is_dir():
        raise BadIndex(f"{index}: no such index; make one with artidx build SOURCE -o NAME{SUFFIX}")
    if not path.is_file():
        unfinished = (index / "building").is_dir()
        raise BadIndex(f"{index}: " + ("its build has not finished; run the same artidx build again" if unfinished
                                       else "not an index of artidx (it has no file CURRENT)"))
    with path.open("rb") as stream:
        found = re.fullmatch(rb"(\d{6,18}) ([0-9a-f]{64})\n", stream.read(200))
    if not found:
        raise _damaged(path, "not a generation's number and a sha256")
    return int(found[1]), found[2].decode()


def _read_generation(folder: Path, manifest_sha256: str) -> Generation:
    manifest = read_manifest(folder / "manifest.json", FILES, manifest_sha256)
    check_files(folder, manifest, ("paintings.parquet", "vectors.faiss"))  # the model is checked when it is loaded
    return assembled(folder, manifest, Vectors.read(folder / "vectors.faiss"), folder / "model.onnx")


def read_manifest(path: Path, files: Collection[str], sha256: str | None = None) -> Manifest:
    """A manifest that speaks of these files, and is the one with this sha256 where it is known. Raises BadIndex."""
    with path.open("rb") as stream:
        data = stream.read(MAX_MANIFEST_BYTES + 1)
    if sha256 not in (None, hashlib.sha256(data).hexdigest()):
        raise _damaged(path, "its sha256 is not the one in CURRENT")
    try:
        found = json.loads(data)
        if found["format"] != FORMAT:
            raise BadIndex(f"{path}: index format {found['format']}, this artidx reads {FORMAT}; update artidx")
        manifest = Manifest(**(found | {"model": Model(**found["model"])}))
        if not set(files) <= set(manifest.files):
            raise KeyError("files")
        if np.array(manifest.centre, np.float32).shape != (manifest.model.dim,):
            raise ValueError("centre")
        return manifest
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as problem:
        raise _damaged(path, f"not a manifest ({problem})") from None


def _read_table(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path)
    except Exception as problem:  # pyarrow raises its own errors and plain OSError alike
        raise _damaged(path, " ".join(str(problem).split())[:200]) from None
    missing = [name for name in OWN_COLUMNS if name not in table]
    if missing:
        raise _damaged(path, f"lacks the column {missing[0]}")
    return table


def _damaged(path: Path, why: str) -> BadIndex:
    return BadIndex(f"{path}: damaged: {why}; restore it from a copy, or rebuild with artidx build --replace")


def _is_index(folder: Path) -> bool:
    """Nothing in it but ours, or a CURRENT of ours: a folder of other things is never written to."""
    if not folder.is_dir():
        return False
    if {p.name for p in folder.iterdir()} <= OWN_NAMES:
        return True
    try:
        return bool(_current(folder))
    except BadIndex:
        return False


def _lock(lock: Any, index: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as problem:
        if problem.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        lock.seek(0)
        pid, _, host = lock.read(200).strip().partition(" ")
        raise IndexBusy(f"{index}: process {pid} on {host} is writing to it; wait until it is done") from None


def _collect(index: Path) -> None:
    """Remove what an interrupted writer left, and generations nobody opens any more."""
    for part in [*index.glob("CURRENT.part"), *index.glob("building/*.part")]:
        part.unlink()
    for part in index.glob("generations/*.part"):
        shutil.rmtree(part)
    try:
        published = _current(index)[0] if exists(index) else 0
    except BadIndex:  # which generation counts is not known: keep them all
        return
    for number in _numbers(index):
        if not published - KEPT < number <= published:
            shutil.rmtree(_generation_folder(index, number))


def _put_model(index: Path, target: Path, model: ModelFile) -> None:
    """The same model as before costs no room: one file under two names."""
    for number in reversed(_numbers(index)):
        before = _generation_folder(index, number) / "model.onnx"
        if before.is_file() and sha256_of(before) == model.facts.sha256:
            try:
                os.link(before, target)
                return
            except OSError:  # a file system without links
                break
    model.save(target)


def _write_skipped(path: Path, skipped: Sequence[tuple[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("path", "reason"), *skipped])
