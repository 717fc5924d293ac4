"""review.xlsx: one row per photograph in question, with an empty column for the decision, which artidx label reads."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...embedder.catalogs.catalog import DECISION
from ...errors import MissingPackage
from ...files import write_atomically
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
WIDTHS = {"title": 36, "current attribution": 32, DECISION: 32, "remark": 24, "how": 24, "photograph": 22}


def write_sheet(review: Review, target: Path) -> None:
    """Text is written as text: a cell that begins with = is no formula. Raises MissingPackage."""
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
    for finding in review.findings:
        ranks[finding.kind] = ranks.get(finding.kind, 0) + 1
        for row in _rows(finding, ranks[finding.kind]):
            sheet.append([cell(row.get(heading)) for heading in HEADINGS])
    stream = io.BytesIO()
    book.save(stream)
    write_atomically(target, stream.getvalue())


def _rows(finding: Finding, rank: int) -> Iterator[dict[str, object]]:
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
