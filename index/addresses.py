"""What a user's word for an index on a server means: `milvus+http://...` or `postgresql://...`."""

from __future__ import annotations

import os

from ..errors import BadSetting
from .milvus import address as milvus
from .postgres import address as postgres
from .storage.address import Address

EXPECTED = f"{milvus.PREFIX}http://HOST:{milvus.PORT}/COLLECTION or {postgres.PREFIXES[0]}HOST/DATABASE/NAME"


def is_address(text: str | os.PathLike[str]) -> bool:
    """Whether this means an index on a server, and not a file."""
    return milvus.is_address(text) or postgres.is_address(text)


def address_of(text: str) -> Address:
    """Read an address. Raises BadSetting."""
    if postgres.is_address(text):
        return postgres.Address.of(text)
    if milvus.is_address(text):
        return milvus.Address.of(text)
    raise BadSetting(f"{text}: not an address; expected {EXPECTED}")
