"""Terminate runs of a model, or its loading, that take too long: one thread checks every second while anything runs.

A run can be ended between two operators, not within one. Loading can be ended between two steps, and computing the
constants of a graph is a single step: if that is much work, it is left to the runs (graph.py).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

LOOK_S = 1.0


class Loading:
    """The creation of a session, with the interface by which a run is terminated."""

    def __init__(self, options: Any) -> None:
        """options: ONNX Runtime's SessionOptions."""
        self._options = options
        self._is_ended = False

    @property
    def terminate(self) -> bool:
        """Whether it has been told to terminate."""
        return self._is_ended

    @terminate.setter
    def terminate(self, is_ended: bool) -> None:
        self._is_ended = is_ended
        self._options.set_load_cancellation_flag(is_ended)


class Deadline:
    """So many seconds for each run; safe to share between threads."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._running: dict[int, tuple[float, Any]] = {}  # when it must end, and what to terminate
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @contextmanager
    def of(self, run: Any) -> Iterator[None]:
        """A context in which the run may take this long; after that it is told to terminate. run: RunOptions or a
        Loading."""
        with self._changed:
            self._running[id(run)] = monotonic() + self.seconds, run
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="deadline", daemon=True)
                self._thread.start()
            elif len(self._running) == 1:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                del self._running[id(run)]

    def _look(self) -> None:
        while True:
            with self._changed:
                while not self._running:
                    self._changed.wait()
                for ends, run in self._running.values():
                    if monotonic() > ends:
                        run.terminate = True
                self._changed.wait(min(LOOK_S, self.seconds))
