"""A copy of a segment's table as columns that are read in place: `NAME.arrow`, made from NAME.parquet.

Parquet is compressed: to look up one id, all are unpacked into memory. This file is in Arrow's own format, uncompressed
and memory-mapped, so that only what is used is in memory, and all readers share it. In addition to the table's columns,
each batch of rows has:

    an order    for each column in ORDERED: the rows sorted by this text, stable, missing ones last
    the words   in which paintings are searched (words.py)

Columns with few different texts, such as artists, are dictionary-encoded. Does not know later corrections
(paintings.py).

Chosen on a million paintings in one run, in processor time, each system with its own indexes: a filter that half of the
paintings pass took 19 ms here, 94 in DuckDB and 258 in SQLite; a painting by its id 0.2 ms, 1.8 and 0.02; private
memory was 13, 136 and 5 MB, the file 279, 279 and 357 MB. Filters are what people wait for.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import damaged, exhausted
from .batch import HASH, ORDERED, OWN, numbers_of, ordered, own_columns
from .words import searched_in

ENDING = ".arrow"
ARTISTS = ("artist", "artist_key")  # always dictionary-encoded
AT_ONCE = 1 << 17  # rows per batch: some 100 MB while it is made, and eight lookups for an id among a million
MOST_TEXTS = 1 << 16  # maximal number of different texts of a dictionary: some megabytes in every reader
MAGIC = b"ARROW1\0\0"


def batches_of(schema: Any, tables: Callable[[], Iterable[Any]]) -> Iterator[Any]:
    """A record batch for each of several Arrow tables or batches, which are read twice. Raises ValueError if a painting
    has no hash of its vector.

    All batches share their dictionaries, which are collected first.
    """
    texts, rows = _few_texts(tables())
    # A loop would keep each table until it has the next.
    yield from map(partial(_batch, texts=texts), tables() if rows else [schema.empty_table()])


def write(path: Path, batches: Iterable[Any]) -> None:
    """Write an Arrow file. Raises OSError if the disk is full."""
    with pa.OSFile(str(path), "wb") as sink, ExitStack() as opened:
        writer = None
        for batch in batches:
            writer = writer or opened.enter_context(pa.ipc.new_file(sink, batch.schema))
            writer.write_batch(batch)
            del batch  # before the next is made, into the same memory
            pa.default_memory_pool().release_unused()


def read(path: Path, length: int, *, is_checked: bool) -> list[Any]:
    """The batches in a file, mapped. Raises BadIndex unless they are valid results of `batches_of` for this many
    paintings, or have been checked before (is_checked): an invalid number would be followed."""
    try:
        with pa.memory_map(str(path)) as file:
            if not is_checked:
                _check_not_packed(file)
            file.seek(len(MAGIC))
            with pa.ipc.open_stream(file) as stream:  # read as a stream: the footer is not trusted
                found = list(stream)
        if not is_checked:
            _check(found, length)
        return found
    except FileNotFoundError:
        raise
    except Exception as problem:  # pyarrow raises its own errors and OSError
        raise exhausted(problem, str(path)) or damaged(
            path, f"not the columns of {length:,} paintings: {' '.join(str(problem).split())[:200]}"
        ) from None


def _few_texts(tables: Iterable[Any]) -> tuple[dict[str, Any], int]:
    """The texts of each column with few different ones, in order of appearance; of artists always. And the number of
    rows."""
    rows, found = 0, dict[str, Any]()
    dropped = {*ORDERED}
    for table in tables:
        rows += len(table)
        for field in table.schema:
            if field.name in dropped or not _may_be_text(field.type):
                continue
            texts = pc.unique(_one(table[field.name].cast(pa.large_string())))
            known = found.get(field.name, texts[:0])
            found[field.name] = pc.unique(pa.concat_arrays([known, texts])).drop_null()
            if field.name not in ARTISTS and len(found[field.name]) > MOST_TEXTS:
                del found[field.name]
                dropped.add(field.name)
        del table  # as in `write`
        pa.default_memory_pool().release_unused()
    return {name: texts for name, texts in found.items() if name in ARTISTS or 2 * len(texts) < rows}, rows


def _batch(table: Any, texts: dict[str, Any]) -> Any:
    columns = [_column(name, _one(table[name]), texts.get(name)) for name in table.column_names]
    schema = pa.schema(
        [pa.field(name, column.type) for name, column in zip(table.column_names, columns, strict=True)],
        (table.schema.metadata or {}) | {OWN: str(len(columns)).encode()},
    )
    return _with_orders(pa.RecordBatch.from_arrays(columns, schema=schema))


def _column(name: str, column: Any, texts: Any | None) -> Any:
    if name == "vector_sha256":
        return column.cast(pa.large_binary()).cast(pa.binary(HASH))
    if not _may_be_text(column.type):
        return column
    column = column.cast(pa.large_string())
    return column if texts is None else pa.DictionaryArray.from_arrays(pc.index_in(column, texts), texts)


def _may_be_text(kind: Any) -> bool:
    """The type of an empty column is not known."""
    return _is_text(kind) or bool(pa.types.is_null(kind))


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _with_orders(part: Any) -> Any:
    """A batch with the orders and the words of its rows."""
    names = [name for name in ORDERED if name in part.column_names]
    more = [pc.sort_indices(part[name]).cast(pa.uint32()) for name in names]
    words = searched_in({name: part[name] for name in part.column_names})
    fields = [*part.schema, *(pa.field(f"order of {name}", pa.uint32()) for name in names)]
    schema = pa.schema([*fields, pa.field("words", pa.large_string())], part.schema.metadata)
    columns = [*part.columns, *more, words]
    return pa.RecordBatch.from_arrays([_one(column) for column in columns], schema=schema)


def _one(column: Any) -> Any:
    """All chunks in one array."""
    found = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return found.chunk(0) if isinstance(found, pa.ChunkedArray) else found


def _check(batches: Sequence[Any], length: int) -> None:
    if sum(map(len, batches)) != length or not batches:
        raise ValueError(f"{sum(map(len, batches)):,} rows")
    last = -1
    for batch in batches:
        batch.validate(full=True)
        own, orders = own_columns(batch.schema), ordered(batch.schema)
        if own + len(orders) + 1 != batch.num_columns or len({*batch.schema.names[:own]}) < own:
            raise ValueError("other columns than it says")
        check_kinds(batch.schema, batch.columns[:own])
        for column in batch.columns[:own]:
            if pa.types.is_fixed_size_binary(column.type):
                column.cast(pa.large_binary()).cast(pa.large_string())  # raises if it is not text
        rows = numbers_of(batch["row"])
        if len(rows) and (rows[0] <= last or (np.diff(rows) <= 0).any()):
            raise ValueError("the numbers of the paintings do not ascend")
        last = rows[-1] if len(rows) else last
        for at in orders.values():
            order = batch.column(at)
            if order.type != pa.uint32() or order.null_count or (len(order) and pc.max(order).as_py() >= len(batch)):
                raise ValueError("an invalid order")
        if batch.column(batch.num_columns - 1).type != pa.large_string():
            raise ValueError("invalid search words")


def check_kinds(schema: Any, columns: Sequence[Any]) -> None:
    """Raises ValueError if a column that every table has is missing, or has another type."""
    there = dict(zip(schema.names, columns, strict=False))
    for name, (is_of, may_miss) in KINDS.items():
        if name not in there:
            raise ValueError(f"lacks the column {name}")
        column = there[name]
        is_right = is_of(column.type) or (may_miss and column.null_count == len(column))
        if not is_right or (column.null_count and not may_miss):
            raise ValueError(f"its column {name} has the wrong type")


def _is_said(kind: Any) -> bool:
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    return _is_text(plain) or plain == pa.binary(HASH)


KINDS: dict[str, tuple[Any, bool]] = {
    "row": (pa.types.is_integer, False),
    "id": (_is_said, False),
    "path": (_is_said, False),
    "artist": (_is_said, True),
    "artist_key": (_is_said, True),
    "title": (_is_said, True),
    "year": (pa.types.is_integer, True),
    "sha256": (_is_said, False),
    "vector_sha256": (_is_said, False),
}


def _check_not_packed(file: Any) -> None:
    """Raises ValueError for a batch that is compressed: half a kilobyte can stand for gigabytes."""
    if file.read(len(MAGIC)) != MAGIC:
        raise ValueError("not as Arrow writes a file")
    for message in pa.ipc.MessageReader.open_stream(file):
        if message.type in ("record batch", "dictionary") and _is_packed(message.metadata.to_pybytes()):
            raise ValueError("it is compressed")


def _is_packed(metadata: bytes) -> bool:
    """Whether an Arrow message (Message.fbs) declares compression. Raises ValueError."""

    def field(table: int, number: int) -> int:
        """The position of a field of a flatbuffer's table, 0 if absent."""
        (back,) = struct.unpack_from("<i", metadata, table)
        (size,) = struct.unpack_from("<H", metadata, table - back)
        slot = 4 + 2 * number
        at = int(struct.unpack_from("<H", metadata, table - back + slot)[0]) if slot < size else 0
        return table + at if at else 0

    def followed(at: int) -> int:
        return at + int(struct.unpack_from("<I", metadata, at)[0])

    try:
        message = followed(0)
        (kind,) = struct.unpack_from("<B", metadata, field(message, 1))
        header = followed(field(message, 2))
        batch = header if kind == RECORD_BATCH else followed(field(header, 1))
        return bool(field(batch, 3))
    except struct.error as problem:
        raise ValueError(f"an invalid message: {problem}") from None


RECORD_BATCH = 3  # of the union MessageHeader; a dictionary batch contains a record batch
