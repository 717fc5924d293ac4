"""Changes by whoever has the write token: a painting more, a painting less. Each is published as a new generation.

The picture that is sent is kept in the folder of uploads under the sha256 of its bytes: no name that was sent reaches
the disk.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from fastapi import APIRouter, Depends, Request, Response

from ..embedder.catalogs.catalog import COLUMNS, Catalog, year_of
from ..files import write_atomically
from ..index.changes.build import Settings
from ..index.opened import Index
from ..index.storage.vector_store import Painting
from .answers import answer
from .forms import Form, described, form_of
from .problems import Problem, documented
from .state import AppState, SharedState
from .tokens import writer

TEXTS = ("id", "artist", "title", "year")
LONGEST = 400  # characters of a label
TEXT = {"type": "string", "maxLength": LONGEST}


@dataclass(frozen=True)
class Changed:
    """A painting that was added or removed, and the generation in which it is so."""

    painting: Painting
    paintings: int  # in the index now
    model: str
    generation: int


router = APIRouter(
    prefix="/v1",
    dependencies=[Depends(writer)],
    tags=["changes"],
    responses=documented(400, 403, 404, 408, 409, 413, 415, 422, 429),
)


@router.post(
    "/paintings",
    operation_id="addPainting",
    status_code=201,
    response_model=Changed,
    openapi_extra=described(
        "NewPainting",
        {"image": "The painting's picture; it is kept."},
        {
            "id": (TEXT, "Its id; by default the beginning of the sha256 of its picture."),
            "artist": (TEXT, "Who painted it."),
            "title": (TEXT, "What it is called."),
            "year": (TEXT, "When it was painted."),
        },
        ids=False,
    ),
)
async def add(request: Request, state: SharedState) -> Response:
    """Add a painting.  Needs the write token."""
    uploads = _uploads(state)
    async with form_of(request, ("image",), TEXTS, ids=False) as form, state.writing:
        asked, labels = form.file("image"), _labels(form)
        data = await asyncio.to_thread(asked.stream.read) if asked.stream else b""
        sha256 = hashlib.sha256(data).hexdigest()
        labels["id"] = labels["id"] or sha256[:16]
        await state.holder.renew()
        index = state.holder.index
        embedder, most = index.embedder, state.settings.max_pixels
        await state.squares(asked, lambda: embedder.square(data, max_pixels=most))  # before anything is kept
        _check_new(index, str(labels["id"]), sha256, asked.name)
        path = uploads / f"{sha256}.image"
        row = pd.DataFrame([labels | {"path": str(path)}], columns=list(COLUMNS))
        await _finished(lambda: _add(index, Catalog(str(uploads), row), path, data, state))
        await state.holder.renew()
        request.state.index = state.holder.index
        return _changed(state.holder.index.collection.painting(str(labels["id"]))[0], state.holder.index, 201)


@router.delete("/paintings/{id:path}", response_model=Changed, operation_id="removePainting")
async def remove(request: Request, state: SharedState, id: str) -> Response:
    """Remove a painting, and its picture if it was sent here.  Needs the write token."""
    async with state.writing:
        await state.holder.renew()
        before = state.holder.index
        if not isinstance(before.source, Path):
            raise _not_ours()
        painting, _ = before.collection.painting(id)
        await _finished(lambda: _remove(before, painting, state.settings.uploads))
        await state.holder.renew()
        request.state.index = state.holder.index
        return _changed(painting, state.holder.index, 200)


def _uploads(state: AppState) -> Path:
    if not isinstance(state.holder.index.source, Path):
        raise _not_ours()
    if state.settings.uploads is None:
        raise Problem(403, "writing-is-off", "the service was started without a folder to keep pictures in (--uploads)")
    return Path(os.path.abspath(state.settings.uploads))  # as the index has it


def _not_ours() -> Problem:
    return Problem(409, "not-to-be-changed", "only an index in a folder of your own can be changed; serve one of those")


def _labels(form: Form) -> dict[str, Any]:
    labels: dict[str, Any] = {name: form.text(name) for name in TEXTS}
    for name, text in labels.items():
        if text is not None and (len(text) > LONGEST or not text.isprintable()):
            raise Problem(422, "bad-setting", f"{name}: must be at most {LONGEST} characters that can be printed")
    if labels["year"] is not None:
        year = year_of(labels["year"])
        if year is None:
            raise Problem(422, "bad-setting", f"year: {labels['year']} has no year in it")
        labels["year"] = year
    return labels


def _check_new(index: Index, painting: str, sha256: str, name: str) -> None:
    """Raises Problem where the index has this very picture, or a painting with this id."""
    known = index.query_of_content(sha256, name)
    if known and known.painting:
        raise Problem(409, "already-there", f"{name}: is in the index already, as {known.painting.id}")
    if index.store.places("id", painting):
        raise Problem(409, "id-is-taken", f"{painting}: another painting of the index has this id")


def _add(index: Index, catalog: Catalog, path: Path, data: bytes, state: AppState) -> None:
    """Keep the picture and add the painting; without the one there is not the other."""
    settings = Settings(max_pixels=state.settings.max_pixels, strict=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()  # else another index that keeps its pictures here has it
    write_atomically(path, data)
    try:
        index.renewed().add(catalog, settings=settings)
    except BaseException:
        if is_new:
            path.unlink()
        raise


def _remove(index: Index, painting: Painting, uploads: Path | None) -> None:
    """Remove the painting, and its picture if it was sent here."""
    index.renewed().remove([painting.id])
    if uploads is not None and Path(painting.path).parent == Path(os.path.abspath(uploads)):
        Path(painting.path).unlink(missing_ok=True)


async def _finished(work: Callable[[], None]) -> None:
    """Do it in a thread, to its end: one that took too long must not let the next writer in before it is done."""
    done = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(done)
    except asyncio.CancelledError:
        await asyncio.wait([done])
        raise


def _changed(painting: Painting, index: Index, status: int) -> Response:
    changed = Changed(painting, len(index), index.manifest.model.sha256, index.manifest.generation)
    return answer(changed, status)
