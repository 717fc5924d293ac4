"""Routes for changes, which need a write token: add or remove a painting, correct labels. Each publishes a new
generation.

An uploaded picture is stored in the folder of uploads under the sha256 of its bytes; the client's file name is not
used.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import pandas as pd
from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from ..as_json import as_json
from ..embedder.catalogs.catalog import COLUMNS, Catalog, year_of
from ..files import write_atomically
from ..index.changes.build import Settings
from ..index.opened import Index
from ..index.storage.vector_store import Painting
from .answers import answer, etag_of
from .browse import Word, words_of
from .forms import Form, body_of, described, described_json, form_of
from .problems import Problem, documented
from .remembered import Added
from .rights import name_of, writer
from .state import AppState, SharedState

TEXTS = ("id", "artist", "title", "year")
LONGEST = 400  # characters of a label
MOST_LABELS = 50  # of a correction
ETAG = re.compile(r'(?:W/)?"([0-9]{1,13})"')
T = TypeVar("T")
TEXT = {"type": "string", "maxLength": LONGEST}


@dataclass(frozen=True)
class Changed:
    """A painting that was added or removed, and the generation in which it is so."""

    painting: Painting
    paintings: int  # in the index now
    model: str
    generation: int


@dataclass(frozen=True)
class Corrected:
    """A painting whose labels were corrected, and the new entries of the history, also for the object's other
    photographs."""

    painting: Painting
    history: tuple[Word, ...]
    model: str
    generation: int


class Correction(BaseModel):
    """The new labels, and who makes the change."""

    model_config = ConfigDict(extra="forbid")

    labels: dict[
        Annotated[str, Field(max_length=100)], Annotated[str, Field(min_length=1, max_length=LONGEST)] | int
    ] = Field(
        min_length=1,
        max_length=MOST_LABELS,
        description="Columns of the index, such as artist, title and year. `unknown` removes an artist.",
        examples=[{"artist": "Workshop of Titian", "year": 1540}],
    )
    by: str | None = Field(
        None, min_length=1, max_length=LONGEST, description="Who makes the change; by default the name of the token."
    )


router = APIRouter(
    prefix="/v1",
    dependencies=[Depends(writer)],
    tags=["changes"],
    responses=documented(400, 403, 404, 408, 409, 412, 413, 415, 422, 429),
)
Key = Annotated[
    str | None,
    Header(description="A key of your choice: if the request is sent again with the same key, nothing is added twice."),
]
Match = Annotated[
    str | None, Header(description="The ETag of an answer: change only what has not changed since (else 412).")
]


@router.post(
    "/paintings",
    operation_id="addPainting",
    status_code=201,
    response_model=Changed,
    openapi_extra=described(
        "NewPainting",
        {"image": "The painting's picture, which is stored."},
        {
            "id": (TEXT, "Its id; by default the beginning of the sha256 of its picture."),
            "artist": (TEXT, "Its artist."),
            "title": (TEXT, "Its title."),
            "year": (TEXT, "Its year."),
        },
        ids=False,
    ),
)
async def add(request: Request, state: SharedState, idempotency_key: Key = None) -> Response:
    """Add a painting.  Needs a token that may write."""
    uploads = _uploads(state)
    async with form_of(request, ("image",), TEXTS, ids=False) as form, state.writing:
        asked, labels = form.file("image"), _labels(form)
        data = await asyncio.to_thread(asked.stream.read) if asked.stream else b""
        sha256 = hashlib.sha256(data).hexdigest()
        labels["id"] = labels["id"] or sha256[:16]
        who, sent = name_of(request), hashlib.sha256(as_json([sha256, labels]).encode()).hexdigest()
        await state.holder.renew()
        index = state.holder.index
        known = state.added.find(who, idempotency_key, sent)
        if known is not None and index.store.places("id", known):
            request.state.index = index
            return _changed(index.collection.painting(known)[0], index, 201)
        embedder, most = index.embedder, state.settings.max_pixels
        await state.squares(asked, lambda: embedder.square(data, max_pixels=most))  # before anything is stored
        _check_new(index, str(labels["id"]), sha256, asked.name)
        path = uploads / f"{sha256}.image"
        row = pd.DataFrame([labels | {"path": str(path)}], columns=list(COLUMNS))

        def added() -> None:
            _add(index, Catalog(str(uploads), row), path, data, state)
            state.added.note(who, idempotency_key, Added(sent, str(labels["id"])))

        await finished(added)
        await state.holder.renew()
        request.state.index = state.holder.index
        return _changed(state.holder.index.collection.painting(str(labels["id"]))[0], state.holder.index, 201)


@router.delete("/paintings/{id:path}", response_model=Changed, operation_id="removePainting")
async def remove(request: Request, state: SharedState, id: str, if_match: Match = None) -> Response:
    """Remove a painting, and its picture if it was sent here.  Needs a token that may write."""
    async with state.writing:
        await state.holder.renew()
        before = state.holder.index
        if not isinstance(before.source, Path):
            raise _not_ours()
        painting, _ = before.collection.painting(id)
        meant = generation_of(if_match)
        await finished(lambda: _remove(before, painting, state.settings.uploads, meant))
        await state.holder.renew()
        request.state.index = state.holder.index
        return _changed(painting, state.holder.index, 200)


@router.patch(
    "/paintings/{id:path}",
    operation_id="correctPainting",
    response_model=Corrected,
    openapi_extra=described_json(Correction),
)
async def correct(request: Request, state: SharedState, id: str, if_match: Match = None) -> Response:
    """Correct labels of a painting, and record who made the change.  A correction of the artist and the like counts for
    all photographs of the object.  Needs a token that may write."""
    said = await body_of(request, Correction)
    texts = {name: str(value) for name, value in said.labels.items()}
    check_texts(texts)
    row = pd.DataFrame([texts | {"id": id}])
    words, index = await labelled(request, state, row, said_by(request, said.by), generation_of(if_match))
    names = index.manifest.model.sha256, index.manifest.generation
    return answer(Corrected(index.collection.painting(id)[0], words_of(words), *names), 200, etag_of(index))


def said_by(request: Request, by: str | None) -> str:
    """Who makes the change: the name in the request, else the name of its token. Raises Problem without either."""
    who = by or name_of(request)
    if who is None:
        raise Problem(422, "missing-field", "by: say who makes the change")
    check_texts({"by": who})
    return who


async def labelled(
    request: Request, state: AppState, rows: pd.DataFrame, by: str, generation: int | None
) -> tuple[pd.DataFrame, Index]:
    """Correct labels (a column id and others); returns the new entries of the history, and the index that has them.

    generation: the one that the change is meant for; None for any.
    """
    async with state.writing:
        await state.holder.renew()
        before = state.holder.index
        if not isinstance(before.source, Path):
            raise _not_ours()
        for painting in rows["id"]:
            before.collection.painting(painting)
        words = await finished(lambda: before.renewed().label(rows, by=by, generation=generation)[1])
        await state.holder.renew()
        request.state.index = state.holder.index
        return words, state.holder.index


def generation_of(if_match: str | None) -> int | None:
    """The generation that a change is meant for; None for any. Raises Problem for one that does not exist."""
    if if_match is None or if_match.strip() == "*":
        return None
    found = ETAG.fullmatch(if_match.strip())
    if found is None:
        raise Problem(412, "index-changed", "If-Match: not the ETag of an answer of this service")
    return int(found[1])


def _uploads(state: AppState) -> Path:
    if not isinstance(state.holder.index.source, Path):
        raise _not_ours()
    if state.settings.uploads is None:
        raise Problem(403, "writing-is-off", "the service was started without a folder to keep pictures in (--uploads)")
    return Path(os.path.abspath(state.settings.uploads))  # as the index writes it


def _not_ours() -> Problem:
    return Problem(409, "not-to-be-changed", "only your own index in a folder can be changed; serve one")


def _labels(form: Form) -> dict[str, Any]:
    labels: dict[str, Any] = {name: form.text(name) for name in TEXTS}
    check_texts({name: text for name, text in labels.items() if text is not None})
    if labels["year"] is not None:
        year = year_of(labels["year"])
        if year is None:
            raise Problem(422, "bad-setting", f"year: {labels['year']} has no year in it")
        labels["year"] = year
    return labels


def check_texts(texts: Mapping[str, str]) -> None:
    """Raises Problem for a text that is no valid label."""
    for name, text in texts.items():
        if not 0 < len(text) <= LONGEST or not text.isprintable():
            raise Problem(422, "bad-setting", f"{name[:40]}: must be 1 to {LONGEST} printable characters")


def _check_new(index: Index, painting: str, sha256: str, name: str) -> None:
    """Raises Problem if the index has exactly this picture, or a painting with this id."""
    known = index.query_of_content(sha256, name)
    if known and known.painting:
        raise Problem(409, "already-there", f"{name}: is in the index already, as {known.painting.id}")
    if index.store.places("id", painting):
        raise Problem(409, "id-is-taken", f"{painting}: another painting of the index has this id")


def _add(index: Index, catalog: Catalog, path: Path, data: bytes, state: AppState) -> None:
    """Store the picture and add the painting; if one fails, neither is done."""
    settings = Settings(max_pixels=state.settings.max_pixels, strict=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()  # otherwise another index with this folder of uploads has it
    write_atomically(path, data)
    try:
        index.renewed().add(catalog, settings=settings)
    except BaseException:
        if is_new:
            path.unlink()
        raise


def _remove(index: Index, painting: Painting, uploads: Path | None, generation: int | None) -> None:
    """Remove the painting, and its picture if it was uploaded."""
    index.renewed().remove([painting.id], generation=generation)
    if uploads is not None and Path(painting.path).parent == Path(os.path.abspath(uploads)):
        Path(painting.path).unlink(missing_ok=True)


async def finished(work: Callable[[], T]) -> T:
    """Run it to its end in a thread: even if the request times out, the next writer must wait until it is done."""
    done = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        await asyncio.wait([done])
        raise


def _changed(painting: Painting, index: Index, status: int) -> Response:
    changed = Changed(painting, len(index), index.manifest.model.sha256, index.manifest.generation)
    return answer(changed, status, etag_of(index))
