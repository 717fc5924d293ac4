"""The vectors of a generation and the one distance between them; searched by FAISS.

FAISS proposes candidates in float32, exactly or by an approximate index; every distance that is returned is then
computed again by `distances`, whose result does not depend on the other vectors in a call. So pair and nearest agree to
the last bit.
"""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ...embedder.parallel import ahead
from ...embedder.resources import available_cores, check_room
from ...errors import BadIndex, BadSetting, MissingPackage, exhausted

Array = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]  # numbers of artists, where there are very many paintings
Mask = npt.NDArray[np.bool_]

MARGIN = 16  # extra candidates: float32 rounding may swap neighbours at the end of the list
SWAPPED = 6  # the same for an approximate index; further swaps by its 8-bit codes count in the measured recall
ROUNDING = 1e-5  # more than the rounding error between two float32 products of unit vectors
REACH = 4  # minimal number of vectors in the lists that are read, per neighbour: long answers need more lists
MOST_ON_GPU = 2048  # FAISS' limit of neighbours on a GPU
RANKED_AT_ONCE = 1 << 16  # cosines of which the largest are found together, so that not all of them are copied
IN_CACHE = 1 << 20  # bytes of vectors that are multiplied with all queries before the next are read
MADE_AT_ONCE = 1 << 22  # numbers: 16 MB of vectors that are computed for a search
FEW = 1 << 11  # vectors: numpy compares so many with as many in less time than importing FAISS takes
QUICK = 1 << 27  # products: 500,000 vectors of 256 numbers take 0.05 s, importing FAISS 0.2 s
BLOCK = 1 << 19  # numbers compared at once: 4 MB of float64, which fit into a processor's cache
FAISS_ROOM = 320 << 20  # bytes of address space for loading it
NOBODY = -1  # the place of a missing neighbour


def distances(a: Array, b: Array) -> Doubles:
    """1 - cosine of unit vectors, (..., d) against (..., d) broadcast, as float64 in [0, 2].

    Symmetric, and bit-equal for the same two vectors whatever the shapes of the arguments.
    """
    product = np.ascontiguousarray(np.multiply(a, b, dtype=np.float64))
    apart: Doubles = np.clip(1.0 - product.sum(axis=-1), 0.0, 2.0)
    return apart


def checked_vector(vector: Any, dim: int, index: str) -> Array:
    """(dim,) float32, at unit length up to rounding. Raises BadSetting, naming the index, for anything else."""
    try:
        found = np.asarray(vector.detach().cpu() if hasattr(vector, "detach") else vector, np.float32)
    except (TypeError, ValueError):
        raise BadSetting(f"a vector of {index} is {dim} numbers, not {type(vector).__name__}") from None
    if found.shape != (dim,):
        raise BadSetting(
            f"a vector of shape {found.shape}; those of {index} have {dim} numbers: is it from the same model?"
        )
    length = float(np.linalg.norm(found.astype(np.float64)))
    if not abs(length - 1) < 1e-3:  # also refuses NaN
        raise BadSetting(f"a vector of length {length:.3g}, where a model's have length 1; divide it by its length")
    return found


@dataclass(frozen=True)
class Made:
    """Vectors (m, d) that are computed from others when they are read, so that never all of them are in memory.

    of: makes some, each of one row of the source and of nothing else, so that they are the same in any block.
    """

    source: Any  # (m, ...), indexed by a slice or an array of rows
    of: Callable[[Any], npt.NDArray[Any]]
    dim: int
    dtype: npt.DTypeLike = np.float32

    def __len__(self) -> int:
        return len(self.source)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self), self.dim

    def __getitem__(self, rows: slice | Integers) -> npt.NDArray[Any]:
        return self.of(self.source[rows])


Rows = Array | Made  # (m, d) float32, in an array or computed when read


def blocks(count: int, size: int) -> Iterator[slice]:
    """Consecutive rows, `size` at a time."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


@dataclass(frozen=True)
class Lists:
    """An approximate index over one matrix (approximate.py): FAISS' inverted lists, and how many of them are read."""

    opened: Callable[[], Any]
    nprobe: int

    @cached_property
    def index(self) -> Any:
        """FAISS' index, opened when first needed."""
        return self.opened()


@dataclass(frozen=True)
class Part:
    """The vectors (m, d) of one file, mapped into memory, with FAISS' indexes of them.

    lists: the approximate index over them; gpu: a copy on the GPUs.
    """

    matrix: Rows
    lists: Lists | None = None
    gpu: Any = None


class Vectors:
    """Unit vectors (n, d) in the order of a table: those of several parts, without removed ones.

    A vector has three numbers: its row in a part; its position over all parts (row + the part's start); and its place
    in the table, which does not count removed ones. Example: parts with 3 and 2 vectors, the second vector removed;
    then row 1 of the second part has the position 4 and the place 3. FAISS uses rows, callers use places.
    """

    def __init__(self, parts: Sequence[Part], kept: Mask | None = None) -> None:
        """kept: which of the parts' vectors, in order, are in the table; None for all."""
        self.parts = tuple(parts)
        self._kept = None if kept is None or kept.all() else kept
        self._starts = np.cumsum([0, *(len(part.matrix) for part in parts)])

    @classmethod
    def of(cls, matrix: Array) -> Vectors:
        """All vectors of one matrix (n, d)."""
        return cls([Part(np.ascontiguousarray(matrix, np.float32))])

    def on_gpus(self) -> Vectors:
        """The same vectors, copied to the GPUs that FAISS can use; unchanged if there are none."""
        faiss = load_faiss()
        if not faiss.get_num_gpus():
            return self

        def copied(part: Part) -> Part:
            flat = faiss.IndexFlatIP(self.dim)
            for some in blocks(len(part.matrix), MADE_AT_ONCE // self.dim):
                flat.add(np.ascontiguousarray(part.matrix[some]))
            return replace(part, gpu=faiss.index_cpu_to_all_gpus(flat))

        return Vectors([copied(part) for part in self.parts], self._kept)

    def __len__(self) -> int:
        return int(self._starts[-1] if self._kept is None else self._kept.sum())

    @property
    def dim(self) -> int:
        """The vectors' length."""
        return int(self.parts[0].matrix.shape[1])

    @property
    def is_approximate(self) -> bool:
        """Whether `nearest` may miss a neighbour."""
        return any(part.lists for part in self.parts)

    def unreadable_lists(self) -> list[str]:
        """Problems of the approximate indexes, which are otherwise opened when first needed."""
        wrong = []
        for part in self.parts:
            try:
                _ = part.lists and part.lists.index
            except BadIndex as problem:
                wrong.append(str(problem))
        return wrong

    @cached_property
    def matrix(self) -> Array:
        """(n, d) float32 in the order of the table; the file's own memory if it has them in one block."""
        if len(self.parts) == 1 and self._kept is None:
            return self.parts[0].matrix[:]
        whole = np.concatenate([part.matrix[:] for part in self.parts])
        return whole if self._kept is None else whole[self._kept]

    @property
    def rows(self) -> Rows:
        """The same, of which only the needed part is read."""
        if len(self.parts) == 1 and self._kept is None:
            return self.parts[0].matrix
        return Made(np.arange(len(self)), self.at, self.dim)

    def at(self, places: npt.ArrayLike) -> Array:
        """(..., d): copies of the vectors at these places (...) of the table."""
        stored = np.asarray(places, np.int64)
        if self._kept is not None:
            stored = self._stored[stored]
        if len(self.parts) == 1:
            return self.parts[0].matrix[stored]
        found = np.empty((*stored.shape, self.dim), np.float32)
        which = np.searchsorted(self._starts, stored, side="right") - 1
        for number, part in enumerate(self.parts):
            is_here = which == number
            found[is_here] = part.matrix[stored[is_here] - self._starts[number]]
        return found

    def cosines(self, queries: Array, among: Integers | None = None) -> Array:
        """(q, n) cosines to queries (q, d), up to rounding of float32.

        The vectors are read once for all queries, and each query's cosines do not depend on the other queries. among:
        places (n,) to compare with; None for all.
        """
        size = max(1, IN_CACHE // (4 * self.dim))
        if among is not None:
            found = np.empty((len(queries), len(among)), np.float32)
            for start in range(0, len(among), size):
                _multiply(self.at(among[start : start + size]), queries, found[:, start:])
            return found
        found = np.empty((len(queries), int(self._starts[-1])), np.float32)
        for part, start in zip(self.parts, self._starts[:-1].tolist(), strict=True):
            for row in range(0, len(part.matrix), size):
                _multiply(part.matrix[row : row + size], queries, found[:, start + row :])
        return found if self._kept is None else found[:, self._kept]

    def nearest_by(
        self, cosines: Array, queries: Array, k: int, among: Integers | None = None
    ) -> tuple[Integers, Doubles]:
        """`nearest` from known cosines (q, n) to the places among (n,); None for all."""
        near = [_largest(each, k) for each in cosines]
        padded = np.full((len(near), max(map(len, near), default=0)), NOBODY)
        for row, places in zip(padded, near, strict=True):
            row[: len(places)] = places if among is None else among[places]
        return self._ranked(np.ascontiguousarray(queries, np.float32), padded, k)

    def nearest(self, queries: Array, k: int, allowed: Mask | None = None) -> tuple[Integers, Doubles]:
        """The k places nearest to each query (q, d), nearest first: (q, k) places and distances.

        allowed: (n,) which places may be found; the search is then exact. If there are fewer than k, the rest are
        NOBODY at an infinite distance. Up to MARGIN equal distances are in the order of their places.
        """
        if not len(self) or not len(queries):
            return np.full((len(queries), k), NOBODY), np.full((len(queries), k), np.inf)
        queries = np.ascontiguousarray(queries, np.float32)
        if "faiss" not in sys.modules and allowed is None and self._is_quick(len(queries)):
            return self.nearest_by(self.cosines(queries), queries, k)
        found = np.concatenate(
            [self._candidates(number, queries, k, allowed) for number in range(len(self.parts))], axis=1
        )  # (q, c)
        size = max(1, BLOCK // max(found.shape[1] * self.dim, 1))
        if len(queries) <= size:
            return self._ranked(queries, found, k)

        def ranked(start: int) -> tuple[Integers, Doubles]:
            return self._ranked(queries[start : start + size], found[start : start + size], k)

        blocks = ahead(ranked, range(0, len(queries), size), workers=available_cores(), most=len(queries))
        places, apart = (np.concatenate(each) for each in zip(*blocks, strict=True))
        return places, apart

    def _is_quick(self, queries: int) -> bool:
        """Whether numpy can compare all vectors in less time than importing FAISS takes; the answer is the same."""
        is_exact = not self.is_approximate and all(part.gpu is None for part in self.parts)
        return is_exact and queries * int(self._starts[-1]) * self.dim <= QUICK

    @cached_property
    def _stored(self) -> Integers:
        """(n,) the positions over all parts of the table's places."""
        return np.flatnonzero(self._kept) if self._kept is not None else np.arange(len(self))

    @cached_property
    def _places(self) -> Integers:
        """The places of positions; NOBODY for a removed vector."""
        places = np.full(self._starts[-1], NOBODY)
        places[self._stored] = np.arange(len(self))
        return places

    def _candidates(self, number: int, queries: Array, k: int, allowed: Mask | None) -> Integers:
        """(q, c) places in one part, as ranked by FAISS, NOBODY if there are no more."""
        part, start, stop = self.parts[number], int(self._starts[number]), int(self._starts[number + 1])
        mask = None if self._kept is None else self._kept[start:stop]
        if allowed is not None:
            everywhere = np.zeros(self._starts[-1], bool)
            everywhere[self._stored] = allowed
            mask = everywhere[start:stop]
        if part.lists and allowed is None:
            found = _searched_by_lists(part.lists, queries, min(k + SWAPPED, stop - start), mask)
        else:
            wanted = min(k + MARGIN, stop - start)
            if part.gpu is not None and mask is None and wanted <= MOST_ON_GPU:
                scores, found = part.gpu.search(queries, wanted)
            else:
                scores, found = searched(part.matrix, queries, wanted, mask)
            is_near = scores >= scores[:, min(k, stop - start) - 1 :][:, :1] - ROUNDING
            found = found[:, : is_near.sum(axis=1).max(initial=0)]  # later ones cannot be among the k
        stored = np.where(found == NOBODY, NOBODY, found + start)
        return stored if self._kept is None else np.where(stored == NOBODY, NOBODY, self._places[stored])

    def _ranked(self, queries: Array, places: Integers, k: int) -> tuple[Integers, Doubles]:
        """Candidates (q, c), sorted by their exact distances."""
        apart = np.full((len(queries), max(k, places.shape[1])), np.inf)
        padded = np.full(apart.shape, NOBODY)
        padded[:, : places.shape[1]] = places
        apart[:, : places.shape[1]] = distances(queries[:, None], self.at(np.maximum(places, 0)))
        apart[padded == NOBODY] = np.inf
        order = np.lexsort((padded, apart), axis=1)[:, :k]
        return np.take_along_axis(padded, order, 1), np.take_along_axis(apart, order, 1)


def _multiply(block: Array, queries: Array, found: Array) -> None:
    """Write the products of vectors (m, d) with each query (q, d) into the first m columns of found (q, n or more)."""
    for of_query, query in zip(found, queries, strict=True):
        of_query[: len(block)] = block @ query


def _largest(cosines: Array, k: int) -> Integers:
    """Places of the k largest cosines (n,), and of those that may be below them only by rounding."""
    best = cosines[:0]
    for some in blocks(len(cosines), max(RANKED_AT_ONCE, k)):
        best = np.concatenate([best, cosines[some]])
        best = np.partition(best, -k)[-k:] if k < len(best) else best
    edge = best.min(initial=np.inf).astype(np.float64) if k < len(cosines) else -np.inf
    places = np.flatnonzero(cosines >= edge - ROUNDING)
    is_sure = cosines[places] > edge + ROUNDING
    return np.concatenate([places[is_sure], places[~is_sure][: k + MARGIN]])


def searched(matrix: Rows, queries: Array, k: int, mask: Mask | None = None) -> tuple[Array, Integers]:
    """The rows of matrix (m, d) with the largest products with each query (q, d), by exhaustive search.

    mask: (m,) rows that may be found. Returns products and rows, (q, k) each, largest first; NOBODY where there are no
    more. FAISS' own exhaustive search, on memory that it does not own; of vectors that are made a block at a time.
    """
    if isinstance(matrix, np.ndarray):
        return _searched_at_once(matrix, queries, k, mask)
    best = np.full((len(queries), k), -np.inf, np.float32), np.full((len(queries), k), NOBODY)
    for some in blocks(len(matrix), max(1, MADE_AT_ONCE // matrix.dim)):
        scores, found = _searched_at_once(matrix[some], queries, k, None if mask is None else mask[some])
        found = np.where(found == NOBODY, NOBODY, found + some.start)
        both = np.concatenate([best[0], scores], axis=1), np.concatenate([best[1], found], axis=1)
        order = np.argsort(-both[0], axis=1, kind="stable")[:, :k]
        best = np.take_along_axis(both[0], order, 1), np.take_along_axis(both[1], order, 1)
    return best


def nearest_rows(matrix: Array, queries: Array, k: int) -> Integers:
    """(q, k) rows of a matrix (m, d), m at least k, by their products with queries (q, d), largest first.

    For a few vectors, such as landmarks, numpy finds them, without importing FAISS; of equal ones the first.
    """
    if len(matrix) > FEW:
        return searched(matrix, queries, k)[1]
    found = np.empty((len(queries), k), np.int64)
    for some in blocks(len(queries), IN_CACHE // (4 * len(matrix))):
        found[some] = _largest_of_each(queries[some] @ matrix.T, k)
    return found


def _largest_of_each(products: Array, k: int) -> Integers:
    """(q, k) where the k largest of each row of products (q, m) are, largest first; of equal ones the first."""
    edge = np.partition(products, -k, axis=1)[:, -k, None].copy()
    is_near, is_equal = products > edge, products == edge
    room = k - is_near.sum(axis=1, keepdims=True)
    is_near |= is_equal & (np.cumsum(is_equal, axis=1, dtype=np.int32) <= room)
    near = np.nonzero(is_near)[1].reshape(-1, k)
    order = np.argsort(-np.take_along_axis(products, near, 1), axis=1, kind="stable")
    return np.take_along_axis(near, order, 1)


def _searched_at_once(matrix: Array, queries: Array, k: int, mask: Mask | None) -> tuple[Array, Integers]:
    faiss = load_faiss()
    scores, found = np.empty((len(queries), k), np.float32), np.full((len(queries), k), NOBODY)
    matrix = np.ascontiguousarray(matrix)
    if k and len(queries):
        selector = None if mask is None else faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))
        faiss.knn_inner_product(
            faiss.swig_ptr(queries),
            faiss.swig_ptr(matrix),
            matrix.shape[1],
            len(queries),
            len(matrix),
            k,
            faiss.swig_ptr(scores),
            faiss.swig_ptr(found),
            selector,
        )
    return scores, found


def _searched_by_lists(lists: Lists, queries: Array, k: int, mask: Mask | None) -> Integers:
    faiss = load_faiss()
    selector = None if mask is None else faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))
    nprobe = max(lists.nprobe, math.ceil(REACH * k * lists.index.nlist / max(lists.index.ntotal, 1)))
    found: Integers = lists.index.search(queries, k, params=faiss.SearchParametersIVF(nprobe=nprobe, sel=selector))[1]
    return found


def vector_hash(vector: Array) -> str:
    """The first 16 hex digits of the sha256 of a vector's float32 bytes, stored with every painting."""
    return hashlib.sha256(np.ascontiguousarray(vector, "<f4").tobytes()).hexdigest()[:16]


def load_faiss() -> Any:
    """The package, imported when first needed. Raises MissingPackage."""
    if "faiss" not in sys.modules:
        check_room(FAISS_ROOM, "FAISS")
    try:
        import faiss
    except ImportError as problem:
        raise exhausted(problem, "FAISS") or MissingPackage(
            "FAISS is not installed; pip install 'artidx[cpu]' (or 'artidx[gpu]')"
        ) from None
    return faiss
