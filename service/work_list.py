"""The current state of a review's findings: what was decided about each, and what has been corrected since.

A decision changes an index, and a review takes minutes. So the findings stay, and each whose records have changed since
is marked as stale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from ..embedder.catalogs.attribution import artist_key, attribution
from ..index.review.decisions import Decision, standing
from .findings import Found

WEIGHED = ("artist", "year", "object")  # columns on which a review depends


class WorkList:
    """Findings, with decisions (by their keys) and corrections made since."""

    def __init__(self, found: Found, decided: Mapping[str, Decision], history: pd.DataFrame) -> None:
        """history: of the index as it is now."""
        self._found, self._decided = found, decided
        since = history.iloc[found.said :]
        since = since[since["column"].isin(WEIGHED)]
        self._changed = set(since["id"])
        records = since.loc[since["column"] == "artist", ["before", "after"]].to_numpy().ravel()
        self._artists = {_key(record) for record in records if not pd.isna(record)} - {None}

    def numbers(self, kind: str | None, *, only_open: bool) -> Sequence[int]:
        """Numbers of the findings of a kind, or of all; optionally only of undecided ones."""
        keys, numbers = self._found.keys, self._found.numbers(kind)
        return [each for each in numbers if self._is_open(keys[each])] if only_open else numbers

    def findings(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """The findings with these numbers. Raises OSError, ValueError."""
        found = zip(numbers, self._found.findings(numbers), strict=True)
        return [finding | self._standing(self._found.keys[number], finding) for number, finding in found]

    def _standing(self, key: str, finding: Mapping[str, Any]) -> dict[str, Any]:
        stale = self._stale(finding) if self._is_open(key) else None
        return {"key": key, "decision": self._decided.get(key), "stale": stale}

    def _is_open(self, key: str) -> bool:
        return standing(self._decided, key) is None

    def _stale(self, finding: Mapping[str, Any]) -> str | None:
        if any(painting["id"] in self._changed for painting in finding["paintings"]):
            return "its record has been changed since it was found"
        if _witnesses(finding) & self._changed or _artists(finding) & self._artists:
            return "works by artists who are named here have been changed since: the probabilities may have changed"
        return None


def _artists(finding: Mapping[str, Any]) -> set[str | None]:
    """The artists that a finding names, by their keys."""
    recorded = finding["recorded"]
    return {artist_key(each["artist"]) for each in _candidates(finding)} | ({_key(recorded)} if recorded else set())


def _witnesses(finding: Mapping[str, Any]) -> set[str]:
    return {near["painting"]["id"] for each in _candidates(finding) for near in each["paintings"]}


def _candidates(finding: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [each for each in (*finding["candidates"], finding["for_recorded"]) if each]


def _key(record: str) -> str | None:
    """The key of the artist whom a record names."""
    name = attribution(record).name
    return None if name is None else artist_key(name)
