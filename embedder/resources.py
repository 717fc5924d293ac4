"""What the system allows this process: cores, threads, memory; checked before a library needs it.

The libraries that we use do not handle a refusal well: without threads, Arrow waits for ever, OpenMP exits the process
with its own status and OpenBLAS interrupts it; without memory, FAISS is killed while it is loaded.
"""

from __future__ import annotations

import mmap
import os
import sys
import threading

from ..errors import OutOfResources, exhausted

ARROW = 8  # threads that Arrow uses for reading, however many cores there are
ROOM = 1 << 30  # bytes of address space that opening an index takes, most of them never used


def available_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_room(size_bytes: int, where: str) -> None:
    """Raises OutOfResources unless this much address space is left, as limited by ulimit -v. None of it is used."""
    if sys.platform == "win32":  # no such bound
        return
    try:
        mmap.mmap(-1, size_bytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ).close()
    except OSError as problem:
        raise exhausted(problem, where) or problem from None


def check_threads() -> None:
    """Raises OutOfResources unless the threads that opening an index starts can run at once.

    They are tried in a fork of this process, which should be small and without other threads yet: in this process, each
    of them would leave 64 MB of address space occupied.
    """
    if sys.platform == "win32":  # no fork
        return
    count = ARROW + 2 * available_cores()  # for OpenBLAS or Arrow, and for us
    where = f"{count} threads are needed"
    try:
        child = os.fork()
    except OSError as problem:
        raise exhausted(problem, where) or problem from None
    if child == 0:
        os._exit(_refused(count))
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        check_room(ROOM, where)  # a process without forks has no threads either
        raise OutOfResources(str(exhausted(RuntimeError("can't start new thread"), where)))


def _refused(count: int) -> int:
    """1 if not so many threads can be started, else 0."""
    done = threading.Event()
    try:
        for _ in range(count):
            threading.Thread(target=done.wait, daemon=True).start()
    except (RuntimeError, MemoryError):
        return 1
    finally:
        done.set()
    return 0
