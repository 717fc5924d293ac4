"""Remember additions by their `Idempotency-Key`: a request that is repeated after a lost answer adds nothing twice, and
gets the first answer.

The latest are kept until the service stops; after that, a repeated picture is refused as already present.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass

from .problems import Problem

KEPT = 10_000
KEY = re.compile(r"[\x21-\x7e]{1,255}")


@dataclass(frozen=True)
class Added:
    """An addition: the sha256 of the whole request, and the painting's id."""

    sent: str
    painting: str


class Remembered:
    """Additions by the token's name and the client's key."""

    def __init__(self) -> None:
        self._added: OrderedDict[tuple[str | None, str], Added] = OrderedDict()

    def find(self, who: str | None, key: str | None, sent: str) -> str | None:
        """The id of the painting added under this key. Raises Problem for an invalid key, or one used for another
        request."""
        if key is None:
            return None
        if not KEY.fullmatch(key):
            raise Problem(422, "bad-setting", "Idempotency-Key: must be 1 to 255 ASCII characters without blanks")
        known = self._added.get((who, key))
        if known and known.sent != sent:
            raise Problem(422, "key-used", "Idempotency-Key: something else was sent with it before; use a key once")
        return known.painting if known else None

    def note(self, who: str | None, key: str | None, added: Added) -> None:
        """Remember an addition."""
        if key is not None:
            self._added[who, key] = added
            while len(self._added) > KEPT:
                self._added.popitem(last=False)
