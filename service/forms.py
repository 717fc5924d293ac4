"""The fields of a request, read with care: which may be there, what they may hold, pictures or ids of paintings."""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, BinaryIO

from fastapi import Request
from starlette.datastructures import FormData, UploadFile

from ..embedder.bounds import Bounds
from .problems import Problem

MAX_TEXT = 4096  # characters of a field that is no file
MAX_NAME = 200
FORM = "multipart/form-data"
CHARSET = re.compile(r"charset\s*\*?=", re.IGNORECASE)  # Python's are many, and not all are of text


@dataclass(frozen=True)
class Asked:
    """A painting asked about: the id of one in the index, or a file that was sent."""

    name: str  # the id, or what the file was called
    stream: BinaryIO | None = None
    size_bytes: int = 0


class Form:
    """The fields that were sent."""

    def __init__(self, data: FormData) -> None:
        self._data = data

    def painting(self, field: str) -> Asked:
        """A file, or an id."""
        value = self._data.get(field)
        if isinstance(value, UploadFile):
            return Asked(_printable(PurePath(value.filename or "").name) or "image", value.file, value.size or 0)
        if not value:
            raise _unusable(field, "missing; send a file, or the id of a painting in the index")
        return Asked(value)

    def file(self, field: str) -> Asked:
        """A file."""
        asked = self.painting(field)
        if asked.stream is None:
            raise _unusable(field, "not a file")
        return asked

    def text(self, field: str) -> str | None:
        """None where it is missing or empty."""
        value = self._data.get(field)
        if isinstance(value, UploadFile):
            raise _unusable(field, "a file where text is expected")
        return value or None

    def number(self, field: str, within: Bounds) -> float | None:
        """None where it is missing or empty."""
        text = self.text(field)
        if text is None:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if value not in within:
            raise _unusable(field, f"{_printable(text)}: must be a number {within}")
        return value

    def count(self, field: str, most: int) -> int | None:
        """None where it is missing or empty."""
        value = self.number(field, Bounds(1, most))
        if value is not None and value != int(value):
            raise _unusable(field, f"{value:g}: must be a whole number")
        return None if value is None else int(value)


@asynccontextmanager
async def form_of(request: Request, files: Sequence[str], texts: Sequence[str] = ()) -> AsyncIterator[Form]:
    """The form of a request; its files are there as long as this is open.

    files: fields that may be files, or ids in their place; texts: the others. Raises Problem.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != FORM:
        raise Problem(415, "no-form", f"send the fields as {FORM}")
    if CHARSET.search(request.headers["content-type"]):
        raise Problem(415, "no-form", "send the fields in UTF-8, and leave out the charset")
    async with request.form(max_files=len(files), max_fields=len(files) + len(texts), max_part_size=MAX_TEXT) as data:
        names = [name for name, _ in data.multi_items()]
        if strange := [name for name in names if name not in (*files, *texts)]:
            raise _unusable(strange[0], f"no such field; there are {', '.join((*files, *texts))}")
        if again := [name for name in names if names.count(name) > 1]:
            raise _unusable(again[0], "sent more than once")
        yield Form(data)


def described(
    name: str,
    files: dict[str, str],
    texts: dict[str, tuple[dict[str, Any], str]],
    *,
    ids: bool = True,
    example: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The fields for OpenAPI: what each file is, and whether an id will do; the schema and sense of each text.

    name: of their schema (description.py).
    """
    binary = {"type": "string", "format": "binary", "description": "An image: JPEG, PNG, WebP, TIFF, GIF or BMP."}
    by_id = {"type": "string", "minLength": 1, "description": "The id of a painting in the index."}
    properties: dict[str, Any] = {
        name: {"description": what} | ({"anyOf": [binary, by_id]} if ids else binary) for name, what in files.items()
    }
    properties |= {name: {**schema, "description": what} for name, (schema, what) in texts.items()}
    schema = {
        "title": name,
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "required": list(files),
    } | ({"examples": [example]} if example else {})
    return {"requestBody": {"required": True, "content": {FORM: {"schema": schema}}}}


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text).strip()[:MAX_NAME]


def _unusable(field: str, why: str) -> Problem:
    return Problem(422, "bad-setting", f"{_printable(field)}: {why}")
