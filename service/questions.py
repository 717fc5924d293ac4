"""Same artist?  Who might have painted this?  Which parts look alike?  Answers as on the command line."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import APIRouter, Depends, Request, Response

from ..embedder import bounds
from ..embedder.locations import content_hash
from ..index.answers import regions
from ..index.answers.regions import Regions
from ..index.answers.search import Answer, Query
from ..index.answers.verify import Decision, Verdict
from ..index.opened import Index
from ..index.scoring.vectors import Array
from ..index.storage.where import LONGEST
from .answers import answer
from .forms import Asked, Form, described, form_of
from .problems import Problem, documented
from .rights import reader
from .state import AppState, HeldIndex, SharedState

MOST = 100  # artists and paintings in an answer
A_AND_B = {"a": "The one painting.", "b": "The other."}
SHARE = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}
EXPRESSION = {"type": "string", "maxLength": LONGEST}
DECISION: dict[str, tuple[dict[str, Any], str]] = {
    "prior": ({**SHARE, "default": 0.5}, "Share of same-artist pairs among those you ask about."),
    # No enumeration: client generators turn its values into names, and 0.1 is not a valid one. No default either: they
    # would send it along with a threshold.
    "fpr": (SHARE, "Share of pairs by different artists that may pass: 0.1, 0.01 or 0.001; by default 0.1."),
    "threshold": (
        {"type": "number", "minimum": 0, "maximum": 2},
        "Call a pair the same below this distance, instead of fpr.",
    ),
}
AMONG: dict[str, tuple[dict[str, Any], str]] = {
    "k": ({"type": "integer", "minimum": 1, "maximum": MOST, "default": 10}, "How many artists and paintings."),
    "where": (EXPRESSION, "Search only paintings for which it holds, such as year < 1700 and style == 'Baroque'."),
    "exclude": (EXPRESSION, "Search only paintings for which it does not hold."),
}

router = APIRouter(
    prefix="/v1",
    dependencies=[Depends(reader)],
    tags=["questions"],
    responses=documented(400, 403, 404, 408, 409, 413, 415, 422, 429),
)


@router.post(
    "/pair",
    operation_id="pair",
    response_model=Verdict,
    openapi_extra=described("Pair", A_AND_B, DECISION, example={"a": "459083", "b": "459084"}),
)
async def pair(request: Request, state: SharedState, index: HeldIndex) -> Response:
    """Were a and b painted by the same artist?  As `artidx pair --json`."""
    async with form_of(request, ("a", "b"), tuple(DECISION)) as form:
        decision = decision_of(form, index)
        return answer(await verdict_on(state, index, form.painting("a"), form.painting("b"), decision))


def decision_of(form: Form, index: Index) -> Decision:
    """How to decide, from the fields. Raises Problem, and Uncalibrated, before any work is done."""
    usual = Decision()
    threshold, rate = form.number("threshold", bounds.DISTANCE), form.number("fpr", bounds.PRIOR)
    if threshold is not None and rate is not None:
        raise Problem(422, "bad-setting", "send fpr or threshold, not both")
    prior = form.number("prior", bounds.PRIOR)
    decision = Decision(
        usual.false_positive_rate if rate is None else rate, threshold, usual.prior if prior is None else prior
    )
    pairs = index.calibration.pairs
    _ = pairs.by_distance.probability(0, decision.prior), pairs.by_distance.point(decision.false_positive_rate)
    return decision


async def verdict_on(state: AppState, index: Index, one: Asked, other: Asked, decision: Decision) -> Verdict:
    """Were two paintings, uploaded or in the index, painted by the same artist?"""
    a, b = [await state.query(index, asked) for asked in (one, other)]

    def judged() -> tuple[tuple[Query, Query], Verdict]:
        queries = a(), b()
        return queries, index.verdict(*queries, decision)

    queries, verdict = await state.searched(judged)
    most = state.settings.max_pixels
    images = _image(one), _image(other)
    return await state.decoded(lambda: index.with_one_picture(images, queries, verdict, most), one, other)


@router.post(
    "/nearest",
    operation_id="nearest",
    response_model=Answer,
    openapi_extra=described(
        "Nearest", {"image": "The painting asked about."}, AMONG, example={"image": "437430", "k": 1}
    ),
)
async def nearest(request: Request, state: SharedState, index: HeldIndex) -> Response:
    """Who might have painted it?  Artists by probability with the paintings that speak for them, and the nearest
    paintings.  As `artidx nearest --json`, except that `one_picture` has only paintings with exactly the same file: to
    compare two pictures by their geometry, ask `pair`."""
    async with form_of(request, ("image",), tuple(AMONG)) as form:
        k, among = await asked_among(state, index, form)
        return answer(await answer_on(state, index, among, form.painting("image"), k))


async def asked_among(state: AppState, index: Index, form: Form) -> tuple[int, Index]:
    """The number of artists and paintings asked for, and the filters. Raises Problem, BadSetting, Uncalibrated."""
    k, where, exclude = form.count("k", MOST) or 10, form.text("where"), form.text("exclude")
    _ = index.calibration
    if where is None and exclude is None:
        return k, index
    return k, await state.searched(lambda: index.only(where, exclude))


async def answer_on(state: AppState, index: Index, among: Index, asked: Asked, k: int) -> Answer:
    """Who might have painted a painting, uploaded or in the index? among: the index, or a part of it."""
    query = await state.query(index, asked)

    def found() -> Answer:
        one = query()
        return among.with_identical(one, among.answer(one, k=k), is_by_id=asked.stream is None)

    return await state.searched(found)


@router.post(
    "/regions",
    operation_id="regions",
    response_model=Regions,
    openapi_extra=described("Regions", A_AND_B, {}, example={"a": "459083", "b": "459084"}),
)
async def alike(request: Request, state: SharedState, index: HeldIndex) -> Response:
    """Which parts of a and b look most alike: nine parts of each in pairs, the nearest first.  They are not part of the
    verdict, and take as long as embedding nine paintings for each picture about which nobody has asked lately."""
    async with form_of(request, ("a", "b")) as form:
        a, b = [await _parts(state, index, form.painting(name)) for name in ("a", "b")]
        return answer(await state.searched(lambda: regions.alike(index.manifest, a, b)))


def _image(asked: Asked) -> str | bytes:
    """The painting in the form that `Index.pair` and `nearest` take."""
    if asked.stream is None:
        return f"id:{asked.name}"
    asked.stream.seek(0)
    return asked.stream.read()


async def _parts(state: AppState, index: Index, asked: Asked) -> Array:
    """(9, d) vectors of a painting's parts; for a painting of the index, from its file."""
    embedder, most = index.embedder, state.settings.max_pixels
    stream = asked.stream
    if stream is not None:
        sha256 = await state.searched(lambda: content_hash(stream))
        decoded = partial(state.squares, asked, lambda: regions.parts(stream, embedder.size, most))
    else:
        painting, sha256 = index.collection.painting(asked.name)
        use = partial(state.pictures.use, painting, sha256, lambda opened: regions.parts(opened, embedder.size, most))
        decoded = partial(state.decoded, use)
    return await state.parts(embedder, sha256, decoded)
