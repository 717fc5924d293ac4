"""Members side by side, their outputs concatenated and projected by a head to one unit vector: the "super model"."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class Ensemble(nn.Module):
    """forward: (b, 3, s, s) float in [0, 255] -> (b, d) unit vectors."""

    def __init__(self, members: Sequence[nn.Module], head: nn.Module) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        features = torch.cat([member(x) for member in self.members], dim=1)  # (b, f)
        return functional.normalize(self.head(features), dim=1)


class LinearHead(nn.Module):
    """Balance the layers' statistics, then project.

    Each layer's means and each layer's deviations go through the signed square root (as for Fisher vectors, Perronnin
    et al., 2010), which reduces burstiness, and are scaled to unit length, so that no layer dominates. forward: (b, sum
    of widths) -> (b, d), not normalised.
    """

    centre: Tensor

    def __init__(self, widths: Sequence[int], centre: Tensor, projection: Tensor) -> None:
        """widths: sizes of the parts; centre: (f,); projection: (f, d)."""
        super().__init__()
        self.widths = list(widths)
        self.register_buffer("centre", centre)
        self.projection = nn.Parameter(projection, requires_grad=False)

    def forward(self, features: Tensor) -> Tensor:
        # Centred first, not by a bias afterwards: rounding of the projection then affects only differences.
        return (balanced(features, self.widths) - self.centre) @ self.projection


class CentredHead(nn.Module):
    """A LinearHead that subtracts the mean from some parts instead of taking roots, then scales them to unit length.

    This suits class tokens, whose few large channels are the same in every picture. forward: (b, sum of widths) -> (b,
    d), not normalised.
    """

    means: Tensor
    centre: Tensor

    def __init__(
        self, widths: Sequence[int], is_rooted: Sequence[bool], means: Tensor, centre: Tensor, projection: Tensor
    ) -> None:
        """widths, is_rooted: of the parts; means: (f,) of raw features; centre: (f,); projection: (f, d)."""
        super().__init__()
        self.widths, self.is_rooted = list(widths), list(is_rooted)
        self.register_buffer("means", means)
        self.register_buffer("centre", centre)
        self.projection = nn.Parameter(projection, requires_grad=False)

    def forward(self, features: Tensor) -> Tensor:
        return (centred_or_rooted(features, self.widths, self.is_rooted, self.means) - self.centre) @ self.projection


class Projection(nn.Module):
    """Scale, centre and rotate members' outputs. forward: (b, f) -> (b, d), not normalised."""

    scales: Tensor
    centre: Tensor
    axes: Tensor

    def __init__(self, scales: Tensor, centre: Tensor, axes: Tensor) -> None:
        """scales, centre: (f,); axes: (f, d)."""
        super().__init__()
        for name, tensor in (("scales", scales), ("centre", centre), ("axes", axes)):
            self.register_buffer(name, tensor)

    def forward(self, features: Tensor) -> Tensor:
        return (features * self.scales - self.centre) @ self.axes


def centred_or_rooted(features: Tensor, widths: Sequence[int], is_rooted: Sequence[bool], means: Tensor) -> Tensor:
    """(b, f) -> (b, f), every part at unit length: rooted parts as in `balanced`, others minus their means."""
    parts = zip(torch.split(features, list(widths), dim=1), torch.split(means, list(widths)), is_rooted, strict=True)
    return torch.cat(
        [
            balanced(part, [part.shape[1]]) if rooted else functional.normalize(part - mean, dim=1)
            for part, mean, rooted in parts
        ],
        dim=1,
    )


def balanced(features: Tensor, widths: Sequence[int]) -> Tensor:
    """(b, f) -> (b, f): signed square root, then unit length for each part of the given widths."""
    rooted = features.sign() * features.abs().clamp_min(1e-12).sqrt()
    parts = torch.split(rooted, list(widths), dim=1)
    return torch.cat([functional.normalize(part, dim=1) for part in parts], dim=1)
