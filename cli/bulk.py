"""Many pairs or paintings at once: files of names in, CSV or JSON lines out; each image is embedded once.

Memory does not grow with the number of pairs: vectors of a file's images are in a temporary file on disk.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, tee
from pathlib import Path
from typing import Any

import numpy as np

from ..embedder.catalogs.catalog import read_catalog, read_names
from ..embedder.catalogs.tables import open_table
from ..embedder.parallel import batches
from ..errors import ArtidxError, BadCatalog
from ..index.answers.search import Answer, Query
from ..index.answers.verify import Decision, Verdict
from ..index.opened import Index
from ..index.storage.vector_store import Painting
from ..plain_text import cell
from .output import check_stdout, note, plain, say_json

NOWHERE = np.empty(0, np.float32)
SEARCHED = 256  # paintings of pairs that are searched together
PAIRS = 512  # pairs that are answered together, each of their paintings once; their evidence takes some 10 MB
IMAGES = 32  # images likewise; two cores embed them in 2 s

PAIR_COLUMNS = (
    "a",
    "b",
    "same",
    "distance",
    "threshold",
    "probability",
    "probability_by_distance",
    "neighbourhood_similarity",
    "problem",
    "object_a",
    "attribution_a",
    "object_b",
    "attribution_b",
)
NEAREST_COLUMNS = (
    "image",
    "unknown",
    "rank",
    "artist",
    "probability",
    "painting",
    "distance",
    "problem",
    "object",
    "attribution",
)
JUDGED = PAIR_COLUMNS[2 : PAIR_COLUMNS.index("problem")]


def read_pairs(path: Path, encoding: str | None = None) -> Iterator[tuple[str, str]]:
    """The first two columns of a table with a header. Raises BadCatalog with the line that is wrong."""
    table = open_table(path, encoding)
    if len(table.headings) < 2:
        raise BadCatalog(f"{path}: expected a table with a header and two columns or more, the two paintings of a pair")
    for line, cells in table.rows():
        if not cells[0] or not cells[1]:
            raise BadCatalog(f"{path}, line {line}: one column; expected the two paintings of a pair")
        yield cells[0], cells[1]


def read_list(path: Path, encoding: str | None = None) -> Iterator[str]:
    """The names in a text file or a table, or the images of a folder as build finds them. Raises BadCatalog."""
    if path.is_dir():
        yield from read_catalog(path).table["path"]
    else:
        yield from read_names(path, encoding)


class Remembered:
    """Queries for names, each image opened and embedded once; their vectors are in a file, not in memory."""

    def __init__(self, index: Index, names: Iterable[str], max_pixels: int, *, expanded: bool) -> None:
        """expanded: search for all of them, each once (`Index.expanded`)."""
        self._place = {name: place for place, name in enumerate(dict.fromkeys(names))}
        self._found: list[Query | str] = []  # queries without their vectors, or the problem
        self._is_expanded, self._dim = expanded, index.manifest.model.dim
        self._vectors = tempfile.TemporaryFile()  # noqa: SIM115  (closed on exit)
        for some in batches(index.queries(self._place, max_pixels=max_pixels), SEARCHED):
            queries = [query for query in some if isinstance(query, Query)]
            coming = iter(index.expanded(queries) if expanded else queries)
            both = np.zeros((len(some), 2, self._dim), np.float32)
            for found, vectors in zip(some, both, strict=True):
                if isinstance(found, ArtidxError):
                    self._found.append(str(found))
                    continue
                query = next(coming)
                vectors[:] = query.vector, query.vector if query.expanded is None else query.expanded
                self._found.append(replace(query, vector=NOWHERE, expanded=None))
            self._vectors.write(both.tobytes())

    def __enter__(self) -> Remembered:
        return self

    def __exit__(self, *_: object) -> None:
        self._vectors.close()

    def query(self, name: str) -> Query | str:
        """The query, or the problem of the image."""
        place = self._place[name]
        found = self._found[place]
        if isinstance(found, str):
            return found
        self._vectors.seek(8 * self._dim * place)
        vector, expanded = np.frombuffer(self._vectors.read(8 * self._dim), np.float32).reshape(2, self._dim)
        return replace(found, vector=vector, expanded=expanded if self._is_expanded else None)


def answer_pairs(
    index: Index, path: Path, decision: Decision, max_pixels: int, as_json: bool, encoding: str | None = None
) -> int:
    """Write a judgement (CSV) or a verdict (JSON) for each pair of the file; returns how many failed."""
    writer = None if as_json else _writer(PAIR_COLUMNS)
    failed = 0
    every = (name for pair in read_pairs(path, encoding) for name in pair)
    expanded = not (as_json and index.expands_by_looking)
    with Remembered(index, every, max_pixels, expanded=expanded) as remembered:
        for some in batches(read_pairs(path, encoding), PAIRS):
            asked = {name: remembered.query(name) for name in dict.fromkeys(chain.from_iterable(some))}
            sides = [(asked[a], asked[b]) for a, b in some]
            whole = [(a, b) for a, b in sides if isinstance(a, Query) and isinstance(b, Query)]
            found = iter(index.judgements(whole, decision) if writer else index.verdicts(whole, decision))
            for names, (a, b) in zip(some, sides, strict=True):
                problem = next((side for side in (a, b) if isinstance(side, str)), None)
                judgement = None if problem else next(found)
                failed += problem is not None
                if writer:
                    values = [getattr(judgement, name) if judgement else None for name in JUDGED]
                    writer.writerow(map(_cell, (*names, *values, problem, *_known_of(a), *_known_of(b))))
                else:
                    say_json(judgement or {"a": names[0], "b": names[1], "problem": problem})
    return failed


def answer_list(index: Index, names: Iterable[str], k: int, paintings: bool, max_pixels: int, as_json: bool) -> int:
    """Write an answer for each image, several at a time; returns how many failed."""
    return write_answers(_answers(index, dict.fromkeys(names), k, paintings, max_pixels), paintings, as_json)


def _answers(
    index: Index, names: Iterable[str], k: int, paintings: bool, max_pixels: int
) -> Iterator[tuple[str, Answer | ArtidxError]]:
    names, again = tee(names)
    ask = index.all_nearest_to if paintings else index.answers
    for some in batches(zip(again, index.queries(names, max_pixels=max_pixels), strict=True), IMAGES):
        answers = ask([query for _, query in some if isinstance(query, Query)], k=k)
        for name, query in some:
            yield name, query if isinstance(query, ArtidxError) else next(answers)


def write_answers(found: Iterable[tuple[str, Answer | ArtidxError]], paintings: bool, as_json: bool) -> int:
    """Write each answer, or the problem of its image; returns how many failed."""
    writer = None if as_json else _writer(NEAREST_COLUMNS)
    failed = 0
    for name, answer in found:
        if isinstance(answer, ArtidxError):
            failed += 1
            if writer:
                writer.writerow(map(_cell, (name, *[None] * 6, str(answer), None, None)))
            else:
                say_json({"query": name, "problem": str(answer)})
        elif writer:
            known = _known(answer.painting)
            writer.writerows(
                [_cell(value) for value in (name, *row, None, *known)] for row in _ranks(answer, paintings)
            )
        else:
            say_json(answer)
    return failed


def write_verdicts(found: Iterable[tuple[tuple[str, str], Verdict | ArtidxError]], as_json: bool) -> int:
    """Write each verdict, or the problem of its pair; returns how many failed."""
    writer = None if as_json else _writer(PAIR_COLUMNS)
    failed = 0
    for names, verdict in found:
        if isinstance(verdict, ArtidxError):
            failed += 1
            if writer:
                writer.writerow(map(_cell, (*names, *[None] * len(JUDGED), str(verdict), *[None] * 4)))
            else:
                say_json({"a": names[0], "b": names[1], "problem": str(verdict)})
        elif writer:
            sides = (*_known(verdict.a.painting), *_known(verdict.b.painting))
            writer.writerow(map(_cell, (*names, *(getattr(verdict, name) for name in JUDGED), None, *sides)))
        else:
            say_json(verdict)
    return failed


def report_failed(failed: int) -> None:
    """Report on stderr how many rows have a `problem`."""
    if failed:
        note(f"{failed:,} could not be answered; the column `problem` has the reasons")


def _ranks(answer: Answer, paintings: bool) -> list[tuple[Any, ...]]:
    if paintings:
        return [
            (None, rank, n.painting.artist, None, n.painting.id, n.distance)
            for rank, n in enumerate(answer.paintings, start=1)
        ]
    return [
        (answer.unknown, rank, a.artist, a.probability, a.paintings[0].painting.id, a.paintings[0].distance)
        for rank, a in enumerate(answer.artists, start=1)
    ] or [(answer.unknown, *[None] * 5)]


def _known_of(query: Query | str) -> tuple[str | None, str | None]:
    return (None, None) if isinstance(query, str) else _known(query.painting)


def _known(painting: Painting | None) -> tuple[str | None, str | None]:
    """The museum's number and the current attribution of a painting of the index."""
    if painting is None:
        return None, None
    return painting.object or painting.id, painting.attribution or painting.artist


def _writer(columns: Sequence[str]) -> Any:
    check_stdout()
    if (sys.stdout.encoding or "").lower() in ("utf-8", "utf8"):
        sys.stdout.write("\ufeff")  # without a byte-order mark, Excel misreads accented letters
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    return writer


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    return cell(plain(value)) if isinstance(value, str) else "" if value is None else value
