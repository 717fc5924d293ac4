"""Translate a condition (where.py) into the language of Milvus, with the same meaning as on a table.

There are no missing values in Milvus: an unknown text is empty, an unknown year is NO_YEAR. The numeric value of a text
is in another field. So every comparison also requires that its value exists, and none depends on Milvus' treatment of
null.
"""

from __future__ import annotations

import json
import math

from ..storage.where import All, Comparison, Condition, Not
from .layout import NO_YEAR, TEXTS, WHOLE

NEVER = "row < 0"
ALWAYS = "row >= 0"
LARGEST = 2**62


def quoted(text: str) -> str:
    """A quoted text in Milvus' syntax."""
    return json.dumps(text, ensure_ascii=False)


def expression(condition: Condition) -> str:
    """The condition, to be evaluated by Milvus."""
    if isinstance(condition, Comparison):
        return _compared(condition)
    if isinstance(condition, Not):
        return f"not ({expression(condition.part)})"
    if not condition.parts:
        return ALWAYS if isinstance(condition, All) else NEVER
    joint = " and " if isinstance(condition, All) else " or "
    return joint.join(f"({expression(part)})" for part in condition.parts)


def _compared(comparison: Comparison) -> str:
    column, op, value = comparison.column, comparison.operator, comparison.value
    if column in WHOLE:
        return _whole(column, op, value)
    if value is None or isinstance(value, str):
        return _text(column if column in TEXTS else f"labels[{quoted(column)}]", op, value)
    return _number(f"numbers[{quoted(column)}]", op, float(value))


def _text(field: str, op: str, value: str | None) -> str:
    """Comparison of text; empty means missing, and satisfies only the test for missing."""
    if value is None:
        return f'{field} {op} ""'
    if not value:
        return NEVER if op in ("==", "<", "<=") else f'{field} != ""'
    return f'{field} != "" and {field} {op} {quoted(value)}'


def _number(field: str, op: str, value: float) -> str:
    """Comparison of numbers, with a test that there is one, since servers treat missing ones differently."""
    return f"(exists {field}) and {field} {op} {value!r}"


def _whole(field: str, op: str, value: str | float | None) -> str:
    """Comparison of integers; only with integers."""
    there = f"{field} != {NO_YEAR}"
    if value is None or isinstance(value, str):
        return f"{field} == {NO_YEAR}" if op == "==" else there
    if op in ("==", "!=") and value != math.floor(value):
        return NEVER if op == "==" else there
    limit = math.ceil(value) if op in ("<", ">=") else math.floor(value)
    return f"{there} and {field} {op} {max(-LARGEST, min(LARGEST, limit))}"
