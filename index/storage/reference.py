"""The reference galleries: vectors of known paintings, shipped with each model, for users without an index.

    reference/base/, reference/small/
      manifest.json        as that of any generation (generations.py), and manifest.sha256
      paintings.parquet    its one segment; the images are not shipped, and so have no path
      paintings.npy        its vectors in float16, half the size

They are never written to; make_reference.py creates them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...embedder.runtime import DEFAULT_MODEL, MODELS, SHIPPED, Embedder, default_model, model_file
from ...errors import BadIndex
from . import generations
from .generations import Generation
from .manifest import manifest_sha256_of

NAME = "the reference gallery"
FOLDER = Path(__file__).parents[1] / "reference"


@dataclass(frozen=True)
class Reference:
    """The reference gallery of a shipped model, as the source of an index. model: its name."""

    model: str = DEFAULT_MODEL.stem

    def read(self) -> Generation:
        """The gallery as a generation. Raises BadIndex if it is damaged."""
        folder = FOLDER / self.model
        try:
            return generations.read_generation(folder, manifest_sha256_of(folder) or "", model_file(self.model))
        except FileNotFoundError as problem:
            raise BadIndex(
                f"{problem.filename}: missing: {NAME} is not installed; reinstall artidx, or name your own index"
            ) from None
        except BadIndex as problem:
            raise BadIndex(f"{str(problem).partition(';')[0]}; reinstall artidx") from None


def reference_for(embedder: Embedder | None) -> Reference:
    """The gallery of this model, without one of the default model; base has to do for a model that has none."""
    if embedder is None:
        path = default_model()
        name = path.stem if path.parent == MODELS else ""
    else:
        name = embedder.name
    return Reference(name) if name in SHIPPED else Reference()
