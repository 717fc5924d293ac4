"""Do two photographs show the same picture, and how do they differ?  Decided by bytes, by pixels, and by geometry.

A small distance does not decide it: the model is trained to ignore differences between works of one artist. The
decision is by patches that agree when one photograph is warped onto the other (geometry.py). If the drawing fits but
the patches do not agree, one is a copy by another hand or a second version; a picture that was restored between two
photographs looks like that, too.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image

from ...embedder.pictures.images import MAX_PIXELS, Source, used
from ...errors import MissingPackage
from ..scoring.calibration import FALSE_POSITIVE_RATES, Calibration
from . import geometry
from .geometry import Fit, Photograph

# Chosen on altered images of the museum's paintings and on 45 pairs of photographs of one painting from two collections
# (docs/review.md): photographs of one picture had an agreement of 0.77 and more, redrawn ones of 0.55 at most. For some
# models, a grey copy is farther away than most works of one artist. So if two files are far apart, their grey levels
# are compared first.
ALIKE = 0.6  # correlation of small grey pictures, upright or mirrored: 1 in 400 pairs of different paintings has more
ALIKE_SIDE = 32
WHOLLY = 1 << 30  # pixels: no JPEG is decoded at reduced size
ONE_PICTURE = 0.72  # agreement of patches
VERSION = 0.05  # less may be chance; of 780 pairs of different pictures, none had features that fit at all
VERSION_MATCHES, VERSION_SHARE = 20, 0.6
WHOLE = 0.93  # of a photograph; less is a detail of it
SMALLER = 1.05  # times as long
SAME_LEVELS, SAME_COLOURS = 6.0, 5.0  # grey levels, root mean square: saved again, or with its colours adjusted
GREY = 4.0  # mean difference between channels, in levels
COLOURED = 2.0  # ratio of saturation
TURNED = 0.4  # degrees, between two exposures

IDENTICAL, IDENTICAL_PIXELS, SAVED_ANEW = "identical", "identical pixels", "saved anew"
ANOTHER_PHOTOGRAPH, ANOTHER_VERSION = "another photograph", "another version"
SAID = {
    IDENTICAL: "the files are identical",
    IDENTICAL_PIXELS: "the pixels are identical",
    SAVED_ANEW: "the same photograph, saved again",
    "mirrored": "mirrored",
    "smaller": "smaller",
    "larger": "larger",
    "crop": "a part of it",
    "wider": "with more around it",
    "overlapping": "each shows a part that the other does not",
    "grey": "in grey",
    "coloured": "in colour",
    "recoloured": "with other colours",
    ANOTHER_PHOTOGRAPH: "another photograph of it",
    ANOTHER_VERSION: "the same composition by another hand or in another version: a copy, a replica, or restored since",
}


@dataclass(frozen=True)
class Reach:
    """Distances within which photographs are compared, defined by how few pairs of different artists are nearer, so
    that they follow each model's scale (docs/review.md). The defaults are for a model without a calibration.

    near: one in ten, for a pair and for the two nearest; nearer: one in a hundred, for the five nearest; very_near:
    half the distance of one in a thousand, for the results of `nearest`.
    """

    near: float = 0.65
    nearer: float = 0.5
    very_near: float = 0.2

    @classmethod
    def of(cls, calibration: Calibration) -> Reach:
        near, nearer, rare = (calibration.pairs.by_distance.point(rate).distance for rate in FALSE_POSITIVE_RATES)
        return cls(near, nearer, rare / 2)


@dataclass(frozen=True)
class SamePicture:
    """How two photographs show one picture. kinds: what b is compared with a, keys of SAID; how: the same as one text;
    says: as a sentence.

    is_version: one composition painted twice, not one picture. agreement: of patches after warping, at most 1; None if
    bytes or pixels are identical. matches: features that fit the homography.
    """

    kinds: tuple[str, ...]
    is_version: bool = False
    agreement: float | None = None
    matches: int | None = None

    how: str = field(init=False, default="")
    says: str = field(init=False, default="")

    def __post_init__(self) -> None:
        object.__setattr__(self, "how", ", ".join(self.kinds))
        about = ", ".join(SAID[kind] for kind in self.kinds)
        if self.is_version:
            says = f"seem to be two versions of one composition: {about}"
        elif self.agreement is None:
            says = f"show the same picture: {about}"
        else:
            says = f"seem to show the same picture: the second is {about}"
        object.__setattr__(self, "says", says)


@dataclass(frozen=True)
class Seen:
    """What is compared of a photograph. content: sha256 of its bytes, empty if unknown; pixels: sha256 of its pixels;
    found: its features, None without OpenCV."""

    content: str
    pixels: str
    found: Photograph | None


def seen(image: Source, content: str = "", *, max_pixels: int = MAX_PIXELS) -> Seen:
    """Read an image for comparison, at full size, since its size matters. Raises UnreadableImage."""
    rgb = used(image, WHOLLY, Image.Image.copy, max_pixels=max_pixels)
    pixels = hashlib.sha256(f"{rgb.size}".encode() + rgb.tobytes()).hexdigest()
    return Seen(content, pixels, geometry.photograph(rgb) if has_geometry() else None)


def greys(image: Source, *, max_pixels: int = MAX_PIXELS) -> npt.NDArray[np.float32]:
    """(32, 32) grey levels of the whole image, with mean 0 and norm 1, or 0 if it is uniform. Raises UnreadableImage.
    Takes a few milliseconds, while `seen` takes a tenth of a second."""
    size = (ALIKE_SIDE, ALIKE_SIDE)
    small: npt.NDArray[np.float32] = used(
        image,
        2 * ALIKE_SIDE,
        lambda rgb: np.array(rgb.convert("L").resize(size, Image.Resampling.BOX), np.float32),
        max_pixels=max_pixels,
    )
    small -= small.mean()
    small /= max(float(np.linalg.norm(small)), 1.0)
    return small


def may_be_alike(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> bool:
    """Whether `greys` of two images are similar enough to compare the images by geometry."""
    return float(max((a * b).sum(), (a * b[:, ::-1]).sum())) > ALIKE


def has_geometry() -> bool:
    """Whether OpenCV is installed; without it, only identical photographs are found."""
    try:
        geometry.opencv()
    except MissingPackage:
        return False
    return True


def same_picture(a: Seen, b: Seen) -> SamePicture | None:
    """None if they show different pictures, or if that is unknown."""
    if a.content and a.content == b.content:
        return SamePicture((IDENTICAL,))
    if a.pixels == b.pixels:
        return SamePicture((IDENTICAL_PIXELS,))
    return None if a.found is None or b.found is None else compared(a.found, b.found)


def compared(a: Photograph, b: Photograph) -> SamePicture | None:
    """The same by geometry alone, for b and its mirror image."""
    found = geometry.fit(a, b)
    judged = None if found is None else judge(found, False)
    if judged is not None and not judged.is_version:
        return judged
    turned = geometry.fit(a, b.mirrored)
    again = None if turned is None else judge(turned, True)
    both = [each for each in (judged, again) if each is not None]
    return max(both, key=lambda each: each.agreement or 0.0, default=None)


def judge(fit: Fit, is_mirrored: bool) -> SamePicture | None:
    """What this fit of two photographs means."""
    mirrored = ("mirrored",) if is_mirrored else ()
    if fit.agreement < ONE_PICTURE:
        is_version = (
            fit.agreement >= VERSION
            and fit.matches >= VERSION_MATCHES
            and (min(fit.share_a, fit.share_b) >= VERSION_SHARE)
        )
        return SamePicture((*mirrored, ANOTHER_VERSION), True, fit.agreement, fit.matches) if is_version else None
    kinds = [*mirrored]
    is_new = fit.fitted > SAME_COLOURS or abs(fit.turned) > TURNED
    if is_new:
        kinds.append(ANOTHER_PHOTOGRAPH)
    if fit.share_a < WHOLE and fit.share_b < WHOLE:
        kinds.append("overlapping")
    elif fit.share_a < WHOLE:
        kinds.append("crop")
    elif fit.share_b < WHOLE:
        kinds.append("wider")
    if fit.enlarged > SMALLER:
        kinds.append("smaller")
    elif fit.enlarged < 1 / SMALLER:
        kinds.append("larger")
    if fit.saturation_b < GREY and fit.saturation_a > COLOURED * max(fit.saturation_b, 1.0):
        kinds.append("grey")
    elif fit.saturation_a < GREY and fit.saturation_b > COLOURED * max(fit.saturation_a, 1.0):
        kinds.append("coloured")
    elif fit.raw > SAME_LEVELS and not is_new:
        kinds.append("recoloured")
    return SamePicture(tuple(kinds) or (SAVED_ANEW,), False, fit.agreement, fit.matches)
