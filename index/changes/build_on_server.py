"""Build an index on a server: workers embed and write there; no vector passes, or stays on, this machine.

    embed       each worker writes the embeddings of its paintings into a table beside the index (storage/stage.py)
    sum         the sums of these by artist give the centre
    measure     with the centre, sums of vectors by artist give the centroids, the smallest hashes the landmarks
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
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...embedder.catalogs.attribution import merged
from ...embedder.catalogs.catalog import Catalog
from ...embedder.locations import Reader, absolute, is_remote
from ...embedder.parallel import Bar, no_bar
from ...embedder.runtime import Embedder
from ...errors import BadIndex
from .. import addresses
from ..scoring.artists import artist_codes, artist_names, centroids_of_sums
from ..scoring.centre import centre_of_sums, centred, distinct_artists
from ..scoring.parts import Nearest, Smallest, Summary, joined
from ..scoring.sums import Sums
from ..scoring.vectors import NOBODY, Array, Integers
from ..storage import approximate
from ..storage.address import Address
from ..storage.generations import ModelFile
from ..storage.manifest import FORMAT, Manifest, Storage
from ..storage.pushed import CHECKED, UNRANKED, Entries, K, Original, Pushed, named_artists
from ..storage.segments import hashes_of
from ..storage.stage import Stage, Staged
from ..storage.vector_store import SAMPLED
from .build import Report, Settings, check_strict, rows_of, said_of
from .cluster import PIECE, Work

SUMMED = 16_384  # paintings whose sums are returned together: by far fewer artists, in a usual catalog
BEGUN = -1  # the number of the row about the build itself


class _Part(NamedTuple):
    """Consecutive paintings. staged: the numbers of their rows, and of images that were skipped; first: the first
    painting's number in the index; artists: (m,) numbers."""

    staged: range
    first: int
    artists: Integers

    @property
    def numbers(self) -> Integers:
        return self.first + np.arange(len(self.artists))


class _Done(NamedTuple):
    """Results for consecutive images, from `start` on. problems: (m,) of each, empty if it is kept; embedded: how many
    were not there before; reading, running: seconds of those."""

    start: int
    problems: list[str]
    embedded: int = 0
    reading: float = 0.0
    running: float = 0.0


def build_on_server(
    address: Address,
    catalog: Catalog,
    embedder: Embedder,
    settings: Settings,
    *,
    replace: bool = False,
    bar: Bar = no_bar,
) -> tuple[Report, Pushed]:
    """Embed a whole catalog into an index on a server. Raises BadIndex if one answers there, unless `replace`.

    With replace, the old generation answers until the new one is published.
    """
    before = addresses.published_generation(address)
    if before is not None and not replace:
        raise BadIndex(f"{address}: there is an index already; --replace replaces it")
    check_strict(catalog.skipped, settings)
    started = time.monotonic()
    stage = addresses.stage(address, embedder.dim)
    created = _begun(stage, embedder, (before or 0) + 1)
    building = _Building(address, embedder, settings)
    is_kept, skipped, counts = _embedded(building, catalog, bar)
    seconds = time.monotonic() - started
    if not is_kept.any():
        raise BadIndex(f"{address}: no image of {catalog.source} could be read; the first: {': '.join(skipped[0])}")
    original = _measured(building, catalog, is_kept, len(skipped), (before or 0) + 1, created, bar)
    pushed = addresses.push(original, address, bar)
    stage.drop()
    return Report(
        len(original),
        counts.embedded,
        len(original) - counts.embedded,
        skipped=tuple(skipped),
        seconds=seconds,
        reading=counts.reading / max(counts.reading + counts.running, 1e-9),
        **said_of(catalog),
    ), pushed


def _begun(stage: Stage, embedder: Embedder, generation: int) -> str:
    """When the build of this generation was begun. What an older one has left of this model is used."""
    stage.make()
    found = [json.loads(text) for text in stage.get(range(BEGUN, BEGUN + 1)).texts]
    if found and found[0]["model"] != embedder.sha256:  # its vectors may have another length
        stage.drop()
        stage.make()
    elif found and found[0]["generation"] == generation:
        return str(found[0]["created"])
    begun = {"model": embedder.sha256, "generation": generation, "created": datetime.now(UTC).isoformat("T", "seconds")}
    stage.put(Staged(np.array([BEGUN]), [json.dumps(begun)], np.zeros((1, embedder.dim), np.float32)))
    return str(begun["created"])


@dataclass(frozen=True)
class _Building:
    """Who does the work: this process, or a cluster."""

    address: Address
    embedder: Embedder
    settings: Settings

    def embedded(self, pieces: Sequence[tuple[int, list[str]]]) -> Iterator[_Done]:
        settings, cluster = self.settings, self.settings.cluster
        work = Work(settings.batch_size, settings.max_pixels, settings.allowed, settings.workers, settings.gpu_share)
        model = cluster.model(self.embedder, work) if cluster else lambda: (self.embedder, settings.workers)
        job = _Embedding(self.address, self.embedder.dim, model, self.embedder.sha256, work)
        return cluster.done(job, pieces, work) if cluster else map(job, pieces)

    def done(self, job: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        return self.settings.cluster.done(job, [*items]) if self.settings.cluster else map(job, items)


def _embedded(
    building: _Building, catalog: Catalog, bar: Bar
) -> tuple[npt.NDArray[np.bool_], list[tuple[str, str]], _Done]:
    """Embed what is not yet there. Returns which images could be (n,), the (path, reason) of all others, and totals."""
    paths = catalog.table["path"].tolist()
    is_kept, problems = np.zeros(len(paths), bool), dict[int, str]()
    embedded, reading, running = 0, 0.0, 0.0
    with bar(len(paths), "embedding") as advance:
        starts = range(0, len(paths), PIECE)
        for done in building.embedded([(at, [absolute(path) for path in paths[at : at + PIECE]]) for at in starts]):
            found = {place: problem for place, problem in enumerate(done.problems, done.start) if problem}
            check_strict([(paths[place], problem) for place, problem in found.items()], building.settings)
            is_kept[done.start : done.start + len(done.problems)] = [not problem for problem in done.problems]
            problems |= found
            embedded, reading, running = embedded + done.embedded, reading + done.reading, running + done.running
            advance(len(done.problems))
    skipped = [*catalog.skipped, *((paths[place], problem) for place, problem in sorted(problems.items()))]
    return is_kept, skipped, _Done(0, [], embedded, reading, running)


def _measured(
    building: _Building,
    catalog: Catalog,
    is_kept: npt.NDArray[np.bool_],
    skipped: int,
    generation: int,
    created: str,
    bar: Bar,
) -> _OnServer:
    """The generation, of which all is known that needs all paintings."""
    address, embedder = building.address, building.embedder
    table = rows_of(catalog.table, is_kept, [""] * int(is_kept.sum()), first_row=0).assign(vector_sha256="")
    codes = artist_codes(table["artist_key"])[0]
    if "artist_id" in table:
        keys = table["artist_key"].astype(object).where(table["artist_key"].notna(), None).tolist()
        table = table.assign(artist_key=pd.Series(merged(keys, table["artist_id"].tolist()), dtype="str"))
    artists, keys = artist_codes(table["artist_key"])
    staged = np.flatnonzero(is_kept)

    def parts(codes: Integers) -> Iterator[_Part]:
        for start in range(0, len(staged), SUMMED):
            some = slice(start, start + SUMMED)
            yield _Part(range(int(staged[some][0]), int(staged[some][-1]) + 1), start, codes[some])

    def summary(of: Integers, centre: Array | None, advance: Callable[[int], None]) -> Summary:
        job = _Summing(address, embedder.dim, centre)

        def each() -> Iterator[Summary]:
            for part in building.done(job, parts(of)):
                advance(int(part.sums.counts.sum()))
                yield part

        return joined(each())

    with bar(2 * len(table), "measuring") as advance:
        centre = centre_of_sums(summary(codes, None, advance).sums, NOBODY)
        found = summary(artists, centre, advance)
    model = ModelFile.of(embedder)
    manifest = Manifest(
        format=FORMAT,
        generation=generation,
        created=created,
        artidx=version("artidx"),
        model=model.facts,
        paintings=len(table),
        artists=len(keys),
        skipped=skipped,
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


class _OnServer(Original):
    """A generation whose embeddings are on the server.

    artists: (n,) numbers, and the key of each; staged: (n,) the rows of the paintings in the stage; found: of vectors.
    """

    def __init__(
        self,
        building: _Building,
        manifest: Manifest,
        table: pd.DataFrame,
        artists: tuple[Integers, list[str]],
        staged: Integers,
        centre: Array,
        found: Summary,
    ) -> None:
        text = json.dumps(asdict(manifest), indent=1, ensure_ascii=False)
        self.manifest, self.manifest_text = manifest, text
        self.sha256 = hashlib.sha256(text.encode()).hexdigest()
        self._building, self._table, self._staged, self._centre = building, table, staged, centre
        self._codes, self._keys = artists
        self._found = found

    @property
    def table(self) -> pd.DataFrame:
        return self._table

    @property
    def columns(self) -> list[str]:
        return [str(name) for name in self._table.columns]

    def number(self, place: int) -> int:
        return place

    def written(self, address: Address, parts: Sequence[range]) -> Iterator[int]:
        smallest = self._found.smallest.numbers
        ranks = np.full(len(self), UNRANKED)
        ranks[smallest] = np.arange(len(smallest))
        job = _Writing(address, self.manifest.model.dim, self._centre, self.manifest.generation, self.sha256)
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
        stage = addresses.stage(self._building.address, self.manifest.model.dim)
        found = [_vectors(stage, self._part(range(number, number + 1)), self._centre) for number in numbers]
        return numbers, np.concatenate(found)

    def nearest(self, queries: Array) -> Integers:
        job = _Searching(self._building.address, self.manifest.model.dim, self._centre, queries)
        parts = [range(start, min(start + SUMMED, len(self))) for start in range(0, len(self), SUMMED)]
        found: Nearest = joined(self._building.done(job, map(self._part, parts)))
        return found.numbers

    def _part(self, places: range) -> _Part:
        first, last = (int(self._staged[place]) for place in (places[0], places[-1]))
        return _Part(range(first, last + 1), places.start, self._codes[places.start : places.stop])


# What workers do, each with one part at a time.


@dataclass(frozen=True)
class _Job:
    """Something that is done on any machine that reaches the server. dim: the vectors' length."""

    address: Address
    dim: int

    @cached_property
    def stage(self) -> Stage:
        return addresses.stage(self.address, self.dim)


@dataclass(frozen=True)
class _Embedding(_Job):
    """Embed images, unless they are there, and write the embeddings. model: and how many threads it may use; sha256: of
    the model."""

    model: Callable[[], tuple[Embedder, int | None]]
    sha256: str
    work: Work

    def __call__(self, piece: tuple[int, list[str]]) -> _Done:
        start, paths = piece
        with Reader(self.work.max_pixels) as reader:
            marks = [self._mark(path, reader) for path in paths]
        there = [json.loads(text) for text in self.stage.get(range(start, start + len(paths))).texts]
        if [mark for mark, _, _ in there] == marks and not any(
            problem and is_remote(path) for path, (_, _, problem) in zip(paths, there, strict=True)
        ):
            return _Done(start, [problem for _, _, problem in there])
        embedder, threads = self._loaded
        done = list(
            embedder.embed(
                paths,
                batch_size=self.work.batch_size,
                workers=threads,
                max_pixels=self.work.max_pixels,
                allowed=self.work.allowed,
            )
        )
        nothing = np.zeros(self.dim, np.float32)
        self.stage.put(
            Staged(
                np.arange(start, start + len(paths)),
                [json.dumps((mark, each.sha256, each.problem)) for mark, each in zip(marks, done, strict=True)],
                np.array([nothing if each.vector is None else each.vector for each in done], np.float32),
            )
        )
        return _Done(
            start,
            [each.problem for each in done],
            sum(not each.problem for each in done),
            sum(each.reading for each in done),
            sum(each.embedding for each in done),
        )

    def _mark(self, path: str, reader: Reader) -> str:
        """Differs for another model, other limits, another painting and a changed file."""
        facts = (self.sha256, str(self.work.max_pixels), path, reader.fingerprint(path))
        return hashlib.sha256("\0".join(facts).encode("utf-8", "surrogatepass")).hexdigest()[:32]

    @cached_property
    def _loaded(self) -> tuple[Embedder, int | None]:
        return self.model()


@dataclass(frozen=True)
class _Summing(_Job):
    """What parts say about the whole: of embeddings, and with a centre, of vectors."""

    centre: Array | None

    def __call__(self, part: _Part) -> Summary:
        vectors = _vectors(self.stage, part, self.centre)
        hashes = np.array([] if self.centre is None else hashes_of(vectors), str)
        numbers = part.numbers[: len(hashes)]
        return Summary(Sums.of(vectors, part.artists), Smallest.of(hashes, numbers, SAMPLED))


@dataclass(frozen=True)
class _Writing(_Job):
    """Write paintings where they will be searched."""

    centre: Array
    generation: int
    sha256: str

    def __call__(self, item: tuple[_Part, pd.DataFrame, Integers]) -> int:
        part, table, ranks = item
        contents, embeddings = _kept(self.stage, part)
        vectors = centred(embeddings, self.centre)
        table = table.assign(sha256=contents, vector_sha256=hashes_of(vectors))
        addresses.write(self.address, self.generation, self.sha256, Entries(table, vectors, part.artists, ranks))
        return len(table)


@dataclass(frozen=True)
class _Searching(_Job):
    """Find the nearest to queries (q, d)."""

    centre: Array
    queries: Array

    def __call__(self, part: _Part) -> Nearest:
        return Nearest.of(_vectors(self.stage, part, self.centre), part.numbers, self.queries, K)


def _vectors(stage: Stage, part: _Part, centre: Array | None) -> Array:
    embeddings = _kept(stage, part)[1]
    return embeddings if centre is None else centred(embeddings, centre)


def _kept(stage: Stage, part: _Part) -> tuple[list[str], Array]:
    """The contents' sha256 and embeddings (m, d) of a part's paintings. Raises BadIndex if there are others by now."""
    found = stage.get(part.staged)
    facts = [json.loads(text) for text in found.texts]
    kept = [at for at, (_, _, problem) in enumerate(facts) if not problem]
    if len(kept) != len(part.artists):
        raise BadIndex("the embeddings on the server are not those that this build has written; run it again")
    return [facts[at][1] for at in kept], found.vectors[kept]
