"""A file note: the answer to one question as a page, with the pictures that are its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from ...embedder.locations import Reader
from ...embedder.runtime import ImageLike
from ...errors import ArtidxError
from ..answers.search import Answer, RankedArtist
from ..answers.verify import Side, Verdict
from ..answers.wording import Summary, percent
from ..storage.vector_store import Painting
from .page import (
    LARGE,
    LIMITS,
    SMALL,
    Card,
    Group,
    Page,
    Pictures,
    Section,
    Shown,
    data_address,
    described,
    titled,
    write_page,
)

DRAWN = 6  # artists with pictures
NEIGHBOURS = 6


def write_pair(verdict: Verdict, images: Sequence[ImageLike], index: str, target: Path) -> None:
    """Write the note on `artidx pair`. images: the two that were asked about. Raises MissingPackage."""
    with Reader() as reader:
        pictures = Pictures(reader)
        asked = tuple(
            _asked(image, side, letter, pictures)
            for image, side, letter in zip(images, (verdict.a, verdict.b), "AB", strict=True)
        )
        shared = tuple(
            pictures.of(each.painting, SMALL, described(each.painting)) for each in verdict.shared[:NEIGHBOURS]
        )
        sections = [
            Section("The two paintings", (), (Card(verdict.summary.headline, asked, _sentences(verdict.summary)),))
        ]
        sections += [
            Section(
                f"Artists near to {letter}, without the other painting",
                (),
                (
                    Card(
                        side.name,
                        (picture,),
                        (),
                        _groups(side.artists, pictures),
                        (f"None of the artists here: {percent(side.unknown)}.",),
                    ),
                ),
            )
            for letter, side, picture in zip("AB", (verdict.a, verdict.b), asked, strict=True)
        ]
        if shared:
            sections.append(Section("Neighbours of both", (), (Card("", shared[:2], (), (Group("", shared[2:]),)),)))
        write_page(
            Page(
                "Were these painted by one artist?",
                _facts(index, verdict.model, verdict.generation),
                (),
                tuple(sections),
                (*LIMITS, f"Measured on {verdict.measured_on}."),
            ),
            target,
        )


def write_nearest(answer: Answer, image: ImageLike, painting: Painting | None, index: str, target: Path) -> None:
    """Write the note on `artidx nearest`. painting: of the index, if the query was one.

    Raises MissingPackage.
    """
    with Reader() as reader:
        pictures = Pictures(reader)
        lines = tuple(f"This and {described(twin.painting)} {twin.how.says}." for twin in answer.one_picture)
        headline = answer.query if answer.summary is None else answer.summary.headline
        lines += () if answer.summary is None else _sentences(answer.summary)
        shown = (
            Shown(_source(image), answer.query)
            if painting is None
            else (pictures.of(painting, LARGE, described(painting)))
        )
        groups = _groups(answer.artists, pictures) or (
            Group(
                "Nearest paintings",
                tuple(
                    pictures.of(each.painting, SMALL, described(each.painting))
                    for each in answer.paintings[:NEIGHBOURS]
                ),
            ),
        )
        further = ", ".join(f"{each.artist} {percent(each.probability)}" for each in answer.artists[DRAWN:])
        remarks = (f"Further: {further}.",) if further else ()
        write_page(
            Page(
                "Who might have painted this?",
                _facts(index, answer.model, answer.generation),
                (),
                (Section("What the index says", (), (Card(headline, (shown,), lines, groups, remarks),)),),
                LIMITS,
            ),
            target,
        )


def _groups(artists: Sequence[RankedArtist], pictures: Pictures) -> tuple[Group, ...]:
    return tuple(
        Group(
            f"{each.artist} {percent(each.probability)}",
            tuple(
                pictures.of(neighbour.painting, SMALL, titled(neighbour.painting)) for neighbour in each.paintings[:2]
            ),
        )
        for each in artists[:DRAWN]
    )


def _sentences(summary: Summary) -> tuple[str, ...]:
    return (*summary.notes, *summary.details)


def _asked(image: ImageLike, side: Side, letter: str, pictures: Pictures) -> Shown:
    caption = f"{letter}: {described(side.painting) if side.painting else side.name}"
    if side.painting is not None:
        return pictures.of(side.painting, LARGE, caption)
    return Shown(_source(image), caption)


def _source(image: ImageLike) -> str | None:
    try:
        if isinstance(image, str):
            with Reader() as reader, reader.open(image) as stream:
                return data_address(stream, LARGE)
        return data_address(image, LARGE)
    except ArtidxError:
        return None


def _facts(index: str, model: str, generation: int) -> tuple[tuple[str, str], ...]:
    return (
        ("Index", f"{index}, generation {generation}"),
        ("Made", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"),
        ("Model", model[:12]),
    )
