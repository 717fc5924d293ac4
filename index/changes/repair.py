"""Rebuild damaged files of an index from intact ones. Nothing is dropped: either the index is complete again, published
as a new generation, or it is unchanged and the error says what is missing.

| damaged | rebuilt from |
|---|---|
| a segment's table, `history`, `removed.npy`, the manifest | nothing: no other file has their content |
| `CURRENT` | the newest generation that can be repaired |
| `manifest.sha256` | the manifest, whose sha256 is also in `CURRENT` |
| a segment's columns for lookups in place | its table |
| a segment's vectors | each from any source that still has its bytes (`_Recovery`) |
| an approximate index | the vectors |
| `model.onnx` | another generation's copy, or the shipped model |
| `skipped.csv` | nothing, and is emptied: `artidx add` lists again what cannot be read |
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from ...embedder.runtime import DEFAULT_MODEL, Embedder
from ...errors import BadIndex
from ...files import sha256_of, write_atomically
from ..scoring.centre import centred
from ..scoring.vectors import Array, Integers
from ..storage import generations, history
from ..storage import segments as pieces
from ..storage.generations import ModelFile
from ..storage.manifest import Manifest, damaged_files, manifest_bytes, manifest_sha256_of, read_manifest
from ..storage.segments import Draft, Tables, hashes_of
from .build import read_shard


def repair(index: Path) -> list[str]:
    """Repair an index; returns what was done, one line each, empty if nothing was damaged. Raises BadIndex for what
    cannot be rebuilt."""
    with generations.writer(index):
        done = _find_current(index)
        number, sha256 = generations.current(index)
        folder = generations.generation_folder(index, number)
        manifest = _manifest(folder, sha256)
        wrong = damaged_files(folder, manifest)
        if not wrong:
            return done
        truths = [name for name in wrong if _is_truth(name)]
        if truths:
            raise BadIndex(
                f"{folder / truths[0]}: cannot be rebuilt, because nothing else has its content; restore it from a "
                f"copy, or rebuild with artidx build --replace" + _older(index, number)
            )
        model = _model(index, folder, manifest)
        aside = index / "generations" / "repair.part"  # files with this suffix are removed later if this is killed
        aside.mkdir()
        try:
            mending = _Mending(index, folder, manifest, wrong, aside, model)
            generations.publish(index, mending.contents(), model)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return done + mending.done


def _find_current(index: Path) -> list[str]:
    """If CURRENT is missing or does not match its manifest, write it again, for the newest generation that can be
    repaired.

    The sha256 of a manifest is in two places, so it is known which of the three was damaged.
    """
    try:
        number, sha256 = generations.current(index)
        folder = generations.generation_folder(index, number)
        if sha256 in (manifest_sha256_of(folder), _sha256_of(folder / "manifest.json")):
            return []
    except BadIndex:
        if not generations.numbers(index):
            raise
    for number in reversed(generations.numbers(index)):
        folder = generations.generation_folder(index, number)
        manifest = _known_manifest(folder)
        if manifest and not any(map(_is_truth, damaged_files(folder, manifest))):
            generations.make_current(index, number, sha256_of(folder / "manifest.json"))
            return [f"CURRENT: rebuilt, for generation {number} of {manifest.created}, the newest that can be repaired"]
    raise BadIndex(
        f"{index}: none of its generations can be repaired; restore it from a copy, or rebuild with artidx "
        f"build --replace"
    )


def _is_truth(name: str) -> bool:
    """Whether this file of a generation cannot be rebuilt from others."""
    return name.endswith(".parquet") or name == "removed.npy"


def _sha256_of(path: Path) -> str | None:
    return sha256_of(path) if path.is_file() else None


def _known_manifest(folder: Path) -> Manifest | None:
    """The manifest of a generation, if it matches its manifest.sha256."""
    path = folder / "manifest.json"
    try:
        return read_manifest(manifest_bytes(folder), path, manifest_sha256_of(folder))
    except (OSError, BadIndex):
        return None


def _manifest(folder: Path, sha256: str) -> Manifest:
    path = folder / "manifest.json"
    if _sha256_of(path) != sha256:
        raise BadIndex(
            f"{path}: cannot be rebuilt; restore it from a copy, or rebuild with artidx build --replace"
            + _older(folder.parent.parent, int(folder.name))
        )
    return read_manifest(manifest_bytes(folder), path, sha256)


def _older(index: Path, number: int) -> str:
    """An earlier generation that is complete, if there is one."""
    for other in reversed([n for n in generations.numbers(index) if n < number]):
        folder = generations.generation_folder(index, other)
        manifest = _known_manifest(folder)
        if manifest and not damaged_files(folder, manifest):
            return (
                f". Generation {other} of {manifest.created} is whole, with {manifest.paintings:,} paintings: "
                f"without {index / 'CURRENT'} and {generations.generation_folder(index, number)}, "
                f"artidx check --repair goes back to it"
            )
    return ""


def _model(index: Path, folder: Path, manifest: Manifest) -> ModelFile:
    """The model of the generation: its own file, another generation's copy, or the shipped one."""
    for path in [*(copy / "model.onnx" for copy in [folder, *_folders(index)]), DEFAULT_MODEL]:
        if path.is_file() and sha256_of(path) == manifest.model.sha256:
            return ModelFile(manifest.model, manifest.calibration, partial(write_atomically, data=path.read_bytes()))
    raise BadIndex(
        f"{folder / 'model.onnx'}: cannot be rebuilt; put a file with the sha256 {manifest.model.sha256} in its place"
    )


def _folders(index: Path) -> list[Path]:
    return [generations.generation_folder(index, number) for number in generations.numbers(index)]


class _Mending:
    """A generation with damaged files. done: what was rebuilt, one line each."""

    def __init__(
        self, index: Path, folder: Path, manifest: Manifest, wrong: list[str], aside: Path, model: ModelFile
    ) -> None:
        """wrong: names of damaged files in the generation's folder; aside: a temporary folder."""
        self.index, self.folder, self.manifest = index, folder, manifest
        self.wrong, self.aside, self.model = set(wrong), aside, model
        self.done: list[str] = []

    def contents(self) -> generations.Contents:
        """The contents of the generation, with damaged files rebuilt."""
        before = generations.contents(self.folder, self.manifest, (), ())
        segments = [self._segment(facts.name, before) for facts in self.manifest.segments]
        if "model.onnx" in self.wrong:
            self.done.append("model.onnx: restored from a copy")
        if "manifest.sha256" in self.wrong:
            self.done.append("manifest.sha256: rebuilt")
        return generations.contents(self.folder, self.manifest, segments, self._skipped())

    def _segment(self, name: str, before: generations.Contents) -> Draft:
        table = pieces.read_table(self.folder / f"{name}.parquet")
        if f"{name}.npy" in self.wrong:
            found = self._with_vectors(name, table, before)
        else:
            found = Draft(Tables.of(table), np.array(pieces.read_vectors(self.folder / f"{name}.npy")))
        if f"{name}.arrow" in self.wrong:
            self.done.append(f"{name}.arrow: rebuilt from the table")
        if f"{name}.faiss" in self.wrong:
            self.done.append(f"{name}.faiss: rebuilt from the vectors")
        return found

    def _with_vectors(self, name: str, table: pd.DataFrame, before: generations.Contents) -> Draft:
        """The segment without removed paintings, whose vectors nobody needs."""
        stays = ~table["row"].isin(before.removed).to_numpy(bool)
        now = history.applied(table, before.history)[stays].reset_index(drop=True)  # where the images are
        recovery = _Recovery(self.folder / f"{name}.npy", now, self.manifest)
        recovery.from_copies(_folders(self.index), np.flatnonzero(stays), len(table))
        recovery.from_shards(self.index)
        recovery.from_images(self.model, self.aside)
        table = table[stays].reset_index(drop=True)
        changed = int((table["vector_sha256"] != recovery.hashes).sum())
        self.done.append(
            f"{name}.npy: rebuilt"
            + (f", {changed:,} of them from their images, the same up to rounding" if changed else "")
        )
        return Draft(Tables.of(table.assign(vector_sha256=recovery.hashes)), recovery.stored)

    def _skipped(self) -> list[tuple[str, str]]:
        if "skipped.csv" not in self.wrong:
            return generations.read_skipped(self.folder / "skipped.csv")
        self.done.append("skipped.csv: emptied; artidx add of the same source lists again what could not be read")
        return []


class _Recovery:
    """The vectors of a segment, each from the first source that has it.

    In this order: the damaged file and other generations' copies of it, as far as bytes still have the painting's hash;
    shards of an interrupted build, by the content of the image; the image itself. A vector recomputed from its image
    may differ from the lost one by rounding, on another machine or after a change of the centre, and then has another
    hash. stored: (m, d) as they are stored; hashes: (m,).
    """

    def __init__(self, path: Path, table: pd.DataFrame, manifest: Manifest) -> None:
        """path: of the damaged file; table: (m,) of the paintings whose vectors are needed."""
        self.path, self.table = path, table
        self.stored = np.zeros((len(table), manifest.model.dim), pieces.TYPES[manifest.storage.type])
        self.hashes: list[str] = table["vector_sha256"].tolist()
        self.centre = np.array(manifest.centre, np.float32)
        self.is_missing = np.ones(len(table), bool)

    def from_copies(self, folders: list[Path], rows: Integers, length: int) -> None:
        """Take vectors from copies of the file. rows: (m,) in the file, which had `length` of them; folders: of
        generations."""
        place_of_row = {row: place for place, row in enumerate(rows.tolist())}
        for copy in [self.path, *(folder / self.path.name for folder in folders)]:
            for row, vector in _readable(copy, (length, self.stored.shape[1]), self.stored.dtype):
                if row in place_of_row:
                    self._take(place_of_row[row], vector)

    def from_shards(self, index: Path) -> None:
        """Take missing vectors from shards of an interrupted build."""
        of_content = {content: place for place, content in enumerate(self.table["sha256"]) if self.is_missing[place]}
        for content, embedding in _shards(index, self.stored.shape[1]):
            if content in of_content:
                self._take(of_content[content], centred(embedding[None], self.centre)[0])

    def from_images(self, model: ModelFile, aside: Path) -> None:
        """Embed the rest from their images. Raises BadIndex if an image is missing or has changed."""
        places = np.flatnonzero(self.is_missing).tolist()
        if not places:
            return
        model.save(aside / "model.onnx")
        outcomes = Embedder.load(aside / "model.onnx").embed(self.table["path"].iloc[places])
        for place, outcome in zip(places, outcomes, strict=True):
            if outcome.vector is not None and outcome.sha256 == self.table["sha256"].iloc[place]:
                self.stored[place] = centred(outcome.vector[None], self.centre)[0].astype(self.stored.dtype)
                self.hashes[place], self.is_missing[place] = _hash(self.stored[place]), False
        if self.is_missing.any():
            first = self.table.iloc[int(np.flatnonzero(self.is_missing)[0])]
            raise BadIndex(
                f"{self.path}: {self.is_missing.sum():,} of its vectors cannot be rebuilt: their images "
                f"are missing or have changed; the first is {first['id']}, "
                f"{first['path'] or 'without an image'}: restore {self.path.name} or the images from a copy"
            )

    def _take(self, place: int, vector: Array) -> None:
        stored = vector.astype(self.stored.dtype)
        if self.is_missing[place] and _hash(stored) == self.hashes[place]:
            self.stored[place] = stored
            self.is_missing[place] = False


def _hash(stored: Array) -> str:
    return hashes_of(stored[None])[0]


def _readable(path: Path, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> Iterator[tuple[int, Array]]:
    """The readable rows of a file of vectors, which follow a header of known length."""
    try:
        data = path.read_bytes()
    except OSError:
        return
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": dtype.str, "fortran_order": False, "shape": shape})
    start = head.tell()
    size = shape[1] * dtype.itemsize
    for row in range(shape[0]):
        numbers = data[start + row * size : start + (row + 1) * size]
        if len(numbers) == size:
            yield row, np.frombuffer(numbers, dtype)


def _shards(index: Path, dim: int) -> Iterator[tuple[str, Array]]:
    """Content hashes and embeddings in shards that an interrupted build has left."""
    for path in sorted((index / "building").glob("*.parquet")):
        shard = read_shard(path)
        if shard is not None:
            for content, embedding in zip(shard["sha256"], shard["embedding"], strict=True):
                if len(embedding) == 4 * dim:
                    yield content, np.frombuffer(embedding, np.float32)
