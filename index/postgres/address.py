"""The address of an index in PostgreSQL: `postgresql://user@host:5432/database/name`.

It has no password: libpq takes that from PGPASSWORD or ~/.pgpass, and the settings of TLS from PGSSLMODE and
PGSSLROOTCERT. libpq has defaults for missing parts of an address.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from ...errors import BadSetting
from ..storage import address

PREFIXES = ("postgresql://", "postgres://")
LONGEST = 24  # characters of a name: PostgreSQL allows 63 for a table, and the generation is appended


@dataclass(frozen=True)
class Address(address.Address):
    """A database, and the name of the index there. None stands for libpq's default."""

    host: str | None
    port: int | None
    user: str | None
    database: str
    table: str

    # Variables that libpq reads to connect.
    environment = (
        "PGHOST",
        "PGPORT",
        "PGUSER",
        "PGPASSWORD",
        "PGPASSFILE",
        "PGSSLMODE",
        "PGSSLROOTCERT",
        "PGSSLCERT",
        "PGSSLKEY",
        "PGCHANNELBINDING",
        "PGREQUIREAUTH",
    )

    @classmethod
    def of(cls, text: str) -> Address:
        """Parse an address. Raises BadSetting."""
        expected = "expected postgresql://USER@HOST:5432/DATABASE/NAME"
        try:
            found = urlsplit(text)
            host, port = found.hostname, found.port
        except ValueError:
            raise BadSetting(f"{text}: not an address; {expected}") from None
        if found.password is not None:
            raise BadSetting(
                f"postgresql://{found.username}:...@{host}: a password does not belong in an address; set PGPASSWORD, "
                f"or write it into ~/.pgpass"
            )
        if found.query or found.fragment:
            raise BadSetting(f"{text}: nothing may follow the name; TLS is set by PGSSLMODE and PGSSLROOTCERT")
        database, slash, name = found.path.removeprefix("/").partition("/")
        texts = [unquote(part) for part in (found.username or "", host or "", database)]
        if not database or not slash or "\0" in "".join(texts):
            raise BadSetting(f"{text!r}: not an address; {expected}")
        if not re.fullmatch(rf"[a-z_][a-z0-9_]{{0,{LONGEST - 1}}}", name):
            raise BadSetting(
                f"{text}: {name!r} cannot be an index's name there: small letters, digits and _, no digit first, "
                f"{LONGEST} at most"
            )
        return cls(texts[1] or None, port, texts[0] or None, texts[2], name)

    @property
    def name(self) -> str:
        return self.table

    def __str__(self) -> str:
        host = f"[{self.host}]" if self.host and ":" in self.host else quote(self.host or "")
        user = "" if self.user is None else f"{quote(self.user, safe='')}@"
        port = "" if self.port is None else f":{self.port}"
        return f"postgresql://{user}{host}{port}/{quote(self.database, safe='')}/{self.table}"


def is_address(text: str | os.PathLike[str]) -> bool:
    """Whether this is an index in PostgreSQL, not a file."""
    return isinstance(text, str) and text.startswith(PREFIXES)
