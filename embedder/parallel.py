"""Do work ahead in threads, with results in order, and only a fixed number of them in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from typing import TypeVar

Bar = Callable[[int, str], AbstractContextManager[Callable[[int], None]]]  # of (all, what); called with what was done

A = TypeVar("A")
B = TypeVar("B")


@contextmanager
def no_bar(total: int, what: str) -> Iterator[Callable[[int], None]]:
    """A Bar that shows nothing."""
    yield lambda done: None


def ahead(function: Callable[[A], B], items: Iterable[A], *, workers: int, most: int) -> Generator[B, None, None]:
    """function(item) for every item, in order; threads work ahead of the caller by at most `most` results."""
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[B]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= most:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # the caller may stop early
            for future in waiting:
                future.cancel()


def batches(items: Iterable[A], size: int) -> Iterator[list[A]]:
    """Lists of `size` items; the last may be shorter."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
