"""Which split a painting belongs to."""

from __future__ import annotations

import pandas as pd


def split_names(table: pd.DataFrame, column: str) -> pd.Series[str]:
    """(n,) the split each painting belongs to: what the column says, `all` where there is no such column."""
    if column not in table:
        return pd.Series("all", index=table.index, dtype=object)
    return table[column].astype(object).where(table[column].notna(), "none").astype(str)
