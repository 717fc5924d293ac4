"""Packages that fitting needs and answering does not."""

from __future__ import annotations

import importlib
from typing import Any

from ...errors import MissingPackage


def needed(module: str) -> Any:
    """The module of scikit-learn or scipy. Raises MissingPackage if it is not installed."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        raise MissingPackage("calibrating needs scikit-learn; pip install 'artidx[calibrate]'") from None
