"""Expressions such as `year < 1700 and style == 'Baroque'`: a small language over an index's columns.

Python's grammar, parsed by its parser and never run: columns, text and numbers, `==  !=  <  <=  >  >=  in  not in`,
`and or not` and brackets. A missing value satisfies no comparison; `artist == None` tests for it. Artists are compared
by their keys (catalog.artist_key): without case and accents, either name first. An expression becomes a condition,
which is evaluated on a table here, and translated for a server (filters.py of milvus/ and postgres/).
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from ...embedder.catalogs.attribution import artist_key
from ...embedder.catalogs.letters import composed
from ...errors import BadSetting
from ..scoring.vectors import Mask

if TYPE_CHECKING:
    import pandas as pd

LONGEST = 4000  # characters
LARGEST = 1e300  # number
MOST_VALUES = 100  # values in a list: each is a pass over the table
Value = str | int | float | None
OPERATORS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
MIRRORED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Comparison:
    """Comparison of a column with a value. With None only == and !=, for missing and existing values."""

    column: str
    operator: str
    value: Value


@dataclass(frozen=True)
class All:
    """Every part holds."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class Some:
    """At least one part holds; never with no parts."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class Not:
    """The part does not hold."""

    part: Condition


Condition = Comparison | All | Some | Not


def narrowed(
    condition: Condition | None,
    where: str | None,
    exclude: str | None,
    columns: Collection[str],
    numbers: Collection[str],
) -> All:
    """The rows of a condition, or all, that also satisfy `where` and not `exclude`; columns and numbers as in
    condition_of. Raises BadSetting."""
    parts = [] if condition is None else [condition]
    if where is not None:
        parts.append(condition_of(where, columns, numbers))
    if exclude is not None:
        parts.append(Not(condition_of(exclude, columns, numbers)))
    return All(tuple(parts))


def condition_of(expression: str, columns: Collection[str], numbers: Collection[str]) -> Condition:
    """Parse an expression over these columns; numbers: the numeric ones. Raises BadSetting with the problem."""
    if len(expression) > LONGEST:
        raise BadSetting(f"an expression of {len(expression):,} characters; at most {LONGEST:,} are read")
    try:
        tree = ast.parse(expression.strip(), mode="eval")
        if sum(isinstance(node, ast.Constant) for node in ast.walk(tree)) > MOST_VALUES:
            raise BadSetting(f"an expression of more than {MOST_VALUES} values; write fewer")
        return _Reading(expression, columns, numbers).condition(tree.body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as problem:
        reason = problem.msg if isinstance(problem, SyntaxError) else str(problem) or type(problem).__name__
        raise BadSetting(
            f"{expression!r}: not an expression ({reason}); for example \"year < 1700 and style == 'Baroque'\""
        ) from None


def matching(table: pd.DataFrame, expression: str) -> Mask:
    """(n,) whether the expression holds for the rows of the table. Raises BadSetting with the problem."""
    import pandas as pd

    numbers = [name for name in table.columns if pd.api.types.is_numeric_dtype(table[name])]
    return holding(table, condition_of(expression, list(table.columns), numbers))


def holding(table: pd.DataFrame, condition: Condition) -> Mask:
    """(n,) whether the condition holds for the rows of the table."""
    return truth(condition, len(table), lambda one: holds(table[one.column], one.operator, one.value))


def truth(condition: Condition, length: int, of: Callable[[Comparison], Mask]) -> Mask:
    """(length,) whether the condition holds, given the results of its comparisons."""
    if isinstance(condition, Comparison):
        return of(condition)
    if isinstance(condition, Not):
        return ~truth(condition.part, length, of)
    parts = (truth(part, length, of) for part in condition.parts)
    if isinstance(condition, All):
        return reduce(np.logical_and, parts, np.ones(length, bool))
    return reduce(np.logical_or, parts, np.zeros(length, bool))


def holds(column: pd.Series[Any], op: str, value: Value) -> Mask:
    """(n,) whether a comparison holds for the cells of a column."""
    import pandas as pd

    if value is None:
        missing = column.isna().to_numpy(bool)
        return missing if op == "==" else ~missing
    if not isinstance(value, str):
        column = pd.to_numeric(column, errors="coerce")  # text that is no number satisfies nothing
    elif not value.isascii():
        column = column.astype("str").str.normalize("NFC")  # from an index older than composed names
    is_known = column.notna().to_numpy(bool)
    found = np.zeros(len(column), bool)
    found[is_known] = COMPARISONS[op](column[is_known], value).to_numpy(bool)
    return found


class _Reading:
    def __init__(self, expression: str, columns: Collection[str], numbers: Collection[str]) -> None:
        self.expression = expression
        self.columns = columns
        self.numbers = numbers

    def condition(self, node: ast.expr) -> Condition:
        if isinstance(node, ast.BoolOp):
            parts = tuple(self.condition(value) for value in node.values)
            return All(parts) if isinstance(node.op, ast.And) else Some(parts)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return Not(self.condition(node.operand))
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            parts = tuple(self._compared(a, op, b) for a, op, b in zip(sides[:-1], node.ops, sides[1:], strict=True))
            return parts[0] if len(parts) == 1 else All(parts)
        raise self._refused(node, "is neither true nor false")

    def _compared(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Condition:
        sign = OPERATORS.get(type(op))
        if not isinstance(left, ast.Name) and isinstance(right, ast.Name) and sign:
            left, sign, right = right, MIRRORED[sign], left
        if not isinstance(left, ast.Name):
            raise self._refused(left, "is compared with something that is not a column")
        if left.id not in self.columns:
            raise BadSetting(f"{self.expression!r}: no column {left.id!r}; there are {', '.join(self.columns)}")
        if isinstance(op, ast.In | ast.NotIn):
            if not isinstance(right, ast.Tuple | ast.List | ast.Set):
                raise self._refused(right, "is not a list; for example ('Baroque', 'Rococo')")
            among = Some(tuple(self._comparison(left.id, "==", self._value(each)) for each in right.elts))
            if isinstance(op, ast.In):
                return among
            return All((Not(among), self._comparison(left.id, "!=", None)))
        if not sign:
            raise self._refused(right, "is compared in a way that is not known here")
        return self._comparison(left.id, sign, self._value(right))

    def _comparison(self, column: str, op: str, value: Value) -> Comparison:
        if column == "artist" and op in ("==", "!=") and not isinstance(value, int | float):
            column, value = "artist_key", artist_key(value)  # nobody in particular is None
        if value is None and op not in ("==", "!="):
            raise BadSetting(f"{self.expression!r}: None cannot be compared by < or >")
        if isinstance(value, str) and column in self.numbers:
            raise BadSetting(f"{self.expression!r}: {column} is a number, {value!r} is text")
        if isinstance(value, str):
            value = composed(value)  # like the texts of a catalog
        return Comparison(column, op, value)

    def _value(self, node: ast.expr) -> Value:
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            value = self._value(node.operand)
            if isinstance(value, int | float):
                return -value
        if (
            isinstance(node, ast.Constant)
            and not isinstance(node.value, bool)
            and (node.value is None or isinstance(node.value, str | int | float))
        ):
            if isinstance(node.value, str):
                node.value.encode()  # a lone surrogate such as "\\ud800" raises ValueError
            elif node.value is not None and not abs(node.value) < LARGEST:
                raise self._refused(node, "is too large a number")
            return node.value
        raise self._refused(node, "is neither text in quotes nor a number")

    def _refused(self, node: ast.expr, why: str) -> BadSetting:
        return BadSetting(f"{self.expression!r}: {ast.unparse(node)!r} {why}")
