"""Fit the detector of sculptures for a shipped model, and put it into the model's calibration.

    python benchmarks/sculptures.py PAINTINGS MODEL OUTPUT.onnx [INDEX]

PAINTINGS: as for all_origins.py, whose output INDEX holds, built with MODEL; without INDEX, the vectors are those of
the model's reference gallery, and its manifest for the new file is written beside OUTPUT. Everything else in the file
stays. `artidx train` fits the detector by itself, if its catalog has a column `kind`.

Prints how many of the sculptures that we found by eye (sculptures.txt) are detected, and how many paintings are.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from all_origins import joined

from artidx import Embedder, Index
from artidx.embedder.wrapping import with_metadata
from artidx.index.measure.fit_sculpture import KIND, fit_sculptures, sculptures_in
from artidx.index.scoring import upgrades
from artidx.index.scoring.calibration import Calibration
from artidx.index.storage.reference import reference_for

SPLITS = ("train", "val_seen", "val_unseen", "val_away", "strangers_away")


def main(paintings: str, model: str, output: str, index: str | None = None) -> None:
    embedder = Embedder.load(model)
    opened = Index.open(index or reference_for(embedder))
    if opened.manifest.model.name != embedder.name:
        sys.exit(f"{opened.name} was built with {opened.manifest.model.name}, not with {embedder.name}")
    ids = opened.generation.table["id"]
    table = joined(Path(paintings).resolve()).set_index("id").loc[ids].reset_index()
    embeddings, is_one = np.asarray(opened.generation.embeddings, np.float32), sculptures_in(table)
    is_learnt = (table["measured"] == "train").to_numpy()
    detector = fit_sculptures(embeddings[is_learnt], is_one[is_learnt])
    if detector is None:
        sys.exit(f"too few sculptures in the column {KIND}")
    before = Calibration.from_json(upgrades.calibration(embedder.metadata["calibration"]), model, embedder.dim)
    calibration = replace(before, artists=replace(before.artists, sculptures=detector)).to_json()
    target = Path(output)
    target.write_bytes(with_metadata(embedder.data, {"calibration": calibration}))
    if index is None:
        facts = replace(opened.manifest.model, sha256=Embedder.load(target).sha256)
        manifest = asdict(replace(opened.manifest, model=facts, calibration=calibration))
        target.with_suffix(".manifest.json").write_text(json.dumps(manifest))
    shows = detector.probabilities(embeddings) >= 0.5
    for split in SPLITS:
        here = (table["measured"] == split).to_numpy()
        print(
            f"{split}: {(shows & is_one & here).sum()} of {(is_one & here).sum()} sculptures, "
            f"{(shows & ~is_one & here).sum()} of {(~is_one & here).sum()} others"
        )


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    main(*sys.argv[1:])
