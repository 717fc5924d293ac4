"""Which paintings are meant by `year < 1700 and style == 'Baroque'`: a small language over an index's own columns.

Python's grammar, read by its parser and never run: columns, text and numbers, `==  !=  <  <=  >  >=  in  not in`,
`and or not` and brackets. A missing value satisfies no comparison; `artist == None` asks for it. Artists are compared
as everywhere (catalog.artist_key): without case and accents, either name first.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from ..embedder.catalog import artist_key
from ..errors import BadSetting
from .vectors import Mask

LONGEST = 4000  # characters
MOST_VALUES = 100  # compared with: each is a pass over the table
COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge}
MIRRORED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.Eq, ast.NotEq: ast.NotEq, ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE}


def matching(table: pd.DataFrame, expression: str) -> Mask:
    """(n,) the rows of the table for which the expression holds. Raises BadSetting with what is wrong with it."""
    if len(expression) > LONGEST:
        raise BadSetting(f"an expression of {len(expression):,} characters; at most {LONGEST:,} are read")
    try:
        tree = ast.parse(expression.strip(), mode="eval")
        if sum(isinstance(node, ast.Constant) for node in ast.walk(tree)) > MOST_VALUES:
            raise BadSetting(f"an expression of more than {MOST_VALUES} values; write fewer")
        return _Reading(table, expression).truth(tree.body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as problem:
        reason = problem.msg if isinstance(problem, SyntaxError) else str(problem) or type(problem).__name__
        raise BadSetting(f"{expression!r}: not an expression ({reason}); write for instance \"year < 1700 and style == "
                         f"'Baroque'\"") from None


class _Reading:
    def __init__(self, table: pd.DataFrame, expression: str) -> None:
        self.table = table
        self.expression = expression

    def truth(self, node: ast.expr) -> Mask:
        """(n,) where it holds."""
        if isinstance(node, ast.BoolOp):
            parts = [self.truth(value) for value in node.values]
            found: Mask = (np.logical_and if isinstance(node.op, ast.And) else np.logical_or).reduce(parts)
            return found
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return ~self.truth(node.operand)
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            parts = [self._compared(a, op, b) for a, op, b in zip(sides[:-1], node.ops, sides[1:], strict=True)]
            found = np.logical_and.reduce(parts)
            return found
        raise self._refused(node, "is neither true nor false")

    def _compared(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Mask:
        if not isinstance(left, ast.Name) and isinstance(right, ast.Name) and type(op) in MIRRORED:
            left, op, right = right, MIRRORED[type(op)](), left
        if not isinstance(left, ast.Name):
            raise self._refused(left, "is compared with something that is not a column")
        column = self._column(left)
        if isinstance(op, ast.In | ast.NotIn):
            if not isinstance(right, ast.Tuple | ast.List | ast.Set):
                raise self._refused(right, "is no list; write for instance ('Baroque', 'Rococo')")
            hits = [self._holds(left.id, column, operator.eq, self._value(each)) for each in right.elts]
            found: Mask = np.logical_or.reduce(hits) if hits else np.zeros(len(column), bool)
            return found if isinstance(op, ast.In) else ~found & self._holds(left.id, column, operator.ne, None)
        if type(op) not in COMPARISONS:
            raise self._refused(right, "is compared in a way that is not known here")
        return self._holds(left.id, column, COMPARISONS[type(op)], self._value(right))

    def _holds(self, name: str, column: pd.Series[Any], compare: Callable[[Any, Any], Any], value: Any) -> Mask:
        if name == "artist" and compare in (operator.eq, operator.ne) and not isinstance(value, int | float):
            # By nobody in particular is by None.
            column, value = self.table["artist_key"], artist_key(value)
        if value is None:
            if compare not in (operator.eq, operator.ne):
                raise BadSetting(f"{self.expression!r}: nothing is more or less than None")
            missing = column.isna().to_numpy(bool)
            return missing if compare is operator.eq else ~missing
        if isinstance(value, str) and pd.api.types.is_numeric_dtype(column):
            raise BadSetting(f"{self.expression!r}: {name} is a number, {value!r} is text")
        if not isinstance(value, str):
            column = pd.to_numeric(column, errors="coerce")  # a text that is no number satisfies nothing
        is_known = column.notna().to_numpy(bool)
        found = np.zeros(len(column), bool)
        found[is_known] = compare(column[is_known], value).to_numpy(bool)
        return found

    def _column(self, node: ast.Name) -> pd.Series[Any]:
        if node.id not in self.table:
            raise BadSetting(f"{self.expression!r}: no column {node.id!r}; there are {', '.join(self.table.columns)}")
        return self.table[node.id]

    def _value(self, node: ast.expr) -> str | float | None:
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            value = self._value(node.operand)
            if isinstance(value, int | float):
                return -value
        if isinstance(node, ast.Constant) and not isinstance(node.value, bool) and (
                node.value is None or isinstance(node.value, str | int | float)):
            return node.value
        raise self._refused(node, "is neither text in quotes nor a number")

    def _refused(self, node: ast.expr, why: str) -> BadSetting:
        return BadSetting(f"{self.expression!r}: {ast.unparse(node)!r} {why}")
