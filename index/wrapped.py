"""Calibrate a model without a calibration on labelled paintings, in a temporary index."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from ..embedder.parallel import Bar
from ..embedder.runtime import Embedder
from ..embedder.wrapping import with_metadata
from .opened import Index


def calibrated(model: bytes, catalog: str, name: str, note: Callable[[str], None], bar: Bar) -> bytes:
    """The model file with a calibration fitted to the catalog's labels in its metadata. Raises BadCatalog."""
    with tempfile.TemporaryDirectory() as folder:
        index, report = Index.build(
            Path(folder) / "calibrated.artidx", catalog, embedder=Embedder(model, name), bar=bar
        )
        if report.skipped:
            note(f"skipped {len(report.skipped):,} paintings; the first: {': '.join(report.skipped[0])}")
        return with_metadata(model, {"calibration": index.calibrate().to_json()})
