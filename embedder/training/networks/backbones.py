"""Members of an ensemble: networks from RGB squares to vectors.

Every member takes (b, 3, s, s) float in [0, 255] and normalises it itself, so that members share one input. Does not
combine them (ensemble.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ....errors import BadModel, MissingPackage
from .torchvision_import import import_torchvision

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class PooledBackbone(nn.Module):
    """A pretrained backbone, read at several depths: mean and standard deviation of every channel over the picture.

    Style is in the statistics of features more than in their positions (Gatys et al., 2016), and in the middle of a
    network more than at its end. forward: (b, 3, s, s) -> (b, 2 * sum of channels).
    """

    mean: Tensor
    std: Tensor
    read: tuple[int, ...]  # indices of the parts after which it is read

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1) * 255)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1) * 255)

    def layers(self, x: Tensor) -> list[Tensor]:
        """Feature maps (b, c, ...) at the depths that are read."""
        found = []
        for number, part in enumerate(self.parts()):
            x = part(x)
            if number in self.read:
                found.append(x)
        return found

    def parts(self) -> list[nn.Module]:
        """Its parts in order, up to the last one that is run."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        layers = self.layers((x - self.mean) / self.std)
        return torch.cat([part for layer in layers for part in means_and_deviations(layer.float().flatten(2))], dim=1)


def means_and_deviations(feature: Tensor) -> list[Tensor]:
    """(b, c, positions) -> two of (b, c)."""
    centre = feature.mean(2, keepdim=True)
    return [centre.squeeze(2), ((feature - centre) ** 2).mean(2).clamp_min(1e-8).sqrt()]


class MobileNetV2(PooledBackbone):
    """torchvision's MobileNetV2 (Sandler et al., 2018), after five of its blocks."""

    read = (6, 10, 13, 16, 18)
    channels = (32, 64, 96, 160, 1280)

    def __init__(self) -> None:
        super().__init__(IMAGENET_MEAN, IMAGENET_STD)
        import_torchvision()
        import torchvision

        self.features: Any = torchvision.models.mobilenet_v2().features

    def parts(self) -> list[nn.Module]:
        return list(self.features)


class DinoV2Small(PooledBackbone):
    """timm's DINOv2 ViT-S/14 (Oquab et al., 2023), patch tokens after blocks 5 to 8; later blocks are not run.

    Takes squares whose side is a multiple of 14 px: position embeddings are interpolated.
    """

    read = (5, 6, 7, 8)  # numbers of blocks
    channels = (384,) * 4

    def __init__(self) -> None:
        super().__init__(IMAGENET_MEAN, IMAGENET_STD)
        vit: Any = _timm_model("vit_small_patch14_dinov2", img_size=224, num_classes=0, dynamic_img_size=True)
        vit.blocks = vit.blocks[: max(self.read) + 1]
        vit.norm = nn.Identity()
        for block in vit.blocks:
            block.attn.fused_attn = False  # on a CPU, training is 1.5 times as fast without it
        self.vit: Any = vit

    def parts(self) -> list[nn.Module]:
        return [self.vit.patch_embed, *self.vit.blocks]

    def layers(self, x: Tensor) -> list[Tensor]:
        tokens = self.vit._pos_embed(self.vit.patch_embed(x))  # (b, 1 + patches, c)
        found = []
        for number, block in enumerate(self.vit.blocks):
            tokens = block(tokens)
            if number in self.read:
                found.append(tokens[:, 1:].transpose(1, 2))
        return found


class Xception(PooledBackbone):
    """timm's Xception (Chollet, 2017), after four of its residual blocks; the last convolutions are not run."""

    read = (5, 7, 10, 12)
    channels = (728, 728, 728, 1024)

    def __init__(self) -> None:
        super().__init__((0.5,) * 3, (0.5,) * 3)
        backbone: Any = _timm_model("legacy_xception", num_classes=0)
        for module in backbone.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = 1e-3  # as in Keras, where the weights come from
        self.stem = nn.Sequential(backbone.conv1, backbone.bn1, nn.ReLU(), backbone.conv2, backbone.bn2, nn.ReLU())
        self.blocks = nn.ModuleList(getattr(backbone, f"block{n}") for n in range(1, 13))

    def parts(self) -> list[nn.Module]:
        return [self.stem, *self.blocks]


class EfficientNetLite2(PooledBackbone):
    """timm's EfficientNet-Lite2 (Tan and Le, 2019, without squeeze and excitation), after five of its seven stages."""

    read = (3, 4, 5, 6, 7)
    channels = (48, 88, 120, 208, 352)

    def __init__(self) -> None:
        super().__init__((0.5,) * 3, (0.5,) * 3)
        backbone: Any = _timm_model("tf_efficientnet_lite2", num_classes=0)
        self.stem = nn.Sequential(backbone.conv_stem, backbone.bn1)
        self.blocks: Any = backbone.blocks

    def parts(self) -> list[nn.Module]:
        return [self.stem, *self.blocks]


class SiameseNetwork(nn.Module):
    """The student project's network, trained from scratch: blocks of convolution, ReLU, max pooling and dropout, then
    two fully connected layers with ReLU. Kaiming initialisation (He et al., 2015). forward: (b, 3, s, s) -> (b, d).

    Vectors have unit length, as in an index; a picture without any activation gets equal components.
    """

    def __init__(
        self, size: int, channels: Sequence[int], kernel: int, hidden: int, dim: int, dropout: float, batch_norm: bool
    ) -> None:
        """size: side of the square in px, halved by each block; channels: of each block; kernel: side in px, odd."""
        super().__init__()
        blocks: list[nn.Module] = []
        before = 3
        for after in channels:
            blocks += [
                nn.Conv2d(before, after, kernel, padding=kernel // 2),
                *([nn.BatchNorm2d(after)] if batch_norm else []),
                nn.ReLU(),
                nn.MaxPool2d(2),
                nn.Dropout(dropout),
            ]
            before = after
        side = size >> len(channels)
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(before * side * side, hidden), nn.ReLU(), nn.Linear(hidden, dim), nn.ReLU()
        )
        for name, weight in self.named_parameters():
            if weight.dim() > 1:
                nn.init.kaiming_normal_(weight, nonlinearity="relu")
            elif name.endswith("bias"):
                nn.init.zeros_(weight)

    def forward(self, x: Tensor) -> Tensor:
        vectors = self.head(self.blocks((x - 127.5) / 127.5))  # (b, d), none negative
        return functional.normalize(vectors.float() + 1e-6, dim=1)


class BackboneKind(NamedTuple):
    """How a backbone is created, and how the keys of its weight file are renamed."""

    make: Callable[[], PooledBackbone]
    weights_file: str
    rename: Callable[[str], str]
    channels: tuple[int, ...]
    licence: str

    @property
    def widths(self) -> list[int]:
        """Sizes of the parts of its output: each layer's means and deviations, which are balanced together."""
        return [2 * channels for channels in self.channels]


def _xception_key(key: str) -> str:
    for place, name in (("0", "conv1"), ("1", "bn1"), ("3", "conv2"), ("4", "bn2")):
        if key.startswith(f"{name}."):
            return f"stem.{place}.{key[len(name) + 1 :]}"
    block, _, rest = key.partition(".")
    return f"blocks.{int(block[5:]) - 1}.{rest}" if block.startswith("block") else f"unused.{key}"


def _efficientnet_key(key: str) -> str:
    for place, name in (("0", "conv_stem"), ("1", "bn1")):
        if key.startswith(f"{name}."):
            return f"stem.{place}.{key[len(name) + 1 :]}"
    return key


BACKBONES = {
    "mobilenet_v2": BackboneKind(
        MobileNetV2, "mobilenet_v2.safetensors", str, MobileNetV2.channels, "BSD-3-Clause (torchvision)"
    ),
    "dinov2_vits14": BackboneKind(
        DinoV2Small, "dinov2_vits14.safetensors", lambda k: f"vit.{k}", DinoV2Small.channels, "Apache-2.0 (Meta)"
    ),
    "efficientnet_lite2": BackboneKind(
        EfficientNetLite2,
        "efficientnet_lite2.safetensors",
        _efficientnet_key,
        EfficientNetLite2.channels,
        "Apache-2.0 (Google)",
    ),
    "xception": BackboneKind(Xception, "xception.safetensors", _xception_key, Xception.channels, "MIT (Keras)"),
}


def load_backbone(name: str, folder: Path) -> PooledBackbone:
    """The named backbone with its pretrained weights from `folder`, for inference. Raises BadModel."""
    try:
        from safetensors.torch import load_file
    except ModuleNotFoundError:
        raise MissingPackage("training needs more packages; pip install 'artidx[train]'") from None
    kind, path = BACKBONES[name], _weights_of(name, folder)
    stored = {kind.rename(k): v for k, v in load_file(path).items()}
    backbone = kind.make()
    if "vit.pos_embed" in stored:
        stored["vit.pos_embed"] = _resized_positions(stored["vit.pos_embed"], backbone.get_parameter("vit.pos_embed"))
    missing = [
        k
        for k in backbone.load_state_dict(stored, strict=False).missing_keys
        if k not in ("mean", "std") and not k.endswith("num_batches_tracked")
    ]
    if missing:
        raise BadModel(f"{path}: lacks {missing[0]} and {len(missing) - 1} more weights of {name}")
    return backbone.eval().requires_grad_(False)


def weights_sha256(name: str, folder: Path) -> str:
    """Of the file with the named backbone's weights. Raises BadModel."""
    with _weights_of(name, folder).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _weights_of(name: str, folder: Path) -> Path:
    path = folder / BACKBONES[name].weights_file
    if not path.is_file():
        raise BadModel(f"{path}: no such file; the backbones' weights are expected there")
    return path


def _resized_positions(stored: Tensor, wanted: Tensor) -> Tensor:
    """DINOv2's position embedding (1, 1 + 37 * 37, c), trained at 518 px, interpolated to the network's own grid."""
    from timm.layers.pos_embed import resample_abs_pos_embed

    side = int((wanted.shape[1] - 1) ** 0.5)
    resized: Tensor = resample_abs_pos_embed(stored, new_size=[side, side], num_prefix_tokens=1)
    return resized


def _timm_model(name: str, **settings: Any) -> nn.Module:
    import_torchvision()
    try:
        import timm
    except ModuleNotFoundError:
        raise MissingPackage("training needs more packages; pip install 'artidx[train]'") from None

    model: nn.Module = timm.create_model(name, **settings)
    return model
