"""The same painting as another museum might have photographed and published it.

A model trained on one collection learns how that collection digitises: its JPEG quality, its scale, its white
balance. These changes teach it to look past them. They keep style: no colour jitter, blur or grey.
"""

from __future__ import annotations

import io
import random

import numpy as np
from PIL import Image

from ..images import Pixels

CROP = (0.8, 1.0)  # share of each side that is kept
SCALE = (112, 320)  # px, the side at which the copy is saved
GAMMA = WHITE_BALANCE = (0.9, 1.1)
QUALITY = (35, 95)  # JPEG
FILTERS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS, Image.Resampling.BOX)


def redigitised(pixels: Pixels, size: int, chance: random.Random) -> Pixels:
    """(h, w, 3) uint8 -> (size, size, 3) uint8: cropped, rescaled, slightly toned, saved as JPEG, maybe mirrored."""
    image = _cropped(Image.fromarray(pixels), chance)
    side = chance.randint(*SCALE)
    image = _toned(image.resize((side, side), chance.choice(FILTERS)), chance)
    if chance.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    saved = io.BytesIO()
    image.save(saved, "JPEG", quality=chance.randint(*QUALITY), subsampling=chance.choice((0, 2)))
    reopened = Image.open(saved).resize((size, size), chance.choice(FILTERS))
    return np.asarray(reopened, dtype=np.uint8)


def _cropped(image: Image.Image, chance: random.Random) -> Image.Image:
    width, height = (max(1, round(side * chance.uniform(*CROP))) for side in image.size)
    left, top = chance.randint(0, image.width - width), chance.randint(0, image.height - height)
    return image.crop((left, top, left + width, top + height))


def _toned(image: Image.Image, chance: random.Random) -> Image.Image:
    gamma = chance.uniform(*GAMMA)
    tables = []
    for _ in range(3):
        white = chance.uniform(*WHITE_BALANCE)
        tables += [min(255, round(255 * white * (value / 255) ** gamma)) for value in range(256)]
    return image.point(tables)
