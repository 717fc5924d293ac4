"""Tables: every encoding, separator, heading and spreadsheet that people have; hostile ones are bounded."""

from __future__ import annotations

import csv
import io
import os
import random
import time
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from artidx.embedder.catalogs import tables
from artidx.embedder.catalogs.catalog import ColumnNames, read_catalog, read_labels, read_names
from artidx.embedder.catalogs.encodings import encoding_of
from artidx.embedder.catalogs.headings import HEADINGS, columns_of
from artidx.embedder.catalogs.leftovers import LeftAlone
from artidx.embedder.catalogs.photographs import Photographs
from artidx.embedder.catalogs.tables import open_table, read_table
from artidx.errors import ArtidxError, BadCatalog, BadSetting

fuzz = settings(derandomize=True, database=None, deadline=None, max_examples=40)
FUZZED_S = float(os.environ.get("ARTIDX_FUZZ_S", "4"))  # `make fuzz` for long

WRITTEN = {
    "cp1252": [
        "filename;artist\na.jpg;Paul Cézanne\n",
        "Datei;Künstler\na.jpg;Albrecht Dürer\nb.jpg;Gerhard Groß\n",
        "fichier,auteur,titre\na.jpg,Édouard Manet,Le Déjeuner sur l’herbe – “esquisse”\n",
        "archivo;autor\na.jpg;José Muñoz\n",
        "bestand;kunstenaar\na.jpg;Carel Willink, België\n",
    ],
    "mac_roman": [
        "filename;artist\na.jpg;Paul Cézanne\n",
        "Datei;Künstler\na.jpg;Albrecht Dürer\nb.jpg;Königin\n",
        "fichier,auteur\na.jpg,Édouard Manet\n",
    ],
    "cp1251": ["файл;художник\na.jpg;Илья Репин\n", "filename;artist\na.jpg;Репин\n"],
    "koi8_r": ["filename;artist\na.jpg;Казимир Малевич\n"],
    "mac_cyrillic": ["filename;artist\na.jpg;Илья Репин\nb.jpg;Исаак Левитан\n"],
    "cp866": ["файл;художник\na.jpg;Илья Репин\n"],
    "cp1253": ["filename;artist\na.jpg;Νικόλαος Γύζης\nb.jpg;Δομήνικος Θεοτοκόπουλος\n"],
    "iso8859_7": ["filename;artist\na.jpg;Άγνωστος\nb.jpg;Νικηφόρος Λύτρας\n"],
    "gb18030": ["filename,artist\na.jpg,齐白石\nb.jpg,徐悲鸿\nc.jpg,吴昌硕\n"],
    "big5": ["filename,artist\na.jpg,齊白石\nb.jpg,張大千\n"],
    "cp949": ["filename,artist\na.jpg,김홍도\nb.jpg,신윤복\n"],
    "cp1254": ["filename;artist\na.jpg;İbrahim Çallı\nb.jpg;Şeker Ahmed Paşa\n"],
    "cp1255": ["filename;artist\na.jpg;ראובן רובין\n"],
    "cp1256": ["filename;artist\na.jpg;محمود سعيد\n"],
    "shift_jis": ["filename,artist\na.jpg,葛飾北斎\nb.jpg,歌川広重\n", "filename,artist\na.jpg,雪舟\n"],
    "cp1250": ["plik;autor\na.jpg;Stanisław Wyspiański\n", "soubor;autor\na.jpg;František Kupka\nb.jpg;V Příboře\n"],
    "cp850": ["Datei;Künstler\na.jpg;Albrecht Dürer\n"],
    "utf-8": ["filename;artist\na.jpg;Šíma 葛飾 Репин Dürer\n"],
    "utf-8-sig": ["filename;artist\na.jpg;Dürer\n"],
    "utf-16": ["filename;artist\na.jpg;Dürer\n"],
    "utf-16-le": ["filename;artist\na.jpg;Monet\n"],
    "utf-16-be": ["filename;artist\na.jpg;Monet\n"],
    "utf-32": ["filename;artist\na.jpg;Dürer\n"],
}


@pytest.mark.parametrize(("encoding", "text"), [(name, text) for name, texts in WRITTEN.items() for text in texts])
def test_the_encoding_of_a_short_list_of_names_is_found(tmp_path: Path, encoding: str, text: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode(encoding))
    assert path.read_bytes().decode(encoding_of(path)).removeprefix("\ufeff") == text
    assert len(read_table(path)) == text.count("\n") - 1


LETTERS = {  # of a language whose letters mean something else, or nothing, in every other encoding
    "utf-8": "aéßščřЖшΩλ北斎김",
    "utf-16": "aéßščřЖшΩλ北斎김",
    "cp1251": "абвгдежзиклмнопрстуфхцчшыэюя",
    "koi8_r": "абвгдежзиклмнопрстуфхцчшыэюя",
    "cp1255": "אבגדהוזחטיכלמנסעפצקרשת",
    "cp932": "あいうえおかきくけこさしすせそたちつてと",
}


@fuzz
@given(st.sampled_from(sorted(LETTERS)), st.data())
def test_names_of_any_letters_of_a_language_are_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, encoding: str, data: st.DataObject
) -> None:
    word = st.text(st.sampled_from(LETTERS[encoding]), min_size=4, max_size=9).map(str.capitalize)
    names = data.draw(st.lists(word, min_size=6, max_size=10, unique_by=str.casefold))
    path = tmp_path_factory.mktemp("table") / "a.csv"
    path.write_bytes(
        "".join(["filename,title\n", *(f"{n}.jpg,{name}\n" for n, name in enumerate(names))]).encode(encoding)
    )
    assert [row[1] for row in read_table(path).itertuples(index=False)] == names


WRITTEN_AS = (
    str,
    lambda name: unicodedata.normalize("NFD", name),
    lambda name: name.replace("/", "\\"),
    lambda name: name.replace(".jpg", ".JPG"),
    lambda name: f"  {name} ",
    lambda name: f"./{name}",
)


@fuzz
@given(
    st.text(st.sampled_from("abzÄéñøЖλ北 -_0"), min_size=1, max_size=12),
    st.lists(st.sampled_from(WRITTEN_AS), max_size=3),
)
@example("Dürer", [WRITTEN_AS[1], WRITTEN_AS[2], WRITTEN_AS[4]])
def test_a_photograph_is_found_however_a_table_writes_its_name(
    tmp_path_factory: pytest.TempPathFactory, stem: str, written: list[Callable[[str], str]]
) -> None:
    folder, name = tmp_path_factory.mktemp("photographs"), f"A/x{stem}x.jpg"
    (folder / "A").mkdir()
    (folder / name).write_bytes(b"")
    for way in written:
        name = way(name)
    found, problem = Photographs([str(folder)], False, LeftAlone()).find(name)
    assert problem is None
    assert Path(found).is_file()


def test_an_encoding_may_be_named_and_one_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("filename;artist\na.jpg;Ðåïèí\n".encode("cp1252"))
    assert read_table(path, "cp1251")["artist"].tolist() == ["Репин"]
    with pytest.raises(BadCatalog, match="cannot be read: 'utf-8' codec"):
        read_table(path, "utf-8")
    for name in ("klingon", "base64", "rot13", "a\0b"):
        with pytest.raises(BadSetting, match="--encoding"):
            read_table(path, name)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("before", ["", "Museum of Small Things, export\n\n", "sep=;\n", "Printed 3; of 5, by | me\n"])
def test_separators_and_lines_above_the_headings_are_found(tmp_path: Path, separator: str, before: str) -> None:
    if before.startswith("sep="):
        before = f"sep={separator}\n"
    rows = [
        ["Object Number", "Artist/Maker", "Photo file"],
        ["1.2", "Monet, Claude", "a.jpg"],
        ["", "", ""],
        ["1.3", 'Say "hello"; or | not', "b.jpg"],
    ]
    out = io.StringIO()
    csv.writer(out, delimiter=separator).writerows(rows)
    path = tmp_path / "a.csv"
    path.write_text(before + out.getvalue(), encoding="utf-8")
    table = open_table(path)
    assert table.headings == tuple(rows[0])
    assert [cells for _, cells in table.rows()] == [rows[1], rows[3]]
    assert table.line == 1 + before.count("\n")


def sheet(path: Path, rows: list[list[object]], fill: Callable[[Workbook], None] | None = None) -> Path:
    book = Workbook()
    assert book.active is not None
    for row in rows:
        book.active.append(row)
    if fill:
        fill(book)
    book.save(path)
    return path


def ods(path: Path, rows: str) -> Path:
    """A spreadsheet as LibreOffice writes it, of these rows of XML."""
    names = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "table", "text")
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr(
            "META-INF/manifest.xml",
            '<?xml version="1.0"?><manifest:manifest xmlns:manifest="urn:oasis:'
            'names:tc:opendocument:xmlns:manifest:1.0"/>',
        )
        archive.writestr(
            "content.xml",
            f'<?xml version="1.0"?><office:document-content {names}><office:body><office:'
            f'spreadsheet><table:table table:name="S">{rows}</table:table></office:spreadsheet></office:'
            f"body></office:document-content>",
        )
    return path


def cell(text: str, more: str = "") -> str:
    return f'<table:table-cell office:value-type="string" {more}><text:p>{text}</text:p></table:table-cell>'


def test_a_spreadsheet_is_read_below_its_title_with_numbers_as_they_are_shown(tmp_path: Path) -> None:
    path = sheet(
        tmp_path / "a.xlsx",
        [
            ["Museum", None],
            [],
            ["Object Number", "Künstler", "Datei", "Jahr"],
            [1987.144, "Monet", "a.jpg", 1889],
            [17, None, "b.jpg", None],
            [None] * 4,
        ],
    )
    table = read_table(path)
    assert table.to_numpy().tolist() == [["1987.144", "Monet", "a.jpg", "1889"], ["17", "", "b.jpg", ""]]
    assert table.index.tolist() == [4, 5]


def test_cells_joined_downwards_say_the_same_of_every_row(tmp_path: Path) -> None:
    path = sheet(
        tmp_path / "a.xlsx",
        [["Artist", "File"], ["Monet", "a.jpg"], [None, "b.jpg"], ["Manet", "c.jpg"]],
        lambda book: book.active.merge_cells("A2:A3"),
    )
    assert read_table(path)["Artist"].tolist() == ["Monet", "Monet", "Manet"]


def test_the_sheet_with_known_headings_is_read_whatever_the_order_and_hidden_ones_are_not(tmp_path: Path) -> None:
    def fill(book: Workbook) -> None:
        for name, heading in (("Hidden", "Artist"), ("Works", "Artist")):
            made = book.create_sheet(name)
            made.append([heading, "File", "Title"])
            made.append([name, "a.jpg", "x"])
        book["Hidden"].sheet_state = "hidden"

    table = open_table(sheet(tmp_path / "a.xlsx", [["Notes"], ["read me"]], fill))
    assert table.sheet == "Works"
    assert table.frame()["Artist"].tolist() == ["Works"]


def test_an_open_document_is_read_and_what_is_repeated_behind_it_takes_no_room(tmp_path: Path) -> None:
    path = ods(
        tmp_path / "a.ods",
        f"<table:table-row>{cell('Artist')}{cell('File')}<table:table-cell table:number-columns-"
        f"repeated='16382'/></table:table-row><table:table-row table:number-rows-repeated='2'>"
        f"{cell('Monet')}{cell('a.jpg')}</table:table-row><table:table-row table:number-rows-repeated='1048573'>"
        f"<table:table-cell table:number-columns-repeated='16384'/></table:table-row>",
    )
    assert read_table(path).to_numpy().tolist() == [["Monet", "a.jpg"]] * 2


def test_hostile_spreadsheets_are_refused_in_no_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_UNPACKED_BYTES", 8 << 20)

    def far(book: Workbook) -> None:
        book.active["XFD1048576"] = "x"

    bomb = tmp_path / "bomb.xlsx"
    sheet(bomb, [["Artist", "File"]])
    with zipfile.ZipFile(bomb, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/bomb.xml", bytes(tables.MAX_UNPACKED_BYTES + 1))
    many = "table:number-columns-repeated='16000'"
    repeated = (
        f"<table:table-row>{cell('Artist')}{cell('File')}</table:table-row><table:table-row table:number-rows-"
        f"repeated='1000000'>{cell('x', many)}</table:table-row>"
    )
    laughs = (
        '<!DOCTYPE x [<!ENTITY a "ha">'
        + "".join(f'<!ENTITY {b} "{f"&{a};" * 50}">' for a, b in zip("abcdefg", "bcdefgh", strict=True))
        + "]><x>&h;</x>"
    )
    for path, says in (
        (sheet(tmp_path / "far.xlsx", [["Artist", "File"]], far), "1,048,576 rows and 16,384 columns"),
        (bomb, "unpacks to more than 8 MB"),
        (ods(tmp_path / "r.ods", repeated), "1,000,001 rows and 16,000 columns"),
        (ods(tmp_path / "laughs.ods", laughs), "cannot be read as a spreadsheet"),
    ):
        started = time.monotonic()
        with pytest.raises(BadCatalog, match=says):
            open_table(path)
        assert time.monotonic() - started < 30
    (tmp_path / "old.xls").write_bytes(b"\xd0\xcf\x11\xe0" + bytes(600))
    (tmp_path / "page.xls").write_text("<html><table><tr><td>a</table>")
    for name in ("old.xls", "page.xls"):
        with pytest.raises(BadCatalog, match=r"save it as \.xlsx"):
            open_table(tmp_path / name)


def test_two_hundred_columns_formulas_and_a_hundred_thousand_rows_are_read(tmp_path: Path) -> None:
    wide = sheet(
        tmp_path / "a.xlsx", [["Artist", "File", *(f"Field {n}" for n in range(198))], ["=1+1", "a.jpg", *range(198)]]
    )
    assert read_table(wide).shape == (1, 200)
    long = tmp_path / "a.csv"
    long.write_text("File,Artist\n" + "".join(f"{n}.jpg,Monet\n" for n in range(100_000)))
    assert len(read_table(long)) == 100_000
    long.write_text("File," + ",".join(str(n) for n in range(3000)))
    with pytest.raises(BadCatalog, match="at most 2,000 are read"):
        read_table(long)


def test_a_quote_that_is_never_closed_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('File,Artist\na.jpg,Monet\nb.jpg,"Manet\nc.jpg,Degas\n')
    with pytest.raises(BadCatalog, match="a quote in line 3 is never closed"):
        read_table(path)


SYSTEMS = {  # headings as they are exported: photograph, artist, object
    "TMS": (
        ["Object Number", "Artist/Maker", "Title", "Dated", "Media File"],
        ("Media File", "Artist/Maker", "Object Number"),
    ),
    "Met": (
        [
            "Object Number",
            "Object ID",
            "Artist Role",
            "Artist Prefix",
            "Artist Display Name",
            "Artist Display Bio",
            "Artist Nationality",
            "Artist Begin Date",
            "Artist ULAN URL",
            "Object Date",
            "Image",
        ],
        ("Image", "Artist Display Name", "Object Number"),
    ),
    "MuseumPlus": (
        ["Inventarnummer", "Künstler/in", "Titel", "Datierung", "Dateiname"],
        ("Dateiname", "Künstler/in", "Inventarnummer"),
    ),
    "Adlib": (
        ["objectnummer", "vervaardiger", "titel", "datering", "reproductie"],
        ("reproductie", "vervaardiger", "objectnummer"),
    ),
    "CollectiveAccess": (
        ["idno", "preferred_labels", "entities", "representation"],
        ("representation", "entities", "idno"),
    ),
    "PastPerfect": (["OBJECTID", "ARTIST", "TITLE", "DATE", "IMAGEFILE"], ("IMAGEFILE", "ARTIST", "OBJECTID")),
    "Rijksmuseum": (["objectNumber", "principalMaker", "title", "image"], ("image", "principalMaker", "objectNumber")),
    "NGA": (
        ["accessionnum", "title", "displaydate", "attribution", "filename"],
        ("filename", "attribution", "accessionnum"),
    ),
    "AIC": (
        ["id", "title", "date_display", "artist_title", "artist_display", "main_reference_number", "file"],
        ("file", "artist_title", "main_reference_number"),
    ),
    "French": (
        ["N° d'inventaire", "Auteur", "Titre", "Datation", "Nom du fichier"],
        ("Nom du fichier", "Auteur", "N° d'inventaire"),
    ),
    "Italian": (
        ["Numero inventario", "Autore", "Titolo", "Datazione", "Immagine"],
        ("Immagine", "Autore", "Numero inventario"),
    ),
    "Spanish": (
        ["Número de inventario", "Autor", "Título", "Fecha", "Archivo"],
        ("Archivo", "Autor", "Número de inventario"),
    ),
    "Dutch": (
        ["Inventarisnummer", "Kunstenaar", "Titel", "Afbeelding"],
        ("Afbeelding", "Kunstenaar", "Inventarisnummer"),
    ),
    "Russian": (["Инвентарный номер", "Художник", "Название", "Файл"], ("Файл", "Художник", "Инвентарный номер")),
    "MuseumPlus, by field": (
        ["Inventarnummer", "Personen.Name", "Multimedia.Dateiname"],
        ("Multimedia.Dateiname", "Personen.Name", "Inventarnummer"),
    ),
    "eMuseum": (
        ["Object Number", "Constituents.DisplayName", "Asset Filename"],
        ("Asset Filename", "Constituents.DisplayName", "Object Number"),
    ),
    "Finnish": (["Inventory number", "Taiteilija", "Tiedosto"], ("Tiedosto", "Taiteilija", "Inventory number")),
    "Turkish": (["Inventory number", "Sanatçı", "Dosya"], ("Dosya", "Sanatçı", "Inventory number")),
    "longer": (
        ["Inventory number (old)", "Name of the artist", "Name of the artwork", "Digital image"],
        ("Digital image", "Name of the artist", "Inventory number (old)"),
    ),
}


@pytest.mark.parametrize("system", SYSTEMS)
def test_headings_of_collection_systems_are_known(system: str) -> None:
    headings, (path, artist, number) = SYSTEMS[system]
    found = columns_of(headings, {}, lambda heading: heading == path)
    assert (found["path"], found["artist"], found["object"]) == (path, artist, number)
    assert len(set(found.values())) == len(found)


@fuzz
@given(
    st.sampled_from([(ours, known) for ours, headings in HEADINGS.items() for known in headings]),
    st.sampled_from(
        [
            str.upper,
            str.title,
            str.lower,
            lambda s: s.replace(" ", "_"),
            lambda s: s.replace(" ", ""),
            lambda s: s.replace(" ", "-"),
            lambda s: f" {s}: ",
            lambda s: unicodedata.normalize("NFD", s),
        ]
    ),
)
@example(("qualifier", "creator qualifier"), str.upper)
@example(("qualifier", "creator attribution qualifier"), str.title)
def test_a_heading_is_known_in_any_case_and_with_any_signs(
    heading: tuple[str, str], written: Callable[[str], str]
) -> None:
    ours, known = heading
    assert columns_of([written(known)], {}, lambda _: ours == "path").get(ours) == written(known)


def test_a_known_heading_is_no_other_column_for_a_word_that_it_has() -> None:
    """`Creator Qualifier` was read as the artists where no heading of theirs is known."""
    found = columns_of(["File", "Creator Qualifier", "First Creator of Work"], {}, lambda heading: heading == "File")
    assert found == {"path": "File", "artist": "First Creator of Work", "qualifier": "Creator Qualifier"}


def test_a_column_that_holds_names_of_images_counts_more_than_its_heading(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("Image,Artist,Whatever\nyes,Monet,a.jpg\nno,Manet,b.TIF\n")
    assert read_catalog(path).table["id"].tolist() == ["a.jpg", "b.TIF"]


def test_a_table_in_which_nobody_is_named_says_so_with_its_headings_and_the_flag(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("File,Who\na.jpg,Monet\n")
    warning = read_catalog(path).warning or ""
    assert "no column of artists was found" in warning
    assert "File, Who" in warning
    assert "--artist-column" in warning
    assert read_catalog(path, ColumnNames(artist="Who")).warning is None
    path.write_text("File,Artist\na.jpg,\n")
    assert "the column 'Artist' is empty" in (read_catalog(path).warning or "")


def test_a_qualifier_in_a_column_of_its_own_belongs_to_the_record(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "File,Artist Prefix,Artist Display Name\na.jpg,Workshop of,Titian\nb.jpg,,Titian\nc.jpg,Painted by,Titian\n"
    )
    table = read_catalog(path).table
    assert [None if x is None else x for x in table["qualifier"]] == ["workshop of", None, None]
    assert table["artist"].tolist()[1:] == ["Titian", "Titian"]


def test_every_reader_of_names_takes_every_table(tmp_path: Path) -> None:
    xlsx = sheet(tmp_path / "a.xlsx", [["Inventarnummer", "Künstler"], ["1.2", "Dürer"]])
    assert read_labels(xlsx).to_dict("records") == [{"id": "1.2", "artist": "Dürer"}]
    assert read_names(xlsx) == ["1.2"]
    (tmp_path / "a.txt").write_bytes("Dürer.jpg\r\n b.jpg\n".encode("utf-16"))
    assert read_names(tmp_path / "a.txt") == ["Dürer.jpg", "b.jpg"]


def test_arbitrary_damage_to_a_table_is_a_table_or_one_line(tmp_path: Path) -> None:
    """For as long as ARTIDX_FUZZ_S says: whatever bytes are changed, nothing but an error of ours comes out."""
    seed = 0 if FUZZED_S < 60 else time.time_ns() % 1_000_000
    chance, corpus = random.Random(seed), [text.encode(name) for name, texts in WRITTEN.items() for text in texts]
    corpus += [
        sheet(tmp_path / "f.xlsx", [["Artist", "File"], ["Monet", "a.jpg"], [1, 2.5]]).read_bytes(),
        ods(tmp_path / "f.ods", f"<table:table-row>{cell('Artist')}{cell('File')}</table:table-row>").read_bytes(),
    ]
    end, count = time.monotonic() + FUZZED_S, 0
    while time.monotonic() < end:
        count += 1
        data = bytearray(chance.choice(corpus))
        for _ in range(chance.randrange(1, 6)):
            place = chance.randrange(len(data) + 1)
            data[place : place + chance.randrange(3)] = chance.choice(
                [
                    b'"',
                    b"\0",
                    b"\n",
                    b"\r",
                    b";",
                    b",",
                    bytes([chance.randrange(256)]),
                    b"PK\3\4",
                    b"\xff\xfe",
                    b"sep=,\n",
                ]
            )
        path = tmp_path / f"x{chance.choice(['.csv', '.xlsx', '.txt', '.ods', '.tsv'])}"
        path.write_bytes(data)
        try:
            assert read_catalog(path).table["id"].is_unique
        except ArtidxError as problem:
            said = str(problem)
            assert "\n" not in said
    print(f"\n{FUZZED_S:g} s of tables, seed {seed}: {count:,}")


def test_a_table_of_two_hundred_columns_is_read_without_a_word(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_text(
        f"filename,artist,{','.join(f'c{i}' for i in range(200))}\na.jpg,Monet{',x' * 200}\n", encoding="utf-8"
    )
    assert read_catalog(path).table["c199"].tolist() == ["x"]  # warnings are errors here
