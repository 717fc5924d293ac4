"""Vectors as annotations on IIIF canvases, each with the checksum of the model that made it.

In the form of the embedding extension that is proposed to IIIF. Vectors of two collections can be compared only if the
same model made both, which its checksum proves: that of the model file, which includes preprocessing. So they are
written as the model gives them, not measured from a collection's centre.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ...files import replacing
from ..scoring.centre import uncentred
from ..scoring.vectors import blocks
from ..storage.generations import Generation

CONTEXT = ["http://iiif.io/api/extension/embeddings/1/context.json", "http://iiif.io/api/presentation/3/context.json"]
AT_ONCE = 4096  # vectors in memory at once


def write(generation: Generation, target: Path) -> None:
    """Write the annotations; nothing if no painting has a canvas."""
    found = _annotations(generation)
    if (first := next(found, None)) is None:
        return
    model = generation.manifest.model
    page = {"@context": CONTEXT, "id": _name(model.sha256, generation.sha256), "type": "AnnotationPage"}
    with replacing(target) as aside, aside.open("x", encoding="utf-8") as stream:
        stream.write(json.dumps(page)[:-1] + ', "items": [')
        for number, each in enumerate(chain([first], found)):
            stream.write((",\n" if number else "\n") + json.dumps(each))
        stream.write("\n]}\n")


def _annotations(generation: Generation) -> Iterator[dict[str, Any]]:
    model = generation.manifest.model
    described = {
        "name": model.name,
        "version": model.sha256,
        "checksum": f"sha256:{model.sha256}",  # of the model file, which includes its preprocessing
        "dimensions": model.dim,
        "dataType": "float32",
        "endianness": "little",
        "normalization": True,
        "type": "image",
    }
    paintings, centre = generation.paintings, np.array(generation.manifest.centre, np.float32)
    for some in blocks(len(paintings) if "canvas" in paintings.names else 0, AT_ONCE):
        rows = paintings.frame(range(some.start, some.stop))
        vectors = uncentred(np.asarray(generation.vectors.rows[some], np.float32), centre)
        for row, vector in zip(rows.to_dict("records"), vectors, strict=True):
            if isinstance(row["canvas"], str):
                data = base64.b64encode(vector.astype("<f4").tobytes()).decode()
                yield {
                    "id": _name(row["canvas"], model.sha256),
                    "type": "Annotation",
                    "motivation": "embedding",
                    "target": _target(row),
                    "body": {"type": "EmbeddingVector", "vector": data, "vectorEncoding": "base64", "model": described},
                }


def _target(row: dict[Any, Any]) -> dict[str, Any]:
    canvas: dict[str, Any] = {"id": row["canvas"], "type": "Canvas"}
    if isinstance(row.get("canvas_size"), str):
        canvas |= dict(zip(("width", "height"), map(int, row["canvas_size"].split("x")), strict=True))
    if isinstance(row.get("manifest"), str):
        canvas["partOf"] = [{"id": row["manifest"], "type": "Manifest"}]
    return canvas


def _name(*parts: str) -> str:
    return uuid.uuid5(uuid.NAMESPACE_URL, "\0".join(parts)).urn
