"""Build an index on a server: workers embed and write there; no vector passes, or stays on, this machine.

    embed       each worker writes the embeddings of its paintings into a table beside the index (storage/stage.py)
    sum         the sums of these by artist give the centre
    measure     with the centre, sums of vectors by artist give the centroids, the smallest hashes the landmarks
    calibrate   if that is wanted: part by part, as a folder (measure/fit_index.py)
    push        as from a folder: written, counted, a sample compared, recall measured, then switched to

Of each part, a worker returns what scoring/parts.py joins, so that the index is that of a folder to the last bit. Which
paintings are embedded or written is asked of the server: if a worker is lost, another does its part, and if this
process is killed, the same command resumes. Here are some numbers of each painting (catalog_rows.py), and the catalog,
which may be on disk.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...embedder.catalogs.catalog import Catalog
from ...embedder.locations import absolute
from ...embedder.parallel import Bar, no_bar
from ...embedder.runtime import Embedder
from ...errors import BadIndex, IndexChanged
from .. import addresses
from ..measure.fit_index import ALL, Divided, Some, calibrate_index
from ..measure.packages import needed
from ..scoring.artists import centroids_of_sums
from ..scoring.calibration import Calibration, stored_detector
from ..scoring.centre import centre_of_sums, distinct_artists
from ..scoring.parts import Nearest, Summary, joined
from ..scoring.sculpture import SculptureDetector
from ..scoring.vectors import NOBODY, Array, Codes, Integers
from ..storage import approximate
from ..storage.address import Address
from ..storage.generations import ModelFile
from ..storage.manifest import FORMAT, Manifest, Storage
from ..storage.pushed import CHECKED, FRAME, UNRANKED, Original, Pushed, named_artists
from .begun import Build, left_in, running
from .build import Report, Settings, check_strict, rows_of, said_of
from .catalog_rows import Rows
from .cluster import PIECE, Work
from .stage_jobs import Calibrating, Checks, Done, Embedding, Job, Part, Searching, Summing, Writing

AT_ONCE = 500_000  # paintings of which a cluster is told together: their rows take some 0.2 GB here
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
    digest = _looked_through(address, catalog.table, calibrate)
    build = _build(address, left, before[0] if before else 0, embedder, digest, replace=replace)
    check_strict(catalog.skipped, settings)
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
    does, or 0; digest: of what is built.

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


def _has_published(address: Address, build: Build) -> bool:
    """Whether what answers there is of this build."""
    return addresses.open_copy(address).manifest.created == build.created


def _looked_through(address: Address, table: pd.DataFrame, calibrate: bool) -> str:
    """The sha256 of what is built from a catalog's table. Raises BadIndex for a text that the server cannot keep:
    nothing is embedded yet."""
    digest = hashlib.sha256(b"calibrate" if calibrate else b"")
    for start in range(0, len(table), FRAME):
        some = table.iloc[start : start + FRAME]
        every = np.ones(len(some), bool)
        rows = rows_of(some, every, [""] * len(some), first_row=0).assign(vector_sha256="")
        addresses.check_fits(address, rows, _OnServer.again)
        digest.update(json.dumps([*rows.columns]).encode())
        digest.update(pd.util.hash_pandas_object(rows, index=False, categorize=False).to_numpy().tobytes())
    return digest.hexdigest()


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

    def embedded(self, pieces: Iterator[tuple[int, list[str]]]) -> Iterator[Done]:
        settings, cluster = self.settings, self.settings.cluster
        work = Work(settings.batch_size, settings.max_pixels, settings.allowed, settings.workers, settings.gpu_share)
        model = cluster.model(self.embedder, work) if cluster else lambda: (self.embedder, settings.workers)
        job = Embedding(self.address, self.embedder.dim, model, self.embedder.sha256, work)
        return self.done(job, pieces, PIECE, work)

    def done(
        self, job: Callable[[Any], Any], items: Iterator[Any], paintings: int, work: Work | None = None
    ) -> Iterator[Any]:
        """What a job returns for each item, in any order. paintings: of an item; work: for a job that embeds."""
        cluster = self.settings.cluster
        if cluster is None:
            yield from map(job, items)
            return
        while some := list(islice(items, max(1, AT_ONCE // paintings))):
            yield from cluster.done(job, some, work)


def _embedded(building: _Building, catalog: Catalog, bar: Bar) -> _Embedded:
    """Embed what is not yet there."""
    paths, skipped = catalog.table["path"], dict[int, tuple[str, str]]()
    found = _Embedded(np.zeros(len(paths), bool), np.zeros(len(paths), np.uint32))
    starts = range(0, len(paths), PIECE)
    pieces = ((at, [absolute(path) for path in paths.iloc[at : at + PIECE].tolist()]) for at in starts)
    with bar(len(paths), "embedding") as advance:
        for done in building.embedded(pieces):
            bad = {at: (paths.iloc[at], problem) for at, problem in enumerate(done.problems, done.start) if problem}
            check_strict([*bad.values()], building.settings)
            skipped |= bad
            places = slice(done.start, done.start + len(done.problems))
            found.is_kept[places] = [not problem for problem in done.problems]
            found.checks[places] = done.checks
            found.embedded += done.embedded
            found.reading += done.reading
            found.running += done.running
            advance(len(done.problems))
    found.skipped = [*catalog.skipped, *(each for _, each in sorted(skipped.items()))]
    return found


def _measured(
    building: _Building, catalog: Catalog, embedded: _Embedded, build: Build, bar: Bar, *, calibrate: bool
) -> _OnServer:
    """The generation, of which all is known that needs all paintings."""
    address, embedder = building.address, building.embedder
    rows = Rows(catalog.table, embedded.is_kept, embedded.checks)

    def summary(of: Codes, centre: Array | None, advance: Callable[[int], None]) -> Summary:
        job = Summing(address, embedder.dim, centre)

        def each() -> Iterator[Summary]:
            for part in building.done(job, (rows.part(places, of) for places in rows.cut(SUMMED)), SUMMED):
                advance(int(part.sums.counts.sum()))
                yield part

        return joined(each())

    with bar(2 * len(rows), "measuring") as advance:
        centre = centre_of_sums(summary(rows.artists.own, None, advance).sums, NOBODY)
        found = summary(rows.artists.codes, centre, advance)
    model = ModelFile.of(embedder)
    if calibrate:
        sculptures = stored_detector(model.calibration, model.facts.dim)
        model = replace(model, calibration=_calibrated(building, rows, centre, sculptures, bar).to_json())
    manifest = Manifest(
        format=FORMAT,
        generation=build.generation,
        created=build.created,
        artidx=version("artidx"),
        model=model.facts,
        paintings=len(rows),
        artists=len(rows.artists.keys),
        skipped=len(embedded.skipped),
        next_row=len(rows),
        centre=centre.tolist(),
        centre_artists=distinct_artists(rows.artists.own),
        calibration=model.calibration,
        storage=Storage(),
        approximate_from=approximate.AUTOMATIC,
        segments=[],
        files={"sums": hashlib.sha256(found.sums.sums.tobytes()).hexdigest()},
        reading=catalog.reading,
    )
    return _OnServer(building, manifest, rows, centre, found)


def _calibrated(
    building: _Building, rows: Rows, centre: Array, sculptures: SculptureDetector | None, bar: Bar
) -> Calibration:
    """The calibration on all paintings."""
    address, dim, codes = building.address, building.embedder.dim, rows.artists.codes
    with bar(2 * len(rows), "calibrating") as advance:

        def done(job: Callable[[Some], Any]) -> Iterator[Any]:
            parts = (rows.part(places, codes) for places in rows.cut(SUMMED))
            for count, found in building.done(Calibrating(address, dim, centre, job), parts, SUMMED):
                advance(count)
                yield found

        def vectors_at(numbers: Integers) -> Array:
            known, at = np.unique(numbers, return_inverse=True)
            return rows.vectors(Job(address, dim), known.tolist(), centre)[at.reshape(numbers.shape)]

        divided = Divided(codes.astype(np.int64), np.ones(len(rows), bool), done, vectors_at)
        return calibrate_index(divided, ALL, sculptures)


class _OnServer(Original):
    """A generation whose embeddings are on the server. found: of its vectors."""

    again, to_replace = "run the same build again", "run the build with --replace to replace it"

    def __init__(self, building: _Building, manifest: Manifest, rows: Rows, centre: Array, found: Summary) -> None:
        text = json.dumps(asdict(manifest), indent=1, ensure_ascii=False)
        self.manifest, self.manifest_text = manifest, text
        self.sha256 = hashlib.sha256(text.encode()).hexdigest()
        self._building, self._rows, self._centre, self._found = building, rows, centre, found

    def frames(self) -> Iterator[pd.DataFrame]:
        return map(self._rows.frame, self._rows.cut(FRAME))

    @property
    def columns(self) -> list[str]:
        return [str(name) for name in self._rows.frame(range(1)).columns]

    def number(self, place: int) -> int:
        return place

    def written(self, address: Address, parts: Sequence[range]) -> Iterator[int]:
        job = Writing(address, self.manifest.model.dim, self._centre, self.manifest.generation, self.sha256)
        order = np.argsort(self._found.smallest.numbers)
        ranked = self._found.smallest.numbers[order]

        def item(places: range) -> tuple[Part, pd.DataFrame, Integers]:
            ranks = np.full(len(places), UNRANKED)
            some = slice(*np.searchsorted(ranked, [places.start, places.stop]))
            ranks[ranked[some] - places.start] = order[some]
            return self._part(places), self._rows.frame(places), ranks

        return self._building.done(job, map(item, parts), max(map(len, parts), default=1))

    def artists(self) -> list[tuple[str, str, int]]:
        artists = self._rows.artists
        return named_artists(artists.codes, artists.keys, artists.names)

    def centroids(self) -> Array:
        return centroids_of_sums(self._found.sums, len(self._rows.artists.keys))

    def sample(self) -> tuple[list[int], Array]:
        numbers = sorted(self._found.smallest.numbers[:CHECKED].tolist())
        job = Job(self._building.address, self.manifest.model.dim)
        return numbers, self._rows.vectors(job, numbers, self._centre)

    def nearest(self, queries: Array) -> Integers:
        job = Searching(self._building.address, self.manifest.model.dim, self._centre, queries)
        found: Nearest = joined(self._building.done(job, map(self._part, self._rows.cut(SUMMED)), SUMMED))
        return found.numbers

    def _part(self, places: range) -> Part:
        return self._rows.part(places, self._rows.artists.codes)
