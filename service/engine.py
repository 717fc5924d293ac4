"""Embed squares of pixels for many requests at once: one model, micro-batches across requests.

The queue is bounded by admission.py. On a CPU, each core runs one request's images at a time; on a GPU, a batch has
everything that is waiting, up to BATCH_SIZE. These are the fastest ways (runtime.py).
"""

from __future__ import annotations

import asyncio
import queue
import threading
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..embedder.pictures.images import Pixels
from ..embedder.runtime import BATCH_SIZE, PROVIDERS, Embedder, available_cores
from ..index.scoring.vectors import Array
from .metrics import Metrics
from .traces import Traces


@dataclass(frozen=True)
class _Job:
    embedder: Embedder
    squares: Pixels
    vectors: Future[Array]
    where: Any  # in the traces


class Engine:
    """Runs the model. Close it when there are no more requests."""

    def __init__(self, embedder: Embedder, metrics: Metrics, traces: Traces) -> None:
        is_cpu = embedder.provider == PROVIDERS["cpu"]
        self._most = 1 if is_cpu else BATCH_SIZE
        self._metrics, self._traces = metrics, traces
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._runners = [
            threading.Thread(target=self._run, name="embed", daemon=True)
            for _ in range(available_cores() if is_cpu else 1)
        ]
        for runner in self._runners:
            runner.start()

    async def embed(self, embedder: Embedder, squares: Pixels) -> Array:
        """(n, d) vectors of (n, size, size, 3) squares."""
        job = _Job(embedder, squares, Future(), self._traces.here())
        self._jobs.put(job)
        return await asyncio.wrap_future(job.vectors)

    @property
    def is_alive(self) -> bool:
        """Whether the threads that run the model are alive."""
        return all(runner.is_alive() for runner in self._runners)

    def close(self) -> None:
        """Finish accepted work, then stop."""
        for _ in self._runners:
            self._jobs.put(None)
        for runner in self._runners:
            runner.join()

    def _run(self) -> None:
        while batch := self._next():
            jobs = [job for job in batch if job.vectors.set_running_or_notify_cancel()]
            for embedder in {job.embedder: None for job in jobs}:  # two during a change of model
                self._answer(embedder, [job for job in jobs if job.embedder is embedder])

    def _answer(self, embedder: Embedder, jobs: list[_Job]) -> None:
        try:
            squares = np.concatenate([job.squares for job in jobs])
            with self._metrics.stage("embed"), ExitStack() as spans:
                for job in jobs:
                    spans.enter_context(self._traces.stage("embed", job.where))
                vectors = embedder.infer(squares, batch_size=BATCH_SIZE, workers=1)
        except Exception as problem:  # each request reports it to its own caller
            for job in jobs:
                job.vectors.set_exception(problem)
            return
        self._metrics.batch.observe(len(squares))
        start = 0
        for job in jobs:
            job.vectors.set_result(vectors[start : start + len(job.squares)])
            start += len(job.squares)

    def _next(self) -> list[_Job]:
        """Waits for a job, and takes further waiting ones if batches are faster; empty when the engine is closed."""
        batch: list[_Job] = []
        while len(batch) < self._most:
            try:
                job = self._jobs.get(block=not batch)
            except queue.Empty:
                break
            if job is None:
                if batch:
                    self._jobs.put(None)  # for the next call
                break
            batch.append(job)
        return batch
