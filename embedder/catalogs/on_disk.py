"""Text of a table in files without names, mapped into memory, where pandas reads it: only a disk bounds the table.

A file ends with its last reader.
"""

from __future__ import annotations

import mmap
import tempfile
from typing import Any

import pandas as pd

ROWS = 8_192  # that are written at once


def on_disk(table: pd.DataFrame) -> pd.DataFrame:
    """The same table; memory has no more of its text than what was just read."""
    import pyarrow as pa

    found = pd.DataFrame({name: _mapped(table[name]) for name in table.columns}, index=table.index)
    pa.default_memory_pool().release_unused()  # of reading the table: as much as its text
    return found


def _mapped(column: pd.Series[Any]) -> pd.Series[Any]:
    """A column of text in a file; of anything else, itself."""
    import pyarrow as pa

    if column.dtype != object and column.dtype != "str":
        return column
    with tempfile.TemporaryFile() as file:
        try:
            with pa.ipc.new_file(file, pa.schema([("text", pa.large_string())])) as writer:
                for start in range(0, max(len(column), 1), ROWS):
                    some = pa.array(column.iloc[start : start + ROWS], pa.large_string(), from_pandas=True)
                    writer.write_batch(pa.record_batch([some], ["text"]))
        except (pa.ArrowException, UnicodeEncodeError):
            return column
        file.flush()
        data = pa.py_buffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    text = pa.ipc.open_file(data).read_all()["text"]
    return pd.Series(text, index=column.index, name=column.name, dtype="str")
