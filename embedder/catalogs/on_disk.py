"""Tables whose text is in files without names, mapped into memory, where pandas reads it: only a disk bounds them.

They are written, and gone through, some rows at a time, which are then Python's objects. A file ends with its last
reader.
"""

from __future__ import annotations

import errno
import mmap
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, count, islice
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...errors import OutOfResources

Cells = TypeVar("Cells", pd.DataFrame, "pd.Series[Any]")
ROWS = 8_192  # that are at hand at once: some megabytes


def in_blocks(rows: Iterable[tuple[int, Sequence[Any]]], columns: Sequence[str]) -> Iterator[pd.DataFrame]:
    """Numbered rows of cells as tables of some rows each, at least one, with the numbers as labels."""
    rows = iter(rows)
    for number in count():
        some = list(islice(rows, ROWS))
        if some or not number:
            yield pd.DataFrame(
                [cells for _, cells in some],
                columns=list(columns),
                index=np.array([each for each, _ in some], np.int64),
                dtype=object,
            )
        if len(some) < ROWS:
            return


def pieces(length: int) -> Iterator[slice]:
    """Places of the rows of a table, some at a time; at least one piece, which may be empty."""
    return (slice(start, start + ROWS) for start in range(0, max(length, 1), ROWS))


def cut(table: Cells, is_kept: npt.NDArray[np.bool_] | None = None) -> Iterator[Cells]:
    """The rows of a table (n), or those that are kept, some at a time. is_kept: (n,)."""
    for some in pieces(len(table)):
        yield table.iloc[some] if is_kept is None else table.iloc[some][is_kept[some]]


def on_disk(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """The rows of one table or more with the same columns, of text or of numbers; of text, memory has none.

    Text is in the type `str`; what is missing is NaN there. Raises OutOfResources if the disk is full.
    """
    import pyarrow as pa

    tables = iter(tables)
    first = next(tables)
    labels, numbers = [], {name: kind for name, kind in first.dtypes.items() if kind not in (object, "str")}
    try:
        with tempfile.TemporaryFile() as file:
            with pa.ipc.new_file(file, _arrow(first[:0]).schema) as writer:
                for table in chain([first], tables):
                    labels.append(table.index.to_numpy(np.int64))
                    writer.write_table(_arrow(table))
            file.flush()
            data = pa.py_buffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as problem:
        if problem.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = tempfile.gettempdir()
        raise OutOfResources(f"{where}: no room for the text of a table; name a larger folder in TMPDIR") from None
    kept = pa.ipc.open_file(data).read_all()
    types = {pa.large_string(): pd.StringDtype("pyarrow", np.nan), pa.int64(): pd.Int64Dtype()}
    found: pd.DataFrame = kept.to_pandas(types_mapper=types.get).astype(numbers).set_axis(np.concatenate(labels))
    pa.default_memory_pool().release_unused()  # of writing: as much as a piece
    return found


def in_memory(table: pd.DataFrame) -> pd.DataFrame:
    """The same table with text as Python's objects; what is missing is None."""
    text = {name: cells.astype(object) for name, cells in table.items() if cells.dtype == "str"}
    return table.assign(**{str(name): cells.where(cells.notna(), None) for name, cells in text.items()})


def again(table: pd.DataFrame, names: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which rows (n,) have in some columns the cells of an earlier one."""
    places = alike(table, names)
    found = np.zeros(len(table), bool)
    found[places] = table[list(names)].iloc[places].duplicated()
    return found


def alike(table: pd.DataFrame, names: Sequence[str]) -> npt.NDArray[np.int64]:
    """The places of all rows that have in some columns the cells of another; hardly ever of a further one, too.

    Memory has a number of each row, and of those that share theirs their text is worth a look.
    """
    columns = table[list(names)]
    numbers = np.empty(len(table), np.uint64)
    for some in pieces(len(table)):
        numbers[some] = pd.util.hash_pandas_object(columns.iloc[some], index=False, categorize=False)
    ordered = np.sort(numbers)  # less memory than a hash table of all
    return np.flatnonzero(pd.Index(numbers).isin(ordered[1:][ordered[1:] == ordered[:-1]]))


def _arrow(table: pd.DataFrame) -> Any:
    import pyarrow as pa

    def column(cells: pd.Series[Any]) -> Any:
        is_text = cells.dtype == object or cells.dtype == "str"
        return pa.array(cells, pa.large_string() if is_text else None, from_pandas=True)

    return pa.table({str(name): column(cells) for name, cells in table.items()})
