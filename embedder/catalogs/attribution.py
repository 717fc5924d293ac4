"""What a record says about the artist of a work: a name, how the artist took part, or nobody.

Records are written by art historians: "Workshop of Titian (Italian, ca. 1488-1576)", "Rembrandt, Umkreis des", "d'après
Watteau", "Unbekannt". Only a work that a record gives to one artist without a qualifier counts as that artist's own.
The qualifiers are those of Getty's Categories for the Description of Works of Art (CDWA, 4.1.3), in English, German,
French, Italian, Dutch and Spanish. Does not know who is who: two spellings of one person stay two artists unless a
table gives both the same authority number (`merged`).

A record is compared as words without case and accents, so that every phrase below is written once.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from .letters import folded, is_hidden
from .wording import (
    ACTIVE,
    ALONE,
    AMBIGUOUS,
    ARTICLES,
    BORN,
    DIRECTIONS,
    ENDINGS,
    JOINING,
    NATIONALITIES,
    NOBODY,
    NOBODY_ALONE,
    OWN,
    PERIODS,
    PHRASES,
    PREPOSITIONS,
    ROLES,
    SCHOOLS,
    SUFFIX_WORDS,
    SUFFIXES,
    TITLES,
)

if TYPE_CHECKING:
    import pandas as pd

TOGETHER = "together with"
# "Artist: ...", "painted by ..."
ROLE = re.compile(
    rf"^\W*(?:(?:{'|'.join(sorted(ROLES, key=len, reverse=True))})\s*:\s*|(?:painted\s+)?by\s+(?=\w))", re.IGNORECASE
)
DESCRIPTIVE = ROLES | NATIONALITIES | DIRECTIONS | PERIODS | SCHOOLS | PREPOSITIONS
OF_A_YEAR = re.compile(rf"\b(?:{'|'.join(sorted(PREPOSITIONS))}) \d{{3,4}}$")
# Even in brackets this is part of the name: it distinguishes father and son.
GENERATION = re.compile(
    r"I{1,3}|IV|(?:the )?(?:elder|younger)|d\. ?(?:Ä|J|Ae)\.|d(?:er|\.) (?:ältere|jüngere)|"
    r"l['’]ancien|le jeune|"
    r"il (?:vecchio|giovane)|de (?:oude|jonge)|el (?:viejo|joven|mozo)|jr\.?|sr\.?",
    re.IGNORECASE,
)
YEARS = re.compile(
    r"\s[\s,*†~(]*(?:(?:ca?|circa|b|born|geb|d|died|fl|active|um|vers|v)\b\.?\s*)?\d{3,4}(?!\w).*$", re.IGNORECASE
)
LONGEST = 1000  # characters of a record that are read; the rest is kept and shown
OPEN, CLOSE = "([{<（［｛〈《【〔", ")]}>）］｝〉》】〕"
PARTING = re.compile(rf"[;|\n{re.escape(OPEN + CLOSE)}]|\s/\s")


@dataclass(frozen=True)
class Attribution:
    """A parsed record. name: of the first artist, as written, without dates and asides; None for nobody.

    qualifier: one of the keys of PHRASES, or TOGETHER for a work of several artists; None where it is simply the
    artist's. others: the other artists of the same work.
    """

    record: str
    name: str | None = None
    qualifier: str | None = None
    others: tuple[str, ...] = ()
    nationality: str | None = None
    born: int | None = None
    died: int | None = None

    @property
    def speaks(self) -> bool:
        """Whether the work counts as the artist's own."""
        return self.name is not None and self.qualifier is None


@lru_cache(maxsize=65536)
def artist_key(name: str | None) -> str | None:
    """The name in the form in which names are compared: `Cézanne, Paul (1839-1906)` and `paul  cezanne` are one artist.

    Case, accents, punctuation, spacing, life dates and asides are removed; a name with a comma is reordered. None for
    nobody in particular, and for a qualified or joint attribution, which is no single artist's own. Two people who
    share a name are one artist, two spellings of one person are two.
    """
    if not isinstance(name, str):  # pandas hands over NaN for a missing label
        return None
    key: str | None = None
    found = attribution(name)
    while found.speaks and found.name is not None:  # the key of a key is the same key
        before, key = key, _key(found.name) or None
        if key is None or key == before:
            return key
        if before is not None and len(key) >= len(before):  # until nothing more is removed
            return None
        found = _parsed(key)
    return None


@lru_cache(maxsize=65536)
def attribution(record: str) -> Attribution:
    """Parse a record. Never fails: what is not understood is taken as a name."""
    return replace(_parsed(record[:LONGEST]), record=record)


def attributed(table: pd.DataFrame, qualified: bool = False) -> pd.DataFrame:
    """A table of paintings with its column `artist`, which has the records as written, replaced by three columns.

    `artist`: the name, if the work counts as the artist's own; `attribution`: the record; `qualifier`. A table that
    already has an `attribution` is returned unchanged. qualified: count qualified works as the artist's own, too.
    """
    if "attribution" in table:
        return table
    records = [value if isinstance(value, str) else None for value in table["artist"]]
    return table.assign(**_columns(records, qualified, table.index))


def _columns(records: Sequence[str | None], qualified: bool, index: Any) -> dict[str, pd.Series[Any]]:
    import pandas as pd

    found = [None if record is None else attribution(record) for record in records]
    columns = {
        "artist": [each.name if each and (each.speaks or qualified) else None for each in found],
        "attribution": records,
        "qualifier": [each.qualifier if each else None for each in found],
    }
    return {name: pd.Series(values, index=index, dtype=object) for name, values in columns.items()}


class Merging:
    """Keys of artists, the same for all names with the same number of an authority file (ULAN, Wikidata): that of the
    first name. A key with several numbers has the last."""

    def __init__(self) -> None:
        self._first, self._last = dict[str, str](), dict[str, str]()

    def add(self, keys: Sequence[str | None], ids: Sequence[str | None]) -> None:
        """Works in their order; without a key, one says nothing."""
        for key, id_ in zip(keys, ids, strict=True):
            if key is not None and (known := authority(id_)):
                self._first.setdefault(known, key)
                self._last[key] = known

    def of(self, key: str) -> str:
        """The key that is used for this one, once all works were added."""
        return self._first[self._last[key]] if key in self._last else key


def merged(keys: Sequence[str | None], ids: Sequence[str | None]) -> list[str | None]:
    """The same (`Merging`) for works that are all at hand. A work without a key gets none."""
    merging = Merging()
    merging.add(keys, ids)
    return [None if key is None else merging.of(key) for key in keys]


def authority(id_: object) -> str | None:
    """A number of an authority file in the form in which it is compared; None for none, or for several."""
    if not isinstance(id_, str):
        return None
    found = {part.strip().rstrip("/").rpartition("/")[2].casefold() for part in re.split(r"[|;,\s]+", id_)} - {""}
    return next(iter(found)) if len(found) == 1 and found != {"0"} else None


# A record as words


class _Word(NamedTuple):
    """A word of a text: the form in which it is compared, and its position."""

    plain: str
    start: int
    end: int


@lru_cache(maxsize=1024)  # every part of a record is parsed several times
def _words(text: str) -> Sequence[_Word]:
    return [_Word(folded(found[0]), found.start(), found.end()) for found in re.finditer(r"[^\W_]+|&", text)]


def _plain(text: str) -> tuple[str, ...]:
    return tuple(" ".join(word.plain for word in _words(text) if word.plain != "&").split())


def _parsed(record: str) -> Attribution:
    text = _visible(record)
    pieces = [piece for piece in _apart(text) if _words(piece)]
    pieces = [part for piece in pieces for part in _joined(piece)]
    if len(pieces) <= 1:
        return replace(_one(text), record=record)
    found = [_one(piece) for piece in pieces]
    facts = [each for each in found if each.name is None and each.qualifier is None]
    by_key: dict[str, Attribution] = {}
    for each in found:
        by_key.setdefault(_key(each.name or ""), each)
    named = [each for each in by_key.values() if each.name is not None]
    if not named:
        return Attribution(record, nationality=_first(each.nationality for each in found))
    first = replace(named[0], record=record, others=(*named[0].others, *(str(each.name) for each in named[1:])))
    if facts and first.nationality is None and first.born is None:
        nationality, born, died = _life([each.record for each in facts])
        first = replace(first, nationality=nationality, born=born, died=died)
    is_joint = len(named) > 1 or any(_is_nobody_said(each.record) for each in facts)
    return replace(first, qualifier=first.qualifier or TOGETHER) if is_joint else first


def _apart(text: str) -> list[str]:
    """Split a record of several artists. Separators within brackets do not count; a bracket ends with its line."""
    pieces, start, depth = [], 0, 0
    for found in PARTING.finditer(text):
        if found[0] in OPEN:
            depth += 1
        elif found[0] in CLOSE:
            depth = max(0, depth - 1)
        elif not depth or found[0] == "\n":
            pieces.append(text[start : found.start()].strip())
            start, depth = found.end(), 0
    return [*pieces, text[start:].strip()]


def _joined(text: str) -> list[str]:
    """The artists of `Peter Paul Rubens and Jan Brueghel`; `Gilbert and George`, single words, are one artist."""
    outside, _ = _without_asides(text)
    words = _words(outside)
    if words and words[0].plain in ROLES:  # the Master of Saint Cosmas and Saint Damian is one artist
        return [text]
    for place, word in enumerate(words):
        before, after = words[:place], words[place + 1 :]
        if word.plain in JOINING and len(before) > 1 and len(after) > 1 and not _phrase(after, 0):
            if after[0].plain in SUFFIXES | PREPOSITIONS or _relation(after):
                continue
            if before[-1].plain in (SUFFIXES | PREPOSITIONS) - ENDINGS:
                continue
            return [outside[: word.start].strip(" ,"), *_joined(outside[word.end :].strip(" ,"))]
    return [text]


def _one(text: str) -> Attribution:
    """The record of one artist, or of none."""
    outside, asides = _without_asides(ROLE.sub("", text))
    if not _words(outside):  # all of it in brackets, as what a cataloguer has inferred
        if not asides or not _words(" ".join(asides)):
            return Attribution(text)
        outside, asides = " ".join(asides), []
    said = [part.strip() for aside in asides for part in re.split("[,;]", aside)]
    qualifier = _first(_relation(_words(part)) or ("possibly by" if part == "?" else None) for part in said)
    if "?" in outside and _words(outside):
        qualifier, outside = qualifier or "possibly by", outside.replace("?", " ")
    outside, leading = _without_leading(outside)
    others: tuple[str, ...] = ()
    between = _between(outside)
    if between:
        others, outside, qualifier = (between[0],), between[1], "after"
    parts = [part.strip() for part in outside.split(",")]
    for aside in filter(GENERATION.fullmatch, said):
        parts = [f"{parts[0]} {aside}"] if len(parts) == 1 else [*parts, aside]
    kept, facts = _name_parts([part for part in parts if _words(part)])
    trailing = _first(_relation(_words(part)) for part in kept[1:])
    kept = [part for number, part in enumerate(kept) if not number or not _relation(_words(part))]
    if kept:
        kept[-1], last = _without_trailing(kept[-1])
        trailing = trailing or last
    name = " ".join(", ".join(part for part in kept if part).split()).strip(" ,;:-–—")
    if not _plain(name) or any(_is_nobody([part for part in said if _words(part)]) for said in (parts, kept)):
        return Attribution(text, nationality=_first(word for word in _plain(text) if word in NATIONALITIES))
    return Attribution(text, name, leading or trailing or qualifier, others, *_life([*asides, *facts]))


def _life(about: Sequence[str]) -> tuple[str | None, int | None, int | None]:
    """Nationality, year of birth and year of death in a remark about an artist."""
    lived = [part for part in about if not ACTIVE & set(_plain(part))]
    years = [int(year) for year in re.findall(r"(?<!\d)\d{3,4}(?!\d)", " ".join(lived))]
    words = (" ".join(_plain(piece)) for part in about for piece in re.split("[,;]", part))
    return (
        _first(word for word in words if word in NATIONALITIES),
        years[0] if years else None,
        years[-1] if len(years) > 1 else None,
    )


def _visible(text: str) -> str:
    """The text in composed form without invisible characters, its lines kept separate."""
    lines = re.split(r"[\n\r\v\f\x85\u2028\u2029]+", unicodedata.normalize("NFC", text))
    return "\n".join(
        " ".join(
            "".join(" " if unicodedata.category(c) in ("Cc", "Zs") else c for c in line if not is_hidden(c)).split()
        )
        for line in lines
    ).strip()


def _without_asides(text: str) -> tuple[str, list[str]]:
    """The text outside brackets, and the text inside; a bracket that is not closed runs to the end."""
    outside, asides, depth = [], [], 0
    for character in text:
        if character in OPEN:
            depth += 1
            if depth == 1:
                asides.append("")
                outside.append(" ")
            else:
                asides[-1] += " "
        elif character in CLOSE:
            depth = max(0, depth - 1)
        elif depth:
            asides[-1] += character
        else:
            outside.append(character)
    return "".join(outside), asides


def _without_leading(text: str) -> tuple[str, str | None]:
    """Without `attributed to`, `Umkreis des` and the like before the name, and the qualifier nearest to the name."""
    qualifier = None
    while True:
        words = _words(text)
        found = _phrase(words, 0, text)
        if found is None:
            return text, qualifier
        qualifier, at = found
        text = text[words[at].start :]


def _phrase(words: Sequence[_Word], at: int, text: str | None = None) -> tuple[str, int] | None:
    """The qualifier that a phrase at this word gives to the name behind it, and the word where the name begins."""
    plain = [word.plain for word in words]
    for length in range(min(5, len(plain) - at), 0, -1):
        known = PHRASES.get(tuple(plain[at : at + length]))
        after = at + length
        if known is None or after >= len(plain) or not _is_adjacent(text, words, after - 1):
            continue
        qualifier, needs_preposition = known
        if plain[after] in PREPOSITIONS and after + 1 < len(plain):
            is_master = plain[after + 1] in {"the", "des", "dem", "den"} and after + 2 < len(plain)
            return qualifier, after + (2 if is_master else 1)
        if not needs_preposition:
            return qualifier, after
    return _phrase(words, at + 1, text) if at < len(plain) and plain[at] in ARTICLES else None


def _is_adjacent(text: str | None, words: Sequence[_Word], at: int) -> bool:
    """Whether only a blank, an apostrophe, a full stop or a colon separates a word from the next one."""
    return text is None or not set(text[words[at].end : words[at + 1].start]) - set(" '’.:`´")


def _relation(words: Sequence[_Word]) -> str | None:
    """The qualifier if these words are one and nothing else, as in `X, workshop of` or `X (zugeschrieben)`."""
    plain = [word.plain for word in words]
    while len(plain) > 1 and tuple(plain) not in PHRASES and plain[0] in JOINING | OWN | ARTICLES:
        plain = plain[1:]
    while plain and tuple(plain) not in PHRASES and plain[-1] in PREPOSITIONS | {"by", "the", "des"}:
        plain = plain[:-1]
    known = PHRASES.get(tuple(plain))
    return known[0] if known and not (len(words) == 1 and plain[0] in AMBIGUOUS) else None


def _without_trailing(text: str) -> tuple[str, str | None]:
    """Without `and workshop`, `zugeschrieben`, `-Werkstatt` and the like behind the name."""
    words = _words(text)
    for length in range(min(5, len(words) - 1), 0, -1):
        rest = words[-length:]
        known = _relation(rest)
        if known is None:
            continue
        is_joined = rest[0].plain in JOINING | OWN
        if is_joined or rest[-1].plain in ALONE or "-" in text[words[-length - 1].end : rest[0].start]:
            return text[: rest[0].start].rstrip(" -–—&+/,"), known
    return text, None


def _between(text: str) -> tuple[str, str] | None:
    """`David Teniers after Titian`: who painted it, and after whom."""
    words = _words(text)
    for place, word in enumerate(words[:-1]):
        if place > 0 and word.plain in {"after", "nach", "naar", "apres", "segun"} and text[word.start].islower():
            start = words[place - 1].start if word.plain == "apres" and words[place - 1].plain == "d" else word.start
            hand = text[:start].strip(" ,")
            if len(_plain(hand)) > 1 or "," in text[:start]:
                return hand, text[words[place + 1].start :]
    return None


def _name_parts(parts: Sequence[str]) -> tuple[list[str], list[str]]:
    """The parts between commas, divided into those of the name and those about when and where the artist lived."""
    kept, facts = [], []
    is_turned = len(parts) == 2 and all(len(_plain(part)) == 1 for part in parts)
    for number, part in enumerate(parts):
        plain = _plain(part)
        is_period = bool(PERIODS & set(plain)) or not BORN.isdisjoint(plain[:1])
        # the second of "Law, B." and of "Law, St" is a first name, as that of "Hals, Frans"
        is_dated = bool(re.search(r"\d{2}", part)) or (is_period and not is_turned)
        is_role = ROLES.issuperset(plain) and not is_turned
        if number and (is_dated or is_role or _is_nation(plain, is_turned)):
            facts.append(part)
            continue
        name, dates = _without_dates(part)
        facts += [dates] if dates else []
        kept.append(name)
    return kept, facts


def _is_nation(words: Sequence[str], is_turned: bool) -> bool:
    """Whether a part of a record says where the artist is from; the second of `Hals, Frans` is a first name."""
    if is_turned:
        return False
    return any(word in NATIONALITIES for word in words) and all(word in NATIONALITIES | DIRECTIONS for word in words)


def _without_dates(part: str) -> tuple[str, str]:
    """`Claude Monet 1840-1926` without the years, unless they belong to the name, as in `Master of 1518`."""
    found = YEARS.search(part)
    if not found:
        return part, ""
    before = part[: found.start()].rstrip(" ,*†~(-–—")
    words = _plain(before)
    if not words or words[-1] in PREPOSITIONS | {"the", "year"}:
        return part, ""
    if ROLES.issuperset(words) and found[0].strip().isdecimal():  # an "artist 0012" of a data set
        return part, ""
    if len(words) > 2 and words[-1] in NATIONALITIES:
        before = before[: _words(before)[-1].start].rstrip()
    return before, found[0]


def _is_nobody(parts: Sequence[str]) -> bool:
    """Whether a record, cut at its commas, names nobody in particular."""
    words = [_plain(part) for part in parts]
    every = tuple(word for part in words for word in part)
    if not every:
        return True
    if _says_nobody(every[0]) or (len(words) == 1 and _says_nobody(every[-1])):
        return True
    if " ".join(every) in NOBODY_ALONE or "".join(every) in NOBODY_ALONE:
        return True
    is_dated = not ROLES & set(every) or bool(PERIODS & set(every))  # an "artist 0012" of a data set is somebody
    if len(every) == 1 and every[0].isdecimal():
        return False
    named = [
        word
        for word in every
        if word not in DESCRIPTIVE and not _says_nobody(word) and not (is_dated and word[0].isdecimal())
    ]
    if not named and (OF_A_YEAR.search(" ".join(every)) or all(w in PREPOSITIONS for w in every)):
        return False  # the Master of 1518 is somebody
    if not named or " ".join(named) in NOBODY_ALONE:
        return True
    return len(words) == 2 and any(
        any(map(_says_nobody, part)) and all(_says_nobody(word) or word in DESCRIPTIVE for word in part)
        for part in words
    )


def _says_nobody(word: str) -> bool:
    return word.startswith(NOBODY)


def _is_nobody_said(record: str) -> bool:
    return any(map(_says_nobody, _plain(record)))


def _key(name: str) -> str:
    """A name as plain words in spoken order: `Bruegel, Pieter, the Elder` becomes `pieter bruegel the elder`."""
    last, *more = [part for part in name.split(",") if part.strip()] or [""]
    suffixes = [
        part
        for part in more
        if set(_plain(part)) <= SUFFIXES
        and set(_plain(part)) & SUFFIX_WORDS
        and (len(more) > 1 or len(_plain(part)) > 1)
    ]  # alone it is a first name, as in "Spencer, Elder"
    firsts = [part for part in more if part not in suffixes]
    words = _plain(" ".join([*firsts, last, *suffixes]))
    return " ".join([word for word in words if word not in TITLES] or words)


def _first(values: Iterable[Any]) -> Any:
    return next((value for value in values if value is not None), None)
