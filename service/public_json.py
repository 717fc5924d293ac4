"""A value as JSON, as on the command line, but without the paths of files on the server.

Of the path of a painting's image, only the file name is left; it is empty if the index has none.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from ..as_json import as_json, members_of
from ..index.storage.vector_store import Painting


def public_json(value: Any) -> str:
    """The JSON of a value of the index or of the service."""
    return as_json(value, _members)


def _members(value: Any) -> Any:
    members = members_of(value)
    if isinstance(value, Painting):
        members["path"] = PurePath(value.path.rpartition("::")[2]).name  # also for a member of an archive
    return members
