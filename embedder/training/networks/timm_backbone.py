"""Any network of timm as a frozen backbone, read at several depths through its `forward_intermediates`.

Each depth gives the class token, if there is one, and the mean and deviation of patches or positions. The input is
normalised as in the network's training. Does not fine-tune: timm's depths have no parts to freeze.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ....errors import BadModel, BadSetting, MissingPackage
from .backbones import means_and_deviations
from .torchvision_import import import_torchvision

DEPTHS = (0.5, 0.67, 0.83, 1.0)  # shares of the network's depth where it is read, unless KNOWN says otherwise


class Reading(NamedTuple):
    """A network of timm that has a name in artidx. class_tokens, statistics: after which blocks, counted from 1."""

    model: str
    weights_file: str
    class_tokens: tuple[int, ...]
    statistics: tuple[int, ...]
    licence: str


# From block 8 on the statistics of CLIP's patches collapse: a few patches have huge norms. Class tokens do not.
KNOWN = {
    "clip_vitb16": Reading(
        "vit_base_patch16_clip_quickgelu_224",
        "clip_vitb16.safetensors",
        class_tokens=(9, 10, 11),
        statistics=(7,),
        licence="MIT (OpenAI)",
    )
}


class TimmBackbone(nn.Module):
    """forward: (b, 3, s, s) float in [0, 255] -> (b, sum of widths): class tokens, then means and deviations."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: nn.Module,
        class_tokens: Sequence[int],
        statistics: Sequence[int],
        mean: Sequence[float],
        std: Sequence[float],
        licence: str,
    ) -> None:
        """class_tokens, statistics: after which blocks, counted from 1."""
        super().__init__()
        self.register_buffer("mean", torch.tensor(tuple(mean)).view(1, 3, 1, 1) * 255)
        self.register_buffer("std", torch.tensor(tuple(std)).view(1, 3, 1, 1) * 255)
        self.model: Any = model
        self.class_tokens, self.statistics, self.licence = tuple(class_tokens), tuple(statistics), licence
        self.read = sorted({*class_tokens, *statistics})
        self.widths: list[int] = []

    def parts_of(self, x: Tensor) -> list[Tensor]:
        """Class tokens (b, c) and statistics (b, 2 * c), depth by depth."""
        found = self.model.forward_intermediates(
            (x - self.mean) / self.std,
            indices=[number - 1 for number in self.read],
            intermediates_only=True,
            stop_early=True,
            **({"return_prefix_tokens": True} if self.class_tokens else {}),
        )
        tokens, statistics = [], []
        for number, depth in zip(self.read, found, strict=True):
            if number in self.class_tokens:
                tokens.append(depth[1][:, 0].float())
            if number in self.statistics:
                positions = depth[0] if self.class_tokens else depth
                statistics.append(torch.cat(means_and_deviations(positions.float().flatten(2)), dim=1))
        return [*tokens, *statistics]

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat(self.parts_of(x), dim=1)


def load_timm(name: str, folder: Path, size: int) -> TimmBackbone:
    """A network of timm for squares of this size, frozen, with weights from `folder` or, if they are not there, from
    timm's hub.

    name: one of KNOWN, or timm's name; its file is then NAME.safetensors. Raises BadSetting if timm has no such
    network, BadModel if the weights do not fit or are not available.
    """
    import_torchvision()
    try:
        import timm
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ModuleNotFoundError:
        raise MissingPackage("training needs more packages; pip install 'artidx[train]'") from None
    known = KNOWN.get(name)
    model_name = known.model if known else name
    if not timm.is_model(model_name):
        raise BadSetting(
            f"backbone {name}: timm {timm.__version__} has no such network; "
            "python -c 'import timm; print(timm.list_models())' has the names"
        )
    path = folder / (known.weights_file if known else f"{name}.safetensors")
    is_here = path.is_file()
    try:
        model = _created(timm, model_name, size, pretrained=not is_here)
    except Exception as problem:  # the hub's client raises anything if it is offline
        raise BadModel(
            f"{path}: no such file, and the weights of {model_name} cannot be downloaded from timm's hub: "
            f"{' '.join(str(problem).split())[:200]}"
        ) from None
    if is_here:
        try:
            missing = model.load_state_dict(load_file(path), strict=False).missing_keys
        except (SafetensorError, RuntimeError) as problem:
            raise BadModel(
                f"{path}: not the weights of {model_name} at {size} px: {' '.join(str(problem).split())[:200]}"
            ) from None
        missing = [key for key in missing if not key.endswith("num_batches_tracked")]
        if missing:
            raise BadModel(f"{path}: lacks {missing[0]} and {len(missing) - 1} more weights of {model_name}")
    return _frozen(model, known, size)


def _created(timm: Any, name: str, size: int, *, pretrained: bool) -> Any:
    try:
        return timm.create_model(name, pretrained=pretrained, num_classes=0, img_size=size)
    except TypeError:  # a convolutional network takes any size
        return timm.create_model(name, pretrained=pretrained, num_classes=0)


def _frozen(model: Any, known: Reading | None, size: int) -> TimmBackbone:
    for module in model.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = False  # ONNX has no such operation, and a CPU is faster without
    config = model.pretrained_cfg
    model.eval().requires_grad_(False)
    if known:
        class_tokens, statistics = known.class_tokens, known.statistics
    else:
        with torch.inference_mode():
            count = len(model.forward_intermediates(torch.zeros(1, 3, size, size), intermediates_only=True))
        statistics = tuple(sorted({max(1, round(share * count)) for share in DEPTHS}))
        class_tokens = statistics if getattr(model, "num_prefix_tokens", 0) else ()
    backbone = TimmBackbone(
        model,
        class_tokens,
        statistics,
        config["mean"],
        config["std"],
        known.licence if known else str(config.get("license") or "an unknown licence"),
    )
    model.prune_intermediate_layers([number - 1 for number in backbone.read], prune_norm=True, prune_head=True)
    with torch.inference_mode():
        backbone.widths = [part.shape[1] for part in backbone.parts_of(torch.zeros(1, 3, size, size))]
    return backbone.eval().requires_grad_(False)
