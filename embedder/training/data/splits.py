"""Split paintings for training and validation: by artist, and within an artist by painting."""

from __future__ import annotations

import hashlib

import pandas as pd

from ....errors import BadCatalog
from ...catalogs.catalog import artist_key

TRAIN, SEEN, UNSEEN = "train", "val_seen", "val_unseen"
UNSEEN_ARTISTS = SEEN_PAINTINGS = 0.1


def splits(table: pd.DataFrame) -> pd.Series[str]:
    """(n,) one of TRAIN, SEEN (other works by training artists) and UNSEEN (other artists) for each painting.

    As the column `split` says; without one, a tenth of the artists and a tenth of the other artists' paintings are held
    out, chosen by a hash of their names and so the same in every run. Paintings without an artist are in no split, nor
    are the test paintings of Painter by Numbers (its column `in_train` is false).
    """
    if "split" in table:
        return table["split"].astype(object).fillna("").astype(str)
    is_test = table["in_train"].astype(str).str.lower() == "false" if "in_train" in table else [False] * len(table)
    found = []
    for painting, artist, is_kept_out in zip(table["id"], table["artist"], is_test, strict=True):
        key = artist_key(artist)
        if key is None or is_kept_out:
            found.append("")
        elif _share(key) < UNSEEN_ARTISTS:
            found.append(UNSEEN)
        else:
            found.append(SEEN if _share(f"{key} {painting}") < SEEN_PAINTINGS else TRAIN)
    return pd.Series(found, index=table.index, dtype=str)


def trained_on(table: pd.DataFrame) -> list[str]:
    """The splits of a table that are trained on: TRAIN, and others whose names begin with it, such as train_away."""
    return [TRAIN, *sorted({name for name in table["split"] if name.startswith(TRAIN)} - {TRAIN})]


def held_out_splits(table: pd.DataFrame) -> list[str]:
    """The held-out splits of a table, in order."""
    return sorted({name for name in table["split"] if name and not name.startswith(TRAIN)})


def check_splits(table: pd.DataFrame) -> None:
    """Raises BadCatalog unless the table's split UNSEEN has pairs to calibrate on, and SEEN has paintings by artists of
    TRAIN."""
    of = {split: [artist_key(a) for a in table["artist"][table["split"] == split]] for split in (TRAIN, SEEN, UNSEEN)}
    counts = pd.Series([key for key in of[UNSEEN] if key]).value_counts()
    if len(counts) < 2 or counts.iloc[0] < 2:
        raise BadCatalog(
            f"training holds out some artists to calibrate on ({UNSEEN}): it needs two or more, one of "
            f"them with two paintings; there are {len(counts)}"
        )
    if not {*of[TRAIN]} & {*of[SEEN]} - {None}:
        raise BadCatalog(f"training holds out other paintings by its artists ({SEEN}): there are none")


def labels_sha256(table: pd.DataFrame) -> str:
    """Of the ids, artists and splits of a catalog's table: a run resumes only with the same labels."""
    return hashlib.sha256(table[["id", "artist", "split"]].to_csv(index=False).encode()).hexdigest()


def _share(text: str) -> float:
    """A pseudo-random number in [0, 1) that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
