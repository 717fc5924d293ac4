"""Every painting of a catalog as a small RGB square, decoded once and kept on disk, memory-mapped.

Training reads each painting many times, and decoding would cost more than the network. Shards are renamed into place
when they are complete, so a killed run resumes. A painting that cannot be read is left out, with the reason in
skipped.csv.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from ....errors import BadModel, UnreadableImage
from ....files import replacing, write_atomically
from ... import kept
from ...locations import Reader
from ...parallel import ahead
from ...pictures.images import Pixels
from ...runtime import PREPROCESSING, available_cores

SHARD = 512  # paintings; 100 MB at 256 px, seconds of work


class Packed:
    """The squares of a catalog's table. Made by `pack`; `is_read[i]` tells whether row i has one."""

    def __init__(self, shards: Sequence[npt.NDArray[np.uint8]], is_read: npt.NDArray[np.bool_], digest: str) -> None:
        self._shards = shards
        self.is_read = is_read
        self.digest = digest  # of the paintings' files and how they were packed

    def __len__(self) -> int:
        return len(self.is_read)

    def squares(self, rows: Sequence[int] | npt.NDArray[np.int64]) -> Pixels:
        """(len(rows), s, s, 3) uint8, RGB."""
        return np.stack([self._shards[row // SHARD][row % SHARD] for row in rows])

    def __getitem__(self, rows: npt.NDArray[np.int64]) -> Tensor:
        """(len(rows), 3, s, s) uint8 as networks take it, in the memory order that convolutions are fastest in."""
        return torch.from_numpy(self.squares(rows)).permute(0, 3, 1, 2)


def pack(table: pd.DataFrame, folder: Path, size: int, progress: Callable[[int], None] = lambda done: None) -> Packed:
    """Pack a table's paintings, squashed to (size, size), into `folder`; squares that an earlier run has packed are
    reused."""
    folder = folder / f"packed-{size}"
    folder.mkdir(parents=True, exist_ok=True)
    shards: list[npt.NDArray[np.uint8]] = []
    skipped: dict[int, str] = {}
    names = []
    with Reader() as reader:
        for start in range(0, len(table), SHARD):
            rows = table.iloc[start : start + SHARD]
            path = folder / f"{start:07d}-{_digest(rows, size)}.npy"
            if not path.exists():
                _pack_shard(list(rows["path"]), path, size, reader, progress)
            else:
                progress(len(rows))
            skipped |= {start + row: reason for row, reason in json.loads(_reasons(path).read_bytes())}
            names.append(path.name)
            shards.append(np.load(path, mmap_mode="r", allow_pickle=False))
    for path in folder.glob("*.npy"):
        if path.name not in names:  # of files that have changed since
            path.unlink()
            _reasons(path).unlink(missing_ok=True)
    with replacing(folder / "skipped.csv") as aside, aside.open("x", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerow(("path", "reason"))
        csv.writer(stream).writerows((table["path"].iloc[row], reason) for row, reason in skipped.items())
    is_read = np.ones(len(table), bool)
    is_read[list(skipped)] = False
    return Packed(shards, is_read, kept.key_of(names))


def packed_examples(folder: Path, size: int, count: int) -> Pixels:
    """(count or fewer, size, size, 3): squares packed in `folder`. Raises BadModel if there are none."""
    squares: list[Pixels] = []
    for path in sorted((folder / f"packed-{size}").glob("*.npy")):
        found = np.load(path, mmap_mode="r", allow_pickle=False)
        unreadable = {row for row, _ in json.loads(_reasons(path).read_bytes())}
        squares += [found[row] for row in range(len(found)) if row not in unreadable][: count - len(squares)]
        if len(squares) == count:
            break
    if not squares:
        raise BadModel(f"{folder}: holds no packed paintings; artidx train --recipe paper packs them")
    return np.stack(squares)


def _pack_shard(
    locations: Sequence[str], path: Path, size: int, reader: Reader, progress: Callable[[int], None]
) -> None:
    def decoded(location: str) -> Pixels | str:
        try:
            return reader.square(location, size)
        except UnreadableImage as problem:
            return str(problem).removeprefix(f"{location}: ")

    reasons = []
    with replacing(path) as aside:
        with aside.open("xb") as stream:
            shape = (len(locations), size, size, 3)
            np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
            for row, found in enumerate(
                ahead(decoded, locations, workers=available_cores(), most=4 * available_cores())
            ):
                if isinstance(found, str):
                    reasons.append((row, found))
                    found = np.zeros(shape[1:], np.uint8)
                stream.write(found.tobytes())
                progress(1)
        write_atomically(_reasons(path), json.dumps(reasons).encode())  # before the shard, which marks it as complete


def _reasons(path: Path) -> Path:
    """[[row, reason], ...] of the paintings of a shard that could not be read, beside it."""
    return path.with_suffix(".skipped.json")


def _digest(rows: pd.DataFrame, size: int) -> str:
    return kept.key_of(size, PREPROCESSING, kept.libraries(), kept.contents(rows["path"]))[:24]
