"""Which paintings were added under which key of their sender's (`Idempotency-Key`): who asks again after an answer was
lost adds nothing twice, and is told what was added the first time.

The latest are kept, until the service stops; after that a picture that is sent again is refused as one that is there.
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
    """What was added: the sha256 of all that was sent, and the painting's id."""

    sent: str
    painting: str


class Remembered:
    """What was added, by the token's name and the sender's key."""

    def __init__(self) -> None:
        self._added: OrderedDict[tuple[str | None, str], Added] = OrderedDict()

    def find(self, who: str | None, key: str | None, sent: str) -> str | None:
        """The id of what was added under this key. Raises Problem for a key that is none, or stands for another."""
        if key is None:
            return None
        if not KEY.fullmatch(key):
            raise Problem(422, "bad-setting", "Idempotency-Key: must be 1 to 255 ASCII characters without blanks")
        known = self._added.get((who, key))
        if known and known.sent != sent:
            raise Problem(422, "key-used", "Idempotency-Key: something else was sent with it before; use a key once")
        return known.painting if known else None

    def note(self, who: str | None, key: str | None, added: Added) -> None:
        """Keep what was added."""
        if key is not None:
            self._added[who, key] = added
            while len(self._added) > KEPT:
                self._added.popitem(last=False)
