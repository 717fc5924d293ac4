"""The layout of an index in Milvus: two collections per generation, and an alias for the one that answers.

    paintings                                      the alias: the name in the address
    paintings_000003_0123456789abcdef              generation 3: one row per painting, its vector bit for bit
    paintings_000003_0123456789abcdef_about        its manifest with the calibration, its artists and their centroids
    paintings_000000_build                         embeddings, while an index is built here and not pushed (stage.py)

The digits are the first of the sha256 of the generation's manifest. `row` is the painting's number, which only grows;
`spread`, derived from the id, is its partition, so that partitions have equal sizes and an id is searched in one.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ...errors import BadIndex
from ..scoring.vectors import Array
from ..storage.segments import OWN_COLUMNS
from ..storage.words import searched_text

TEXTS = ("id", "path", "artist", "artist_key", "title", "sha256", "vector_sha256")
WHOLE = ("row", "year")
NO_YEAR = -1  # years have three digits or more
NOBODY = -1  # the number of a painting without an artist
ABOUT = "_about"
CENTROIDS = 1 << 32  # in the `about` collection: the row of the first artist's centroid
UNRANKED = 1 << 62
LONGEST_TEXT = 65535  # bytes in one field of Milvus
LONGEST_MESSAGE = 32 << 20  # bytes of entities; Milvus takes 64 MB
PIECE = 10_000  # characters of the facts per row: at most four bytes each
PIECES = 100  # read at once
MOST_BYTES = 60  # bytes that a character can become, folded and in UTF-8
UNLIKE = str.maketrans({"%": "％", "_": "＿", "\\": "＼"})  # special characters of `like`

EXACT_UP_TO = 20_000  # paintings up to which the search is exhaustive
GRAPH_UP_TO = 20_000_000  # paintings up to which the index is a graph; more are kept in memory as 8-bit codes
PER_PARTITION = 1_000_000  # paintings
MOST_PARTITIONS = 1024


@dataclass(frozen=True)
class Kind:
    """A vector index of Milvus. type: Milvus' name; effort: minimal number of nodes or lists to search."""

    type: str
    effort: int = 0

    @property
    def is_exact(self) -> bool:
        """Whether the search is exhaustive."""
        return self.type == "FLAT"

    def built_with(self, paintings: int) -> dict[str, Any]:
        """Milvus' parameters for building it."""
        if self.type == "HNSW":
            return {"M": 16, "efConstruction": 200}
        return {"nlist": lists_of(paintings)} if self.type == "IVF_SQ8" else {}

    def asked_with(self, limit: int) -> dict[str, Any]:
        """Milvus' parameters for a search of `limit` paintings."""
        if self.type == "HNSW":
            return {"ef": max(self.effort, 2 * limit)}
        return {"nprobe": self.effort} if self.type == "IVF_SQ8" else {}


def kind_for(paintings: int) -> Kind:
    """The kind of index for this many paintings."""
    if paintings <= EXACT_UP_TO:
        return Kind("FLAT")
    if paintings <= GRAPH_UP_TO:
        return Kind("HNSW", 128)
    return Kind("IVF_SQ8", lists_of(paintings) // 32)


def lists_of(paintings: int) -> int:
    """The number of IVF lists in a segment, for Milvus' segments of up to half a gigabyte."""
    return int(min(4096, max(128, 4 * paintings**0.5)))


def partitions_for(paintings: int) -> int:
    """The number of partitions."""
    return max(1, min(MOST_PARTITIONS, paintings // PER_PARTITION))


def collection_name(name: str, generation: int, sha256: str) -> str:
    """The name of a generation's collection."""
    return f"{name}_{generation:06d}_{sha256[:16]}"


def stage_name(name: str) -> str:
    """The name of the collection of embeddings while an index is built."""
    return f"{name}_000000_build"


def generation_of(name: str, collection: str) -> int | None:
    """The generation of a collection, or of the one about it; None for a collection that is not ours."""
    found = re.fullmatch(rf"{name}_(\d{{6,18}})_[0-9a-f]{{16}}(?:{ABOUT})?", collection)
    return int(found[1]) if found else None


def spread_of(id_: str) -> int:
    """The value that determines a painting's partition."""
    return int(hashlib.sha256(id_.encode()).hexdigest()[:8], 16)


def plain_words(text: str) -> str:
    """A text, or a word, in the form for `like`."""
    return text.translate(UNLIKE)


def schema(client: Any, dim: int) -> Any:
    """The schema of the collection of paintings."""
    from pymilvus import DataType

    made = client.create_schema(auto_id=False, enable_dynamic_field=False)
    made.add_field("row", DataType.INT64, is_primary=True)
    made.add_field("spread", DataType.INT64, is_partition_key=True)
    for name in TEXTS:
        made.add_field(name, DataType.VARCHAR, max_length=LONGEST_TEXT)
    for name in ("year", "artist_number", "rank"):
        made.add_field(name, DataType.INT64)
    made.add_field("words", DataType.VARCHAR, max_length=LONGEST_TEXT)
    for name in ("labels", "numbers"):
        made.add_field(name, DataType.JSON)
    made.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
    return made


def about_schema(client: Any, dim: int) -> Any:
    """The schema of the collection about a generation: pieces of its facts, and the centroid of each artist."""
    from pymilvus import DataType

    made = client.create_schema(auto_id=False, enable_dynamic_field=False)
    made.add_field("row", DataType.INT64, is_primary=True)
    made.add_field("text", DataType.VARCHAR, max_length=LONGEST_TEXT)
    made.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
    return made


def check_fits(table: pd.DataFrame, again: str) -> None:
    """Raises BadIndex for the first painting with more text in one field than Milvus allows. again: what to do then."""
    others = [name for name in table.columns if name not in OWN_COLUMNS]
    names = [*TEXTS, *others]
    texts = table[names].fillna("")
    lengths = np.sum([texts[name].str.len() + len(name) for name in names], axis=0)  # characters
    for place in np.flatnonzero(MOST_BYTES * lengths > LONGEST_TEXT).tolist():
        row = texts.iloc[place].to_dict()
        fields = {name: row[name] for name in TEXTS} | {
            "text to look in": plain_words(searched_text(table.iloc[[place]]).to_pylist()[0]),
            "labels": json.dumps({name: row[name] for name in others}, ensure_ascii=False),
        }
        for name, text in fields.items():
            if len(text.encode("utf-8", "surrogatepass")) > LONGEST_TEXT:
                raise BadIndex(
                    f"{row['id'][:200]}: its {name} is more than the 64 KB that Milvus keeps in a field; "
                    f"shorten it, and {again}"
                )


def entities(table: pd.DataFrame, vectors: Array, numbers: Any, ranks: Any, words: list[str]) -> list[dict[str, Any]]:
    """Rows of a table (m,) as entities of Milvus. vectors: (m, d); numbers, ranks: (m,) of artists and by hash."""
    others = [name for name in table.columns if name not in OWN_COLUMNS]
    texts = {name: table[name].astype(object).where(table[name].notna(), "").tolist() for name in (*TEXTS, *others)}
    values = {
        name: pd.to_numeric(table[name], errors="coerce").clip(-1.7e308, 1.7e308).tolist() for name in (*TEXTS, *others)
    }
    years = table["year"].astype(object).where(table["year"].notna(), NO_YEAR).tolist()
    return [
        {
            "row": row,
            "spread": spread_of(texts["id"][at]),
            "year": int(years[at]),
            "artist_number": int(numbers[at]),
            "rank": int(ranks[at]),
            "words": plain_words(words[at]),
            "vector": vectors[at],
            "labels": {name: texts[name][at] for name in others},
            "numbers": {name: values[name][at] for name in values if values[name][at] == values[name][at]},
        }
        | {name: texts[name][at] for name in TEXTS}
        for at, row in enumerate(table["row"].tolist())
    ]


def messages(entities: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The same entities, as many at once as Milvus takes: a few of them with the longest texts are too many bytes."""
    message: list[dict[str, Any]] = []
    room = LONGEST_MESSAGE
    for entity in entities:
        texts = json.dumps({name: value for name, value in entity.items() if name != "vector"}, ensure_ascii=False)
        size = entity["vector"].nbytes + len(texts.encode("utf-8", "surrogatepass"))
        if message and size > room:
            yield message
            message, room = [], LONGEST_MESSAGE
        message.append(entity)
        room -= size
    if message:
        yield message


def pieces(facts: Any, dim: int) -> list[dict[str, Any]]:
    """Facts as rows of the collection about a generation."""
    text = json.dumps(facts, ensure_ascii=False)
    return [
        {"row": number, "text": text[start : start + PIECE], "vector": [0.0] * dim}
        for number, start in enumerate(range(0, len(text), PIECE))
    ]
