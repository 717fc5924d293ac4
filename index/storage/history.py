"""The history of an index: corrections of its paintings since they were indexed, with who made them and when.

Segments are never edited: when a table is read, the last correction of every painting and column is applied. Nothing is
forgotten; a correction of a correction is a further entry. A correction of the artist is an attribution, as in a table.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...embedder.catalogs.attribution import artist_key, attributed
from ...errors import damaged, exhausted
from ..scoring.vectors import Integers, Mask
from .bounded_parquet import read_frame

COLUMNS = ("row", "id", "column", "before", "after", "by", "at")
FIXED = ("row", "path", "artist_key", "sha256", "vector_sha256")  # facts, which cannot be corrected
UNSAID = {"row", "artist_key", "sha256", "vector_sha256"}  # nor by a sync
LAST_YEAR = 99_999
SYNC = "artidx sync"  # the author of entries about moved files


def read(path: Path) -> pd.DataFrame:
    """The history in a file. Raises BadIndex if the file is none."""
    try:
        found = read_frame(path)
        table = {name: found[name] for name in COLUMNS}
        if len(found.columns) != len(COLUMNS) or not pd.api.types.is_numeric_dtype(table["row"]):
            raise ValueError(f"not the columns {', '.join(COLUMNS)}")
        rows = table["row"].astype("int64")  # concatenation with an empty table may have made them floats
        if (rows != table["row"]).any():
            raise ValueError("an invalid number of a painting")
        if strange := {*table["column"].unique()} & UNSAID:
            raise ValueError(f"it corrects {min(strange)}, which cannot be corrected")
        table["after"][table["column"] == "year"].dropna().map(_year)
        return found.assign(row=rows)
    except FileNotFoundError:
        raise
    except Exception as problem:  # pyarrow raises its own errors and OSError
        raise exhausted(problem, str(path)) or damaged(
            path, f"not a history: {' '.join(str(problem).split())[:200]}"
        ) from None


def _year(value: object) -> int:
    year = int(str(value))
    if abs(year) > LAST_YEAR:
        raise ValueError(f"the year {year}")
    return year


def none() -> pd.DataFrame:
    """An empty history."""
    return pd.DataFrame({name: pd.Series(dtype="int64" if name == "row" else "str") for name in COLUMNS})


def said(before: pd.DataFrame, after: Iterable[tuple[int, str, str | None]], by: str) -> pd.DataFrame:
    """New entries from (place in the table `before`, column, value), in the form of a history."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    found = []
    for place, column, value in after:
        known = word(before.iloc[place], column)
        if value != known:
            found.append((before["row"].iloc[place], before["id"].iloc[place], column, known, value, by, at))
    return pd.DataFrame(found, columns=list(COLUMNS)).astype(dict.fromkeys(COLUMNS[1:], "str") | {"row": "int64"})


def carried(history: pd.DataFrame, rows: dict[int, int], ids: dict[int, str]) -> pd.DataFrame:
    """People's corrections of paintings, for those that replace them. rows: old -> new; ids: of the new ones."""
    words = history[history["row"].isin(rows) & (history["by"] != SYNC)]
    return words.assign(row=words["row"].map(rows), id=words["row"].map(rows).map(ids).astype("str"))


def applied(table: pd.DataFrame, history: pd.DataFrame, qualified: bool = False) -> pd.DataFrame:
    """The table with the last correction of each painting and column; those of removed paintings have no effect.

    qualified: qualified works count as the artist's own, too.
    """
    places, is_there = _places(table["row"].to_numpy(np.int64), history["row"].to_numpy(np.int64))
    last = history.assign(place=places)[is_there].drop_duplicates(["row", "column"], keep="last")
    if last.empty:
        return table
    is_old = "attribution" not in table  # from before there were attributions
    table = attributed(table) if is_old else table.copy(deep=False)
    for column, words in last.groupby("column", sort=False):
        values: Any = words["after"].astype(object).where(words["after"].notna(), None)
        if column == "year":
            values = [None if value is None else int(value) for value in values]
        if column not in table:  # columns of a catalog whose paintings are all gone
            table[str(column)] = pd.Series(None, index=table.index, dtype="str")
        at = words["place"].to_numpy()
        new = (
            attributed(pd.DataFrame({"artist": list(values)}, dtype=object), qualified)
            if column == "artist"
            else pd.DataFrame({str(column): list(values)}, dtype=object)
        )
        for name in new:
            table[name] = _with(
                table[name].astype("str") if name == "qualifier" else table[name], at, new[name].tolist()
            )
    changed = np.arange(len(table)) if is_old else last["place"][last["column"] == "artist"].to_numpy()
    keys = [artist_key(name) for name in table["artist"].iloc[changed]]
    table["artist_key"] = _with(table["artist_key"].astype("str"), changed, keys)
    return table


def _places(rows: Integers, wanted: Integers) -> tuple[Integers, Mask]:
    """The position of each wanted number among rows, which ascend, and whether it is there."""
    places = np.minimum(np.searchsorted(rows, wanted), max(len(rows) - 1, 0))
    return places, rows[places] == wanted if len(rows) else np.zeros(len(wanted), bool)


def _with(column: pd.Series[Any], places: Integers, values: list[Any]) -> pd.Series[Any]:
    """The column with new values at some places."""
    changed = column.copy()
    changed.iloc[places] = pd.Series(values, dtype=object).astype(column.dtype).array
    return changed


def words(table: pd.DataFrame, column: str) -> list[str | None]:
    """`word` of every painting."""
    cells = table["attribution" if column == "artist" and "attribution" in table else column]
    return [None if pd.isna(value) else str(value) for value in cells.tolist()]


def word(row: pd.Series[Any], column: str) -> str | None:
    """A painting's value in a column, as text; for the artist, the whole attribution."""
    value = row["attribution" if column == "artist" and "attribution" in row else column]
    return None if pd.isna(value) else str(value)
