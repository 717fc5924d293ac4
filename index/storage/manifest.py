"""`manifest.json`: the facts about a generation, and the check of its files against them.

Its own sha256 is in manifest.sha256 and in CURRENT: if one of the three is damaged, the other two show which.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import BadIndex, damaged
from ...files import open_plain, sha256_of
from ..scoring import upgrades
from . import approximate, columns_file
from . import segments as pieces
from .approximate import Approximate

FORMAT = 4
MAX_BYTES = 1 << 20
SAID = {"history.parquet", "skipped.csv"}  # files without which it is still the same paintings
MOST = 1 << 40  # paintings, generations and numbers of rows


@dataclass(frozen=True)
class Model:
    """The model that made the vectors. sha256: of the model file, which includes the preprocessing."""

    sha256: str
    name: str
    dim: int


@dataclass(frozen=True)
class Storage:
    """The numpy type of stored vectors, and its cost, measured when the index was built."""

    type: str = "float32"
    largest_error: float = 0.0  # of a distance
    recall_at_10: float = 1.0  # share of the ten nearest paintings that remain among them


@dataclass(frozen=True)
class SegmentFacts:
    """Facts about a segment. paintings: including removed ones."""

    name: str
    paintings: int
    approximate: Approximate | None


@dataclass(frozen=True)
class Manifest:
    """Facts about a generation; `manifest.json` has these keys."""

    format: int
    generation: int
    created: str
    artidx: str
    model: Model
    paintings: int
    artists: int
    skipped: int
    next_row: int
    centre: list[float]  # of the collection (centre.py), from which the vectors are measured
    centre_artists: int  # number of artists, counting each painting without one, when the centre was set
    calibration: dict[str, Any] | None
    storage: Storage
    approximate_from: int  # segments with this many paintings get an approximate index
    segments: list[SegmentFacts]  # none if it was built on a server
    files: dict[str, str]  # name -> sha256; of what was built on a server, one of its sums
    reading: dict[str, Any] | None = None  # how the last table of paintings was read: columns, images, qualified

    @property
    def paintings_sha256(self) -> str:
        """Equal for two generations that differ only in corrections."""
        files = {name: sha256 for name, sha256 in self.files.items() if name not in SAID}
        rest = [self.centre, self.calibration, (self.reading or {}).get("qualified")]
        return hashlib.sha256(json.dumps([files, rest], sort_keys=True).encode()).hexdigest()


def manifest_bytes(folder: Path) -> bytes:
    """The bytes of a generation's manifest.json; of an overlong one, only as many as prove that it is too long."""
    with open_plain(folder / "manifest.json") as stream:
        return stream.read(MAX_BYTES + 1)


def read_manifest(data: bytes, path: Path, sha256: str | None) -> Manifest:
    """The manifest in the bytes of a file, which must have this sha256. Raises BadIndex."""
    if sha256 != hashlib.sha256(data).hexdigest():
        raise damaged(path, "its sha256 is not the one it was published with")
    try:
        found = upgrades.manifest(json.loads(data))
        if type(found["format"]) is not int:
            raise ValueError("a format that is not a number")
        if found["format"] != FORMAT:
            what = "update artidx" if found["format"] > FORMAT else "rebuild it with artidx build --replace"
            raise BadIndex(f"{path}: index format {found['format']}, this artidx reads {FORMAT}; {what}")
        segments = [
            SegmentFacts(**(facts | {"approximate": approximate.as_facts(facts["approximate"])}))
            for facts in found["segments"]
        ]
        manifest = Manifest(
            **(found | {"model": Model(**found["model"]), "storage": Storage(**found["storage"]), "segments": segments})
        )
        names = {name for facts in segments for name in pieces.file_names(facts.name, facts.approximate)}
        names = {name for name in names if not name.endswith(columns_file.ENDING)}  # format 3 did not have it
        if not names <= set(manifest.files) or not all(re.fullmatch(r"[\w.-]+", name) for name in manifest.files):
            raise KeyError("files")
        if manifest.storage.type not in pieces.TYPES:
            raise ValueError("storage")
        if np.array(manifest.centre, np.float32).shape != (manifest.model.dim,):
            raise ValueError("centre")
        _check_kinds(manifest)
        return manifest
    except (ArithmeticError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as problem:
        raise damaged(path, f"not a manifest ({problem})") from None


def _check_kinds(manifest: Manifest) -> None:
    """Raises TypeError or ValueError if a value has the wrong type, since JSON has no dataclasses."""
    counts = [
        manifest.generation,
        manifest.paintings,
        manifest.artists,
        manifest.skipped,
        manifest.next_row,
        manifest.centre_artists,
        manifest.approximate_from,
        manifest.model.dim,
        *(facts.paintings for facts in manifest.segments),
    ]
    if not all(type(count) is int and 0 <= count <= MOST for count in counts) or not manifest.model.dim:
        raise ValueError("an invalid count")
    shares = [manifest.storage.largest_error, manifest.storage.recall_at_10, *manifest.centre]
    if not all(type(share) in (int, float) and math.isfinite(share) for share in shares):
        raise ValueError("an invalid number")
    texts = [
        manifest.created,
        manifest.artidx,
        manifest.model.sha256,
        manifest.model.name,
        *(facts.name for facts in manifest.segments),
        *manifest.files.values(),
    ]
    texts += [facts.approximate.kind for facts in manifest.segments if facts.approximate]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("an invalid text")
    if not isinstance(manifest.calibration, dict | None):
        raise TypeError("calibration")


def damaged_files(folder: Path, manifest: Manifest) -> list[str]:
    """Names of a generation's damaged files."""

    def is_whole(name: str, sha256: str) -> bool:
        path = folder / name
        return path.is_file() and sha256_of(path) == sha256

    wrong = [name for name, sha256 in manifest.files.items() if not is_whole(name, sha256)]
    path = folder / "manifest.json"
    return wrong if path.is_file() and manifest_sha256_of(folder) == sha256_of(path) else [*wrong, "manifest.sha256"]


def manifest_sha256_of(folder: Path) -> str | None:
    """The content of a generation's manifest.sha256; None if it cannot be read."""
    try:
        with open_plain(folder / "manifest.sha256") as stream:
            found = re.fullmatch(rb"([0-9a-f]{64})  manifest\.json\n", stream.read(200))
    except OSError:
        return None
    return found[1].decode() if found else None


def check_file(folder: Path, manifest: Manifest, name: str) -> None:
    """Raises BadIndex if a file of a generation is damaged."""
    if sha256_of(folder / name) != manifest.files[name]:
        raise damaged(folder / name, "its sha256 is not the one in manifest.json")
