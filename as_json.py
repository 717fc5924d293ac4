"""Answers as JSON, the same on the command line and by the service."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any


def as_json(value: Any, members: Callable[[Any], Any] | None = None) -> str:
    """One line; dataclasses become objects with their fields' names, and NaN and infinity become null.

    A lone surrogate, from a file name that is not UTF-8, is written as an escape. members: replaces `members_of` for
    values that json does not know.
    """
    members = members or members_of
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=members)
    except ValueError:  # it contains NaN or infinity
        text = json.dumps(_without_nan(value, members), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace").decode()


def members_of(value: Any) -> Any:
    """Values that json does not know: a dataclass as its fields, a path as text."""
    if names := _fields(value.__class__):
        return {name: getattr(value, name) for name in names}
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON")


def _without_nan(value: Any, members: Callable[[Any], Any]) -> Any:
    if isinstance(value, float):
        return value if value == value else None
    if isinstance(value, list | tuple):
        return [_without_nan(item, members) for item in value]
    if isinstance(value, dict):
        return {key: _without_nan(item, members) for key, item in value.items()}
    return value if isinstance(value, str | int | None) else _without_nan(members(value), members)


@lru_cache(maxsize=256)
def _fields(kind: type) -> tuple[str, ...]:
    """The fields of a dataclass; none for other types."""
    return tuple(field.name for field in dataclasses.fields(kind)) if dataclasses.is_dataclass(kind) else ()
