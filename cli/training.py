"""From a catalog to a finished model: train, export, measure, calibrate, describe.

Measured is the exported file itself, through the same index and search that users have, never PyTorch's features.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from ..embedder.catalog import Catalog
from ..embedder.images import Pixels
from ..embedder.locations import Reader
from ..embedder.runtime import Embedder
from ..embedder.training.export import export, with_metadata
from ..embedder.training.linear import SIZE, train_linear
from ..embedder.training.splits import SEEN, TRAIN, UNSEEN, check_splits, splits
from ..index.build import Settings
from ..index.evaluate import SplitScores, calibrate, evaluate, split_names
from ..index.opened import Index
from ..index.store import exists, write_atomically
from .model_card import model_card

EXAMPLES = 32  # paintings on which ONNX is held against PyTorch


def train_model(table: pd.DataFrame, trunks: Path, work: Path, output: Path, name: str, note: Callable[[str], None]
                ) -> list[SplitScores]:
    """Write the model and its card to `output` and beside it; returns the scores on the splits kept apart."""
    table = table.assign(split=splits(table))
    check_splits(table)
    training = table[table["split"] == TRAIN].reset_index(drop=True)

    def progress(what: str, done: int, total: int) -> None:
        note(f"{what}: {done:,} of {total:,} paintings")

    ensemble = train_linear(training, trunks, work, progress)
    uncalibrated = export(ensemble, SIZE, name, _examples(training))
    embedder = Embedder(uncalibrated, str(output))
    parity = embedder.metadata["parity"]
    note(f"exported: largest difference to PyTorch {parity['largest_difference_to_pytorch']:.1e}, largest cosine lost "
         f"to float16 weights {parity['largest_cosine_lost_to_float16_weights']:.1e}")

    index = _measured(work / "measured.artidx", Catalog("training catalog", table), embedder, note)
    rows, embeddings = index.generation.table, index.generation.embeddings
    names = split_names(rows, "split")
    calibration = calibrate(rows, embeddings, names, gallery=TRAIN, seen=SEEN, unseen=UNSEEN)
    scores = evaluate(rows, embeddings, names, [SEEN, UNSEEN], TRAIN, calibration.artists)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(output, with_metadata(uncalibrated, {"calibration": calibration.to_json()}))
    finished = Embedder.load(output)
    card = model_card(finished, len(training), training["artist"].nunique(), scores, calibration)
    write_atomically(output.with_suffix(".md"), card.encode())
    return scores


def _measured(path: Path, catalog: Catalog, embedder: Embedder, note: Callable[[str], None]) -> Index:
    """An index of the whole catalog by the exported model; one that a run before has made will do."""
    if exists(path):
        index = Index.open(path)
        is_same = index.generation.table["id"].tolist() == catalog.table["id"].tolist()
        if is_same and index.manifest.model.sha256 == embedder.sha256:
            return index
    note(f"embedding {len(catalog):,} paintings to measure the model")
    return Index.build(path, catalog, embedder=embedder, settings=Settings(strict=True), replace=True)[0]


def _examples(table: pd.DataFrame) -> Pixels:
    chosen = random.Random(0).sample(list(table["path"]), min(EXAMPLES, len(table)))
    with Reader() as reader:
        return np.stack([reader.square(location, SIZE) for location in chosen])
