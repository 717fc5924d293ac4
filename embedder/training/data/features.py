"""Features of every painting by the frozen backbones, computed once and kept on disk.

Copy 0 of a painting is the painting as it is; copies 1, 2, ... are re-digitised (augment.py), the same ones in every
run. Kept in shards (kept.py), so that a killed run resumes.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from ... import kept
from ...locations import Reader
from ...parallel import ahead, batches
from ...pictures.images import Pixels
from ...runtime import PREPROCESSING
from ..networks.loading import load_frozen, weights_key
from . import augment

SHARD = 512  # paintings; under a minute of work
BATCH = 16

Array = npt.NDArray[np.float32]


def backbone_features(
    name: str,
    weights: Path,
    table: pd.DataFrame,
    copy: int,
    folder: Path,
    size: int,
    progress: Callable[[int], None] = lambda done: None,
) -> Array:
    """(n, d) float32 features, by the named backbone, of copy `copy` of every painting in the table (n rows).

    Raises UnreadableImage for the first image that cannot be read: training data should be complete; BadModel.
    """
    backbone: torch.nn.Module | None = None
    made_by = [
        name,
        weights_key(name, weights, size),
        copy,
        size,
        BATCH,
        PREPROCESSING,
        kept.libraries(),
        kept.constants(augment),
    ]
    parts = []
    for start in range(0, len(table), SHARD):
        rows = table.iloc[start : start + SHARD]
        is_made = False

        def made(rows: pd.DataFrame = rows) -> npt.NDArray[np.float16]:
            nonlocal backbone, is_made
            backbone, is_made = backbone or load_frozen(name, weights, size), True
            return _features(backbone, rows, copy, size, progress).astype(np.float16)

        key = kept.key_of(made_by, list(rows["id"]), kept.contents(rows["path"]))
        parts.append(kept.array(folder / f"{name}-{size}" / f"copy-{copy}", f"{start:06d}", key, made))
        if not is_made:  # otherwise the bar advances batch by batch
            progress(len(rows))
    return np.concatenate(parts).astype(np.float32)


def _features(
    backbone: torch.nn.Module, rows: pd.DataFrame, copy: int, size: int, advance: Callable[[int], None]
) -> Array:
    found = []
    with Reader() as reader, torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):

        def pixels(row: tuple[str, str]) -> Pixels:
            painting, location = row
            as_is = reader.square(location, size)
            return augment.redigitised(as_is, size, random.Random(f"{painting} {copy}")) if copy else as_is

        items = list(zip(rows["id"], rows["path"], strict=True))
        for batch in batches(ahead(pixels, items, workers=2, most=2 * BATCH), BATCH):
            x = torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2).float()  # (b, 3, s, s)
            found.append(backbone(x.contiguous(memory_format=torch.channels_last)).float().numpy())
            advance(len(batch))
    return np.concatenate(found)
