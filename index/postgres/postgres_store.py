"""A generation in PostgreSQL as a store of vectors: only its artists and recently read paintings are in memory.

PostgreSQL proposes neighbours, their vectors come back bit for bit, and their distances are computed here as everywhere
(vectors.distances), so that they equal those of the folder that was pushed. The search is exhaustive in a small
generation, and with any filter; in a large one, a graph proposes the neighbours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, LiteralString

import numpy as np
import pandas as pd
from psycopg.sql import SQL, Composable, Identifier

from ...errors import BadIndex, BadSetting
from ...plain_text import is_text
from ..scoring.neighbourhood import LANDMARKS, Landmarks
from ..scoring.vectors import MARGIN, Array, Doubles, Integers, distances
from ..storage.folder_store import nothing_left
from ..storage.manifest import Manifest, read_manifest
from ..storage.remembered import Record, Remembered
from ..storage.vector_store import CANDIDATES, FURTHER, Artists, Candidates, Near, Painting, Seen
from ..storage.where import Condition, narrowed
from .address import Address
from .filters import AND, NEVER, Clause, clause, joined
from .layout import ARTISTS, EFFORT, EXACT_UP_TO, MOST_EFFORT, NOBODY, TEXTS, WHOLE, Kind, generation_of
from .server import Server, connected

WHOLE_AT_MOST = 2_000_000  # paintings read into memory, for evaluation
RECORD: LiteralString = (
    "SELECT number, id, path, artist, title, year, labels, sha256, vector FROM {table} WHERE {where}"
)
BY = {  # columns for lookups
    **{name: Identifier(name) for name in ("id", "path", "sha256")},
    "object": SQL("(labels ->> 'object')"),
}
ROW = SQL(", ").join(map(Identifier, ("number", *TEXTS, "year", "labels")))
ABOUT: LiteralString = (
    "SELECT manifest, columns, kind, recall_at_10 FROM {table} WHERE called = %s AND manifest IS NOT NULL"
)


@dataclass(frozen=True)
class About:
    """Facts stored beside the paintings. columns: of the table, in order.

    recall_at_10: the share of the ten nearest paintings that the search finds, measured during the push.
    """

    manifest: str
    columns: Sequence[str]
    kind: Kind
    recall_at_10: float


class PostgresStore:
    """The paintings of one generation, or those that satisfy a condition."""

    def __init__(
        self,
        server: Server,
        table: str,
        about: About,
        manifest: Manifest,
        sha256: str,
        condition: Condition | None = None,
    ) -> None:
        self.name = str(server.address)
        self.manifest = manifest
        self.sha256 = sha256
        self.about = about
        self._server, self._table_name, self._condition = server, table, condition
        self._filter = clause(condition)
        self._remembered = Remembered(lambda places: self._read(_at(places)))

    @classmethod
    def open(cls, address: Address) -> PostgresStore:
        """The store of the generation that answers at an address. Raises BadIndex."""
        server = connected(address)
        table = server.published()
        if table is None:
            raise BadIndex(f"{address}: no such index; copy one there with artidx push INDEX {address}")
        return cls.of(server, table)

    @classmethod
    def published_sha256(cls, address: Address) -> str:
        """The beginning of the sha256 of the manifest of the generation that answers. Raises BadIndex."""
        table = connected(address).published()
        if table is None:
            raise BadIndex(f"{address}: no index with this name any more")
        return table[-16:]

    @classmethod
    def published(cls, address: Address) -> tuple[int, str] | None:
        """The number of the generation that answers, and the beginning of its manifest's sha256; None for none.

        Raises BadIndex.
        """
        found = connected(address).published()
        return (generation_of(address.name, found), found[-16:]) if found else None

    @classmethod
    def check(cls, address: Address) -> None:
        """Raises IndexAway if no server answers or it refuses us, BadIndex if the name is taken."""
        connected(address).published()

    @classmethod
    def of(cls, server: Server, table: str) -> PostgresStore:
        """The store of the generation in a table. Raises BadIndex if its facts are incomplete."""
        try:
            ((manifest, columns, kind, recall),) = server.rows(server.address.name, ABOUT, (table,))
            about = About(manifest, columns, Kind(kind), recall)
            data = about.manifest.encode()
            sha256 = hashlib.sha256(data).hexdigest()
            if not table.endswith(f"_{sha256[:16]}"):
                raise ValueError("the manifest is not the one it was published with")
            return cls(server, table, about, read_manifest(data, Path(table), sha256), sha256)
        except (ValueError, TypeError, AttributeError) as problem:
            raise BadIndex(
                f"{server.address}: what is kept about {table} is damaged ({problem}); push or build it again"
            ) from None

    def __len__(self) -> int:
        return self._length

    @property
    def is_approximate(self) -> bool:
        """Never with a filter, since filtered searches are exhaustive."""
        return self._condition is None and not self.about.kind.is_exact

    @property
    def facts(self) -> list[str]:
        """How the paintings are stored and searched, in sentences."""
        kind = self.about.kind
        found = "exhaustive search" if kind.is_exact else f"finds {self.about.recall_at_10:.1%} of the ten nearest"
        return [f"kept in PostgreSQL {self._server.version}, as {self._table_name}; {kind.type}, {found}"]

    @property
    def label_names(self) -> list[str]:
        return [name for name in self.about.columns if name not in (*TEXTS, *WHOLE)]

    def only(self, where: str | None, exclude: str | None) -> PostgresStore:
        chosen = self._with(narrowed(self._condition, where, exclude, self.about.columns, WHOLE))
        if not len(chosen):
            raise nothing_left(self.name, where, exclude)
        return chosen

    @property
    def everything(self) -> PostgresStore:
        return self if self._condition is None else self._with(None)

    def places(self, column: str, value: str) -> list[int]:
        if not value or not is_text(value) or "\0" in value:
            return []
        found = self._read(Clause(SQL("{} = %s").format(BY[column]), (value,)))
        return sorted(self._remembered.keep(found))

    def paintings(self, places: Sequence[int]) -> list[Painting]:
        return [record.painting for record in self._remembered.at(places)]

    def contents(self, places: Sequence[int]) -> list[str]:
        return [record.sha256 for record in self._remembered.at(places)]

    def vectors_at(self, places: Sequence[int]) -> Array:
        return self._stacked([record.vector for record in self._remembered.at(places)])

    def artists_at(self, places: Sequence[int]) -> Integers:
        there = self._among(_at(places))
        found = self._rows(
            "SELECT artist_number FROM {table} WHERE {where} ORDER BY number", there.values, where=there.text
        )
        return np.array([number for (number,) in found], np.int64)

    def nearest(self, queries: Array, wanted: Sequence[int]) -> list[Near]:
        return [
            self._measured(query, self._proposed(query, k + MARGIN)[0], k)
            for query, k in zip(queries, wanted, strict=True)
        ]

    def look(self, queries: Array, wanted: Sequence[int], excluded: Sequence[Collection[int]]) -> Iterator[Seen]:
        """If there are few paintings, all of them are compared, as in a folder."""
        most = EXACT_UP_TO if len(self) <= EXACT_UP_TO else CANDIDATES
        for query, k, own in zip(queries, wanted, excluded, strict=True):
            places, artists, cosines = self._proposed(query, max(k + MARGIN, most + len(own)))
            counts = np.flatnonzero(~np.isin(places, [*own]))[:most]
            candidates = Candidates(places[counts], artists[counts], cosines[counts], are_all=len(places) >= len(self))
            yield Seen(self._measured(query, places[: k + MARGIN], k), candidates)

    def search(self, words: Sequence[str], artist: int | None, start: int, count: int) -> tuple[list[int], int]:
        parts = [NEVER if "\0" in word else Clause(SQL("strpos(words, %s) > 0"), (word,)) for word in words]
        if artist is not None:
            parts.append(Clause(SQL("artist_number = %s"), (artist,)))
        there = self._among(*parts)
        ((total,),) = self._rows("SELECT count(*) FROM {table} WHERE {where}", there.values, where=there.text)
        found = self._rows(
            "SELECT number FROM {table} WHERE {where} ORDER BY number OFFSET %s LIMIT %s",
            (*there.values, start, count),
            where=there.text,
        )
        return [number for (number,) in found], total

    def sample(self, most: int) -> Integers:
        found = self._rows("SELECT number FROM {table} WHERE rank < %s ORDER BY number", (most,))
        return np.array([number for (number,) in found], np.int64)

    def rows(self, places: Sequence[int]) -> pd.DataFrame:
        there = _at(places)
        read = self._rows("SELECT {row} FROM {table} WHERE {where}", there.values, row=ROW, where=there.text)
        found = {row[0]: row for row in read}
        return self._framed([found[place] for place in places])

    def whole(self) -> tuple[pd.DataFrame, Array]:
        if self.manifest.paintings > WHOLE_AT_MOST:
            raise BadSetting(
                f"{self.name}: {self.manifest.paintings:,} paintings are more than are read into memory "
                f"({WHOLE_AT_MOST:,}); evaluate the folder that was pushed"
            )
        found = self._rows("SELECT {row}, vector FROM {table} ORDER BY number", row=ROW)
        if len(found) != self.manifest.paintings:
            raise BadIndex(
                f"{self.name}: {len(found):,} paintings, its manifest says {self.manifest.paintings:,}; "
                f"push or build it again"
            )
        return self._framed(found), self._stacked([row[-1].to_numpy() for row in found])

    @cached_property
    def artists(self) -> Artists:
        found = self._artist_rows("key", "name", "paintings")
        known = Artists(
            [key for key, _, _ in found], [name for _, name, _ in found], np.array([n for _, _, n in found], np.int64)
        )
        if self._condition is None:
            return known
        counts = np.zeros(len(known.keys), np.int64)
        for number, paintings in self._rows(
            "SELECT artist_number, count(*) FROM {table} WHERE {where} GROUP BY artist_number",
            self._filter.values,
            where=self._filter.text,
        ):
            if number != NOBODY:
                counts[number] = paintings
        return replace(known, paintings=counts)

    @cached_property
    def landmarks(self) -> Landmarks:
        found = self._rows("SELECT number, vector FROM {table} WHERE rank < %s ORDER BY number", (LANDMARKS,))
        return Landmarks.of([number for number, _ in found], self._stacked([vector.to_numpy() for _, vector in found]))

    @cached_property
    def centroids(self) -> Array:
        return self._stacked([centroid.to_numpy() for (centroid,) in self._artist_rows("centroid")])

    @cached_property
    def _length(self) -> int:
        if self._condition is None:
            return self.manifest.paintings
        ((found,),) = self._rows(
            "SELECT count(*) FROM {table} WHERE {where}", self._filter.values, where=self._filter.text
        )
        return int(found)

    def _with(self, condition: Condition | None) -> PostgresStore:
        return PostgresStore(self._server, self._table_name, self.about, self.manifest, self.sha256, condition)

    def _rows(
        self,
        text: LiteralString,
        values: tuple[Any, ...] = (),
        settings: Mapping[str, str] | None = None,
        **parts: Composable,
    ) -> list[tuple[Any, ...]]:
        return self._server.rows(self._table_name, text, values, settings, **parts)

    def _artist_rows(self, *columns: str) -> list[tuple[Any, ...]]:
        return self._server.rows(
            self._table_name + ARTISTS,
            "SELECT {columns} FROM {table} ORDER BY number",
            columns=SQL(", ").join(map(Identifier, columns)),
        )

    def _among(self, *parts: Clause) -> Clause:
        return joined(AND, self._filter, *parts)

    def _proposed(self, query: Array, limit: int) -> tuple[Integers, Integers, Doubles]:
        """(c,) places, artists' numbers and cosines of the paintings nearest to a query, nearest first."""
        by_graph = self.is_approximate
        settings = {
            "enable_sort": "off",  # only the graph returns them in order
            "hnsw.ef_search": str(min(MOST_EFFORT, max(EFFORT, 2 * limit))),
            "hnsw.iterative_scan": "relaxed_order",
        }
        found = self._rows(
            "SELECT number, artist_number, -(vector <#> %s) FROM {table} WHERE {where} ORDER BY {order} LIMIT %s",
            (query, *self._filter.values, query, limit),
            settings if by_graph else None,
            where=self._filter.text,
            order=SQL("vector <#> %s" if by_graph else "vector <#> %s, number"),
        )
        places, artists, cosines = zip(*found, strict=True) if found else ((), (), ())
        return np.array(places, np.int64), np.array(artists, np.int64), np.array(cosines, np.float64)

    def _measured(self, query: Array, places: Integers, k: int) -> Near:
        """The k nearest of the paintings at these places, by their exact distances."""
        apart = distances(query[None], self.vectors_at(places.tolist())) if len(places) else np.empty(0)
        order = np.lexsort((places, apart))[:k]
        return Near(places[order], apart[order])

    def _read(self, there: Clause) -> dict[int, Record]:
        found = self._rows(RECORD, there.values, where=there.text)
        return {
            number: Record(
                Painting(id_, path, artist, title, year, *(labels.get(name) for name in FURTHER)),
                sha256 or "",
                vector.to_numpy(),
            )
            for number, id_, path, artist, title, year, labels, sha256, vector in found
        }

    def _framed(self, rows: Sequence[tuple[Any, ...]]) -> pd.DataFrame:
        """Rows in the form of the folder's table. rows: beginning with the columns of ROW."""
        columns: dict[str, Any] = {
            name: pd.Series([row[at] for row in rows], dtype="str") for at, name in enumerate(TEXTS, 1)
        }
        for name in self.label_names:
            columns[name] = pd.Series([row[len(TEXTS) + 2].get(name) for row in rows], dtype="str")
        columns["row"] = np.array([row[0] for row in rows], np.int64)
        columns["year"] = pd.array([row[len(TEXTS) + 1] for row in rows], dtype="Int64")
        return pd.DataFrame({name: columns[name] for name in self.about.columns})

    def _stacked(self, vectors: Sequence[Array]) -> Array:
        return np.array(vectors, np.float32).reshape(-1, self.manifest.model.dim)


def _at(places: Sequence[int]) -> Clause:
    return Clause(SQL("number = ANY(%s)"), (list(places),))
