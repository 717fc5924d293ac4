"""Make the reference gallery of a shipped model (reference.py): `python -m artidx.index.changes.make_reference INDEX`.

INDEX: an index of the known paintings by that model. Images are not shipped, and vectors are float16.
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

from ...embedder.runtime import SHIPPED, model_file
from ...errors import ArtidxError, ModelMismatch
from ...files import sha256_of
from ..storage import generations, reference, segments
from ..storage.generations import Generation
from ..storage.manifest import Manifest, SegmentFacts
from .build import Layout, new_contents

SEGMENT = "paintings"
COLUMNS = (*segments.OWN_COLUMNS, "attribution", "style", "born", "died", "source", "url")


def folder_of(manifest: Manifest) -> Path:
    """The folder of the gallery of a generation's model. Raises ModelMismatch if it is not a shipped one."""
    for name in SHIPPED:
        if sha256_of(model_file(name)) == manifest.model.sha256:
            return reference.FOLDER / name
    raise ModelMismatch(
        f"built with model {manifest.model.sha256[:12]}; a reference gallery is made for {' or '.join(SHIPPED)}"
    )


def write(generation: Generation, folder: Path) -> None:
    """Make the gallery of a generation."""
    folder.mkdir(parents=True, exist_ok=True)
    table = generation.table[[name for name in COLUMNS if name in generation.table]]
    vectors, people = generation.vectors.matrix, generation.manifest.centre_artists
    halves = segments.packed(vectors, "float16")
    table = table.assign(row=range(len(table)), path="", vector_sha256=segments.hashes_of(halves))
    contents = new_contents(segments.Tables.of(table), vectors, generation.centre, people, Layout(half=True))
    draft = segments.Draft(segments.Tables.of(table), halves)
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
        known = generations.read(Path(sys.argv[1]))
        write(known, folder_of(known.manifest))
    except ArtidxError as problem:
        sys.exit(str(problem))
