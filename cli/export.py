"""artidx export."""

from __future__ import annotations

from pathlib import Path

import click

from .options import PATH
from .output import note, say, stages


@click.command()
@click.argument("work", type=PATH)
@click.option("-o", "--output", type=PATH, required=True, metavar="MODEL.onnx", help="The model to make.")
@click.option(
    "--network",
    default="super",
    show_default=True,
    metavar="NAME",
    help="Which network of the run: super, or member-01, member-02, ...",
)
@click.option("--name", default="paper", show_default=True, help="The model's name.")
def export(work: Path, output: Path, network: str, name: str) -> None:
    """Make an ONNX model from a network that artidx train --recipe paper has trained in the folder WORK.

    It has the weights of the best epoch so far; the run need not have finished. The model is not calibrated:
    indexes built with it answer with distances, and with probabilities only after artidx calibrate.
    """
    from ..errors import MissingPackage

    try:
        from ..embedder.training.making import export_trained
    except ModuleNotFoundError as missing:
        raise MissingPackage(f"exporting needs {missing.name}; pip install 'artidx[train]'") from None
    export_trained(work, network, output, name, note, stages)
    say(f"{output}: {output.stat().st_size / 1e6:.1f} MB")
