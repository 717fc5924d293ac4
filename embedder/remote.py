"""Images and tables in object storage and on the web, read through fsspec: s3://, gs://, abfs://, https://.

Only addresses below the prefixes that the user has allowed are read, no redirection is followed, and every read is
bounded in bytes and time. Credentials are those that the storage's own library finds in the environment. Web servers
are asked with restraint (web.py). An error of one object is that image's problem; storage that cannot be reached, or
refuses us, stops the run, since every further image would have the same problem.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from ..errors import BadSetting, MissingPackage, UnreadableImage
from . import fetched
from .web import FRESH_S, Web, unreachable

NOT_PLAIN = re.compile(r"/\.{1,2}(/|$)|[\x00-\x1f\x7f]")
NOT_PLAIN_ON_THE_WEB = re.compile(r"/\.{1,2}(/|\?|#|$)|%2e|[\\\s\x00-\x1f\x7f]", re.IGNORECASE)
KINDS = {"s3": "s3fs", "gs": "gcsfs", "abfs": "adlfs", "https": "aiohttp"}  # scheme -> the package that it needs
READ_S = 60.0  # an object
LIST_S = 3600.0  # the names of about ten million objects
CONNECT_S = 10.0
TRIES = 3
S3 = {
    "connect_timeout": CONNECT_S,
    "read_timeout": READ_S / TRIES,
    "retries": {"total_max_attempts": TRIES, "mode": "standard"},
}
OPTIONS: dict[str, dict[str, Any]] = {"s3": {"config_kwargs": S3}, "https": {"encoded": True}}


def is_remote(location: str) -> bool:
    """Whether a location is not on this machine."""
    return location.partition("://")[0] in KINDS and "://" in location


class Remote:
    """Reads objects below allowed prefixes. Safe to share between threads."""

    def __init__(self, allowed: Sequence[str] = ()) -> None:
        """allowed: such as s3://bucket/scans. Raises BadSetting for what is no such prefix."""
        self.allowed = tuple(_checked_prefix(prefix) for prefix in allowed)
        self._web = Web(lambda: self._system("https"))

    def read(self, location: str, limit: int, seconds: float = READ_S, fresh_s: float = FRESH_S) -> bytes:
        """The bytes of an object, limit + 1 at most. fresh_s: maximal age of what is cached from the web.

        If nothing is allowed, no server is asked: web objects then come from the cache, however old. Raises
        UnreadableImage; UnreachableStorage.
        """
        kind = location.partition("://")[0]
        if kind == "https" and not self.allowed and (kept := fetched.find(location, limit)):
            return kept.data
        self.check(location)
        if kind == "https":
            return self._web.read(location, limit, seconds, fresh_s)
        system = self._system(kind)
        try:
            return bytes(system.cat_file(location, start=0, end=limit + 1, timeout=seconds))
        except Exception as problem:
            raise _said(location, problem, seconds) from None

    def listing(self, folder: str) -> list[str]:
        """All objects below a folder, in order. Raises UnreachableStorage; BadSetting for the web: it has no lists."""
        self.check(folder)
        kind = folder.partition("://")[0]
        if kind == "https":
            raise BadSetting(f"{folder}: the web cannot list files; give a table of them")
        try:
            return sorted(f"{kind}://{name}" for name in self._system(kind).find(folder, timeout=LIST_S))
        except FileNotFoundError:
            return []
        except Exception as problem:
            raise _said(folder, problem, LIST_S) from None

    def check(self, location: str) -> None:
        """Raises UnreadableImage unless the location lies below an allowed prefix."""
        if (NOT_PLAIN_ON_THE_WEB if location.startswith("https:") else NOT_PLAIN).search(location):
            raise UnreadableImage("not a plain address: it contains .. or a forbidden character")
        if not any(location.startswith(prefix) for prefix in self.allowed):
            raise UnreadableImage(f"not below an allowed prefix; allow it with --allow {_parent(location)}")

    def _system(self, kind: str) -> Any:
        return self._systems[kind] if kind in self._systems else self._systems.setdefault(kind, _opened(kind))

    @cached_property
    def _systems(self) -> dict[str, Any]:
        return {}


def _opened(kind: str) -> Any:
    try:
        fsspec = importlib.import_module("fsspec")
        return fsspec.filesystem(kind, use_listings_cache=False, **OPTIONS.get(kind, {}))
    except ImportError:
        raise MissingPackage(
            f"{kind}:// needs fsspec and {KINDS[kind]}; pip install "
            + ("'artidx[web]'" if kind == "https" else f"'artidx[ray]' {KINDS[kind]}")
        ) from None


def _said(location: str, problem: Exception, seconds: float) -> Exception:
    """The failure of a read as one of our errors."""
    if isinstance(problem, UnreadableImage):
        return problem
    if isinstance(problem, FileNotFoundError):
        return UnreadableImage("no such object")
    if isinstance(problem, TimeoutError) and "Connect" not in type(problem).__name__:
        return UnreadableImage(f"took longer than {seconds:.0f} s to read")
    answer = getattr(problem.__cause__, "response", None)
    code = answer["Error"].get("Code") if isinstance(answer, dict) and "Error" in answer else None
    if code == "AccessDenied":
        return UnreadableImage("the storage refuses it (AccessDenied)")
    if code == "InvalidRange":
        return UnreadableImage("the object is empty")
    return unreachable(location, problem)


def _checked_prefix(prefix: str) -> str:
    if not is_remote(prefix) or not prefix.partition("://")[2].strip("/"):
        raise BadSetting(f"--allow {prefix}: expected such as s3://bucket/folder, with {', '.join(KINDS)}")
    return prefix.rstrip("/") + "/"


def _parent(location: str) -> str:
    kind, _, rest = location.partition("://")
    return f"{kind}://{rest.partition('/')[0]}/"
