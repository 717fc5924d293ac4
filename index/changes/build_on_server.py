"""Build an index on a server: workers embed and write there; no vector passes, or stays on, this machine.

    embed       each worker writes the embeddings of its paintings into a table beside the index (storage/stage.py)
    sum         the sums of these by artist give the centre
    measure     with the centre, sums of vectors by artist give the centroids, the smallest hashes the landmarks
    calibrate   if that is wanted: part by part, as a folder (measure/fit_index.py)
    push        as from a folder: written, counted, a sample compared, recall measured, then switched to

Of each part, a worker returns what scoring/parts.py joins, so that the index is that of a folder to the last bit. Which
paintings are embedded or written is asked of the server: if a worker is lost, another does its part, and if this
process is killed, the same command resumes. The catalog is in memory here, without its images.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...embedder.catalogs.attribution import merged
from ...embedder.catalogs.catalog import Catalog
from ...embedder.locations import absolute
from ...embedder.parallel import Bar, no_bar
from ...embedder.runtime import Embedder
from ...errors import BadIndex, IndexChanged
from .. import addresses
from ..measure.fit_index import ALL, Divided, Some, calibrate_index
from ..measure.packages import needed
from ..scoring.artists import artist_codes, artist_names, centroids_of_sums
from ..scoring.calibration import Calibration
from ..scoring.centre import centre_of_sums, distinct_artists
from ..scoring.parts import Nearest, Summary, joined
from ..scoring.vectors import NOBODY, Array, Integers
from ..storage import approximate
from ..storage.address import Address
from ..storage.generations import ModelFile
from ..storage.manifest import FORMAT, Manifest, Storage
from ..storage.pushed import CHECKED, FRAME, UNRANKED, Original, Pushed, named_artists
from .begun import Build, left_in, running
from .build import Report, Settings, check_strict, rows_of, said_of
from .cluster import PIECE, Work
from .stage_jobs import Calibrating, Checks, Done, Embedding, Job, Part, Searching, Summing, Writing

SUMMED = 16_384  # paintings whose sums are returned together: by far fewer artists, in a usual catalog


def build_on_server(
    address: Address,
    catalog: Catalog,
    embedder: Embedder,
    settings: Settings,
    *,
    replace: bool = False,
    calibrate: bool = False,
    bar: Bar = no_bar,
) -> tuple[Report, Pushed]:
    """Embed a whole catalog into an index on a server. Raises BadIndex if one answers there, unless `replace`, and
    IndexBusy if another build writes there.

    With replace, the old generation answers until the new one is published. calibrate: on its own labels, and not as
    the model is; raises BadCatalog if there are too few.
    """
    if calibrate:
        needed("sklearn.linear_model")  # checked now, hours before it is needed
    stage = addresses.stage(address, embedder.dim)
    left, before = left_in(stage, address), addresses.published(address)
    digest = _digest(catalog, calibrate)
    build = _build(address, left, before[0] if before else 0, embedder, digest, replace=replace)
    check_strict(catalog.skipped, settings)
    _check_fits(address, catalog.table)
    started = time.monotonic()
    if left and left.model != build.model:  # its vectors may have another length
        stage.drop()
    stage.make()
    with running(stage, address, build, bar) as bar:
        building = _Building(address, embedder, settings)
        found = _embedded(building, catalog, bar)
        seconds = time.monotonic() - started
        if not found.is_kept.any():
            first = ": ".join(found.skipped[0])
            raise BadIndex(f"{address}: no image of {catalog.source} could be read; the first: {first}")
        original = _measured(building, catalog, found, build, bar, calibrate=calibrate)
        if addresses.published(address) != before:
            raise IndexChanged(
                f"{address}: another generation was published there in the meantime; {original.to_replace}"
            )
        pushed = addresses.push(original, address, bar)
    stage.drop()
    return Report(
        len(original),
        found.embedded,
        len(original) - found.embedded,
        skipped=tuple(found.skipped),
        seconds=seconds,
        reading=found.reading / max(found.reading + found.running, 1e-9),
        **said_of(catalog),
    ), pushed


def _build(
    address: Address, left: Build | None, answers: int, embedder: Embedder, digest: str, *, replace: bool
) -> Build:
    """The build that is to be done: the one that was left there, if it is of the same. answers: the generation that
    does, or 0; digest: of the catalog.

    One that was killed after it had published is gone through again, which changes nothing.
    """
    is_same = left is not None and (left.model, left.catalog) == (embedder.sha256, digest)
    if left and is_same and left.generation == answers and _has_published(address, left):
        return left
    if answers and not replace:
        raise BadIndex(f"{address}: there is an index already; --replace replaces it")
    if left and is_same and left.generation == answers + 1:
        return left
    return Build(embedder.sha256, digest, answers + 1, datetime.now(UTC).isoformat("T", "seconds"))


def _digest(catalog: Catalog, calibrate: bool) -> str:
    """The sha256 of what is built."""
    rows = pd.util.hash_pandas_object(catalog.table, index=False, categorize=False).to_numpy()
    asked = json.dumps([*catalog.table.columns, *(["calibrate"] if calibrate else [])])
    return hashlib.sha256(asked.encode() + rows.tobytes()).hexdigest()


def _has_published(address: Address, build: Build) -> bool:
    """Whether what answers there is of this build."""
    return addresses.open_copy(address).manifest.created == build.created


def _check_fits(address: Address, table: pd.DataFrame) -> None:
    """Raises BadIndex for a text that the server cannot keep, before anything is embedded."""
    for start in range(0, len(table), FRAME):
        some = table.iloc[start : start + FRAME]
        every = np.ones(len(some), bool)
        rows = rows_of(some, every, [""] * len(some), first_row=0).assign(vector_sha256="")
        addresses.check_fits(address, rows, _OnServer.again)


@dataclass
class _Embedded:
    """What is known of the images (n,) of a catalog: which are kept, and the checks of their rows. skipped: the (path,
    reason) of all others; embedded: how many were not there before; reading, running: seconds of those."""

    is_kept: npt.NDArray[np.bool_]
    checks: Checks
    skipped: list[tuple[str, str]] = field(default_factory=list)
    embedded: int = 0
    reading: float = 0.0
    running: float = 0.0


@dataclass(frozen=True)
class _Building:
    """Who does the work: this process, or a cluster."""

    address: Address
    embedder: Embedder
    settings: Settings

    def embedded(self, pieces: Sequence[tuple[int, list[str]]]) -> Iterator[Done]:
        settings, cluster = self.settings, self.settings.cluster
        work = Work(settings.batch_size, settings.max_pixels, settings.allowed, settings.workers, settings.gpu_share)
        model = cluster.model(self.embedder, work) if cluster else lambda: (self.embedder, settings.workers)
        job = Embedding(self.address, self.embedder.dim, model, self.embedder.sha256, work)
        return cluster.done(job, pieces, work) if cluster else map(job, pieces)

    def done(self, job: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        return self.settings.cluster.done(job, [*items]) if self.settings.cluster else map(job, items)


def _embedded(building: _Building, catalog: Catalog, bar: Bar) -> _Embedded:
    """Embed what is not yet there."""
    paths = catalog.table["path"].tolist()
    found, problems = _Embedded(np.zeros(len(paths), bool), np.zeros(len(paths), np.uint32)), dict[int, str]()
    with bar(len(paths), "embedding") as advance:
        starts = range(0, len(paths), PIECE)
        for done in building.embedded([(at, [absolute(path) for path in paths[at : at + PIECE]]) for at in starts]):
            bad = {place: problem for place, problem in enumerate(done.problems, done.start) if problem}
            check_strict([(paths[place], problem) for place, problem in bad.items()], building.settings)
            problems |= bad
            places = slice(done.start, done.start + len(done.problems))
            found.is_kept[places] = [not problem for problem in done.problems]
            found.checks[places] = done.checks
            found.embedded += done.embedded
            found.reading += done.reading
            found.running += done.running
            advance(len(done.problems))
    found.skipped = [*catalog.skipped, *((paths[place], problem) for place, problem in sorted(problems.items()))]
    return found


def _measured(
    building: _Building, catalog: Catalog, embedded: _Embedded, build: Build, bar: Bar, *, calibrate: bool
) -> _OnServer:
    """The generation, of which all is known that needs all paintings."""
    address, embedder = building.address, building.embedder
    is_kept = embedded.is_kept
    table = rows_of(catalog.table, is_kept, [""] * int(is_kept.sum()), first_row=0).assign(vector_sha256="")
    codes = artist_codes(table["artist_key"])[0]
    if "artist_id" in table:
        keys = table["artist_key"].astype(object).where(table["artist_key"].notna(), None).tolist()
        table = table.assign(artist_key=pd.Series(merged(keys, table["artist_id"].tolist()), dtype="str"))
    artists, keys = artist_codes(table["artist_key"])
    staged = _Staged(np.flatnonzero(is_kept), embedded.checks)

    def summary(of: Integers, centre: Array | None, advance: Callable[[int], None]) -> Summary:
        job = Summing(address, embedder.dim, centre)

        def each() -> Iterator[Summary]:
            for part in building.done(job, (staged.part(places, of) for places in staged.cut(SUMMED))):
                advance(int(part.sums.counts.sum()))
                yield part

        return joined(each())

    with bar(2 * len(table), "measuring") as advance:
        centre = centre_of_sums(summary(codes, None, advance).sums, NOBODY)
        found = summary(artists, centre, advance)
    model = ModelFile.of(embedder)
    if calibrate:
        model = replace(model, calibration=_calibrated(building, artists, staged, centre, bar).to_json())
    manifest = Manifest(
        format=FORMAT,
        generation=build.generation,
        created=build.created,
        artidx=version("artidx"),
        model=model.facts,
        paintings=len(table),
        artists=len(keys),
        skipped=len(embedded.skipped),
        next_row=len(table),
        centre=centre.tolist(),
        centre_artists=distinct_artists(codes),
        calibration=model.calibration,
        storage=Storage(),
        approximate_from=approximate.AUTOMATIC,
        segments=[],
        files={"sums": hashlib.sha256(found.sums.sums.tobytes()).hexdigest()},
        reading=catalog.reading,
    )
    return _OnServer(building, manifest, table, (artists, keys), staged, centre, found)


def _calibrated(building: _Building, artists: Integers, staged: _Staged, centre: Array, bar: Bar) -> Calibration:
    """The calibration on all paintings by artists (n,)."""
    address, dim = building.address, building.embedder.dim
    with bar(2 * len(artists), "calibrating") as advance:

        def done(job: Callable[[Some], Any]) -> Iterator[Any]:
            parts = (staged.part(places, artists) for places in staged.cut(SUMMED))
            for count, found in building.done(Calibrating(address, dim, centre, job), parts):
                advance(count)
                yield found

        def vectors_at(numbers: Integers) -> Array:
            known, at = np.unique(numbers, return_inverse=True)
            return staged.vectors(Job(address, dim), known.tolist(), artists, centre)[at.reshape(numbers.shape)]

        return calibrate_index(Divided(artists, np.ones(len(artists), bool), done, vectors_at), ALL)


class _Staged(NamedTuple):
    """Where paintings are in the stage. rows: (n,) of these; checks: of all rows."""

    rows: Integers
    checks: Checks

    def cut(self, most: int) -> Iterator[range]:
        """The places of all paintings, some at a time."""
        return (range(start, min(start + most, len(self.rows))) for start in range(0, len(self.rows), most))

    def part(self, places: range, artists: Integers) -> Part:
        """The paintings at some places. artists: (n,) of all."""
        staged = range(int(self.rows[places[0]]), int(self.rows[places[-1]]) + 1)
        return Part(staged, self.checks[staged.start : staged.stop], places.start, artists[places.start : places.stop])

    def vectors(self, job: Job, places: Sequence[int], artists: Integers, centre: Array) -> Array:
        """(m, d) of the paintings at single places."""
        parts = (self.part(range(place, place + 1), artists) for place in places)
        return np.concatenate([job.vectors(part, centre) for part in parts])


class _OnServer(Original):
    """A generation whose embeddings are on the server. artists: (n,) numbers, and the key of each; found: of the
    vectors."""

    again, to_replace = "run the same build again", "run the build with --replace to replace it"

    def __init__(
        self,
        building: _Building,
        manifest: Manifest,
        table: pd.DataFrame,
        artists: tuple[Integers, list[str]],
        staged: _Staged,
        centre: Array,
        found: Summary,
    ) -> None:
        text = json.dumps(asdict(manifest), indent=1, ensure_ascii=False)
        self.manifest, self.manifest_text = manifest, text
        self.sha256 = hashlib.sha256(text.encode()).hexdigest()
        self._building, self._table, self._staged, self._centre = building, table, staged, centre
        self._codes, self._keys = artists
        self._found = found

    def frames(self) -> Iterator[pd.DataFrame]:
        return (self._table.iloc[start : start + FRAME] for start in range(0, len(self), FRAME))

    @property
    def columns(self) -> list[str]:
        return [str(name) for name in self._table.columns]

    def number(self, place: int) -> int:
        return place

    def written(self, address: Address, parts: Sequence[range]) -> Iterator[int]:
        smallest = self._found.smallest.numbers
        ranks = np.full(len(self), UNRANKED)
        ranks[smallest] = np.arange(len(smallest))
        job = Writing(address, self.manifest.model.dim, self._centre, self.manifest.generation, self.sha256)
        items = (
            (self._part(part), self._table.iloc[part.start : part.stop], ranks[part.start : part.stop])
            for part in parts
        )
        return self._building.done(job, items)

    def artists(self) -> list[tuple[str, str, int]]:
        return named_artists(self._codes, self._keys, artist_names(self._table, self._codes, self._keys))

    def centroids(self) -> Array:
        return centroids_of_sums(self._found.sums, len(self._keys))

    def sample(self) -> tuple[list[int], Array]:
        numbers = sorted(self._found.smallest.numbers[:CHECKED].tolist())
        job = Job(self._building.address, self.manifest.model.dim)
        return numbers, self._staged.vectors(job, numbers, self._codes, self._centre)

    def nearest(self, queries: Array) -> Integers:
        job = Searching(self._building.address, self.manifest.model.dim, self._centre, queries)
        found: Nearest = joined(self._building.done(job, map(self._part, self._staged.cut(SUMMED))))
        return found.numbers

    def _part(self, places: range) -> Part:
        return self._staged.part(places, self._codes)
