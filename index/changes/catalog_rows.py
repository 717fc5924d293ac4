"""The paintings of a catalog as an index has them, some at a time: those that could be embedded.

Memory has only numbers of each: its place in the catalog, the check of its row on the server, and its artist.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...embedder.catalogs.attribution import Merging
from ..scoring.vectors import NOBODY, Array, Codes
from ..storage.pushed import FRAME
from .build import rows_of
from .stage_jobs import Checks, Job, Part


class Artists(NamedTuple):
    """The artists of paintings (n,), as numbers. own: (n,) by their names; codes: (n,) the same number for all names
    with one number in an authority file; keys, names: of these, by number."""

    own: Codes
    codes: Codes
    keys: list[str]
    names: list[str]


class Rows:
    """table: of a catalog; is_kept, checks: (n,) of its images. The kept ones are numbered from 0 on."""

    def __init__(self, table: pd.DataFrame, is_kept: npt.NDArray[np.bool_], checks: Checks) -> None:
        self._table, self._is_kept, self._checks = table, is_kept, checks
        self._images = np.flatnonzero(is_kept).astype(np.int32)
        self.artists = artists_of(map(self._as_recorded, self.cut(FRAME)), len(self))

    def __len__(self) -> int:
        return len(self._images)

    def cut(self, most: int) -> Iterator[range]:
        """All of them, some at a time."""
        return (range(start, min(start + most, len(self))) for start in range(0, len(self), most))

    def frame(self, places: range) -> pd.DataFrame:
        """Some in the columns of an index; what is known of their contents only on the server is empty."""
        found = self._as_recorded(places)
        if "artist_id" not in found:
            return found
        keys = [*self.artists.keys, None]  # the last is nobody's
        found["artist_key"] = pd.Series([keys[code] for code in self.artists.codes[_slice(places)]], dtype="str")
        return found

    def part(self, places: range, codes: Codes) -> Part:
        """The same as workers find them on the server. codes: (n,) numbers of the artists of all."""
        images = self._images_of(places)
        return Part(images, self._checks[_slice(images)], places.start, codes[_slice(places)].astype(np.int64))

    def vectors(self, job: Job, places: Sequence[int], centre: Array) -> Array:
        """(m, d) of the paintings at single places, read by a job."""
        parts = (self.part(range(place, place + 1), self.artists.codes) for place in places)
        return np.concatenate([job.vectors(part, centre) for part in parts])

    def _as_recorded(self, places: range) -> pd.DataFrame:
        images = _slice(self._images_of(places))
        table, is_kept = self._table.iloc[images], self._is_kept[images]
        return rows_of(table, is_kept, [""] * len(places), first_row=places.start).assign(vector_sha256="")

    def _images_of(self, places: range) -> range:
        return range(int(self._images[places[0]]), int(self._images[places[-1]]) + 1)


def artists_of(frames: Iterable[pd.DataFrame], paintings: int) -> Artists:
    """The artists of a table in the columns of an index, of which some rows come at a time."""
    numbers, written, merging = dict[str, int](), list[str](), Merging()
    codes = np.full(paintings, NOBODY, np.int32)
    for frame in frames:
        keys = [key if isinstance(key, str) else None for key in frame["artist_key"].tolist()]
        if "artist_id" in frame:
            merging.add(keys, frame["artist_id"].tolist())
        for row, key, name in zip(frame["row"].tolist(), keys, frame["artist"].tolist(), strict=True):
            if key is None:
                continue
            if key not in numbers:
                numbers[key] = len(written)
                written.append(str(name))
            codes[row] = numbers[key]
    merged = [merging.of(key) for key in numbers]
    (own, _), (same, different) = _sorted([*numbers]), _sorted(merged)
    first: dict[str, str] = {}
    for one, name in zip(merged, written, strict=True):
        first.setdefault(one, name)
    return Artists(own[codes], same[codes], different, [first[one] for one in different])


def _sorted(keys: Sequence[str]) -> tuple[Codes, list[str]]:
    """The place of each key among the different ones in order, NOBODY after the last; and these."""
    different = sorted({*keys})
    places = {key: place for place, key in enumerate(different)}
    return np.array([*(places[key] for key in keys), NOBODY], np.int32), different


def _slice(places: range) -> slice:
    return slice(places.start, places.stop)
