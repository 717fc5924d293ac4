"""Tables as people have them, for every command that takes one: .csv, .tsv, .txt, .xlsx, .ods; any encoding or
separator.

Rows come one by one as text under the table's headings, which may be below other lines; empty rows are left out. Bytes,
cells and columns are bounded, and nothing in a table is ever executed: a formula counts as the value that a spreadsheet
program has stored. Does not know what a column means (headings.py, catalog.py).
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from itertools import chain, islice
from pathlib import Path
from typing import Any, cast
from xml.parsers import expat

import pandas as pd

from ...errors import BadCatalog, BadSetting
from .encodings import CERTAIN, encoding_of
from .headings import recognised
from .on_disk import in_blocks, on_disk

FRAME = "DataFrame"  # the name of a catalog that was given as a DataFrame
TEXT_ENDINGS = (".csv", ".tsv", ".txt", ".tab")
SHEET_ENDINGS = (".xlsx", ".xlsm", ".ods", ".xls")  # .xls only if it is really text, as some systems export it
MAX_TABLE_BYTES = 1 << 30
MAX_UNPACKED_BYTES = 512 << 20  # of a spreadsheet, which is a zip archive
MAX_CELLS = 5_000_000  # of a sheet: a million rows of five columns, 400 MB while they are read
MAX_COLUMNS = 2000
MAX_FIELD = 1 << 20  # characters; a longer one is a quote that is never closed
HEAD = 30  # rows among which the headings are looked for
SAMPLE = 1 << 16  # characters from which the separator is guessed
SEPARATORS = ",;\t|"
END = "\x1cend\x1c"  # appended as a last line: it is read back unchanged unless a quote is still open
ZIP, OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
Row = tuple[int, Sequence[str]]  # the number of its first line in the file, and its cells


@dataclass(frozen=True)
class Table:
    """A table that can be read. headings: of its columns, unique, none empty; line: their line; encoding and separator
    of a text, sheet of a spreadsheet."""

    path: Path
    headings: tuple[str, ...]
    line: int
    encoding: str | None = None
    separator: str | None = None
    sheet: str | None = None
    kept: Sequence[Row] = field(default=(), repr=False)  # of a spreadsheet, which is read all at once

    def rows(self) -> Iterator[Row]:
        """The rows below the headings, of the same width. Raises BadCatalog with the line of the problem."""
        width = len(self.headings)
        for line, cells in self._all_rows():
            if line <= self.line or not any(cells):
                continue
            if any(cells[width:]):
                raise BadCatalog(
                    f"{self.path}: line {line} has {len(cells)} fields, the header {width}; put quotes "
                    f"around text with a {self.separator!r} in it"
                )
            yield line, [*cells[:width], *[""] * (width - len(cells))]

    def frame(self) -> pd.DataFrame:
        """All rows, by the numbers of their lines, their text on disk. Of several columns with one heading the first
        counts."""
        blocks = in_blocks(self.rows(), self.headings)
        return on_disk(block.loc[:, ~block.columns.duplicated()] for block in blocks)

    def _all_rows(self) -> Iterator[Row]:
        if self.separator is None:
            return iter(self.kept)
        return _text_rows(self.path, self.encoding or "utf-8", self.separator)


@dataclass(frozen=True)
class FrameTable(Table):
    """A user's DataFrame, with the interface of a text table."""

    given: pd.DataFrame = field(default_factory=pd.DataFrame)

    def frame(self) -> pd.DataFrame:
        return self.given


def table_of(frame: pd.DataFrame, name: str) -> FrameTable:
    """name: of the DataFrame in messages."""
    cells = frame.convert_dtypes()  # whole numbers with gaps stay whole
    cells = cells.astype(object).where(cells.notna(), "").astype(str)
    cells.columns = [str(heading).strip() for heading in cells.columns]
    cells = cells.loc[:, ~cells.columns.duplicated()]
    return FrameTable(Path(name), tuple(cells.columns), 0, given=cells.set_axis(range(1, len(cells) + 1)))


def is_table(name: str) -> bool:
    """Whether a file of this name is read as a table."""
    return name.lower().endswith((*TEXT_ENDINGS, *SHEET_ENDINGS))


def open_table(path: Path, encoding: str | None = None) -> Table:
    """Find the headings of a table and its encoding. Raises BadCatalog; BadSetting for an unknown encoding."""
    try:
        return _opened(path, encoding)
    except (BadCatalog, BadSetting):
        raise
    except FileNotFoundError:
        raise BadCatalog(f"{path}: no such file") from None
    except (OSError, UnicodeError, ValueError, csv.Error) as problem:
        raise BadCatalog(f"{path}: cannot be read: {' '.join(str(problem).split())[:200]}") from None


def guessed_encoding(path: Path, encoding: str | None = None) -> str | None:
    """The encoding of a table or list of names if it is a guess from how the words look, which may mistake Greek or
    Chinese for others. None if it is known, or given."""
    if encoding is not None or not path.is_file():
        return None
    with path.open("rb") as stream:
        if stream.read(4) in (ZIP, OLE[:4]):
            return None
    found = encoding_of(path)
    return None if found in CERTAIN else found


def read_table(path: Path, encoding: str | None = None) -> pd.DataFrame:
    """All of a table, as text. Raises BadCatalog."""
    table = open_table(path, encoding)
    try:
        return table.frame()
    except (OSError, UnicodeError, ValueError, csv.Error) as problem:
        raise BadCatalog(f"{path}: cannot be read: {' '.join(str(problem).split())[:200]}") from None


def _opened(path: Path, encoding: str | None) -> Table:
    if not path.is_file():
        raise BadCatalog(f"{path}: no such file, or not a plain one")
    if path.stat().st_size > MAX_TABLE_BYTES:
        raise BadCatalog(f"{path}: over {MAX_TABLE_BYTES >> 30} GB; split the table")
    with path.open("rb") as stream:
        start = stream.read(4096)
    if start.startswith(OLE):
        raise BadCatalog(
            f"{path}: an Excel file from before 2007, or one with a password; save it as .xlsx without a password"
        )
    if start.startswith(ZIP):
        sheets = _sheets(path)
        found = {name: _headings(islice(rows, HEAD)) for name, rows in sheets.items()}
        name = max(found, key=lambda name: recognised(found[name][1]))
        line, cells = found[name]
        width = max(len(cells) for _, cells in sheets[name])
        return Table(path, _named(path, [*cells, *[""] * (width - len(cells))]), line, sheet=name, kept=sheets[name])
    if re.match(rb"\s*(?:\xef\xbb\xbf)?<(?:!doctype|html|table|\?xml)", start, re.IGNORECASE):
        raise BadCatalog(f"{path}: an HTML or XML page; save it as .xlsx or .csv")
    if encoding is not None:
        encoding = _known(encoding)
    encoding = encoding or encoding_of(path)
    separator = _separator(path, encoding)
    rows = (row for row in _text_rows(path, encoding, separator) if any(row[1]))
    line, cells = _headings(islice(rows, HEAD))
    while cells and not cells[-1]:
        cells = cells[:-1]
    if not cells:
        raise BadCatalog(f"{path}: is empty")
    return Table(path, _named(path, cells), line, encoding, separator)


def _known(encoding: str) -> str:
    try:
        info = codecs.lookup(encoding)
        "".encode(info.name).decode(info.name)
        return info.name
    except (LookupError, ValueError, AttributeError):
        raise BadSetting(f"--encoding {encoding}: unknown; for example utf-8, cp1252 or shift_jis") from None


def _headings(rows: Iterator[Row]) -> tuple[int, Sequence[str]]:
    """The line and cells of the headings: the row with most known ones, else the first with more than one cell."""
    found = [(line, [cell.strip() for cell in cells]) for line, cells in rows if any(cell.strip() for cell in cells)]
    if not found:
        return 0, []
    known = max(found, key=lambda row: recognised(row[1]))
    if recognised(known[1]):
        return known
    return next((row for row in found if sum(map(bool, row[1])) > 1), found[0])


def _named(path: Path, cells: Sequence[str]) -> tuple[str, ...]:
    """Headings on one line; a column without one is named by its number."""
    if len(cells) > MAX_COLUMNS:
        raise BadCatalog(f"{path}: {len(cells):,} columns; at most {MAX_COLUMNS:,} are read")
    return tuple(" ".join(cell.split())[:200] or f"column {number}" for number, cell in enumerate(cells, start=1))


# Text


def _text_rows(path: Path, encoding: str, separator: str) -> Iterator[Row]:
    """Every row, with blank ones."""
    csv.field_size_limit(MAX_FIELD)
    with path.open(encoding=encoding, newline="") as stream:
        reader = csv.reader(chain(_without_hint(stream), [END]), delimiter=separator, skipinitialspace=True)
        line, before = 1, 0
        try:
            for cells in reader:
                line, before = before + 1, reader.line_num
                if cells == [END]:
                    return
                yield line, [cell.strip() for cell in cells]
        except csv.Error as problem:
            raise BadCatalog(f"{path}: line {before + 1}: {problem}; is there a quote that is never closed?") from None
    raise BadCatalog(f"{path}: a quote in line {line} is never closed")


def _without_hint(stream: io.TextIOBase | Any) -> Iterator[str]:
    """The lines; a first one such as `sep=;`, which is for spreadsheet programs, is blanked."""
    for number, line in enumerate(stream):
        yield "\n" if not number and re.fullmatch(r"\ufeff?\"?sep=.\"?\s*", line, re.IGNORECASE) else line


def _separator(path: Path, encoding: str) -> str:
    """The separator that gives most known headings, else rows of equal width, the wider the better."""
    with path.open(encoding=encoding, newline="") as stream:
        sample = stream.read(SAMPLE)
    hint = re.match(r"\ufeff?\"?sep=(.)\"?\s*?[\r\n]", sample, re.IGNORECASE)
    if hint and hint[1] in SEPARATORS:
        return hint[1]

    def fitness(separator: str) -> tuple[int, float, int]:
        csv.field_size_limit(MAX_FIELD)
        lines = io.StringIO(sample, newline="")
        rows = [
            [cell.strip() for cell in row]
            for row in islice(csv.reader(lines, delimiter=separator, skipinitialspace=True), 200)
        ]
        rows = [row for row in rows if any(row)]
        widths = [len(row) for row in rows]
        most = max(set(widths), key=lambda width: (widths.count(width), width), default=0)
        known = max((recognised(row) for row in rows[:HEAD]), default=0)
        return known if most > 1 or known > 1 else 0, widths.count(most) / len(widths) if most > 1 else 0, most

    order = "\t,;|" if path.suffix.lower() in (".tsv", ".tab") else SEPARATORS
    return max(order, key=fitness)


# Spreadsheets


def _sheets(path: Path) -> dict[str, list[Row]]:
    """The visible sheets of a spreadsheet that are not empty, without empty rows."""
    import python_calamine as calamine

    try:
        book = calamine.CalamineWorkbook.from_filelike(io.BytesIO(_unpacked(path)))
        found: dict[str, list[Row]] = {}
        for sheet in book.sheets_metadata:
            if sheet.typ == calamine.SheetTypeEnum.WorkSheet and sheet.visible == calamine.SheetVisibleEnum.Visible:
                opened = book.get_sheet_by_name(sheet.name)
                cells = [[_text(value) for value in row] for row in opened.to_python(skip_empty_area=False)]
                _fill(path, cells, opened.merged_cell_ranges or [])
                rows: list[Row] = [(number, row) for number, row in enumerate(cells, start=1) if any(row)]
                if rows:
                    found[sheet.name] = rows
    except BadCatalog:
        raise
    except BaseException as problem:  # calamine panics on some broken files, and a panic is not an Exception
        if not isinstance(problem, Exception) and type(problem).__name__ != "PanicException":
            raise
        raise BadCatalog(f"{path}: cannot be read as a spreadsheet: {' '.join(str(problem).split())[:200]}") from None
    if not found:
        raise BadCatalog(f"{path}: has only empty sheets")
    return found


def _unpacked(path: Path) -> bytes:
    """The spreadsheet's tables as an uncompressed archive, no larger than allowed, whatever sizes the original
    claims."""
    packed, left = io.BytesIO(), MAX_UNPACKED_BYTES
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(packed, "w") as target:
        for member in source.infolist():
            name = member.filename
            if not name.endswith((".xml", ".rels")) and name != "mimetype":
                continue
            with source.open(member) as stream:
                data = stream.read(left + 1)
            left -= len(data)
            if left < 0:
                raise BadCatalog(f"{path}: unpacks to more than {MAX_UNPACKED_BYTES >> 20} MB; save it as .csv")
            if name == "content.xml" or re.search(r"worksheets/[^/]+$", name):
                _check_cells(path, data)
            target.writestr(name, data)
    return packed.getvalue()


def _check_cells(path: Path, data: bytes) -> None:
    """Raises BadCatalog for a sheet whose corners are too far apart: calamine allocates all cells between them."""
    row = column = rows = columns = 0

    def repeated(facts: dict[str, str], what: str) -> int:
        value = next((value for name, value in facts.items() if name.endswith(f"number-{what}-repeated")), "1")
        return int(value) if value.isdecimal() and len(value) < 9 else 1

    ahead = [0, 0]  # empty rows and columns of an .ods, which count if something follows them

    def start(tag: str, facts: dict[str, str]) -> None:
        nonlocal row, column, rows, columns
        tag = tag.rpartition(":")[2]
        if tag == "row":
            row = int(facts["r"]) if facts.get("r", "").isdecimal() and len(facts["r"]) < 9 else row + 1
            rows, column = max(rows, row), 0
        elif tag == "c":
            place = re.fullmatch(r"\$?([A-Za-z]{1,4})\$?(\d{1,8})", facts.get("r", ""))
            column = column_number(place[1]) if place else column + 1
            rows, columns = max(rows, int(place[2]) if place else 0), max(columns, column)
        elif tag == "table":
            row = column = 0
        elif tag == "table-row":
            ahead[0], ahead[1], column = repeated(facts, "rows"), 0, 0
            row += ahead[0]
        elif tag in ("table-cell", "covered-table-cell"):
            column += repeated(facts, "columns")
            if any(name.endswith(("value-type", "value", "formula")) for name in facts):
                rows, columns = max(rows, row), max(columns, column)
        if rows * columns > MAX_CELLS:
            raise BadCatalog(
                f"{path}: a sheet of {rows:,} rows and {columns:,} columns; at most {MAX_CELLS:,} cells "
                f"are read: save it as .csv"
            )

    def text(_: str) -> None:  # an .ods cell may have text and no type
        nonlocal rows, columns
        rows, columns = max(rows, row), max(columns, column)

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    if b"opendocument" in data[:4096]:
        parser.CharacterDataHandler = text
    try:
        parser.Parse(data, True)
    except expat.ExpatError as problem:
        raise BadCatalog(f"{path}: cannot be read as a spreadsheet: {problem}") from None


def column_number(letters: str) -> int:
    """`A` is 1, `AA` 27."""
    number = 0
    for letter in letters.upper():
        number = 26 * number + ord(letter) - ord("A") + 1
    return number


def _fill(path: Path, cells: list[list[str]], ranges: Sequence[tuple[tuple[int, int], tuple[int, int]]]) -> None:
    """Give merged cells the value of the first of them."""
    if sum((bottom - top + 1) * (right - left + 1) for (top, left), (bottom, right) in ranges) > MAX_CELLS:
        raise BadCatalog(f"{path}: merges more cells than it has; save it as .csv")
    for (top, left), (bottom, right) in ranges:
        if top < len(cells) and left < len(cells[top]) and bottom > top:  # cells merged horizontally are mostly a title
            for row in cells[top : bottom + 1]:
                row[left : min(right + 1, len(row))] = [cells[top][left]] * (min(right + 1, len(row)) - left)


def _text(value: object) -> str:
    """A cell as a person would write it."""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return "" if value is None else str(cast(Any, value)).strip()
