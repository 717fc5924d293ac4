"""Make a vision transformer's blocks ready for int8 activations, without changing what they compute.

A few channels of a transformer's activations are a hundred times as large as the others, and one range for all leaves
the others few steps. SmoothQuant (Xiao et al., 2023) moves the magnitude from activations to weights, channel by
channel: x W = (x / s) (s W), with s = max |x| ^ 0.5 / max |W| ^ 0.5 of each channel. 1 / s goes into the LayerNorm
before qkv and fc1, and into the rows that make the values before proj. Before fc2 there is GELU, through which no scale
passes: there, the hidden units with the largest activations stay in float32 as a separate small product (LLM.int8();
Dettmers et al., 2022), with hidden units permuted so that they are last. Does not quantise (int8.py).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ...parallel import Bar, no_bar

EXPONENT = 0.5  # how much of the magnitude moves: half
OUTLIERS = 64  # hidden units of a block in float32: 2% of CLIP's, but nearly all that fc2 lost
FEWEST_ACTIVATION, FEWEST_WEIGHT = 1e-4, 1e-5  # lower bound, since a channel that is never used would have no scale


class SplitLinear(nn.Module):
    """A linear layer as two products, one for the last `outliers` inputs and one for the others. (..., i) -> (...,
    o)."""

    def __init__(self, whole: nn.Linear, outliers: int) -> None:
        super().__init__()
        self.count = whole.in_features - outliers
        self.most = nn.Linear(self.count, whole.out_features, bias=whole.bias is not None)
        self.outliers = nn.Linear(outliers, whole.out_features, bias=False)
        with torch.no_grad():
            self.most.weight.copy_(whole.weight[:, : self.count])
            self.outliers.weight.copy_(whole.weight[:, self.count :])
            if whole.bias is not None:
                self.most.bias.copy_(whole.bias)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.most(x[..., : self.count]) + self.outliers(x[..., self.count :])
        return found


def smooth(network: nn.Module, pictures: Tensor, bar: Bar = no_bar) -> int:
    """Prepare all blocks of timm's vision transformers in a network, in place; returns their number.

    pictures: (n, 3, s, s) as the network takes them; their activations give the scales.
    """
    blocks = [module for module in network.modules() if _is_block(module)]
    if not blocks:
        return 0
    seen: dict[nn.Module, Tensor] = {}

    def look(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        largest = given[0].detach().abs().flatten(0, -2).amax(0)
        seen[layer] = torch.maximum(seen[layer], largest) if layer in seen else largest

    hooks = [layer.register_forward_pre_hook(look) for block in blocks for layer in _layers(block)]
    with torch.no_grad(), bar(len(pictures), "sizes of activations, pictures") as advance:
        for picture in pictures:
            network(picture[None])
            advance(1)
    for hook in hooks:
        hook.remove()
    with torch.no_grad():
        for block in blocks:
            if all(layer in seen for layer in _layers(block)):
                _smooth_block(block, seen)
    return len(blocks)


def _layers(block: Any) -> tuple[nn.Linear, ...]:
    return block.attn.qkv, block.attn.proj, block.mlp.fc1, block.mlp.fc2


def _is_block(module: nn.Module) -> bool:
    """Whether it is a block with LayerNorm right before qkv and fc1, and only attention and dropout between values and
    proj, and before fc2."""
    kind = type(module)
    if (kind.__module__, kind.__name__) != ("timm.models.vision_transformer", "Block"):  # without importing timm
        return False
    block: Any = module
    norms = [getattr(block, name) for name in ("norm1", "norm2")]
    between = [getattr(owner, "norm", nn.Identity()) for owner in (block.attn, block.mlp)]
    return (
        all(isinstance(norm, nn.LayerNorm) and norm.elementwise_affine for norm in norms)
        and all(isinstance(each, nn.Identity) for each in between)
        and getattr(block.attn, "gate", None) is None
        and all(isinstance(layer, nn.Linear) for layer in _layers(block))
    )


def _smooth_block(block: Any, seen: dict[nn.Module, Tensor]) -> None:
    qkv, proj, fc1, fc2 = _layers(block)
    for layer, norm in ((qkv, block.norm1), (fc1, block.norm2)):
        scale = _scale(seen[layer], layer)
        norm.weight /= scale
        if norm.bias is not None:
            norm.bias /= scale
        layer.weight *= scale
    scale = _scale(seen[proj], proj)
    values = slice(qkv.out_features - len(scale), None)  # the last third
    proj.weight *= scale
    qkv.weight[values] /= scale[:, None]
    if qkv.bias is not None:
        qkv.bias[values] /= scale
    order = seen[fc2].argsort(stable=True)
    fc1.weight.copy_(fc1.weight[order])
    if fc1.bias is not None:
        fc1.bias.copy_(fc1.bias[order])
    fc2.weight.copy_(fc2.weight[:, order])
    block.mlp.fc2 = SplitLinear(fc2, min(OUTLIERS, fc2.in_features // 8)).to(fc2.weight.device).eval()


def _scale(largest: Tensor, layer: nn.Linear) -> Tensor:
    """(i,) factors that divide each input and multiply its weights."""
    return largest.clamp_min(FEWEST_ACTIVATION) ** EXPONENT / layer.weight.abs().amax(0).clamp_min(FEWEST_WEIGHT) ** (
        1 - EXPONENT
    )
