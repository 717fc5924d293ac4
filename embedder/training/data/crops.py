"""Training crops of paintings, re-digitised anew each time.

A crop is smaller than the pictures that the network will embed: training is twice as fast, and networks do better on
larger pictures than they were trained on (Touvron et al., 2019).
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ...parallel import ahead, batches
from ...pictures.images import Pixels
from ...runtime import available_cores
from .augment import photographed_whole, redigitised
from .batches import Places
from .packed import Packed

CROP = 154  # px, of a painting re-digitised at SCALED; 11 of DINOv2's patches
SCALED = 200  # px: crops show a painting at 0.89 to 1.12 of the size at which it is embedded
BATCH = 32


def drawn(packed: Packed, places: Places, seed: int, number: int, *, photographed: float = 0.0) -> Iterator[Tensor]:
    """Batches (b, 3, CROP, CROP) float of the paintings at these positions; number: of the epoch.

    photographed: the share of crops that get surroundings, as if the crop were the whole painting.
    """

    def crop(item: tuple[int, int]) -> Pixels:
        turn, place = item
        chance = random.Random(f"{seed} {number} {turn}")
        square = redigitised(packed.squares([place])[0], SCALED, chance)
        left, top = chance.randint(0, SCALED - CROP), chance.randint(0, SCALED - CROP)
        shown = square[top : top + CROP, left : left + CROP]
        return photographed_whole(shown, chance) if chance.random() < photographed else shown

    for squares in batches(ahead(crop, enumerate(places.tolist()), workers=available_cores(), most=4 * BATCH), BATCH):
        yield torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2).float()
