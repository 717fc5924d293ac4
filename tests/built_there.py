"""Builds on a server in processes of their own, for tests that kill them or the workers of their cluster.

As a script, `built_there.py ADDRESS FOLDER MODEL CLUSTER`: prints each stage when it is in the middle of it, and the
report in the end. Workers take their time, so that one that is killed was doing something.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import contextmanager
from typing import Any

from artidx import Embedder, Index, Settings
from artidx.embedder.parallel import Bar
from artidx.index import addresses
from artidx.index.changes import begun, build_on_server, cluster
from artidx.index.milvus import push as to_milvus
from artidx.index.postgres import push as to_postgres


def killed(address: Any, folder: Any, model: Any, stage: str) -> None:
    """Build, and end this process in the middle of a stage, or before the table of embeddings is dropped."""

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    in_small_parts()
    if stage == "dropping":
        addresses._staging(address).Stage.drop = die
    Index.build_on_server(address, folder, embedder=Embedder.load(model), bar=halfway(stage, die))


def in_small_parts(most: int = 4) -> None:
    """Few paintings are many parts, and a build that was killed is soon known to be."""
    build_on_server.PIECE = build_on_server.SUMMED = to_milvus.ROWS = to_postgres.ROWS = most
    begun.SIGN_S, begun.SILENT_S = 0.2, 2.0


def halfway(stage: str, do: Any) -> Bar:
    """A bar that does something in the middle of the stages whose names contain a word."""

    @contextmanager
    def bar(total, what):
        seen = [0]

        def advance(done):
            before, seen[0] = seen[0], seen[0] + done
            if stage in what and 2 * before < total <= 2 * seen[0]:
                do(what)

        yield advance

    return bar


class Slowly:
    """A job that takes half a second longer."""

    def __init__(self, job: Any) -> None:
        self.job = job

    def __call__(self, item: Any) -> Any:
        time.sleep(0.5)
        return self.job(item)


def say(line: str) -> None:
    """On the standard output, which Ray keeps free otherwise."""
    print(line, file=sys.__stdout__, flush=True)


def main(address: str, folder: str, model: str, where: str) -> None:
    in_small_parts()
    done = cluster.Cluster.done
    cluster.Cluster.done = lambda self, job, items, work=None: done(self, Slowly(job), items, work)
    with cluster.joined(where) as joined:
        settings, bar = Settings(cluster=joined), halfway("", say)
        _, report, pushed = Index.build_on_server(
            address, folder, embedder=Embedder.load(model), settings=settings, bar=bar, calibrate=True
        )
    say(json.dumps([report.paintings, report.resumed, pushed.written]))


if __name__ == "__main__":
    main(*sys.argv[1:])
