"""Routes for browsing an index: facts, paintings, artists, pictures, and the map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
import pandas as pd
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BeforeValidator

from ..errors import UnreadableImage
from ..index.answers.collection import Artist, NearArtist
from ..index.opened import Index
from ..index.scoring.vectors import Array
from ..index.storage.address import Address
from ..index.storage.manifest import Manifest, Model
from ..index.storage.vector_store import Painting
from ..index.storage.where import LONGEST
from . import projection, sheets
from .answers import answer, etag_of
from .description import binary
from .facets import Facet
from .facets import facets as facets_of
from .problems import RETRY_AFTER_S, Problem, documented
from .rights import reader
from .state import AppState, HeldIndex, SharedState

THUMBNAIL = 320  # px
IMAGE = 1600
MOST_COLOURS = 60  # different values of a label by which the map can be coloured
JPEG: dict[int | str, dict[str, Any]] = {
    200: {"content": binary("image/jpeg"), "description": "A JPEG."},
    304: {"description": "Not modified."},
}

Page = Annotated[int, Query(ge=1, le=1_000_000, description="Which page, from 1.")]
FLAG = BeforeValidator(lambda value: value == "" or value)  # only with ?full
Full = Annotated[bool, FLAG, Query(description="The whole manifest, with the curves of the calibration.")]
PerPage = Annotated[int, Query(ge=1, le=200, description="How many on a page.")]
Words = Annotated[str, Query(max_length=200, description="Words that all must occur; case and accents do not matter.")]
Where = Annotated[
    str | None,
    Query(max_length=LONGEST, description="Only those for which it holds, such as year < 1700 and style == 'Baroque'."),
]


@dataclass(frozen=True)
class IndexFacts:
    """The main facts about an index. is_calibrated: whether it gives thresholds and probabilities."""

    name: str
    paintings: int
    artists: int
    skipped: int
    is_calibrated: bool
    created: str
    artidx: str
    model: Model
    generation: int


@dataclass(frozen=True)
class PaintingPage:
    """One page of paintings."""

    paintings: tuple[Painting, ...]
    total: int
    page: int
    model: str
    generation: int


@dataclass(frozen=True)
class FacetsOfPaintings:
    """Paintings, counted in several ways."""

    facets: tuple[Facet, ...]
    model: str
    generation: int


@dataclass(frozen=True)
class PaintingFacts:
    """All that the index says of a painting. has_image: whether its picture can be shown."""

    painting: Painting
    labels: Mapping[str, str | None]
    has_image: bool
    model: str
    generation: int


@dataclass(frozen=True)
class Word:
    """A correction: of which painting's label, from what to what, who made it and when (UTC)."""

    id: str
    column: str
    before: str | None
    after: str | None
    by: str
    at: str


@dataclass(frozen=True)
class HistoryPage:
    """One page of corrections, the latest first."""

    history: tuple[Word, ...]
    total: int
    page: int
    model: str
    generation: int


@dataclass(frozen=True)
class ArtistPage:
    """One page of artists, those with the most paintings first."""

    artists: tuple[Artist, ...]
    total: int
    page: int
    model: str
    generation: int


@dataclass(frozen=True)
class ArtistFacts:
    """An artist, and those whose works are nearest."""

    artist: Artist
    near: tuple[NearArtist, ...]
    model: str
    generation: int


@dataclass(frozen=True)
class Label:
    """Something the map can be coloured by: its values, and for each point the number of its value, -1 for none."""

    values: tuple[str, ...]
    codes: tuple[int, ...]


@dataclass(frozen=True)
class MapOfPaintings:
    """Paintings on a plane, column by column, along a curve through the plane: those that follow each other lie side by
    side. total: how many the index has; those here are all, or sampled at random.

    cell: how large their pictures are on the sheets, in px; 0 where the index has none."""

    ids: tuple[str, ...]
    x: tuple[float, ...]
    y: tuple[float, ...]
    labels: Mapping[str, Label]
    years: tuple[int | None, ...]
    cell: int
    total: int
    model: str
    generation: int


@dataclass(frozen=True)
class Drawing:
    """What was asked for is not ready yet, and is being made."""

    detail: str
    model: str
    generation: int


WEBP: dict[int | str, dict[str, Any]] = {
    200: {"content": binary("image/webp"), "description": "A WebP."},
    304: {"description": "Not modified."},
}
BEING_DRAWN: dict[int | str, dict[str, Any]] = {
    202: {"model": Drawing, "description": "The map is being drawn; try again."}
}
router = APIRouter(
    prefix="/v1", dependencies=[Depends(reader)], tags=["collection"], responses=documented(403, 404, 422, 429)
)


@router.get("/index", response_model=Manifest | IndexFacts, operation_id="getIndex")
async def index_facts(index: HeldIndex, full: Full = False) -> Response:
    """What the index is: the main facts, or with `full` all of them, as `artidx info --json`."""
    known = index.manifest
    if full:
        reading = {name: value for name, value in (known.reading or {}).items() if name != "images"}  # local paths
        return answer(replace(known, reading=reading or None))
    calibrated, counts = known.calibration is not None, (known.paintings, known.artists, known.skipped)
    return answer(
        IndexFacts(index.public_name, *counts, calibrated, known.created, known.artidx, known.model, known.generation)
    )


@router.get("/paintings", response_model=PaintingPage, operation_id="listPaintings")
async def paintings(
    state: SharedState,
    index: HeldIndex,
    q: Words = "",
    artist: Annotated[str | None, Query(max_length=400, description="Only by this artist, in any spelling.")] = None,
    where: Where = None,
    page: Page = 1,
    per_page: PerPage = 50,
) -> Response:
    """Paintings whose artist, title or id contains the words."""
    start, among = (page - 1) * per_page, await state.among(index, where)
    found = await state.searched(lambda: among.collection.search(q, artist, start=start, count=per_page))
    return answer(PaintingPage(found.paintings, found.total, page, *_names(index)))


@router.get("/facets", response_model=FacetsOfPaintings, operation_id="listFacets")
async def facets(state: SharedState, index: HeldIndex, q: Words = "", where: Where = None) -> Response:
    """The number of paintings that contain the words, by artist, century and label, each with the expression that
    selects them by `where`."""
    among = await state.among(index, where)
    found = await state.searched(lambda: facets_of(among, q))
    return answer(FacetsOfPaintings(found, *_names(index)))


@router.get("/paintings/{id:path}", response_model=PaintingFacts, operation_id="getPainting")
async def painting(state: SharedState, index: HeldIndex, id: str) -> Response:
    """A painting and its labels.  Send its `ETag` as `If-Match` of a change."""
    found, sha256 = await state.searched(lambda: index.collection.painting(id))
    labels = await state.searched(lambda: index.collection.labels(found))
    has_image = await state.decoded(lambda: state.pictures.has(found, sha256))
    return answer(PaintingFacts(found, labels, has_image, *_names(index)), headers=etag_of(index))


@router.get("/history", response_model=HistoryPage, responses=documented(409), operation_id="listHistory")
async def history(
    state: SharedState,
    index: HeldIndex,
    painting: Annotated[str | None, Query(max_length=400, description="Only of the painting with this id.")] = None,
    page: Page = 1,
    per_page: PerPage = 50,
) -> Response:
    """Corrections made since the paintings were indexed, and by whom; the latest first."""
    if isinstance(index.source, Address):
        raise Problem(409, "no-history", "a copy on a server keeps no history; the folder it was pushed from does")

    def said() -> HistoryPage:
        if painting is not None:
            index.collection.painting(painting)
        words = index.history
        # Local paths are not shown.
        words = words[(words["column"] != "path") & (True if painting is None else words["id"] == painting)].iloc[::-1]
        shown = words_of(words.iloc[(page - 1) * per_page : page * per_page])
        return HistoryPage(shown, len(words), page, *_names(index))

    return answer(await state.searched(said))


@router.get("/thumbnails/{id:path}", response_class=Response, responses=JPEG, operation_id="getThumbnail")
async def thumbnail(request: Request, state: SharedState, index: HeldIndex, id: str) -> Response:
    """A small picture of a painting, at most 320 px, if its file is still there."""
    return await _picture(request, state, index, id, THUMBNAIL)


@router.get("/images/{id:path}", response_class=Response, responses=JPEG, operation_id="getImage")
async def image(request: Request, state: SharedState, index: HeldIndex, id: str) -> Response:
    """A picture of a painting, at most 1,600 px, if its file is still there."""
    return await _picture(request, state, index, id, IMAGE)


@router.get("/artists", response_model=ArtistPage, operation_id="listArtists")
async def artists(
    state: SharedState, index: HeldIndex, q: Words = "", page: Page = 1, per_page: PerPage = 50
) -> Response:
    """Artists whose names contain the words, those with the most paintings first."""
    found = await state.searched(lambda: index.collection.search_artists(q))
    return answer(ArtistPage(found[(page - 1) * per_page : page * per_page], len(found), page, *_names(index)))


@router.get("/artists/{id:path}", response_model=ArtistFacts, operation_id="getArtist")
async def artist(state: SharedState, index: HeldIndex, id: str) -> Response:
    """An artist, by id or name, and the artists whose works are nearest.  /v1/paintings?artist= lists the works."""
    found = index.collection.artist(id)
    return answer(ArtistFacts(found, await state.searched(lambda: index.collection.near(found)), *_names(index)))


@router.get("/map", operation_id="getMap", response_model=MapOfPaintings, responses=BEING_DRAWN)
async def the_map(state: SharedState, index: HeldIndex) -> Response:
    """All paintings on a plane, at most 100,000; paintings that look alike to the model are close together."""
    points = await _points(state, index)
    if points is None:
        return _being_drawn(index)
    places = await state.mapped(index, points)
    return answer(await state.searched(lambda: _map_of(index, places, points)))


@router.get("/map/sheets/{number}", response_class=Response, responses=WEBP | BEING_DRAWN, operation_id="getMapSheet")
async def map_sheet(
    request: Request, state: SharedState, index: HeldIndex, number: Annotated[int, Path(ge=0, lt=1 << 16)]
) -> Response:
    """Small pictures of 64 paintings of the map, in its order: 8 in a row, in cells of the map's size."""
    points = await _points(state, index)
    if points is None:
        return _being_drawn(index)
    places = await state.mapped(index, points)
    some = places[number * sheets.ON_A_SHEET : (number + 1) * sheets.ON_A_SHEET]
    if not some:
        raise Problem(404, "no-sheet", f"the map has {len(places)} paintings, 64 on a sheet")
    paintings, contents = await state.searched(lambda: (index.store.paintings(some), index.store.contents(some)))
    cell, most = sheets.cell_of(len(places)), state.settings.max_pixels
    key = sheets.key_of(contents, cell)
    headers = {"etag": f'"{key[:32]}"', "cache-control": "private, no-cache"}
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)

    def made() -> bytes:
        return sheets.sheet(state.pictures, paintings, contents, cell, most)

    webp = await state.sheets.of(key, lambda: state.decoded_aside(made))
    return Response(webp, headers=headers, media_type="image/webp")


def words_of(history: pd.DataFrame) -> tuple[Word, ...]:
    """The entries of the index's history, or of a part of it."""
    entries = history[list(Word.__dataclass_fields__)]
    return tuple(Word(*row) for row in entries.astype(object).where(entries.notna(), None).itertuples(index=False))


async def _points(state: AppState, index: Index) -> Array | None:
    try:
        return await state.maps.of(index)
    except (OSError, ValueError):
        raise Problem(503, "no-map", "the map of this generation could not be drawn") from None


def _being_drawn(index: Index) -> Response:
    detail = "the map is being drawn; of 100,000 paintings that takes five minutes"
    return answer(Drawing(detail, *_names(index)), 202, {"retry-after": str(RETRY_AFTER_S)})


def _map_of(index: Index, places: Sequence[int], points: Array) -> MapOfPaintings:
    table = index.store.rows(places)
    rounded = np.round(points[projection.along_curve(points)].astype(np.float64), 4)
    columns = {"artist": table["artist_key"].map({artist.id: artist.artist for artist in index.collection.artists})} | {
        name: table[name] for name in index.collection.label_names if table[name].nunique() <= MOST_COLOURS
    }
    labels = {name: _label(column) for name, column in columns.items() if column.notna().any()}
    return MapOfPaintings(
        tuple(table["id"]),
        tuple(rounded[:, 0].tolist()),
        tuple(rounded[:, 1].tolist()),
        labels,
        tuple(None if pd.isna(year) else int(year) for year in table["year"]),
        sheets.cell_of(len(table)) if table["path"].astype(bool).any() else 0,
        len(index),
        *_names(index),
    )


def _label(column: pd.Series[Any]) -> Label:
    """A label with its most frequent values first."""
    values = column.dropna().value_counts().index
    codes = pd.Categorical(column, categories=values).codes
    return Label(tuple(str(value) for value in values), tuple(codes.tolist()))


async def _picture(request: Request, state: AppState, index: Index, id: str, side: int) -> Response:
    found, sha256 = await state.searched(lambda: index.collection.painting(id))
    headers = {"etag": f'"{sha256[:16]}-{side}"', "cache-control": "private, no-cache"}
    if sha256 and request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    try:
        jpeg = await state.decoded(lambda: state.pictures.jpeg(found, sha256, side))
    except UnreadableImage as problem:
        raise Problem(404, "no-picture", str(problem)) from None
    return Response(jpeg, headers=headers, media_type="image/jpeg")


def _names(index: Index) -> tuple[str, int]:
    return index.manifest.model.sha256, index.manifest.generation
