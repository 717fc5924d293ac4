"""A vision transformer of timm in two halves: frozen first blocks, and last blocks that are trained.

The output of the first half for a picture never changes, so it is computed once (data/tokens.py), and training costs
only the second half. Both share their modules with the backbone, which is trained with them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ....errors import BadSetting
from .backbones import means_and_deviations
from .timm_backbone import TimmBackbone


class FirstBlocks(nn.Module):
    """forward: (b, 3, s, s) float in [0, 255] -> tokens (b, t, c), the class token first, and statistics (b, w)."""

    def __init__(self, backbone: TimmBackbone, count: int) -> None:
        super().__init__()
        self.backbone, self.count = backbone, count

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        read = sorted({*self.backbone.statistics, self.count})
        found = self.backbone.model.forward_intermediates(
            (x - self.backbone.mean) / self.backbone.std,
            indices=[number - 1 for number in read],
            intermediates_only=True,
            stop_early=True,
            return_prefix_tokens=True,
        )
        depths = {number: (patches.flatten(2), prefix) for number, (patches, prefix) in zip(read, found, strict=True)}
        statistics = [
            each for number in self.backbone.statistics for each in means_and_deviations(depths[number][0].float())
        ]
        patches, prefix = depths[self.count]
        tokens = torch.cat([prefix, patches.transpose(1, 2)], dim=1)
        return tokens, torch.cat(statistics, dim=1) if statistics else tokens.new_zeros(len(tokens), 0).float()


class LastBlocks(nn.Module):
    """forward: tokens (b, t, c), the class token first -> class tokens (b, w) at the depths that are read."""

    def __init__(self, backbone: TimmBackbone, after: int) -> None:
        super().__init__()
        self.blocks: Any = backbone.model.blocks[after : max(backbone.read)]
        self.read = [number - after for number in backbone.class_tokens]

    def forward(self, tokens: Tensor) -> Tensor:
        found = []
        for number, block in enumerate(self.blocks, start=1):
            tokens = block(tokens)
            if number in self.read:
                found.append(tokens[:, 0].float())
        return torch.cat(found, dim=1)


def halves(name: str, backbone: nn.Module, first: int) -> tuple[FirstBlocks, LastBlocks]:
    """The first `first` blocks, and the rest up to the last one that is read. Raises BadSetting if it cannot be
    divided.

    It can be divided if it is one of timm's vision transformers with one class token, read by class tokens after the
    first half and by statistics within it.
    """
    from timm.models.vision_transformer import VisionTransformer

    if not isinstance(backbone, TimmBackbone) or not isinstance(backbone.model, VisionTransformer):
        raise BadSetting(f"backbone {name}: not a vision transformer of timm; the recipe transformer needs one")
    if backbone.model.num_prefix_tokens != 1:
        raise BadSetting(f"backbone {name}: has {backbone.model.num_prefix_tokens} class tokens; one is needed")
    if not backbone.class_tokens or not max(backbone.statistics, default=0) <= first < min(backbone.class_tokens):
        raise BadSetting(
            f"backbone {name}: its first {first} blocks cannot be frozen: it is read at class tokens after "
            f"blocks {backbone.class_tokens} and at patches after {backbone.statistics}"
        )
    return FirstBlocks(backbone, first), LastBlocks(backbone, first)
