"""A value as JSON, as on the command line but for one thing: where files lie on the server is nobody's business.

Of the path of a painting's image the file's own name is told, and it is empty where the index has none.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from ..as_json import as_json, members_of
from ..index.storage.vector_store import Painting


def told(value: Any) -> str:
    """The JSON of a value of the index's or of the service's."""
    return as_json(value, _members)


def _members(value: Any) -> Any:
    members = members_of(value)
    if isinstance(value, Painting):
        members["path"] = PurePath(value.path.rpartition("::")[2]).name  # of an archive's member, too
    return members
