"""Change an index without reading images: remove paintings, correct labels, calibrate.

Each change publishes a new generation in one step, or says in a dry run what it would do.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...embedder.catalogs.attribution import artist_key
from ...embedder.catalogs.catalog import year_of
from ...errors import BadCatalog, BadSetting, IndexChanged, UnknownArtist, UnknownPainting
from ..measure.splits import split_names
from ..scoring.calibration import Calibration, stored_detector
from ..storage import generations, history
from ..storage.paintings import Paintings
from .build import Report


def remove(
    index: Path,
    ids: Iterable[str],
    artists: Iterable[str] = (),
    *,
    dry_run: bool = False,
    generation: int | None = None,
    opened: generations.Generation | None = None,
) -> Report:
    """Remove the paintings with these ids and all by these artists.

    generation: the one that must still be published, else IndexChanged; opened: the one that the caller has open, which
    need not be read again. Raises UnknownPainting or UnknownArtist, and removes nothing, if one of them is not there.
    """
    with nullcontext() if dry_run else generations.writer(index):
        before = _read(index, generation, opened)
        leaving = places_of(index, before.paintings, set(ids), "removed")
        leaving += _places_by(index, before.paintings, artists)
        leaving = sorted(set(leaving))
        report = Report(len(before) - len(leaving), removed=len(leaving), dry_run=dry_run)
        if leaving and not dry_run:
            rows = [before.paintings.row(place) for place in leaving]
            contents = dataclasses.replace(before.contents, removed=np.append(before.contents.removed, rows))
            generations.publish(index, contents, generations.ModelFile.of(before), before)
    return report


def label(
    index: Path,
    labels: pd.DataFrame,
    by: str,
    *,
    dry_run: bool = False,
    generation: int | None = None,
    opened: generations.Generation | None = None,
) -> tuple[Report, pd.DataFrame]:
    """Correct labels, and record who said so and when; returns the report and the new entries of the history.

    labels: a column id and others of the index's, as text; a missing value leaves the label as it is. An object's
    number stands for all its photographs. generation: the one that must still be published, else IndexChanged. Raises
    UnknownPainting and BadCatalog, and corrects nothing.
    """
    if by == history.SYNC:
        raise BadSetting(f"{by!r} is the name under which moved files are recorded; give your own")
    if labels["id"].duplicated().any():
        again = labels["id"][labels["id"].duplicated()].iloc[0]
        raise BadCatalog(f"the id {again!r} occurs more than once among the labels; nothing was corrected")
    with nullcontext() if dry_run else generations.writer(index):
        before = _read(index, generation, opened)
        found = places_of(index, before.paintings, set(labels["id"]), "corrected")
        labels, others = _of_photographs(before.paintings, labels)
        columns = [name for name in labels.columns if name != "id"]
        if strange := [name for name in columns if name in history.FIXED or name not in before.paintings.names]:
            raise BadCatalog(f"{index}: has no label {strange[0]!r} to correct; nothing was corrected")
        table = before.paintings.frame(sorted({*found, *others}))
        places = {name: place for place, name in enumerate(table["id"])}
        words = history.said(
            table,
            [
                (places[row["id"]], name, _label(name, row[name]))
                for row in labels.to_dict("records")
                for name in columns
                if not pd.isna(row[name])
            ],
            by,
        )
        if len(words) and not dry_run:
            contents = dataclasses.replace(
                before.contents, said=pd.concat([before.contents.history, words], ignore_index=True)
            )
            generations.publish(index, contents, generations.ModelFile.of(before), before)
    return Report(len(before), corrected=len(words), dry_run=dry_run), words


def _read(index: Path, generation: int | None, opened: generations.Generation | None) -> generations.Generation:
    """The published generation. Raises IndexChanged if it is not the given one."""
    before = generations.read(index, opened)
    if generation is not None and before.manifest.generation != generation:
        raise IndexChanged(f"{index}: is at generation {before.manifest.generation}, no longer at {generation}")
    return before


def _of_photographs(paintings: Paintings, labels: pd.DataFrame) -> tuple[pd.DataFrame, list[int]]:
    """The labels, extended to other photographs of the same object unless they have their own; and the places of
    all."""
    own = set(labels["id"])
    found = {place: number for number in labels["id"] for place in paintings.places("object", number)}
    names = {place: paintings.cell("id", place) for place in sorted(found)}
    others = {place: name for place, name in names.items() if name not in own}
    if not others:
        return labels, []
    given = labels.set_index("id").loc[[found[place] for place in others]].reset_index(drop=True)
    return pd.concat([labels, given.assign(id=list(others.values()))], ignore_index=True), list(others)


def _places_by(index: Path, paintings: Paintings, artists: Iterable[str]) -> list[int]:
    """The places of the paintings by these artists. Raises UnknownArtist for one without any."""
    keys = {artist_key(name): name for name in artists}
    if not keys:
        return []
    number_of = {key: number for number, key in enumerate(paintings.artist_keys)}
    if unknown := [name for key, name in keys.items() if key not in number_of]:
        raise UnknownArtist(f"{index}: no painting by {unknown[0]!r}; nothing was removed")
    found: list[int] = np.flatnonzero(np.isin(paintings.codes, [number_of[str(key)] for key in keys])).tolist()
    return found


def recalibrate(index: Path, split: str | None, column: str) -> Calibration:
    """Publish the same paintings with a calibration fitted to their labels (fit_index.py)."""
    from ..measure.fit_index import ALL, Divided, calibrate_index  # needs packages that answering does not

    with generations.writer(index):
        before = generations.read(index)
        chosen = np.ones(len(before), bool) if split is None else _in_split(index, before.table, split, column)
        model = generations.ModelFile.of(before)
        sculptures = stored_detector(model.calibration, model.facts.dim)
        calibration = calibrate_index(Divided.of(before, chosen), split or ALL, sculptures)
        model = dataclasses.replace(model, calibration=calibration.to_json())
        generations.publish(index, before.contents, model, before)
    return calibration


def _in_split(index: Path, table: pd.DataFrame, split: str, column: str) -> npt.NDArray[np.bool_]:
    """(n,) which paintings of the table are in a split. Raises BadSetting if none is."""
    if column not in table:
        raise BadSetting(f"{index}: has no column {column!r} to take the split {split!r} from")
    names = split_names(table, column)
    if split not in set(names):
        raise BadSetting(f"{index}: no painting has {column} {split!r}; there are {', '.join(sorted(set(names)))}")
    found: npt.NDArray[np.bool_] = (names == split).to_numpy(bool)
    return found


def _label(column: str, value: object) -> str:
    """A label as text. Raises BadCatalog for an invalid year."""
    if column != "year":
        return str(value)
    year = year_of(value)
    if year is None:
        raise BadCatalog(f"{str(value)!r} has no year in it; nothing was corrected")
    return str(year)


def places_of(index: Path, paintings: Paintings, ids: set[str], done: str) -> list[int]:
    """The places of the paintings with these ids. Raises UnknownPainting if one is missing; done: for its message."""
    found = {name: paintings.places("id", name) for name in ids}
    if unknown := sorted(name for name, places in found.items() if not places):
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise UnknownPainting(f"{index}: no painting with the id {unknown[0]!r}{more}; nothing was {done}")
    return [place for places in found.values() for place in places]
