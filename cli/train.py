"""artidx train."""

from __future__ import annotations

from pathlib import Path

import click

from ..embedder import bounds
from .options import PATH, is_given, whole
from .output import note, say

OPTIONS = {"tuned": ("trunks", "precision", "all_splits"), "distilled": ("trunks", "precision"), "linear": ("trunks",),
           "paper": ("settings", "devices", "nodes", "precision")}  # of each recipe


@click.command()
@click.argument("catalog")
@click.option("--recipe", type=click.Choice(list(OPTIONS)), default="tuned", show_default=True,
              help="tuned: pretrained trunks, fine-tuned. distilled: one small network that learns to give the vectors "
                   "of the tuned model in WORK, which is made first where it is not there. linear: trunks as they are "
                   "and a projection, much faster. paper: siamese networks from nothing.")
@click.option("--trunks", type=PATH, metavar="FOLDER",
              help="tuned, distilled, linear: where the trunks' pretrained weights lie.")
@click.option("--settings", type=PATH, metavar="FILE.toml",
              help="paper: sizes, batches, rates ...  [default: the paper's]")
@click.option("--devices", type=whole(bounds.MACHINES), default=1, show_default=True,
              help="paper: GPUs (or processes, on a CPU) of each machine.")
@click.option("--nodes", type=whole(bounds.MACHINES), default=1, show_default=True, help="paper: machines.")
@click.option("--precision", type=click.Choice(["bf16-mixed", "32-true"]), default="bf16-mixed", show_default=True,
              help="tuned, distilled, paper: numbers that the networks are trained in.")
@click.option("--all-splits", is_flag=True,
              help="tuned: once the model is measured and calibrated, let it learn the artists of all splits, and "
                   "write that one.")
@click.option("--work", type=PATH, required=True, metavar="FOLDER",
              help="Where work is kept; a run that was interrupted goes on from there.")
@click.option("-o", "--output", type=PATH, required=True, metavar="MODEL.onnx",
              help="The model to make; its card is written beside it.")
@click.option("--name", help="The model's name.  [default: base; small, if distilled]")
def train(catalog: str, recipe: str, trunks: Path | None, settings: Path | None, devices: int, nodes: int,
          precision: str, all_splits: bool, work: Path, output: Path, name: str | None) -> None:
    """Train a model on CATALOG, measure and calibrate it, and write it as one ONNX file with a model card.

    CATALOG is anything artidx build takes. Its column `split` says which paintings to train on (train) and which
    are kept apart (val_seen: other works by the same artists; val_unseen: other artists); without that column a
    tenth of each is kept apart. pip install 'artidx[cpu,train]'.
    """
    for option in sorted({name for names in OPTIONS.values() for name in names} - {*OPTIONS[recipe]}):
        if is_given(option):
            raise click.UsageError(f"--{option.replace('_', '-')} is not for the recipe {recipe}")
    from ..embedder.catalog import read_catalog
    from ..errors import BadSetting, MissingPackage
    from .scores import show_scores

    try:
        from . import training
    except ModuleNotFoundError as missing:
        raise MissingPackage(f"training needs {missing.name}; pip install 'artidx[train]'") from None
    name = name or ("small" if recipe == "distilled" else "base")
    table = training.labelled(read_catalog(catalog).table)
    if recipe != "paper" and not trunks:
        raise BadSetting(f"the recipe {recipe} needs --trunks FOLDER, where the pretrained weights lie")
    fabric = training.launched(devices, nodes, precision)
    with training.holding(work, fabric):
        if recipe == "paper" or not trunks:
            found = training.by_paper_recipe(table, settings, work, fabric, note)
        elif recipe == "tuned":
            found = training.by_tuned_recipe(table, trunks, work, fabric, note)
        elif recipe == "distilled":
            found = training.by_distilled_recipe(table, trunks, work, fabric, note)
        else:
            found = training.by_linear_recipe(table, trunks, work, note)
        model = training.measured(found, table, work, output, name, note)
        if all_splits and trunks:
            found = training.by_tuned_recipe(table, trunks, work, fabric, note, learn=training.ALL_SPLITS)
            model = training.in_its_place(model, found, table, output, name, note)
        training.write(model, output)
    what = "; measured before it learnt all splits" if all_splits else ""
    say(f"{output}: {output.stat().st_size / 1e6:.1f} MB{what}")
    show_scores(model.scores)
