"""The parts of two paintings that are most alike to the model: an illustration, not part of the verdict.

Nine overlapping parts of each, almost half as wide and high as the whole, are embedded like paintings and paired, the
nearest two first. The outermost strip is left out, even of small pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from ...embedder.pictures.images import INSET, MAX_PIXELS, Box, Pixels, squares
from ..scoring.centre import centred
from ..scoring.vectors import Array, distances
from ..storage.manifest import Manifest

SIDE = (1 - 2 * INSET) / 2  # of width and of height
STARTS = (INSET, INSET + SIDE / 2, INSET + SIDE)
BOXES: tuple[Box, ...] = tuple((left, top, left + SIDE, top + SIDE) for top in STARTS for left in STARTS)


@dataclass(frozen=True)
class Alike:
    """A part of each of two paintings, as shares of width and height, and their distance (1 - cosine, 0 to 2)."""

    a: Box
    b: Box
    distance: float


@dataclass(frozen=True)
class Regions:
    """Parts of two paintings in pairs, the nearest first; each part is in one pair."""

    regions: tuple[Alike, ...]
    model: str
    generation: int


def parts(image: BinaryIO, size: int, max_pixels: int = MAX_PIXELS) -> Pixels:
    """(9, size, size, 3): the parts of an image, ready for the model. Raises UnreadableImage."""
    return squares(image, BOXES, size, max_pixels=max_pixels)


def alike(manifest: Manifest, a: Array, b: Array) -> Regions:
    """a, b: (9, d) the vectors of two paintings' parts, as given by the model of the manifest's index."""
    centre = np.array(manifest.centre, np.float32)
    a, b = (np.stack([centred(vector, centre) for vector in part]) for part in (a, b))
    apart = distances(a[:, None], b[None])  # (9, 9)
    pairs = []
    left = apart.copy()
    for _ in BOXES:
        one, other = divmod(int(left.argmin()), len(BOXES))
        pairs.append(Alike(BOXES[one], BOXES[other], float(apart[one, other])))
        left[one, :] = left[:, other] = np.inf
    return Regions(tuple(pairs), manifest.model.sha256, manifest.generation)
