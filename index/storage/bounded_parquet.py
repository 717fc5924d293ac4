"""Read a parquet file into memory, with a bound on how much it may unpack to.

A column of text is stored as a dictionary and numbers, both compressed: half a kilobyte can stand for gigabytes. So
text is read in this form, and decoded only once its total length is known. A file may unpack to RATIO times its size,
and a small one to LEAST. Does not know what the columns mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...files import plain_size

if TYPE_CHECKING:
    import pandas as pd

LEAST = 64 << 20  # bytes
RATIO = 200  # the table of an index of a million paintings unpacks to some eight times its size
NUMBER_BYTES = 8  # minimal bytes of a cell that is not text
READ_BYTES = 1 << 16  # of each column of a file at once


def read_frame(path: Path, *, rows: int | None = None, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """`read_columns` as a DataFrame."""
    found: pd.DataFrame = read_columns(path, rows=rows, columns=columns).to_pandas()
    return found


def is_empty(path: Path) -> bool:
    """Whether a file is a table without rows; False if it is no table."""
    import pyarrow.parquet as pq

    try:
        plain_size(path)
        return bool(pq.read_metadata(path).num_rows == 0)
    except Exception:  # pyarrow raises its own errors and OSError; the reader reports them
        return False


def read_columns(path: Path, *, rows: int | None = None, columns: Sequence[str] | None = None) -> Any:
    """All rows as an Arrow table, or the named columns. rows: the expected number.

    Raises ValueError if the file has more than it should, other types than numbers and text, or not the columns;
    OSError, and Arrow's errors for damage, if it cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema, texts, limit = _checked(path, rows, columns)
    with pq.ParquetFile(path, read_dictionary=texts) as opened:
        table = opened.read(columns=None if columns is None else [*columns])
    fields = [schema.field(name) for name in table.column_names]
    if sum(_text_bytes(table[field.name]) for field in fields if field.name in texts) > limit:
        raise _too_much(path)
    return table.cast(pa.schema(fields, schema.metadata))


def read_blocks(path: Path, size: int) -> Iterator[Any]:
    """The same, `size` rows at a time.

    Arrow keeps a dictionary for as long as it reads a row group, which may be all of the file. So the columns are first
    read in this form one by one, to find the lengths of their texts.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema, texts, limit = _checked(path, None, None)
    opened = partial(pq.ParquetFile, path, pre_buffer=False, buffer_size=READ_BYTES)
    for name in texts:
        with opened(read_dictionary=texts) as file:
            parts = file.iter_batches(size, columns=[name], use_threads=False)  # each thread keeps memory of its own
            limit -= sum(_text_bytes(pa.chunked_array([part.column(name)])) for part in parts)
        if limit < 0:
            raise _too_much(path)
    pa.default_memory_pool().release_unused()  # of the dictionaries
    with opened() as file:
        for batch in file.iter_batches(size, use_threads=False):
            yield pa.Table.from_batches([batch]).cast(schema)


def _checked(path: Path, rows: int | None, columns: Sequence[str] | None) -> tuple[Any, list[str], int]:
    """The schema of a file, its columns of text, and how many bytes these may have."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    limit = _limit(path)
    with pq.ParquetFile(path) as opened:
        facts, schema = opened.metadata, opened.schema_arrow
    if rows is not None and facts.num_rows != rows:
        raise ValueError(f"{facts.num_rows:,} rows, expected {rows:,}")
    if facts.num_rows * len(schema) * NUMBER_BYTES > limit or _unpacked_bytes(facts) > limit:
        raise _too_much(path)
    schema = pa.schema([_without_dictionary(pa.types, field) for field in schema], schema.metadata)
    for field in schema:
        if not (_is_text(pa.types, field.type) or pa.types.is_primitive(field.type) or pa.types.is_null(field.type)):
            raise ValueError(f"the column {field.name!r} is of {field.type}, expected texts or numbers")
    if len(set(schema.names)) < len(schema.names):
        raise ValueError("two columns have one name")
    if missing := [name for name in columns or () if name not in schema.names]:
        raise ValueError(f"no column {missing[0]!r}")
    return schema, [field.name for field in schema if _is_text(pa.types, field.type)], limit


def _unpacked_bytes(facts: Any) -> int:
    return sum(facts.row_group(number).total_byte_size for number in range(facts.num_row_groups))


def _text_bytes(column: Any) -> int:
    """The total length of a column's text, computed from its dictionary."""
    import pyarrow as pa
    import pyarrow.compute as pc

    total = 0
    for chunk in column.chunks:
        is_packed = pa.types.is_dictionary(chunk.type)
        lengths = pc.binary_length(chunk.dictionary if is_packed else chunk)
        total += pc.sum(lengths.take(chunk.indices) if is_packed else lengths).as_py() or 0
    return total


def _is_text(types: Any, kind: Any) -> bool:
    kinds = types.is_string, types.is_large_string, types.is_binary, types.is_large_binary
    return any(is_of(kind) for is_of in kinds)


def _without_dictionary(types: Any, field: Any) -> Any:
    """The type, with pandas' categories as text."""
    return field.with_type(field.type.value_type) if types.is_dictionary(field.type) else field


def _limit(path: Path) -> int:
    return max(LEAST, RATIO * plain_size(path))


def _too_much(path: Path) -> ValueError:
    return ValueError(f"{plain_size(path) / 1e6:,.1f} MB that unpack to over {_limit(path) / 1e6:,.0f} MB")
