"""Answers as JSON, the same wherever they are given: on the command line and by the service."""

from __future__ import annotations

import dataclasses
import json
from functools import lru_cache
from pathlib import Path
from typing import Any


def as_json(value: Any) -> str:
    """One line; dataclasses become objects with their fields' names, and what is not a number becomes null.

    A lone surrogate, from a file name that is no UTF-8, is written as an escape.
    """
    text = json.dumps(_plain(value), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace").decode()


def _plain(value: Any) -> Any:
    if type(value) in (str, int, bool, type(None)):  # most values: the rest of the questions is not asked
        return value
    if isinstance(value, float):
        return value if value == value else None
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if names := _fields(value.__class__):
        return {name: _plain(getattr(value, name)) for name in names}
    return str(value) if isinstance(value, Path) else value


@lru_cache(maxsize=256)
def _fields(kind: type) -> tuple[str, ...]:
    """Of a dataclass; none of other types."""
    return tuple(field.name for field in dataclasses.fields(kind)) if dataclasses.is_dataclass(kind) else ()
