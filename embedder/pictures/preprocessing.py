"""How a picture is prepared for a model: the settings in the model file's metadata, and their application.

The default is that of the shipped models; images.py has its reasons. A model from elsewhere was trained on pictures
prepared in another way, and gets them like that. Only the model's metadata decides.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from .images import INSET, JPEG_QUALITY, JPEG_SUBSAMPLING, MAX_PIXELS, Pixels, Source, inner, square, used

SIZES = range(16, 2049)  # px, allowed sides of a model's square
FITS = ("squash", "crop", "letterbox")
FILTERS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")
SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")
FIXED = {"colour": "RGB", "inset_leaves_at_least": 1, "jpeg_reduced_to_at_least": 2}


@dataclass(frozen=True)
class Preprocessing:
    """From a picture to (size, size, 3) uint8.

    inset: share of width and height left out on each side, if at least `size` pixels remain. fit: squash the picture to
    the square; crop the middle, a square of the share `crop` of the shorter side; or letterbox it on the colour `fill`.
    filter: Pillow's resampling filter. jpeg_quality: the square is saved as a JPEG of this quality and read again;
    None: it is not.
    """

    size: int
    inset: float = INSET
    fit: str = "squash"
    filter: str = "bilinear"
    jpeg_quality: int | None = JPEG_QUALITY
    jpeg_subsampling: str = JPEG_SUBSAMPLING
    crop: float = 1.0
    fill: tuple[int, int, int] = (0, 0, 0)

    def __post_init__(self) -> None:
        """Raises ValueError with the problem."""
        wrong = {
            f"size {self.size}: {SIZES.start} to {SIZES.stop - 1} px": not _is_whole(self.size, SIZES),
            f"inset {self.inset}: a share from 0 to 0.25": not 0 <= self.inset <= 0.25,
            f"fit {self.fit!r}: one of {', '.join(FITS)}": self.fit not in FITS,
            f"filter {self.filter!r}: one of {', '.join(FILTERS)}": self.filter not in FILTERS,
            f"JPEG quality {self.jpeg_quality}: 1 to 100, or none": self.jpeg_quality is not None
            and not _is_whole(self.jpeg_quality, range(1, 101)),
            f"JPEG subsampling {self.jpeg_subsampling!r}: one of {', '.join(SUBSAMPLINGS)}": self.jpeg_subsampling
            not in SUBSAMPLINGS,
            f"crop {self.crop}: a share from 0.1 to 1": not 0.1 <= self.crop <= 1,
            f"fill {self.fill}: three numbers from 0 to 255": len(self.fill) != 3
            or not all(_is_whole(value, range(256)) for value in self.fill),
        }
        if found := [what for what, is_so in wrong.items() if is_so]:
            raise ValueError(found[0])

    @property
    def least_side(self) -> int:
        """Pixels that the shorter side of a picture must keep if it is reduced beforehand."""
        return math.ceil(2 * self.size / (1 - 2 * self.inset) / self.crop)

    def square(self, image: Source, *, max_pixels: int = MAX_PIXELS) -> Pixels:
        """(size, size, 3) uint8. Raises UnreadableImage."""
        if self == Preprocessing(self.size):
            return square(image, self.size, max_pixels=max_pixels)
        return used(image, self.least_side, self._fitted, max_pixels=max_pixels)

    def _fitted(self, rgb: Image.Image) -> Pixels:
        left, top, right, bottom = inner(rgb.width, rgb.height, self.size, self.inset)
        box = left * rgb.width, top * rgb.height, right * rgb.width, bottom * rgb.height
        width, height = box[2] - box[0], box[3] - box[1]
        resample = Image.Resampling[self.filter.upper()]
        if self.fit == "letterbox":
            scale = self.size / max(width, height)
            within = max(1, round(width * scale)), max(1, round(height * scale))
            found = Image.new("RGB", (self.size, self.size), self.fill)
            found.paste(
                rgb.resize(within, resample, box=box), ((self.size - within[0]) // 2, (self.size - within[1]) // 2)
            )
        else:
            if self.fit == "crop":
                side = min(width, height) * self.crop
                across, down = box[0] + (width - side) / 2, box[1] + (height - side) / 2
                box = across, down, across + side, down + side
            found = rgb.resize((self.size, self.size), resample, box=box)
        found.info.clear()
        if self.jpeg_quality is None:
            return np.asarray(found, np.uint8)
        saved = io.BytesIO()
        found.save(saved, "JPEG", quality=self.jpeg_quality, subsampling=self.jpeg_subsampling)
        return np.asarray(Image.open(saved, formats=["JPEG"]), dtype=np.uint8)

    def to_json(self) -> dict[str, Any]:
        """As in a model's metadata, without settings that only another fit uses."""
        found: dict[str, Any] = {
            "size": self.size,
            "colour": "RGB",
            "inset": self.inset,
            "inset_leaves_at_least": 1,
            "fit": self.fit,
            "filter": self.filter,
            "jpeg_reduced_to_at_least": 2,
            "jpeg_quality": self.jpeg_quality,
            "jpeg_subsampling": self.jpeg_subsampling,
        }
        more: dict[str, dict[str, Any]] = {"crop": {"crop": self.crop}, "letterbox": {"fill": list(self.fill)}}
        return found | more.get(self.fit, {})

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Preprocessing:
        """Raises ValueError, TypeError or KeyError if this version does not know the settings."""
        rest = dict(found)
        for name, value in FIXED.items():
            if rest.pop(name) != value:
                raise ValueError(f"{name} is not {value}")
        if "fill" in rest:
            rest["fill"] = tuple(rest["fill"])
        return cls(**rest)


def _is_whole(value: object, among: range) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value in among
