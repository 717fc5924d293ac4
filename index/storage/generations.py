"""Generations of an index on disk: written aside, checked, published by one rename; never edited.

    paintings.artidx/
      CURRENT              number of the published generation and the sha256 of its manifest
      LOCK                 locked while somebody writes; names the holder
      building/            shards of an unfinished build
      decisions.jsonl      decisions about the findings of a review (../review/decisions.py)
      generations/000003/
        manifest.json      format, model, counts, calibration, segments, the sha256 of every other file
        manifest.sha256    the manifest's own, in the format of sha256sum
        000001-0.parquet   paintings and their vectors, row for row, as generation 1 wrote them (segments.py)
        000001-0.arrow     the paintings again, for lookups in place
        000001-0.npy
        removed.npy        numbers of the paintings of these segments that were removed
        history.parquet    corrections of the paintings (history.py)
        model.onnx         the model that made the vectors, so that the index can always answer
        skipped.csv        paintings that could not be indexed, and why

Files that a generation shares with the one before it are hard links. A reader holds the generation it opened, which is
removed when nobody holds it. Does not embed (build.py) nor answer (search.py, verify.py).
"""

from __future__ import annotations

import csv
import dataclasses
import errno
import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ...embedder import hashed
from ...embedder.catalogs.attribution import merged
from ...embedder.runtime import Embedder, read_model
from ...errors import ArtidxError, BadIndex, IndexBusy, ModelMismatch, damaged, exhausted
from ...files import (
    Fingerprint,
    fingerprint,
    locked,
    open_handle,
    open_plain,
    sha256_of,
    strange_parts,
    sync,
    take_lock,
    write_atomically,
)
from ...plain_text import cell, escaped, of_cell
from ..scoring import upgrades
from ..scoring.centre import uncentred
from ..scoring.vectors import Array, Integers, Mask, Vectors
from . import approximate, columns_file
from . import segments as pieces
from .batch import Batch
from .bounded_parquet import is_empty
from .manifest import FORMAT, Manifest, Model, SegmentFacts, Storage, check_file, manifest_bytes, read_manifest
from .paintings import Paintings
from .segments import Draft, Segment

if TYPE_CHECKING:
    import pandas as pd

SUFFIX = ".artidx"
LONGEST_SKIPPED = 100_000  # characters of a path or a reason
KEPT = 2  # minimal number of generations: the published one, and the one before it for readers that are opening it
OWN_FOLDERS = {"building", "generations"}
DECISIONS = "decisions.jsonl"
OWN_NAMES = {"CURRENT", "CURRENT.part", "LOCK", DECISIONS, f"{DECISIONS}.part", *OWN_FOLDERS}
MODEL = "model.onnx"
FILES = ("removed.npy", "history.parquet", MODEL, "skipped.csv")  # in addition to those of the segments


@dataclass(frozen=True)
class Contents:
    """The contents of a generation. skipped: (path, reason) pairs; said: the history (history.py), if there is any.

    Only methods that need pandas import it: without it, a question takes half as long.
    """

    segments: Sequence[Segment | Draft]
    centre: Array
    centre_artists: int
    next_row: int
    skipped: Sequence[tuple[str, str]] = ()
    removed: Integers = field(default_factory=lambda: np.empty(0, np.int64))  # numbers of paintings
    said: pd.DataFrame | None = None
    storage: Storage = field(default_factory=Storage)
    approximate_from: int = approximate.AUTOMATIC
    reading: dict[str, Any] | None = None  # of the last table

    @property
    def history(self) -> pd.DataFrame:
        """All corrections (history.py)."""
        from . import history

        return history.none() if self.said is None else self.said

    def table(self) -> pd.DataFrame:
        """One row per painting, in the order of the vectors, with current labels."""
        import pandas as pd

        from . import history

        tables = [segment.table for segment in self.segments]
        whole = pd.concat(tables, ignore_index=True) if len(tables) > 1 else tables[0]
        if len(self.removed):
            whole = whole[~whole["row"].isin(self.removed)].reset_index(drop=True)
        table = history.applied(whole, self.history, bool(self.reading and self.reading.get("qualified")))
        if "artist_id" not in table:
            return table
        keys = merged(
            table["artist_key"].astype(object).where(table["artist_key"].notna(), None).tolist(),
            table["artist_id"].tolist(),
        )
        return table.assign(artist_key=pd.Series(keys, dtype="str", index=table.index))

    @cached_property
    def paintings(self) -> Paintings:
        """The table, read in place."""
        batches = [batch for segment in self.segments for batch in segment.batches]
        is_old = not any("attribution" in batch.names for batch in batches)
        if is_old and self.said is not None:  # one correction then affects all paintings (history.applied)
            whole = pa.Table.from_pandas(self.table(), preserve_index=False)
            found = columns_file.batches_of(whole.schema, lambda: [whole])
            return Paintings([Batch(part) for part in found], self.removed[:0], None)
        is_qualified = bool(self.reading and self.reading.get("qualified"))
        return Paintings(batches, self.removed, self.said, is_qualified)

    def vectors(self) -> Vectors:
        """The vectors, in the order of the table."""
        return Vectors([segment.part for segment in self.segments], self._kept())

    def _kept(self) -> Mask | None:
        """(m,) which of the segments' paintings were not removed; None for all."""
        if not len(self.removed):
            return None
        kept = np.ones(sum(map(len, self.segments)), bool)
        start, removed = 0, np.unique(self.removed)
        for segment in self.segments:
            kept[start + pieces.left_of(segment, removed)] = False
            start += len(segment)
        return None if kept.all() else kept

    def compacted(self) -> Contents:
        """The same with fewer or smaller segments, if that pays."""
        removed = np.unique(self.removed)
        found = pieces.compacted(self.segments, removed)
        left = [segment.rows[pieces.left_of(segment, removed)] for segment in found] if len(removed) else [removed]
        return dataclasses.replace(self, segments=found, removed=np.concatenate(left))


class Hold:
    """Keeps a generation's folder from being removed, as long as this object and its process exist."""

    def __init__(self, folder: Path) -> None:
        """Raises FileNotFoundError if the folder is just being removed."""
        self._handle = open_handle(folder / "manifest.json")
        try:
            take_lock(self._handle, shared=True)
        except BlockingIOError:
            raise FileNotFoundError(errno.ENOENT, "collected", str(folder)) from None
        except OSError:  # no locks; the generation before the published one is kept in any case
            return

    def __del__(self) -> None:
        if hasattr(self, "_handle"):
            os.close(self._handle)


@dataclass(frozen=True)
class Generation:
    """One published state of an index, opened: painting i of the table has vector i."""

    folder: Path
    manifest: Manifest
    vectors: Vectors
    contents: Contents
    model_path: Path  # the model that made the vectors
    sha256: str  # of its manifest, and so of the whole generation
    seen: dict[str, Fingerprint]  # fingerprints of its files when they were checked
    hold: Hold | None = field(default=None, repr=False)  # keeps the folder

    def __len__(self) -> int:
        return len(self.paintings)

    @property
    def paintings(self) -> Paintings:
        """The table, read in place: if not all of it is needed."""
        return self.contents.paintings

    @cached_property
    def table(self) -> pd.DataFrame:
        """The table, in memory."""
        return self.contents.table()

    @property
    def centre(self) -> Array:
        """(d,) the centre of the collection."""
        return self.contents.centre

    @property
    def embeddings(self) -> Array:
        """(n, d) as the model gave them, up to rounding, in the order of the table."""
        return uncentred(self.vectors.matrix, self.centre)


@dataclass(frozen=True)
class ModelFile:
    """The model of a generation: facts, calibration, and a function that writes the file."""

    facts: Model
    calibration: dict[str, Any] | None
    save: Callable[[Path], None]

    @classmethod
    def of(cls, source: Embedder | Generation) -> ModelFile:
        """The model of an embedder, or of another generation."""
        if isinstance(source, Generation):
            if not source.model_path.is_file():
                raise damaged(source.model_path, "missing")
            return cls(
                source.manifest.model,
                source.manifest.calibration,
                lambda target: write_atomically(target, read_model(source.model_path)),
            )
        calibration = upgrades.calibration(source.metadata.get("calibration"))
        return cls(Model(source.sha256, source.name, source.dim), calibration, source.save)


def read(index: Path, opened: Generation | None = None) -> Generation:
    """Open the published generation. Raises BadIndex with one line if anything is damaged.

    opened: one that was opened before, whose unchanged files are not read and checked again.
    """
    while True:
        number, manifest_sha256 = current(index)
        folder = generation_folder(index, number)
        try:
            return read_generation(folder, manifest_sha256, opened=opened)
        except FileNotFoundError as problem:
            if current(index)[0] == number:  # really missing, not just removed by a writer in between
                raise damaged(Path(problem.filename or folder), "missing") from None
        except OSError as problem:
            raise exhausted(problem, str(folder)) or BadIndex(
                f"{folder}: cannot be read: {problem.strerror or problem}"
            ) from None
        except (MemoryError, RuntimeError) as problem:
            raise exhausted(problem, str(folder)) or problem from None


def exists(index: Path) -> bool:
    """Whether a generation has been published there."""
    return (index / "CURRENT").is_file()


def current(index: Path) -> tuple[int, str]:
    """The published generation's number, and the sha256 of its manifest. Raises BadIndex, whose message says what is
    there:

    no folder: no such index; a folder without CURRENT: damaged if generations were published (`is_lost`), unfinished if
    there are shards of a build, else no index; a CURRENT that cannot be read: damaged.
    """
    path = index / "CURRENT"
    if not index.is_dir():
        raise BadIndex(f"{index}: no such index; make one with artidx build SOURCE -o NAME{SUFFIX}")
    if not path.is_file():
        if is_lost(index):
            raise damaged(path, "missing")
        if (index / "building").is_dir():
            raise BadIndex(f"{index}: its build has not finished; run the same command again")
        raise BadIndex(f"{index}: not an index of artidx (it has no file CURRENT)")
    with open_plain(path) as stream:
        found = re.fullmatch(rb"(\d{6,18}) ([0-9a-f]{64})\n", stream.read(200))
    if not found:
        raise damaged(path, "not a generation's number and a sha256")
    return int(found[1]), found[2].decode()


def is_lost(index: Path) -> bool:
    """Whether CURRENT is missing although something was published.

    A first build or import that was killed between its last two renames also leaves a generation, but with a folder
    for shards.
    """
    return not exists(index) and numbers(index) not in ([], [1] if (index / "building").is_dir() else [])


def make_current(index: Path, number: int, manifest_sha256: str) -> None:
    """Publish a generation that has been written completely."""
    write_atomically(index / "CURRENT", f"{number:06d} {manifest_sha256}\n".encode())


def numbers(index: Path) -> list[int]:
    """The numbers of the complete generations, published or not."""
    return sorted(int(f.name) for f in index.glob("generations/*") if f.name.isdecimal())


def generation_folder(index: Path, number: int) -> Path:
    """The folder of a generation."""
    return index / "generations" / f"{number:06d}"


def check_model(index: Path | str, manifest: Manifest, embedder: Embedder) -> None:
    """Raises ModelMismatch unless the generation's vectors are this model's."""
    theirs = manifest.model.sha256
    if embedder.sha256 != theirs:
        raise ModelMismatch(
            f"{index}: built with model {theirs[:12]}, {embedder.source} is {embedder.sha256[:12]}; "
            f"leave out --model to use the index's own, or build an index with that model"
        )


@contextmanager
def writer(index: Path) -> Iterator[None]:
    """Lock the index for writing; its folder is created if missing. Raises IndexBusy, and BadIndex for a folder of
    other things.

    The lock is the system's, so it ends with its process, however that ends.
    """
    if not str(index).isprintable():
        raise BadIndex(f"{index!a}: the name has characters that cannot be printed; choose another")
    if index.exists() and not _is_index(index):
        raise BadIndex(f"{index}: exists and is not an index of artidx; choose another name")
    _check_own(index)
    with ExitStack() as held:
        try:
            index.mkdir(parents=True, exist_ok=True)
            held.enter_context(locked(index / "LOCK"))
        except BlockingIOError as problem:
            raise IndexBusy(f"{index}: {problem.strerror} is writing to it; wait until it has finished") from None
        except OSError as problem:
            raise unwritable(index, problem) from None
        try:
            _collect(index)
            yield
        except OSError as problem:
            raise unwritable(index, problem) from None


def unwritable(index: Path, problem: OSError) -> ArtidxError:
    """The error for a full disk, a read-only folder and the like."""
    return exhausted(problem, str(index)) or BadIndex(
        f"{index}: cannot be written: {problem.strerror or problem}; the published generation has not changed"
    )


def publish(index: Path, contents: Contents, model: ModelFile, before: Generation | None = None) -> Paintings:
    """Write the next generation aside, then make it the current one. Call inside `writer`. Returns its paintings, as
    read back.

    before: the generation from which segments are reused.
    """
    number = max(numbers(index), default=0) + 1
    folder = generation_folder(index, number)
    aside = folder.with_name(f"{folder.name}.part")
    try:
        manifest_sha256, new = _write_generation(index, aside, number, contents.compacted(), model, before)
        # It is published only if it can be read back.
        paintings = read_generation(aside, manifest_sha256, opened=before, new=new).paintings
        if not exists(index):  # until it does, a folder for shards says that nothing was lost (is_lost)
            (index / "building").mkdir(exist_ok=True)
        os.replace(aside, folder)
        sync(folder.parent)
        make_current(index, number, manifest_sha256)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    _collect(index)
    return paintings


def _write_generation(
    index: Path, aside: Path, number: int, contents: Contents, model: ModelFile, before: Generation | None
) -> tuple[str, set[str]]:
    """Write all files of a generation. Returns the sha256 of its manifest, and the names of new files of segments."""
    aside.mkdir(parents=True)
    segments: list[Segment] = []
    files: dict[str, str] = {}
    new: set[str] = set()
    for place, segment in enumerate(contents.segments):
        written, names = pieces.write(aside, f"{number:06d}-{place}", segment, contents.approximate_from)
        segments.append(written)
        # A link to a damaged file gets the sha256 that it should have, so that the damage is found.
        known = before.manifest.files if before and written is segment else {}
        files |= {name: known.get(name) or sha256_of(aside / name) for name in names}
        new |= set() if written is segment else {*names}
    paintings = dataclasses.replace(contents, segments=segments).paintings
    np.save(aside / "removed.npy", contents.removed, allow_pickle=False)
    contents.history.to_parquet(aside / "history.parquet", index=False)
    _write_skipped(aside / "skipped.csv", contents.skipped)
    files |= {name: sha256_of(aside / name) for name in FILES if name != MODEL}
    files[MODEL] = _put_model(index, aside / MODEL, model)
    if files[MODEL] != model.facts.sha256:
        raise damaged(index, "the model of the generation before is not the one that made its vectors")
    manifest = Manifest(
        format=FORMAT,
        generation=number,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        artidx=version("artidx"),
        model=model.facts,
        paintings=len(paintings),
        artists=len(paintings.artist_keys),
        skipped=len(contents.skipped),
        next_row=contents.next_row,
        centre=contents.centre.tolist(),
        centre_artists=contents.centre_artists,
        calibration=model.calibration,
        storage=contents.storage,
        approximate_from=contents.approximate_from,
        segments=[SegmentFacts(each.name, len(each), each.approximate) for each in segments],
        files=files,
        reading=contents.reading,
    )
    text = json.dumps(asdict(manifest), indent=1, ensure_ascii=False).encode()
    manifest_sha256 = hashlib.sha256(text).hexdigest()
    (aside / "manifest.json").write_bytes(text)
    (aside / "manifest.sha256").write_text(f"{manifest_sha256}  manifest.json\n")
    for name in (*files, "manifest.json", "manifest.sha256"):
        sync(aside / name)
    sync(aside)
    return manifest_sha256, new


def read_generation(
    folder: Path,
    manifest_sha256: str,
    model_path: Path | None = None,
    opened: Generation | None = None,
    new: Collection[str] = (),
) -> Generation:
    """Open the generation in a folder. Raises BadIndex if a file that answers need is damaged.

    model_path: of a model that lies elsewhere; opened: a generation whose segments may go on in this one; new: files
    whose sha256 was taken from them just now, when they were written. The model and the approximate index are checked
    when they are loaded. Raises FileNotFoundError where a file is missing.
    """
    hold = Hold(folder)
    if strange := [path for path in folder.iterdir() if not path.is_file()]:
        raise damaged(strange[0], "not a plain file")
    manifest = read_manifest(manifest_bytes(folder), folder / "manifest.json", manifest_sha256)
    if not manifest.segments:
        raise damaged(folder / "manifest.json", "not a manifest (segments)")
    names = [name for name in manifest.files if name.endswith((".npy", ".parquet", ".arrow", ".csv"))]
    seen = {name: fingerprint(folder / name) for name in names}
    is_same = {
        name
        for name in names
        if opened and opened.seen.get(name) == seen[name] and opened.manifest.files[name] == manifest.files[name]
    }
    before = opened.contents.segments if opened else []
    known = {segment.name: segment for segment in before if isinstance(segment, Segment)}
    is_checked = (
        is_same
        | {*new}
        | {name for name, sha256 in hashed.known_by_print(seen).items() if sha256 == manifest.files[name]}
    )
    missing = [name for name in names if name not in is_checked]
    with ThreadPoolExecutor() as pool:  # vectors are hashed in parallel with tables
        for each in [pool.submit(check_file, folder, manifest, name) for name in missing]:
            each.result()
    found = [
        pieces.read(
            folder,
            facts.name,
            facts.paintings,
            manifest.model.dim,
            manifest.storage.type,
            facts.approximate,
            manifest.files.get(f"{facts.name}.faiss", ""),
            known.get(facts.name) if is_same.issuperset(_read_first(facts.name, manifest)) else None,
            has_columns=f"{facts.name}.arrow" in manifest.files,
            is_checked=f"{facts.name}.arrow" in is_checked,
        )
        for facts in manifest.segments
    ]
    inside = contents(folder, manifest, found, read_skipped(folder / "skipped.csv"))
    paintings, vectors = inside.paintings, inside.vectors()
    if not len(paintings) == len(vectors) == manifest.paintings:
        raise damaged(folder, f"{len(paintings):,} paintings, the manifest says {manifest.paintings:,}")
    if any(before.ends[1] >= after.ends[0] for before, after in pairwise(filter(len, found))):
        raise damaged(folder, "the numbers of the paintings do not ascend")
    hashed.remember_prints([(seen[name], manifest.files[name]) for name in missing])
    return Generation(
        folder, manifest, vectors, inside, model_path or folder / "model.onnx", manifest_sha256, seen, hold
    )


def _read_first(name: str, manifest: Manifest) -> set[str]:
    """The files of a segment that are read when it is opened."""
    return {f"{name}{ending}" for ending in (".parquet", ".arrow", ".npy")} & set(manifest.files)


def contents(
    folder: Path, manifest: Manifest, segments: Sequence[Segment | Draft], skipped: Sequence[tuple[str, str]]
) -> Contents:
    """The contents of a generation in a folder, given its segments."""
    return Contents(
        segments,
        np.array(manifest.centre, np.float32),
        manifest.centre_artists,
        manifest.next_row,
        skipped,
        _read_removed(folder),
        _read_history(folder),
        manifest.storage,
        manifest.approximate_from,
        manifest.reading,
    )


def _read_removed(folder: Path) -> Integers:
    """The removed numbers; none without the file, as in the reference gallery."""
    path = folder / "removed.npy"
    if not path.exists():
        return np.empty(0, np.int64)
    removed: Integers = np.array(pieces.read_vectors(path))
    if removed.dtype != np.int64 or removed.ndim != 1:
        raise damaged(path, f"{removed.dtype} of shape {removed.shape}, expected whole numbers of paintings")
    return removed


def _read_history(folder: Path) -> pd.DataFrame | None:
    """None without corrections."""
    path = folder / "history.parquet"
    if not path.exists() or is_empty(path):
        return None
    from . import history

    return history.read(path)


def read_skipped(path: Path) -> list[tuple[str, str]]:
    """The (path, reason) pairs of a generation's list; empty without one. Raises BadIndex."""
    if not path.exists():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = [(of_cell(location), of_cell(reason)) for location, reason in list(csv.reader(stream))[1:]]
        if any(len(text) > LONGEST_SKIPPED for row in rows for text in row):  # csv's own limit is global
            raise ValueError("a cell is far too long")
        return rows
    except UnicodeDecodeError:
        raise damaged(path, "not a list of paths and reasons: not in UTF-8") from None
    except (ValueError, csv.Error) as problem:
        raise damaged(path, f"not a list of paths and reasons: {problem}") from None


def _write_skipped(path: Path, skipped: Sequence[tuple[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerow(("path", "reason"))
        csv.writer(stream).writerows((cell(escaped(path)), cell(escaped(reason))) for path, reason in skipped)


def _is_index(folder: Path) -> bool:
    """Whether a folder has only our files, or a CURRENT of ours: other folders are never written to."""
    if not folder.is_dir():
        return False
    if {p.name for p in folder.iterdir()} <= OWN_NAMES:
        return True
    try:
        return bool(current(folder))
    except BadIndex:
        return False


def _check_own(index: Path) -> None:
    """Raises BadIndex if a part of the index is a link, a pipe or a device: writing to it would reach files elsewhere,
    and a hostile index may have such parts."""
    for name in sorted(OWN_NAMES):
        path = index / name
        try:
            facts = path.lstat()
        except OSError:  # missing
            continue
        is_right = stat.S_ISDIR(facts.st_mode) if name in OWN_FOLDERS else stat.S_ISREG(facts.st_mode)
        if not is_right or (name == "LOCK" and facts.st_nlink > 1):
            raise _strange(path)
        for part in strange_parts(path):
            raise _strange(part)


def _strange(path: Path) -> BadIndex:
    return BadIndex(
        f"{path}: a link, or no plain file, which an index never has; nothing was changed. Remove it, "
        f"or ask for the index again"
    )


def _collect(index: Path) -> None:
    """Remove leftovers of interrupted writers, and generations that no reader holds."""
    for part in [*index.glob("CURRENT.part"), *index.glob("building/*.part")]:
        part.unlink()
    for part in index.glob("generations/*.part"):
        shutil.rmtree(part)
    try:
        published, manifest_sha256 = current(index)
        is_known = sha256_of(generation_folder(index, published) / "manifest.json") == manifest_sha256
    except (BadIndex, OSError):
        is_known = False
    if not is_known:  # the published generation is unknown: keep all
        return
    with suppress(OSError):  # it has shards
        (index / "building").rmdir()
    for number in numbers(index):
        if number > published or number <= published - KEPT:
            _remove_unless_held(generation_folder(index, number))


def _remove_unless_held(folder: Path) -> None:
    """Remove a generation, unless a reader holds it."""
    aside = folder.with_name(f"{folder.name}.part")
    try:
        with (folder / "manifest.json").open("r+b") as manifest:
            take_lock(manifest.fileno())
            os.replace(folder, aside)
    except BlockingIOError:
        return
    shutil.rmtree(aside)


def _put_model(index: Path, target: Path, model: ModelFile) -> str:
    """Write the model, or link to the one of the previous generation, which is not read again. Returns its sha256."""
    for number in reversed(numbers(index)):
        before = generation_folder(index, number) / MODEL
        if before.is_file() and _known_sha256(before) == model.facts.sha256:
            try:
                os.link(before, target)
                return model.facts.sha256
            except OSError:  # no hard links
                break
    model.save(target)
    return sha256_of(target)


def _known_sha256(path: Path) -> str:
    """The known sha256 of a file that has not changed since it was read."""
    seen = fingerprint(path)
    known = hashed.known_by_print({path.name: seen}).get(path.name)
    if known is None:
        known = sha256_of(path)
        hashed.remember_prints([(seen, known)])
    return known
