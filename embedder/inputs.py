"""Convert what callers pass as images into what images.py takes, or refuse it in one line.

Arrays of other libraries (torch, jax, ...) become NumPy arrays. Does not look at pixels.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np
from PIL import Image

from ..errors import BadSetting, UnreadableImage

CHANNELS = (1, 3, 4)  # grey, RGB, and with alpha


def several(images: Any) -> Iterable[Any]:
    """The images one by one. Raises BadSetting for a single image, and for what is no sequence of images.

    These are probably mistakes: a path would be iterated letter by letter, an image row by row, a table by its column
    names.
    """
    if isinstance(images, str | os.PathLike | bytes | Image.Image):
        what = repr(os.fspath(images)) if isinstance(images, str | os.PathLike) else f"of type {type(images).__name__}"
        raise BadSetting(f"expected several images, this is one ({what}); pass it in a list: [image]")
    if hasattr(images, "columns"):
        raise BadSetting("expected several images, this is a DataFrame; pass its column of paths: table['path']")
    if _is_array(images):
        array = _array(images)
        if array.dtype.kind in "buif" and array.ndim < 4 and (array.ndim < 3 or _is_one_image(array.shape)):
            raise BadSetting(
                f"expected several images, this is one array of shape {array.shape}; pass it in a list: [image]"
            )
        return list(array)
    if not isinstance(images, Iterable):
        raise BadSetting(f"expected several images, this is of type {type(images).__name__}; pass a list")
    return images


def one(image: Any) -> Any:
    """A path, bytes, a PIL image or an array (h, w) or (h, w, channels). Raises UnreadableImage."""
    if _is_array(image):
        array = _array(image)
        is_channels_first = array.ndim == 3 and array.shape[0] in CHANNELS and array.shape[2] not in CHANNELS
        return np.moveaxis(array, 0, -1) if is_channels_first else array
    if isinstance(image, str | os.PathLike | bytes | Image.Image) or hasattr(image, "read"):
        return image
    if isinstance(image, bytearray | memoryview):
        return bytes(image)
    raise UnreadableImage(f"of type {type(image).__name__}; expected a path, bytes, a PIL image or an array")


def _is_array(image: Any) -> bool:
    return hasattr(image, "__array__") and not isinstance(image, str | bytes | Image.Image)


def _array(image: Any) -> np.ndarray[Any, Any]:
    try:
        if callable(getattr(image, "detach", None)):  # a tensor that is being trained, or on a GPU
            image = image.detach().cpu()
        return np.asarray(image)
    except Exception as problem:  # other libraries raise anything
        raise UnreadableImage(
            f"of type {type(image).__name__}, which cannot be read as an array: {' '.join(str(problem).split())[:200]}"
        ) from None


def _is_one_image(shape: tuple[int, ...]) -> bool:
    return shape[2] in CHANNELS or shape[0] in CHANNELS
