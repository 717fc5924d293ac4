"""A condition (where.py) in the language of Milvus, so that it means the same there as over a table.

No value is missing in Milvus: a text that is not known is empty, a year is NO_YEAR. What a text means as a number lies
beside it. So every comparison says that its value is there, and none depends on what Milvus makes of nothing.
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
    """A text as Milvus reads it."""
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
    """Empty is missing, and satisfies nothing but to be missing."""
    if value is None:
        return f'{field} {op} ""'
    if not value:
        return NEVER if op in ("==", "<", "<=") else f'{field} != ""'
    return f'{field} != "" and {field} {op} {quoted(value)}'


def _number(field: str, op: str, value: float) -> str:
    """Nothing is compared where there is no number: what that gives differs from one server to the next."""
    return f"(exists {field}) and {field} {op} {value!r}"


def _whole(field: str, op: str, value: str | float | None) -> str:
    """Whole numbers are compared with whole numbers only."""
    there = f"{field} != {NO_YEAR}"
    if value is None or isinstance(value, str):
        return f"{field} == {NO_YEAR}" if op == "==" else there
    if op in ("==", "!=") and value != math.floor(value):
        return NEVER if op == "==" else there
    limit = math.ceil(value) if op in ("<", ">=") else math.floor(value)
    return f"{there} and {field} {op} {max(-LARGEST, min(LARGEST, limit))}"
