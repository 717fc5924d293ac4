"""A generation's table, read in place on disk: by place, id or filter, without removed paintings and with current
labels.

Only what is needed is read; in memory are the corrected paintings, which are few, and, once needed, each painting's
artist as a number. `Contents.table` is the complete table. A painting's place does not count removed ones, its position
does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import chain, compress
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ...embedder.catalogs.attribution import merged
from ..scoring.vectors import Codes, Integers, Mask, blocks
from .batch import NONE, Batch, positions
from .where import condition_of, holding, truth
from .words import searched_text

if TYPE_CHECKING:
    import pandas as pd


class Paintings:
    """The paintings of several batches of columns, in order."""

    def __init__(
        self, batches: Sequence[Batch], removed: Integers, history: pd.DataFrame | None, qualified: bool = False
    ) -> None:
        """removed: numbers of paintings; history: corrections (history.py); qualified: as there."""
        self._batches = batches
        self._starts = np.cumsum([0, *(len(batch) for batch in batches)])
        self._history, self._qualified = history, qualified
        # Ascending. NumPy imports its masked arrays to find distinct numbers.
        self._gone = self._positions(np.unique(removed)) if len(removed) else np.empty(0, np.int64)

    def __len__(self) -> int:
        return int(self._starts[-1]) - len(self._gone)

    @cached_property
    def names(self) -> list[str]:
        """The columns of the table."""
        said = [] if self._said is None else self._said.columns.astype(str).tolist()
        return list(dict.fromkeys(chain(*(batch.names for batch in self._batches), said)))

    @property
    def kept(self) -> Mask | None:
        """(positions,) which were not removed; None for all."""
        if not len(self._gone):
            return None
        kept = np.ones(int(self._starts[-1]), bool)
        kept[self._gone] = False
        return kept

    @property
    def artist_names(self) -> list[str]:
        """Each artist's name as written for the first of their paintings, by number."""
        first = np.zeros(len(self.artist_keys), np.int64)
        codes = self.codes
        for start in reversed(range(0, len(codes), AT_ONCE)):
            some = codes[start : start + AT_ONCE][::-1]
            at = np.arange(start + len(some) - 1, start - 1, -1)
            first[some[some >= 0]] = at[some >= 0]  # the last of several counts
        return [str(name) for name in self.cells("artist", first.tolist())]

    @property
    def codes(self) -> Codes:
        """(n,) the artists' numbers, -1 for nobody."""
        return self._coded[0]

    @property
    def artist_keys(self) -> list[str]:
        """The artists' keys, by number."""
        return self._coded[1]

    def row(self, place: int) -> int:
        """The number of the painting at a place."""
        batch, at = self._at(place)
        return int(batch.rows[at])

    def cells(self, name: str, places: Sequence[int]) -> list[Any]:
        """The values of a column at these places; None if missing."""
        positions = self._positions_of(np.asarray(places, np.int64))
        found = np.empty(len(positions), object)
        for start, batch in zip(self._starts.tolist(), self._batches, strict=False):
            is_here = (positions >= start) & (positions < start + len(batch))
            found[is_here] = batch.cells(name, positions[is_here] - start)
        if name == "artist_key" and self._same:
            found[:] = [self._same.get(key, key) for key in found]
        for number, place in enumerate(places if self._corrected else ()):
            if (said := self._corrected.get(place)) is not None:
                found[number] = said.get(name)
        return found.tolist()

    def cell(self, name: str, place: int) -> Any:
        """The same for one place."""
        return self.row_at(place, (name,))[0]

    def row_at(self, place: int, names: Sequence[str]) -> list[Any]:
        """The values of several columns at one place."""
        if (said := self._corrected.get(place)) is not None:
            return [said.get(name) for name in names]
        batch, at = self._at(place)
        return [
            self._same.get(cell, cell) if name == "artist_key" else cell
            for name, cell in ((name, batch.cell(name, at)) for name in names)
        ]

    def texts(self, name: str) -> list[Any]:
        """(n,) a column of texts, None if missing."""
        found = list(chain.from_iterable(batch.texts(name) for batch in self._batches))
        found = found if self.kept is None else list(compress(found, self.kept))
        for place, said in self._corrected.items():
            found[place] = said.get(name)
        return found

    def places(self, name: str, text: str) -> list[int]:
        """The places at which an ordered column (columns_file.py) is this text."""
        found = [
            place
            for start, batch in zip(self._starts.tolist(), self._batches, strict=False)
            for at in batch.equal(name, text)
            if (place := self._place(start + at)) is not None and place not in self._corrected
        ]
        return sorted(found + [place for place, said in self._corrected.items() if said.get(name) == text])

    def places_of_rows(self, rows: Integers) -> Integers:
        """The places of the paintings with these numbers, which ascend; missing ones are left out."""
        positions = self._positions(rows)
        there = positions[~np.isin(positions, self._gone)]
        return there - np.searchsorted(self._gone, there)

    def frame(self, places: Sequence[int]) -> pd.DataFrame:
        """The table's rows at these places."""
        wanted, order = np.unique(np.asarray(places, np.int64), return_inverse=True)
        return self._corrected_rows(self._as_written(wanted)).iloc[order].reset_index(drop=True)

    def matching(self, expression: str) -> Mask:
        """(n,) whether an expression holds (where.py). Raises BadSetting with the problem of the expression."""
        condition = condition_of(expression, self.names, self._numbers)
        return self._everywhere(
            lambda batch: truth(condition, len(batch), lambda one: batch.holds(one, self._same)),
            lambda said: holding(said, condition),
        )

    def holding(self, word: str) -> Mask:
        """(n,) whether a folded word occurs in the searched text."""
        return self._everywhere(
            lambda batch: batch.holding(word),
            lambda said: np.array([word in text for text in searched_text(said).to_pylist()], bool),
        )

    def smallest(self, most: int) -> Integers:
        """(m,) places of the `most` paintings whose vectors have the smallest hashes, in order; all if there are no
        more."""
        if len(self) <= most:
            return np.arange(len(self))
        hashes, positions = [], []
        for start, batch in zip(self._starts.tolist(), self._batches, strict=False):
            gone = int(np.searchsorted(self._gone, start + len(batch)) - np.searchsorted(self._gone, start))
            few, at = batch.first_by_hash(most + gone)
            is_there = ~np.isin(at + start, self._gone)
            hashes.append(few[is_there])
            positions.append(at[is_there] + start)
        order = np.argsort(np.concatenate(hashes), kind="stable")[:most]
        found = np.sort(np.concatenate(positions)[order])
        places: Integers = found - np.searchsorted(self._gone, found)
        return places

    def _at(self, place: int) -> tuple[Batch, int]:
        """The position of a place."""
        position = place + int(self._gone_before.searchsorted(place, side="right"))
        number = int(self._starts.searchsorted(position, side="right")) - 1
        return self._batches[number], position - int(self._starts[number])

    def _positions_of(self, places: Integers) -> Integers:
        """The positions of these places."""
        found: Integers = places + self._gone_before.searchsorted(places, side="right")
        return found

    @cached_property
    def _gone_before(self) -> Integers:
        """(removed,) how many remaining paintings are before each removed one."""
        return self._gone - np.arange(len(self._gone))

    def _place(self, position: int) -> int | None:
        """The place of a position; None if removed."""
        before = int(np.searchsorted(self._gone, position))
        is_gone = before < len(self._gone) and self._gone[before] == position
        return None if is_gone else position - before

    def _positions(self, rows: Integers) -> Integers:
        """The positions of paintings with these numbers, which ascend."""
        starts = self._starts.tolist()
        found = [positions(batch.rows, rows) + start for start, batch in zip(starts, self._batches, strict=False)]
        return np.concatenate(found)

    def _as_written(self, places: Integers) -> pd.DataFrame:
        """Rows at ascending places, without corrections."""
        positions = self._positions_of(places)
        tables = [
            batch.table(positions[(positions >= start) & (positions < start + len(batch))] - start)
            for start, batch in zip(self._starts.tolist(), self._batches, strict=False)
        ]
        found: pd.DataFrame = pa.concat_tables(tables, promote_options="permissive").to_pandas()
        return found

    def _corrected_rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """Rows of the table with current labels."""
        if self._said is not None:
            table = self._applied(table)
            lacking = {name: self._said[name].iloc[:0].reindex(table.index) for name in self.names if name not in table}
            table = table.assign(**lacking)[self.names]
        return self._with_same(table)

    @cached_property
    def _said(self) -> pd.DataFrame | None:
        """The rows of corrected paintings, in order; None if there are none."""
        return self._applied(self._as_written(self._corrected_places)) if len(self._corrected_places) else None

    def _applied(self, table: pd.DataFrame) -> pd.DataFrame:
        """Rows of the table with the last correction of each."""
        if self._history is None:
            return table
        from . import history

        return history.applied(table, self._history, self._qualified)

    @cached_property
    def _corrected_places(self) -> Integers:
        if self._history is None:
            return np.empty(0, np.int64)
        return self.places_of_rows(np.unique(self._history["row"].to_numpy(np.int64)))

    @cached_property
    def _corrected(self) -> dict[int, dict[str, Any]]:
        """The current row of each corrected painting, by its place."""
        if self._said is None:
            return {}
        said = self._with_same(self._said).astype(object)
        said = said.where(said.notna(), None)
        return dict(zip(self._corrected_places.tolist(), said.to_dict("records"), strict=True))

    @property
    def _numbers(self) -> list[str]:
        """The numeric columns."""
        schemas = [batch.schema for batch in self._batches]
        kinds = {name: [schema.field(name).type for schema in schemas if name in schema.names] for name in self.names}
        return [name for name, found in kinds.items() if found and all(map(_is_number, found))]

    def _everywhere(self, of_batch: Callable[[Batch], Mask], of_said: Callable[[pd.DataFrame], Mask]) -> Mask:
        """(n,) a condition, evaluated on stored paintings and on corrected ones."""
        found = np.concatenate([of_batch(batch) for batch in self._batches])
        kept = self.kept
        found = found if kept is None else found[kept]
        if self._said is not None:
            found[self._corrected_places] = of_said(self._with_same(self._said))
        return found

    def _with_same(self, table: pd.DataFrame) -> pd.DataFrame:
        if not self._same:
            return table
        import pandas as pd

        keys = [self._same.get(key, key) for key in table["artist_key"]]
        return table.assign(artist_key=pd.Series(keys, dtype="str", index=table.index))

    @cached_property
    def _same(self) -> dict[str, str]:
        """Keys of artists that are replaced by others, by authority numbers (attribution.merged)."""
        if "artist_id" not in self.names or "artist_id" in self._numbers:
            return {}
        (keys, texts), (ids, numbers) = self._numbered("artist_key"), self._numbered("artist_id")
        both = keys.astype(np.int64) * (len(numbers) + 1) + ids
        both[(keys == NONE) | (ids == NONE)] = NONE
        first, last = np.unique(both, return_index=True)[1], np.unique(both[::-1], return_index=True)[1]
        ends = np.unique(np.concatenate([first, len(both) - 1 - last]))  # by the first and last of each pair
        ends = ends[both[ends] != NONE]
        known = [texts[key] for key in keys[ends]]
        found = merged(known, [numbers[id_] for id_ in ids[ends]])
        return {key: str(one) for key, one in zip(known, found, strict=True) if one != key}

    def _numbered(self, name: str) -> tuple[Codes, list[str]]:
        """A column's current texts as numbers (n,), NONE if missing, and the text of each number."""
        number_of: dict[str, int] = {}
        known, ours, found = None, np.array([NONE], np.int32), np.empty(int(self._starts[-1]), np.int32)
        for start, batch in zip(self._starts.tolist(), self._batches, strict=False):
            numbers, texts = batch.numbers(name)
            if known is None or not texts.equals(known):  # those of one file have the same
                known, words = texts, texts.to_pylist()
                ours = np.array([*(number_of.setdefault(text, len(number_of)) for text in words), NONE], np.int32)
            found[start : start + len(batch)] = ours[numbers]
        kept = self.kept
        found = found if kept is None else found[kept]
        if self._said is not None and name in self._said:
            cells = self._said[name]
            found[self._corrected_places] = [
                number_of.setdefault(cell, len(number_of)) if there else NONE
                for cell, there in zip(cells, cells.notna(), strict=True)
            ]
        return found, list(number_of)

    @cached_property
    def _coded(self) -> tuple[Codes, list[str]]:
        numbers, texts = self._numbered("artist_key")
        is_there = np.zeros(len(texts) + 1, bool)
        is_there[numbers] = True  # NONE in the last place
        names = [self._same.get(text, text) for text in texts]
        keys = sorted({name for name, there in zip(names, is_there[:-1].tolist(), strict=True) if there})
        code_of = {key: code for code, key in enumerate(keys)}
        codes = np.array([*(code_of.get(name, NONE) for name in names), NONE], np.int32)
        for some in blocks(len(numbers), AT_ONCE):
            numbers[some] = codes[numbers[some]]
        return numbers, keys


AT_ONCE = 1 << 16  # paintings read at once to find the first of each artist


def _is_number(kind: Any) -> bool:
    kinds = pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal
    return any(is_of(kind) for is_of in kinds)
