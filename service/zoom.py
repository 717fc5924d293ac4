"""Routes for zooming into the index's pictures: their sizes, and their tiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from ..errors import UnreadableImage
from ..index.opened import Index
from .answers import answer
from .browse import JPEG
from .problems import Problem, documented
from .rights import reader
from .state import AppState, HeldIndex, SharedState
from .tiles import TILE, Pyramid, tiles_of

Number = Annotated[int, Query(ge=0, lt=1 << 16)]  # more than any picture has


@dataclass(frozen=True)
class Zoom:
    """A picture's size in pixels, the side of its tiles, and its number of levels."""

    width: int
    height: int
    tile: int
    levels: int
    model: str
    generation: int


router = APIRouter(
    prefix="/v1", dependencies=[Depends(reader)], tags=["collection"], responses=documented(403, 404, 422, 429)
)


@router.get("/zoom/{id:path}", operation_id="getZoom", response_model=Zoom)
async def zoom(state: SharedState, index: HeldIndex, id: str) -> Response:
    """How large a painting's picture is, and in how many levels of tiles it can be had."""
    _, pyramid = await _pyramid(state, index, id)
    names = index.manifest.model.sha256, index.manifest.generation
    return answer(Zoom(pyramid.width, pyramid.height, TILE, pyramid.levels, *names))


@router.get("/tiles/{id:path}", operation_id="getTile", response_class=Response, responses=JPEG)
async def tile(
    request: Request, state: SharedState, index: HeldIndex, id: str, level: Number, column: Number, row: Number
) -> Response:
    """A tile of a painting's picture, 512 px a side at most; level 0 is the whole on one tile."""
    sha256, pyramid = await _pyramid(state, index, id)
    headers = {"etag": f'"{sha256[:16]}-{level}-{column}-{row}"', "cache-control": "private, no-cache"}
    found = pyramid.tiles.get((level, column, row))
    if found is None:
        raise Problem(404, "no-tile", f"{id}: no tile at level {level}, column {column}, row {row}")
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    return Response(found, headers=headers, media_type="image/jpeg")


async def _pyramid(state: AppState, index: Index, id: str) -> tuple[str, Pyramid]:
    """The sha256 of a painting's image, and its tiles. Raises Problem if it cannot be shown."""
    found, sha256 = await state.searched(lambda: index.collection.painting(id))
    most = state.settings.max_pixels

    def made() -> Pyramid:
        return state.pictures.use(found, sha256, lambda stream: tiles_of(stream, most))

    try:
        return sha256, await state.pyramids.of(sha256, lambda: state.decoded_aside(made))
    except UnreadableImage as problem:
        raise Problem(404, "no-picture", str(problem)) from None
