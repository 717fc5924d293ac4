"""Import a library that reads settings from the folder somebody stands in, without doing so.

matplotlib reads a `matplotlibrc` there and pymilvus a `.env`, here or above where it is installed: a folder that came
with a collection would have its say, and a pipe by that name would be waited for.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

DOTENV = "PYTHON_DOTENV_DISABLED"


@contextmanager
def neutral_import(library: str) -> Iterator[None]:
    """Around the first import of `library`: it finds itself in the root folder, and no .env is read."""
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
