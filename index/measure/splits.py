"""Which split a painting belongs to."""

from __future__ import annotations

import pandas as pd


def split_names(table: pd.DataFrame, column: str) -> pd.Series[str]:
    """(n,) the split of each painting: the value of the column, `all` without such a column."""
    if column not in table:
        return pd.Series("all", index=table.index, dtype=object)
    return table[column].astype(object).where(table[column].notna(), "none").astype(str)
