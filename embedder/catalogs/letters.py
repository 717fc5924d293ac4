"""Text in the form in which it is compared: without case, accents and invisible characters, composed or not."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

INVISIBLE = {"\u034f", "\u115f", "\u1160", "\u17b4", "\u17b5", "\u2800", "\u3164", "\uffa0"}  # letters without a glyph

# Letters that people replace by these if their keyboard lacks them; letters with a stroke are found by their names.
PLAINER = {"æ": "ae", "œ": "oe", "ð": "d", "þ": "th", "ı": "i"}


def folded(text: str) -> str:
    """The text without case, accents and invisible characters; folding it again changes nothing."""
    if text.isascii():
        return text.lower()
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c) and not is_hidden(c))
    plain = unicodedata.normalize("NFKD", plain.casefold())
    return "".join(c if c.isascii() else _plainer(c) for c in plain if not unicodedata.combining(c))


@lru_cache(maxsize=4096)
def _plainer(letter: str) -> str:
    """`o` for `ø`, `l` for `ł`: Unicode does not count a stroke as an accent, but people who type names do."""
    stroke = re.fullmatch(r"(LATIN SMALL LETTER [A-Z]) WITH (?:DIAGONAL )?STROKE", unicodedata.name(letter, ""))
    return unicodedata.lookup(stroke[1]) if stroke else PLAINER.get(letter, letter)


def composed(text: str) -> str:
    """The text with composed letters, without invisible characters at its ends."""
    if text.isascii():  # most text is
        return text.strip()
    text = unicodedata.normalize("NFC", text).strip()
    while text and (is_hidden(text[0]) or is_hidden(text[-1])):
        text = (text[1:] if is_hidden(text[0]) else text[:-1]).strip()
    return text


def is_hidden(character: str) -> bool:
    """Whether the character is invisible, and not a blank."""
    if character.isascii():
        return False
    return (
        unicodedata.category(character) in ("Cf", "Cs", "Cn", "Co")
        or character in INVISIBLE
        or "\ufe00" <= character <= "\ufe0f"
        or "\u180b" <= character <= "\u180f"
        or "\U000e0100" <= character <= "\U000e01ef"
    )
