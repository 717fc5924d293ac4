"""Answers as JSON: one line that every parser accepts, whatever is in them."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artidx.as_json import as_json


@dataclass(frozen=True)
class Work:
    title: str
    facts: Any


class Pair(NamedTuple):
    a: Any
    b: Any


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_infinity=False),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(), inner)
        | st.builds(Work, st.text(), inner)
        | st.builds(Pair, inner, inner)
    ),
    max_leaves=12,
)


def expected(value):
    """The value that a parser should return."""
    if isinstance(value, Work):
        return {"title": value.title, "facts": expected(value.facts)}
    if isinstance(value, list | tuple):
        return [expected(item) for item in value]
    if isinstance(value, dict):
        return {key: expected(item) for key, item in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


@given(plain)
def test_a_reader_sees_what_was_there_and_null_for_what_is_no_number(value):
    text = as_json(value)
    assert "\n" not in text
    assert json.loads(text) == expected(value)


def test_paths_are_text_and_names_that_are_no_utf8_are_escaped():
    assert json.loads(as_json({"path": Path("a") / "b.jpg"})) == {"path": str(Path("a") / "b.jpg")}
    assert json.loads(as_json(["caf\udce9.jpg"])) == ["caf\udce9.jpg"]
    as_json(["caf\udce9.jpg", math.nan]).encode()


def test_infinity_and_what_has_no_json_are_bugs():
    for value in (math.inf, {1, 2}):
        with pytest.raises((ValueError, TypeError)):
            as_json([value])
