"""Fit the detector of sculptures (scoring/sculpture.py) to training paintings and the sculptures among them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..scoring.sculpture import SculptureDetector
from ..scoring.vectors import Array
from .packages import needed

KIND, SCULPTURE = "kind", "sculpture"  # a column of a catalog, and its entry for photographs of sculptures
FEWEST = 5  # sculptures; fewer teach nothing
CONFIDENCE = 25.0  # scikit-learn's C, as for the classifiers in a model (posteriors.py)
ITERATIONS = 1000


def sculptures_in(table: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """(n,) which rows of a catalog are photographs of sculptures, by its column `kind`."""
    if KIND not in table:
        return np.zeros(len(table), bool)
    kinds = table[KIND].astype(object).where(table[KIND].notna(), "").astype(str)
    return (kinds.str.strip().str.casefold() == SCULPTURE).to_numpy(bool)


def fit_sculptures(embeddings: Array, is_sculpture: npt.NDArray[np.bool_]) -> SculptureDetector | None:
    """Logistic regression on vectors (n, d) as the model gives them, both kinds weighing the same; None if there are
    fewer than FEWEST sculptures, or nothing else."""
    count = int(is_sculpture.sum())
    if count < FEWEST or count == len(is_sculpture):
        return None
    logistic = needed("sklearn.linear_model").LogisticRegression(
        C=CONFIDENCE, class_weight="balanced", max_iter=ITERATIONS
    )
    logistic.fit(embeddings.astype(np.float64), is_sculpture)
    return SculptureDetector(
        tuple(logistic.coef_[0].tolist()),
        float(logistic.intercept_[0]),
        f"{count:,} sculptures and {len(is_sculpture) - count:,} paintings",
    )
