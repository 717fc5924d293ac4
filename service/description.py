"""The OpenAPI description of the service, completed so that client generators can use all of it.

FastAPI writes most of it. This adds what it does not know: that every field of an answer is always present, names for
the fields of forms, the form of problems, the header that every request may have, examples with nulls, and bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

from .examples import ANSWER, VERDICT
from .problems import ProblemDetails

SCHEMAS = "#/components/schemas/"
EXAMPLES = {"Verdict": VERDICT, "Answer": ANSWER}
REQUEST_ID = {
    "name": "X-Request-Id",
    "in": "header",
    "description": "What the answer and the log call this request: 1 to 64 letters, digits, - or _.",
    "schema": {"type": "string"},
}
UNUSED = ("HTTPValidationError", "ValidationError")  # FastAPI's own, replaced by our problems

Described = dict[str, Any]


def binary(media_type: str) -> Described:
    """An answer of this media type, plus `application/octet-stream` for generators that do not know pictures."""
    schema = {"type": "string", "format": "binary"}
    return {name: {"schema": schema} for name in (media_type, "application/octet-stream")}


def complete(app: FastAPI) -> None:
    """Make the application return the completed description."""
    described = app.openapi

    def openapi() -> Described:
        if app.openapi_schema is None:
            _complete(described())
        return described()

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(description: Described) -> None:
    schemas: dict[str, Described] = description["components"]["schemas"]
    for unused in UNUSED:
        schemas.pop(unused, None)
    for schema in schemas.values():
        schema["required"] = list(schema.get("properties", ()))
    for name, example in EXAMPLES.items():
        schemas[name]["examples"] = [example]
    schemas["ProblemDetails"] = ProblemDetails.model_json_schema()
    description["components"]["parameters"] = {"RequestId": REQUEST_ID}
    for operation in _operations(description):
        operation.setdefault("parameters", []).append({"$ref": "#/components/parameters/RequestId"})
        for content in operation.get("requestBody", {}).get("content", {}).values():
            named = content["schema"]
            schemas[named["title"]] = named
            content["schema"] = {"$ref": SCHEMAS + named["title"]}


def _operations(description: Described) -> Iterator[Described]:
    for path in description["paths"].values():
        yield from path.values()
