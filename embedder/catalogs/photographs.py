"""Find the file that a table means: names differ in composition, case, slashes and blanks, and in their starting
folder.

The exact name counts first. Then the same name with composed letters, whatever its case, and last the file's name
alone, anywhere below the folders that were named for photographs; if two files match a name, none is taken.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from urllib.parse import unquote

from ...plain_text import is_text
from ..locations import is_remote
from ..pictures.formats import is_read, unread
from .leftovers import NOT_UTF_8, LeftAlone, walk
from .letters import composed, folded


class Photographs:
    """The files below some folders, or addresses, by their names."""

    def __init__(self, folders: Sequence[str], is_deep: bool, left: LeftAlone) -> None:
        """is_deep: search everywhere below the folders; else only in them, and where a name points to."""
        self.folders, self.is_deep = folders, is_deep
        self._left = left
        self._listings: dict[str, dict[str, list[str]]] = {}
        self.problems: list[tuple[str, str]] = []
        self._used: set[str] = set()

    def find(self, name: str) -> tuple[str, str | None]:
        """Where the photograph of this name is, or would be; and the problem with the name, if there is one."""
        if is_remote(name):
            return name, None
        for folder in self.folders:
            location = _joined(folder, name)
            if is_remote(folder) or _is_there(location):
                self._use(location)
                return location, None
        plain = composed(name).strip(" \"'").replace("\\", "/")
        found = self._by_path(plain) or self._by_name(plain)
        if not found and "%" in plain and (said := composed(unquote(plain))) != plain:  # %20 and the like
            found = self._by_path(said) or self._by_name(said)
        best = _nearest(plain, [path for path in found if is_text(path)])
        if len(best) == 1:
            self._use(best[0])
            return best[0], None
        location = _joined(self.folders[0], plain)
        if best:
            return location, f"two files go by this name: {best[0]} and {best[1]}; write its folder, too"
        return location, None

    def of_objects(self, numbers: Iterable[str]) -> dict[str, list[str]]:
        """Photographs by the object whose number their name begins with: 43_13_detail.jpg shows 43.13."""
        known = {_signature(number): number for number in numbers if _signature(number)}
        found: dict[str, list[str]] = defaultdict(list)
        for path in self._files:
            words = _signature(os.path.splitext(os.path.basename(path))[0]).split(" ")
            for length in range(len(words), 0, -1):
                if number := known.get(" ".join(words[:length])):
                    if is_text(path):
                        found[number].append(path)
                        self._use(path)
                    else:
                        self.problems.append((ascii(path), NOT_UTF_8))
                    break
        return dict(found)

    @property
    def unused(self) -> int:
        """How many photographs below the folders were not asked for."""
        return len({path for path in self._files if path not in self._used}) if self.is_deep else 0

    def _use(self, path: str) -> None:
        if self.is_deep:  # else nobody asks for it
            self._used.add(path)

    def _by_path(self, name: str) -> list[str]:
        """Files of this name below the folders, each part of it compared."""
        starts = ["/"] if name.startswith("/") else [folder for folder in self.folders if not is_remote(folder)]
        *above, last = [part for part in name.split("/") if part not in ("", ".")] or [""]
        for part in above:
            starts = [
                os.path.join(start, each)
                for start in starts
                for each in ([".."] if part == ".." else self._listing(start).get(_key(part), []))
            ]
        return [os.path.join(start, each) for start in starts for each in self._listing(start).get(_key(last), [])]

    def _by_name(self, name: str) -> list[str]:
        last = name.rpartition("/")[2]
        if not self.is_deep:  # a drive, or parent folders, that are not here: try ever shorter ends of the path
            _, *parts = name.split("/")
            ways = ["/".join(parts[start:]) for start in range(len(parts)) if parts[start] != ".."]
            return next((found for way in ways if (found := self._by_path(way.lstrip("/")))), [])
        ways = [way for way in self._by_file_name.get(_key(last), []) if _key(way).endswith(_key(name.lstrip("/")))]
        found = ways or self._by_file_name.get(_key(last), [])
        if not found and not is_read(last) and unread(last) is None:
            found = self._by_stem.get(_key(last), [])
        return found

    def _listing(self, folder: str) -> dict[str, list[str]]:
        if folder not in self._listings:
            names: dict[str, list[str]] = defaultdict(list)
            try:
                for name in sorted(os.listdir(folder)):
                    names[_key(name)].append(name)
            except (OSError, ValueError):
                names = {}
            self._listings[folder] = dict(names)
        return self._listings[folder]

    @cached_property
    def _files(self) -> list[str]:
        return [
            os.path.join(folder, name)
            for root in self.folders
            if not is_remote(root)
            for folder, name in walk(root, self._left, self.problems)
        ]

    @cached_property
    def _by_file_name(self) -> dict[str, list[str]]:
        return self._grouped(os.path.basename)

    @cached_property
    def _by_stem(self) -> dict[str, list[str]]:
        return self._grouped(lambda path: os.path.splitext(os.path.basename(path))[0])

    def _grouped(self, name: Callable[[str], str]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for path in self._files:
            found[_key(name(path))].append(path)
        return dict(found)


def names_in(cell: str) -> list[str]:
    """The names in a cell: several where each is a picture's, as in `a.jpg; b.jpg`."""
    names = [name.strip() for name in re.split(r"[;|\n\r]", cell) if name.strip()]
    return names if len(names) > 1 and all(is_read(name) or unread(name) for name in names) else [cell]


def nearest_name(name: str) -> str | None:
    """The file that a missing name probably means, compared as the names in tables are; None if there is none."""
    if not composed(name).strip("/\\."):
        return None
    location, problem = Photographs(["."], False, LeftAlone()).find(name)
    return os.path.normpath(location) if problem is None and os.path.isfile(location) else None


def spellings(name: str) -> Iterator[str]:
    """A name as it is, and as it may be written elsewhere: composed or not, its slashes, the case of its ending."""
    plain = composed(name).replace("\\", "/")
    stem, ending = os.path.splitext(plain)
    for each in dict.fromkeys((name, composed(name), plain, stem + ending.lower(), stem + ending.upper())):
        yield from dict.fromkeys((each, unicodedata.normalize("NFD", each)))


def _joined(folder: str, name: str) -> str:
    if is_remote(folder):
        return f"{folder.rstrip('/')}/{name.lstrip('/')}"
    return os.path.join(folder, name) if name else folder


def _is_there(location: str) -> bool:
    try:
        return os.path.lexists(location)
    except ValueError:  # a zero in the name
        return False


def _key(name: str) -> str:
    return composed(name).casefold()


def _nearest(name: str, paths: Sequence[str]) -> list[str]:
    """Of several files with similar names, the most similar."""
    last = name.rpartition("/")[2]
    stem = os.path.splitext(last)[0]
    found = sorted(set(paths))
    if len(found) > 1:
        found = [path for path in found if composed(os.path.basename(path)) == last] or found
    if len(found) > 1:
        found = [path for path in found if composed(os.path.splitext(os.path.basename(path))[0]) == stem] or found
    return found


def _signature(text: str) -> str:
    return " ".join(re.findall(r"[^\W_]+", folded(text)))
