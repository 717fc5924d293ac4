"""An index, opened. Its methods are build, add, sync, remove, label, check, pair and nearest, among others.

An index object holds one generation for its whole life; if somebody publishes another, this one does not change. The
model is loaded only when an image must be embedded: a painting that is already in the index has its vector.
"""

from __future__ import annotations

import hashlib
import operator
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..embedder.catalogs.photographs import nearest_name, spellings
from ..embedder.locations import Reader, absolute, content_hash, split_location
from ..embedder.parallel import Bar, ahead, no_bar
from ..embedder.pictures.images import MAX_PIXELS, several
from ..embedder.runtime import SHIPPED, Embedder, ImageLike, available_cores
from ..errors import ArtidxError, BadCatalog, BadIndex, BadSetting, Uncalibrated, UnknownPainting, UnreadableImage
from . import addresses, notebook
from .answers import twins
from .answers.collection import Collection
from .answers.same_picture import Reach
from .answers.search import Answer, Gallery, Neighbour, Query, RankedArtist
from .answers.verify import Decision, Judgement, Verdict, judge, judgements, verdict, verdicts
from .scoring.calibration import DEFAULT_FALSE_POSITIVE_RATE, DEFAULT_PRIOR, Calibration
from .scoring.centre import centred, uncentred
from .scoring.vectors import Array, Doubles, checked_vector, vector_hash
from .sources import Model, Source, folder_store, open_store, published, source_of
from .storage import generations
from .storage.address import Address
from .storage.generations import check_model
from .storage.manifest import Manifest, damaged_files
from .storage.pushed import Folder, Pushed
from .storage.reference import Reference
from .storage.vector_store import VectorStore
from .storage.where import matching

# What changes an index or makes tables is imported where that is done: pandas takes as long as a question.
if TYPE_CHECKING:
    import pandas as pd

    from ..embedder.catalogs.catalog import Catalog, ColumnNames
    from .changes.build import Layout, Report, Settings
    from .changes.cluster import Cluster
    from .review.findings import Review

ID_PREFIX = "id:"
CHECKED = 1 << 14  # paintings in memory at once while all are checked


class Index:
    """Paintings with their vectors and artists. Open one with `Index.open`, make one with `Index.build`."""

    def __init__(self, source: Source, store: VectorStore, model: Model) -> None:
        self.source = source
        self.store = store  # everything about the generation; replaced as a whole
        self._model = model  # shared with the results of `only`
        self.filters: tuple[tuple[str | None, str | None], ...] = ()  # the conditions of `only`

    @classmethod
    def open(
        cls,
        source: str | os.PathLike[str] | Source | None = None,
        *,
        embedder: Embedder | None = None,
        device: str | None = None,
    ) -> Index:
        """Open the published generation at `source`, a folder or a copy on a server; by default the reference gallery
        of the model.

        Without an embedder, the index uses its own copy of the model, on `device`; with cuda, the search runs there,
        too. Raises BadIndex; ModelMismatch if `embedder` is not its model.
        """
        known = source_of(source, embedder)
        index = cls(known, open_store(known, device), Model(device, embedder))
        if embedder is not None:
            check_model(index.name, index.manifest, embedder)
        return index

    @property
    def name(self) -> str:
        """The name of the index in sentences: its path, its address, or "the reference gallery"."""
        return self.store.name

    @property
    def public_name(self) -> str:
        """The same without its location, for answers to strangers."""
        if isinstance(self.source, Address):
            return self.source.name
        return self.source.name if isinstance(self.source, Path) else self.name

    @classmethod
    def build(
        cls,
        path: str | os.PathLike[str],
        source: str | os.PathLike[str] | Catalog | pd.DataFrame,
        *,
        embedder: Embedder | None = None,
        names: ColumnNames | None = None,
        settings: Settings | None = None,
        layout: Layout | None = None,
        replace: bool = False,
        bar: Bar = no_bar,
    ) -> tuple[Index, Report]:
        """Embed a catalog, or a source that `read_catalog` reads, into a new index."""
        from .changes import build as building
        from .changes.build import Layout, Settings

        settings = settings or Settings()
        embedder = embedder or Embedder.load()
        catalog = cls._catalog(source, embedder, settings, names, bar)
        report = building.build(Path(path), catalog, embedder, settings, layout or Layout(), replace=replace, bar=bar)
        return cls.open(path, embedder=embedder), report

    @classmethod
    def build_on_server(
        cls,
        address: str | Address,
        source: str | os.PathLike[str] | Catalog | pd.DataFrame,
        *,
        embedder: Embedder | None = None,
        names: ColumnNames | None = None,
        settings: Settings | None = None,
        replace: bool = False,
        calibrate: bool = False,
        bar: Bar = no_bar,
    ) -> tuple[Index, Report, Pushed]:
        """Embed a catalog into a new index on a server, with no folder of it anywhere. Raises BadIndex.

        calibrate: as `calibrate` does in a folder; raises BadCatalog if there are too few labels.
        """
        from .changes.build import Settings
        from .changes.build_on_server import build_on_server

        settings = settings or Settings()
        embedder = embedder or Embedder.load()
        where = address if isinstance(address, Address) else addresses.address_of(address)
        catalog = cls._catalog(source, embedder, settings, names, bar)
        report, pushed = build_on_server(
            where, catalog, embedder, settings, replace=replace, calibrate=calibrate, bar=bar
        )
        return cls.open(where, embedder=embedder), report, pushed

    @staticmethod
    def _catalog(
        source: str | os.PathLike[str] | Catalog | pd.DataFrame,
        embedder: Embedder,
        settings: Settings,
        names: ColumnNames | None,
        bar: Bar,
    ) -> Catalog:
        from ..embedder.catalogs.catalog import Catalog, read_catalog

        if isinstance(source, Catalog):
            return source
        least = embedder.preprocessing.least_side
        return read_catalog(source, names, settings.allowed, least=least, on_disk=True, bar=bar)

    @classmethod
    def import_vectors(
        cls,
        path: str | os.PathLike[str],
        folder: str | os.PathLike[str],
        *,
        embedder: Embedder | None = None,
        layout: Layout | None = None,
        replace: bool = False,
    ) -> tuple[Index, Report]:
        """Make an index from vectors and paintings written by `export_vectors`, or by another program with the same
        model."""
        from .changes import interchange
        from .changes.build import Layout

        embedder = embedder or Embedder.load()
        report = interchange.import_vectors(Path(path), Path(folder), embedder, layout or Layout(), replace=replace)
        return cls.open(path, embedder=embedder), report

    def export_vectors(self, folder: str | os.PathLike[str]) -> None:
        """Write all vectors and paintings into a new folder, for other programs (interchange.py)."""
        from .changes import interchange

        interchange.export_vectors(self.generation, Path(folder))

    def push(self, address: str | Address, *, cluster: Cluster | None = None, bar: Bar = no_bar) -> Pushed:
        """Copy the published generation to a server, where it then answers at `address`. Raises BadIndex.

        cluster: whose workers write it there; they must have the index at the same path.
        """
        where = address if isinstance(address, Address) else addresses.address_of(address)
        original = Folder(generations.read(self._own_path()), cluster.written if cluster else addresses.written_here)
        return addresses.push(original, where, bar)

    def add(
        self,
        source: str | os.PathLike[str] | Catalog | pd.DataFrame,
        *,
        names: ColumnNames | None = None,
        settings: Settings | None = None,
        dry_run: bool = False,
        bar: Bar = no_bar,
    ) -> Report:
        """Add a catalog's paintings; afterwards, this object holds the new generation."""
        from .changes import build as building
        from .changes.build import Settings

        settings = settings or Settings()
        catalog = self._catalog(source, self.embedder, settings, names, bar)
        report = building.add(
            self._own_path(), catalog, self.embedder, settings, opened=self.generation, dry_run=dry_run, bar=bar
        )
        self._reopen()
        return report

    def sync(
        self,
        folder: str | os.PathLike[str] | Catalog,
        *,
        settings: Settings | None = None,
        rehash: bool = False,
        dry_run: bool = False,
        bar: Bar = no_bar,
    ) -> Report:
        """Make the index match a folder, or the catalog of a folder or a table: add new images, embed changed ones
        again, remove those that are gone, and update labels if the table has changed.

        Paintings that are not from this folder, or from the table's folders of images, stay. A file with the inode,
        size and time of the last sync is not read, unless rehash. Raises BadCatalog if the folder has no paintings at
        all, because then a disk is probably not mounted.
        """
        from .changes import build as building
        from .changes.build import Settings

        settings = settings or Settings()
        catalog = self._catalog(folder, self.embedder, settings, None, bar)
        if catalog.recognised is None and not os.path.isdir(catalog.source):
            raise BadCatalog(f"{catalog.source}: not a folder or a table; artidx sync follows one of these")
        folders = catalog.recognised.folders if catalog.recognised else (catalog.source,)
        report = building.add(
            self._own_path(),
            catalog,
            self.embedder,
            settings,
            opened=self.generation,
            folders=folders,
            rehash=rehash,
            dry_run=dry_run,
            bar=bar,
        )
        self._reopen()
        return report

    def remove(
        self,
        ids: Iterable[str] = (),
        *,
        artists: Iterable[str] = (),
        dry_run: bool = False,
        generation: int | None = None,
    ) -> Report:
        """Remove paintings by id, and all by some artists; afterwards, this object holds the new generation.

        generation: if another one is published by now, raises IndexChanged.
        """
        from .changes import edit

        report = edit.remove(
            self._own_path(), ids, artists, dry_run=dry_run, generation=generation, opened=self.generation
        )
        self._reopen()
        return report

    def label(
        self, labels: pd.DataFrame, *, by: str, dry_run: bool = False, generation: int | None = None
    ) -> tuple[Report, pd.DataFrame]:
        """Correct labels, and record who said so; afterwards, this object holds the new generation.

        labels: a column id and other columns of the index; a missing value leaves the label as it is. Also returns the
        new entries of `history`. generation: if another one is published by now, raises IndexChanged.
        """
        from .changes import edit

        report, words = edit.label(
            self._own_path(), labels, by, dry_run=dry_run, generation=generation, opened=self.generation
        )
        self._reopen()
        return report, words

    @property
    def history(self) -> pd.DataFrame:
        """All corrections: row, id, column, before, after, by, at. Of each painting and column, the last counts."""
        return self.generation.contents.history

    def check(self) -> list[str]:
        """Everything that is wrong with the generation and with decisions about a review, one line each; empty if
        nothing is."""
        from .review import decisions

        wrong = [
            f"{self.generation.folder / name}: not as it was written"
            for name in damaged_files(self.generation.folder, self.manifest)
        ]
        paintings, vectors = self.generation.paintings, self.generation.vectors
        for start in range(0, len(paintings), CHECKED):
            places = range(start, min(start + CHECKED, len(paintings)))
            table = paintings.frame(places)
            for name, expected, vector in zip(table["id"], table["vector_sha256"], vectors.at(places), strict=True):
                if vector_hash(vector) != expected:
                    wrong.append(f"{name}: its vector is not the one that was computed for it")
        wrong = wrong or vectors.unreadable_lists()  # the author of a hostile file also wrote its hash
        try:
            _ = isinstance(self.source, Path) and decisions.read(self.source)
        except BadIndex as problem:
            wrong.append(str(problem))
        return wrong

    def only(self, where: str | None = None, exclude: str | None = None) -> Index:
        """The same index, searching only the paintings for which `where` holds and `exclude` does not.

        Both are expressions over its columns (where.py), such as "year < 1700 and style == 'Baroque'". In a folder, the
        search is then exact. Raises BadSetting if an expression is wrong, or no painting is left.
        """
        found = Index(self.source, self.store.only(where, exclude), self._model)
        found.filters = (*self.filters, (where, exclude))
        return found

    def pair(
        self,
        a: ImageLike,
        b: ImageLike,
        *,
        prior: float = DEFAULT_PRIOR,
        false_positive_rate: float = DEFAULT_FALSE_POSITIVE_RATE,
        threshold: float | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> Verdict:
        """Were a and b painted by the same artist?  Each is a path, an id of the index, or the bytes of an image.

        Decided at a calibrated false-positive rate, or at a distance that you give as `threshold`. Raises
        UnknownPainting, UnreadableImage, Uncalibrated.
        """
        decision = Decision(false_positive_rate, threshold, prior)
        queries = self.query(a, max_pixels), self.query(b, max_pixels)
        return self.with_one_picture((a, b), queries, self.verdict(*queries, decision), max_pixels)

    def verdict(self, a: Query, b: Query, decision: Decision) -> Verdict:
        """`pair` for two paintings from `query` or `queries`."""
        return verdict(self._gallery, a, b, self.calibration, decision)

    def verdicts(self, pairs: Sequence[tuple[Query, Query]], decision: Decision) -> Iterator[Verdict]:
        """`verdict` on several pairs; their paintings are searched for together."""
        return verdicts(self._gallery, pairs, self.calibration, decision)

    def with_one_picture(
        self,
        images: tuple[ImageLike, ImageLike],
        queries: tuple[Query, Query],
        found: Verdict,
        max_pixels: int = MAX_PIXELS,
    ) -> Verdict:
        """The verdict on two images, and whether they show the same picture. If they are near, their files are read
        again."""
        return replace(
            found, one_picture=twins.of_pair(self.store, images, queries, found.distance, self.reach, max_pixels)
        )

    def judge(self, a: Query, b: Query, decision: Decision) -> Judgement:
        """`verdict` without the evidence, which takes most of the time."""
        return judge(self._gallery, a, b, self.calibration, decision)

    def judgements(self, pairs: Sequence[tuple[Query, Query]], decision: Decision) -> list[Judgement]:
        """`judge` on several pairs; what belongs to one painting is computed once."""
        return judgements(self._gallery, pairs, self.calibration, decision)

    def expanded(self, queries: Sequence[Query]) -> list[Query]:
        """The same queries with what `judge` has to search for, so that this is done once for all of them."""
        return self._gallery.expanded(queries)

    def nearest(self, image: ImageLike, *, k: int = 10, max_pixels: int = MAX_PIXELS) -> Answer:
        """Who might have painted it?  The k most probable artists and the k nearest paintings.

        image: a path, an id of the index, or the bytes of an image. Raises UnknownPainting, UnreadableImage,
        and Uncalibrated; `nearest_paintings` needs no calibration.
        """
        query = self.query(image, max_pixels)
        return self.with_twins(image, query, self.answer(query, k=k), max_pixels)

    def answer(self, query: Query, *, k: int = 10) -> Answer:
        """`nearest` for a painting from `query` or `queries`."""
        return next(self.answers([query], k=k))

    def answers(self, queries: Sequence[Query], *, k: int = 10) -> Iterator[Answer]:
        """`answer` for several paintings, which are searched for together."""
        gallery, calibration = self._gallery, self.calibration.artists
        for query, seen in zip(queries, gallery.look(queries, _checked(k)), strict=True):
            artists, unknown = gallery.nearest_artists(query, seen.candidates, k, calibration)
            yield self._answer(query, gallery.neighbours(query, seen.near, k), artists, unknown)

    def with_twins(self, image: ImageLike, query: Query, found: Answer, max_pixels: int = MAX_PIXELS) -> Answer:
        """The answer on an image, and which paintings show the same picture. Files of near ones are read again."""
        return replace(
            found, one_picture=twins.of_query(self.store, image, query, found.paintings, self.reach, max_pixels)
        )

    def with_identical(self, query: Query, found: Answer, *, is_by_id: bool) -> Answer:
        """The answer on an image, and which paintings have exactly its bytes. No file is read, so this takes no time.

        is_by_id: the query is a painting of the index.
        """
        return replace(found, one_picture=twins.identical(self.store, query, is_by_id))

    def nearest_paintings(self, image: ImageLike, *, k: int = 10, max_pixels: int = MAX_PIXELS) -> Answer:
        """Only the k nearest paintings, with distances and no probabilities; needs no calibration."""
        query = self.query(image, max_pixels)
        return self.with_twins(image, query, self.nearest_to(query, k=k), max_pixels)

    def nearest_to(self, query: Query, *, k: int = 10) -> Answer:
        """`nearest_paintings` for a painting from `query` or `queries`."""
        return next(self.all_nearest_to([query], k=k))

    def all_nearest_to(self, queries: Sequence[Query], *, k: int = 10) -> Iterator[Answer]:
        """`nearest_to` for several paintings, which are searched for together."""
        for query, near in zip(queries, self._gallery.nearest_paintings(queries, _checked(k)), strict=True):
            yield self._answer(query, near, (), None)

    def review(self, *, bar: Bar = no_bar) -> Review:
        """What a curator should look at: duplicates, doubtful attributions, works without an artist (review/).

        Raises BadIndex for a copy on a server, and Uncalibrated.
        """
        from .review.findings import review

        return review(self, self.reference_gallery(), bar)

    def reference_gallery(self) -> Index | None:
        """The reference gallery of its model; None if artidx ships none."""
        if self.manifest.model.name not in SHIPPED:
            return None
        gallery = Index.open(Reference(self.manifest.model.name))
        return gallery if gallery.manifest.model.sha256 == self.manifest.model.sha256 else None

    def query(self, image: ImageLike, max_pixels: int = MAX_PIXELS) -> Query:
        """The file with this name if there is one, else the painting with this id; `id:NAME` is always an id.

        An image whose content is in the index has its vector there, and is not embedded.
        """
        if isinstance(image, str | os.PathLike):
            name = os.fspath(image)
            if name.startswith(ID_PREFIX):
                return self.query_of_id(name.removeprefix(ID_PREFIX))
            if not os.path.lexists(split_location(name)[0]):
                try:
                    return self.query_of_id(name)
                except UnknownPainting:
                    name = nearest_name(name) or ""
                if not name:
                    raise UnknownPainting(f"{os.fspath(image)}: neither a file nor the id of a painting in {self.name}")
            return self._query_of_file(name, max_pixels)
        sha256 = hashlib.sha256(image).hexdigest() if isinstance(image, bytes) else ""
        with Reader(max_pixels) as reader:
            return self.query_of_content(sha256, "image") or self._embedded(image, "image", reader)

    def _query_of_file(self, name: str, max_pixels: int) -> Query:
        with Reader(max_pixels) as reader:
            try:
                with reader.open(name) as stream:
                    sha256 = content_hash(stream)
            except UnreadableImage as problem:
                raise UnreadableImage(f"{name}: {problem}") from None
            own = self.store.places("path", absolute(name))  # it may have been saved again since
            return self.query_of_content(sha256, name) or self._embedded(name, name, reader, own)

    def _embedded(self, image: ImageLike, name: str, reader: Reader, own: Iterable[int] = ()) -> Query:
        found = self.embedder.embed_one(image, reader)
        if found.vector is None:
            raise UnreadableImage(f"{name}: {found.problem}")
        return self.query_of_vector(found.vector, name, own)

    def query_of_id(self, painting: str) -> Query:
        """The painting with this id; no file is looked for. Raises UnknownPainting."""
        places: list[int] = next(filter(None, (self.store.places("id", name) for name in spellings(painting))), [])
        if not places:
            raise UnknownPainting(f"{painting}: no painting of {self.name} has this id")
        return self._stored(places[0], painting)

    def query_of_content(self, sha256: str, name: str) -> Query | None:
        """The painting whose image has this sha256, if the index has it; name: what to call it in the answer."""
        known = self.store.places("sha256", sha256) if sha256 else []
        return self._stored(known[0], name) if known else None

    def query_of_vector(self, vector: Array, name: str, own: Iterable[int] = ()) -> Query:
        """A vector (d,) as the model gives it; own: places in the table that are the same painting.

        Raises BadSetting if its length is wrong.
        """
        return Query(name, centred(checked_vector(vector, len(self.centre), self.name), self.centre), frozenset(own))

    def queries(
        self, images: Iterable[ImageLike], *, workers: int | None = None, max_pixels: int = MAX_PIXELS
    ) -> Iterator[Query | ArtidxError]:
        """`query` for many images, in order, several threads ahead. If one fails, its result is the error."""

        def found(image: ImageLike) -> Query | ArtidxError:
            try:
                return self.query(image, max_pixels)
            except (UnknownPainting, UnreadableImage) as problem:
                return problem

        workers = workers or available_cores()
        return ahead(found, images, workers=workers, most=4 * workers)

    def calibrate(self, *, split: str | None = None, column: str = "split") -> Calibration:
        """Calibrate on the index's own labels and publish the result as a new generation, which this object then holds.

        split: use only the paintings whose `column` has this value; by default all with an artist. Paintings that the
        model was trained on make probabilities too high. Raises BadCatalog if there are too few, BadSetting if there is
        no such split.
        """
        from .changes import edit

        calibration = edit.recalibrate(self._own_path(), split, column)
        self._reopen()
        return calibration

    def is_current(self) -> bool:
        """Whether this generation is still the published one. Raises BadIndex."""
        return self.store.sha256.startswith(published(self.source) or "")

    def renewed(self) -> Index:
        """The generation that is published now, as a new object; this one does not change.

        The new object shares the loaded model if that has not changed. Raises BadIndex.
        """
        newer = open_store(self.source, self._model.device, self.store)
        is_same = newer.manifest.model.sha256 == self.manifest.model.sha256
        return Index(self.source, newer, self._model if is_same else Model(self._model.device))

    @cached_property
    def collection(self) -> Collection:
        """Its paintings and artists, for browsing."""
        return Collection(self.store)

    def whole(self) -> tuple[pd.DataFrame, Array]:
        """The table of all paintings, and their embeddings (n, d) as the model gave them, up to rounding, in memory.

        Raises BadSetting if a copy on a server is too large for that.
        """
        table, vectors = self.store.whole()
        return table, uncentred(vectors, self.centre)

    @property
    def table(self) -> pd.DataFrame:
        """A copy of the table: one row per painting that can be found, with current labels.

        Raises BadSetting if a copy on a server is too large for that.
        """
        table, _ = self.store.whole()
        for where, exclude in self.filters:
            if where is not None:
                table = table[matching(table, where)]
            if exclude is not None:
                table = table[~matching(table, exclude)]
        return table.reset_index(drop=True).copy()

    def distances(self, a: Iterable[ImageLike], b: Iterable[ImageLike] | None = None) -> Doubles:
        """(len(a), len(b)) distances, as in `pair`; without b, those among a. Elements are anything that `query` takes.

        Raises UnknownPainting, UnreadableImage.
        """
        rows = notebook.usable(self.queries(several(a)))
        return notebook.distance_matrix(rows, rows if b is None else notebook.usable(self.queries(several(b))))

    def knn_graph(self, k: int = 10) -> pd.DataFrame:
        """The k nearest others of each painting, as in `nearest_paintings`: a table of `a`, `b` (ids) and `distance`.

        networkx.from_pandas_edgelist(graph, "a", "b", "distance") turns it into a graph.
        """
        return notebook.neighbours(self.store, self.table["id"].tolist(), self.query_of_id, _checked(k))

    def __repr__(self) -> str:
        return notebook.described(self.store)

    def _repr_html_(self) -> str:
        return notebook.page(self.public_name, self.store, self.table["id"].tolist() if self.filters else None)

    def __reduce__(self) -> tuple[Callable[..., Index], tuple[Any, ...]]:
        """A pickle has its location, not its content: loading opens the same generation again, or raises BadIndex."""
        embedder = self._model.embedder if isinstance(self.source, Address) else None  # a folder has its own
        return _opened_again, (self.source, self.store.sha256, self.filters, embedder, self._model.device)

    def __len__(self) -> int:
        return len(self.store)

    @property
    def artists(self) -> int:
        """The number of artists with a painting in it."""
        return int((self.store.artists.paintings > 0).sum())

    @property
    def generation(self) -> generations.Generation:
        """The generation in the folder that this object holds. Raises BadIndex for a copy on a server."""
        return folder_store(self.store).generation

    @property
    def manifest(self) -> Manifest:
        """The generation's manifest."""
        return self.store.manifest

    @cached_property
    def centre(self) -> Array:
        """(d,) the centre from which the collection's vectors are measured (centre.py)."""
        return np.array(self.manifest.centre, np.float32)

    @cached_property
    def calibration(self) -> Calibration:
        """The generation's calibration. Raises Uncalibrated."""
        return Calibration.from_json(self.manifest.calibration, self.name, self.manifest.model.dim)

    @cached_property
    def reach(self) -> Reach:
        """Distances within which photographs are compared, to see whether they show the same picture."""
        try:
            return Reach.of(self.calibration)
        except Uncalibrated:
            return Reach()

    @property
    def embedder(self) -> Embedder:
        """The model that made this index's vectors, loaded when first needed."""
        return self._model.loaded(self.source, self.store)

    @property
    def expands_by_looking(self) -> bool:
        """Whether `verdicts` finds by itself, at no cost, what `expanded` searches for."""
        return self._gallery.expands_by_looking

    @cached_property
    def _gallery(self) -> Gallery:
        return Gallery(self.store)

    def _stored(self, place: int, name: str) -> Query:
        content = self.store.contents([place])[0]  # for imported vectors it may be unknown
        own = self.store.places("sha256", content) if content else [place]
        painting = self.store.paintings([place])[0]
        if painting.object:  # its other photographs are no evidence
            own = [*own, *self.store.places("object", painting.object)]
        return Query(name, self.store.vectors_at([place])[0], frozenset(own), painting)

    def _answer(
        self, query: Query, paintings: tuple[Neighbour, ...], artists: tuple[RankedArtist, ...], unknown: float | None
    ) -> Answer:
        sculpture = None
        if unknown is not None:
            sculpture = self._gallery.kinds.sculpture(query.vector, self.calibration.artists)
        return Answer(
            query.name,
            artists,
            unknown,
            paintings,
            searched=len(self),
            approximate=self.store.is_approximate,
            model=self.manifest.model.sha256,
            generation=self.manifest.generation,
            painting=query.painting,
            recorded_works=self._gallery.other_works(query),
            sculpture=sculpture,
        )

    def _own_path(self) -> Path:
        """Raises BadIndex for an index that cannot be changed here; BadSetting for a part of an index."""
        generation = self.generation  # a copy on a server has none
        if not isinstance(self.source, Path):
            raise BadIndex(f"{self.name} cannot be changed; make an index of your own with artidx build")
        if len(self.store) < len(generation):
            raise BadSetting(f"{self.name}: only some of its paintings are selected here; open it again to change it")
        return self.source

    def _reopen(self) -> None:
        """Switch to what is published now; the model is loaded again if it is another one."""
        newer = open_store(self._own_path(), self._model.device, self.store)
        if newer.manifest.model.sha256 != self.manifest.model.sha256:
            self._model = Model(self._model.device)
        self.store = newer
        for known in ("calibration", "collection", "centre", "_gallery"):
            self.__dict__.pop(known, None)


def _opened_again(
    source: Source,
    sha256: str,
    filters: tuple[tuple[str | None, str | None], ...],
    embedder: Embedder | None,
    device: str | None,
) -> Index:
    index = Index.open(source, embedder=embedder, device=device)
    if index.store.sha256 != sha256:
        raise BadIndex(f"{index.name}: has changed since it was pickled; open it again")
    for where, exclude in filters:
        index = index.only(where, exclude)
    return index


def _checked(k: int) -> int:
    try:
        k = operator.index(k)
    except TypeError:
        raise BadSetting(f"-k {k}: must be a whole number") from None
    if k < 1:
        raise BadSetting(f"-k {k}: must be 1 or more")
    return k
