"""The output of a transformer's first blocks for every painting, computed once and kept on disk.

Copy 0 of a painting is the painting as it is; copies 1, 2, ... are re-digitised (augment.py), some of them with the
surroundings of the canvas, and saved as a JPEG as queries are; the same ones in every run. Kept in memory-mapped shards
(kept.py) of float16, so that a killed run resumes: 300 KB per painting and copy for CLIP ViT-B/16.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from ... import kept
from ...locations import Reader
from ...parallel import ahead, batches
from ...pictures.images import Pixels, published
from ...runtime import PREPROCESSING
from ..networks.halves import FirstBlocks
from . import augment
from .batches import Places

SHARD = 256  # paintings; 80 MB for CLIP ViT-B/16
BATCH = 16
WHOLE = 0.3  # share of the re-digitised copies that show the surroundings of the canvas

Halves = npt.NDArray[np.float16]


class Tokens:
    """One copy of the paintings of a table. Created by `tokens_of`."""

    def __init__(self, tokens: Sequence[Halves], statistics: Sequence[Halves]) -> None:
        """Shards of tokens (SHARD, t, c), the class token first, and of statistics (SHARD, w)."""
        self._tokens, self._statistics = tokens, statistics

    @property
    def patches(self) -> int:
        return int(self._tokens[0].shape[1]) - 1

    def at(self, places: Places, patches: Places | None = None) -> tuple[Tensor, Tensor]:
        """Tokens (p, 1 + patches, c) and statistics (p, w) of paintings; patches: which of them, all if None."""
        chosen = slice(None) if patches is None else np.concatenate([[0], 1 + patches])
        tokens = np.stack([self._tokens[place // SHARD][place % SHARD][chosen] for place in places.tolist()])
        return torch.from_numpy(tokens).float(), self.statistics(places)

    def statistics(self, places: Places) -> Tensor:
        """(p, w) of paintings."""
        rows = [self._statistics[place // SHARD][place % SHARD] for place in places.tolist()]
        return torch.from_numpy(np.stack(rows)).float()


def tokens_of(
    first: FirstBlocks,
    key: str,
    table: pd.DataFrame,
    copy: int,
    folder: Path,
    size: int,
    progress: Callable[[int], None] = lambda done: None,
) -> Tokens:
    """Tokens of copy `copy` of every painting of the table; key: of the first blocks' weights and of how they are read.

    Raises UnreadableImage for the first image that cannot be read: training data should be complete.
    """
    made_by = [key, copy, size, BATCH, WHOLE, PREPROCESSING, kept.libraries(), kept.constants(augment)]
    folder = folder / f"copy-{copy}"
    tokens, statistics = [], []
    for start in range(0, len(table), SHARD):
        rows = table.iloc[start : start + SHARD]
        shard = kept.key_of(made_by, list(rows["id"]), kept.contents(rows["path"]))
        found = _Shard(first, rows, copy, size, progress)
        tokens.append(kept.mapped(folder, f"{start:06d}-tokens", shard, found.tokens))
        statistics.append(kept.array(folder, f"{start:06d}-statistics", shard, found.statistics))
        if not found.is_made:  # otherwise the bar advances batch by batch
            progress(len(rows))
    return Tokens(tokens, statistics)


class _Shard:
    """The arrays of one shard, computed when first needed."""

    def __init__(
        self, first: FirstBlocks, rows: pd.DataFrame, copy: int, size: int, progress: Callable[[int], None]
    ) -> None:
        self._first, self._rows, self._copy, self._size, self._progress = first, rows, copy, size, progress
        self._made: tuple[Halves, Halves] | None = None

    @property
    def is_made(self) -> bool:
        return self._made is not None

    def tokens(self) -> Halves:
        return self._both()[0]

    def statistics(self) -> Halves:
        return self._both()[1]

    def _both(self) -> tuple[Halves, Halves]:
        if self._made is None:
            self._made = self._make()
        return self._made

    def _make(self) -> tuple[Halves, Halves]:
        tokens: list[Halves] = []
        statistics: list[Halves] = []
        with Reader() as reader, torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):

            def pixels(row: tuple[str, str]) -> Pixels:
                painting, location = row
                return shown(reader.square(location, self._size), painting, self._copy)

            items = list(zip(self._rows["id"], self._rows["path"], strict=True))
            for batch in batches(ahead(pixels, items, workers=2, most=2 * BATCH), BATCH):
                x = torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2).float()  # (b, 3, s, s)
                for found, part in zip(self._first(x), (tokens, statistics), strict=True):
                    part.append(found.float().numpy().astype(np.float16))
                self._progress(len(batch))
        return np.concatenate(tokens), np.concatenate(statistics)


def shown(square: Pixels, painting: str, copy: int) -> Pixels:
    """A painting's square as copy `copy` shows it, saved as JPEG as queries are."""
    if not copy:
        return square
    chance = random.Random(f"{painting} {copy}")
    square = augment.redigitised(square, len(square), chance)
    if chance.random() < WHOLE:
        return augment.photographed_whole(square, chance)
    return published(Image.fromarray(square))
