"""Arrays in files without names, mapped into memory: the system takes back their room when it needs it.

For what must be at hand in any order and grows with an index, such as sums by artist. A file ends with its array.
"""

from __future__ import annotations

import math
import tempfile
from typing import Any

import numpy as np
import numpy.typing as npt

WRITTEN = 1 << 20  # bytes at once


def zeros(shape: tuple[int, ...], kind: npt.DTypeLike) -> npt.NDArray[Any]:
    """An array of zeros. Raises OSError if the disk is full; the system would end a process that found out later."""
    size = math.prod(shape) * np.dtype(kind).itemsize
    if not size:
        return np.zeros(shape, kind)
    with tempfile.TemporaryFile() as file:
        for start in range(0, size, WRITTEN):
            file.write(bytes(min(WRITTEN, size - start)))
        file.flush()
        return np.asarray(np.memmap(file, kind, "r+", shape=shape))
