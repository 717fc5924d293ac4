"""A generation in Milvus as a store of vectors: only its artists and recently read paintings are in memory.

Milvus proposes neighbours, their vectors come back bit for bit, and their distances are computed here as everywhere
(vectors.distances), so that they equal those of the folder that was pushed. Artist scores use the cosines that Milvus
returns for the nearest CANDIDATES: float32, or from 8-bit codes if there are very many paintings.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice, takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...errors import BadIndex, BadSetting
from ...plain_text import is_text
from ..scoring.neighbourhood import LANDMARKS, Landmarks
from ..scoring.vectors import MARGIN, Array, Integers, distances
from ..storage.folder_store import nothing_left
from ..storage.manifest import Manifest, read_manifest
from ..storage.remembered import Record, Remembered
from ..storage.vector_store import CANDIDATES, FURTHER, Artists, Candidates, Near, Painting, Seen
from ..storage.where import Condition, narrowed
from .address import Address
from .filters import ALWAYS, expression, quoted
from .layout import ABOUT, CENTROIDS, NO_YEAR, PIECES, TEXTS, WHOLE, Kind, generation_of, plain_words, spread_of
from .server import MOST_FOUND, ROWS, Server, connected

WHOLE_AT_MOST = 2_000_000  # paintings read into memory, for evaluation
FIELDS = ["id", "path", "artist", "title", "year", "sha256", "labels", "vector"]


@dataclass(frozen=True)
class About:
    """Facts stored beside the paintings. columns: of the table, in order; artists: as in vector_store.Artists.

    recall_at_10: the share of the ten nearest paintings that the search finds, measured during the push.
    """

    manifest: str
    columns: Sequence[str]
    artists: Sequence[tuple[str, str, int]]
    kind: Kind
    recall_at_10: float


class MilvusStore:
    """The paintings of one generation, or those that satisfy a condition."""

    def __init__(
        self,
        server: Server,
        collection: str,
        about: About,
        manifest: Manifest,
        sha256: str,
        condition: Condition | None = None,
    ) -> None:
        self.name = str(server.address)
        self.manifest = manifest
        self.sha256 = sha256
        self.about = about
        self._server, self._collection, self._condition = server, collection, condition
        self._filter = "" if condition is None else expression(condition)
        self._remembered = Remembered(lambda places: _records(server.rows(collection, _among(places), FIELDS)))

    @classmethod
    def open(cls, address: Address) -> MilvusStore:
        """The store of the generation that answers at an address. Raises BadIndex."""
        server = connected(address)
        collection = server.published()
        if collection is None:
            raise BadIndex(f"{address}: no such index; copy one there with artidx push INDEX {address}")
        return cls.of(server, collection)

    @classmethod
    def published_sha256(cls, address: Address) -> str:
        """The beginning of the sha256 of the manifest of the generation that answers. Raises BadIndex."""
        collection = connected(address).published()
        if collection is None:
            raise BadIndex(f"{address}: no index with this name any more")
        return collection[-16:]

    @classmethod
    def published(cls, address: Address) -> tuple[int, str] | None:
        """The number of the generation that answers, and the beginning of its manifest's sha256; None for none.

        Raises BadIndex.
        """
        found = connected(address).published()
        return (generation_of(address.collection, found) or 0, found[-16:]) if found else None

    @classmethod
    def check(cls, address: Address) -> None:
        """Raises IndexAway if no server answers or it refuses us, BadIndex if the name is taken."""
        connected(address).published()

    @classmethod
    def of(cls, server: Server, collection: str) -> MilvusStore:
        """The store of the generation in a collection. Raises BadIndex if its facts are incomplete."""
        for name in (collection, collection + ABOUT):  # a restarted server may load it only on request
            server.load(name)
        parts = takewhile(bool, server.windows(collection + ABOUT, range(0, CENTROIDS, PIECES), ["text"]))
        try:
            facts = json.loads("".join(row["text"] for part in parts for row in part))
            about = About(**(facts | {"kind": Kind(**facts["kind"])}))
            data = about.manifest.encode()
            sha256 = hashlib.sha256(data).hexdigest()
            if not collection.endswith(f"_{sha256[:16]}"):
                raise ValueError("the manifest is not the one it was published with")
            manifest = read_manifest(data, Path(collection), sha256)
        except (ValueError, TypeError, KeyError, AttributeError, BadIndex) as problem:
            raise BadIndex(
                f"{server.address}: what is kept about {collection} is damaged ({problem}); push or build it again"
            ) from None
        return cls(server, collection, about, manifest, sha256)

    def __len__(self) -> int:
        return self._length

    @property
    def is_approximate(self) -> bool:
        return not self.about.kind.is_exact

    @property
    def facts(self) -> list[str]:
        """How the paintings are stored and searched, in sentences."""
        kind = self.about.kind
        found = "exhaustive search" if kind.is_exact else f"finds {self.about.recall_at_10:.1%} of the ten nearest"
        return [f"kept in Milvus {self._server.version}, as {self._collection}; {kind.type}, {found}"]

    @property
    def label_names(self) -> list[str]:
        return [name for name in self.about.columns if name not in (*TEXTS, *WHOLE)]

    def only(self, where: str | None, exclude: str | None) -> MilvusStore:
        condition = narrowed(self._condition, where, exclude, self.about.columns, WHOLE)
        chosen = MilvusStore(self._server, self._collection, self.about, self.manifest, self.sha256, condition)
        if not len(chosen):
            raise nothing_left(self.name, where, exclude)
        return chosen

    @property
    def everything(self) -> MilvusStore:
        return (
            self
            if self._condition is None
            else MilvusStore(self._server, self._collection, self.about, self.manifest, self.sha256)
        )

    def places(self, column: str, value: str) -> list[int]:
        if not is_text(value):
            return []
        partition = f"spread == {spread_of(value)} and " if column == "id" else ""
        field = column if column in TEXTS else f'labels["{column}"]'
        found = self._server.rows(self._collection, f"{partition}{field} == {quoted(value)}", FIELDS) if value else []
        return list(self._remembered.keep(_records(found)))

    def paintings(self, places: Sequence[int]) -> list[Painting]:
        return [record.painting for record in self._remembered.at(places)]

    def contents(self, places: Sequence[int]) -> list[str]:
        return [record.sha256 for record in self._remembered.at(places)]

    def vectors_at(self, places: Sequence[int]) -> Array:
        return np.array([record.vector for record in self._remembered.at(places)], np.float32).reshape(
            -1, self.manifest.model.dim
        )

    def artists_at(self, places: Sequence[int]) -> Integers:
        found = self._server.rows(self._collection, _among(places, self._filter), ["artist_number"]) if places else []
        return np.array([row["artist_number"] for row in found], np.int64)

    def nearest(self, queries: Array, wanted: Sequence[int]) -> list[Near]:
        return [self._nearest(query, k) for query, k in zip(queries, wanted, strict=True)]

    def look(self, queries: Array, wanted: Sequence[int], excluded: Sequence[Collection[int]]) -> Iterator[Seen]:
        for query, k, own in zip(queries, wanted, excluded, strict=True):
            yield Seen(self._nearest(query, k), self._candidates(query, own))

    def _nearest(self, query: Array, k: int) -> Near:
        found = self._search(query, min(k, len(self)) + MARGIN, FIELDS)
        self._remembered.keep(_records([hit["entity"] | {"row": hit["row"]} for hit in found]))
        places = np.array([hit["row"] for hit in found], np.int64)
        apart = distances(query[None], self.vectors_at(places.tolist())) if len(places) else np.empty(0)
        order = np.lexsort((places, apart))[:k]
        return Near(places[order], apart[order])

    def _candidates(self, query: Array, excluded: Collection[int]) -> Candidates:
        wanted = CANDIDATES + len(excluded)
        found = self._search(query, wanted, ["artist_number"])
        counted = [hit for hit in found if hit["row"] not in excluded][:CANDIDATES]
        return Candidates(
            np.array([hit["row"] for hit in counted], np.int64),
            np.array([hit["entity"]["artist_number"] for hit in counted], np.int64),
            np.array([hit["distance"] for hit in counted], np.float64),
            are_all=len(found) >= len(self),
        )

    def search(self, words: Sequence[str], artist: int | None, start: int, count: int) -> tuple[list[int], int]:
        if words and self._server.version.removeprefix("v").split(".")[:2] in (["2", str(n)] for n in range(4)):
            raise BadSetting(f"{self.name}: Milvus {self._server.version} cannot search for words; 2.4 and newer can")
        parts = [f"words like {quoted(f'%{plain_words(word)}%')}" for word in words]
        if artist is not None:
            parts.append(f"artist_number == {artist}")
        condition = self._and(*parts)
        total = self._server.count(self._collection, condition)
        whole = range(0, self.manifest.next_row, MOST_FOUND)
        pages = (
            [self._server.rows(self._collection, condition, [])]
            if total <= MOST_FOUND
            else self._server.windows(self._collection, whole, [], condition=condition)
        )
        found = islice((int(row["row"]) for page in pages for row in page), start, start + count)
        return list(found), total

    def sample(self, most: int) -> Integers:
        found = self._server.windows(self._collection, range(0, most, MOST_FOUND), [], of="rank")
        return np.sort(np.array([row["row"] for page in found for row in page], np.int64))

    def rows(self, places: Sequence[int]) -> pd.DataFrame:
        found = {
            row["row"]: row
            for start in range(0, len(places), ROWS)
            for row in self._server.rows(
                self._collection, _among(places[start : start + ROWS]), [*TEXTS, "year", "labels"]
            )
        }
        return self._table([found[place] for place in places])

    def whole(self) -> tuple[pd.DataFrame, Array]:
        if self.manifest.paintings > WHOLE_AT_MOST:
            raise BadSetting(
                f"{self.name}: {self.manifest.paintings:,} paintings are more than are read into memory "
                f"({WHOLE_AT_MOST:,}); evaluate the folder that was pushed"
            )
        pages = self._server.windows(
            self._collection, range(0, self.manifest.next_row, ROWS), [*TEXTS, "year", "labels", "vector"]
        )
        found = [row for page in pages for row in page]
        if len(found) != self.manifest.paintings:
            raise BadIndex(
                f"{self.name}: {len(found):,} paintings, its manifest says {self.manifest.paintings:,}; "
                f"push or build it again"
            )
        return self._table(found), _vectors(found, self.manifest.model.dim)

    @cached_property
    def artists(self) -> Artists:
        keys, names, counts = zip(*self.about.artists, strict=True) if self.about.artists else ((), (), ())
        known = Artists(keys, names, np.array(counts, np.int64))
        if not self._filter:
            return known
        # Milvus cannot count groups: the artists of all allowed paintings are read, some bytes each.
        whole = range(0, self.manifest.next_row, MOST_FOUND)
        pages = (
            [self._server.rows(self._collection, self._filter, ["artist_number"])]
            if len(self) <= MOST_FOUND
            else self._server.windows(self._collection, whole, ["artist_number"], condition=self._filter)
        )
        numbers = np.array([row["artist_number"] for page in pages for row in page], np.int64)
        return replace(known, paintings=np.bincount(numbers + 1, minlength=len(keys) + 1)[1:])

    @cached_property
    def landmarks(self) -> Landmarks:
        found = self._server.rows(self._collection, f"rank < {LANDMARKS}", ["vector"])
        return Landmarks.of([int(row["row"]) for row in found], _vectors(found, self.manifest.model.dim))

    @cached_property
    def centroids(self) -> Array:
        numbers = range(CENTROIDS, CENTROIDS + len(self.about.artists), ROWS)
        pages = self._server.windows(self._collection + ABOUT, numbers, ["vector"])
        found = [row for page in pages for row in page]
        if len(found) != len(self.about.artists):
            raise BadIndex(f"{self.name}: what is kept about {self._collection} is damaged; push or build it again")
        return _vectors(found, self.manifest.model.dim)

    @cached_property
    def _length(self) -> int:
        return self._server.count(self._collection, self._filter) if self._filter else self.manifest.paintings

    def _and(self, *parts: str) -> str:
        found = [f"({part})" for part in (self._filter, *parts) if part]
        return " and ".join(found) or ALWAYS

    def _search(self, query: Array, limit: int, fields: list[str]) -> list[dict[str, Any]]:
        """Hits, each with row, distance (the cosine, as Milvus calls it) and entity; nearest first."""
        if limit > MOST_FOUND:
            raise BadSetting(f"{self.name}: Milvus finds {MOST_FOUND:,} paintings at most")
        parameters = {"metric_type": "IP", "params": self.about.kind.asked_with(limit)}
        found = self._server.ask(
            "search",
            self._collection,
            data=[query],
            limit=limit,
            output_fields=["row", *fields],
            filter=self._filter,
            search_params=parameters,
        )
        return [
            {"row": int(hit["entity"]["row"]), "distance": hit["distance"], "entity": hit["entity"]} for hit in found[0]
        ]

    def _table(self, rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
        """Rows in the form of the folder's table."""
        columns: dict[str, Any] = {
            name: pd.Series(
                [(row[name] if name in TEXTS else row["labels"].get(name)) or None for row in rows], dtype="str"
            )
            for name in self.about.columns
            if name not in WHOLE
        }
        columns["row"] = np.array([row["row"] for row in rows], np.int64)
        columns["year"] = pd.array([None if row["year"] == NO_YEAR else row["year"] for row in rows], dtype="Int64")
        return pd.DataFrame({name: columns[name] for name in self.about.columns})


def _records(rows: Sequence[Any]) -> dict[int, Record]:
    return {
        int(row["row"]): Record(
            Painting(
                row["id"],
                row["path"],
                row["artist"] or None,
                row["title"] or None,
                None if row["year"] == NO_YEAR else int(row["year"]),
                *(row["labels"].get(name) or None for name in FURTHER),
            ),
            row["sha256"],
            np.array(row["vector"], np.float32),
        )
        for row in rows
    }


def _vectors(rows: Sequence[dict[str, Any]], dim: int) -> Array:
    return np.array([row["vector"] for row in rows], np.float32).reshape(-1, dim)


def _among(places: Sequence[int], condition: str = "") -> str:
    listed = f"row in [{', '.join(str(place) for place in places)}]"
    return f"{listed} and ({condition})" if condition else listed
