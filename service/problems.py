"""Errors as `application/problem+json` (RFC 9457): a type, a title, a status, one line of detail.

Every error status of the service is listed here with its reason.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from ..as_json import as_json
from ..errors import (
    ArtidxError,
    BadCatalog,
    BadSetting,
    IndexAway,
    IndexBusy,
    IndexChanged,
    NotAnImage,
    OutOfResources,
    Uncalibrated,
    UnknownPainting,
    UnreadableImage,
)
from ..index.opened import Index

MEDIA_TYPE = "application/problem+json"
REASONS = {
    400: "the request cannot be read",
    401: "a token is missing or wrong",
    403: "writing is off, the token is only for reading, or a page of another site asks",
    404: "nothing has this id",
    405: "not for this method",
    408: "the request came too slowly",
    409: "the index cannot do that in its current state",
    412: "the index has changed since",
    413: "more bytes than allowed",
    415: "not an image, or in a format that is not read",
    422: "a field or an image cannot be used",
    429: "this address has too many requests in flight",
    500: "a bug",
    503: "too busy, or not ready; try again later",
}
STATUSES: dict[type[ArtidxError], int] = {
    NotAnImage: 415,
    UnreadableImage: 422,
    BadSetting: 422,
    BadCatalog: 422,
    UnknownPainting: 404,
    Uncalibrated: 409,
    IndexBusy: 503,
    IndexChanged: 412,
    IndexAway: 503,
    OutOfResources: 503,
}
RETRY_AFTER_S = 2
NO_ROUTE = "nothing is here; see /docs or, for programs, /openapi.json"


class ProblemDetails(BaseModel):
    """A problem, in the words of RFC 9457."""

    type: str = Field(examples=["urn:artidx:unknown-painting"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["no-such-id: no painting of the index has this id"])


class Problem(HTTPException):
    """A refusal with its reason. name: its kind, for programs."""

    def __init__(self, status: int, name: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, detail, headers)
        self.name = name


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These problems, and those that any request can cause, for the description of a route."""
    return {
        status: {
            "description": REASONS[status],
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
        }
        for status in sorted({*statuses, 401, 500, 503})
    }


def body_of_problem(problem: Problem) -> dict[str, Any]:
    """The body that `ProblemDetails` describes."""
    return {
        "type": f"urn:artidx:{problem.name}",
        "title": HTTPStatus(problem.status_code).phrase,
        "status": problem.status_code,
        "detail": problem.detail,
    }


def response(problem: Problem) -> Response:
    """The response for a problem."""
    headers = dict(problem.headers or {})
    if problem.status_code in (429, 503):
        headers.setdefault("retry-after", str(RETRY_AFTER_S))
    return Response(as_json(body_of_problem(problem)), problem.status_code, headers, MEDIA_TYPE)


def problem_of(error: ArtidxError, index: Index) -> Problem:
    """One of our errors as a problem, without the path of the index; 500 if the caller cannot help it."""
    status = next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), 500)
    if status == 500:
        return bug()
    words = "".join(f"-{c.lower()}" if c.isupper() else c for c in type(error).__name__).strip("-")
    detail = " ".join(str(error).split())
    return Problem(status, words, detail.replace(index.name, index.public_name))


def bug() -> Problem:
    """The problem for unexpected errors; details are in the log."""
    return Problem(500, "bug", "the service failed; its log has the reason under the request's id")


def answer_problems(app: FastAPI) -> None:
    """Make every error of the application one of these problems."""

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> Response:
        if not isinstance(error, Problem):
            name = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
            detail = NO_ROUTE if error.status_code == 404 else str(error.detail)
            error = Problem(error.status_code, name, detail, dict(error.headers or {}))
        return response(error)

    @app.exception_handler(ArtidxError)
    async def ours(request: Request, error: ArtidxError) -> Response:
        problem = problem_of(error, request.state.index)
        if problem.status_code == 500:
            request.state.failure = error  # logged
        return response(problem)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        return response(Problem(422, "bad-setting", f"{where}: {first['msg']}"))
