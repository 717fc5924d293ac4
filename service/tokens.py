"""Bearer tokens for reading and writing, compared in constant time.

Two may come from the environment, without names; any number from a TOML file, which is read again when it changes, so
that tokens can be added, revoked or replaced without a restart.

    [anna]
    token = "at least 16 characters that nobody can guess"
    rights = "write"        # or "read"
"""

from __future__ import annotations

import hmac
import logging
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from ..errors import BadSetting
from ..files import open_plain
from .settings import ServiceSettings

SHORTEST = 16  # characters of a token in a file
MAX_FILE_BYTES = 1 << 20
NAME = re.compile(r"[\w.@-]{1,64}")
RIGHTS = {"read": False, "write": True}
log = logging.getLogger("artidx.service")


@dataclass(frozen=True)
class Token:
    """A token. name: of its holder, for the log; None for those of the environment."""

    value: str
    may_write: bool
    name: str | None = None


class Tokens:
    """The tokens that are valid now."""

    def __init__(self, settings: ServiceSettings) -> None:
        """Raises BadSetting for a file without tokens."""
        given = ((settings.read_token, False), (settings.write_token, True))
        self._fixed = tuple(Token(value, may_write) for value, may_write in given if value)
        self._file = settings.token_file
        self._seen = self._mark()
        self._read = () if self._file is None else read_tokens(self._file)

    def find(self, given: str) -> Token | None:
        """The token with this secret. All are compared, so that the time reveals nothing."""
        matches = [
            token
            for token in (*self._fixed, *self._of_file())
            if hmac.compare_digest(given.encode(), token.value.encode())
        ]
        return max(matches, key=lambda token: token.may_write, default=None)

    def _of_file(self) -> tuple[Token, ...]:
        """The tokens in the file now; if it is not usable, those from before."""
        mark = self._mark()
        if self._file is not None and mark != self._seen:
            self._seen = mark
            try:
                self._read = read_tokens(self._file)
                log.info("the file of tokens has changed: %d now", len(self._read))
            except BadSetting as problem:
                log.error("the previous tokens stay valid: %s", problem)
        return self._read

    def _mark(self) -> tuple[int, ...]:
        try:
            found = self._file.stat() if self._file else None
        except OSError:
            found = None
        return (found.st_mtime_ns, found.st_size, found.st_ino) if found else ()


def read_tokens(path: Path) -> tuple[Token, ...]:
    """The tokens of a file. Raises BadSetting."""
    try:
        with open_plain(path) as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise ValueError(f"over {MAX_FILE_BYTES >> 20} MB")
        found = tuple(_token(name, said) for name, said in tomllib.loads(data.decode()).items())
        if len({token.value for token in found}) < len(found):
            raise ValueError("two names have the same token")
    except (OSError, ValueError, RecursionError) as problem:
        raise BadSetting(f"{path}: not a file of tokens: {getattr(problem, 'strerror', None) or problem}") from None
    return found


def _token(name: str, said: object) -> Token:
    if not NAME.fullmatch(name):
        raise ValueError(f"{name[:64]!r} must be a name of letters, digits, . _ @ and -")
    value, rights = (said.get("token"), said.get("rights")) if isinstance(said, dict) else (None, None)
    if not isinstance(value, str) or len(value) < SHORTEST or not value.isascii() or not value.isprintable():
        raise ValueError(f"[{name}] needs a token of at least {SHORTEST} ASCII characters")
    if rights not in RIGHTS:
        raise ValueError(f'[{name}] needs rights = "read" or "write"')
    return Token(value, RIGHTS[rights], name)
