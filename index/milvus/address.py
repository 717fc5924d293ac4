"""The address of an index in Milvus: `milvus+http://host:19530/collection`, with https for TLS.

It has no credentials: those come from $ARTIDX_MILVUS_TOKEN, since others can read a command line.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from ...errors import BadSetting
from ..storage import address

PREFIX = "milvus+"
TOKEN = "ARTIDX_MILVUS_TOKEN"  # noqa: S105  the name of a variable
PORT = 19530
LONGEST = 200  # characters of a collection's name; Milvus allows 255, and the generation is appended


@dataclass(frozen=True)
class Address(address.Address):
    """The address of a server, and the name of the index there."""

    scheme: str
    host: str
    port: int
    collection: str

    # Variables that are read to connect.
    environment = (TOKEN, "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "grpc_proxy", "http_proxy", "https_proxy", "no_proxy")

    @classmethod
    def of(cls, text: str) -> Address:
        """Parse an address. Raises BadSetting."""
        expected = f"expected milvus+http://HOST:{PORT}/COLLECTION, or milvus+https"
        try:
            found = urlsplit(text.removeprefix(PREFIX))
            host, port = found.hostname, found.port or PORT
        except ValueError:
            raise BadSetting(f"{text}: not an address; {expected}") from None
        if found.username is not None or found.password is not None:
            raise BadSetting(
                f"{PREFIX}{found.scheme}://...@{host}: credentials do not belong in an address; set "
                f"{TOKEN}, to user:password or a key"
            )
        name = found.path.removeprefix("/")
        if found.scheme not in ("http", "https") or not host or found.query or found.fragment:
            raise BadSetting(f"{text}: not an address; {expected}")
        if not re.fullmatch(rf"[A-Za-z_][A-Za-z0-9_]{{0,{LONGEST - 1}}}", name):
            raise BadSetting(
                f"{text}: {name!r} cannot be a collection's name: letters, digits and _, no digit first, "
                f"{LONGEST} at most"
            )
        return cls(found.scheme, host, port, name)

    @property
    def name(self) -> str:
        return self.collection

    @property
    def server(self) -> str:
        """The address without the collection."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    def __str__(self) -> str:
        return f"{PREFIX}{self.server}/{self.collection}"


def is_address(text: str | os.PathLike[str]) -> bool:
    """Whether this is a collection in Milvus, not a file."""
    return isinstance(text, str) and text.startswith(PREFIX)
