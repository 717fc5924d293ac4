"""Convert pixels of any colour space to sRGB: by the profile in the file, or by convention if it has none.

Does not open files (images.py). Grey, RGB and CMYK are converted by LittleCMS, relative colorimetric with black point
compensation. The programs that museums use do the same, so that a scan and the JPEG made from it give the same picture.
A profile equal to sRGB changes no pixel, and neither does a missing one; PNG's gAMA and cHRM are ignored, since
programs that write them without a profile mostly mean sRGB. A profile that is damaged, too large or for another colour
space than the pixels is ignored: slightly wrong colours are better than no painting.
"""

from __future__ import annotations

import io
from functools import lru_cache
from typing import TypeGuard

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

MAX_PROFILE_BYTES = 16 << 20  # large profiles of printing presses have 3 MB, the largest of cameras some 10
LIKE_SRGB = 2  # of 255: sRGB profiles built in four ways differ by this much
MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # a profile's colour space -> ours
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
D50 = np.array([0.9642, 1.0, 0.8249], dtype=np.float32)
FROM_D50 = np.array(
    [
        (3.1338561, -1.6168667, -0.4906146),  # to linear sRGB, adapted after Bradford (Lindbloom)
        (-0.9787684, 1.9161415, 0.0334540),
        (0.0719453, -0.2289914, 1.4052427),
    ],
    dtype=np.float32,
)
BLOCK = 1 << 20  # pixels of Lab at once: 50 MB of float64


def to_srgb(image: Image.Image) -> Image.Image:
    """The image in mode RGB and in sRGB; the same object if it is already. image: of 8 bits: L, LA, P, RGBA, CMYK, LAB,
    HSV ...

    Alpha is dropped, not blended.
    """
    profile = image.info.get("icc_profile")
    if image.mode == "LAB":
        return Image.fromarray(_lab_to_srgb(np.asarray(image)))
    plain = _without_alpha(image)
    mode, transform = _transform(profile) if _is_profile(profile) else (None, None)
    is_for_it = mode == plain.mode or (mode == "RGB" and plain.mode == "L")  # grey pictures may have one, too
    if transform is None or mode is None or not is_for_it:
        return _in(plain, "RGB")
    return transform.apply(_in(plain, mode))


def _is_profile(profile: object) -> TypeGuard[bytes]:
    return isinstance(profile, bytes) and len(profile) <= MAX_PROFILE_BYTES


def _without_alpha(image: Image.Image) -> Image.Image:
    if image.mode in ("RGBA", "RGBX", "RGBa"):  # "RGBa" is premultiplied and converts by way of "RGBA"
        return image.convert("RGBA").convert("RGB")
    if image.mode in ("LA", "La"):
        return image.convert("LA").convert("L")
    return image if image.mode in ("L", "CMYK") else _in(image, "RGB")


def _in(image: Image.Image, mode: str) -> Image.Image:
    return image if image.mode == mode else image.convert(mode)  # convert() would copy it


@lru_cache(maxsize=32)
def _transform(profile: bytes) -> tuple[str | None, ImageCms.ImageCmsTransform | None]:
    """The mode of the pixels that a profile is for, and the conversion to sRGB; None if there is none or none is
    needed."""
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = MODES.get((opened.profile.xcolor_space or "").strip())
        if mode is None:
            return None, None
        transform = ImageCms.ImageCmsTransform(
            opened,
            SRGB,
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (OSError, ValueError, TypeError):  # what ImageCms raises for a damaged profile
        return None, None
    return mode, None if mode != "CMYK" and _changes_nothing(mode, transform) else transform


def _changes_nothing(mode: str, transform: ImageCms.ImageCmsTransform) -> bool:
    steps = np.arange(0, 256, 17, dtype=np.uint8)
    if mode == "L":
        probe = Image.fromarray(steps[None])
    else:
        probe = Image.fromarray(np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3))
    found, same = np.asarray(transform.apply(probe)).astype(int), np.asarray(probe.convert("RGB"))
    return bool(np.abs(found - same).max() <= LIKE_SRGB)


def _lab_to_srgb(lab: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """(h, w, 3) uint8: L* in 255 steps to 100, a* and b* as signed bytes, as in a TIFF of CIE L*a*b*."""
    found = np.empty(lab.shape, np.uint8)
    rows = max(1, BLOCK // lab.shape[1])
    for start in range(0, len(lab), rows):
        part = lab[start : start + rows]
        values = np.stack([part[..., 0] / 2.55, part[..., 1].view(np.int8), part[..., 2].view(np.int8)], axis=-1)
        found[start : start + rows] = srgb_of_lab(values)
    return found


def srgb_of_lab(lab: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """(..., 3) CIE L*a*b* of D50 -> (..., 3) uint8 sRGB; colours out of gamut are clipped channel by channel."""
    lab = lab.astype(np.float32)  # twice as fast as in 64 bits
    y = (lab[..., 0] + 16) / 116
    roots = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    xyz = np.where(roots > 6 / 29, roots * roots * roots, (roots - 4 / 29) * 3 * (6 / 29) ** 2) * D50
    linear = np.clip(xyz @ FROM_D50.T, 0, 1)
    curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    found: npt.NDArray[np.uint8] = np.rint(255 * curved).astype(np.uint8)
    return found
