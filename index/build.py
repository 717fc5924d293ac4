"""Build an index from a catalog, add to it, remove from it.

Work is done in shards that count once they have been renamed into place: a killed build, run again, goes on with
the first shard that is missing, and ends in the same index as an unbroken one. Every change publishes a new
generation. One bad image never stops a run: it is skipped with its reason.
"""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..embedder.catalog import COLUMNS, Catalog, artist_key
from ..embedder.images import MAX_PIXELS
from ..embedder.locations import Reader, absolute, content_hash
from ..embedder.parallel import ahead
from ..embedder.runtime import BATCH_SIZE, Embedder, available_cores
from ..errors import BadIndex, BadSetting, UnknownPainting, UnreadableImage
from . import store
from .calibrate import Calibration
from .centre import centre_of, centred, people, uncentred
from .search import artist_codes, split_names
from .vectors import Array, Vectors, vector_hash

SHARD = 512  # paintings: lost work after a kill stays under a minute, 100,000 paintings make 200 files


@dataclass(frozen=True)
class Settings:
    """How images are read and embedded. workers: threads; batch_size: on a GPU; strict: a bad image is an error."""

    workers: int | None = None
    batch_size: int = BATCH_SIZE
    max_pixels: int = MAX_PIXELS
    strict: bool = False


@dataclass(frozen=True)
class Report:
    """What a build, add or remove has done.

    embedded: paintings whose vectors were made in this run, in `seconds`; resumed: taken from one that was
    interrupted; already_there: left alone; replaced: ids whose content is new; skipped: (path, reason) pairs.
    """

    paintings: int  # in the index now
    embedded: int = 0
    resumed: int = 0
    already_there: int = 0
    replaced: tuple[str, ...] = ()
    removed: int = 0
    skipped: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0

    @property
    def images_per_second(self) -> float:
        """Images embedded in a second of this run."""
        return self.embedded / self.seconds if self.seconds else 0.0


SHARD_COLUMNS = ["path", "sha256", "problem", "embedding"]
Progress = Callable[[int], None]  # called with the number of paintings just finished


def build(index: Path, catalog: Catalog, embedder: Embedder, settings: Settings, *, replace: bool = False,
          progress: Progress = lambda done: None) -> Report:
    """Embed a whole catalog into a new index at `index`. Raises BadIndex where one stands already, unless `replace`.

    With replace the old generation answers until the new one is published.
    """
    with store.writer(index):
        if store.exists(index) and not replace:
            raise BadIndex(f"{index}: holds an index already; use artidx add to add to it, or --replace to build anew")
        _check_strict(catalog.skipped, settings)
        found = _embed(catalog.table, embedder, index / "building", settings, progress)
        table = _rows(catalog.table, found, first_row=0)
        skipped = (*catalog.skipped, *found.skipped)
        if table.empty:
            shutil.rmtree(index / "building")
            raise BadIndex(f"{index}: not one image of {catalog.source} could be read; the first: "
                           f"{': '.join(skipped[0])}")
        codes = artist_codes(table["artist_key"])[0]
        centre = centre_of(found.embeddings, codes)
        _publish(index, table, centred(found.embeddings, centre), centre, people(codes), embedder, skipped,
                 next_row=len(table))
        shutil.rmtree(index / "building")  # with the shards of paintings that have changed since
    return Report(len(table), found.embedded, found.resumed, skipped=skipped, seconds=found.seconds)


def add(index: Path, catalog: Catalog, embedder: Embedder, settings: Settings, *,
        progress: Progress = lambda done: None) -> Report:
    """Add a catalog's paintings to the index.

    A painting whose content is there already is left alone, whatever its id; one whose id is there with other
    content takes its place.
    """
    with store.writer(index):
        before = store.read(index)
        store.check_model(index, before, embedder)
        _check_strict(catalog.skipped, settings)
        is_new = _is_new(catalog.table, before.table, settings)
        already_there = int((~is_new).sum())
        progress(already_there)
        fresh = catalog.table[is_new].reset_index(drop=True)
        found = _embed(fresh, embedder, index / "building", settings, progress)
        added = _rows(fresh, found, first_row=before.manifest.next_row)
        skipped = (*catalog.skipped, *found.skipped)
        report = Report(len(before.table), found.embedded, found.resumed, already_there=already_there,
                        skipped=skipped, seconds=found.seconds)
        if added.empty:
            _clear(found.shards)
            return report
        stays = ~before.table["id"].isin(added["id"]).to_numpy()
        table = pd.concat([before.table[stays], added], ignore_index=True)
        centre, centre_people = before.centre, before.manifest.centre_people
        vectors = np.concatenate([before.vectors.matrix[stays], centred(found.embeddings, centre)])
        codes = artist_codes(table["artist_key"])[0]
        if people(codes) >= 2 * max(centre_people, 1):
            embeddings = uncentred(vectors, centre)
            centre, centre_people = centre_of(embeddings, codes), people(codes)
            vectors = centred(embeddings, centre)
        _publish(index, table, vectors, centre, centre_people, before, skipped,
                 before.manifest.next_row + len(added))
        _clear(found.shards)
    replaced = tuple(before.table["id"][~stays])
    return dataclasses.replace(report, paintings=len(table), replaced=replaced)


def remove(index: Path, ids: Iterable[str]) -> Report:
    """Remove the paintings with these ids. Raises UnknownPainting, and removes nothing, if one is not there."""
    with store.writer(index):
        before = store.read(index)
        wanted = set(ids)
        if unknown := sorted(wanted - set(before.table["id"])):
            more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
            raise UnknownPainting(f"{index}: no painting with the id {unknown[0]!r}{more}; nothing was removed")
        stays = ~before.table["id"].isin(wanted).to_numpy()
        if stays.all():
            return Report(len(before.table))
        table = before.table[stays].reset_index(drop=True)
        _publish(index, table, before.vectors.matrix[stays], before.centre, before.manifest.centre_people, before,
                 store.skipped_of(before), before.manifest.next_row)
    return Report(len(table), removed=int((~stays).sum()))


def recalibrate(index: Path, split: str | None, column: str) -> Calibration:
    """Publish the same paintings with a calibration fitted to their labels (fit.py)."""
    from .fit import calibrate_index  # needs more packages than answering does

    with store.writer(index):
        before = store.read(index)
        if split is not None and column not in before.table:
            raise BadSetting(f"{index}: has no column {column!r} to take the split {split!r} from")
        names = split_names(before.table, column)
        if split is not None and split not in set(names):
            raise BadSetting(f"{index}: no painting has {column} {split!r}; there are {', '.join(sorted(set(names)))}")
        chosen = np.ones(len(names), bool) if split is None else (names == split).to_numpy(bool)
        calibration = calibrate_index(before, chosen, split or "all of this index")
        model = dataclasses.replace(store.ModelFile.of(before), calibration=calibration.to_json())
        contents = store.Contents(before.table, before.vectors, before.centre, before.manifest.centre_people,
                                  store.skipped_of(before), before.manifest.next_row)
        store.publish(index, contents, model)
    return calibration


class _Embedded(NamedTuple):
    """kept: (n,) bool; sha256 and embeddings (as the model gives them): of the kept paintings only, in order."""

    kept: npt.NDArray[np.bool_]
    sha256: list[str]
    embeddings: Array
    skipped: tuple[tuple[str, str], ...]
    embedded: int
    resumed: int
    seconds: float
    shards: list[Path]


def _embed(table: pd.DataFrame, embedder: Embedder, building: Path, settings: Settings, progress: Progress
           ) -> _Embedded:
    building.mkdir(exist_ok=True)
    shards, paths, embedded, started = [], [], 0, time.monotonic()
    with Reader(settings.max_pixels) as reader:
        for start in range(0, len(table), SHARD):
            rows = table.iloc[start : start + SHARD]
            path = building / f"{_shard_digest(rows, embedder, reader)}.parquet"
            shard = _read_shard(path, rows, embedder)
            if shard is None:
                shard = _embedded_shard(rows, embedder, settings, progress)
                store.write_atomically(path, shard.to_parquet(index=False))
                embedded += int((shard["problem"] == "").sum())
            else:
                progress(len(rows))
            _check_strict(_problems(shard), settings)
            shards.append(shard)
            paths.append(path)
    found = pd.concat(shards, ignore_index=True) if shards else pd.DataFrame(columns=SHARD_COLUMNS)
    kept = (found["problem"] == "").to_numpy(bool)
    embeddings = np.frombuffer(b"".join(found["embedding"][kept]), np.float32).reshape(-1, embedder.dim)
    return _Embedded(kept, found["sha256"][kept].tolist(), embeddings, _problems(found), embedded,
                     int(kept.sum()) - embedded, time.monotonic() - started, paths)


def _embedded_shard(rows: pd.DataFrame, embedder: Embedder, settings: Settings, progress: Progress) -> pd.DataFrame:
    done = []
    outcomes = embedder.embed(rows["path"], batch_size=settings.batch_size, workers=settings.workers,
                              max_pixels=settings.max_pixels)
    for path, outcome in zip(rows["path"], outcomes, strict=True):
        if outcome.vector is None:
            _check_strict([(path, outcome.problem)], settings)
        embedding = b"" if outcome.vector is None else np.ascontiguousarray(outcome.vector, "<f4").tobytes()
        done.append((path, outcome.sha256, outcome.problem, embedding))
        progress(1)
    return pd.DataFrame(done, columns=SHARD_COLUMNS)


def _read_shard(path: Path, rows: pd.DataFrame, embedder: Embedder) -> pd.DataFrame | None:
    """The shard that an interrupted run has left, or None where there is none that can be used."""
    try:
        shard = pd.read_parquet(path, columns=SHARD_COLUMNS)
    except Exception:  # missing, or damaged in one of the many ways that parquet can be
        return None
    lengths = {len(data) for data in shard["embedding"][shard["problem"] == ""]}
    return shard if shard["path"].tolist() == rows["path"].tolist() and lengths <= {4 * embedder.dim} else None


def _problems(shard: pd.DataFrame) -> tuple[tuple[str, str], ...]:
    return tuple(shard.loc[shard["problem"] != "", ["path", "problem"]].itertuples(index=False, name=None))


def _clear(shards: Sequence[Path]) -> None:
    """Remove the shards of a change that has been published; those of another, interrupted one stay."""
    for path in shards:
        path.unlink()
        if not any(path.parent.iterdir()):
            path.parent.rmdir()


def _shard_digest(rows: pd.DataFrame, embedder: Embedder, reader: Reader) -> str:
    """Another model, another limit, other paintings or changed files must not pass for these."""
    facts = [embedder.sha256, str(reader.max_pixels)]
    for location in rows["path"]:
        facts += [location, reader.fingerprint(location)]
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()[:32]


def _check_strict(problems: Sequence[tuple[str, str]], settings: Settings) -> None:
    if settings.strict and problems:
        raise UnreadableImage(f"{problems[0][0]}: {problems[0][1]}; without --strict it would be skipped")


def _rows(table: pd.DataFrame, found: _Embedded, first_row: int) -> pd.DataFrame:
    """The catalog's kept paintings as the index keeps them."""
    kept = table[found.kept].reset_index(drop=True)
    own = pd.DataFrame({
        "row": np.arange(first_row, first_row + len(kept), dtype=np.int64),
        "id": kept["id"],
        "path": [absolute(path) for path in kept["path"]],
        "artist": kept["artist"],
        "artist_key": [artist_key(name) for name in kept["artist"]],
        "title": kept["title"],
        "year": kept["year"].astype("Int64"),
        "sha256": found.sha256,
    })
    reserved = {*COLUMNS, *own.columns, "vector_sha256"}
    rows = pd.concat([own, kept[[name for name in kept.columns if name not in reserved]]], axis=1)
    return rows.astype({name: "str" for name in rows.columns if name not in ("row", "year")})


def _is_new(table: pd.DataFrame, before: pd.DataFrame, settings: Settings) -> npt.NDArray[np.bool_]:
    """Which of the catalog's paintings hold content the index does not; unreadable ones count, to be reported."""
    known = set(before["sha256"])
    with Reader(settings.max_pixels) as reader:
        def is_new(location: str) -> bool:
            try:
                with reader.open(location) as stream:
                    return content_hash(stream) not in known
            except UnreadableImage:
                return True

        workers = settings.workers or available_cores()
        return np.array(list(ahead(is_new, table["path"], workers=workers, most=4 * workers)), bool)


def _publish(index: Path, table: pd.DataFrame, vectors: Array, centre: Array, centre_people: int,
             model: Embedder | store.Generation, skipped: Sequence[tuple[str, str]], next_row: int) -> None:
    table = table.assign(vector_sha256=[vector_hash(vector) for vector in vectors])
    stored = Vectors.of(table["row"].to_numpy(np.int64), vectors)
    contents = store.Contents(table, stored, centre, centre_people, skipped, next_row)
    store.publish(index, contents, store.ModelFile.of(model))
