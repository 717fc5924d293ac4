"""The paintings of an index on a plane, those that the model sees as alike side by side.

t-SNE (van der Maaten and Hinton, 2008; openTSNE, Poličar et al., 2019) of the vectors' principal components. Who is
whose neighbour is true there, how far apart two groups lie is not. Needs artidx[serve]. `python -m artidx.index.map
GENERATION SHA256 FILE.npy` draws one aside, so that a service goes on answering meanwhile.
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from pathlib import Path

import numpy as np

from ..errors import ArtidxError, MissingPackage
from .files import write_atomically
from .space import principal_components
from .store import Generation, read_generation
from .surroundings import smallest
from .vectors import Array, Rows

MOST = 20_000  # paintings: a minute of one core, and as many as a browser moves smoothly
COMPONENTS = 50
PERPLEXITY = 30
FEWEST = 12  # paintings; fewer are shown by their two principal components


def places_of(generation: Generation) -> Rows:
    """(m,) the places in the table of the paintings that are drawn: all, or as good as drawn by lot."""
    return smallest(generation.table["vector_sha256"].to_numpy(object), MOST)


def drawn(generation: Generation) -> Array:
    """(m, 2) where the paintings of `places_of` lie, each coordinate from 0 to 1 and in one scale."""
    vectors = generation.vectors.at(places_of(generation))
    if len(vectors) < FEWEST:
        return _fitted(principal_components(vectors, 2)[0].astype(np.float32)) if len(vectors) else vectors[:, :2]
    try:
        from openTSNE import TSNE
    except ModuleNotFoundError:
        raise MissingPackage("the map needs openTSNE; pip install 'artidx[serve]'") from None
    points, _ = principal_components(vectors, COMPONENTS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of few paintings, and of those that are twice there
        found = TSNE(perplexity=min(PERPLEXITY, (len(points) - 1) / 3), n_jobs=1, random_state=0).fit(points)
    return _fitted(np.asarray(found, np.float32))


def _fitted(points: Array) -> Array:
    low, high = points.min(axis=0), points.max(axis=0)
    middle, extent = (low + high) / 2, max(float((high - low).max()), 1e-12)
    fitted: Array = (points - middle) / extent + np.float32(0.5)
    return fitted


def main() -> None:
    """Draw the map of a generation, given its folder, its manifest's sha256 and the file to write."""
    folder, manifest_sha256, target = sys.argv[1:]
    os.nice(10)
    stream = io.BytesIO()
    np.save(stream, drawn(read_generation(Path(folder), manifest_sha256)), allow_pickle=False)
    write_atomically(Path(target), stream.getvalue())


if __name__ == "__main__":
    try:
        main()
    except ArtidxError as problem:
        sys.exit(str(problem))
