"""A tiny backbone for tests of training, without any weights to download."""

from __future__ import annotations

import torch

from artidx.embedder.training.networks.backbones import PooledBackbone


class TinyBackbone(PooledBackbone):
    """Two convolutions, the first batch-normalised, the second pointwise; read after each."""

    def __init__(self):
        super().__init__((0.5,) * 3, (0.5,) * 3)
        torch.manual_seed(0)
        self.blocks = torch.nn.ModuleList(
            [torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.BatchNorm2d(5)), torch.nn.Conv2d(5, 7, 1)]
        )

    def parts(self):
        return list(self.blocks)

    def layers(self, x):
        found = []
        for block in self.blocks:
            x = block(x).relu()
            found.append(x)
        return found
