"""Answers, as JSON (told.py)."""

from __future__ import annotations

from typing import Any

from fastapi import Response

from ..index.opened import Index
from .told import told


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """The response that holds a value of the index's or of the service's."""
    return as_answer(told(value), status, headers)


def as_answer(text: str, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """The response that is this JSON."""
    return Response(text, status, headers, "application/json")


def etag_of(index: Index) -> dict[str, str]:
    """The header by which a change says what it was meant for: the generation."""
    return {"etag": f'"{index.manifest.generation}"'}
