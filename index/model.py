"""The model of an index, loaded once, when an image must first be embedded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Lock

from ..embedder.runtime import Embedder


class Model:
    """Shared by an index, filtered views of it, and newer generations with the same model."""

    def __init__(self, device: str | None, embedder: Embedder | None = None) -> None:
        """device: where it runs; with cuda, vectors are searched there, too; embedder: of the caller, already
        loaded."""
        self.device = device
        self.embedder = embedder  # the loaded one, if any
        self._lock = Lock()

    def loaded(self, path: Callable[[], Path]) -> Embedder:
        """path: returns the file; called only the first time. Raises what it raises, and BadModel."""
        with self._lock:
            if self.embedder is None:
                self.embedder = Embedder.load(path(), device=self.device)
            return self.embedder
