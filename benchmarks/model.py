"""How fast the model that ships is against the same network in eager PyTorch, in images a second.

    python benchmarks/model.py TRUNKS

TRUNKS: the folder with the trunks' pretrained weights. PyTorch has those and a projection of chance: other numbers, the
same work. Both use every core: ONNX Runtime one image a core, as artidx runs it, PyTorch batches of 16. The two are
timed in turn, and the median of the rounds is shown.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from artidx import Embedder
from artidx.embedder.runtime import DEFAULT_MODEL, available_cores
from artidx.embedder.training import linear, tuned
from artidx.embedder.training.ensemble import Ensemble, LinearHead, Projection
from artidx.embedder.training.networks import TRUNKS, load_trunk
from artidx.embedder.training.posteriors import Posterior, WithPosteriors

IMAGES, BATCH, ROUNDS = 32, 16, 5


def member(trunks: tuple[str, ...], folder: Path) -> Ensemble:
    widths = [width for name in trunks for width in TRUNKS[name].widths]
    head = LinearHead(widths, torch.zeros(sum(widths)), torch.randn(sum(widths), tuned.DIM))
    return Ensemble([load_trunk(name, folder) for name in trunks], head)


def same_network(folder: Path) -> Ensemble:
    members = [member(linear.MEMBERS, folder), *(member((recipe.trunk,), folder) for recipe in tuned.MEMBERS)]
    joined, classes = tuned.JOINED_DIM, (256, 9)
    posteriors = [Posterior(torch.randn(joined, count), torch.zeros(count)) for count in classes]
    head = WithPosteriors(projection(tuned.DIM * len(members), joined), posteriors,
                          projection(joined + sum(classes), tuned.DIM))
    return Ensemble(members, head).eval()


def projection(before: int, after: int) -> Projection:
    return Projection(torch.ones(before), torch.zeros(before), torch.randn(before, after))


def rate(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return IMAGES / (time.perf_counter() - started)


def main() -> None:
    embedder, network = Embedder.load(DEFAULT_MODEL), same_network(Path(sys.argv[1]))
    torch.set_num_threads(available_cores())
    squares = np.random.default_rng(0).integers(0, 256, (IMAGES, embedder.size, embedder.size, 3), np.uint8)
    x = torch.from_numpy(squares).permute(0, 3, 1, 2).float().contiguous(memory_format=torch.channels_last)

    def eager() -> None:
        with torch.inference_mode():
            for batch in x.split(BATCH):
                network(batch)

    rates = [(rate(lambda: embedder.infer(squares)), rate(eager)) for _ in range(ROUNDS + 1)][1:]  # the first warms up
    onnx, torches = (statistics.median(column) for column in zip(*rates, strict=True))
    print(f"ONNX Runtime  {onnx:.1f} images/s, {DEFAULT_MODEL.stat().st_size / 1e6:.1f} MB")
    print(f"PyTorch       {torches:.1f} images/s")
    print(f"ratio         {onnx / torches:.2f}")


if __name__ == "__main__":
    main()
