"""Weights with their metadata in one safetensors file: no pickle, and written atomically."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.optim import Optimizer

from ....errors import BadModel
from ....files import replacing

FACTS = "artidx"  # the metadata entry


def save(path: Path, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write tensors and facts (JSON) to `path`, replacing it in one step."""
    with replacing(path) as aside:
        save_file(
            {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
            aside,
            {FACTS: json.dumps(facts)},
        )


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and facts. Raises BadModel if the file is missing or not a checkpoint of artidx."""
    try:
        with safe_open(path, framework="pt") as stored:
            facts = json.loads(stored.metadata()[FACTS])
            return {name: stored.get_tensor(name) for name in stored.keys()}, facts  # noqa: SIM118  (not a dict)
    except FileNotFoundError:
        raise BadModel(f"{path}: no such file; artidx train makes it") from None
    except (SafetensorError, KeyError, TypeError, ValueError) as problem:
        raise BadModel(f"{path}: damaged ({' '.join(str(problem).split())[:100]}); delete it to train again") from None


def with_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with a prefix before their names."""
    return {prefix + name: tensor for name, tensor in tensors.items()}


def without_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names have this prefix, under the rest of their names."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """The optimizer's state of each weight, as `number.name`."""
    state = optimizer.state_dict()["state"]
    return {f"{number}.{name}": value for number, entry in state.items() for name, value in entry.items()}


def restore_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    """Restore what `optimizer_tensors` returned."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
