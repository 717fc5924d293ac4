"""Translate a condition (where.py) into SQL, with the same meaning as on a table.

The text contains no value of a user: values are parameters, and so are names of columns that not every index has. A
comparison with a missing value is false, not NULL, so that what is not selected is what is excluded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg.sql import SQL, Composable, Identifier

from ..storage.where import All, Comparison, Condition, Not
from .layout import TEXTS, WHOLE

COLUMNS = {name: name for name in TEXTS} | {"row": "number", "year": "year"}
OPERATORS = {"==": SQL("="), "!=": SQL("<>"), "<": SQL("<"), "<=": SQL("<="), ">": SQL(">"), ">=": SQL(">=")}
EXACT = 1 << 53  # up to this, whole numbers are compared as doubles are
AND, OR = SQL(" AND "), SQL(" OR ")


@dataclass(frozen=True)
class Clause:
    """A part of a statement, such as a condition on a painting, and its parameters in order."""

    text: Composable
    values: tuple[Any, ...] = ()


ALWAYS, NEVER = Clause(SQL("true")), Clause(SQL("false"))


def clause(condition: Condition | None) -> Clause:
    """The condition in SQL; without one, a condition that always holds."""
    if condition is None:
        return ALWAYS
    if isinstance(condition, Comparison):
        return _compared(condition)
    if isinstance(condition, Not):
        part = clause(condition.part)
        return Clause(SQL("NOT ({})").format(part.text), part.values)
    return joined(AND if isinstance(condition, All) else OR, *map(clause, condition.parts))


def joined(by: SQL, *parts: Clause) -> Clause:
    """Join clauses; with no clauses, AND gives a condition that always holds, OR one that never does."""
    if not parts:
        return ALWAYS if by is AND else NEVER
    text = by.join(SQL("({})").format(part.text) for part in parts)
    return Clause(text, tuple(value for part in parts for value in part.values))


def _compared(comparison: Comparison) -> Clause:
    column, op, value = comparison.column, comparison.operator, comparison.value
    if value is None:
        text = _text_of(column)
        return Clause(SQL("{} IS NULL" if op == "==" else "{} IS NOT NULL").format(text.text), text.values)
    if isinstance(value, str):
        return _text(_text_of(column), op, value)
    if column in WHOLE and abs(value) < EXACT:
        return _whole(column, op, value)
    number = Clause(Identifier(COLUMNS[column])) if column in WHOLE else _label("numbers", column)
    return _holds(
        Clause(SQL("{}::double precision").format(number.text), number.values), op, "double precision", float(value)
    )


def _whole(column: str, op: str, value: int | float) -> Clause:
    """Comparison of a column of whole numbers with a number, as whole numbers, so that an index helps."""
    is_whole = value == int(value)
    if not is_whole and op in ("==", "!="):
        return NEVER if op == "==" else Clause(SQL("{} IS NOT NULL").format(Identifier(COLUMNS[column])))
    if not is_whole:  # above 3.5 is from 4 on
        op, value = ("<=", math.floor(value)) if op[0] == "<" else (">=", math.ceil(value))
    return _holds(Clause(Identifier(COLUMNS[column])), op, "bigint", int(value))


def _holds(left: Clause, op: str, kind: LiteralString, value: str | float) -> Clause:
    """Comparison that is false, not NULL, where the left side is missing; in a form that lets an index help."""
    text = SQL("{0} IS NOT NULL AND {0} {1} %s::{2}").format(left.text, OPERATORS[op], SQL(kind))
    return Clause(text, (*left.values, *left.values, value))


def _text_of(column: str) -> Clause:
    return Clause(Identifier(COLUMNS[column])) if column in COLUMNS else _label("labels", column)


def _label(kept_in: str, column: str) -> Clause:
    return Clause(SQL("({} ->> %s::text)").format(Identifier(kept_in)), (column,))


def _text(text: Clause, op: str, value: str) -> Clause:
    """Comparison of text. PostgreSQL does not accept the character of code 0, which no painting has: what sorts after a
    text with it is what is longer than the text before it."""
    before, zero, _ = value.partition("\0")
    if zero and op == "==":
        return NEVER
    if zero and op == "!=":
        return Clause(SQL("{} IS NOT NULL").format(text.text), text.values)
    sign = {"<": "<=", ">=": ">"}.get(op, op) if zero else op
    found = SQL("{}" if before.isascii() else "normalize({})")  # from an index older than composed names
    return _holds(Clause(found.format(text.text), text.values), sign, 'text COLLATE "C"', before)
