"""The findings of an index as a file of JSON lines: written by a separate process, since that takes minutes, and read
page by page.

The first line has the facts about the review and the number of findings of each kind; the second has their keys
(decisions.py), so that decided ones are known without reading all. A service runs `python -m artidx.service.findings
GENERATION SHA256 FILE.jsonl` while it continues to answer.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from ..errors import ArtidxError
from ..files import write_atomically
from ..index.opened import Index
from ..index.review.decisions import key_of
from ..index.review.findings import DOUBTFUL, DUPLICATE, UNATTRIBUTED, Review
from ..index.sources import Model
from ..index.storage.folder_store import FolderStore
from ..index.storage.generations import read_generation
from .public_json import public_json

KINDS = (DUPLICATE, DOUBTFUL, UNATTRIBUTED)
HEAD = 2  # lines before the findings


@dataclass(frozen=True)
class Found:
    """The findings of a generation. about: the first line; keys: of the findings, in order; said: number of corrections
    made until then; ends: of each line in the file."""

    path: Path
    about: dict[str, Any]
    keys: tuple[str, ...]
    said: int
    ends: tuple[int, ...]

    def numbers(self, kind: str | None) -> range:
        """Numbers of the findings of a kind, or of all."""
        sizes = [self.about["counts"][each] for each in KINDS]
        if kind is None:
            return range(sum(sizes))
        before = sum(sizes[: KINDS.index(kind)])
        return range(before, before + sizes[KINDS.index(kind)])

    def findings(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """The findings with these numbers. Raises OSError, ValueError."""
        found = []
        with self.path.open("rb") as stream:
            for number in numbers:
                start, end = self.ends[number + HEAD - 1], self.ends[number + HEAD]
                stream.seek(start)
                found.append(json.loads(stream.read(end - start)))
        return found


def read(path: Path) -> Found:
    """Read a file that `write` has written. Raises OSError, ValueError."""
    with path.open("rb") as stream:
        lengths = [len(line) for line in stream]
        stream.seek(0)
        about, more = json.loads(stream.readline()), json.loads(stream.readline())
    if not sum(about["counts"][kind] for kind in KINDS) == len(more["keys"]) == len(lengths) - HEAD:
        raise ValueError(f"{path}: not findings; remove it")
    return Found(path, about, tuple(more["keys"]), more["said"], tuple(accumulate(lengths)))


def text_of(review: Review, said: int) -> str:
    """A review as JSON lines, kind by kind. said: number of corrections made until then."""
    counts = {kind: len(review.of(kind)) for kind in KINDS}
    about = {name: getattr(review, name) for name in ("made", "judged", "measured_on", "notes", "model", "generation")}
    found = [finding for kind in KINDS for finding in review.of(kind)]
    more = {"keys": [key_of(each.kind, each.objects, each.records) for each in found], "said": said}
    return "".join(f"{public_json(each)}\n" for each in (about | {"counts": counts}, more, *found))


def write(folder: Path, manifest_sha256: str, target: Path) -> None:
    """Write the findings of the generation in a folder. Raises BadIndex, Uncalibrated."""
    store = FolderStore(read_generation(folder, manifest_sha256), str(folder))
    index = Index(folder.parents[1], store, Model(None))
    write_atomically(target, text_of(index.review(), len(index.history)).encode())


def main() -> None:
    """Write the findings; arguments: the generation's folder, its manifest's sha256 and the file to write."""
    kept_at, manifest_sha256, target = sys.argv[1:]
    os.nice(10)
    write(Path(kept_at), manifest_sha256, Path(target))


if __name__ == "__main__":
    try:
        main()
    except ArtidxError as problem:
        sys.exit(str(problem))
