"""Words that are looked for in the labels of paintings: without case and accents."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc


def searched_text(table: pd.DataFrame) -> Any:
    """(n,) what words are looked for in."""
    who = [name for name in ("artist", "attribution") if name in table]  # a follower of somebody is found by the name
    columns = [pc.fill_null(pa.array(table[name], pa.string(), from_pandas=True), "") for name in (*who, "title", "id")]
    return folded(pc.binary_join_element_wise(*columns, " "))


def folded(texts: Any) -> Any:
    """Without case and accents."""
    decomposed = pc.utf8_normalize(texts, form="NFKD")
    return pc.utf8_lower(pc.replace_substring_regex(decomposed, pattern=r"\p{Mn}", replacement=""))
