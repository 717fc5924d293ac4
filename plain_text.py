"""Text from files and tables where people look at it: without power over a log, a list or a spreadsheet.

Control characters and marks of direction can rewrite a line as it is shown, and spreadsheets run a cell that begins
like a formula. Both are changed in a way that can be undone. The name of a file need not be text at all.
"""

from __future__ import annotations

import unicodedata

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what spreadsheets take for the beginning of one
TEXT = "'"  # what makes a text of it there


def escaped(text: str) -> str:
    """With control characters, marks of direction and the like as `\\u202e`."""
    return "".join(_escape(c) if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") else c for c in text)


def cell(text: str) -> str:
    """The text as a cell of a CSV file that is a text to spreadsheets, too."""
    return TEXT + text if text.startswith(FORMULA) else text


def of_cell(text: str) -> str:
    """The text that `cell` made the cell of."""
    return text[len(TEXT) :] if text.startswith(TEXT) and text[len(TEXT) :].startswith(FORMULA) else text


def is_text(name: str) -> bool:
    """Whether it can be written as UTF-8; the name of a file need not be."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _escape(character: str) -> str:
    """As JSON has it: of a character beyond 16 bits the two halves."""
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))
