"""The API reference as a page: `/openapi.json` for people, as plain HTML without scripts or external resources.

The template is reference.html.j2. Fields and answers are described with the routes; this module only lays them out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse

from .problems import REASONS

TEMPLATE = "reference.html.j2"
CODE = re.compile(r"`([^`]+)`")
Described = dict[str, Any]


@dataclass(frozen=True)
class Field:
    """A field of a request or an answer. kind: its type in words, with links to schemas."""

    name: str
    kind: Markup
    is_required: bool
    text: Markup


@dataclass(frozen=True)
class Operation:
    """One operation. bodies: media types of its request; answers: statuses with their content."""

    id: str
    method: str
    path: str
    text: Markup
    fields: tuple[Field, ...]
    bodies: tuple[str, ...]
    answers: tuple[tuple[str, Markup], ...]
    refusals: tuple[str, ...]
    curl: str


@dataclass(frozen=True)
class Schema:
    """The structure of an answer or of a part of one. example: as JSON, or empty."""

    name: str
    text: Markup
    fields: tuple[Field, ...]
    example: str


def page(app: FastAPI) -> Callable[[], Awaitable[HTMLResponse]]:
    """The router with the reference of an application."""

    @cache
    def written() -> str:
        known = Environment(
            autoescape=True,
            loader=FileSystemLoader(Path(__file__).parent),
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=StrictUndefined,
        )
        about = app.openapi()
        schemas = about["components"]["schemas"]
        forms = {_name(body["schema"]) for _, _, said in _all(about) for body in _bodies(said).values()}
        return known.get_template(TEMPLATE).render(
            about=about["info"],
            operations=[_operation(*each, schemas) for each in _all(about)],
            schemas=[_schema(name, schema) for name, schema in sorted(schemas.items()) if name not in forms],
            reasons=REASONS,
        )

    async def docs() -> HTMLResponse:
        """The reference, as a page."""
        return HTMLResponse(written())

    return docs


def _all(about: Described) -> Iterator[tuple[str, str, Described]]:
    for path, methods in about["paths"].items():
        for method, said in methods.items():
            yield method.upper(), path, said


def _bodies(said: Described) -> Described:
    content: Described = said.get("requestBody", {}).get("content", {})
    return content


def _operation(method: str, path: str, said: Described, schemas: dict[str, Described]) -> Operation:
    fields = [
        Field(each["name"], _kind(each["schema"]), each.get("required", False), _text(each.get("description", "")))
        for each in said.get("parameters", ())
        if "$ref" not in each  # X-Request-Id, which every operation has
    ]
    bodies = _bodies(said)
    form = schemas[_name(next(iter(bodies.values()))["schema"])] if bodies else {}
    answers = [
        (status, Markup(" or ").join(_answer(kind, content) for kind, content in found["content"].items()))
        for status, found in said["responses"].items()
        if int(status) < 400 and "content" in found
    ]
    return Operation(
        said["operationId"],
        method,
        path,
        _text(said.get("description", "")),
        (*fields, *_fields(form)),
        tuple(bodies),
        tuple(answers),
        tuple(status for status in said["responses"] if int(status) >= 400),
        _curl(method, path, (form.get("examples") or [{}])[0]),
    )


def _answer(media_type: str, content: Described) -> Markup:
    return _kind(content["schema"]) if media_type == "application/json" else escape(media_type)


def _curl(method: str, path: str, example: Described) -> str:
    words = [f"-X {method}"] if method not in ("GET", "POST") else []
    for name, value in example.items():
        words += [f"-F {name}={each}" for each in (value if isinstance(value, list) else [value])]
    return " ".join(["curl", *words, f"localhost:8000{path}"])


def _schema(name: str, schema: Described) -> Schema:
    example = schema.get("examples")
    written = json.dumps(example[0], indent=2, ensure_ascii=False) if example else ""
    return Schema(name, _text(schema.get("description", "")), tuple(_fields(schema)), written)


def _fields(schema: Described) -> Iterator[Field]:
    for name, said in schema.get("properties", {}).items():
        yield Field(name, _kind(said), name in schema.get("required", ()), _text(said.get("description", "")))


def _kind(schema: Described) -> Markup:
    """The type of a value, in words."""
    if "$ref" in schema:
        return Markup('<a href="#{0}">{0}</a>').format(_name(schema))
    if "anyOf" in schema:
        return Markup(" or ").join(_kind(each) for each in schema["anyOf"])
    if schema.get("type") == "array":
        return Markup("list of {}").format(_kind(schema.get("items") or schema["prefixItems"][0]))
    if isinstance(schema.get("additionalProperties"), dict):
        return Markup("object of {}").format(_kind(schema["additionalProperties"]))
    return escape("file" if schema.get("format") == "binary" else schema.get("type", "any"))


def _name(schema: Described) -> str:
    return str(schema["$ref"]).rpartition("/")[2]


def _text(text: str) -> Markup:
    """The text as HTML, with everything between backticks as code."""
    pieces = CODE.split(" ".join(text.split()))
    return Markup().join(
        Markup("<code>{}</code>").format(piece) if place % 2 else escape(piece) for place, piece in enumerate(pieces)
    )
