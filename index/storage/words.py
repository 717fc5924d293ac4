"""Search for words in the labels of paintings, without case and accents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    import pandas as pd

# "Follower of X" is found by X, too.
SEARCHED = ("artist", "attribution", "title", "id")


def searched_text(table: pd.DataFrame) -> Any:
    """(n,) the texts in which words are searched."""
    names = [name for name in SEARCHED if name in table]
    return searched_in({name: pa.array(table[name], pa.large_string(), from_pandas=True) for name in names})


def searched_in(columns: Mapping[str, Any]) -> Any:
    """The same for Arrow columns (n,)."""
    texts = [pc.fill_null(columns[name].cast(pa.large_string()), "") for name in SEARCHED if name in columns]
    return folded(pc.binary_join_element_wise(*texts, pa.scalar(" ", pa.large_string())))


def folded(texts: Any) -> Any:
    """The text without case and accents."""
    decomposed = pc.utf8_normalize(texts, form="NFKD")
    return pc.utf8_lower(pc.replace_substring_regex(decomposed, pattern=r"\p{Mn}", replacement=""))
