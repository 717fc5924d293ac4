"""Paintings apart for training, for choosing and for calibrating: by artist, and within an artist by painting."""

from __future__ import annotations

import hashlib

import pandas as pd

from ..catalog import artist_key

TRAIN, SEEN, UNSEEN = "train", "val_seen", "val_unseen"
UNSEEN_ARTISTS = SEEN_PAINTINGS = 0.1


def splits(table: pd.DataFrame) -> pd.Series[str]:
    """(n,) one of TRAIN, SEEN (other works by training artists) and UNSEEN (other artists) for each painting.

    As its column `split` says; without one, a tenth of the artists and a tenth of the others' paintings are kept
    apart, chosen by a hash of their names and so the same at every run.
    """
    if "split" in table:
        return table["split"].astype(object).fillna("").astype(str)
    found = []
    for painting, artist in zip(table["id"], table["artist"], strict=True):
        key = artist_key(artist) or ""
        if _share(key) < UNSEEN_ARTISTS:
            found.append(UNSEEN)
        else:
            found.append(SEEN if _share(f"{key} {painting}") < SEEN_PAINTINGS else TRAIN)
    return pd.Series(found, index=table.index, dtype=str)


def _share(text: str) -> float:
    """A number in [0, 1) that looks random and depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
