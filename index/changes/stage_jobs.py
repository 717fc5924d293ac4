"""What workers do while an index is built on a server (build_on_server.py), each with one part at a time.

Embeddings are read back from a table that other builds can reach. So with each row goes a check of what this build has
seen there, and whoever reads another row ends the build: what is published never depends on a lock.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...embedder.locations import Reader, is_remote
from ...embedder.runtime import Embedder
from ...errors import BadIndex
from .. import addresses
from ..measure.fit_index import Some
from ..scoring.centre import centred
from ..scoring.parts import Nearest, Smallest, Summary
from ..scoring.sums import Sums
from ..scoring.vectors import Array, Integers
from ..storage.address import Address
from ..storage.pushed import Entries, K
from ..storage.segments import hashes_of
from ..storage.stage import Stage, Staged
from ..storage.vector_store import SAMPLED
from .cluster import Work

Checks = npt.NDArray[np.uint32]


class Part(NamedTuple):
    """Consecutive paintings. staged: the numbers of their rows, and of images that were skipped; checks: of these rows;
    first: the first painting's number in the index; artists: (m,) numbers."""

    staged: range
    checks: Checks
    first: int
    artists: Integers

    @property
    def numbers(self) -> Integers:
        return self.first + np.arange(len(self.artists))


class Done(NamedTuple):
    """Results for consecutive images, from `start` on. problems: (m,) of each, empty if it is kept; checks: (m,) of
    their rows; embedded: how many were not there before; reading, running: seconds of those."""

    start: int
    problems: list[str]
    checks: Checks
    embedded: int = 0
    reading: float = 0.0
    running: float = 0.0


@dataclass(frozen=True)
class Job:
    """Something that is done on any machine that reaches the server. dim: the vectors' length."""

    address: Address
    dim: int

    @cached_property
    def stage(self) -> Stage:
        return addresses.stage(self.address, self.dim)

    def kept(self, part: Part) -> tuple[list[str], Array]:
        """The contents' sha256 and embeddings (m, d) of a part's paintings. Raises BadIndex if there are others by
        now."""
        found = self.stage.get(part.staged)
        if not np.array_equal(_checks(found.texts), part.checks):
            raise BadIndex(
                f"{self.address}: another build has changed the embeddings there; run the same build again when it is "
                f"done"
            )
        facts = [json.loads(text) for text in found.texts]
        kept = [at for at, (_, _, problem) in enumerate(facts) if not problem]
        return [facts[at][1] for at in kept], found.vectors[kept]

    def vectors(self, part: Part, centre: Array | None) -> Array:
        """(m, d) from a centre; without one, as the model gives them."""
        embeddings = self.kept(part)[1]
        return embeddings if centre is None else centred(embeddings, centre)


@dataclass(frozen=True)
class Embedding(Job):
    """Embed images, unless they are there, and write the embeddings. model: and how many threads it may use; sha256: of
    the model."""

    model: Callable[[], tuple[Embedder, int | None]]
    sha256: str
    work: Work

    def __call__(self, piece: tuple[int, list[str]]) -> Done:
        start, paths = piece
        with Reader(self.work.max_pixels) as reader:
            marks = [self._mark(path, reader) for path in paths]
        texts = self.stage.get(range(start, start + len(paths))).texts
        there = [json.loads(text) for text in texts]
        if [mark for mark, _, _ in there] == marks and not any(
            problem and is_remote(path) for path, (_, _, problem) in zip(paths, there, strict=True)
        ):
            return Done(start, [problem for _, _, problem in there], _checks(texts))
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
        texts = [json.dumps((mark, each.sha256, each.problem)) for mark, each in zip(marks, done, strict=True)]
        vectors = np.array([nothing if each.vector is None else each.vector for each in done], np.float32)
        self.stage.put(Staged(np.arange(start, start + len(paths)), texts, vectors))
        return Done(
            start,
            [each.problem for each in done],
            _checks(texts),
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
class Summing(Job):
    """What parts say about the whole: of embeddings, and with a centre, of vectors."""

    centre: Array | None

    def __call__(self, part: Part) -> Summary:
        vectors = self.vectors(part, self.centre)
        hashes = np.array([] if self.centre is None else hashes_of(vectors), str)
        numbers = part.numbers[: len(hashes)]
        return Summary(Sums.of(vectors, part.artists), Smallest.of(hashes, numbers, SAMPLED))


@dataclass(frozen=True)
class Calibrating(Job):
    """What a part says to the calibration (fit_index.py), and how many paintings it has."""

    centre: Array
    job: Callable[[Some], Any]

    def __call__(self, part: Part) -> tuple[int, Any]:
        vectors = self.vectors(part, self.centre)
        every, hashes = np.ones(len(vectors), bool), np.array(hashes_of(vectors), str)
        return len(vectors), self.job(Some(part.numbers, part.artists, every, hashes, vectors))


@dataclass(frozen=True)
class Writing(Job):
    """Write paintings where they will be searched."""

    centre: Array
    generation: int
    sha256: str

    def __call__(self, item: tuple[Part, pd.DataFrame, Integers]) -> int:
        part, table, ranks = item
        contents, embeddings = self.kept(part)
        vectors = centred(embeddings, self.centre)
        table = table.assign(sha256=contents, vector_sha256=hashes_of(vectors))
        addresses.write(self.address, self.generation, self.sha256, Entries(table, vectors, part.artists, ranks))
        return len(table)


@dataclass(frozen=True)
class Searching(Job):
    """Find the nearest to queries (q, d)."""

    centre: Array
    queries: Array

    def __call__(self, part: Part) -> Nearest:
        return Nearest.of(self.vectors(part, self.centre), part.numbers, self.queries, K)


def _checks(texts: Sequence[str]) -> Checks:
    """(m,) of rows: their texts differ if their embeddings do."""
    return np.array([crc32(text.encode()) for text in texts], np.uint32)
