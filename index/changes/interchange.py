"""Vectors to and from other programs: a folder with the vectors of an index as numpy and the paintings as parquet.

    vectors/
      vectors.npy          (n, d) float32, unit length, in the order of the table
      paintings.parquet    one row per painting, labels as they were last corrected
      manifest.json        model and centre, where the vectors came from an index
      embeddings.json      of paintings that came as IIIF: their vectors as annotations on the museums' canvases

Vectors made without artidx need only the first two, with a column `id`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from ...embedder.catalogs.catalog import COLUMNS, artist_key, year_of
from ...embedder.locations import absolute, is_remote
from ...embedder.runtime import Embedder
from ...errors import BadCatalog, BadIndex, ModelMismatch, exhausted
from ...files import open_plain, plain_size, write_atomically
from ..scoring import upgrades
from ..scoring.centre import centre_of, centred_rows, distinct_artists
from ..scoring.mapped import zeros
from ..scoring.vectors import Integers, Made, Rows, Vectors, blocks
from ..storage import generations
from ..storage.bounded_parquet import read_blocks
from ..storage.manifest import Model
from ..storage.paintings import Paintings
from ..storage.segments import AT_ONCE, HASHED, OWN_COLUMNS, Tables
from . import canvas_vectors
from .build import Layout, Report, check_free, new_contents

FORMAT = 2
MAX_MANIFEST_BYTES = 1 << 20


def export_vectors(generation: generations.Generation, folder: Path) -> None:
    """Write the vectors and paintings of an index into a new or empty folder. Raises BadIndex."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadIndex(f"{folder}: exists and is not an empty folder; choose another name")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        manifest = generation.manifest
        facts = {
            "format": FORMAT,
            "model": vars(manifest.model),
            "centre": manifest.centre,
            "centre_artists": manifest.centre_artists,
            "calibration": manifest.calibration,
        }
        # First: without it, vectors mean something else.
        write_atomically(folder / "manifest.json", json.dumps(facts).encode())
        _save_paintings(folder / "paintings.parquet", generation.paintings)
        _save_vectors(folder / "vectors.npy", generation.vectors)
        canvas_vectors.write(generation, folder / "embeddings.json")
    except OSError as problem:
        raise generations.unwritable(folder, problem) from None


def _save_paintings(path: Path, paintings: Paintings) -> None:
    import pyarrow.parquet as pq

    schema = pa.Schema.from_pandas(paintings.frame([]), preserve_index=False)
    with pq.ParquetWriter(path, schema) as rows:
        for some in blocks(len(paintings), AT_ONCE):
            frame = paintings.frame(range(some.start, some.stop))
            rows.write_table(pa.Table.from_pandas(frame, schema, preserve_index=False))


def _save_vectors(path: Path, vectors: Vectors) -> None:
    shape = len(vectors), vectors.dim
    with path.open("xb") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})
        for some in blocks(len(vectors), AT_ONCE):
            stream.write(np.ascontiguousarray(vectors.rows[some], "<f4").data)


def import_vectors(index: Path, folder: Path, embedder: Embedder, layout: Layout, *, replace: bool = False) -> Report:
    """Make an index from vectors made elsewhere by the embedder's model; paintings keep their order.

    Raises BadCatalog for unusable files, ModelMismatch if another model made them.
    """
    facts = _read_facts(folder / "manifest.json")
    if facts and facts["model"]["sha256"] != embedder.sha256:
        raise ModelMismatch(
            f"{folder}: made with model {facts['model']['sha256'][:12]}, {embedder.source} is "
            f"{embedder.sha256[:12]}; name the right one with --model"
        )
    vectors = _read_vectors(folder / "vectors.npy", embedder.dim)
    tables, codes = _read_paintings(folder / "paintings.parquet", len(vectors))
    if facts:
        centre, centre_artists = np.array(facts["centre"], np.float32), facts["centre_artists"]
    else:
        centre, centre_artists = centre_of(vectors, codes), distinct_artists(codes)
        vectors = centred_rows(vectors, centre)
    with generations.writer(index):
        check_free(index, replace)
        model = generations.ModelFile.of(embedder)
        if facts and facts["calibration"]:
            model = generations.ModelFile(model.facts, facts["calibration"], model.save)
        generations.publish(index, new_contents(tables, vectors, centre, centre_artists, layout), model)
    return Report(len(vectors))


def _read_facts(path: Path) -> dict[str, Any] | None:
    try:
        with open_plain(path) as stream:
            found = upgrades.export(json.loads(stream.read(MAX_MANIFEST_BYTES)))
        if found["format"] != FORMAT:
            raise BadCatalog(f"{path}: format {found['format']}, this artidx reads {FORMAT}; update artidx")
        model = Model(**found["model"])
        centre = np.array(found["centre"], np.float32)
        if centre.shape != (model.dim,) or not np.isfinite(centre).all():
            raise ValueError("centre")
        if not isinstance(model.sha256, str) or not isinstance(found["centre_artists"], int):
            raise TypeError("model or centre_artists")
        return {name: found[name] for name in ("model", "centre", "centre_artists", "calibration")}
    except FileNotFoundError:
        return None
    except (OSError, ArithmeticError, ValueError, TypeError, KeyError, RecursionError) as problem:
        raise BadCatalog(
            f"{path}: not a manifest of exported vectors ({problem}); leave it out if the vectors come "
            f"straight from the model"
        ) from None


def _read_vectors(path: Path, dim: int) -> Rows:
    try:
        plain_size(path)
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as problem:  # numpy reads the header with Python's own tokenizer, which raises its own errors
        why = str(problem) if isinstance(problem, OSError) else "not numbers as NumPy writes them"
        raise exhausted(problem, str(path)) or BadCatalog(f"{path}: cannot be read as vectors: {why}") from None
    if stored.ndim != 2 or stored.shape[1] != dim or stored.dtype.kind != "f" or not len(stored):
        raise BadCatalog(f"{path}: {stored.dtype} of shape {stored.shape}, expected floats of shape (paintings, {dim})")
    vectors = Made(stored, partial(np.ascontiguousarray, dtype=np.float32), dim)
    wrong = list[int]()
    for some in blocks(len(stored), HASHED):
        lengths = np.sqrt(np.square(vectors[some], dtype=np.float64).sum(axis=1))
        is_wrong = ~(np.abs(lengths - 1) < 1e-3)  # NaN is refused, too
        wrong += (some.start + np.flatnonzero(is_wrong)).tolist()
    if wrong:
        raise BadCatalog(f"{path}: {len(wrong):,} vectors are not of unit length, the first in row {wrong[0]}")
    return vectors


def _read_paintings(path: Path, length: int) -> tuple[Tables, Integers]:
    """The paintings in the columns of an index, read anew in each iteration; and (length,) a number for each one's
    artist, in the order of their keys, -1 where there is none. Raises BadCatalog."""
    count, hashes, artists, some = 0, zeros((length,), np.uint64), zeros((length,), np.int64), None
    number_of: dict[str | None, int] = {}
    keys = _Keys()
    for some in _blocks(path):
        if "id" not in some:
            raise BadCatalog(f"{path}: has no column id")
        if some["id"].isna().any():
            raise _not_unique(path, [])
        start, count = count, count + len(some)
        if count <= length:
            hashes[start:count] = _id_hashes(some)
            artists[start:count] = [number_of.setdefault(key, len(number_of)) for key in keys.of(some)]
    if some is None or count != length:
        raise BadCatalog(f"{path}: {count:,} paintings for {length:,} vectors")
    hashes.sort()
    if len(again := hashes[1:][hashes[1:] == hashes[:-1]]):  # by 8 bytes of each; then by the ids themselves
        ids = pd.concat([each["id"].astype("str")[np.isin(_id_hashes(each), again)] for each in _blocks(path)])
        if ids.duplicated().any():
            raise _not_unique(path, ids[ids.duplicated()].iloc[:1].tolist())

    def parts() -> Iterator[Any]:
        start = 0
        for found in _blocks(path):
            yield pa.Table.from_pandas(_own(found, start, path.parent, keys), preserve_index=False)
            start += len(found)

    schema = pa.Schema.from_pandas(_own(some, 0, path.parent, keys), preserve_index=False)
    return Tables(schema, parts), _in_order(artists, number_of)


def _in_order(artists: Integers, number_of: dict[str | None, int]) -> Integers:
    """Numbers of artists (n,), changed to those in the order of their keys, -1 for None."""
    codes = np.full(len(number_of), -1)
    keys = sorted(key for key in number_of if key is not None)
    codes[[number_of[key] for key in keys]] = np.arange(len(keys))
    for some in blocks(len(artists), AT_ONCE):
        artists[some] = codes[artists[some]]
    return artists


def _blocks(path: Path) -> Iterator[pd.DataFrame]:
    """A table as it is written, several rows at a time."""
    try:
        for block in read_blocks(path, AT_ONCE):
            yield block.to_pandas().reset_index(drop=True)  # a pandas index would reorder the rows
    except Exception as problem:  # pyarrow raises its own errors and OSError
        raise exhausted(problem, str(path)) or BadCatalog(
            f"{path}: cannot be read: {' '.join(str(problem).split())[:200]}"
        ) from None


def _id_hashes(table: pd.DataFrame) -> npt.NDArray[np.uint64]:
    return pd.util.hash_array(table["id"].astype("str").to_numpy(object), categorize=False)


def _not_unique(path: Path, ids: list[str]) -> BadCatalog:
    return BadCatalog(f"{path}: ids must be unique, and none may be missing: {ids}")


class _Keys(dict[Any, str | None]):
    """The keys of artists by their names, each name parsed once: `artist_key` remembers fewer than a large table has,
    and the table is read several times."""

    def __missing__(self, name: Any) -> str | None:
        found = self[name] = artist_key(name)
        return found

    def of(self, table: pd.DataFrame) -> list[str | None]:
        """Of rows of a table as it is written."""
        return [self[name] for name in table["artist"].astype("str")] if "artist" in table else [None] * len(table)


def _own(found: pd.DataFrame, start: int, folder: Path, keys: _Keys) -> pd.DataFrame:
    """Rows of a table in the columns of an index; start: the number of the first; folder: of relative paths."""
    empty = pd.Series([None] * len(found), dtype="str")
    text = {name: found[name].astype("str") if name in found else empty for name in ("artist", "title")}
    own = pd.DataFrame(
        {
            "row": np.arange(start, start + len(found), dtype=np.int64),
            "id": found["id"].astype("str"),
            "path": [_located(name, folder) for name in found.get("path", empty)],
            "artist": text["artist"],
            "artist_key": pd.Series(keys.of(found), dtype="str"),
            "title": text["title"],
            "year": pd.array([year_of(year) for year in found.get("year", empty)], dtype="Int64"),
            "sha256": found["sha256"].astype("str").fillna("") if "sha256" in found else "",
        }
    )
    others = [name for name in found.columns if name not in {*COLUMNS, *OWN_COLUMNS}]
    return pd.concat([own, found[others].astype("str")], axis=1).astype({"path": "str", "sha256": "str"})


def _located(name: object, folder: Path) -> str:
    """The location of an image by its name in a table beside which it is; empty if it has none."""
    if not isinstance(name, str) or not name:
        return ""
    return name if is_remote(name) else absolute(os.path.join(folder, name))
