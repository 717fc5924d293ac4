"""From a catalog to a finished model: train by a recipe, export, measure, calibrate, describe.

Measured is an exported file, through the same index and search that users have, never PyTorch's features: the one that
is written or, where that has learnt all splits, the one before.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import pandas as pd
from lightning_fabric import Fabric
from lightning_fabric.utilities.exceptions import MisconfigurationException

from ..embedder.catalog import Catalog
from ..embedder.images import Pixels
from ..embedder.locations import Reader
from ..embedder.parallel import no_bar
from ..embedder.runtime import Embedder
from ..embedder.training import kept
from ..embedder.training.distilled import ALL_POINTWISE, train_distilled
from ..embedder.training.export import export, with_metadata
from ..embedder.training.linear import SIZE, describe_linear, train_linear
from ..embedder.training.packed import packed_examples
from ..embedder.training.paper import PaperSettings, describe_paper, load_trained, read_settings, train_paper
from ..embedder.training.splits import SEEN, TRAIN, UNSEEN, check_splits, splits
from ..embedder.training.tuned import train_tuned
from ..errors import BadSetting, UnreadableImage
from ..files import write_atomically
from ..index.measure.evaluate import SplitScores, evaluate
from ..index.measure.fit import calibrate_model
from ..index.measure.retrieval import triplet_accuracy
from ..index.measure.splits import split_names
from ..index.opened import Index
from ..index.scoring.calibration import Calibration
from ..index.storage.generations import exists
from .model_card import model_card
from .output import progress

ALL_SPLITS = (TRAIN, SEEN, UNSEEN)
EXAMPLES = 64  # paintings on which ONNX is held against PyTorch; half of them give the ranges of sums in 8 bits

Note = Callable[[str], None]


class Trained(NamedTuple):
    """What a recipe has made: a network (b, 3, size, size) -> (b, d), and how, for its card.

    all_pointwise: whether all of its pointwise convolutions bear sums in 8 bits.
    """

    network: Any
    size: int
    made: str
    all_pointwise: bool = False


class Measured(NamedTuple):
    """An exported file, not calibrated yet; how it was made; what it, or the one before it, reached."""

    data: bytes
    made: str
    calibration: Calibration
    scores: list[SplitScores]
    is_of_all_splits: bool = False


def by_linear_recipe(table: pd.DataFrame, trunks: Path, work: Path, note: Note) -> Trained:
    """Frozen trunks and linear discriminants."""
    training = table[table["split"] == TRAIN].reset_index(drop=True)
    ensemble = train_linear(training, trunks, work, note, progress)
    return Trained(ensemble, SIZE, describe_linear(len(training), training["artist"].nunique()))


def by_tuned_recipe(table: pd.DataFrame, trunks: Path, work: Path, fabric: Fabric, note: Note, *,
                    learn: Sequence[str] = (TRAIN,)) -> Trained:
    """Fine-tuned trunks beside the linear recipe's model, which have learnt the artists of the splits `learn`."""
    found = train_tuned(table, trunks, work, fabric, triplet_accuracy, note, progress, learn=learn)
    return Trained(found.model, SIZE, found.made)


def by_distilled_recipe(table: pd.DataFrame, trunks: Path, work: Path, fabric: Fabric, note: Note) -> Trained:
    """One small network that gives the vectors of the tuned recipe's model."""
    network, made = train_distilled(table, trunks, work, fabric, triplet_accuracy, note, progress)
    return Trained(network, SIZE, made, ALL_POINTWISE)


def by_paper_recipe(table: pd.DataFrame, settings: Path | None, work: Path, fabric: Fabric, note: Note) -> Trained:
    """Siamese networks for a few artists each, joined. All processes but the first end here."""
    chosen = read_settings(settings) if settings else PaperSettings()
    bar = progress if fabric.is_global_zero else no_bar
    outcome = train_paper(table, work, chosen, fabric, triplet_accuracy, note, bar)
    if not fabric.is_global_zero:
        raise click.exceptions.Exit
    return Trained(outcome.ensemble, outcome.size, describe_paper(chosen, outcome))


def labelled(table: pd.DataFrame) -> pd.DataFrame:
    """The catalog's table with its column `split`. Raises BadCatalog where a split lacks what it is for."""
    table = table.assign(split=splits(table))
    check_splits(table)
    return table


def measured(trained: Trained, table: pd.DataFrame, work: Path, output: Path, name: str, note: Note) -> Measured:
    """Export a network, and measure and calibrate the file on the splits kept apart. output: where it is to lie."""
    embedder = _exported(trained, table, output, name, note)
    index = _index_of(work / "measured", Catalog("training catalog", table), embedder, note)
    rows, embeddings = index.generation.table, index.generation.embeddings
    names = split_names(rows, "split")
    calibration = calibrate_model(rows, embeddings, names, gallery=TRAIN, seen=SEEN, unseen=UNSEEN)
    scores = evaluate(rows, embeddings, names, [SEEN, UNSEEN], TRAIN, calibration)
    return Measured(embedder.data, trained.made, calibration, scores)


def in_its_place(before: Measured, trained: Trained, table: pd.DataFrame, output: Path, name: str, note: Note
                 ) -> Measured:
    """The network that has learnt the artists of all splits, with the calibration and the scores of the one before.

    Nothing is left to measure it on. It is the one before, taught a little further.
    """
    embedder = _exported(trained, table, output, name, note)
    return Measured(embedder.data, trained.made, before.calibration, before.scores, is_of_all_splits=True)


def write(model: Measured, output: Path) -> None:
    """Write a model and its card to `output` and beside it."""
    output.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(output, with_metadata(model.data, {"calibration": model.calibration.to_json()}))
    card = model_card(Embedder.load(output), model.made, model.scores, model.calibration, model.is_of_all_splits)
    write_atomically(output.with_suffix(".md"), card.encode())


def export_trained(work: Path, network: str, output: Path, name: str, note: Note) -> None:
    """Write one network of a run of the paper's recipe, finished or not, as a model file that is not calibrated."""
    ensemble, settings = load_trained(work, network)
    data = export(ensemble, settings.size, name, packed_examples(work, settings.size, EXAMPLES),
                  progress)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(output, data)
    note(said_of_parity(Embedder(data, str(output))))


def _exported(trained: Trained, table: pd.DataFrame, output: Path, name: str, note: Note) -> Embedder:
    data = export(trained.network, trained.size, name, _examples(table, trained.size), progress,
                  all_pointwise=trained.all_pointwise)
    embedder = Embedder(data, str(output))
    note(said_of_parity(embedder))
    return embedder


def holding(work: Path, fabric: Fabric) -> AbstractContextManager[None]:
    """Hold the folder of work against other runs, by the first of this run's processes. Raises WorkBusy."""
    return kept.held(work) if fabric.is_global_zero else nullcontext()


def launched(devices: int, nodes: int, precision: str) -> Fabric:
    """What a network is trained on. Raises BadSetting where that cannot be had."""
    try:
        fabric = Fabric(devices=devices, num_nodes=nodes, precision=precision)  # type: ignore[arg-type]
        fabric.launch()
    except (RuntimeError, ValueError, MisconfigurationException) as problem:
        raise BadSetting(f"{devices} devices on {nodes} machines in {precision}: cannot be had here: "
                         f"{' '.join(str(problem).split())[:200]}") from None
    return fabric


def said_of_parity(embedder: Embedder) -> str:
    """How far an exported file is from PyTorch, in one line."""
    parity = embedder.metadata["parity"]
    sums = (f", to sums in 8 bits {parity['largest_cosine_lost_to_sums_in_8_bits']:.1e}"
            if "largest_cosine_lost_to_sums_in_8_bits" in parity else "")
    return (f"exported: largest difference to PyTorch {parity['largest_difference_to_pytorch']:.1e}, "
            f"largest cosine lost to weights of few bits {parity['largest_cosine_lost_to_stored_weights']:.1e}{sums}")


def _index_of(folder: Path, catalog: Catalog, embedder: Embedder, note: Note) -> Index:
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
    return Index.build(path, catalog, embedder=embedder, bar=progress)[0]


def _examples(table: pd.DataFrame, size: int) -> Pixels:
    """Some training paintings, the same ones at every run."""
    paths = list(table["path"][table["split"] == TRAIN])
    found: list[Pixels] = []
    with Reader() as reader:
        for location in random.Random(0).sample(paths, len(paths)):
            with suppress(UnreadableImage):
                found.append(reader.square(location, size))
            if len(found) == EXAMPLES:
                break
    return np.stack(found)
