"""An answer as JSON, as on the command line but for one thing: where files lie on the server is nobody's business.

Of the path of a painting's image the file's own name is told, and it is empty where the index has none.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from fastapi import Response

from ..as_json import as_json, members_of
from ..index.opened import Index
from ..index.storage.vector_store import Painting


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """The response that holds a value of the index's or of the service's."""
    return Response(as_json(value, _told), status, headers, "application/json")


def etag_of(index: Index) -> dict[str, str]:
    """The header by which a change says what it was meant for: the generation."""
    return {"etag": f'"{index.manifest.generation}"'}


def _told(value: Any) -> Any:
    members = members_of(value)
    if isinstance(value, Painting):
        members["path"] = PurePath(value.path.rpartition("::")[2]).name  # of an archive's member, too
    return members
