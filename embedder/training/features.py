"""What the frozen trunks see in every painting, computed once and kept on disk.

Copy 0 of a painting is the painting as it is; copies 1, 2, ... are re-digitised (augment.py), the same ones at
every run. Kept in shards that count once they have been renamed into place, so a killed run goes on where it was.
"""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from ..images import Pixels
from ..locations import Reader, absolute
from ..parallel import ahead, batches
from ..runtime import PREPROCESSING
from .augment import redigitised
from .networks import load_trunk, weights_sha256

SHARD = 512  # paintings; under a minute of work
BATCH = 16

Array = npt.NDArray[np.float32]


def trunk_features(
    name: str, weights: Path, table: pd.DataFrame, copy: int, folder: Path, size: int,
    progress: Callable[[int], None] = lambda done: None,
) -> Array:
    """(n, d) float32 features by the named trunk of copy `copy` of every painting of the table (n rows).

    Raises UnreadableImage for the first image that cannot be read: training data should be whole; BadModel.
    """
    folder = folder / f"{name}-{size}" / f"copy-{copy}"
    folder.mkdir(parents=True, exist_ok=True)
    trunk, made_by = None, weights_sha256(name, weights)
    parts = []
    for start in range(0, len(table), SHARD):
        rows = table.iloc[start : start + SHARD]
        path = folder / f"{start:06d}-{_digest(rows, made_by)}.npy"
        if not path.exists():
            trunk = trunk or load_trunk(name, weights)
            part = _features(trunk, rows, copy, size)
            unfinished = path.with_suffix(".part")
            with unfinished.open("wb") as stream:
                np.save(stream, part.astype(np.float16), allow_pickle=False)
            os.replace(unfinished, path)
        parts.append(np.load(path, allow_pickle=False))
        progress(len(rows))
    return np.concatenate(parts).astype(np.float32)


def _digest(rows: pd.DataFrame, made_by: str) -> str:
    """Other paintings under the same numbers must not pass for these, nor squares made otherwise, nor other weights."""
    facts = [made_by, str(PREPROCESSING), *rows["id"], *map(absolute, rows["path"])]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:12]


def _features(trunk: torch.nn.Module, rows: pd.DataFrame, copy: int, size: int) -> Array:
    found = []
    with Reader() as reader, torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        def pixels(row: tuple[str, str]) -> Pixels:
            painting, location = row
            as_is = reader.square(location, size)
            return redigitised(as_is, size, random.Random(f"{painting} {copy}")) if copy else as_is

        items = list(zip(rows["id"], rows["path"], strict=True))
        for batch in batches(ahead(pixels, items, workers=2, most=2 * BATCH), BATCH):
            x = torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2).float()  # (b, 3, s, s)
            found.append(trunk(x.contiguous(memory_format=torch.channels_last)).float().numpy())
    return np.concatenate(found)
