"""What a settings file may say: the tables of a recipe, each a class beside the recipe, and the one reader of them all.

A setting stands in the key of whatever is kept by it (kept.py), so a changed one never meets older work.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from ...errors import BadSetting


class Settings(BaseModel):
    """One table of a file. Unknown names, numbers out of bounds and infinite ones are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Chosen = TypeVar("Chosen", bound=Settings)


def read_settings(path: Path | None, kind: type[Chosen], instead: Mapping[str, Any] | None = None) -> Chosen:
    """The settings of a recipe from a TOML file, and its own where the file, or None, says nothing.

    instead: what wins over the file. Raises BadSetting, with the name of what is wrong.
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
