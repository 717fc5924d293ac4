"""The layout of an index in PostgreSQL: two tables per generation, and one with the generation that answers.

    paintings                                      one row per generation: its manifest, and whether it answers
    paintings_000003_0123456789abcdef              generation 3: one row per painting, its vector bit for bit
    paintings_000003_0123456789abcdef_artists      its artists and their centroids
    paintings_000000_build                         embeddings, while an index is built here and not pushed (stage.py)

The digits are the first of the sha256 of the generation's manifest. `number` is the painting's row in the index, which
only grows. Missing values are NULL. Statements contain only these names, which are checked when they are made or read
(address.py), and never text from a user or a catalog: that is passed as parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, LiteralString

import pandas as pd
from psycopg import sql

from ...errors import BadIndex
from ..scoring.vectors import Array, Integers
from ..storage.segments import OWN_COLUMNS
from ..storage.words import searched_text

MARK = "artidx 1"  # the comment on our table of generations, with the version of this layout
TEXTS = ("id", "path", "artist", "artist_key", "title", "sha256", "vector_sha256")
WHOLE = ("row", "year")
NOBODY = -1  # the number of a painting without an artist
ARTISTS = "_artists"
INLINE = 1024  # numbers of a vector in the painting's row; a longer one is stored separately, in a few pieces
INDEXED = 2000  # numbers of a vector for which pgvector can build a graph

EXACT_UP_TO = 20_000  # paintings up to which the search is exhaustive
GRAPH: LiteralString = "hnsw (vector vector_ip_ops) WITH (m = 16, ef_construction = 200)"
EFFORT = 128  # minimal number of nodes to search
MOST_EFFORT = 1000  # maximum of pgvector

PAINTINGS = """
CREATE TABLE IF NOT EXISTS {table} (
    number bigint PRIMARY KEY,
    id text COLLATE "C" NOT NULL,
    path text COLLATE "C" NOT NULL,
    artist text COLLATE "C",
    artist_key text COLLATE "C",
    title text COLLATE "C",
    sha256 text COLLATE "C",
    vector_sha256 text COLLATE "C" NOT NULL,
    year bigint,
    artist_number integer NOT NULL,
    rank bigint,
    words text COLLATE "C" NOT NULL,
    labels jsonb NOT NULL,
    numbers jsonb NOT NULL,
    vector vector({dim}) NOT NULL
)"""
WRITTEN = (*TEXTS, "year", "number", "artist_number", "rank", "words", "labels", "numbers", "vector")
TYPES = (*("text" for _ in TEXTS), "int8", "int8", "int4", "int8", "text", "jsonb", "jsonb", "vector")
OWN_TABLE = """
CREATE TABLE IF NOT EXISTS {table} (
    called text PRIMARY KEY,
    generation bigint NOT NULL,
    paintings bigint NOT NULL,
    manifest text,
    columns jsonb,
    kind text,
    recall_at_10 double precision,
    answers boolean NOT NULL DEFAULT false
)"""
ARTISTS_TABLE = """
CREATE TABLE {table} (
    number integer PRIMARY KEY,
    key text NOT NULL,
    name text NOT NULL,
    paintings bigint NOT NULL,
    centroid vector({dim}) NOT NULL
)"""
STAGE_TABLE = """
CREATE TABLE IF NOT EXISTS {table} (
    number bigint PRIMARY KEY,
    text text COLLATE "C" NOT NULL,
    vector vector({dim}) NOT NULL
)"""
# Indexes for lookups and filters. Hash indexes, because a text may be too long for PostgreSQL's trees.
LOOKED_UP: dict[str, LiteralString] = {
    "_i": "hash (id)",
    "_p": "hash (path)",
    "_s": "hash (sha256)",
    "_o": "hash ((labels ->> 'object'))",
    "_k": "hash (artist_key)",
    "_y": "btree (year)",
    "_a": "btree (artist_number)",
    "_r": "btree (rank) WHERE rank IS NOT NULL",
}


@dataclass(frozen=True)
class Kind:
    """How vectors are searched: exhaustively ("exact"), or by a graph ("HNSW")."""

    type: str

    @property
    def is_exact(self) -> bool:
        """Whether the search is exhaustive."""
        return self.type == "exact"


def kind_for(paintings: int, dim: int) -> Kind:
    """The kind for this many paintings with vectors of this length."""
    return Kind("exact" if paintings <= EXACT_UP_TO or dim > INDEXED else "HNSW")


def table_name(name: str, generation: int, sha256: str) -> str:
    """The name of a generation's table."""
    return f"{name}_{generation:06d}_{sha256[:16]}"


def generation_of(name: str, table: str) -> int:
    """The generation of a table."""
    return int(table.removeprefix(f"{name}_").split("_")[0])


def stage_name(name: str) -> str:
    """The name of the table of embeddings while an index is built."""
    return f"{name}_000000_build"


def statement(text: LiteralString, **parts: str | int | sql.Composable) -> sql.Composed:
    """A statement whose braces are filled with names of tables, integers, and parts of statements."""
    return sql.SQL(text).format(
        **{
            key: sql.Identifier(part) if isinstance(part, str) else sql.Literal(part) if isinstance(part, int) else part
            for key, part in parts.items()
        }
    )


def check_fits(table: pd.DataFrame, again: str) -> None:
    """Raises BadIndex for the first painting with a character that PostgreSQL cannot store. again: what to do then."""
    for name in (name for name in table.columns if name not in WHOLE):
        for id_, cell in zip(table["id"], table[name], strict=True):
            if isinstance(cell, str) and "\0" in cell + name:
                raise BadIndex(
                    f"{id_!r}: its {name!r} holds the character of code 0, which PostgreSQL cannot keep; correct it, "
                    f"and {again}"
                )


def rows_of(table: pd.DataFrame, vectors: Array, artists: Integers, ranks: Integers) -> Iterator[tuple[Any, ...]]:
    """Rows of a table (m,) in the order of WRITTEN. vectors: (m, d); artists: (m,) numbers; ranks: (m,) by hash, or
    NOBODY. The texts are such that PostgreSQL can store them (`check_fits`).
    """
    from psycopg.types.json import Jsonb

    others = [name for name in table.columns if name not in OWN_COLUMNS]
    texts = {name: table[name].astype(object).where(table[name].notna(), None).tolist() for name in (*TEXTS, *others)}
    values = {
        name: pd.to_numeric(table[name], errors="coerce").clip(-1.7e308, 1.7e308).tolist() for name in (*TEXTS, *others)
    }
    years = table["year"].astype(object).where(table["year"].notna(), None).tolist()
    words = searched_text(table).to_pylist()
    for at, number in enumerate(table["row"].tolist()):
        yield (
            *(texts[name][at] for name in TEXTS),
            years[at],
            number,
            int(artists[at]),
            None if ranks[at] == NOBODY else int(ranks[at]),
            words[at],
            Jsonb({name: texts[name][at] for name in others if texts[name][at] is not None}),
            Jsonb({name: values[name][at] for name in values if values[name][at] == values[name][at]}),
            vectors[at],
        )
