"""Rebuild what is damaged in an index from what is not: each vector from wherever its bytes can be had again.

Vectors, the approximate index, the model, CURRENT and the list of skipped paintings can be made anew; the table, the
history and the manifest are the truth and cannot. Nothing is dropped: either the index is whole again, published as a
new generation, or it stays as it is and the error says what is missing.
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
from ..scoring.vectors import Array, Integers, vector_hash
from ..storage import generations, history
from ..storage import segments as pieces
from ..storage.generations import ModelFile
from ..storage.manifest import Manifest, damaged_files, manifest_bytes, manifest_sha256_of, read_manifest
from ..storage.segments import Segment
from .build import read_shard


def repair(index: Path) -> list[str]:
    """What was done, one line each; nothing where nothing was wrong. Raises BadIndex for what cannot be rebuilt."""
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
                f"{folder / truths[0]}: cannot be rebuilt, for only it knew what it held; restore it from a "
                f"copy, or rebuild with artidx build --replace" + _older(index, number)
            )
        model = _model(index, folder, manifest)
        aside = index / "generations" / "repair.part"  # whatever ends so is cleared away if this is killed
        aside.mkdir()
        try:
            generations.publish(index, _mended(index, folder, manifest, wrong, aside, model, done), model)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return done


def _find_current(index: Path) -> list[str]:
    """Where CURRENT is gone or does not know its manifest, make it anew, for the newest generation that can be mended.

    A manifest has its sha256 in two places, so that it is known which of the three was damaged.
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
            return [f"CURRENT: made anew, for generation {number} of {manifest.created}, the newest that can be mended"]
    raise BadIndex(
        f"{index}: none of its generations can be mended; restore it from a copy, or rebuild with artidx "
        f"build --replace"
    )


def _is_truth(name: str) -> bool:
    """Whether only this file of a generation knows what it holds."""
    return name.endswith(".parquet") or name == "removed.npy"


def _sha256_of(path: Path) -> str | None:
    return sha256_of(path) if path.is_file() else None


def _known_manifest(folder: Path) -> Manifest | None:
    """The manifest of a generation, where it has the sha256 that stands beside it."""
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
    """Which earlier generation is whole, if one is."""
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
    """The model of the generation: its own file, another generation's copy, or the one that ships."""
    copies = [folder, *(generations.generation_folder(index, number) for number in generations.numbers(index))]
    for path in [*(copy / "model.onnx" for copy in copies), DEFAULT_MODEL]:
        if path.is_file() and sha256_of(path) == manifest.model.sha256:
            return ModelFile(manifest.model, manifest.calibration, partial(write_atomically, data=path.read_bytes()))
    raise BadIndex(
        f"{folder / 'model.onnx'}: cannot be rebuilt; put a file with the sha256 {manifest.model.sha256} in its place"
    )


def _mended(
    index: Path, folder: Path, manifest: Manifest, wrong: list[str], aside: Path, model: ModelFile, done: list[str]
) -> generations.Contents:
    """The contents of the generation, with whatever was damaged made anew."""
    found = []
    before = generations.contents(folder, manifest, (), ())
    for facts in manifest.segments:
        table = pieces.read_table(folder / f"{facts.name}.parquet")
        vectors, lists = (f"{facts.name}.{suffix}" for suffix in ("npy", "faiss"))
        if vectors in wrong:
            stays = ~table["row"].isin(before.removed).to_numpy(bool)  # nobody needs the vectors of the others
            now = history.applied(table, before.history)[stays].reset_index(drop=True)  # where the images are
            rows = np.flatnonzero(stays)
            matrix, hashes = _vectors(index, folder / vectors, now, rows, len(table), manifest, aside, model)
            table = table[stays].reset_index(drop=True)
            changed = int((table["vector_sha256"] != hashes).sum())
            found.append(Segment(table.assign(vector_sha256=hashes), matrix))
            done.append(
                f"{vectors}: made anew"
                + (f", {changed:,} of them from their images, the same up to rounding" if changed else "")
            )
        else:
            whole = pieces.read(folder, facts.name, len(table), manifest.model.dim, manifest.storage.type)
            found.append(Segment(table, np.array(whole.stored)))
        if lists in wrong:
            done.append(f"{lists}: made anew from the vectors")
    if "model.onnx" in wrong:
        done.append("model.onnx: restored from a copy")
    if "manifest.sha256" in wrong:
        done.append("manifest.sha256: made anew")
    skipped = []
    if "skipped.csv" in wrong:
        done.append("skipped.csv: emptied; artidx add of the same source lists again what could not be read")
    else:
        skipped = generations.read_skipped(folder / "skipped.csv")
    return generations.contents(folder, manifest, found, skipped)


def _vectors(
    index: Path,
    path: Path,
    table: pd.DataFrame,
    rows: Integers,
    length: int,
    manifest: Manifest,
    aside: Path,
    model: ModelFile,
) -> tuple[Array, list[str]]:
    """(m, d) as they are stored, and their hashes: each from where its bytes still have theirs, else from its image.

    table: of the paintings whose vectors are needed; rows: (m,) of the file, which had `length` of them.
    The vector of an image may differ from the one that was lost by rounding: on another machine, or where the centre
    was set anew since. It then has another hash.
    """
    found = np.zeros((len(table), manifest.model.dim), pieces.TYPES[manifest.storage.type])
    place_of_row = {row: place for place, row in enumerate(rows.tolist())}
    expected = table["vector_sha256"].tolist()
    is_missing = np.ones(len(table), bool)

    def take(place: int, vector: Array) -> None:
        stored = vector.astype(found.dtype)
        if is_missing[place] and _hash(stored) == expected[place]:
            found[place] = stored
            is_missing[place] = False

    others = [generations.generation_folder(index, number) / path.name for number in generations.numbers(index)]
    for copy in [path, *others]:
        for row, vector in _readable(copy, (length, manifest.model.dim), found.dtype):
            if row in place_of_row:
                take(place_of_row[row], vector)
    centre = np.array(manifest.centre, np.float32)
    of_content = {content: place for place, content in enumerate(table["sha256"]) if is_missing[place]}
    for content, embedding in _shards(index, manifest.model.dim):
        if content in of_content:
            take(of_content[content], centred(embedding[None], centre)[0])
    if is_missing.any():
        model.save(aside / "model.onnx")
        places = np.flatnonzero(is_missing).tolist()
        embedder = Embedder.load(aside / "model.onnx")
        for place, outcome in zip(places, embedder.embed(table["path"].iloc[places]), strict=True):
            if outcome.vector is not None and outcome.sha256 == table["sha256"].iloc[place]:
                found[place] = centred(outcome.vector[None], centre)[0].astype(found.dtype)
                expected[place], is_missing[place] = _hash(found[place]), False
    if is_missing.any():
        first = table.iloc[int(np.flatnonzero(is_missing)[0])]
        raise BadIndex(
            f"{path}: {is_missing.sum():,} of its vectors cannot be rebuilt: the images they were made of "
            f"are not where they were, or not the same; the first is {first['id']}, "
            f"{first['path'] or 'without an image'}: restore {path.name} or the images from a copy"
        )
    return found, expected


def _hash(stored: Array) -> str:
    return vector_hash(Segment(pd.DataFrame(), stored[None]).matrix[0])


def _readable(path: Path, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> Iterator[tuple[int, Array]]:
    """What a file of vectors still holds, whole or not: its rows stand behind a header of known length."""
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
    """Content and embedding of paintings in shards that an interrupted build has left."""
    for path in sorted((index / "building").glob("*.parquet")):
        shard = read_shard(path)
        if shard is not None:
            for content, embedding in zip(shard["sha256"], shard["embedding"], strict=True):
                if len(embedding) == 4 * dim:
                    yield content, np.frombuffer(embedding, np.float32)
