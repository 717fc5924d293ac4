"""The vectors of a generation and the one distance between them; the only place that talks to FAISS.

FAISS proposes candidates in float32; every distance that leaves here is then computed anew by `distances`, whose
result does not depend on what else is computed beside it. So pair and nearest agree to the last bit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import BadIndex, MissingPackage

Array = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

MARGIN = 16  # candidates beyond those asked for: float32 rounding may swap neighbours at the edge of the list


def distances(a: Array, b: Array) -> Doubles:
    """1 - cosine of unit vectors, (..., d) against (..., d) broadcast, as float64 in [0, 2].

    Symmetric, and bit-equal for the same two vectors whatever the shapes around them.
    """
    product = np.ascontiguousarray(np.multiply(a, b, dtype=np.float64))
    apart: Doubles = np.clip(1.0 - product.sum(axis=-1), 0.0, 2.0)
    return apart


class Vectors:
    """Unit vectors under stable row numbers: `IndexIDMap2` over `IndexFlatIP`."""

    def __init__(self, index: Any) -> None:
        self._index = index
        self.rows: Rows = _faiss().vector_to_array(index.id_map).astype(np.int64)
        self._place = {row: place for place, row in enumerate(self.rows.tolist())}

    @classmethod
    def of(cls, rows: Rows, matrix: Array) -> Vectors:
        """rows: (n,) distinct int64; matrix: (n, d) unit vectors."""
        faiss = _faiss()
        index = faiss.IndexIDMap2(faiss.IndexFlatIP(matrix.shape[1]))
        index.add_with_ids(np.ascontiguousarray(matrix, np.float32), np.ascontiguousarray(rows, np.int64))
        return cls(index)

    @classmethod
    def read(cls, path: Path) -> Vectors:
        """Raises BadIndex where the file is no such index."""
        faiss = _faiss()
        try:
            index = faiss.read_index(str(path))
        except RuntimeError as problem:
            raise BadIndex(f"{path}: not a FAISS index: {' '.join(str(problem).split())[:200]}") from None
        if not (isinstance(index, faiss.IndexIDMap2)
                and isinstance(faiss.downcast_index(index.index), faiss.IndexFlatIP)):
            raise BadIndex(f"{path}: not an IndexIDMap2 over IndexFlatIP")
        if index.id_map.size() != index.index.ntotal:
            raise BadIndex(f"{path}: {index.id_map.size()} row numbers for {index.index.ntotal} vectors")
        return cls(index)

    def write(self, path: Path) -> None:
        """As FAISS writes it; `faiss.read_index` opens it without artidx."""
        try:
            _faiss().write_index(self._index, str(path))
        except RuntimeError as problem:
            raise BadIndex(f"{path}: cannot be written: {' '.join(str(problem).split())[:200]}") from None

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def dim(self) -> int:
        """The vectors' length."""
        return int(self._index.d)

    @property
    def matrix(self) -> Array:
        """(n, d) float32 in the order of `rows`; a read-only view of FAISS' own memory."""
        faiss = _faiss()
        if not len(self):
            return np.empty((0, self.dim), np.float32)
        flat = faiss.downcast_index(self._index.index)
        memory = _Held(faiss.rev_swig_ptr(flat.get_xb(), len(self) * self.dim), self._index)
        view: Array = np.asarray(memory).reshape(len(self), self.dim)
        view.flags.writeable = False
        return view

    def of_rows(self, rows: Sequence[int]) -> Array:
        """(len(rows), d): copies of the vectors stored under these row numbers."""
        return np.array(self.matrix[[self._place[row] for row in rows]]).reshape(len(rows), self.dim)

    def nearest(self, query: Array, k: int, without: Collection[int] = ()) -> tuple[Rows, Doubles]:
        """The k rows nearest to query (d,), nearest first, and their distances; rows `without` are passed over.

        Fewer than k where there are no more. Up to MARGIN equal distances stand in the order of their rows.
        """
        wanted = min(len(self), k + len(without) + MARGIN)
        if wanted == 0:
            return np.empty(0, np.int64), np.empty(0)
        found = self._index.search(np.ascontiguousarray(query[None], np.float32), wanted)[1][0]
        rows = np.array([row for row in found.tolist() if row >= 0 and row not in without], np.int64)
        apart = distances(query[None], self.of_rows(rows.tolist()))
        order = np.lexsort((rows, apart))[:k]
        return rows[order], apart[order]


class _Held:
    """Memory that numpy looks at, and whoever owns it: the owner lives as long as any array that is made of this."""

    def __init__(self, memory: Array, owner: object) -> None:
        self.__array_interface__ = memory.__array_interface__
        self.owner = owner


def vector_hash(vector: Array) -> str:
    """The first 16 hex digits of the sha256 of a vector's float32 bytes, as stored beside every painting."""
    return hashlib.sha256(np.ascontiguousarray(vector, "<f4").tobytes()).hexdigest()[:16]


def _faiss() -> Any:
    try:
        import faiss
    except ImportError:
        raise MissingPackage("FAISS is not installed; pip install 'artidx[cpu]' (or 'artidx[gpu]')") from None
    return faiss
