"""The model of an index, loaded when an image must first be embedded, and once for all who ask the index."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Lock

from ..embedder.runtime import Embedder


class Model:
    """Shared by an index, the parts of it that a filter allows, and its newer generations by the same model."""

    def __init__(self, device: str | None, embedder: Embedder | None = None) -> None:
        """device: where it runs, and on cuda where vectors are searched, too; embedder: of the caller, loaded."""
        self.device = device
        self.embedder = embedder  # the one loaded, if any
        self._lock = Lock()

    def loaded(self, path: Callable[[], Path]) -> Embedder:
        """path: gives the file, and is asked at the first call only. Raises what it raises, and BadModel."""
        with self._lock:
            if self.embedder is None:
                self.embedder = Embedder.load(path(), device=self.device)
            return self.embedder
