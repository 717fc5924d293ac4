"""artidx wrap-model."""

from __future__ import annotations

from pathlib import Path

import click

from .options import PATH
from .output import note, progress, say


class _Three(click.ParamType[tuple[float, float, float]]):
    name = "R,G,B"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float, float]:
        try:
            red, green, blue = (float(part) for part in str(value).replace(",", " ").split())
        except ValueError:
            self.fail(f"{value!r}: three numbers, as 0.485,0.456,0.406", param, ctx)
        return red, green, blue


@click.command(name="wrap-model")
@click.argument("network", metavar="NETWORK.onnx", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-o", "--output", type=PATH, required=True, metavar="MODEL.onnx", help="The model to make.")
@click.option("--mean", type=_Three(), help="Subtracted from red, green and blue, on a scale from 0 to 1.")
@click.option("--std", type=_Three(), help="What red, green and blue are then divided by.")
@click.option("--size", type=int, metavar="PX", help="Side of the square it takes.  [default: what the file says]")
@click.option("--layout", type=click.Choice(["nchw", "nhwc"]), default="nchw", show_default=True)
@click.option(
    "--pool",
    type=click.Choice(["none", "first", "mean"]),
    default="none",
    show_default=True,
    help="Of tokens (n, t, d) or a map (n, d, h, w), take the first or the mean.",
)
@click.option("--output-name", metavar="NAME", help="Which output of the network to use.  [default: the only one]")
@click.option("--name", metavar="NAME", help="The model's name.  [default: that of the file]")
@click.option(
    "--fit",
    type=click.Choice(["squash", "crop", "letterbox"]),
    default="squash",
    show_default=True,
    help="How a picture becomes a square; letterbox fills with the colour --mean.",
)
@click.option(
    "--crop",
    type=float,
    default=1.0,
    show_default=True,
    metavar="SHARE",
    help="With --fit crop: how much of the shorter side is kept; 0.875 for 224 px out of 256.",
)
@click.option(
    "--filter",
    "filter_",
    default="bicubic",
    show_default=True,
    help="Interpolation: nearest, box, bilinear, hamming, bicubic or lanczos.",
)
@click.option(
    "--inset",
    type=float,
    default=0.04,
    show_default=True,
    metavar="SHARE",
    help="Share to cut off on each side first: frames and walls.",
)
@click.option(
    "--jpeg",
    type=int,
    metavar="QUALITY",
    help="Save the square as a JPEG of this quality and read it again: collections digitised in different ways then "
    "look more alike.  [default: no]",
)
@click.option(
    "--catalog", metavar="CATALOG", help="Labelled paintings to calibrate on: anything that artidx build takes."
)
def wrap_model(
    network: Path,
    output: Path,
    mean: tuple[float, float, float] | None,
    std: tuple[float, float, float] | None,
    size: int | None,
    layout: str,
    pool: str,
    output_name: str | None,
    name: str | None,
    fit: str,
    crop: float,
    filter_: str,
    inset: float,
    jpeg: int | None,
    catalog: str | None,
) -> None:
    """Make an artidx model from any ONNX network: CLIP, DINO, CSD, or your own.

    The model is tried on pictures, and calibrated if --catalog is given. Otherwise indexes built with it answer with
    distances, and with probabilities after artidx calibrate. Needs artidx[wrap].
    """
    from ..embedder.pictures.preprocessing import Preprocessing
    from ..embedder.runtime import read_model
    from ..embedder.wrapping import Wrapping, side_of, wrapped
    from ..errors import BadSetting
    from ..files import write_atomically

    data = read_model(network)
    size = size or side_of(data, layout, str(network))
    missing = [option for option, value in (("--mean", mean), ("--std", std), ("--size", size)) if value is None]
    if mean is None or std is None or size is None:
        raise BadSetting(
            f"{network}: give {' and '.join(missing)}, as the network was trained: for CLIP --mean "
            f"0.4815,0.4578,0.4082 --std 0.2686,0.2613,0.2758, for ImageNet's usual --mean 0.485,0.456,0.406 --std "
            f"0.229,0.224,0.225, for pixels from 0 to 1 --mean 0,0,0 --std 1,1,1, usually --size 224"
        )
    red, green, blue = (min(255, max(0, round(255 * value))) for value in mean)
    try:
        preprocessing = Preprocessing(
            size,
            inset,
            fit,
            filter_,
            jpeg,
            crop=crop if fit == "crop" else 1.0,
            fill=(red, green, blue) if fit == "letterbox" else (0, 0, 0),
        )
    except ValueError as problem:
        raise BadSetting(str(problem)) from None
    name = name or network.stem
    model = wrapped(data, name, Wrapping(preprocessing, mean, std, layout, pool, output_name), str(network))
    if catalog:
        from ..index.wrapped import calibrated

        model = calibrated(model, catalog, output.name, note, progress)
    write_atomically(output, model)
    say(f"{output}: {len(model) / 1e6:.1f} MB, {name}" + ("" if catalog else "; not calibrated"))
