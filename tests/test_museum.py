"""A registrar's folder of photographs and spreadsheet: built in one command, followed a month later in another."""

from __future__ import annotations

import json
import shutil
import unicodedata

import pandas as pd
import pytest
from openpyxl import Workbook
from PIL import Image

from artidx import ColumnNames, Index, read_catalog
from artidx.embedder.catalogs.leftovers import reason_for_file, reason_for_folder
from artidx.errors import BadCatalog
from artidx.index.storage.generations import Contents
from made import HUES, painting

HEADINGS = ["Object Number", "Artist/Maker", "Date", "Title", "Photo file"]
NOVEMBER = [
    ["1.1", "Painter, Red (French, 1840-1926)", "1870", "Noon", "1_1.png"],
    ["1.2", "Red Painter", 1871, "Dusk", "1_2.png"],
    ["1.2", "Red Painter", 1871, "Dusk", "detail_1_2.png"],
    ["2.1", "Follower of Red Painter", "", "Night", "2_1.PNG"],
    ["2.2", "Unbekannt", "", "Rain", "2_2.png"],
    ["3.1", "Painter, Blue", "", "Lost", "3_1.png"],
    ["3.2", "Painter, Blue", "", "Not yet", ""],
    ["4.1", "Painter, Blue; Painter, Red", "", "Both", "sub\\4_1.png"],
    ["4.2", "Painter, Blue", "", "Snow", "4_2.png"],
]
PHOTOGRAPHS = [
    "1_1.png",
    "1_2.png",
    "detail_1_2.png",
    "2_1.png",
    "2_2.png",
    "sub/4_1.png",
    "4_2.png",
    "@eaDir/4_2.png",
    "notes.pdf",
    "spare.png",
]


def table(path, rows):
    book = Workbook()
    book.active.append(["Museum of Small Things, export of the collection"])
    book.active.append([])
    for row in [HEADINGS, *rows]:
        book.active.append(row)
    book.save(path)
    return path


@pytest.fixture
def museum(tmp_path, monkeypatch):
    for number, name in enumerate(PHOTOGRAPHS):
        file = name if name.endswith("png") else f"{name}.png"
        made = painting(tmp_path / "photos" / file, number, HUES["Red Painter"])
        made.rename(tmp_path / "photos" / name)
    table(tmp_path / "november.xlsx", NOVEMBER)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(index, *columns):
    found = index.generation.table[["id", *columns]].astype(object)
    return {row[0]: row[1:] for row in found.where(found.notna(), None).itertuples(index=False, name=None)}


def test_a_registrars_spreadsheet_is_one_command_that_shows_what_it_has_understood(run, museum):
    status, out, err = run("build", "november.xlsx", "--images", "photos/")
    assert status == 0, err
    assert "paintings.artidx: 7 paintings by 2 artists" in out
    assert "without a photograph: 1: 3.2" in out
    for words in (
        "headings in line 3",
        "9 rows",
        "artist           Artist/Maker",
        "object           Object Number",
        "7 found, not found 1 (3.1: 3_1.png), none yet 1 (3.2), in no row 1",
        "5 to an artist, 2 qualified",
        "WARNING",
    ):
        assert (words in err) == (words != "WARNING"), words
    assert err.index("Artist/Maker") < err.index("model small")
    assert "1 .pdf (a PDF document)" in out
    assert "1 thumbnails" in out


def test_objects_keep_their_numbers_and_records_their_words(run, museum):
    run("build", "november.xlsx", "--images", "photos/")
    found = rows(Index.open("paintings.artidx"), "object", "artist", "attribution", "qualifier", "artist_key")
    assert found["1.1"] == ("1.1", "Painter, Red", "Painter, Red (French, 1840-1926)", None, "red painter")
    assert found["1.2/detail_1_2.png"] == ("1.2", "Red Painter", "Red Painter", None, "red painter")
    assert found["2.1"] == ("2.1", None, "Follower of Red Painter", "follower of", None)
    assert found["2.2"] == ("2.2", None, "Unbekannt", None, None)
    assert found["4.1"] == ("4.1", None, "Painter, Blue; Painter, Red", "together with", None)


def test_qualified_works_speak_where_the_user_says_so_and_are_still_told_as_what_they_are(run, museum):
    run("build", "november.xlsx", "--images", "photos/", "--qualified")
    index = Index.open("paintings.artidx")
    assert rows(index, "artist_key")["2.1"] == ("red painter",)
    assert index.query("2.1").painting.by == "Follower of Red Painter"
    index.label(pd.DataFrame({"id": ["2.2"], "artist": ["Workshop of Red Painter"]}), by="me")
    assert rows(index, "artist_key", "attribution")["2.2"] == ("red painter", "Workshop of Red Painter")


def test_another_photograph_of_an_object_is_no_neighbour_of_it(run, museum):
    run("build", "november.xlsx", "--images", "photos/")
    index = Index.open("paintings.artidx")
    near = [each.painting.id for each in index.nearest_paintings("1.2", k=10).paintings]
    assert "1.2/detail_1_2.png" not in near
    assert len(near) == 5
    assert {each.painting.object for each in index.nearest_paintings("1.1").paintings} >= {"1.2"}


def test_december_brings_new_works_and_labels_and_keeps_what_was_corrected_by_hand(run, museum, monkeypatch):
    run("build", "november.xlsx", "--images", "photos/")
    index = Index.open("paintings.artidx")
    index.label(pd.DataFrame({"id": ["2.2", "2.1", "4.2"], "artist": ["Green Painter"] * 3}), by="me")
    december = [list(row) for row in NOVEMBER]
    december[3][1] = "Red Painter"  # 2.1: the curator has decided; of 2.2 nothing was said
    december[0][3] = "Midday"
    december = [row for row in december if row[0] != "4.1"] + [["5.1", "Blue Painter", "", "New", "5_1.png"]]
    table(museum / "december.xlsx", december)
    painting(museum / "new" / "5_1.png", 50, HUES["Blue Painter"])
    with monkeypatch.context() as bound:  # labels are compared a few at a time: the whole table is never read
        bound.setattr("artidx.index.changes.plan.COMPARED", 2)
        bound.delattr(Contents, "table")
        status, out, _ = run("sync", "paintings.artidx", "december.xlsx", "--images", "photos", "new", "--dry-run")
    assert status == 0
    for words in ("2.1: artist: Green Painter -> Red Painter", "1.1: title: Noon -> Midday", "+ 5.1", "- 4.1"):
        assert words in out
    assert "2.2" not in out
    assert run("sync", "paintings.artidx", "december.xlsx", "--images", "photos", "new")[0] == 0
    index = Index.open("paintings.artidx")
    found = rows(index, "artist", "title")
    assert (found["2.1"], found["2.2"], found["1.1"], found["5.1"]) == (
        ("Red Painter", "Night"),
        ("Green Painter", "Rain"),
        ("Painter, Red", "Midday"),
        ("Blue Painter", "New"),
    )
    assert found["4.2"][0] == "Green Painter"
    assert "4.1" not in found
    generation = index.manifest.generation
    status, out, _ = run("sync", "paintings.artidx", "december.xlsx", "--json")  # the mapping and folders are known
    assert json.loads(out)["generation"] == generation
    assert json.loads(out)["relabelled"] == []


def test_a_mapping_that_was_named_once_is_known_next_month(run, museum):
    book = museum / "odd.csv"
    book.write_text("Nr,Wer,Was\n1.1,Red Painter,1_1.png\n")
    run("build", book, "--images", "photos", "--artist-column", "Wer", "--object-column", "Nr")
    book.write_text("Nr,Wer,Was\n1.1,Red Painter,1_1.png\n4.2,Blue Painter,4_2.png\n")
    assert run("add", "paintings.artidx", book)[0] == 0
    assert rows(Index.open("paintings.artidx"), "artist") == {"1.1": ("Red Painter",), "4.2": ("Blue Painter",)}


def test_the_same_picture_under_two_artists_is_kept_and_told(run, museum):
    shutil.copy("photos/1_1.png", "photos/copy.png")
    (museum / "a.csv").write_text("file,artist\nphotos/1_1.png,Monet\nphotos/copy.png,Manet\nphotos/1_2.png,Monet\n")
    out = run("build", "a.csv")[1]
    assert (
        "the same picture under several artists: 1; all are kept\n  photos/1_1.png (Monet), photos/copy.png (Manet)"
    ) in out
    found = json.loads(run("build", "a.csv", "--replace", "--json")[1])
    assert found["same_picture"] == [
        [{"id": "photos/1_1.png", "artist": "Monet"}, {"id": "photos/copy.png", "artist": "Manet"}]
    ]


def test_add_and_sync_tell_the_same_picture_under_two_artists_as_build_does(run, museum):
    for copy in ("photos/copy.png", "photos/again.png"):
        shutil.copy("photos/1_1.png", copy)
    shutil.copy("photos/2_2.png", "photos/other.png")
    (museum / "a.csv").write_text("file,artist\nphotos/1_1.png,Monet\nphotos/1_2.png,Monet\n")
    (museum / "b.csv").write_text(
        "file,artist\nphotos/copy.png,Manet\nphotos/again.png,MONET\nphotos/2_2.png,Degas\nphotos/other.png,Goya\n"
    )
    run("build", "a.csv")
    out = run("add", "paintings.artidx", "b.csv")[1]
    for words in (
        "several artists: 1; all are kept\n  photos/2_2.png (Degas), photos/other.png (Goya)\n",
        "several artists: 1; what the index has stays, copies are left out\n"
        "  photos/1_1.png (Monet), photos/copy.png (Manet)\n",
    ):
        assert words in out
    again = json.loads(run("add", "paintings.artidx", "b.csv", "--json")[1])
    assert (again["same_picture"], len(again["copies"])) == ([], 1), "what was told is not told again for nothing"
    (museum / "b.csv").write_text("file,artist\nphotos/2_2.png,Degas\nphotos/other.png,Degas\n")
    assert "several artists" not in run("sync", "paintings.artidx", "b.csv")[1]
    (museum / "b.csv").write_text("file,artist\nphotos/2_2.png,Degas\nphotos/other.png,Ingres\n")
    assert "photos/2_2.png (Degas), photos/other.png (Ingres)" in run("sync", "paintings.artidx", "b.csv")[1]


@pytest.mark.parametrize(
    ("encoding", "is_guess"), [("cp1253", True), ("utf-8", False), ("utf-16-le", False), ("utf-32-be", False)]
)
def test_letters_that_were_guessed_are_said_to_be(run, museum, encoding, is_guess):
    (museum / "a.csv").write_bytes("file;artist\nphotos/1_1.png;Θεοτοκόπουλος\n".encode(encoding))
    err = run("build", "a.csv", "--replace")[2]
    assert ("a guess: where names look wrong, say what it is with --encoding" in err) == is_guess
    if not is_guess:
        assert rows(Index.open("paintings.artidx"), "artist") == {"photos/1_1.png": ("Θεοτοκόπουλος",)}
    assert "a guess" not in run("build", "a.csv", "--replace", "--encoding", encoding)[2]


@pytest.mark.parametrize(
    "words",
    [
        ("label", "paintings.artidx", "a.csv"),
        ("remove", "paintings.artidx", "--list", "a.csv", "--dry-run"),
        ("nearest", "--list", "a.csv", "--paintings"),
        ("pair", "--pairs", "a.csv"),
        ("submit", "a.csv", "-o", "out.csv"),
    ],
)
def test_every_verb_that_reads_a_table_says_so_too(run, museum, words):
    (museum / "a.csv").write_text("file;artist\nphotos/1_1.png;Degas\n")
    run("build", "a.csv", "--replace")
    (museum / "a.csv").write_bytes("id;artist;title\nphotos/1_1.png;Θεοτοκόπουλος;Τοπίο\n".encode("cp1253"))
    assert "a.csv: letters read as" in run(*words)[2]
    assert "a guess" not in run(*words, "--encoding", "cp1253")[2]


@pytest.mark.parametrize("source", ["photos", "a.csv"])
def test_links_that_lead_out_of_the_folder_are_followed_and_counted(run, museum, source):
    elsewhere = painting(museum / "elsewhere" / "a.png", 90, HUES["Blue Painter"]).parent
    (museum / "photos" / "linked").symlink_to(elsewhere)
    (museum / "photos" / "link.png").symlink_to(painting(museum / "b.png", 91, HUES["Blue Painter"]))
    (museum / "photos" / "within.png").symlink_to("1_1.png")
    (museum / "a.csv").write_text("file,artist\nlinked/a.png,A\nlink.png,A\nwithin.png,B\n1_2.png,B\n")
    out = run("build", source, *(("--images", "photos") if source == "a.csv" else ()))[1]
    assert "read from elsewhere, because links lead out of the folder: 2\n" in out
    if source == "photos":
        shutil.rmtree(museum / "photos" / "sub")
        assert json.loads(run("sync", "paintings.artidx", "photos", "--json")[1])["outside"] == 2


@pytest.mark.parametrize(
    "written",
    [
        unicodedata.normalize("NFC", "Dürer.png"),
        unicodedata.normalize("NFD", "Dürer.png"),
        " Dürer.png ",
        "DÜRER.PNG",
        "Dürer.PNG",
        ".\\Dürer.png",
        "./Dürer.png",
        "sub\\..\\Dürer.png",
        "C:\\scans\\Dürer.png",
    ],
)
@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
def test_a_photograph_is_found_however_its_name_is_written(tmp_path, written, on_disk):
    (tmp_path / "sub").mkdir()
    path = tmp_path / unicodedata.normalize(on_disk, "Dürer.png")
    path.touch()
    (tmp_path / "a.csv").write_text(f"file,artist\n{written},Dürer\n", encoding="utf-8")
    catalog = read_catalog(tmp_path / "a.csv", ColumnNames(images=tmp_path if "C:" in written else None))
    assert catalog.recognised.photographs == 1
    assert unicodedata.normalize("NFC", catalog.table["path"][0]).lower().endswith("dürer.png")


@pytest.mark.parametrize(
    "written",
    [
        "C:\\photos\\sub\\my scan.png",
        "\\\\server\\share\\sub\\My Scan.PNG",
        "/Volumes/photos/sub/my scan.png",
        "sub/my%20scan.png",
        "file:///D:/photos/sub/my%20scan.png",
    ],
)
def test_a_way_that_was_another_machines_is_found_below_the_table_by_its_end(tmp_path, written):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "my scan.png").touch()
    (tmp_path / "t.csv").write_text(f"file,artist\n{written},x\n")
    catalog = read_catalog(tmp_path / "t.csv")
    assert catalog.recognised.photographs == 1
    assert catalog.table["path"][0].endswith("sub/my scan.png")


def test_a_way_is_not_shortened_to_one_that_leads_out_of_the_folder(tmp_path):
    (tmp_path / "tables").mkdir()
    (tmp_path / "a.png").touch()
    (tmp_path / "tables" / "t.csv").write_text("file,artist\nx/y/../../../a.png,x\n")
    assert read_catalog(tmp_path / "tables" / "t.csv").recognised.photographs == 0


def test_a_name_that_two_files_go_by_is_told_and_not_guessed(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1.jpg").touch()
    (tmp_path / "2.jpg").touch()
    (tmp_path / "t.csv").write_text("file,artist\n1.JPG,x\n2.jpg,y\n")
    catalog = read_catalog(tmp_path / "t.csv", ColumnNames(images=[tmp_path]))
    assert catalog.table["id"].tolist() == ["2.jpg"]
    assert "two files go by this name" in catalog.skipped[0][1]


def test_photographs_named_by_their_objects_need_no_column(tmp_path):
    for name in ("43_13.jpg", "43.13-detail.jpg", "43_130.jpg", "1987-144.tif"):
        (tmp_path / name).touch()
    (tmp_path / "t.csv").write_text("Inventarnummer,Künstler\n43.13,x\n1987.144,y\n9.9,z\n", encoding="utf-8")
    catalog = read_catalog(tmp_path / "t.csv", ColumnNames(images=tmp_path))
    assert sorted(zip(catalog.table["object"], catalog.table["id"], strict=True)) == [
        ("1987.144", "1987.144"),
        ("43.13", "43.13"),
        ("43.13", "43.13/43_13.jpg"),
    ]
    assert catalog.recognised.without == ("9.9",)
    with pytest.raises(BadCatalog, match="no column with the file names"):
        read_catalog(tmp_path / "t.csv")


def test_several_photographs_may_stand_in_one_cell(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).touch()
    (tmp_path / "t.csv").write_text("Object Number,Artist,Photo\n1,x,a.jpg; b.jpg\n")
    assert read_catalog(tmp_path / "t.csv").table["id"].tolist() == ["1", "1/b.jpg"]


def test_a_file_that_the_index_does_not_hold_is_embedded_however_its_name_is_written(tmp_path, index):
    """It was found and hashed, and then read under the name as it was written: no such file."""
    file = painting(tmp_path / unicodedata.normalize("NFD", "Dürer.png"), 90)
    written = str(tmp_path / unicodedata.normalize("NFC", "Dürer.png"))
    assert (index.query(written).vector == index.query(file).vector).all()
    Image.open(file).save(tmp_path / "again.png", compress_level=1)
    assert index.pair(written, tmp_path / "again.png").one_picture.how == "identical pixels"


def test_ids_are_found_however_they_are_written(run, tmp_path, embedder, monkeypatch):
    name = unicodedata.normalize("NFD", "Dürer/Häsin.png")
    painting(tmp_path / "all" / name, 1)
    painting(tmp_path / "all" / "Monet" / "b.png", 2)
    index, _ = Index.build(tmp_path / "i.artidx", tmp_path / "all", embedder=embedder)
    for written in ("Dürer/Häsin.png", name, "Dürer\\Häsin.png", " Dürer/Häsin.png", "Dürer/Häsin.PNG"):
        assert index.query_of_id(written).painting.id == unicodedata.normalize("NFC", name)
        assert len(index.only(f"id == {unicodedata.normalize('NFD', 'Dürer/Häsin.png')!r}")) == 1


@pytest.mark.parametrize(
    "name",
    [
        "@eaDir",
        "#recycle",
        "$RECYCLE.BIN",
        "__MACOSX",
        ".Trash-1000",
        ".Trashes",
        ".thumbnails",
        "lost+found",
        ".git",
        "System Volume Information",
        "@Recycle",
        ".dropbox.cache",
        ".Spotlight-V100",
        "@tmp",
        "#snapshot",
        "RECYCLER",
        ".hidden",
        "Network Trash Folder",
        "Temporary Items",
        "~snapshot",
        "@SynoResource",
        "Old Catalog.lrcat-data",
        "iPod Photo Cache",
        "Adobe Bridge Cache",
        "Thumbnails",
        "Trash",
        "CVS",
    ],
)
def test_what_systems_leave_is_not_looked_into(name):
    assert reason_for_folder(name)


@pytest.mark.parametrize(
    "name",
    [
        "SYNOPHOTO_THUMB_XL.jpg",
        "Thumbs.db",
        "._a.jpg",
        ".DS_Store",
        "desktop.ini",
        "ehthumbs.db",
        ".a.jpg",
        "a.txt",
        "a",
    ],
)
def test_what_is_no_painting_has_a_reason(name):
    assert reason_for_file(name)


def test_artists_with_one_number_are_one_artist_in_the_index(run, museum):
    (museum / "a.csv").write_text(
        "file,artist,artist_id\nphotos/1_1.png,Claude Monet,Q296\n"
        "photos/1_2.png,Oscar-Claude Monet,http://www.wikidata.org/entity/Q296\n"
    )
    run("build", "a.csv")
    (museum / "b.csv").write_text("file,artist,artist_id\nphotos/4_2.png,C. O. Monet,Q296\n")
    run("add", "paintings.artidx", "b.csv")
    index = Index.open("paintings.artidx")
    assert index.artists == 1
    assert index.collection.artists[0].paintings == 3
