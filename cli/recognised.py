"""Show how a source was understood, before hours are spent on it."""

from __future__ import annotations

from pathlib import Path

from ..embedder.catalogs.catalog import Catalog
from ..embedder.catalogs.tables import guessed_encoding
from .output import note

SHOWN = 5  # names of objects or files; --json has them all
WORDS = {
    "path": "photograph",
    "object": "object",
    "id": "id",
    "artist": "artist",
    "qualifier": "qualifier",
    "artist_id": "artist's number",
    "title": "title",
    "year": "year",
}


def note_recognised(catalog: Catalog) -> None:
    """A short table on stderr: the columns, how many rows have a photograph, the attributions."""
    found = catalog.recognised
    if found is not None:
        where = ", ".join(
            part
            for part in (
                f"sheet {found.sheet}" if found.sheet else "",
                found.encoding or "",
                f"headings in line {found.line}" if found.line > 1 else "",
            )
            if part
        )
        note(f"{catalog.source}{f' ({where})' if where else ''}: {found.rows:,} {found.of}{'s' * (found.rows != 1)}")
        if catalog.is_guessed_encoding:
            note(f"  {_guessed(found.encoding)}")
        for ours, word in WORDS.items():
            if ours in found.columns:
                note(f"  {word:<16} {found.columns[ours]}")
        left = [name for name in found.headings if name not in found.columns.values()]
        if left:
            note(f"  {'kept as labels':<16} {', '.join(left[:SHOWN])}{', ...' if len(left) > SHOWN else ''}")
        note(
            f"photographs in {', '.join(found.folders)}: {found.photographs:,} found"
            + _some(", not found", found.missing)
            + _some(", none yet", found.without)
            + (f", in no row {found.unused:,}" if found.unused else "")
        )
        records = catalog.table["attribution"]
        qualified = int(catalog.table["qualifier"].notna().sum())
        attributed = int((catalog.table["artist"].notna() & catalog.table["qualifier"].isna()).sum())
        note(
            f"attributions: {attributed:,} to an artist, {qualified:,} qualified (attributed to, workshop of, after "
            f"...), {int(records.notna().sum()) - attributed - qualified:,} to nobody, "
            f"{int(records.isna().sum()):,} empty"
        )
    if catalog.warning:
        note(f"WARNING: {catalog.warning}")


def note_guess(table: Path, encoding: str | None) -> None:
    """A line on stderr if the encoding of a table or list of names was guessed; encoding: as given by the user."""
    if found := guessed_encoding(table, encoding):
        note(f"{table}: {_guessed(found)}")


def _guessed(encoding: str | None) -> str:
    return f"letters read as {encoding}, a guess: where names look wrong, say what it is with --encoding"


def _some(what: str, names: tuple[str, ...]) -> str:
    if not names:
        return ""
    return f"{what} {len(names):,} ({', '.join(names[:SHOWN])}{', ...' if len(names) > SHOWN else ''})"
