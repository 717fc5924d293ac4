"""Shared by pair and nearest: opening the index, reading an image from stdin, a painting in words."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..embedder.pictures.images import MAX_PIXELS, file_limit_bytes
from ..embedder.runtime import Embedder
from ..errors import BadSetting
from ..index.answers.search import RankedArtist
from ..index.answers.wording import percent
from ..index.opened import Index
from ..index.sources import Source
from ..index.storage.vector_store import Painting
from .options import asked_index
from .output import note

if TYPE_CHECKING:
    from ..client import Client
    from ..index.review.findings import Candidate

STDIN = "-"
TOKEN = "ARTIDX_TOKEN"  # noqa: S105  # the name of a variable
TITLE = 60  # characters shown


def open_service(named: Source | str | None, *locally: tuple[str, object]) -> Client | None:
    """The service that is named; None if an index is. locally: options that a service does not have, with their values.

    Raises UsageError if one of them was given.
    """
    if not isinstance(named, str):
        return None
    if given := [option for option, value in locally if value]:
        raise click.UsageError(f"{given[0]} works with an index here, not with a service")
    from ..client import Client

    return Client(named, token=os.environ.get(TOKEN))


def open_index(named: Source | None, model: str | None, device: str) -> Index:
    """The index, with the given model if there is one. named: None for the usual one, else the reference gallery."""
    source = asked_index(named)
    embedder = Embedder.load(model, device=device) if model else None
    index = Index.open(source, embedder=embedder, device=device)
    if source is None:
        note(f"against the reference gallery: {len(index):,} paintings by {index.manifest.artists:,} artists")
    return index


def pixel_limit(max_pixels: int | None) -> int:
    """--max-pixels, or its default."""
    return MAX_PIXELS if max_pixels is None else max_pixels


def checked(names: Sequence[str], wanted: int, listed: Path | None, option: str) -> None:
    """Raises UsageError unless there are `wanted` names, or none and a file of names."""
    if len(names) != (0 if listed else wanted):
        raise click.UsageError(f"name {'one painting' if wanted == 1 else 'two paintings'}, or give {option}, not both")


def images(*names: str, max_pixels: int) -> list[str | bytes]:
    """Each name, or the bytes on stdin for `-`."""
    if names.count(STDIN) > 1:
        raise BadSetting("- means the image on stdin, and there is only one")
    if STDIN in names and sys.stdin is None:
        raise BadSetting("- means an image on stdin, which is closed")
    return [sys.stdin.buffer.read(file_limit_bytes(max_pixels) + 1) if name == STDIN else name for name in names]


def named(painting: Painting) -> str:
    """`Claude Monet, Water Lilies (1906)` and the id; `Follower of Claude Monet` if that is the record.

    A painting without a local image is followed by its web address.
    """
    year = f" ({painting.year})" if painting.year else ""
    title = painting.title or ""
    title = f", {title if len(title) <= TITLE else title[: TITLE - 1] + '…'}" if title else ""
    address = f"  {painting.url}" if painting.url and not painting.path else ""
    return f"{painting.by}{title}{year}  [{painting.id}]{address}"


def ranked(artists: Sequence[RankedArtist | Candidate]) -> str:
    """`Claude Monet 61%, Alfred Sisley 20%`."""
    return ", ".join(f"{a.artist} {percent(a.probability)}" for a in artists) or "nobody"


def note_without_geometry(which: str) -> None:
    """A note if two paintings are very near, but OpenCV is missing to compare their pictures."""
    from ..index.answers.same_picture import has_geometry

    if not has_geometry():
        note(f"{which} may show the same picture; pip install 'artidx[review]' to check that")


def note_shown(counts: tuple[int, int]) -> None:
    """A line on how many paintings a IIIF manifest shows, and how many it cannot."""
    shown, others = counts
    note(f"{shown:,} paintings for a IIIF viewer" + (f"; {others:,} have no address there" if others else ""))
