"""Make the shipped reference gallery (reference.py): `python -m artidx.index.changes.make_reference INDEX`.

INDEX: an index of the known paintings by the default model. Images are not shipped, and vectors are float16.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ...embedder.runtime import DEFAULT_MODEL, Embedder
from ...errors import ArtidxError
from ...files import sha256_of
from ..storage import generations, reference, segments
from ..storage.generations import Generation
from ..storage.manifest import SegmentFacts
from .build import Layout, new_contents

SEGMENT = "paintings"
COLUMNS = (*segments.OWN_COLUMNS, "attribution", "style", "born", "died", "source", "url")


def write(generation: Generation, folder: Path = reference.FOLDER) -> None:
    """Make the gallery of a generation. Raises ModelMismatch."""
    generations.check_model(reference.NAME, generation.manifest, Embedder.load(DEFAULT_MODEL))
    folder.mkdir(exist_ok=True)
    table = generation.table[[name for name in COLUMNS if name in generation.table]]
    table = table.assign(row=range(len(table)), path="")
    vectors, people = generation.vectors.matrix, generation.manifest.centre_artists
    contents = new_contents(segments.Tables.of(table), vectors, generation.centre, people, Layout(half=True))
    draft = segments.Draft(segments.Tables.of(table), segments.packed(vectors, contents.storage.type))
    stored: list[segments.Stored] = []
    whole = pa.concat_tables(draft.written(stored.append))
    pq.write_table(whole, folder / f"{SEGMENT}.parquet", compression="zstd", compression_level=19)
    np.save(folder / f"{SEGMENT}.npy", np.concatenate(stored), allow_pickle=False)
    manifest = dataclasses.replace(
        generation.manifest,
        next_row=len(table),
        skipped=0,
        storage=contents.storage,
        segments=[SegmentFacts(SEGMENT, len(table), None)],
        # So few paintings can be read at once; without the columns, the package is smaller.
        files={name: sha256_of(folder / name) for name in (f"{SEGMENT}.parquet", f"{SEGMENT}.npy")},
    )
    (folder / "manifest.json").write_text(json.dumps(asdict(manifest), ensure_ascii=False), encoding="utf-8")
    (folder / "manifest.sha256").write_text(f"{sha256_of(folder / 'manifest.json')}  manifest.json\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m artidx.index.changes.make_reference INDEX")
    try:
        write(generations.read(Path(sys.argv[1])))
    except ArtidxError as problem:
        sys.exit(str(problem))
