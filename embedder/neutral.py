"""Import a library that reads settings from the current folder, without letting it do so.

matplotlib reads a `matplotlibrc` there, and pymilvus a `.env` there or above where it is installed: a folder that came
with a collection could change settings, and a pipe of that name would block.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

DOTENV = "PYTHON_DOTENV_DISABLED"


@contextmanager
def neutral_import(library: str) -> Iterator[None]:
    """A context for the first import of `library`: the current folder is the root folder, and no .env is read."""
    if library in sys.modules:
        yield
        return
    here, before = os.open(".", os.O_RDONLY), os.environ.get(DOTENV)
    os.environ[DOTENV] = "1"
    try:
        os.chdir("/")
        yield
    finally:
        os.fchdir(here)
        os.close(here)
        del os.environ[DOTENV]
        if before is not None:
            os.environ[DOTENV] = before
