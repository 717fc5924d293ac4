"""The reference gallery: the vectors of known paintings, shipped beside the model, for who has no index yet.

    reference/
      manifest.json        as that of any generation (store.py)
      paintings.parquet    its rows; the images are not shipped, and so have no path
      vectors.npy          its vectors in float16, half the size

It is read, never written to. `python -m artidx.index.reference INDEX` makes it of an index by the default model.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ..embedder.runtime import DEFAULT_MODEL, Embedder
from ..errors import ArtidxError, BadIndex
from . import store
from .store import Generation
from .vectors import Vectors, vector_hash

NAME = "the reference gallery"
FOLDER = Path(__file__).with_name("reference")
FILES = ("paintings.parquet", "vectors.npy")
COLUMNS = (*store.OWN_COLUMNS, "style", "born", "died")


def read(folder: Path = FOLDER) -> Generation:
    """The gallery as an index' generation. Raises BadIndex where it is not as it was made."""
    try:
        manifest = store.read_manifest(folder / "manifest.json", FILES)
        store.check_files(folder, manifest, FILES)
        return store.assembled(folder, manifest, _vectors(folder), DEFAULT_MODEL)
    except FileNotFoundError as problem:
        raise BadIndex(f"{problem.filename}: missing: {NAME} is not installed; reinstall artidx, or name an index "
                       f"of your own") from None
    except BadIndex as problem:
        raise BadIndex(f"{str(problem).partition(';')[0]}; reinstall artidx") from None


def write(generation: Generation, folder: Path = FOLDER) -> None:
    """Make the gallery of a generation; float16 moves its distances by 3e-4 at most. Raises ModelMismatch."""
    store.check_model(NAME, generation, Embedder.load(DEFAULT_MODEL))
    folder.mkdir(exist_ok=True)
    np.save(folder / "vectors.npy", generation.vectors.matrix.astype(np.float16), allow_pickle=False)
    table = generation.table[[name for name in COLUMNS if name in generation.table]]
    table = table.assign(row=np.arange(len(table)), path="",
                         vector_sha256=[vector_hash(vector) for vector in _vectors(folder).matrix])
    table.to_parquet(folder / "paintings.parquet", index=False, compression="zstd", compression_level=19)
    manifest = dataclasses.replace(generation.manifest, next_row=len(table), skipped=0,
                                   files={name: store.sha256_of(folder / name) for name in FILES})
    (folder / "manifest.json").write_text(json.dumps(asdict(manifest), ensure_ascii=False), encoding="utf-8")


def _vectors(folder: Path) -> Vectors:
    """In the order of the table, of unit length again after their rounding."""
    stored = np.load(folder / "vectors.npy", allow_pickle=False).astype(np.float32)  # (n, d)
    return Vectors.of(np.arange(len(stored)), stored / np.linalg.norm(stored, axis=1, keepdims=True))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m artidx.index.reference INDEX")
    try:
        write(store.read(Path(sys.argv[1])))
    except ArtidxError as problem:
        sys.exit(str(problem))
