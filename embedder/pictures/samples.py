"""Convert samples of any number type to 8 bits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import UnreadableImage

Pixels = npt.NDArray[np.uint8]
BLOCK = 1 << 20  # numbers converted at once: 8 MB of float64


def to_8_bit(array: npt.NDArray[Any]) -> Pixels:
    """Floats within [0, 1] are shares of white, others count from 0 to 255; NaN is black.

    White is 255 for integers, or the maximum of 16, 32 or 64 bits if a sample is larger; for uint16 it is always
    65,535. Raises UnreadableImage for what is no number.
    """
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array, dtype=np.uint8)
    if array.dtype == bool:
        return np.where(array, 255, 0).astype(np.uint8)
    if array.dtype.kind not in "uif":
        raise UnreadableImage(f"array of type {array.dtype}; expected numbers")
    white, found = _white(array), np.empty(array.shape, np.uint8)
    for rows in blocks(len(array), array[:1].size):
        if white == 65535 and array.dtype.kind == "u":
            found[rows] = (array[rows].astype(np.uint32) + 128) // 257  # the same, in whole numbers
        else:
            values = np.nan_to_num(array[rows].astype(np.float64), nan=0.0) * (255 / white)
            found[rows] = np.clip(np.rint(values), 0, 255)
    return found


def _white(array: npt.NDArray[Any]) -> float:
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:
        return 65535
    top = max(
        float(np.nan_to_num(array[rows].astype(np.float64), nan=0.0).max())
        for rows in blocks(len(array), array[:1].size)
    )
    if array.dtype.kind == "f":
        return 1 if top <= 1 else 255
    return next(white for white in (2**8 - 1, 2**16 - 1, 2**32 - 1, 2**64) if top <= white)


def blocks(rows: int, row_size: int) -> Iterator[slice]:
    """Slices of rows, each of about BLOCK numbers, where a row has row_size of them."""
    step = max(1, BLOCK // max(1, row_size))
    return (slice(start, start + step) for start in range(0, rows, step))
