"""From a catalog's table to an exported model: train by a recipe, and export one ONNX file.

Does not measure the model: that takes an index (index/measured.py).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from lightning_fabric import Fabric
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch import nn

from ...errors import BadSetting, UnreadableImage
from ...files import write_atomically
from .. import kept
from ..locations import Reader
from ..parallel import Bar, no_bar
from ..pictures.images import Pixels
from ..runtime import Embedder
from .data.packed import packed_examples
from .data.splits import SEEN, TRAIN, UNSEEN, check_splits, held_out_splits, splits, trained_on
from .export.onnx_file import export
from .loop.epochs import Score
from .recipes.distilled import ALL_POINTWISE, DistilledSettings, train_distilled
from .recipes.linear import SIZE, LinearSettings, describe_linear, train_linear
from .recipes.paper import PaperSettings, describe_paper, load_trained, train_paper
from .recipes.transformer import TransformerSettings, train_transformer
from .recipes.tuned import TunedSettings, train_tuned
from .settings import Settings, read_settings

ALL_SPLITS = (TRAIN, SEEN, UNSEEN)
EXAMPLES = 64  # paintings on which ONNX is compared with PyTorch; half of them give the ranges of int8 activations

RECIPES: dict[str, type[Settings]] = {
    "transformer": TransformerSettings,
    "tuned": TunedSettings,
    "distilled": DistilledSettings,
    "linear": LinearSettings,
    "paper": PaperSettings,
}

Note = Callable[[str], None]


class Run(NamedTuple):
    """What every recipe gets.

    table: of the catalog, with its column `split`; work: folder for intermediate results; score: what the curves show
    (epochs.py); note, bar: for progress.
    """

    table: pd.DataFrame
    work: Path
    fabric: Fabric
    score: Score
    note: Note
    bar: Bar


class Trained(NamedTuple):
    """The result of a recipe: a network (b, 3, size, size) -> (b, d), and a description for its card.

    all_pointwise: whether all of its pointwise convolutions may have int8 activations.
    """

    network: nn.Module
    size: int
    made: str
    all_pointwise: bool = False


def settings_of(recipe: str, path: Path | None, backbones: Sequence[str] = ()) -> Settings:
    """The settings of a recipe, from a TOML file if one is given. Raises BadSetting.

    backbones: of the linear recipe; they override the file.
    """
    return read_settings(path, RECIPES[recipe], {"backbones": backbones} if backbones else None)


def trained_by(settings: Settings, run: Run, weights: Path | None, *, all_splits: bool = False) -> Trained:
    """A network trained by the recipe to which the settings belong.

    weights: the folder with the backbones' weights, which only the paper's recipe does not need; all_splits: whether
    the recipe transformer or tuned also trains on the held-out splits, in a last cycle.
    """
    match settings:
        case PaperSettings():
            return _by_paper_recipe(run, settings)
        case LinearSettings() if weights:
            return _by_linear_recipe(run, settings, weights)
        case TunedSettings() if weights:
            learn = ALL_SPLITS if all_splits else (TRAIN,)
            found = train_tuned(
                run.table, settings, weights, run.work, run.fabric, run.score, run.note, run.bar, learn=learn
            )
            return Trained(found.model, SIZE, found.made)
        case TransformerSettings() if weights:
            return _by_transformer_recipe(run, settings, weights, held_out_splits(run.table) if all_splits else ())
        case DistilledSettings() if weights:
            network, made = train_distilled(
                run.table, settings, weights, run.work, run.fabric, run.score, run.note, run.bar
            )
            return Trained(network, SIZE, made, ALL_POINTWISE)
    raise TypeError(f"no recipe has {type(settings).__name__}, or its backbones' weights are not given")


def _by_linear_recipe(run: Run, settings: LinearSettings, weights: Path) -> Trained:
    training = run.table[run.table["split"] == TRAIN].reset_index(drop=True)
    ensemble = train_linear(training, settings, weights, run.work, run.note, run.bar)
    return Trained(ensemble, SIZE, describe_linear(len(training), training["artist"].nunique(), settings, weights))


def _by_transformer_recipe(run: Run, settings: TransformerSettings, weights: Path, more: Sequence[str]) -> Trained:
    found = train_transformer(
        run.table,
        settings,
        weights,
        run.work,
        run.fabric,
        run.score,
        run.note,
        run.bar,
        learn=trained_on(run.table),
        more=more,
    )
    return Trained(found.model, SIZE, found.made)


def _by_paper_recipe(run: Run, settings: PaperSettings) -> Trained:
    bar = run.bar if run.fabric.is_global_zero else no_bar
    outcome = train_paper(run.table, run.work, settings, run.fabric, run.score, run.note, bar)
    return Trained(outcome.ensemble, outcome.size, describe_paper(settings, outcome))


def also_trained_on(settings: Settings, table: pd.DataFrame) -> tuple[str, ...]:
    """The splits, in addition to TRAIN, that a recipe with such settings trains on."""
    return tuple(trained_on(table)[1:]) if isinstance(settings, TransformerSettings) else ()


def elsewhere(table: pd.DataFrame) -> tuple[str, ...]:
    """The held-out splits other than SEEN and UNSEEN: photographs from other sources."""
    return tuple(name for name in held_out_splits(table) if name not in ALL_SPLITS)


def labelled(table: pd.DataFrame) -> pd.DataFrame:
    """The catalog's table with its column `split`. Raises BadCatalog if a split is not usable."""
    table = table.assign(split=splits(table))
    check_splits(table)
    return table


def exported(trained: Trained, run: Run, output: Path, name: str) -> Embedder:
    """The network as a model file without calibration. output: its path. Raises BadModel."""
    data = export(
        trained.network,
        trained.size,
        name,
        _examples(run.table, trained.size),
        run.bar,
        all_pointwise=trained.all_pointwise,
    )
    embedder = Embedder(data, str(output))
    run.note(parity_note(embedder))
    return embedder


def export_trained(work: Path, network: str, output: Path, name: str, note: Note, bar: Bar) -> None:
    """Write one network of a run of the paper's recipe, finished or not, as a model file without calibration."""
    ensemble, settings = load_trained(work, network)
    data = export(ensemble, settings.size, name, packed_examples(work, settings.size, EXAMPLES), bar)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(output, data)
    note(parity_note(Embedder(data, str(output))))


def holding(work: Path, fabric: Fabric) -> AbstractContextManager[None]:
    """Lock the work folder against other runs, in the first of this run's processes. Raises WorkBusy."""
    return kept.held(work) if fabric.is_global_zero else nullcontext()


def launched(devices: int, nodes: int, precision: str) -> Fabric:
    """Lightning Fabric, launched on these devices. Raises BadSetting if they are not available."""
    try:
        fabric = Fabric(devices=devices, num_nodes=nodes, precision=precision)  # type: ignore[arg-type]
        fabric.launch()
    except (RuntimeError, ValueError, MisconfigurationException) as problem:
        raise BadSetting(
            f"{devices} devices on {nodes} machines in {precision}: not available here: "
            f"{' '.join(str(problem).split())[:200]}"
        ) from None
    return fabric


def parity_note(embedder: Embedder) -> str:
    """One line on how far an exported file is from PyTorch."""
    parity = embedder.metadata["parity"]
    activations = (
        f", to int8 activations {parity['largest_cosine_lost_to_sums_in_8_bits']:.1e}"
        if "largest_cosine_lost_to_sums_in_8_bits" in parity
        else ""
    )
    return (
        f"exported: largest difference to PyTorch {parity['largest_difference_to_pytorch']:.1e}, largest cosine "
        f"lost to stored weights {parity['largest_cosine_lost_to_stored_weights']:.1e}{activations}"
    )


def _examples(table: pd.DataFrame, size: int) -> Pixels:
    """Some training paintings, the same ones in every run."""
    paths = list(table["path"][table["split"] == TRAIN])
    found: list[Pixels] = []
    with Reader() as reader:
        for location in random.Random(0).sample(paths, len(paths)):
            with suppress(UnreadableImage):
                found.append(reader.square(location, size))
            if len(found) == EXAMPLES:
                break
    return np.stack(found)
