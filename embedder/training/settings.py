"""Settings files: the base class for the tables of a recipe, which are defined with the recipe, and the reader.

A setting is part of the key of results that depend on it (kept.py), so results by other settings are never reused.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from ...errors import BadSetting


class Settings(BaseModel):
    """One table of a file. Unknown names, numbers out of bounds and infinite numbers are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Chosen = TypeVar("Chosen", bound=Settings)


def read_settings(path: Path | None, kind: type[Chosen], instead: Mapping[str, Any] | None = None) -> Chosen:
    """The settings of a recipe from a TOML file; defaults where the file says nothing, or is None.

    instead: overrides the file. Raises BadSetting, with the name of what is wrong.
    """
    where = f"{path}: " if path else ""
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8")) if path else {}
        return kind.model_validate({**said, **(instead or {})})
    except ValidationError as problem:
        first = problem.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise BadSetting(f"{where}{name}{': ' if name else ''}{first['msg']}") from None
    except OSError as problem:
        raise BadSetting(f"{where}cannot be read: {problem.strerror or problem}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise BadSetting(f"{where}not TOML: {problem}") from None
