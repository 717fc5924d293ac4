"""The speed of the shipped models, compared with the same networks and the simple baseline in eager PyTorch, and the
operations per image.

    python benchmarks/model.py BACKBONES

BACKBONES: the folder with the backbones' pretrained weights. PyTorch uses these and a random projection: the same work.
All use every core: ONNX Runtime with one image per core, as in artidx, PyTorch with batches of 16. They are timed in
turn, and the medians of the rounds are shown. The simple baseline (docs/experiments-log.md) is nine blocks of DINOv2
and a projection. A multiplication and its addition count as two operations.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from artidx import Embedder
from artidx.embedder.runtime import SHIPPED, available_cores
from artidx.embedder.training.networks.backbones import BACKBONES, load_backbone
from artidx.embedder.training.networks.ensemble import Ensemble, LinearHead, Projection
from artidx.embedder.training.networks.posteriors import MeanPosterior, Posterior, WithPosteriors
from artidx.embedder.training.recipes import distilled, tuned

IMAGES, BATCH, ROUNDS = 32, 16, 5
ARTISTS, STYLES = 256, 9
TUNED = tuned.TunedSettings()
DIM, HEAD = TUNED.fine_tuning.dim, TUNED.head


def member(backbones: tuple[str, ...], folder: Path) -> Ensemble:
    widths = [width for name in backbones for width in BACKBONES[name].widths]
    head = LinearHead(widths, torch.zeros(sum(widths)), torch.randn(sum(widths), DIM))
    return Ensemble([load_backbone(name, folder) for name in backbones], head)


def base(folder: Path) -> Ensemble:
    members = [member(TUNED.linear.backbones, folder), *(member((each.backbone,), folder) for each in TUNED.members)]
    joined = projection(DIM * len(members), HEAD.joined_dim)
    apart = projection(DIM, DIM)
    posteriors = [posterior([apart] * len(members), ARTISTS), posterior([joined], STYLES)]
    head = WithPosteriors(joined, posteriors, projection(HEAD.joined_dim + ARTISTS + STYLES, DIM))
    return Ensemble(members, head).eval()


def posterior(views: list[Projection], classes: int) -> MeanPosterior:
    return MeanPosterior(
        views, [Posterior(torch.randn(view.axes.shape[1], classes), torch.zeros(classes)) for view in views]
    )


def small(folder: Path) -> Ensemble:
    return member((distilled.DistilledSettings().backbone,), folder).eval()


def simple_line(folder: Path) -> Ensemble:
    return member(("dinov2_vits14",), folder).eval()


def projection(before: int, after: int) -> Projection:
    return Projection(torch.ones(before), torch.zeros(before), torch.randn(before, after))


def rate(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return IMAGES / (time.perf_counter() - started)


def operations(network: nn.Module, size: int) -> int:
    """Operations for one image in PyTorch: frozen blocks that two members share are run, and counted, twice."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.zeros(1, 3, size, size))
    return counter.get_total_flops()


def main() -> None:
    torch.set_num_threads(available_cores())
    embedders = {name: Embedder.load(name) for name in SHIPPED}
    networks = {"base": base(Path(sys.argv[1])), "small": small(Path(sys.argv[1]))}
    line = simple_line(Path(sys.argv[1]))
    size = embedders["base"].size
    squares = np.random.default_rng(0).integers(0, 256, (IMAGES, size, size, 3), np.uint8)
    x = torch.from_numpy(squares).permute(0, 3, 1, 2).float().contiguous(memory_format=torch.channels_last)

    def eager(network: nn.Module) -> None:
        with torch.inference_mode():
            for batch in x.split(BATCH):
                network(batch)

    contestants: dict[tuple[str, str], Callable[[], object]] = {("line", "PyTorch"): lambda: eager(line)}
    for name in SHIPPED:
        contestants[name, "ONNX Runtime"] = lambda name=name: embedders[name].infer(squares)
        contestants[name, "PyTorch"] = lambda name=name: eager(networks[name])
    turns = [{who: rate(run) for who, run in contestants.items()} for _ in range(ROUNDS + 1)][1:]  # without the warm-up
    medians = {who: statistics.median(turn[who] for turn in turns) for who in contestants}
    of_line = medians["line", "PyTorch"]
    print(f"simple line, PyTorch {of_line:.1f} images/s; {operations(line, size) / 1e9:.1f} GFLOP an image")
    for name, embedder in embedders.items():
        onnx, torches = medians[name, "ONNX Runtime"], medians[name, "PyTorch"]
        print(
            f"{name:6} ONNX Runtime {onnx:.1f} images/s, PyTorch {torches:.1f}, ratio {onnx / torches:.2f}, "
            f"to the simple line {onnx / of_line:.2f}; "
            f"{len(embedder.data) / 1e6:.1f} MB; {operations(networks[name], size) / 1e9:.1f} GFLOP an image"
        )
    print(f"small / base {medians['small', 'ONNX Runtime'] / medians['base', 'ONNX Runtime']:.2f}")


if __name__ == "__main__":
    main()
