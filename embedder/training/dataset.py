"""A catalog's paintings as a torch Dataset, prepared as artidx prepares them for a network.

    DataLoader(CatalogDataset(read_catalog("paintings.csv"), size=224), batch_size=32, num_workers=4)

An item is the square that a model of that size would get, and a number for its artist. Does not augment (augment.py).
"""

from __future__ import annotations

import os

import pandas as pd
import torch
from torch.utils.data import Dataset

from ...errors import BadSetting, UnreadableImage
from ..catalogs.catalog import Catalog, artist_key
from ..locations import Reader
from ..pictures.images import MAX_PIXELS
from ..pictures.preprocessing import Preprocessing
from ..runtime import Embedder

Item = tuple[torch.Tensor, int]


class CatalogDataset(Dataset[Item]):
    """Items are (3, size, size) uint8 tensors, RGB, and the artist's number in `artists`, -1 if there is none.

    An image that cannot be read raises UnreadableImage, which names it: `artidx build` lists such images beforehand.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        size: int | None = None,
        embedder: Embedder | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        """size: of the squares, in px; or an embedder, whose size is taken. Raises BadSetting unless one of them is
        given."""
        if (size is None) == (embedder is None):
            raise BadSetting("give either the size of the squares or an embedder whose size it is")
        try:
            self.preprocessing = embedder.preprocessing if embedder is not None else Preprocessing(size or 0)
        except ValueError as problem:
            raise BadSetting(str(problem)) from None
        self.max_pixels = max_pixels
        self.paths = catalog.table["path"].tolist()
        keys = catalog.table["artist"].map(artist_key).astype(object)
        codes, _ = pd.factorize(keys.where(keys.notna(), None), sort=True)
        self.labels = codes.tolist()
        first = catalog.table["artist"][~pd.Series(codes, index=catalog.table.index).duplicated() & (codes >= 0)]
        self.artists = [name for _, name in sorted(zip((codes[first.index]).tolist(), first, strict=True))]
        self._reader: tuple[int, Reader] | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> Item:
        try:
            with self._opened().open(self.paths[number]) as stream:
                square = self.preprocessing.square(stream, max_pixels=self.max_pixels)  # (size, size, 3)
        except UnreadableImage as problem:
            raise UnreadableImage(f"{self.paths[number]}: {problem}") from None
        return torch.from_numpy(square.copy()).permute(2, 0, 1), self.labels[number]

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_reader": None}

    def _opened(self) -> Reader:
        """A reader of this process: two processes with one open archive would move each other's position in it."""
        if self._reader is None or self._reader[0] != os.getpid():
            self._reader = os.getpid(), Reader(self.max_pixels)
        return self._reader[1]
