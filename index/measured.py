"""A new model: measure it on the held-out paintings, calibrate it, write it with its card.

The scores are those of an exported file, through the same index and search that users have, never of PyTorch's
features: of the file that is written or, if that was trained on all splits, of the one before. Does not train
(embedder/training).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from ..embedder import kept
from ..embedder.catalogs.catalog import Catalog
from ..embedder.parallel import Bar
from ..embedder.runtime import Embedder
from ..embedder.wrapping import with_metadata
from ..files import write_atomically
from .measure.evaluate import SplitScores, evaluate
from .measure.fit import calibrate_model
from .measure.splits import split_names
from .model_card import model_card
from .opened import Index
from .scoring.calibration import Calibration
from .storage.generations import exists

SAME_AS = "same_as"  # a column: the painting that a photograph seems to be another one of


class Splits(NamedTuple):
    """The names, in the column `split`, of paintings that were trained on, others by their artists, and other artists'.

    also_train: of more that were trained on; elsewhere: of photographs from other sources that were not.
    """

    train: str
    seen: str
    unseen: str
    also_train: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()


class Measured(NamedTuple):
    """A model file, not calibrated yet; how it was made; what it, or the one before it, reached."""

    data: bytes
    made: str
    calibration: Calibration
    scores: list[SplitScores]
    is_of_all_splits: bool = False


def measure(
    embedder: Embedder,
    made: str,
    table: pd.DataFrame,
    splits: Splits,
    work: Path,
    note: Callable[[str], None],
    bar: Bar,
) -> Measured:
    """Measure and calibrate a model on the splits held out. work: where the index that it takes is kept."""
    index = _index_of(work / "measured", Catalog("training catalog", table), embedder, note, bar)
    rows, embeddings = index.generation.table, index.generation.embeddings
    names = split_names(rows, "split")
    names[names.isin(splits.also_train)] = splits.train
    if SAME_AS in rows:  # another photograph of a painting that may be in the gallery would be found by the picture
        names[(rows[SAME_AS].fillna("") != "") & (names != splits.train)] = "none"
    note("calibrating and measuring the model")
    calibration = calibrate_model(
        rows,
        embeddings,
        names,
        gallery=splits.train,
        seen=splits.seen,
        unseen=splits.unseen,
        elsewhere=splits.elsewhere,
    )
    scores = evaluate(rows, embeddings, names, [splits.seen, splits.unseen], splits.train, calibration)
    if splits.elsewhere:
        away = evaluate(rows, embeddings, names, splits.elsewhere, splits.train, calibration)
        scores += [found for found in away if found.split in splits.elsewhere and found.pairs.same_pairs]
    return Measured(embedder.data, made, calibration, scores)


def in_its_place(before: Measured, embedder: Embedder, made: str) -> Measured:
    """The model that has learnt the artists of all splits, with the calibration and the scores of the one before.

    Nothing is left to measure it on. It is the one before, taught a little further.
    """
    return Measured(embedder.data, made, before.calibration, before.scores, is_of_all_splits=True)


def write(model: Measured, output: Path) -> None:
    """Write a model and its card to `output` and beside it."""
    output.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(output, with_metadata(model.data, {"calibration": model.calibration.to_json()}))
    card = model_card(Embedder.load(output), model.made, model.scores, model.calibration, model.is_of_all_splits)
    write_atomically(output.with_suffix(".md"), card.encode())


def _index_of(folder: Path, catalog: Catalog, embedder: Embedder, note: Callable[[str], None], bar: Bar) -> Index:
    """An index of the whole catalog by the exported model, kept under a key of both (kept.py)."""
    table = catalog.table
    labels = table.drop(columns="path").to_csv(index=False)
    key = kept.key_of(embedder.sha256, labels, kept.contents(table["path"]), kept.libraries())
    path = folder / f"{key[:24]}.artidx"
    if exists(path):
        return Index.open(path)
    for other in folder.glob("*.artidx"):  # of another model or other labels
        shutil.rmtree(other)
    note(f"embedding {len(catalog):,} paintings to measure the model")
    return Index.build(path, catalog, embedder=embedder, bar=bar)[0]
