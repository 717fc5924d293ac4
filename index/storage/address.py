"""Where a server keeps a copy of an index: what every address says, whatever the server is.

An address is data, and imports nothing of what speaks to the server: that is chosen in addresses.py.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar


class Address(ABC):
    """Of an index on a server. Its text, as a user writes it, is `str(address)`; it holds no secret.

    environment: variables that are read to connect.
    """

    environment: ClassVar[tuple[str, ...]]

    @property
    @abstractmethod
    def name(self) -> str:
        """What the index is called there."""
