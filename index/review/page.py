"""A page to read, print and send by mail: one self-contained file with its pictures.

The template is page.html.j2; it escapes all text from tables. The content comes from folder.py (a review) and notes.py
(one question).
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from pathlib import Path

from ...embedder.locations import Reader
from ...embedder.pictures.images import Source, picture
from ...errors import ArtidxError, MissingPackage, UnreadableImage
from ...files import write_atomically
from ..storage.vector_store import Painting

LARGE, SMALL = 360, 200  # pixels: of the work in question, and of the evidence for an artist
QUALITY = 80
TITLE = 45  # characters

LIMITS = (
    "This was made by a program that compares photographs. It suggests what to look at. It is not an attribution, and "
    "not evidence for one: the program knows nothing of provenance, signatures, technique or condition.",
    "Artists are compared by how their works look in photographs. Followers, workshops and contemporaries look like "
    "the master. A subject, a format or a way of photographing can look like a hand.",
    "Probabilities assume that half of the works asked about are by artists in the index. An artist who is not in it "
    "is never named.",
)


@dataclass(frozen=True)
class Shown:
    """A picture as a data: address, or none, and its caption."""

    source: str | None
    caption: str


@dataclass(frozen=True)
class Group:
    """Pictures below a heading."""

    heading: str
    pictures: tuple[Shown, ...]


@dataclass(frozen=True)
class Card:
    """One finding."""

    heading: str
    asked: tuple[Shown, ...]
    lines: tuple[str, ...] = ()
    groups: tuple[Group, ...] = ()
    remarks: tuple[str, ...] = ()
    number: str | None = None


@dataclass(frozen=True)
class Section:
    """Cards of one kind."""

    heading: str
    lines: tuple[str, ...]
    cards: tuple[Card, ...]


@dataclass(frozen=True)
class Page:
    """Everything on the page, as text; facts: (name, value)."""

    title: str
    facts: tuple[tuple[str, str], ...]
    lead: tuple[str, ...]
    sections: tuple[Section, ...]
    limits: tuple[str, ...]


@dataclass
class Pictures:
    """Pictures of paintings, each scaled once."""

    reader: Reader
    _made: dict[tuple[str, int], str | None] = field(default_factory=dict)

    def of(self, painting: Painting, side: int, caption: str) -> Shown:
        key = (painting.path, side)
        if key not in self._made:
            self._made[key] = self._read(painting.path, side) if painting.path else None
        return Shown(self._made[key], caption)

    def _read(self, path: str, side: int) -> str | None:
        try:
            with self.reader.open(path) as stream:
                return data_address(stream, side)
        except ArtidxError:
            return None


def data_address(image: Source, side: int) -> str | None:
    """The picture, scaled down, as a data: address; None if it cannot be read."""
    stream = io.BytesIO()
    try:
        picture(image, side).save(stream, "JPEG", quality=QUALITY)
    except UnreadableImage:
        return None
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


def write_page(page: Page, target: Path) -> None:
    """Write the page. Raises MissingPackage without Jinja2."""
    try:
        from jinja2 import Environment, StrictUndefined
    except ModuleNotFoundError:
        raise MissingPackage("a page needs Jinja2; pip install 'artidx[review]'") from None
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string(Path(__file__).with_name("page.html.j2").read_text("utf-8"))
    write_atomically(target, template.render(page=page).encode("utf-8", "replace"))


def described(painting: Painting, number: str | None = None) -> str:
    """Artist, title, year and number of a painting in one line."""
    year = f" ({painting.year})" if painting.year else ""
    return f"{painting.by}{f', {painting.title}' if painting.title else ''}{year} [{number or painting.id}]"


def titled(painting: Painting, number: str | None = None) -> str:
    """Title, year and number as a caption below the artist's name, with the record if it is qualified."""
    title = painting.title or ""
    title = title if len(title) <= TITLE else f"{title[: TITLE - 1]}…"
    parts = [painting.by if painting.by != painting.artist else "", title, str(painting.year or "")]
    return f"{', '.join(part for part in parts if part)} [{number or painting.id}]".strip()
