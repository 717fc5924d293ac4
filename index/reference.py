"""The reference gallery: the vectors of known paintings, shipped beside the model, for who has no index yet.

    reference/
      manifest.json        as that of any generation (store.py), and manifest.sha256
      paintings.parquet    its one segment; the images are not shipped, and so have no path
      paintings.npy        its vectors in float16, half the size

It is read, never written to. `python -m artidx.index.reference INDEX` makes it of an index by the default model.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from dataclasses import asdict
from pathlib import Path

from ..embedder.runtime import DEFAULT_MODEL, Embedder
from ..errors import ArtidxError, BadIndex
from ..files import sha256_of
from . import segments, store
from .build import Layout, new_contents
from .manifest import SegmentFacts, manifest_sha256_of
from .store import Generation

NAME = "the reference gallery"
FOLDER = Path(__file__).with_name("reference")
SEGMENT = "paintings"
COLUMNS = (*segments.OWN_COLUMNS, "style", "born", "died")


def read(folder: Path = FOLDER) -> Generation:
    """The gallery as an index' generation. Raises BadIndex where it is not as it was made."""
    try:
        return store.read_generation(folder, manifest_sha256_of(folder) or "", DEFAULT_MODEL)
    except FileNotFoundError as problem:
        raise BadIndex(f"{problem.filename}: missing: {NAME} is not installed; reinstall artidx, or name an index "
                       f"of your own") from None
    except BadIndex as problem:
        raise BadIndex(f"{str(problem).partition(';')[0]}; reinstall artidx") from None


def write(generation: Generation, folder: Path = FOLDER) -> None:
    """Make the gallery of a generation. Raises ModelMismatch."""
    store.check_model(NAME, generation.manifest, Embedder.load(DEFAULT_MODEL))
    folder.mkdir(exist_ok=True)
    table = generation.table[[name for name in COLUMNS if name in generation.table]]
    table = table.assign(row=range(len(table)), path="")
    contents = new_contents(table, generation.vectors.matrix, generation.centre, generation.manifest.centre_people,
                            Layout(half=True))
    segment = contents.segments[0]
    segment.table.to_parquet(folder / f"{SEGMENT}.parquet", index=False, compression="zstd", compression_level=19)
    segments.save_vectors(folder / f"{SEGMENT}.npy", segment)
    manifest = dataclasses.replace(
        generation.manifest, next_row=len(table), skipped=0, storage=contents.storage,
        segments=[SegmentFacts(SEGMENT, len(table), None)],
        files={name: sha256_of(folder / name) for name in segments.file_names(SEGMENT, None)})
    (folder / "manifest.json").write_text(json.dumps(asdict(manifest), ensure_ascii=False), encoding="utf-8")
    (folder / "manifest.sha256").write_text(f"{sha256_of(folder / 'manifest.json')}  manifest.json\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m artidx.index.reference INDEX")
    try:
        write(store.read(Path(sys.argv[1])))
    except ArtidxError as problem:
        sys.exit(str(problem))
