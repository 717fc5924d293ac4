"""Make text from files and tables safe to show in a log, a list or a spreadsheet.

Control characters and direction marks can change how a line is displayed, and spreadsheets run a cell that begins like
a formula. Both changes can be undone. The name of a file need not be text at all.
"""

from __future__ import annotations

import unicodedata

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what spreadsheets take for the beginning of a formula
TEXT = "'"  # the sign that makes a cell text there


def escaped(text: str) -> str:
    """The text with control characters, direction marks and the like written as `\\u202e`."""
    return "".join(_escape(c) if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") else c for c in text)


def cell(text: str) -> str:
    """The text as a cell of a CSV file that spreadsheets also treat as text."""
    return TEXT + text if text.startswith(FORMULA) else text


def of_cell(text: str) -> str:
    """The text from which `cell` made this cell."""
    return text[len(TEXT) :] if text.startswith(TEXT) and text[len(TEXT) :].startswith(FORMULA) else text


def is_text(name: str) -> bool:
    """Whether it can be written as UTF-8; the name of a file need not be."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _escape(character: str) -> str:
    """As in JSON: a character beyond 16 bits as two surrogates."""
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))
