"""review.xlsx: one row per photograph in question, with an empty column for the decision, which artidx label reads.

Whoever writes the current attribution there has decided to leave the record as it is (`left_in`).
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ...embedder.catalogs.attribution import artist_key, attribution
from ...embedder.catalogs.catalog import DECISION
from ...embedder.catalogs.tables import read_table
from ...errors import MissingPackage
from ...files import write_atomically
from .decisions import ACCEPTED, LEFT, Decision, key_of
from .findings import NAMED, Finding, Review

REFERENCE = 2  # artists of the reference gallery
HEADINGS = (
    "id",
    "object number",
    "kind",
    "rank",
    "photograph",
    "title",
    "current attribution",
    DECISION,
    "remark",
    "decided before",
    "shows one picture with",
    "how",
    "expected to be right",
    *(heading for number in range(1, NAMED + 1) for heading in (f"candidate {number}", f"probability {number}")),
    "none of these",
    *(
        heading
        for number in range(1, REFERENCE + 1)
        for heading in (f"reference gallery {number}", f"its probability {number}")
    ),
)
WIDTHS = {
    "title": 36,
    "current attribution": 32,
    DECISION: 32,
    "remark": 24,
    "decided before": 32,
    "how": 24,
    "photograph": 22,
}


def write_sheet(review: Review, target: Path, decided: Sequence[tuple[Finding, Decision]] = ()) -> None:
    """Text is written as text: a cell that begins with = is no formula. decided: findings for the last rows. Raises
    MissingPackage."""
    try:
        from openpyxl import Workbook
        from openpyxl.cell import WriteOnlyCell
        from openpyxl.styles import Font
        from openpyxl.utils import get_column_letter
    except ModuleNotFoundError:
        raise MissingPackage("a spreadsheet needs openpyxl; pip install 'artidx[review]'") from None
    book = Workbook(write_only=True)
    sheet = book.create_sheet("Review")
    sheet.freeze_panes = "C2"
    for number, heading in enumerate(HEADINGS, start=1):
        sheet.column_dimensions[get_column_letter(number)].width = WIDTHS.get(heading, 16)

    def cell(value: Any, is_heading: bool = False) -> Any:
        made = WriteOnlyCell(sheet, value=None)
        if isinstance(value, str):
            made.value = "".join(c for c in value if c.isprintable())[:32_000]  # limit of a cell
            made.data_type = "s"
        elif isinstance(value, float):
            made.value, made.number_format = value, "0%"
        else:
            made.value = value
        if is_heading:
            made.font = Font(bold=True)
        return made

    sheet.append([cell(heading, True) for heading in HEADINGS])
    ranks: dict[str, int] = {}
    for finding, decision in (*((finding, None) for finding in review.findings), *decided):
        ranks[finding.kind] = ranks.get(finding.kind, 0) + 1
        for row in _rows(finding, ranks[finding.kind], decision):
            sheet.append([cell(row.get(heading)) for heading in HEADINGS])
    stream = io.BytesIO()
    book.save(stream)
    write_atomically(target, stream.getvalue())


def left_in(sheet: Path, by: str, at: str, encoding: str | None = None) -> list[Decision]:
    """The findings of a review's table in which somebody has written the current attribution for every record; none of
    another table. Raises BadCatalog.
    """
    rows = read_table(sheet, encoding).fillna("")
    if not {"kind", "rank", "object number", "current attribution", DECISION} <= {*rows.columns}:
        return []
    left = []
    for _, finding in rows.groupby(["kind", "rank"], sort=False):
        said, records = finding[DECISION].str.strip().tolist(), finding["current attribution"].tolist()
        if all(one and _is_same(one, record) for one, record in zip(said, records, strict=True)):
            kind, objects = str(finding["kind"].iloc[0]), finding["object number"].tolist()
            now = [one if attribution(one).name else None for one in said]  # the records, once they are labels
            note = next((remark for remark in finding.get("remark", ()) if remark), None)
            left.append(
                Decision(key_of(kind, objects, now), kind, tuple(objects), tuple(now), LEFT, None, note, by, at)
            )
    return left


def _is_same(said: str, record: str | None) -> bool:
    """Whether two texts attribute a work to the same artists in the same way; no text attributes it to nobody."""
    one, other = attribution(said), attribution(record or "")
    names = [[artist_key(name) for name in (each.name, *each.others)] for each in (one, other)]
    return names[0] == names[1] and one.qualifier == other.qualifier


def _rows(finding: Finding, rank: int, decision: Decision | None) -> Iterator[dict[str, object]]:
    for number, (painting, name, record) in enumerate(
        zip(finding.paintings, finding.objects, finding.records, strict=True)
    ):
        row: dict[str, object] = {
            "id": painting.id,
            "object number": name,
            "kind": finding.kind,
            "rank": rank,
            "photograph": painting.path.replace("\\", "/").rpartition("/")[2],
            "title": painting.title,
            "current attribution": record,
            "decided before": decision and _said(decision),
            "how": finding.how,
            "expected to be right": finding.expected_false,
            "shows one picture with": finding.objects[1 - number] if len(finding.objects) == 2 else None,
            "none of these": finding.unknown,
        }
        for place, each in enumerate(finding.candidates, start=1):
            row |= {f"candidate {place}": each.artist, f"probability {place}": each.probability}
        for place, each in enumerate(finding.reference[:REFERENCE], start=1):
            row |= {f"reference gallery {place}": each.artist, f"its probability {place}": each.probability}
        yield row


def _said(decision: Decision) -> str:
    """`left as it is by Anna, 2026-11-30: seen in Ghent`."""
    if decision.artist:
        what = f"accepted as {decision.artist}"
    else:
        what = "accepted" if decision.state == ACCEPTED else "left as it is"
    return f"{what} by {decision.by}, {decision.at[:10]}{f': {decision.note}' if decision.note else ''}"
