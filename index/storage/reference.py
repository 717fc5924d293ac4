"""The reference gallery: the vectors of known paintings, shipped beside the model, for who has no index yet.

    reference/
      manifest.json        as that of any generation (generations.py), and manifest.sha256
      paintings.parquet    its one segment; the images are not shipped, and so have no path
      paintings.npy        its vectors in float16, half the size

It is read, never written to; make_reference.py makes it.
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
    """The gallery as an index' generation. Raises BadIndex where it is not as it was made."""
    try:
        return generations.read_generation(folder, manifest_sha256_of(folder) or "", DEFAULT_MODEL)
    except FileNotFoundError as problem:
        raise BadIndex(
            f"{problem.filename}: missing: {NAME} is not installed; reinstall artidx, or name your own index"
        ) from None
    except BadIndex as problem:
        raise BadIndex(f"{str(problem).partition(';')[0]}; reinstall artidx") from None
