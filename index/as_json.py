"""Answers as JSON, the same wherever they are given: on the command line and by the service."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any


def as_json(value: Any) -> str:
    """One line; dataclasses become objects with their fields' names, and what is not a number becomes null.

    A lone surrogate, from a file name that is no UTF-8, is written as an escape.
    """
    text = json.dumps(_plain(value), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace").decode()


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, float) and value != value:
        return None
    return str(value) if isinstance(value, Path) else value
