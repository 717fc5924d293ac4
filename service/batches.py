"""Many questions in one request, each answered as if alone, one line each, in order.

A few are computed ahead of the line that is written: a slow reader slows the work down, and a disconnected one ends it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Any, TypeVar

from fastapi import APIRouter, Depends, Request, Response
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from ..embedder.runtime import available_cores
from ..errors import ArtidxError
from ..index.opened import Index
from .description import binary
from .forms import described, form_of
from .problems import Problem, body_of_problem, bug, documented, problem_of
from .public_json import public_json
from .questions import A_AND_B, AMONG, DECISION, answer_on, asked_among, decision_of, verdict_on
from .rights import reader
from .state import HeldIndex, SharedState

T = TypeVar("T")
MOST = 1000  # questions
MEDIA_TYPE = "application/x-ndjson"
LINES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": binary(MEDIA_TYPE),
        "description": "JSON lines, one a question: `number` from 0, and `answer` or `problem`; the other is null.",
    }
}
log = logging.getLogger("artidx.service")
router = APIRouter(
    prefix="/v1",
    dependencies=[Depends(reader)],
    tags=["batches"],
    responses=documented(400, 403, 404, 408, 409, 413, 415, 422, 429),
)


class Lines(StreamingResponse):
    """A streaming response of lines. If the client disconnects, the work ends and its form is closed."""

    def __init__(self, made: AsyncGenerator[str], opened: AsyncExitStack) -> None:
        super().__init__(made, media_type=MEDIA_TYPE)
        self._made, self._opened = made, opened

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._opened, aclosing(self._made):
            await super().__call__(scope, receive, send)


@router.post(
    "/nearest:batch",
    operation_id="nearestBatch",
    response_class=Response,
    responses=LINES,
    openapi_extra=described(
        "NearestBatch",
        {"images": "The paintings asked about."},
        AMONG,
        most=MOST,
        example={"images": ["437430", "459083"], "k": 1},
    ),
)
async def nearest(request: Request, state: SharedState, index: HeldIndex) -> Response:
    """Who might have painted each of these?  One answer of `nearest` per question."""
    async with AsyncExitStack() as stack:
        form = await stack.enter_async_context(form_of(request, ("images",), tuple(AMONG), most=MOST))
        k, among = await asked_among(state, index, form)
        images = form.paintings("images")
        made = _lines(images, lambda asked: answer_on(state, index, among, asked, k), index)
        return Lines(made, stack.pop_all())


@router.post(
    "/pair:batch",
    operation_id="pairBatch",
    response_class=Response,
    responses=LINES,
    openapi_extra=described(
        "PairBatch", A_AND_B, DECISION, most=MOST, example={"a": ["459083", "459083"], "b": ["459084", "437430"]}
    ),
)
async def pair(request: Request, state: SharedState, index: HeldIndex) -> Response:
    """Were these painted by the same artist: the first a and the first b, the second a and the second b, and so on?
    One answer of `pair` per question."""
    async with AsyncExitStack() as stack:
        form = await stack.enter_async_context(form_of(request, ("a", "b"), tuple(DECISION), most=MOST))
        decision, sides = decision_of(form, index), (form.paintings("a"), form.paintings("b"))
        if len(sides[0]) != len(sides[1]):
            raise Problem(
                422, "bad-setting", f"a and b: {len(sides[0])} and {len(sides[1])}; both must have the same number"
            )
        pairs = [*zip(*sides, strict=True)]
        made = _lines(pairs, lambda both: verdict_on(state, index, *both, decision), index)
        return Lines(made, stack.pop_all())


async def _lines(items: Sequence[T], answered: Callable[[T], Awaitable[object]], index: Index) -> AsyncGenerator[str]:
    """A line for each item, a few computed ahead."""
    ahead: deque[asyncio.Task[str]] = deque()
    try:
        for number, item in enumerate(items):
            ahead.append(asyncio.create_task(_line(number, item, answered, index)))
            if len(ahead) >= 2 * available_cores():
                yield await ahead.popleft()
        while ahead:
            yield await ahead.popleft()
    finally:
        for task in ahead:
            task.cancel()
        await asyncio.gather(*ahead, return_exceptions=True)


async def _line(number: int, item: T, answered: Callable[[T], Awaitable[object]], index: Index) -> str:
    try:
        return public_json({"number": number, "answer": await answered(item), "problem": None}) + "\n"
    except Problem as known:
        problem = known
    except ArtidxError as error:
        problem = problem_of(error, index)
    except Exception:
        log.exception("a question of a batch failed")
        problem = bug()
    return public_json({"number": number, "answer": None, "problem": body_of_problem(problem)}) + "\n"
