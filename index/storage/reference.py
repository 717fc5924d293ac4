"""The reference gallery: vectors of known paintings, shipped with the model, for users without an index.

    reference/
      manifest.json        as that of any generation (generations.py), and manifest.sha256
      paintings.parquet    its one segment; the images are not shipped, and so have no path
      paintings.npy        its vectors in float16, half the size

It is never written to; make_reference.py creates it.
"""

from __future__ import annotations

from pathlib import Path

from ...embedder.runtime import DEFAULT_MODEL
from ...errors import BadIndex
from . import generations
from .generations import Generation
from .manifest import manifest_sha256_of

NAME = "the reference gallery"
FOLDER = Path(__file__).parents[1] / "reference"


def read(folder: Path = FOLDER) -> Generation:
    """The gallery as a generation. Raises BadIndex if it is damaged."""
    try:
        return generations.read_generation(folder, manifest_sha256_of(folder) or "", DEFAULT_MODEL)
    except FileNotFoundError as problem:
        raise BadIndex(
            f"{problem.filename}: missing: {NAME} is not installed; reinstall artidx, or name your own index"
        ) from None
    except BadIndex as problem:
        raise BadIndex(f"{str(problem).partition(';')[0]}; reinstall artidx") from None
