"""The findings of an index as a file of JSON lines: made aside, since that takes minutes, and read page by page.

The first line tells what all of them rest on, and how many there are of each kind. A service makes one aside and goes
on answering: `python -m artidx.service.findings GENERATION SHA256 FILE.jsonl`.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from ..errors import ArtidxError
from ..files import write_atomically
from ..index.model import Model
from ..index.opened import Index
from ..index.review.findings import DOUBTFUL, DUPLICATE, UNATTRIBUTED, Review
from ..index.storage.folder_store import FolderStore
from ..index.storage.generations import read_generation
from .told import told

KINDS = (DUPLICATE, DOUBTFUL, UNATTRIBUTED)


@dataclass(frozen=True)
class Found:
    """What was found in a generation. about: the first line; ends: of each line in the file, the first line's too."""

    path: Path
    about: dict[str, Any]
    ends: tuple[int, ...]

    def lines(self, kind: str | None, start: int, count: int) -> tuple[int, list[str]]:
        """How many findings there are of a kind, or of all, and some of them as JSON. Raises OSError."""
        sizes = [self.about["counts"][each] for each in KINDS]
        before = sum(sizes[: KINDS.index(kind)]) if kind else 0
        total = sizes[KINDS.index(kind)] if kind else sum(sizes)
        first, last = before + min(start, total), before + min(start + count, total)
        with self.path.open("rb") as stream:
            stream.seek(self.ends[first])
            data = stream.read(self.ends[last] - self.ends[first])
        return total, data.decode().split("\n")[:-1]


def read(path: Path) -> Found:
    """What was written. Raises OSError, ValueError."""
    with path.open("rb") as stream:
        lengths = [len(line) for line in stream]
        stream.seek(0)
        about = json.loads(stream.readline())
    if sum(about["counts"][kind] for kind in KINDS) != len(lengths) - 1:
        raise ValueError(f"{path}: not findings; remove it")
    return Found(path, about, tuple(accumulate(lengths)))


def text_of(review: Review) -> str:
    """A review as JSON lines, kind by kind."""
    counts = {kind: len(review.of(kind)) for kind in KINDS}
    about = {name: getattr(review, name) for name in ("made", "judged", "measured_on", "notes", "model", "generation")}
    found = [finding for kind in KINDS for finding in review.of(kind)]
    return "".join(f"{told(each)}\n" for each in (about | {"counts": counts}, *found))


def write(folder: Path, manifest_sha256: str, target: Path) -> None:
    """Write the findings of the generation in a folder. Raises BadIndex, Uncalibrated."""
    store = FolderStore(read_generation(folder, manifest_sha256), str(folder))
    index = Index(folder.parents[1], store, Model(None))
    write_atomically(target, text_of(index.review()).encode())


def main() -> None:
    """Write them, given the generation's folder, its manifest's sha256 and the file to write."""
    kept_at, manifest_sha256, target = sys.argv[1:]
    os.nice(10)
    write(Path(kept_at), manifest_sha256, Path(target))


if __name__ == "__main__":
    try:
        main()
    except ArtidxError as problem:
        sys.exit(str(problem))
