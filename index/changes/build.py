"""Build an index from a catalog, add to it, make it match a folder: every change that needs paintings to be embedded.

Work is done in shards, which are renamed into place when complete: if a build was killed and is run again, it resumes
with the first missing shard, and the index is the same as without the interruption. Every change publishes a new
generation. One bad image never stops a run: it is skipped with its reason. plan.py decides what has to be done; changes
without images are in edit.py.
"""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...embedder.catalogs.attribution import artist_key, attributed
from ...embedder.catalogs.catalog import COLUMNS, Catalog
from ...embedder.catalogs.on_disk import alike, on_disk, pieces
from ...embedder.locations import Reader, absolute, is_remote
from ...embedder.parallel import Bar, no_bar
from ...embedder.pictures.images import MAX_PIXELS
from ...embedder.runtime import BATCH_SIZE, Embedder, Embedding
from ...embedder.web import FRESH_S
from ...errors import BadIndex, UnreadableImage, damaged, exhausted
from ...files import write_atomically
from ..scoring.artists import artist_codes
from ..scoring.centre import centre_of, centred_rows, distinct_artists, uncentred
from ..scoring.vectors import Array, Made, Part, Rows, Vectors
from ..storage import approximate, generations, history
from ..storage.bounded_parquet import read_frame
from ..storage.manifest import Storage
from ..storage.paintings import Paintings
from ..storage.segments import OWN_COLUMNS, Draft, Tables, hashes_of, joined, packed, unpacked
from .cluster import Cluster, Piece, Work
from .plan import Plan, labels_of_tables, plan

SHARD = 512  # paintings: lost work after a kill stays under a minute, 100,000 paintings make 200 files
SAMPLE = 500  # paintings on which the cost of float16 is measured


@dataclass(frozen=True)
class Settings:
    """How images are read and embedded. workers: threads, or processes of a cluster; batch_size: on a GPU; strict: a
    bad image is an error; allowed: prefixes of object storage that may be read; cluster: where to embed, if not in this
    process; gpu_share: the share of a GPU for each of its workers, 0 if they run on cores."""

    workers: int | None = None
    batch_size: int = BATCH_SIZE
    max_pixels: int = MAX_PIXELS
    strict: bool = False
    allowed: tuple[str, ...] = ()
    cluster: Cluster | None = None
    gpu_share: float = 0.0


@dataclass(frozen=True)
class Layout:
    """How vectors are stored. half: as float16; approximate: with an approximate index from 10,000 paintings on."""

    half: bool = False
    approximate: bool = False


@dataclass(frozen=True)
class Report:
    """What a change has done or, in a dry run, would do.

    embedded: paintings whose vectors were made in this run, in `seconds`; reading: the share of its threads' time that
    went into fetching and decoding images; resumed: taken from an interrupted run; already_there: left alone; moved:
    ids of paintings whose files have another name now; replaced: ids whose content is new; removed: how many;
    corrected: labels; skipped: (path, reason) pairs; left_alone: files that are not paintings, by reason; without:
    objects that have no photograph yet; added, gone: ids; relabelled: (id, column, before, after) of what has changed
    in a table since last time; twice: the same picture under several artists, as (id, artist) pairs; copies: the same
    for files that were left out because the index has their content, with the painting that stays first; outside: files
    outside the catalog's folder, behind links.
    """

    paintings: int  # in the index now
    embedded: int = 0
    resumed: int = 0
    already_there: int = 0
    moved: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    removed: int = 0
    corrected: int = 0
    skipped: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0
    reading: float = 0.0
    left_alone: tuple[tuple[str, int], ...] = ()
    without: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    relabelled: tuple[tuple[str, str, str | None, str | None], ...] = ()
    twice: tuple[tuple[tuple[str, str], ...], ...] = ()
    copies: tuple[tuple[tuple[str, str], ...], ...] = ()
    outside: int = 0
    dry_run: bool = False
    published: bool = False  # a new generation, whose skipped.csv has the skipped ones

    @property
    def images_per_second(self) -> float:
        """Images per second in this run."""
        return self.embedded / self.seconds if self.seconds else 0.0


SHARD_COLUMNS = ["path", "sha256", "problem", "embedding"]


def build(
    index: Path,
    catalog: Catalog,
    embedder: Embedder,
    settings: Settings,
    layout: Layout,
    *,
    replace: bool = False,
    bar: Bar = no_bar,
) -> Report:
    """Embed a whole catalog into a new index at `index`. Raises BadIndex if there is one already, unless `replace`.

    With replace, the old generation answers until the new one is published.
    """
    with generations.writer(index):
        check_free(index, replace)
        check_strict(catalog.skipped, settings)
        found = _embed(catalog.table, embedder, index / "building", settings, bar)
        table = _kept_rows(catalog.table, found, first_row=0)
        skipped = (*catalog.skipped, *found.skipped)
        if table.empty:
            shutil.rmtree(index / "building")
            raise BadIndex(f"{index}: no image of {catalog.source} could be read; the first: {': '.join(skipped[0])}")
        with bar(len(table), "publishing") as advance:
            codes = artist_codes(table["artist_key"])[0]
            centre = centre_of(found.embeddings, codes)
            vectors = centred_rows(found.embeddings, centre)
            contents = new_contents(Tables.of(table), vectors, centre, distinct_artists(codes), layout)
            model = generations.ModelFile.of(embedder)
            generations.publish(index, dataclasses.replace(contents, skipped=skipped, reading=catalog.reading), model)
            advance(len(table))
        shutil.rmtree(index / "building")  # including shards of paintings that have changed since
    return Report(
        len(table),
        found.embedded,
        found.resumed,
        skipped=skipped,
        seconds=found.seconds,
        reading=found.reading,
        published=True,
        twice=_twice(table),
        **said_of(catalog),
    )


def add(
    index: Path,
    catalog: Catalog,
    embedder: Embedder,
    settings: Settings,
    *,
    opened: generations.Generation | None = None,
    folders: Sequence[str] = (),
    rehash: bool = False,
    dry_run: bool = False,
    bar: Bar = no_bar,
) -> Report:
    """Add a catalog's paintings to the index; with folders, also remove those in them whose files are gone.

    If the catalog comes from a table and there are folders, paintings that the table does not name are removed, and
    labels follow the table, unless somebody has corrected them and the table has not changed since. opened: the
    generation that the caller has open, which need not be read again; rehash: with folders, also read files whose size
    and time have not changed.

    A painting whose content is in the index already is not added again; only a moved file's name is updated. A painting
    with the id or file of another, and new content, replaces it and keeps its corrected labels.
    """
    with nullcontext() if dry_run else generations.writer(index):
        before = generations.read(index, opened)
        generations.check_model(index, before.manifest, embedder)
        check_strict(catalog.skipped, settings)
        reader = Reader(settings.max_pixels, settings.allowed, 0 if rehash else FRESH_S)
        with bar(len(catalog), "comparing") as advance:
            is_table = catalog.recognised is not None
            looked = reader, settings.workers, advance
            todo = plan(before, catalog.table, folders, is_table, *looked, rehash=rehash)
        check_strict(todo.skipped, settings)
        change = _Change.of(before, catalog, todo, is_relabelling=is_table and bool(folders))
        fresh = todo.to_embed()
        if dry_run:
            return dataclasses.replace(change.report(fresh), dry_run=True)
        found = _embed(fresh, embedder, index / "building", settings, bar)
        added = _kept_rows(fresh, found, first_row=before.manifest.next_row)
        report = dataclasses.replace(
            change.report(added, found.skipped),
            embedded=found.embedded,
            resumed=found.resumed,
            seconds=found.seconds,
            reading=found.reading,
            published=change.is_any(added),
        )
        if report.published:
            with bar(report.paintings, "publishing") as advance:
                contents = grown(change.contents(added, report.skipped), added, found.embeddings)
                paintings = generations.publish(index, contents, generations.ModelFile.of(before), before)
                twice = _twice_now(paintings, {*added["row"], *change.relabelled["row"]})
                report = dataclasses.replace(report, twice=twice)
                advance(report.paintings)
        _clear(index / "building", embedder, before.paintings, {*added["sha256"]})
    return report


@dataclass(frozen=True)
class _Change:
    """What a catalog changes in an index, whichever of its images can be embedded.

    moves: new paths and ids of moved files; relabelled: labels that follow the table.
    """

    before: generations.Generation
    catalog: Catalog
    todo: Plan
    moves: pd.DataFrame
    relabelled: pd.DataFrame

    @classmethod
    def of(cls, before: generations.Generation, catalog: Catalog, todo: Plan, *, is_relabelling: bool) -> _Change:
        moves = todo.moves(before.contents.history)
        relabelled = moves[:0]
        if is_relabelling:
            places = before.paintings.places_of_rows(todo.before["row"].to_numpy(np.int64))
            relabelled = todo.relabelled(labels_of_tables(before.contents).frame(places.tolist()), moves)
        return cls(before, catalog, todo, moves, relabelled)

    def is_any(self, added: pd.DataFrame) -> bool:
        """Whether adding these paintings (rows of a table) changes anything."""
        return any(len(each) > 0 for each in (added, self.todo.gone, self.todo.moved, self.relabelled))

    def report(self, added: pd.DataFrame, skipped: tuple[tuple[str, str], ...] = ()) -> Report:
        """The report if these paintings are added; skipped: what could not be embedded."""
        ids, replaced = self.todo.before["id"], self.todo.replaced(added)
        labels = self.relabelled[["id", "column", "before", "after"]].astype(object)
        return Report(
            len(self.before) - len(self.todo.gone) - len(replaced) + len(added),
            embedded=len(added),
            already_there=self.todo.already_there,
            moved=tuple(ids.iloc[[*self.todo.moved]]),
            replaced=tuple(ids.iloc[replaced]),
            removed=len(self.todo.gone),
            corrected=len(labels),
            skipped=(*self.catalog.skipped, *self.todo.skipped, *skipped),
            added=tuple(added["id"]),
            gone=tuple(ids.iloc[self.todo.gone]),
            relabelled=tuple(labels.where(labels.notna(), None).itertuples(index=False, name=None)),
            copies=self.todo.copies_by_others(),
            **said_of(self.catalog),
        )

    def contents(self, added: pd.DataFrame, skipped: tuple[tuple[str, str], ...]) -> generations.Contents:
        """The contents of the next generation, without the added paintings themselves (`grown`)."""
        old, rows = self.before.contents, self.todo.before["row"].to_numpy(np.int64)
        replaced = self.todo.replaced(added)
        carried = _carried(old.history, self.todo.before.iloc[replaced], added)
        return dataclasses.replace(
            old,
            skipped=skipped,
            next_row=self.before.manifest.next_row + len(added),
            removed=np.concatenate([old.removed, rows[self.todo.gone], rows[replaced]]),
            reading=self.catalog.reading or old.reading,
            said=pd.concat([old.history, self.moves, self.relabelled, carried], ignore_index=True),
        )


def said_of(catalog: Catalog) -> dict[str, Any]:
    """Fields of a report that come from its catalog."""
    without = catalog.recognised.without if catalog.recognised else ()
    return {"left_alone": catalog.left_alone, "without": without, "outside": catalog.outside}


def _twice_now(paintings: Paintings, rows: set[int]) -> tuple[tuple[tuple[str, str], ...], ...]:
    """`_twice` for some rows of an index."""
    places = paintings.places_of_rows(np.array(sorted(rows), np.int64)).tolist()
    contents = {*paintings.cells("sha256", places)} - {""}
    same = [place for content in contents for place in paintings.places("sha256", content)]
    return _twice(paintings.frame(sorted(same)), rows)


def _twice(table: pd.DataFrame, rows: set[int] | None = None) -> tuple[tuple[tuple[str, str], ...], ...]:
    """Paintings of the index with equal content and different artists; with rows, only if one of these is among
    them."""
    table = table.iloc[alike(table, ["sha256"])]
    named = table[table["artist_key"].notna() & (table["sha256"] != "")]
    again = named[named["sha256"].duplicated(keep=False)]
    return tuple(
        tuple(zip(group["id"], group["artist"], strict=True))
        for _, group in again.groupby("sha256", sort=False)
        if group["artist_key"].nunique() > 1 and (rows is None or not rows.isdisjoint(group["row"]))
    )


def check_free(index: Path, replace: bool) -> None:
    """Raises BadIndex if there is an index that must not be replaced, or a damaged one."""
    if generations.is_lost(index) and not replace:
        raise damaged(index / "CURRENT", "missing")
    if generations.exists(index) and not replace:
        raise BadIndex(f"{index}: there is an index already; use artidx add to add to it, or --replace to replace it")


def new_contents(
    tables: Tables, vectors: Rows, centre: Array, centre_artists: int, layout: Layout
) -> generations.Contents:
    """The contents of a new index: paintings, and their vectors (n, d) measured from the centre."""
    storage = _storage("float16" if layout.half else "float32", vectors)
    return generations.Contents(
        [Draft(tables, packed(vectors, storage.type))],
        centre,
        centre_artists,
        next_row=len(vectors),
        storage=storage,
        approximate_from=approximate.FEWEST if layout.approximate else approximate.AUTOMATIC,
    )


def _storage(type_: str, vectors: Rows) -> Storage:
    """The storage type, with the measured cost of storing vectors (n, d) in it."""
    if type_ == "float32" or len(vectors) < 2:
        return Storage(type_)
    asked = np.sort(np.random.default_rng(0).choice(len(vectors), min(len(vectors), SAMPLE), replace=False))
    k = min(10, len(vectors) - 1) + 1  # each is nearest to itself
    (near, apart), (near_stored, apart_stored) = (
        Vectors([Part(rows)]).nearest(rows[asked], k) for rows in (vectors, unpacked(packed(vectors, type_)))
    )
    stay = [len({*a} & {*b}) - 1 for a, b in zip(near.tolist(), near_stored.tolist(), strict=True)]
    return Storage(type_, float(np.abs(apart - apart_stored).max()), float(np.mean(stay)) / (k - 1))


def grown(contents: generations.Contents, added: pd.DataFrame, embeddings: Rows) -> generations.Contents:
    """The contents with more paintings; around a new centre if there are twice as many artists as when it was set."""
    if len(added):
        more = packed(centred_rows(embeddings, contents.centre), contents.storage.type)
        draft = Draft(Tables.of(added.assign(vector_sha256=hashes_of(more))), more)
        contents = dataclasses.replace(contents, segments=[*contents.segments, draft])
    codes = contents.paintings.codes
    if distinct_artists(codes) < 2 * max(contents.centre_artists, 1):
        return contents
    vectors = contents.vectors()
    everything = Made(vectors.rows, partial(uncentred, centre=contents.centre), vectors.dim)
    centre = centre_of(everything, codes)
    again = packed(centred_rows(everything, centre), contents.storage.type)
    return dataclasses.replace(
        contents,
        segments=[joined(contents.segments, np.unique(contents.removed)).with_vectors(again)],
        removed=contents.removed[:0],
        centre=centre,
        centre_artists=distinct_artists(codes),
    )


def _carried(said: pd.DataFrame, old: pd.DataFrame, added: pd.DataFrame) -> pd.DataFrame:
    """The history of replaced paintings (rows `old` of the table), for those that replace them."""
    by_path, by_id = (dict(zip(added[name], added["row"], strict=True)) for name in ("path", "id"))
    places = zip(old["row"], old["id"], old["path"], strict=True)
    taken: dict[int, int] = {
        row: by_id[id_] if id_ in by_id else by_path[path]
        for row, id_, path in places
        if id_ in by_id or path in by_path
    }
    return history.carried(said, taken, dict(zip(added["row"], added["id"], strict=True)))


class _Embedded(NamedTuple):
    """Results for n images. kept: (n,) bool; sha256 and embeddings (as the model gives them): only of the kept ones, in
    order, on disk."""

    kept: npt.NDArray[np.bool_]
    sha256: pd.Series[str]
    embeddings: Array
    skipped: tuple[tuple[str, str], ...]
    embedded: int = 0
    resumed: int = 0
    seconds: float = 0.0
    reading: float = 0.0


def _embed(table: pd.DataFrame, embedder: Embedder, building: Path, settings: Settings, bar: Bar) -> _Embedded:
    building.mkdir(exist_ok=True)
    started = time.monotonic()
    parts = [table.iloc[start : start + SHARD] for start in range(0, len(table), SHARD)]
    with Reader(settings.max_pixels) as reader:
        paths = [building / f"{_shard_prefix(embedder)}{_shard_digest(rows, reader)}.parquet" for rows in parts]
    missing = []
    for number, (path, rows) in enumerate(zip(paths, parts, strict=True)):
        if (done := _usable_shard(path, rows, embedder)) is None:
            missing.append(number)
        else:
            check_strict(_problems(done), settings)
    embedded, reading, running = 0, 0.0, 0.0
    with bar(sum(len(parts[number]) for number in missing), "embedding") as advance:
        for at, outcomes in _whole_shards(
            _pieces([parts[number] for number in missing], embedder, settings),
            [parts[number] for number in missing],
            settings,
            advance,
        ):
            number = missing[at]
            shard = _shard_of(parts[number], outcomes)
            write_atomically(paths[number], shard.to_parquet(index=False))
            embedded += int((shard["problem"] == "").sum())
            reading += sum(outcome.reading for outcome in outcomes)
            running += sum(outcome.embedding for outcome in outcomes)
    found = _gathered(paths, building, embedder.dim)
    return found._replace(
        embedded=embedded,
        resumed=len(found.sha256) - embedded,
        seconds=time.monotonic() - started,
        reading=reading / max(reading + running, 1e-9),
    )


def _gathered(shards: Sequence[Path], building: Path, dim: int) -> _Embedded:
    """What is in some shards; the embeddings in a file that has no name and ends with its last reader."""
    kept, problems = [np.empty(0, bool)], list[tuple[str, str]]()
    with tempfile.TemporaryFile(dir=building) as file:

        def contents() -> Iterator[pd.DataFrame]:
            yield pd.DataFrame({"sha256": []}, dtype="str")
            for path in shards:
                shard = read_shard(path)
                if shard is None:
                    raise damaged(path, "cannot be read")
                kept.append((shard["problem"] == "").to_numpy(bool))
                problems.extend(_problems(shard))
                file.writelines(shard["embedding"][kept[-1]])
                yield shard.loc[kept[-1], ["sha256"]]

        sha256 = on_disk(contents())["sha256"]
        file.flush()
        shape = len(sha256), dim
        embeddings = np.memmap(file, np.float32, "r", shape=shape) if len(sha256) else np.empty(shape, np.float32)
    return _Embedded(np.concatenate(kept), sha256, np.asarray(embeddings), tuple(problems))


def _pieces(parts: Sequence[pd.DataFrame], embedder: Embedder, settings: Settings) -> Iterator[Piece]:
    """The results of all images in some shards, computed here or by a cluster."""
    if settings.cluster is not None:
        yield from settings.cluster.pieces(
            [rows["path"].tolist() for rows in parts],
            embedder,
            Work(settings.batch_size, settings.max_pixels, settings.allowed, settings.workers, settings.gpu_share),
        )
        return
    for number, rows in enumerate(parts):
        outcomes = embedder.embed(
            rows["path"],
            batch_size=settings.batch_size,
            workers=settings.workers,
            max_pixels=settings.max_pixels,
            allowed=settings.allowed,
        )
        for place, outcome in enumerate(outcomes):
            yield Piece(number, place, [outcome])


def _whole_shards(
    pieces: Iterator[Piece], parts: Sequence[pd.DataFrame], settings: Settings, advance: Callable[[int], None]
) -> Iterator[tuple[int, list[Embedding]]]:
    """Each shard's number and results once it is complete; pieces come in any order."""
    waiting: dict[int, dict[int, Embedding]] = {}
    for piece in pieces:
        done = waiting.setdefault(piece.shard, {})
        paths = parts[piece.shard]["path"]
        for place, outcome in enumerate(piece.outcomes, start=piece.start):
            if outcome.vector is None:
                check_strict([(paths.iloc[place], outcome.problem)], settings)
            done[place] = outcome
        advance(len(piece.outcomes))
        if len(done) == len(paths):
            yield piece.shard, [outcome for _, outcome in sorted(waiting.pop(piece.shard).items())]


def _shard_of(rows: pd.DataFrame, outcomes: Sequence[Embedding]) -> pd.DataFrame:
    done = [
        (
            path,
            outcome.sha256,
            outcome.problem,
            b"" if outcome.vector is None else np.ascontiguousarray(outcome.vector, "<f4").tobytes(),
        )
        for path, outcome in zip(rows["path"], outcomes, strict=True)
    ]
    return pd.DataFrame(done, columns=SHARD_COLUMNS)


def read_shard(path: Path) -> pd.DataFrame | None:
    """The shard that an interrupted run has left in a file, or None if it cannot be read."""
    try:
        return read_frame(path, columns=SHARD_COLUMNS)
    except Exception as problem:  # missing, or damaged in one of many ways
        if out := exhausted(problem, str(path)):
            raise out from None
        return None


def _usable_shard(path: Path, rows: pd.DataFrame, embedder: Embedder) -> pd.DataFrame | None:
    shard = read_shard(path)
    if shard is None:
        return None
    if any(map(is_remote, shard["path"][shard["problem"] != ""])):  # it may be readable now
        return None
    lengths = {len(data) for data in shard["embedding"][shard["problem"] == ""]}
    return shard if shard["path"].tolist() == rows["path"].tolist() and lengths <= {4 * embedder.dim} else None


def _problems(shard: pd.DataFrame) -> tuple[tuple[str, str], ...]:
    return tuple(shard.loc[shard["problem"] != "", ["path", "problem"]].itertuples(index=False, name=None))


def _clear(building: Path, embedder: Embedder, before: Paintings, added: set[str]) -> None:
    """Remove the shards of this model whose paintings the index has; those of an interrupted build stay."""
    for path in building.glob(f"{_shard_prefix(embedder)}*.parquet"):
        shard = read_shard(path)
        if shard is not None and all(
            content in added or before.places("sha256", content) for content in shard["sha256"][shard["problem"] == ""]
        ):
            path.unlink()
    if building.is_dir() and not any(building.iterdir()):
        building.rmdir()


def _shard_prefix(embedder: Embedder) -> str:
    """Names of this model's shards begin like this."""
    return f"{embedder.sha256[:16]}-"


def _shard_digest(rows: pd.DataFrame, reader: Reader) -> str:
    """Differs for other limits, other paintings and changed files."""
    facts = [str(reader.max_pixels)]
    for location in rows["path"]:
        facts += [location, reader.fingerprint(location)]
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()[:32]


def check_strict(problems: Sequence[tuple[str, str]], settings: Settings) -> None:
    """Raises UnreadableImage for the first (path, reason) of what could not be read, if settings are strict."""
    if settings.strict and problems:
        raise UnreadableImage(f"{problems[0][0]}: {problems[0][1]}; without --strict it would be skipped")


def _kept_rows(table: pd.DataFrame, found: _Embedded, first_row: int) -> pd.DataFrame:
    """A catalog's kept paintings in the columns of an index, their text on disk."""

    def rows() -> Iterator[pd.DataFrame]:
        start = 0
        for some in pieces(len(table)):
            stop = start + int(found.kept[some].sum())
            yield rows_of(table.iloc[some], found.kept[some], found.sha256.iloc[start:stop].tolist(), first_row + start)
            start = stop

    return on_disk(rows()).reset_index(drop=True)


def rows_of(table: pd.DataFrame, is_kept: npt.NDArray[np.bool_], sha256: Sequence[str], first_row: int) -> pd.DataFrame:
    """A catalog's kept paintings (k of n) in the columns of an index. is_kept: (n,); sha256: (k,) of their contents."""
    kept = attributed(table[is_kept].reset_index(drop=True))
    own = pd.DataFrame(
        {
            "row": np.arange(first_row, first_row + len(kept), dtype=np.int64),
            "id": kept["id"],
            "path": [absolute(path) for path in kept["path"]],
            "artist": kept["artist"],
            "artist_key": [artist_key(name) for name in kept["artist"]],
            "title": kept["title"],
            "year": kept["year"].astype("Int64"),
            "sha256": sha256,
        }
    )
    reserved = {*COLUMNS, *OWN_COLUMNS}
    rows = pd.concat([own, kept[[name for name in kept.columns if name not in reserved]]], axis=1)
    return rows.astype({name: "str" for name in rows.columns if name not in ("row", "year")})
