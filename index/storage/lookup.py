"""Where a text stands in a column, asked many times: by the hashes of all its texts, sorted.

Twelve bytes a painting, and some microseconds a question. Making it takes as long as some hundred looks along the
whole column, so that whoever asks about a few paintings is better off without (known.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

AT_ONCE = 1 << 16  # texts that are hashed at once: as Python's own they take ten times the room


class Lookup:
    """The places of each text of a column."""

    def __init__(self, column: pd.Series[Any]) -> None:
        self._cells = column.array
        hashes = np.concatenate([_hashes(column.iloc[at : at + AT_ONCE]) for at in range(0, len(column), AT_ONCE)])
        order = np.argsort(hashes, kind="stable")
        self._hashes, self._order = hashes[order], order.astype(np.int32)

    def places(self, text: str) -> list[int]:
        """Where it stands, in order."""
        wanted = _hashes(pd.Series([text], dtype=object))[0]
        first, last = (int(np.searchsorted(self._hashes, wanted, side)) for side in ("left", "right"))
        return [place for place in self._order[first:last].tolist() if self._cells[place] == text]


def _hashes(texts: pd.Series[Any]) -> npt.NDArray[np.uint64]:
    return pd.util.hash_array(texts.to_numpy(object, na_value=""), categorize=False)
