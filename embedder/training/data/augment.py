"""The same painting as another museum might have photographed and published it.

A model trained on one collection learns how that collection digitises: its JPEG quality, its scale, its white balance.
These changes teach it to ignore them. They keep style: no colour jitter, blur or grey.
"""

from __future__ import annotations

import io
import random

import numpy as np
from PIL import Image

from ...pictures.images import Pixels, published

CROP = (0.8, 1.0)  # share of each side that is kept
SCALE = (112, 320)  # px, the side at which the copy is saved
GAMMA = WHITE_BALANCE = (0.9, 1.1)
QUALITY = (35, 95)  # JPEG
STRIP = (0.0, 0.05)  # share of each side that shows the surroundings of a canvas
EDGE = (0, 2)  # px of the canvas' own edge
BEHIND = ((0, 25), (0, 25), (60, 200), (225, 255))  # mostly black cloth, else grey or white
WOOD = ((60, 140), (45, 110), (30, 90))  # RGB of a stretcher or panel, seen from the side
BLACK, WHITE = (-25, 5), (240, 300)  # what 0 and 255 become in another light: museums' photographs have more contrast
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


def photographed_whole(pixels: Pixels, chance: random.Random) -> Pixels:
    """(h, w, 3) uint8, the same size: in another light, with the strip around the canvas that photographs show."""
    height, width = pixels.shape[:2]
    left, top, right, bottom = (round(side * chance.uniform(*STRIP)) for side in (width, height, width, height))
    grey, edge = chance.randint(*chance.choice(BEHIND)), chance.randint(*EDGE)
    photograph = Image.new("RGB", (width, height), (grey, grey, grey))
    canvas = Image.new("RGB", (width - left - right, height - top - bottom), tuple(chance.randint(*c) for c in WOOD))
    painted = (canvas.width - 2 * edge, canvas.height - 2 * edge)
    canvas.paste(Image.fromarray(pixels).resize(painted, Image.Resampling.BICUBIC), (edge, edge))
    photograph.paste(canvas, (left, top))
    black, white = chance.randint(*BLACK), chance.randint(*WHITE)
    light = [min(255, max(0, round(black + (white - black) * value / 255))) for value in range(256)]
    return published(photograph.point(light * 3))


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
