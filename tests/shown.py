"""The commands in the documentation, and whether their output is as shown."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.M | re.S)
COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.M)
NUMBER = r"\d+(?:[.,]\d+)*"


def is_as_shown(printed: str, shown: str) -> bool:
    """Compares line by line, except numbers; a line `...` stands for any lines, and `...` within a line for
    anything."""
    if not shown.strip():
        return True
    pattern = ""
    for line in shown.rstrip().splitlines():
        if line == "...":
            pattern += r"(?:.*\n)*?"
        else:
            parts = [re.sub(NUMBER, lambda _: NUMBER, re.escape(part)) for part in line.split("...")]
            pattern += ".*".join(part.replace(r"\.", ".") for part in parts) + r"\n"
    return bool(re.fullmatch(pattern, printed.rstrip() + "\n"))
