"""Images per second in training with the paper's network, bfloat16 compared with float32 in the same run.

python benchmarks/train.py ../shared/paintings/paintings.csv
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from statistics import median

import numpy as np
import torch
from lightning_fabric import Fabric

from artidx import read_catalog
from artidx.embedder.training.data.packed import pack
from artidx.embedder.training.loop.trainer import Labelled, TrainingSettings, train
from artidx.embedder.training.networks.backbones import SiameseNetwork
from artidx.embedder.training.recipes.paper import PaperSettings
from artidx.index.measure.retrieval import triplet_accuracy
from artidx.index.scoring.artists import artist_codes

PAINTINGS, ROUNDS = 512, 3
TRAINING = TrainingSettings(epochs=1, batches_per_epoch=12)


def main(catalog: str) -> None:
    table = read_catalog(catalog).table.head(PAINTINGS).reset_index(drop=True)
    codes = artist_codes(table["artist"])[0]
    settings = PaperSettings()
    rates: dict[str, list[float]] = {"bf16-mixed": [], "32-true": []}
    with tempfile.TemporaryDirectory() as name:
        packed = pack(table, Path(name), settings.size)
        everything = Labelled(packed, np.arange(len(table)), codes)
        few = Labelled(packed, np.arange(64), codes[:64])
        for number in range(ROUNDS):
            for precision, found in rates.items():
                network = SiameseNetwork(settings.size, **settings.network.model_dump())
                fabric = Fabric(devices=1, precision=precision)
                epoch = train(
                    network.to(memory_format=torch.channels_last),
                    everything,
                    few,
                    Path(name) / f"{precision}-{number}",
                    TRAINING,
                    fabric,
                    triplet_accuracy,
                    lambda line: None,
                    lambda total, what: nullcontext(lambda done: None),
                )[0]
                found.append(epoch.images / epoch.seconds)
    for precision, found in rates.items():
        print(f"{precision:10}  {median(found):6.1f} images/s  (of {', '.join(f'{rate:.1f}' for rate in found)})")
    print(f"ratio       {median(rates['bf16-mixed']) / median(rates['32-true']):6.2f}")


if __name__ == "__main__":
    main(sys.argv[1])
