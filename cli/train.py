"""artidx train."""

from __future__ import annotations

from pathlib import Path

import click

from ..embedder import bounds
from .options import PATH, is_given, whole
from .output import note, progress, say, stages

OPTIONS = {
    "transformer": ("weights", "settings", "precision", "all_splits"),
    "tuned": ("weights", "settings", "precision", "all_splits"),
    "distilled": ("weights", "settings", "precision"),
    "linear": ("weights", "settings", "backbone"),
    "paper": ("settings", "devices", "nodes", "precision"),
}  # of each recipe


@click.command()
@click.argument("catalog")
@click.option(
    "--recipe",
    type=click.Choice(list(OPTIONS)),
    default="transformer",
    show_default=True,
    help="transformer: a vision transformer, its last blocks fine-tuned on photographs from several sources. "
    "tuned: pretrained networks, fine-tuned, side by side. distilled: one small network that reproduces the "
    "vectors of the tuned model in WORK, which is trained first if it is not there. linear: a projection on "
    "unchanged backbones, much faster. paper: siamese networks from scratch.",
)
@click.option(
    "--weights", type=PATH, metavar="FOLDER", help="All but paper: folder with the backbones' pretrained weights."
)
@click.option(
    "--backbone",
    multiple=True,
    metavar="NAME",
    help="linear: a backbone, clip_vitb16 or any network of timm. Its weights are NAME.safetensors in the "
    "folder or, if that is missing, from timm's hub; may be repeated, and overrides "
    "the settings.  [default: mobilenet_v2 and dinov2_vits14]",
)
@click.option("--trunks", "weights", type=PATH, hidden=True)  # what it was called
@click.option(
    "--settings",
    type=PATH,
    metavar="FILE.toml",
    help="Members, epochs, rates, seeds ... of the recipe (docs/training.md).  [default: as shipped]",
)
@click.option(
    "--devices",
    type=whole(bounds.MACHINES),
    default=1,
    show_default=True,
    help="paper: GPUs (or processes, on a CPU) of each machine.",
)
@click.option("--nodes", type=whole(bounds.MACHINES), default=1, show_default=True, help="paper: machines.")
@click.option(
    "--precision",
    type=click.Choice(["bf16-mixed", "32-true"]),
    default="bf16-mixed",
    show_default=True,
    help="All but linear: numeric precision of training.",
)
@click.option(
    "--all-splits",
    is_flag=True,
    help="transformer, tuned: after the model is measured and calibrated, train it on all splits, and write the "
    "result.",
)
@click.option(
    "--work",
    type=PATH,
    required=True,
    metavar="FOLDER",
    help="Folder for intermediate results; an interrupted run resumes from there.",
)
@click.option(
    "-o",
    "--output",
    type=PATH,
    required=True,
    metavar="MODEL.onnx",
    help="The model to write; its card is written beside it.",
)
@click.option("--name", help="The model's name.  [default: base; small, if distilled]")
def train(
    catalog: str,
    recipe: str,
    weights: Path | None,
    backbone: tuple[str, ...],
    settings: Path | None,
    devices: int,
    nodes: int,
    precision: str,
    all_splits: bool,
    work: Path,
    output: Path,
    name: str | None,
) -> None:
    """Train a model on CATALOG, measure and calibrate it, and write it as one ONNX file with a model card.

    CATALOG is anything artidx build takes. Its column `split` says which paintings to train on (train) and which are
    held out (val_seen: other works by the same artists; val_unseen: works by other artists). Without that column, a
    tenth of each is held out. Splits of other names hold photographs from other sources: the recipe transformer also
    trains on train_...; all others are held out. Needs artidx[cpu,train].
    """
    for option in sorted({name for names in OPTIONS.values() for name in names} - {*OPTIONS[recipe]}):
        if is_given(option):
            raise click.UsageError(f"--{option.replace('_', '-')} is not for the recipe {recipe}")
    from ..embedder.catalogs.catalog import read_catalog
    from ..errors import BadSetting, MissingPackage
    from ..index import measured
    from ..index.measure.retrieval import triplet_accuracy
    from .scores import show_scores

    try:
        from ..embedder.training import making
    except ModuleNotFoundError as missing:
        raise MissingPackage(f"training needs {missing.name}; pip install 'artidx[train]'") from None
    if recipe != "paper" and not weights:
        raise BadSetting(f"the recipe {recipe} needs --weights FOLDER with the backbones' pretrained weights")
    chosen = making.settings_of(recipe, settings, backbone)
    name = name or ("small" if recipe == "distilled" else "base")
    table = making.labelled(read_catalog(catalog).table)
    fabric = making.launched(devices, nodes, precision)
    run = making.Run(table, work, fabric, triplet_accuracy, note, progress)
    with making.holding(work, fabric):
        found = making.trained_by(chosen, run, weights)
        if not fabric.is_global_zero:
            return
        exporting = run._replace(bar=stages)
        embedder = making.exported(found, exporting, output, name)
        splits = measured.Splits(*making.ALL_SPLITS, making.also_trained_on(chosen, table), making.elsewhere(table))
        model = measured.measure(embedder, found.made, table, splits, work, note, stages)
        if all_splits:
            found = making.trained_by(chosen, run, weights, all_splits=True)
            model = measured.in_its_place(model, making.exported(found, exporting, output, name), found.made)
        measured.write(model, output)
    what = "; measured before it was trained on all splits" if all_splits else ""
    say(f"{output}: {output.stat().st_size / 1e6:.1f} MB{what}")
    show_scores(model.scores)
