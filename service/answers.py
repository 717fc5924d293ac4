"""An answer as JSON, the same text as on the command line."""

from __future__ import annotations

from typing import Any

from fastapi import Response

from ..as_json import as_json


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """The response that holds a value of the index's or of the service's."""
    return Response(as_json(value), status, headers, "application/json")
