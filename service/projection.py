"""A map of an index: its paintings on a plane, with those that are alike to the model close together.

t-SNE (van der Maaten and Hinton, 2008; openTSNE, Poličar et al., 2019) of the vectors' principal components. Neighbours
on the map are neighbours in the index; distances between groups mean nothing. Needs artidx[serve]. A service runs
`python -m artidx.service.projection GENERATION SHA256 FILE.npy`, for a folder or an address of a server, while
it continues to answer.
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from pathlib import Path

import numpy as np

from ..errors import ArtidxError, BadIndex, IndexAway, MissingPackage
from ..files import write_atomically
from ..index.addresses import address_of, is_address
from ..index.measure.space import principal_components
from ..index.scoring.vectors import Array, Integers
from ..index.sources import open_store
from ..index.storage.folder_store import FolderStore
from ..index.storage.generations import read_generation
from ..index.storage.vector_store import SAMPLED, VectorStore
from .aside import AWAY

MOST = SAMPLED  # paintings: as many as a browser can move smoothly
COMPONENTS = 50
PERPLEXITY = 30
FEWEST = 12  # paintings; fewer are shown by their two principal components
CURVE_BITS = 12  # of a coordinate: a cell of the curve is smaller than a picture on the largest map


def drawn(opened: VectorStore) -> Array:
    """(m, 2) positions of a sample of at most MOST paintings, coordinates from 0 to 1 on one scale."""
    vectors = opened.vectors_at(opened.sample(MOST).tolist())
    if len(vectors) < FEWEST:
        return _fitted(principal_components(vectors, 2)[0].astype(np.float32)) if len(vectors) else vectors[:, :2]
    try:
        from openTSNE import TSNE
    except ModuleNotFoundError:
        raise MissingPackage("the map needs openTSNE; pip install 'artidx[serve]'") from None
    points, _ = principal_components(vectors, COMPONENTS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings about few paintings, and about duplicates
        found = TSNE(perplexity=min(PERPLEXITY, (len(points) - 1) / 3), n_jobs=1, random_state=0).fit(points)
    return _fitted(np.asarray(found, np.float32))


def _fitted(points: Array) -> Array:
    low, high = points.min(axis=0), points.max(axis=0)
    middle, extent = (low + high) / 2, max(float((high - low).max()), 1e-12)
    fitted: Array = (points - middle) / extent + np.float32(0.5)
    return fitted


def along_curve(points: Array) -> Integers:
    """(m,) the order of points (m, 2) along a Hilbert curve: those that follow each other lie side by side."""
    side = 1 << CURVE_BITS
    x, y = np.clip(points.T.astype(np.float64) * side, 0, side - 1).astype(np.int64)
    passed, half = np.zeros(len(points), np.int64), side >> 1
    while half:
        right, lower = (x & half) > 0, (y & half) > 0
        passed += half * half * ((3 * right) ^ lower)
        turned = right & ~lower
        x, y = np.where(turned, side - 1 - x, x), np.where(turned, side - 1 - y, y)
        x, y = np.where(lower, x, y), np.where(lower, y, x)
        half >>= 1
    return np.argsort(passed, kind="stable")


def read(path: Path) -> Array:
    """Read (m, 2) points from a file. Raises OSError, ValueError."""
    points: Array = np.load(path, allow_pickle=False)
    if points.ndim != 2 or points.shape[1] != 2 or points.dtype != np.float32:
        raise ValueError(f"{path}: not a map; remove it")
    return points


def main() -> None:
    """Write the map of a generation; arguments: its folder or address, its manifest's sha256 and the file to write."""
    kept_at, manifest_sha256, target = sys.argv[1:]
    if sys.platform != "win32":
        os.nice(10)
    stream = io.BytesIO()
    np.save(stream, drawn(_opened(kept_at, manifest_sha256)), allow_pickle=False)
    write_atomically(Path(target), stream.getvalue())


def _opened(kept_at: str, manifest_sha256: str) -> VectorStore:
    """Raises BadIndex if another generation has been published on the server since."""
    if not is_address(kept_at):
        return FolderStore(read_generation(Path(kept_at), manifest_sha256), kept_at)
    opened = open_store(address_of(kept_at), None)
    if opened.sha256 != manifest_sha256:
        raise BadIndex(f"{kept_at}: another generation was published in the meantime")
    return opened


if __name__ == "__main__":
    try:
        main()
    except IndexAway as problem:
        print(problem, file=sys.stderr)
        sys.exit(AWAY)
    except ArtidxError as problem:
        sys.exit(str(problem))
