"""Where an index is kept, and how it is opened: a folder, a copy on a server, or a reference gallery.

Its model is loaded once, when an image must first be embedded.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path
from threading import Lock

from ..embedder.runtime import Embedder, default_device, default_model, read_model
from ..errors import BadIndex, BadModel
from . import addresses
from .addresses import address_of, is_address
from .storage import generations
from .storage.address import Address
from .storage.folder_store import FolderStore
from .storage.reference import NAME, Reference, reference_for
from .storage.vector_store import VectorStore

Source = Path | Address | Reference


def source_of(named: str | os.PathLike[str] | Source | None, embedder: Embedder | None = None) -> Source:
    """The source that a user's text means; None is the reference gallery of the model. Raises BadSetting."""
    if named is None:
        return reference_for(embedder)
    if isinstance(named, Address | Reference):
        return named
    return address_of(str(named)) if is_address(named) else Path(named)


def open_store(source: Source, device: str | None, before: VectorStore | None = None) -> VectorStore:
    """The store of the generation that is published there now. Raises BadIndex.

    before: a store opened earlier, from which unchanged parts are reused.
    """
    if isinstance(source, Address):
        return addresses.open_copy(source)
    opened = before.generation if isinstance(before, FolderStore) else None
    generation = source.read() if isinstance(source, Reference) else generations.read(source, opened)
    if device == "cuda":
        generation = dataclasses.replace(generation, vectors=generation.vectors.on_gpus())
    return FolderStore(generation, NAME if isinstance(source, Reference) else str(source))


def published(source: Source) -> str | None:
    """The beginning of the sha256 of the manifest that is published there now; None for a source that never changes."""
    if isinstance(source, Address):
        return addresses.published_sha256(source)
    return None if isinstance(source, Reference) else generations.current(source)[1]


class Model:
    """The model that made an index's vectors, shared with filtered views of it and newer generations of the same
    model."""

    def __init__(self, device: str | None, embedder: Embedder | None = None) -> None:
        """device: where it runs; with cuda, vectors are searched there, too; embedder: of the caller, already
        loaded."""
        self.device = device
        self.embedder = embedder  # the loaded one, if any
        self._lock = Lock()

    def loaded(self, source: Source, opened: VectorStore) -> Embedder:
        """The model of an opened generation. Raises BadModel if its file is not available.

        The file is the index's own copy; a server keeps none, so there it is the default model, or none.
        """
        with self._lock:
            if self.embedder is None:
                path = _model_path(source, opened)
                data = read_model(path) if path.is_file() else b""
                if hashlib.sha256(data).hexdigest() != opened.manifest.model.sha256:
                    raise _not_its_model(path, opened)
                self.embedder = Embedder(data, str(path), self.device or default_device())
            return self.embedder


def _model_path(source: Source, opened: VectorStore) -> Path:
    if not isinstance(opened, FolderStore):
        return default_model()
    path = opened.generation.model_path
    if isinstance(source, Path) and not path.is_file():  # collected: writers are two generations ahead
        path = generations.read(source).model_path
    return path


def _not_its_model(path: Path, opened: VectorStore) -> BadModel:
    if isinstance(opened, FolderStore):
        return BadModel(
            f"{path}: not the model that this index was opened with: damaged, or replaced since; open the "
            f"index again, try artidx check --repair, or restore it from a copy"
        )
    return BadModel(
        f"{opened.name}: built with model {opened.manifest.model.sha256[:12]}, which is not the default one ({path}); "
        f"give it with --model or ARTIDX_MODEL; an index in a folder has it there as model.onnx"
    )


def folder_store(opened: VectorStore) -> FolderStore:
    """The store of a folder. Raises BadIndex for a copy on a server."""
    if not isinstance(opened, FolderStore):
        raise BadIndex(
            f"{opened.name}: a copy of an index in a folder; change or ask the folder, then copy "
            f"the change here with artidx push"
        )
    return opened
