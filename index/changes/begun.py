"""Which build has begun on a server, and whether it still runs.

Two rows beside the embeddings (storage/stage.py) say so. A build that runs writes one of them anew every few seconds;
if that stands still, it was killed, and the next one goes on with what it has left. So nothing needs to be released.
If two begin in the same moment, or one was believed dead, the one that reads the other's sign ends.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from threading import Event, Thread
from time import monotonic, sleep
from uuid import uuid4

import numpy as np

from ...embedder.parallel import Bar
from ...errors import BadIndex, IndexBusy
from ..storage.address import Address
from ..storage.stage import Stage, Staged

SIGN, BUILD = -2, -1  # the numbers of the rows
SIGN_S = 2.0
SILENT_S = 10.0  # without a new sign: it was killed
ENDED = ""  # the sign of a build that was interrupted, and told us


@dataclass(frozen=True)
class Build:
    """model, catalog: the sha256 of these; generation: the one that it publishes; created: when it was begun."""

    model: str
    catalog: str
    generation: int
    created: str


def left_in(stage: Stage, address: Address) -> Build | None:
    """The build that has not ended there, if any. Raises IndexBusy if it still runs."""
    if not stage.is_there():
        return None
    stage.make()
    sign, build = _rows(stage)
    deadline = monotonic() + SILENT_S
    while sign != ENDED and monotonic() < deadline:
        sleep(SIGN_S / 4)
        if _rows(stage)[0] != sign:
            raise IndexBusy(f"{address}: another build is writing there; wait until it is done")
    return Build(**json.loads(build)) if build else None


@contextmanager
def running(stage: Stage, address: Address, build: Build, bar: Bar) -> Iterator[Bar]:
    """While it is entered, others are told that this build runs; after an interruption, that it has ended.

    Yields a bar that raises IndexBusy as soon as another build is seen to run.
    """
    me, done, others = uuid4().hex, Event(), Event()
    _write(stage, me, build)

    def signing() -> None:
        number = 0
        while not done.wait(SIGN_S) and not others.is_set():
            with suppress(BadIndex):  # the server may be back before anyone takes us for dead
                if not _rows(stage)[0].startswith(me):
                    others.set()
                else:
                    number += 1
                    _write(stage, f"{me} {number}", build)

    @contextmanager
    def noticing(total: int, what: str) -> Iterator[Callable[[int], None]]:
        with bar(total, what) as advance:

            def advancing(count: int) -> None:
                if others.is_set():
                    raise IndexBusy(f"{address}: another build began there meanwhile, and goes on; this one ends")
                advance(count)

            yield advancing

    thread = Thread(target=signing, daemon=True)
    thread.start()
    try:
        yield noticing
    except BaseException:
        done.set()
        thread.join()
        if not others.is_set():
            with suppress(BadIndex):
                _write(stage, ENDED, build)
        raise
    done.set()
    thread.join()


def _rows(stage: Stage) -> tuple[str, str]:
    """The sign and the build; empty if they are not there."""
    found = stage.get(range(SIGN, BUILD + 1))
    texts = dict(zip(found.numbers.tolist(), found.texts, strict=True))
    return texts.get(SIGN, ENDED), texts.get(BUILD, "")


def _write(stage: Stage, sign: str, build: Build) -> None:
    texts = [sign, json.dumps(asdict(build))]
    stage.put(Staged(np.array([SIGN, BUILD]), texts, np.zeros((2, stage.dim), np.float32)))
