"""Answers as JSON (public_json.py)."""

from __future__ import annotations

from typing import Any

from fastapi import Response

from ..index.opened import Index
from .public_json import public_json


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """The response with a value of the index or of the service."""
    return as_answer(public_json(value), status, headers)


def as_answer(text: str, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """The response that is this JSON."""
    return Response(text, status, headers, "application/json")


def etag_of(index: Index) -> dict[str, str]:
    """The ETag of a generation, which a change sends back as If-Match."""
    return {"etag": f'"{index.manifest.generation}"'}
