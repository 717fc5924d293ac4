"""Measure a new model on the held-out paintings, calibrate it, and write it with its card.

The scores are those of an exported file, with the same index and search that users have, never of PyTorch's features:
of the file that is written or, if that was trained on all splits, of the one before. Does not train
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
from .measure.fit_sculpture import FEWEST, sculptures_in
from .measure.splits import split_names
from .model_card import model_card
from .opened import Index
from .scoring.calibration import Calibration
from .storage.generations import exists

SAME_AS = "same_as"  # a column: the painting of which this seems to be another photograph


class Splits(NamedTuple):
    """Names in the column `split`: of training paintings, of other paintings by their artists, and of other artists'
    paintings.

    also_train: of further training paintings; elsewhere: of photographs from other sources that were held out.
    """

    train: str
    seen: str
    unseen: str
    also_train: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()


class Measured(NamedTuple):
    """A model file without calibration; its description; the scores of it or of the one before it."""

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
    """Measure and calibrate a model on the held-out splits. work: folder for the index that this needs."""
    index = _index_of(work / "measured", Catalog("training catalog", table), embedder, note, bar)
    rows, embeddings = index.generation.table, index.generation.embeddings
    names = split_names(rows, "split")
    names[names.isin(splits.also_train)] = splits.train
    if SAME_AS in rows:  # another photograph of a painting would be found by the picture itself
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
    if calibration.artists.sculptures is None and sculptures_in(rows).any():
        note(f"sculptures are not told from paintings: that takes {FEWEST} or more in the training set")
    scores = evaluate(rows, embeddings, names, [splits.seen, splits.unseen], splits.train, calibration)
    if splits.elsewhere:
        away = evaluate(rows, embeddings, names, splits.elsewhere, splits.train, calibration)
        scores += [found for found in away if found.split in splits.elsewhere and found.pairs.same_pairs]
    return Measured(embedder.data, made, calibration, scores)


def in_its_place(before: Measured, embedder: Embedder, made: str) -> Measured:
    """The model that was trained on all splits, with the calibration and the scores of the one before.

    Nothing is held out to measure it on. It is the one before, trained slightly further.
    """
    return Measured(embedder.data, made, before.calibration, before.scores, is_of_all_splits=True)


def write(model: Measured, output: Path) -> None:
    """Write a model and its card to `output` and beside it."""
    output.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(output, with_metadata(model.data, {"calibration": model.calibration.to_json()}))
    card = model_card(Embedder.load(output), model.made, model.scores, model.calibration, model.is_of_all_splits)
    write_atomically(output.with_suffix(".md"), card.encode())


def _index_of(folder: Path, catalog: Catalog, embedder: Embedder, note: Callable[[str], None], bar: Bar) -> Index:
    """An index of the whole catalog by the exported model, stored under a key of both (kept.py)."""
    table = catalog.table
    labels = table.drop(columns="path").to_csv(index=False)
    key = kept.key_of(embedder.sha256, labels, kept.contents(table["path"]), kept.libraries())
    path = folder / f"{key[:24]}.artidx"
    if exists(path):
        return Index.open(path)
    for other in folder.glob("*.artidx"):  # it is of another model or other labels
        shutil.rmtree(other)
    note(f"embedding {len(catalog):,} paintings to measure the model")
    return Index.build(path, catalog, embedder=embedder, bar=bar)[0]
