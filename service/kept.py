"""A cache of results that take a while: computed once for all who ask at the same time, and kept until it is full."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """Results by key, the most recently used ones. For one event loop."""

    def __init__(self, most: int, size: Callable[[T], int] = lambda _: 1) -> None:
        """size: of one result, for example in bytes; most: of all together. The latest is kept even if it is larger."""
        self._most, self._size = most, size
        self._there: OrderedDict[str, T] = OrderedDict()
        self._making: dict[str, asyncio.Future[T]] = {}

    def there(self, key: str) -> T | None:
        """The result of this key, if it was computed and is still kept."""
        if key in self._there:
            self._there.move_to_end(key)
        return self._there.get(key)

    async def of(self, key: str, make: Callable[[], Awaitable[T]]) -> T:
        """The result of this key, computed by the first caller. Raises what computing it raises."""
        if (known := self.there(key)) is not None:
            return known
        if key not in self._making:
            self._making[key] = asyncio.ensure_future(make())
            self._making[key].add_done_callback(lambda done: self._keep(key, done))
        return await asyncio.shield(self._making[key])  # a cancelled caller must not stop it for the others

    def _keep(self, key: str, done: asyncio.Future[T]) -> None:
        del self._making[key]
        if done.cancelled() or done.exception():
            return
        self._there[key] = done.result()
        while len(self._there) > 1 and sum(map(self._size, self._there.values())) > self._most:
            self._there.popitem(last=False)
