"""An index, opened: the noun whose verbs are build, add, sync, remove, label, check, pair and nearest.

Holds one generation for as long as it lives; whoever publishes another leaves this one as it was. The model is
loaded only when an image must be embedded: a painting that is in the index already has its vector.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from ..embedder.catalog import Catalog, ColumnNames, read_catalog
from ..embedder.images import MAX_PIXELS
from ..embedder.locations import Reader, absolute, content_hash, split_location
from ..embedder.parallel import ahead
from ..embedder.runtime import Embedder, ImageLike, available_cores
from ..errors import ArtidxError, BadCatalog, BadIndex, BadModel, BadSetting, UnknownPainting, UnreadableImage
from . import build as building
from . import change, interchange, reference, store
from .build import Layout, Progress, Report, Settings
from .calibrate import DEFAULT_FALSE_POSITIVE_RATE, DEFAULT_PRIOR, Calibration
from .centre import centred
from .collection import Collection
from .files import sha256_of
from .manifest import Manifest, damaged_files
from .search import Answer, Gallery, Query, RankedArtist
from .vectors import Array, vector_hash
from .verify import Decision, Judgement, Verdict, judge, verdict
from .where import matching

ID_PREFIX = "id:"


class Index:
    """Paintings with their vectors and artists. Made by `Index.open` and `Index.build`."""

    def __init__(self, path: Path | None, gallery: Gallery, embedder: Embedder | None, device: str | None) -> None:
        self.path = path  # None: the reference gallery
        self._gallery = gallery  # all that is known of the generation; replaced whole
        self._embedder = embedder
        self._device = device

    @classmethod
    def open(cls, path: str | os.PathLike[str] | None = None, *, embedder: Embedder | None = None,
             device: str | None = None) -> Index:
        """Open the published generation at `path`; with no path the reference gallery, which comes with artidx.

        With no embedder the index uses its own copy of the model, on `device`; on cuda it is searched there, too.
        Raises BadIndex; ModelMismatch if `embedder` is not its model.
        """
        generation = reference.read() if path is None else store.read(Path(path))
        if device == "cuda":
            generation = dataclasses.replace(generation, vectors=generation.vectors.on_gpus())
        index = cls(None if path is None else Path(path), Gallery(generation), embedder, device)
        if embedder is not None:
            store.check_model(index.name, generation, embedder)
        return index

    @property
    def name(self) -> str:
        """What the index is called in sentences: its path, or the reference gallery."""
        return reference.NAME if self.path is None else str(self.path)

    @classmethod
    def build(cls, path: str | os.PathLike[str], source: str | os.PathLike[str] | Catalog, *,
              embedder: Embedder | None = None, names: ColumnNames | None = None,
              settings: Settings | None = None, layout: Layout | None = None, replace: bool = False,
              progress: Progress = lambda done: None) -> tuple[Index, Report]:
        """Embed a catalog, or what `read_catalog` makes of a source, into a new index."""
        catalog = source if isinstance(source, Catalog) else read_catalog(source, names)
        embedder = embedder or Embedder.load()
        report = building.build(Path(path), catalog, embedder, settings or Settings(), layout or Layout(),
                                replace=replace, progress=progress)
        return cls.open(path, embedder=embedder), report

    @classmethod
    def import_vectors(cls, path: str | os.PathLike[str], folder: str | os.PathLike[str], *,
                       embedder: Embedder | None = None, layout: Layout | None = None, replace: bool = False
                       ) -> tuple[Index, Report]:
        """Make an index of vectors and paintings that `export_vectors` wrote, or another program by the same model."""
        embedder = embedder or Embedder.load()
        report = interchange.import_vectors(Path(path), Path(folder), embedder, layout or Layout(), replace=replace)
        return cls.open(path, embedder=embedder), report

    def export_vectors(self, folder: str | os.PathLike[str]) -> None:
        """Write all vectors and paintings into a new folder, for other programs (interchange.py)."""
        interchange.export_vectors(self.generation, Path(folder))

    def add(self, source: str | os.PathLike[str] | Catalog, *, names: ColumnNames | None = None,
            settings: Settings | None = None, dry_run: bool = False, progress: Progress = lambda done: None) -> Report:
        """Add a catalog's paintings; this object then stands at the new generation."""
        catalog = source if isinstance(source, Catalog) else read_catalog(source, names)
        report = building.add(self._own_path(), catalog, self.embedder, settings or Settings(), dry_run=dry_run,
                              progress=progress)
        self._reopen()
        return report

    def sync(self, folder: str | os.PathLike[str] | Catalog, *, settings: Settings | None = None,
             dry_run: bool = False, progress: Progress = lambda done: None) -> Report:
        """Follow a folder, or a catalog of one: add what is new, embed anew what has changed, remove what is gone.

        Paintings of the index that are not from the folder are left alone. Raises BadCatalog where the folder has no
        paintings at all: that is likelier a disk that is not mounted.
        """
        catalog = folder if isinstance(folder, Catalog) else read_catalog(folder)
        if not os.path.isdir(catalog.source):
            raise BadCatalog(f"{catalog.source}: not a folder; artidx sync follows a folder of images")
        report = building.add(self._own_path(), catalog, self.embedder, settings or Settings(),
                              folder=Path(catalog.source), dry_run=dry_run, progress=progress)
        self._reopen()
        return report

    def remove(self, ids: Iterable[str] = (), *, artists: Iterable[str] = (), dry_run: bool = False) -> Report:
        """Remove paintings by id, and all by some artists; this object then stands at the new generation."""
        report = change.remove(self._own_path(), ids, artists, dry_run=dry_run)
        self._reopen()
        return report

    def label(self, labels: pd.DataFrame, *, by: str, dry_run: bool = False) -> tuple[Report, pd.DataFrame]:
        """Correct labels, saying who says so; this object then stands at the new generation.

        labels: a column id and others of the index's; a missing value leaves the label as it is. Returns what is new in
        the `history`, too.
        """
        report, words = change.label(self._own_path(), labels, by, dry_run=dry_run)
        self._reopen()
        return report, words

    @property
    def history(self) -> pd.DataFrame:
        """All corrections: row, id, column, before, after, by, at; the last one counts."""
        return self.generation.contents.history

    def check(self) -> list[str]:
        """Everything that is wrong with the generation, one line each; empty if all is as it was written."""
        wrong = [f"{self.generation.folder / name}: not as it was written"
                 for name in damaged_files(self.generation.folder, self.manifest)]
        table, vectors = self.generation.table, self.generation.vectors
        for row_id, expected, vector in zip(table["id"], table["vector_sha256"], vectors.matrix, strict=True):
            if vector_hash(vector) != expected:
                wrong.append(f"{row_id}: its vector is not the one that was computed for it")
        return wrong

    def only(self, where: str | None = None, exclude: str | None = None) -> Index:
        """The same index, answering from those paintings alone for which `where` holds and `exclude` does not.

        Both are expressions over its columns (where.py), such as "year < 1700 and style == 'Baroque'". Every allowed
        painting is then looked at. Raises BadSetting where an expression is wrong, or leaves nothing.
        """
        table = self.generation.table
        allowed = np.ones(len(table), bool) if self._gallery.allowed is None else self._gallery.allowed
        if where is not None:
            allowed = allowed & matching(table, where)
        if exclude is not None:
            allowed = allowed & ~matching(table, exclude)
        if not allowed.any():
            raise BadSetting(f"{self.name}: no painting is left by --where {where!r} --exclude {exclude!r}")
        return Index(self.path, Gallery(self.generation, allowed), self._embedder, self._device)

    def pair(self, a: ImageLike, b: ImageLike, *, prior: float = DEFAULT_PRIOR,
             false_positive_rate: float = DEFAULT_FALSE_POSITIVE_RATE, threshold: float | None = None,
             max_pixels: int = MAX_PIXELS) -> Verdict:
        """Were a and b painted by the same artist?  Each is a path, an id of the index, or the bytes of an image.

        Decided at a false-positive rate that was calibrated, or at a distance of your own, the threshold. Raises
        UnknownPainting, UnreadableImage, Uncalibrated.
        """
        decision = Decision(false_positive_rate, threshold, prior)
        return self.verdict(self.query(a, max_pixels), self.query(b, max_pixels), decision)

    def verdict(self, a: Query, b: Query, decision: Decision) -> Verdict:
        """`pair` of two paintings that `query` or `queries` gave."""
        return verdict(self._gallery, a, b, self.calibration, decision)

    def judge(self, a: Query, b: Query, decision: Decision) -> Judgement:
        """`verdict` without the evidence, which takes most of the time."""
        return judge(self._gallery, a, b, self.calibration.pairs, decision)

    def nearest(self, image: ImageLike, *, k: int = 10, max_pixels: int = MAX_PIXELS) -> Answer:
        """Who might have painted it?  The k most probable artists and the k nearest paintings.

        image: a path, an id of the index, or the bytes of an image. Raises UnknownPainting, UnreadableImage,
        and Uncalibrated; `nearest_paintings` needs no calibration.
        """
        return self.answer(self.query(image, max_pixels), k=k)

    def answer(self, query: Query, *, k: int = 10) -> Answer:
        """`nearest` of a painting that `query` or `queries` gave."""
        artists, unknown = self._gallery.nearest_artists(query, _checked(k), self.calibration.artists)
        return self._answer(query, k, artists, unknown)

    def nearest_paintings(self, image: ImageLike, *, k: int = 10, max_pixels: int = MAX_PIXELS) -> Answer:
        """The k nearest paintings alone: distances without any probability, so no calibration is needed."""
        return self.nearest_to(self.query(image, max_pixels), k=k)

    def nearest_to(self, query: Query, *, k: int = 10) -> Answer:
        """`nearest_paintings` of a painting that `query` or `queries` gave."""
        return self._answer(query, k, (), None)

    def query(self, image: ImageLike, max_pixels: int = MAX_PIXELS) -> Query:
        """A file where there is one of this name, else the painting with this id; `id:NAME` is an id in any case.

        An image whose content is in the index already has its vector there: nothing is embedded.
        """
        if isinstance(image, str | os.PathLike):
            name = os.fspath(image)
            if name.startswith(ID_PREFIX):
                return self.query_of_id(name.removeprefix(ID_PREFIX))
            if not os.path.lexists(split_location(name)[0]):
                try:
                    return self.query_of_id(name)
                except UnknownPainting:
                    raise UnknownPainting(f"{name}: neither a file nor the id of a painting in {self.name}") from None
            with Reader(max_pixels) as reader:
                try:
                    with reader.open(name) as stream:
                        sha256 = content_hash(stream)
                except UnreadableImage as problem:
                    raise UnreadableImage(f"{name}: {problem}") from None
            own = self._gallery.places("path", absolute(name))  # it may have been saved anew since
        else:
            name, own = "image", []
            sha256 = hashlib.sha256(image).hexdigest() if isinstance(image, bytes) else ""
        if known := self.query_of_content(sha256, name):
            return known
        found = next(self.embedder.embed([image], workers=1, max_pixels=max_pixels))
        if found.vector is None:
            raise UnreadableImage(f"{name}: {found.problem}")
        return self.query_of_vector(found.vector, name, own)

    def query_of_id(self, painting: str) -> Query:
        """The painting with this id; no file is looked for. Raises UnknownPainting."""
        places = self._gallery.places("id", painting)
        if not places:
            raise UnknownPainting(f"{painting}: no painting of {self.name} has this id")
        return self._stored(places[0], painting)

    def query_of_content(self, sha256: str, name: str) -> Query | None:
        """The image whose bytes have this sha256, if the index has it; name: what the answer calls it."""
        known = self._gallery.places("sha256", sha256) if sha256 else []
        return self._stored(known[0], name) if known else None

    def query_of_vector(self, vector: Array, name: str, own: Iterable[int] = ()) -> Query:
        """A vector (d,) as the model gave it; own: places in the table that are the same painting."""
        return Query(name, centred(vector, self.generation.centre), frozenset(own))

    def queries(self, images: Iterable[ImageLike], *, workers: int | None = None, max_pixels: int = MAX_PIXELS
                ) -> Iterator[Query | ArtidxError]:
        """`query` of each of many, in order, by several threads ahead; what is wrong with one stands in its place."""
        def found(image: ImageLike) -> Query | ArtidxError:
            try:
                return self.query(image, max_pixels)
            except (UnknownPainting, UnreadableImage) as problem:
                return problem

        workers = workers or available_cores()
        return ahead(found, images, workers=workers, most=4 * workers)

    def calibrate(self, *, split: str | None = None, column: str = "split") -> Calibration:
        """Calibrate on the index's own labels and publish that as a new generation, at which this object then stands.

        split: take the pairs of the paintings whose `column` says so; by default of all with an artist. Paintings that
        the model was trained on make it too sure. Raises BadCatalog where there are too few, BadSetting where
        there is no such split.
        """
        calibration = change.recalibrate(self._own_path(), split, column)
        self._reopen()
        return calibration

    def renewed(self) -> Index:
        """The generation that is published now, as an object of its own; this one stays where it is.

        The model goes on to be used where it made the new generation, too. Raises BadIndex.
        """
        newer = Index.open(self.path, device=self._device)
        if self._embedder is not None and newer.manifest.model.sha256 == self._embedder.sha256:
            newer._embedder = self._embedder
        return newer

    @cached_property
    def collection(self) -> Collection:
        """Its paintings and artists, to be looked through."""
        return Collection(self._gallery)

    def __len__(self) -> int:
        return len(self._gallery)

    @property
    def artists(self) -> int:
        """How many artists have a painting in it."""
        return self._gallery.artists

    @property
    def generation(self) -> store.Generation:
        """What was published when this index was opened, or last changed by this object."""
        return self._gallery.generation

    @property
    def manifest(self) -> Manifest:
        """What the generation says of itself."""
        return self.generation.manifest

    @cached_property
    def calibration(self) -> Calibration:
        """The generation's calibration. Raises Uncalibrated."""
        return Calibration.from_json(self.manifest.calibration, self.name)

    @property
    def embedder(self) -> Embedder:
        """The model that made this index's vectors, loaded when first needed."""
        if self._embedder is None:
            path = self.generation.model_path
            if self.path and not path.is_file():  # writers are two generations on; mostly with the same model
                path = store.read(self.path).model_path
            if not path.is_file() or sha256_of(path) != self.manifest.model.sha256:
                raise BadModel(f"{path}: not the model this index was opened with: damaged, or replaced meanwhile; "
                               f"open the index again, try artidx check --repair, or restore it from a copy")
            self._embedder = Embedder.load(path, device=self._device)
        return self._embedder

    def _stored(self, place: int, name: str) -> Query:
        content = self._gallery.content(place)  # of imported vectors it may not be known
        own = self._gallery.places("sha256", content) if content else [place]
        return Query(name, self.generation.vectors.at(place), frozenset(own), self._gallery.painting(place))

    def _answer(self, query: Query, k: int, artists: tuple[RankedArtist, ...], unknown: float | None) -> Answer:
        return Answer(query.name, artists, unknown, self._gallery.nearest_paintings(query, _checked(k)),
                      searched=len(self._gallery), approximate=self._gallery.is_approximate,
                      model=self.manifest.model.sha256, generation=self.manifest.generation)

    def _own_path(self) -> Path:
        """Raises BadIndex for the reference gallery, which is nobody's to change; BadSetting for a part of an index."""
        if self.path is None:
            raise BadIndex(f"{self.name} cannot be changed; make an index of your own with artidx build")
        if self._gallery.allowed is not None:
            raise BadSetting(f"{self.name}: only some of its paintings are looked at here; open it anew to change it")
        return self.path

    def _reopen(self) -> None:
        """Stand at what is published now; its model is asked for anew where it is another one."""
        generation = store.read(self._own_path())
        if generation.manifest.model.sha256 != self.manifest.model.sha256:
            self._embedder = None
        self._gallery = Gallery(generation)
        for known in ("calibration", "collection"):
            self.__dict__.pop(known, None)


def _checked(k: int) -> int:
    if k < 1:
        raise BadSetting(f"-k {k}: must be 1 or more")
    return k
