"""Count paintings of the index by artist, by century and by other columns of its table.

Each count comes with the expression (where.py) that selects those paintings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from ..index.opened import Index
from ..index.storage.vector_store import FURTHER

MOST_COUNTED = 100_000  # paintings that are counted: a tenth of a second
MOST_VALUES = 40  # of one kind, those with the most paintings
FEWEST_COMMON = 2  # a column is a facet only if a value is shared by this many paintings on average
LONGEST_VALUE = 100  # characters


@dataclass(frozen=True)
class FacetValue:
    """A value, how many of the paintings have it, and the expression that selects them."""

    value: str
    paintings: int
    where: str


@dataclass(frozen=True)
class Facet:
    """The values of one kind, those with the most paintings first, or centuries in order; `more`: how many were left
    out."""

    name: str
    values: tuple[FacetValue, ...]
    more: int


def facets(index: Index, words: str) -> tuple[Facet, ...]:
    """Facets of the paintings that contain the words."""
    return tuple(_facets(index.collection.rows(words, MOST_COUNTED), index.collection.label_names))


def _facets(table: pd.DataFrame, labels: list[str]) -> Iterator[Facet]:
    if not len(table):
        return
    artists, unknown = table["artist"].value_counts(), int(table["artist"].isna().sum())
    nobody = (FacetValue("artist unknown", unknown, "artist == None"),) if unknown else ()
    yield _by_count("artist", artists, nobody)
    centuries = (table["year"].dropna().astype("int64") // 100 * 100).value_counts().sort_index()
    if len(centuries):
        pairs = zip(centuries.index.astype(int).tolist(), centuries.tolist(), strict=True)
        spans = tuple(FacetValue(f"{start}–{start + 99}", count, _within(start)) for start, count in pairs)
        yield Facet("century", spans[-MOST_VALUES:], max(0, len(spans) - MOST_VALUES))
    for name in (name for name in labels if name not in FURTHER):
        counts = table[name].dropna().astype(str).value_counts()
        if name.isidentifier() and len(counts) and counts.iloc[0] >= FEWEST_COMMON:
            yield _by_count(name, counts)


def _by_count(name: str, counts: pd.Series[int], first: tuple[FacetValue, ...] = ()) -> Facet:
    said = counts[counts.index.str.len() <= LONGEST_VALUE]
    pairs = zip(said.index.astype(str).tolist(), said.tolist(), strict=True)
    values = tuple(FacetValue(value, count, f"{name} == {value!r}") for value, count in pairs)[:MOST_VALUES]
    return Facet(name, first + values, len(counts) - len(values))


def _within(start: int) -> str:
    return f"year >= {start} and year <= {start + 99}"
