"""Paintings in Arrow columns, read in place: lookups and filters on one record batch of a file (columns_file.py).

Does not know what was removed or corrected since: that is paintings.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ..scoring.vectors import Integers, Mask

if TYPE_CHECKING:
    from .where import Comparison

NONE = -1  # the number for a missing text
ORDERED = ("id", "path", "sha256", "vector_sha256", "object")
HASH = 16  # characters of `vector_sha256`
OWN = b"columns"  # key in the schema's metadata: how many of the columns are the table's


class Batch:
    """A record batch (n,)."""

    def __init__(self, columns: Any) -> None:
        self.columns = columns
        self._orders = ordered(columns.schema)
        own = columns.schema.names[: own_columns(columns.schema)]
        self._at = {name: number for number, name in enumerate(own)}
        self.names: list[str] = list(self._at)

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def schema(self) -> Any:
        """The schema of the table's own columns, before dictionary encoding."""
        fields = [self.columns.schema.field(number) for number in range(len(self.names))]
        told = {key: value for key, value in self.columns.schema.metadata.items() if key != OWN}
        return pa.schema([_plain(field) for field in fields], told)

    @cached_property
    def rows(self) -> Integers:
        """(n,) the paintings' numbers, which only grow."""
        found: Integers = numbers_of(self.columns.column(self._at["row"]))
        return found

    def cell(self, name: str, at: int) -> Any:
        """The value; None if missing."""
        if name not in self._at:
            return None
        found = self.columns.column(self._at[name])[at].as_py()
        return found.decode() if isinstance(found, bytes) else found

    def cells(self, name: str, rows: Integers) -> list[Any]:
        """The values of a column in these rows."""
        if name not in self._at:
            return [None] * len(rows)
        # From a buffer: Arrow's own method imports pandas.
        wanted = pa.Array.from_buffers(pa.int64(), len(rows), [None, pa.py_buffer(np.ascontiguousarray(rows))])
        found: list[Any] = _unpacked(self.columns.column(self._at[name]).take(wanted)).to_pylist()
        return found

    def table(self, rows: Integers) -> Any:
        """An Arrow table of these rows."""
        chosen = [self.columns.column(number).take(pa.array(rows)) for number in range(len(self.names))]
        schema = self.schema
        return pa.Table.from_arrays([_unpacked(column) for column in chosen], schema=schema)

    def equal(self, name: str, text: str) -> Iterator[int]:
        """The rows in which an ordered column is this text, in order."""
        if name not in self._orders:
            return
        column = self.columns.column(self._at[name])
        if not (pa.types.is_large_string(column.type) or pa.types.is_fixed_size_binary(column.type)):
            return
        order = numbers_of(self.columns.column(self._orders[name]))[: len(self) - column.null_count]
        wanted = text.encode("utf-8", "surrogatepass")  # the name of a file need not be text, and then equals none
        first, last = 0, len(order)
        while first < last:  # binary search for the first that is not less
            middle = (first + last) // 2
            if _bytes(column, order[middle]) < wanted:
                first = middle + 1
            else:
                last = middle
        while first < len(order) and _bytes(column, order[first]) == wanted:
            yield int(order[first])
            first += 1

    def texts(self, name: str) -> list[str | None]:
        """A column of texts, None if missing."""
        found: list[str | None] = _unpacked(self.columns.column(self._at[name])).to_pylist()
        return found

    def first_by_hash(self, most: int) -> tuple[npt.NDArray[np.bytes_], Integers]:
        """The smallest hashes of vectors, and their rows: (most,), or all if there are no more."""
        order = numbers_of(self.columns.column(self._orders["vector_sha256"]))[:most].astype(np.int64)
        (_, data) = self.columns.column(self._at["vector_sha256"]).buffers()
        start = self.columns.column(self._at["vector_sha256"]).offset
        hashes = np.frombuffer(data, f"S{HASH}")[start : start + len(self)]
        return hashes[order], order

    def numbers(self, name: str) -> tuple[npt.NDArray[np.int32], Any]:
        """A column's texts as numbers (n,), NONE where there is none, and the text of each number in an array of
        Arrow's."""
        if name not in self._at:
            return np.full(len(self), NONE, np.int32), pa.array([], pa.large_string())
        column = self.columns.column(self._at[name])
        if not pa.types.is_dictionary(column.type):
            column = _unpacked(column).cast(pa.large_string()).dictionary_encode()
        return numbers_of(column.indices, NONE).astype(np.int32), column.dictionary

    def holding(self, word: str) -> Mask:
        """(n,) whether a folded word occurs in the searched text."""
        return np.asarray(pc.match_substring(self.columns.column(self.columns.num_columns - 1), word))

    def holds(self, comparison: Comparison, same: dict[str, str] | None) -> Mask:
        """(n,) whether a comparison holds. same: replacements for some of the column's texts."""
        from .where import holds

        name = comparison.column
        if name not in self._at:
            return np.full(len(self), comparison.value is None and comparison.operator == "==")
        column = self.columns.column(self._at[name])
        if not pa.types.is_dictionary(column.type):
            return holds(_unpacked(column).to_pandas(), comparison.operator, comparison.value)
        texts = column.dictionary
        if same:
            texts = pa.array([same.get(text, text) for text in texts.to_pylist()], texts.type)
        texts = pa.concat_arrays([texts, pa.nulls(1, texts.type)])  # NONE is the last element
        of_text: Mask = holds(texts.to_pandas(), comparison.operator, comparison.value)
        found: Mask = of_text[numbers_of(column.indices, NONE)]
        return found


def own_columns(schema: Any) -> int:
    """How many of the first columns are the table's."""
    return int(schema.metadata[OWN])


def ordered(schema: Any) -> dict[str, int]:
    """The index of the order of each ordered column."""
    own = own_columns(schema)
    names = [name for name in ORDERED if name in schema.names[:own]]
    return {name: own + number for number, name in enumerate(names)}


def numbers_of(column: Any, missing: int = 0) -> npt.NDArray[Any]:
    """A column of numbers as a NumPy array, without a copy if none is missing. Arrow's own method imports pandas."""
    every = pa.Array.from_buffers(column.type, len(column), [None, column.buffers()[1]], offset=column.offset)
    found: npt.NDArray[Any] = np.from_dlpack(every)
    return np.where(np.from_dlpack(column.is_valid().cast(pa.int8())), found, missing) if column.null_count else found


def positions(rows: Integers, wanted: Integers) -> Integers:
    """The positions of the wanted numbers among rows, which ascend; missing ones are left out."""
    if not len(rows):
        return np.empty(0, np.int64)
    at = np.minimum(np.searchsorted(rows, wanted), len(rows) - 1)
    found: Integers = at[rows[at] == wanted]
    return found


def _bytes(column: Any, at: np.uint32) -> bytes:
    found: bytes = column[int(at)].as_buffer().to_pybytes()
    return found


def _plain(field: Any) -> Any:
    """The field without dictionary encoding."""
    is_packed = pa.types.is_dictionary(field.type) or pa.types.is_fixed_size_binary(field.type)
    return field.with_type(pa.large_string()) if is_packed else field


def _unpacked(column: Any) -> Any:
    if pa.types.is_fixed_size_binary(column.type):
        return column.cast(pa.large_binary()).cast(pa.large_string())
    return column.cast(pa.large_string()) if pa.types.is_dictionary(column.type) else column
