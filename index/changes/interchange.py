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
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...embedder.catalogs.catalog import COLUMNS, artist_key, year_of
from ...embedder.locations import absolute
from ...embedder.runtime import Embedder
from ...errors import BadCatalog, BadIndex, ModelMismatch, exhausted
from ...files import open_plain, plain_size, write_atomically
from ..scoring import upgrades
from ..scoring.artists import artist_codes
from ..scoring.centre import centre_of, centred, distinct_artists
from ..scoring.vectors import Array
from ..storage import generations
from ..storage.bounded_parquet import read_frame
from ..storage.manifest import Model
from ..storage.segments import OWN_COLUMNS
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
        # The manifest first: without it, vectors would be taken for those of the model alone.
        write_atomically(folder / "manifest.json", json.dumps(facts).encode())
        generation.table.to_parquet(folder / "paintings.parquet", index=False)
        np.save(folder / "vectors.npy", generation.vectors.matrix, allow_pickle=False)
        canvas_vectors.write(generation, folder / "embeddings.json")
    except OSError as problem:
        raise generations.unwritable(folder, problem) from None


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
    table = _read_paintings(folder / "paintings.parquet", len(vectors))
    codes = artist_codes(table["artist_key"])[0]
    if facts:
        centre, centre_artists = np.array(facts["centre"], np.float32), facts["centre_artists"]
    else:
        centre, centre_artists = centre_of(vectors, codes), distinct_artists(codes)
        vectors = centred(vectors, centre)
    with generations.writer(index):
        check_free(index, replace)
        model = generations.ModelFile.of(embedder)
        if facts and facts["calibration"]:
            model = generations.ModelFile(model.facts, facts["calibration"], model.save)
        generations.publish(index, new_contents(table, vectors, centre, centre_artists, layout), model)
    return Report(len(table))


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


def _read_vectors(path: Path, dim: int) -> Array:
    try:
        plain_size(path)
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as problem:  # numpy reads the header with Python's own tokenizer, which raises its own errors
        why = str(problem) if isinstance(problem, OSError) else "not numbers as NumPy writes them"
        raise exhausted(problem, str(path)) or BadCatalog(f"{path}: cannot be read as vectors: {why}") from None
    if stored.ndim != 2 or stored.shape[1] != dim or stored.dtype.kind != "f" or not len(stored):
        raise BadCatalog(f"{path}: {stored.dtype} of shape {stored.shape}, expected floats of shape (paintings, {dim})")
    vectors: Array = np.ascontiguousarray(stored, np.float32)
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
    if wrong := np.flatnonzero(~(np.abs(lengths - 1) < 1e-3)).tolist():  # NaN is refused, too
        raise BadCatalog(f"{path}: {len(wrong):,} vectors are not of unit length, the first in row {wrong[0]}")
    return vectors


def _read_paintings(path: Path, length: int) -> pd.DataFrame:
    try:
        found = read_frame(path).reset_index(drop=True)  # a pandas index would reorder the rows
    except Exception as problem:  # pyarrow raises its own errors and OSError
        raise exhausted(problem, str(path)) or BadCatalog(
            f"{path}: cannot be read: {' '.join(str(problem).split())[:200]}"
        ) from None
    if len(found) != length:
        raise BadCatalog(f"{path}: {len(found):,} paintings for {length:,} vectors")
    if "id" not in found:
        raise BadCatalog(f"{path}: has no column id")
    ids = found["id"].astype("str")
    if found["id"].isna().any() or ids.duplicated().any():
        raise BadCatalog(
            f"{path}: ids must be unique, and none may be missing: {ids[ids.duplicated()].iloc[:1].tolist()}"
        )
    empty = pd.Series([None] * length, dtype="str")
    text = {name: found[name].astype("str") if name in found else empty for name in ("artist", "title")}
    own = pd.DataFrame(
        {
            "row": np.arange(length, dtype=np.int64),
            "id": ids,
            "path": [
                absolute(os.path.join(path.parent, name)) if isinstance(name, str) and name else ""
                for name in found.get("path", empty)
            ],
            "artist": text["artist"],
            "artist_key": pd.Series([artist_key(name) for name in text["artist"]], dtype="str"),
            "title": text["title"],
            "year": pd.array([year_of(year) for year in found.get("year", empty)], dtype="Int64"),
            "sha256": found["sha256"].astype("str").fillna("") if "sha256" in found else "",
        }
    )
    others = [name for name in found.columns if name not in {*COLUMNS, *OWN_COLUMNS}]
    return pd.concat([own, found[others].astype("str")], axis=1).astype({"path": "str", "sha256": "str"})
