"""A frozen backbone by its name: one of backbones.py, or any network of timm."""

from __future__ import annotations

from pathlib import Path

from ... import kept
from .backbones import BACKBONES, PooledBackbone, load_backbone, weights_sha256
from .timm_backbone import TimmBackbone, load_timm

Backbone = PooledBackbone | TimmBackbone


def load_frozen(name: str, folder: Path, size: int) -> Backbone:
    """With its pretrained weights, for squares of this size. Raises BadModel and BadSetting."""
    return load_backbone(name, folder) if name in BACKBONES else load_timm(name, folder, size)


def weights_key(name: str, folder: Path, size: int) -> str:
    """Of the weights, and of how the backbone is read. Raises BadModel and BadSetting."""
    if name in BACKBONES:
        return weights_sha256(name, folder)
    backbone = load_timm(name, folder, size)
    return kept.key_of(backbone.state_dict(), backbone.class_tokens, backbone.statistics)


def widths_of(name: str, backbone: Backbone) -> list[int]:
    """Sizes of the parts of its output, which are balanced."""
    return backbone.widths if isinstance(backbone, TimmBackbone) else BACKBONES[name].widths


def licence_of(name: str, backbone: Backbone) -> str:
    """The licence of its weights."""
    return backbone.licence if isinstance(backbone, TimmBackbone) else BACKBONES[name].licence
