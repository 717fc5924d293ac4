"""Join inverted lists in a file, and check such a file before FAISS opens it, since an index may come from anywhere.

FAISS itself joins lists in memory, or in files that name others. It reads many kinds of files. Some name other files,
which it then opens for writing; it does not check their numbers against each other or the table. Ours are of one kind,
IVFn,SQ8 over one matrix, in the format of FAISS' index_write.cpp, and all others are refused. Does not check codes:
they only propose neighbours.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...files import open_plain
from ..scoring.vectors import Integers

HEADER = "<iqqqBi"  # dimensions, vectors, two unused numbers, whether it is trained, metric
NO_SIZES = b"sprs" + bytes(8)  # the end of a file of empty lists
PLACES, CODES = 0, 1
INNER_PRODUCT, EIGHT_BITS = 0, 0


def check_lists(path: Path, length: int, dim: int) -> None:
    """Raises ValueError unless the file holds inverted lists over the places 0 to length - 1 of vectors (length, dim),
    and nothing else. Raises OSError where it cannot be read."""
    with open_plain(path) as stream:
        data = np.memmap(stream, mode="r", dtype=np.uint8)
    reader = _Reader(data)
    reader.expect(b"IwSq")
    reader.check_header(length, dim)
    count, _ = reader.numbers("<QQ")  # number of lists; how many to read is in the manifest
    reader.expect(b"IxFI")
    reader.check_header(count, dim)
    reader.skip_floats(count * dim)
    if reader.numbers("<BQ") != (0, 0):
        raise ValueError("a direct map")
    kind, _, _, width, code = reader.numbers("<iifQQ")
    if (kind, width, code) != (EIGHT_BITS, dim, dim):
        raise ValueError("not codes of 8 bits a number")
    reader.skip_floats(2 * dim)
    if reader.numbers("<QB")[0] != code:
        raise ValueError("codes of two lengths")
    reader.expect(b"ilar")
    if reader.numbers("<QQ") != (count, code):
        raise ValueError("other lists than it says")
    reader.check_lists(reader.sizes(count), code, length)


def write_joined(path: Path, head: bytes, parts: Sequence[Any]) -> None:
    """Write one file of the lists of several FAISS indexes, which may be mapped from files: of each list, those of the
    first part, then those of the second, and so on.

    head: the whole index as FAISS writes it without its lists' contents. Raises OSError.
    """
    from faiss.contrib import inspect_tools

    tools: Any = inspect_tools  # which has no types
    sizes = np.sum([tools.get_invlist_sizes(part.invlists) for part in parts], axis=0)
    with path.open("xb") as stream:
        stream.write(head.removesuffix(NO_SIZES))
        stream.write(b"full" + struct.pack("<Q", len(sizes)) + sizes.astype("<i8").tobytes())
        for number in range(len(sizes)):
            for which in CODES, PLACES:
                for part in parts:
                    stream.write(tools.get_invlist(part.invlists, number)[which].tobytes())


class _Reader:
    """A moving position in the bytes of a file; reading past the end raises ValueError."""

    def __init__(self, data: np.memmap[tuple[int], np.dtype[np.uint8]]) -> None:
        self._data, self._at = data, 0

    def expect(self, name: bytes) -> None:
        if self._bytes(len(name)) != name:
            raise ValueError(f"no {name.decode()} where one should be")

    def numbers(self, form: str) -> tuple[int, ...]:
        return struct.unpack(form, self._bytes(struct.calcsize(form)))

    def check_header(self, length: int, dim: int) -> None:
        width, count, _, _, is_trained, metric = self.numbers(HEADER)
        if (width, count, is_trained, metric) != (dim, length, 1, INNER_PRODUCT):
            raise ValueError(f"{count} vectors of {width}, expected {length} of {dim}")

    def skip_floats(self, count: int) -> None:
        if self.numbers("<Q")[0] != count:
            raise ValueError(f"not {count} numbers where they should be")
        self._skip(4 * count)

    def sizes(self, lists: int) -> Integers:
        """(lists,) the length of each; if most are empty, the file has only the others."""
        kind, (many,) = self._bytes(4), self.numbers("<Q")
        found = np.frombuffer(self._bytes(8 * many), "<u8").astype(np.int64)
        if kind == b"full" and many == lists:
            return found
        places, sizes = found[0::2], found[1::2]
        if kind != b"sprs" or many % 2 or not self._are_places(places, lists):
            raise ValueError("lists without lengths")
        whole = np.zeros(lists, np.int64)
        whole[places] = sizes
        return whole

    def check_lists(self, sizes: Integers, code: int, length: int) -> None:
        if (sizes < 0).any() or (sizes > length).any() or sizes.sum() != length:
            raise ValueError("lists of other lengths than there are vectors")
        if self._at + length * (code + 8) != len(self._data):
            raise ValueError("a file of another length than its lists")
        for size in sizes[sizes > 0].tolist():
            self._skip(size * code)
            if not self._are_places(np.frombuffer(self._bytes(8 * size), "<i8"), length):
                raise ValueError("places that no vector has")

    @staticmethod
    def _are_places(places: Integers, length: int) -> bool:
        return bool(((places >= 0) & (places < length)).all())

    def _bytes(self, count: int) -> bytes:
        start = self._at
        self._skip(count)
        return self._data[start : self._at].tobytes()

    def _skip(self, count: int) -> None:
        if not 0 <= count <= len(self._data) - self._at:
            raise ValueError("it is cut")
        self._at += count
