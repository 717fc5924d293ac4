"""Where a server keeps a copy of an index: what every address can do, whatever the server is.

Reading an address imports nothing of what speaks to the server; that waits until it is asked.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from ...embedder.parallel import Bar
    from .generations import Generation
    from .pushed import Pushed, Spread
    from .vector_store import VectorStore


class Address(ABC):
    """Of an index on a server. Its text, as a user writes it, is `str(address)`; it holds no secret.

    environment: variables that are read to connect. What asks the server raises BadIndex, IndexAway where none answers
    or it does not know us, and MissingPackage.
    """

    environment: ClassVar[tuple[str, ...]]

    @property
    @abstractmethod
    def name(self) -> str:
        """What the index is called there."""

    @abstractmethod
    def open(self) -> VectorStore:
        """The generation that answers there."""

    @abstractmethod
    def published_sha256(self) -> str:
        """The beginning of the sha256 of the manifest of the generation that answers there."""

    @abstractmethod
    def check(self) -> None:
        """Whether a copy could be made there, as far as can be known at once."""

    @abstractmethod
    def push(self, index: Path, bar: Bar, spread: Spread) -> Pushed:
        """Copy the generation that is published in a folder, which then answers there. spread: who writes it."""

    @abstractmethod
    def writer(self, generation: Generation) -> Callable[[range], None]:
        """What writes the paintings at some places of a generation, once a push has made a table for it."""
