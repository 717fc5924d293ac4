"""Expressions and manifests that are nearly right, for ten seconds each; `make fuzz` for long."""

from __future__ import annotations

import hashlib
import os
import random
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

import pandas as pd
import pytest

from artidx.errors import BadIndex, BadSetting
from artidx.index.storage.manifest import Manifest, read_manifest
from artidx.index.storage.where import matching

SECONDS = float(os.environ.get("ARTIDX_FUZZ_S", "3"))
TABLE = pd.DataFrame(
    {
        "artist": pd.Series(["Cézanne, Paul", None, "unknown"], dtype="str"),
        "artist_key": pd.Series(["paul cezanne", None, None], dtype="str"),
        "style": pd.Series(["Baroque", None, "x"], dtype="str"),
        "year": pd.array([1895, None, 1000], dtype="Int64"),
    }
)
EXPRESSIONS = [
    "year < 1700 and style == 'Baroque'",
    "1600 < year <= 1895 or not (artist in ('Paul Cezanne', 'unknown'))",
    "style not in ['Baroque', \"x\"] and artist != None",
    "style in () or year == -5.5e3",
    "(((year > 1)))",
    "not not not style == None",
    "style.__class__ == 'x'",
    "__import__('os').system('true')",
    "style == f'{year}' or year == (lambda: 1)()",
    "[x for x in ()] == 1",
    "artist == 'Ce\u0301zanne' or year >= 10**10",
]
PIECES = r"""
    year style artist and or not in == != < <= ( ) [ ] { } , ' " \ # ; : := . * ** - 1e999 0x 1_0 None True lambda if
"""
PIECES_OF_EXPRESSIONS = [
    *PIECES.split(),
    " ",
    "\n",
    "\0",
    "\ud800",
    "\u202e",
    "９",
    "(" * 300,
    "not " * 900,
    "-" * 2000,
]
PIECES_OF_MANIFESTS = [
    "[" * 3000,
    "{",
    "}",
    "null",
    "true",
    "-1",
    "1e999",
    "NaN",
    "9" * 5000,
    '""',
    ",",
    ":",
    "\0",
    "é",
    '"..\\u0000"',
]


def changed(text: str, pieces: Sequence[str], chance: random.Random) -> str:
    """The text with a part removed, doubled, or replaced by one of the pieces."""
    for _ in range(chance.randrange(1, 5)):
        start = chance.randrange(len(text) + 1)
        end = min(len(text), start + chance.choice((0, 0, 1, 4, 12)))
        text = text[:start] + chance.choice([*pieces, text[start:end] * 2, ""]) + text[end:]
    return text


def tries(name: str) -> Iterator[random.Random]:
    """A random generator, again and again until the time is over."""
    seed = 0 if SECONDS < 60 else time.time_ns() % 1_000_000
    chance, end, count = random.Random(seed), time.monotonic() + SECONDS, 0
    while count < 50 or time.monotonic() < end:
        count += 1
        yield chance
    print(f"\n{SECONDS:g} s of {name}, seed {seed}: {count:,}")


def test_whatever_is_written_for_an_expression_is_a_choice_of_rows_or_one_line() -> None:
    for chance in tries("expressions"):
        expression = changed(chance.choice(EXPRESSIONS), PIECES_OF_EXPRESSIONS, chance)
        started = time.thread_time()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Python's parser has opinions on style
                assert matching(TABLE, expression).shape == (3,), ascii(expression)
        except BadSetting:
            pass
        except Exception as problem:
            pytest.fail(f"{expression!a}: {problem!r}")
        assert time.thread_time() - started < 2, ascii(expression)


def test_whatever_bytes_a_manifest_has_it_is_one_or_is_called_damaged() -> None:
    sound = files("artidx").joinpath("index/reference/base/manifest.json").read_text("utf-8")
    numbers = sound.index("[", sound.index('"centre"'))
    short = sound[: numbers + 1] + "0.5" + sound[sound.index("]", numbers) :]
    for chance in tries("manifests"):
        data = changed(chance.choice([sound, short]), PIECES_OF_MANIFESTS, chance).encode()
        with suppress(BadIndex):
            assert isinstance(read_manifest(data, Path("manifest.json"), hashlib.sha256(data).hexdigest()), Manifest)
