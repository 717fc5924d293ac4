"""Parse and check the fields of a request: names, values, and pictures or ids of paintings.

They come as a form or, if there are only ids, as a JSON object with the same fields.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, BinaryIO, TypeVar, cast

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile

from ..embedder.bounds import Bounds
from .problems import Problem

MAX_TEXT = 4096  # characters of a text field
MAX_NAME = 200
FORM = "multipart/form-data"
JSON = "application/json"
T = TypeVar("T", bound=BaseModel)
MAX_BATCH_BYTES = 1 << 20  # of ids
MAX_JSON_BYTES = 128 << 10  # the longest allowed texts, with every character escaped
CHARSET = re.compile(r"charset\s*\*?=", re.IGNORECASE)  # Python has many codecs, and not all are for text


@dataclass(frozen=True)
class Asked:
    """A painting in a question: the id of one in the index, or an uploaded file."""

    name: str  # the id, or the name of the file
    stream: BinaryIO | None = None
    size_bytes: int = 0


class Form:
    """The fields of a request. is_json: numbers are JSON numbers; in a form they are text."""

    def __init__(self, data: Mapping[str, Any], *, is_json: bool = False) -> None:
        self._data = data
        self._is_json = is_json

    def painting(self, field: str) -> Asked:
        """A file, or an id."""
        value = self._data.get(field)
        if isinstance(value, UploadFile):
            return Asked(_printable(PurePath(value.filename or "").name) or "image", value.file, value.size or 0)
        if not value:
            raise _unusable(field, "missing; send a file, or the id of a painting in the index", "missing-field")
        return Asked(self._as_text(field, value))

    def paintings(self, field: str) -> list[Asked]:
        """Files and ids, in their order."""
        values = self._data.get(field) if self._is_json else cast(FormData, self._data).getlist(field)
        if not isinstance(values, list) or not values:
            raise _unusable(field, "missing; send files, or a list of ids of paintings in the index", "missing-field")
        return [Form({field: value}, is_json=self._is_json).painting(field) for value in values]

    def file(self, field: str) -> Asked:
        """A file."""
        asked = self.painting(field)
        if asked.stream is None:
            raise _unusable(field, "not a file")
        return asked

    def text(self, field: str) -> str | None:
        """None if it is missing or empty."""
        value = self._data.get(field)
        if isinstance(value, UploadFile):
            raise _unusable(field, "a file where text is expected")
        return None if value is None else self._as_text(field, value) or None

    def number(self, field: str, within: Bounds) -> float | None:
        """None if it is missing or empty."""
        given = self._data.get(field) if self._is_json else self.text(field)
        if given is None:
            return None
        value = math.nan
        if not self._is_json or type(given) in (int, float):
            with suppress(ValueError, OverflowError):
                value = float(given)
        if value not in within:
            raise _unusable(field, f"{_printable(str(given))}: must be a number {within}")
        return value

    def count(self, field: str, most: int) -> int | None:
        """None if it is missing or empty."""
        value = self.number(field, Bounds(1, most))
        if value is not None and value != int(value):
            raise _unusable(field, f"{value:g}: must be a whole number")
        return None if value is None else int(value)

    def _as_text(self, field: str, value: Any) -> str:
        if not isinstance(value, str):
            raise _unusable(field, "must be a text")
        return value


@asynccontextmanager
async def form_of(
    request: Request, files: Sequence[str], texts: Sequence[str] = (), *, ids: bool = True, most: int = 1
) -> AsyncIterator[Form]:
    """The fields of a request; its files exist while this context is open.

    files: fields that may be files, or with ids also ids, and how many of each; texts: the others. Raises Problem.
    """
    kind = _media_type(request)
    if kind == JSON and ids:
        fields = await _json_of(request, MAX_JSON_BYTES if most == 1 else MAX_BATCH_BYTES)
        if too_many := [name for name in files if isinstance(fields.get(name), list) and len(fields[name]) > most]:
            raise _unusable(too_many[0], f"more than {most}" if most > 1 else "must be one text")
        _check_names(list(fields), (*files, *texts))
        yield Form(fields, is_json=True)
        return
    if kind != FORM:
        raise Problem(415, "no-form", f"send the fields as {FORM}{f', or ids as {JSON}' if ids else ''}")
    if CHARSET.search(request.headers["content-type"]):
        raise Problem(415, "no-form", "send the fields in UTF-8, and leave out the charset")
    paintings = most * len(files)
    async with request.form(max_files=paintings, max_fields=paintings + len(texts), max_part_size=MAX_TEXT) as data:
        names = Counter(name for name, _ in data.multi_items())
        if too_many := [name for name in files if names[name] > most > 1]:
            raise _unusable(too_many[0], f"more than {most}")
        _check_names([*(names if most > 1 else names.elements())], (*files, *texts))
        yield Form(data)


async def body_of(request: Request, kind: type[T]) -> T:
    """A body that must be a JSON object of this type (`described_json`). Raises Problem."""
    if _media_type(request) != JSON:
        raise Problem(415, "no-json", f"send {JSON}")
    try:
        return kind.model_validate(await _json_of(request), strict=True)
    except ValidationError as error:
        raise invalid(error.errors()[0]) from None


def invalid(error: Mapping[str, Any]) -> Problem:
    """The problem for a value that pydantic refuses."""
    where = ".".join(str(part) for part in error["loc"])
    return _unusable(where, error["msg"], "missing-field" if error["type"] == "missing" else "bad-setting")


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _check_names(names: Sequence[str], known: Sequence[str]) -> None:
    """Raises Problem for an unknown field, and for one that is sent twice."""
    if strange := [name for name in names if name not in known]:
        raise _unusable(strange[0], f"no such field; there are {', '.join(known)}", "unknown-field")
    if again := [name for name in names if names.count(name) > 1]:
        raise _unusable(again[0], "sent more than once")


async def _json_of(request: Request, most_bytes: int = MAX_JSON_BYTES) -> dict[str, Any]:
    """The fields of a JSON object. Raises Problem."""
    data = b""
    async for piece in request.stream():
        data += piece
        if len(data) > most_bytes:
            raise Problem(413, "too-large", f"over {most_bytes >> 10} kB of JSON; files are sent as {FORM}")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) < len(pairs):
            raise ValueError("a field occurs twice")
        return fields

    try:
        fields = json.loads(data.decode(), object_pairs_hook=once)
        json.dumps(fields, ensure_ascii=False, allow_nan=False).encode()  # neither lone surrogates nor NaN
    except (ValueError, RecursionError):
        raise Problem(400, "bad-request", "not JSON in UTF-8 with each field once") from None
    if not isinstance(fields, dict):
        raise Problem(422, "bad-setting", "not an object; send one with the fields")
    if too_long := [name for name, value in fields.items() if isinstance(value, str) and len(value) > MAX_TEXT]:
        raise _unusable(too_long[0], f"over {MAX_TEXT} characters")
    return fields


def described(
    name: str,
    files: dict[str, str],
    texts: dict[str, tuple[dict[str, Any], str]],
    *,
    ids: bool = True,
    most: int = 1,
    example: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The fields for OpenAPI: the description of each file, and whether an id is allowed; schema and description of
    each text.

    most: how many files and ids each may have, in a list; name: of the schemas (description.py), one for the form, and
    with ids one for JSON.
    """
    binary = {"type": "string", "format": "binary", "description": "An image: JPEG, PNG, WebP, TIFF, GIF or BMP."}
    by_id = {"type": "string", "minLength": 1, "description": "The id of a painting in the index."}
    either = {"anyOf": [binary, by_id]} if ids else binary
    others = {field: {**schema, "description": what} for field, (schema, what) in texts.items()}

    def content(title: str, painting: dict[str, Any]) -> dict[str, Any]:
        if most > 1:
            painting = {"type": "array", "items": painting, "minItems": 1, "maxItems": most}
        schema = {
            "title": title,
            "type": "object",
            "properties": {field: {**painting, "description": what} for field, what in files.items()} | others,
            "additionalProperties": False,
            "required": list(files),
        }
        return {"schema": schema | ({"examples": [example]} if example else {})}

    bodies = {FORM: content(f"{name}Form", either)} | ({JSON: content(f"{name}Json", by_id)} if ids else {})
    return {"requestBody": {"required": True, "content": bodies}}


def described_json(kind: type[BaseModel]) -> dict[str, Any]:
    """A body of `body_of` for OpenAPI."""
    return {"requestBody": {"required": True, "content": {JSON: {"schema": kind.model_json_schema()}}}}


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text).strip()[:MAX_NAME]


def _unusable(field: str, why: str, name: str = "bad-setting") -> Problem:
    return Problem(422, name, f"{_printable(field)}: {why}")
