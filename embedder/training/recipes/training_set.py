"""The training and validation set of members: the packed paintings of some splits, with their artists as codes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from ....errors import BadCatalog
from ... import kept
from ...catalogs.catalog import artist_key
from ...parallel import Bar
from ..data.packed import Packed, pack
from ..data.splits import SEEN, TRAIN, labels_sha256
from ..loop.trainer import Labelled
from .linear import SIZE


class Data(NamedTuple):
    """Paintings to train on and to validate with; artists are codes 0, 1, ... of the training artists.

    digest: of the paintings' files, artists and splits.
    """

    packed: Packed
    training: Labelled
    validation: Labelled
    digest: str


def data_of(
    table: pd.DataFrame, work: Path, note: Callable[[str], None], bar: Bar, learn: Sequence[str] = (TRAIN,)
) -> Data:
    """The paintings of these splits by artists with two or more there."""
    with bar(len(table), "packing paintings") as advance:
        packed = pack(table, work, SIZE, advance)
    if skipped := int((~packed.is_read).sum()):
        note(f"{skipped:,} paintings cannot be read; listed in {work / f'packed-{SIZE}' / 'skipped.csv'}")
    keys = pd.Series([artist_key(name) for name in table["artist"]], dtype=object)
    split = table["split"].to_numpy(str)
    is_training = packed.is_read & np.isin(split, [*learn])
    counts = keys[is_training].value_counts()
    artists = sorted(counts.index[counts > 1])
    if len(artists) < 2:
        raise BadCatalog("training needs two artists or more with two paintings each")
    codes = pd.Index(artists).get_indexer_for(keys).astype(np.int64)  # -1: another artist, or none

    def labelled(chosen: npt.NDArray[np.bool_]) -> Labelled:
        places = np.flatnonzero(chosen & (codes >= 0))
        return Labelled(packed, places, codes[places])

    validation = labelled(packed.is_read & (split == SEEN))
    if not len(validation.places):
        raise BadCatalog(
            f"no painting in {SEEN} is by an artist with two paintings in {TRAIN}; there is nothing to validate on"
        )
    return Data(packed, labelled(is_training), validation, kept.key_of(packed.digest, labels_sha256(table)))
