"""Find the encoding of a text: by its byte-order mark, as UTF-8 or UTF-16, else by how its words look when decoded.

A table has few words with accents, too few for the statistics of general detectors: charset-normalizer recognises seven
of fourteen short lists of names in five encodings. Instead, each candidate is tried, and loses points for what no word
has: letters of two scripts, a capital after a small letter, a sign between letters.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Known from the bytes themselves; any other is a guess.
CERTAIN = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")
WESTERN = ("àáâãäåæçèéêëìíîïñòóôõöøœùúûüßŠŽ",)
# Polish; Czech and Slovak; Hungarian; Romanian; Croatian and Slovene; each with German, which occurs with all of them.
EASTERN = ("ąćęłńóśźżäöüß", "áčďéěíňóřšťúůýžäôĺľŕöüß", "áéíóöőúüűäß", "ăâîșțşţäöüß", "čćđšžäöüß")
CYRILLIC = ("абвгдеёжзийклмнопрстуфхцчшщъыьэюяіїєґ",)
GREEK = ("αβγδεζηθικλμνξοπρστυφχψωςάέήίόύώϊϋ",)
# The letters of a language, for each language of an encoding. If several fit equally well, the first wins: Windows in
# the west, Macs, Cyrillic, Japanese, Windows in the east and the south, the rest of East Asia, Unix, DOS.
CANDIDATES = {
    "cp1252": WESTERN,
    "mac_roman": WESTERN,
    "cp1251": CYRILLIC,
    "cp932": (),
    "cp1250": EASTERN,
    "cp1254": ("âçğıîöşûüİ",),
    "cp1253": GREEK,
    "cp949": (),
    "gb18030": (),
    "big5hkscs": (),
    "cp1255": ("אבגדהוזחטיךכלםמןנסעףפץצקרשת",),
    "cp1256": ("ءآأؤإئابةتثجحخدذرزسشصضطظعغفقكلمنهويىپچژگ",),
    "koi8_r": CYRILLIC,
    "iso8859_2": EASTERN,
    "iso8859_7": GREEK,
    "mac_cyrillic": CYRILLIC,
    "cp850": WESTERN,
    "cp866": CYRILLIC,
    "latin-1": WESTERN,
}
# The everyday characters of an East Asian character set are those of its first level, found by the first of two bytes.
EVERY_DAY = {
    "cp932": ("euc_jp", 0xA4, 0xCF),
    "cp949": ("euc_kr", 0xB0, 0xC8),
    "gb18030": ("gb2312", 0xB0, 0xD7),
    "big5hkscs": ("big5", 0xA4, 0xC6),
}
SAMPLE_BYTES = 1 << 14  # of lines that are not plain ASCII
BLOCK = 1 << 20
WORDS = re.compile(r"[^\s,;|\t\"()\[\]/<>:=+*&.!?#@0-9]+")
IN_WORDS, AROUND_WORDS = set("’‘´–—·"), set("“”„‚«»‹›…°©®€£§¿¡ªº²³½")


def encoding_of(path: Path) -> str:
    """The name of the encoding as Python knows it."""
    with path.open("rb") as stream:
        start = stream.read(4096)
    for mark, name in MARKS:
        if start.startswith(mark):
            return name
    if found := _without_mark(start):
        return found
    if _is_utf_8(path):
        return "utf-8"
    sample = _sample(path)
    marks = {name: _oddity(text, name) for name in CANDIDATES if (text := _decoded(sample, name)) is not None}
    return min(marks, key=lambda name: marks[name])


def _without_mark(start: bytes) -> str | None:
    """UTF-16 is recognised by zeros in every other byte, UTF-32 by pairs of zeros."""
    places = [start[place : len(start) // 4 * 4 : 4] for place in range(4)]
    for name, empty in (("utf-32-le", places[2:]), ("utf-32-be", places[:2])):
        if len(places[0]) > 1 and not any(map(any, empty)):
            return name
    even, odd = start[0:4096:2], start[1:4096:2]
    for zeros, others, name in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
        if len(zeros) > 1 and zeros.count(0) > 0.4 * len(zeros) and others.count(0) < 0.1 * len(others):
            return name
    return None


def _is_utf_8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for block in _blocks(path):
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            yield block


def _sample(path: Path) -> bytes:
    """Lines that are not plain ASCII."""
    found: list[bytes] = []
    size = 0
    with path.open("rb") as stream:
        while size < SAMPLE_BYTES and (line := stream.readline(SAMPLE_BYTES)):
            if not line.isascii():
                found.append(line)
                size += len(line)
    return b"".join(found)


def _decoded(data: bytes, name: str) -> str | None:
    try:
        return data.decode(name)
    except UnicodeDecodeError:
        return None


def _oddity(text: str, encoding: str) -> float:
    """How unlike words a text is, in the likeliest of the encoding's languages; lower is better."""
    words = [word for word in WORDS.findall(text) if not word.isascii()]
    return min(sum(_oddity_of(word, letters) for word in words) for letters in _letters(encoding))


@lru_cache(maxsize=len(CANDIDATES))
def _letters(encoding: str) -> tuple[frozenset[str], ...]:
    """The letters of each of its languages, small ones and capitals."""
    if encoding not in EVERY_DAY:
        return tuple(frozenset(letters + letters.upper()) for letters in CANDIDATES[encoding])
    charset, first, last = EVERY_DAY[encoding]
    rows = (
        bytes([lead, trail]) for lead in range(first, last + 1) for trail in (*range(0x40, 0x7F), *range(0xA1, 0xFF))
    )
    return (frozenset("".join(row.decode(charset, "ignore") for row in rows)),)


@lru_cache(maxsize=4096)
def _oddity_of(word: str, letters: frozenset[str]) -> float:
    odd = 0.0
    kinds = [_script(c) for c in word]
    for place, (character, kind) in enumerate(zip(word, kinds, strict=True)):
        before, after = word[place - 1 : place], word[place + 1 : place + 2]
        near = {each for each in (*kinds[max(place - 1, 0) : place], *kinds[place + 1 : place + 2]) if each != "sign"}
        if character.isascii():
            continue
        if kind == "control":
            odd += 1.5
        elif kind == "sign":
            is_between = before.isalpha() and after.isalpha()
            if character in IN_WORDS:
                odd += 0.5 * is_between
            elif character in AROUND_WORDS:
                odd += 3 * is_between
            else:
                odd += 3 if near else 1
        else:
            odd += 3 * bool(near - {kind})
            odd += 0.5 * (character not in letters)
            if kind == "LATIN":
                odd += 1 * (before.isalpha() and not before.isascii())
                odd += 2 * (character.isupper() and place > 0 and not word.isupper())
            if kind in ("CYRILLIC", "GREEK"):
                odd += 2 * (character.isupper() and before.islower())
                odd += 0.25 * (place == 0 and character.islower())
            if kind in ("ARABIC", "HEBREW"):
                odd += 2 * (len(word) == 1)
    return odd


@lru_cache(maxsize=4096)
def _script(character: str) -> str:
    category = unicodedata.category(character)
    if category in ("Cc", "Cn", "Co", "Cs"):
        return "control"
    if not character.isalpha():
        return "sign"
    name = unicodedata.name(character, "")
    return "East Asian" if name.startswith(("CJK", "HIRAGANA", "KATAKANA")) else name.partition(" ")[0]
