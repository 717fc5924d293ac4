"""Changing an index: files that move are followed, labels are corrected and remembered, a dry run changes nothing."""

from __future__ import annotations

import os
import shutil
import time
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from faults import State

from artidx import ColumnNames, Index, read_catalog
from artidx.embedder.catalogs.catalog import read_labels, read_names
from artidx.errors import BadCatalog, BadIndex, BadSetting, UnknownPainting
from artidx.index.changes import plan
from artidx.index.storage import generations, history
from made import HUES, painting


def labels(**columns):
    return pd.DataFrame(columns)


def row_of(index, name):
    table = index.generation.table
    return table[table["id"] == name].iloc[0]


def test_sync_adds_replaces_follows_and_removes_as_the_folder_has_it(index, collection, embedder):
    rows = dict(zip(index.generation.table["id"], index.generation.table["row"], strict=True))
    painting(collection / "Red Painter" / "new.png", 900, HUES["Red Painter"])
    painting(collection / "Red Painter" / "R0.png", 901, HUES["Red Painter"])
    (collection / "Blue Painter" / "B0.png").rename(collection / "Green Painter" / "found to be green.png")
    (collection / "Blue Painter" / "B1.png").unlink()
    report = index.sync(collection)
    assert (report.embedded, report.removed, report.already_there) == (2, 1, 9)
    assert report.moved == ("Blue Painter/B0.png",)
    assert report.replaced == ("Red Painter/R0.png",)
    moved = row_of(index, "Green Painter/found to be green.png")
    assert moved["row"] == rows["Blue Painter/B0.png"], "a moved painting keeps its number and its vector"
    assert (moved["artist"], moved["artist_key"]) == ("Green Painter", "green painter")
    assert moved["path"] == str(collection / "Green Painter" / "found to be green.png")
    fresh, _ = Index.build(collection.parent / "fresh.artidx", collection, embedder=embedder)
    assert set(index.generation.table["id"]) == set(fresh.generation.table["id"])
    assert index.check() == []
    assert index.sync(collection).already_there == len(index)


def test_sync_reads_only_files_that_look_changed_unless_told_to_read_all(tmp_path, index, collection, monkeypatch):
    monkeypatch.setenv("ARTIDX_CACHE", str(tmp_path / "cache"))
    files, long_ago = sorted(collection.rglob("*.png")), time.time() - 1000
    for file in files:
        os.utime(file, (long_ago, long_ago))
    assert index.sync(collection).already_there == 12
    read, content_hash = [], plan.content_hash
    monkeypatch.setattr(plan, "content_hash", lambda stream: (read.append(stream.name), content_hash(stream))[1])
    painting(collection / "Red Painter" / "R0.png", 901)
    assert index.sync(collection).replaced == ("Red Painter/R0.png",)
    assert [Path(name).name for name in read] == ["R0.png"]
    with files[0].open("r+b") as stream:
        stream.seek(-1, 2)
        stream.write(b"\0")
    os.utime(files[0], (long_ago, long_ago))
    assert index.sync(collection, dry_run=True).already_there == 12, "as the help says"
    assert index.sync(collection, dry_run=True, rehash=True).already_there == 11

    (tmp_path / "cache" / "files.sqlite").write_bytes(b"no database")
    monkeypatch.setattr(generations.Generation, "table", None)  # nor is the table read of what has not changed
    assert index.sync(collection, dry_run=True).already_there == 11, "nothing is known, so all are read"


def test_sync_of_a_user_without_a_home_reads_every_file(index, collection, monkeypatch):
    monkeypatch.delenv("ARTIDX_CACHE")

    def homeless(path):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", homeless)
    assert index.sync(collection).already_there == 12


def test_sync_leaves_paintings_from_elsewhere_alone(tmp_path, index, collection):
    elsewhere = painting(tmp_path / "elsewhere" / "one.png", 900)
    index.add(elsewhere)
    elsewhere.unlink()
    report = index.sync(collection)
    assert (report.removed, len(index)) == (0, 13)


def test_sync_keeps_what_can_no_longer_be_read_and_says_so(index, collection):
    (collection / "Red Painter" / "R0.png").write_bytes(b"")
    report = index.sync(collection)
    assert [reason for _, reason in report.skipped] == ["empty file"]
    assert len(index) == 12


def test_sync_with_an_empty_folder_removes_nothing(index, collection):
    shutil.rmtree(collection)
    collection.mkdir()
    with pytest.raises(BadCatalog, match="no paintings found"):
        index.sync(collection)
    assert len(Index.open(index.source)) == 12


def test_sync_of_anything_but_a_folder_is_refused(index, collection):
    with pytest.raises(BadCatalog, match="not a folder"):
        index.sync(collection / "Red Painter" / "R0.png")


def test_two_files_that_change_places_are_followed(index, collection):
    one, other = collection / "Red Painter" / "R0.png", collection / "Blue Painter" / "B0.png"
    rows = [row_of(index, name)["row"] for name in ("Red Painter/R0.png", "Blue Painter/B0.png")]
    content = one.read_bytes()
    other.rename(one)
    other.write_bytes(content)
    report = index.add(collection)
    assert (report.embedded, len(report.moved), report.replaced) == (0, 2, ())
    assert [row_of(index, name)["row"] for name in ("Blue Painter/B0.png", "Red Painter/R0.png")] == rows
    assert index.check() == []


def test_a_file_that_takes_anothers_name_replaces_it(index, collection):
    row = row_of(index, "Red Painter/R1.png")["row"]
    (collection / "Red Painter" / "R1.png").rename(collection / "Red Painter" / "R0.png")
    report = index.sync(collection)
    assert (report.moved, report.replaced, len(index)) == (("Red Painter/R1.png",), ("Red Painter/R0.png",), 11)
    assert row_of(index, "Red Painter/R0.png")["row"] == row


def test_a_copy_is_no_move(index, collection):
    shutil.copy(collection / "Red Painter" / "R0.png", collection / "Blue Painter" / "copy.png")
    report = index.sync(collection)
    assert (report.embedded, report.moved, report.already_there, len(index)) == (0, (), 13, 12)


def test_a_correction_is_seen_remembered_and_survives_reopening(index):
    name = "Red Painter/R0.png"
    report, words = index.label(labels(id=[name], artist=["Rosso Fiorentino"], year=["1521"]), by="Vasari")
    assert (report.corrected, len(words)) == (2, 2)
    index.label(labels(id=[name], artist=["Pontormo"]), by="Berenson")
    again = Index.open(index.source)
    found = row_of(again, name)
    assert (found["artist"], found["artist_key"], found["year"]) == ("Pontormo", "pontormo", 1521)
    said = again.history[again.history["column"] == "artist"]
    assert said[["before", "after", "by"]].to_numpy().tolist() == [
        ["Red Painter", "Rosso Fiorentino", "Vasari"],
        ["Rosso Fiorentino", "Pontormo", "Berenson"],
    ]
    assert "Pontormo" in {a.artist for a in again.nearest("id:Red Painter/R1.png").artists}
    assert again.check() == []


def test_saying_what_is_known_already_changes_nothing(index):
    report, words = index.label(labels(id=["Red Painter/R0.png"], artist=["Red Painter"]), by="me")
    assert (report.corrected, len(words), index.manifest.generation) == (0, 0, 1)


def test_an_artist_can_be_taken_away(index):
    index.label(labels(id=["Red Painter/R0.png"], artist=["unknown"]), by="me")
    assert pd.isna(row_of(index, "Red Painter/R0.png")["artist_key"])
    assert index.manifest.artists == 3


@pytest.mark.parametrize("column", ["row", "path", "sha256", "vector_sha256", "artist_key", "nonsense"])
def test_what_is_no_label_cannot_be_corrected(index, column):
    with pytest.raises(BadCatalog, match=f"no label '{column}' to correct; nothing was corrected"):
        index.label(labels(id=["Red Painter/R0.png"], **{column: ["1"]}), by="me")


def test_one_unknown_id_corrects_nothing(index):
    with pytest.raises(UnknownPainting, match="nothing was corrected"):
        index.label(labels(id=["Red Painter/R0.png", "nobody.png"], artist=["a", "b"]), by="me")
    assert index.history.empty


def test_corrections_go_along_with_moves_replacements_and_compaction(index, collection):
    for name in ("R0.png", "R1.png", "R2.png"):
        index.label(labels(id=[f"Red Painter/{name}"], artist=["Rosso"]), by="Vasari")
    (collection / "Red Painter" / "R0.png").rename(collection / "Blue Painter" / "moved.png")
    painting(collection / "Red Painter" / "R1.png", 903)
    index.sync(collection)
    assert row_of(index, "Blue Painter/moved.png")["artist"] == "Rosso", "a folder does not overrule a person"
    assert row_of(index, "Red Painter/R1.png")["artist"] == "Rosso"
    index.remove([name for name in index.generation.table["id"] if "Green" in name])
    assert index.manifest.segments[0].name.startswith(f"{index.manifest.generation:06d}"), "written anew"
    assert row_of(index, "Red Painter/R2.png")["artist"] == "Rosso"
    carried = index.history[index.history["by"] == "Vasari"]
    assert len(carried) == 4, "said three times, and once carried over to a painting that was photographed anew"


def test_a_painting_from_elsewhere_with_the_same_id_is_not_replaced(tmp_path, index, collection):
    before = State.of(index.source)
    other = painting(tmp_path / "other" / "Red Painter" / "R0.png", 950)
    for change in (lambda: index.sync(tmp_path / "other"), lambda: index.add(tmp_path / "other")):
        report = change()
        ((path, reason),) = report.skipped
        assert path == str(other)
        assert reason.startswith(f"its id Red Painter/R0.png is that of another painting, {collection}")
        assert State.of(index.source) == before
    (collection / "Red Painter" / "R0.png").unlink()  # or its disk is not there today
    assert index.add(tmp_path / "other").replaced == ()
    assert State.of(index.source) == before


def table_of(path, *rows):
    path.write_text("id,file,artist\n" + "".join(f"{id_},{file},{artist}\n" for id_, file, artist in rows))
    return path


def test_the_ids_of_a_table_are_its_own_to_give(tmp_path, collection, embedder):
    names = ColumnNames(images=collection)
    table = table_of(tmp_path / "list.csv", ("17", "Red Painter/R0.png", "Rosso"))
    index, _ = Index.build(tmp_path / "i.artidx", table, embedder=embedder, names=names)
    (collection / "Red Painter" / "R0.png").rename(collection / "Red Painter" / "M.png")
    painting(collection / "Red Painter" / "new.png", 970)
    report = index.add(
        table_of(table, ("17", "Red Painter/new.png", "Rosso"), ("18", "Red Painter/M.png", "Rosso")), names=names
    )
    assert (report.embedded, report.moved, report.skipped) == (1, ("17",), ())
    assert dict(zip(index.generation.table["id"], index.generation.table["path"], strict=True)) == {
        "17": str(collection / "Red Painter" / "new.png"),
        "18": str(collection / "Red Painter" / "M.png"),
    }
    (collection / "Red Painter" / "new.png").unlink()
    painting(collection / "Red Painter" / "again.png", 971)
    report = index.add(table_of(table, ("17", "Red Painter/again.png", "Rosso")), names=names)
    assert (report.replaced, len(index)) == (("17",), 2)


def test_no_id_is_ever_given_twice(tmp_path, index, collection):
    index.add(painting(tmp_path / "B" / "Red Painter" / "X.png", 980).parents[1])
    (collection / "Red Painter" / "R0.png").rename(collection / "Red Painter" / "X.png")  # an id that is B's
    painting(collection / "Red Painter" / "R0.png", 981)
    report = index.sync(collection)
    assert report.moved == ("Red Painter/R0.png",)
    assert [reason[:50] for _, reason in report.skipped] == ["its id Red Painter/R0.png is that of another paint"]
    assert not index.generation.table["id"].duplicated().any()
    assert row_of(index, "Red Painter/R0.png")["path"] == str(collection / "Red Painter" / "X.png")


def test_a_folder_s_name_does_not_overrule_what_was_said_of_its_paintings(index, collection):
    index.label(labels(id=["Red Painter/R0.png"], artist=["Rosso"]), by="me")
    index.label(labels(id=["Red Painter/R0.png"], artist=["Red Painter"]), by="me")  # said, and the folder's name, too
    (collection / "Tuscany" / "Red Painter").mkdir(parents=True)
    (collection / "Red Painter" / "R0.png").rename(collection / "Tuscany" / "Red Painter" / "R0.png")
    index.sync(collection)
    assert row_of(index, "Tuscany/Red Painter/R0.png")["artist"] == "Red Painter"


def test_what_a_table_has_said_stays_when_a_file_moves(tmp_path, embedder, collection):
    (tmp_path / "list.csv").write_text("id,file,artist,title,year\n17,Red Painter/R0.png,Rosso,Deposition,1521\n")
    index, _ = Index.build(
        tmp_path / "i.artidx", tmp_path / "list.csv", embedder=embedder, names=ColumnNames(images=collection)
    )
    (collection / "Red Painter" / "R0.png").rename(collection / "Blue Painter" / "moved.png")
    index.sync(collection)
    found = row_of(index, "17")
    assert (found["artist"], found["title"], found["year"]) == ("Rosso", "Deposition", 1521)
    assert found["path"].endswith("Blue Painter/moved.png")


def test_what_cannot_be_looked_at_is_not_gone(index, collection):
    shutil.rmtree(collection / "Red Painter")
    (collection / "Red Painter").symlink_to(collection / "Red Painter")  # a circle: not even the system can say
    assert (index.sync(collection).removed, len(index)) == (0, 12)


def test_files_inside_an_archive_are_followed_when_it_moves(tmp_path, embedder, collection):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(collection / "Red Painter" / "R0.png", "R0.png")
    catalog = read_catalog(collection / "Red Painter" / "R0.png")
    catalog.table["path"] = [f"{tmp_path}/a.zip::R0.png"]
    index, _ = Index.build(tmp_path / "i.artidx", catalog, embedder=embedder)
    (tmp_path / "a.zip").rename(tmp_path / "b.zip")
    catalog.table["path"] = [f"{tmp_path}/b.zip::R0.png"]
    report = index.add(catalog)
    assert (report.embedded, len(report.moved)) == (0, 1)
    assert index.generation.table["path"].tolist() == [f"{tmp_path}/b.zip::R0.png"]


def test_a_label_that_only_removed_paintings_had_is_no_obstacle(tmp_path, index, collection, embedder):
    catalog = read_catalog(collection)
    catalog.table["style"] = "made up"
    one, _ = Index.build(tmp_path / "styled.artidx", catalog, embedder=embedder)
    one.add(painting(tmp_path / "plain.png", 960))
    one.label(labels(id=["plain.png"], style=["Baroque"]), by="me")
    one.remove(artists=[*HUES])
    assert one.generation.table["style"].tolist() == ["Baroque"]


def test_nobody_can_speak_as_the_program_does(index):
    with pytest.raises(BadSetting, match="give your own"):
        index.label(labels(id=["Red Painter/R0.png"], artist=["x"]), by=history.SYNC)
    with pytest.raises(BadCatalog, match="occurs more than once among the labels"):
        index.label(labels(id=["Red Painter/R0.png"] * 2, artist=["x", "y"]), by="me")
    with pytest.raises(BadCatalog, match="'soon' has no year in it"):
        index.label(labels(id=["Red Painter/R0.png"], year=["soon"]), by="me")
    index.label(labels(id=["Red Painter/R0.png", "Red Painter/R1.png"], year=[1530, None]), by="me")
    assert row_of(index, "Red Painter/R0.png")["year"] == 1530


def test_history_without_a_painting_changes_nothing(index):
    words = history.said(index.generation.table, [(0, "artist", "Somebody")], "me")
    others = index.generation.table.iloc[1:].reset_index(drop=True)
    assert history.applied(others, words).equals(others)


@pytest.mark.parametrize(
    "change",
    [
        lambda index, source, **how: index.add(source, **how),
        lambda index, source, **how: index.sync(source, **how),
        lambda index, source, **how: index.remove(["Red Painter/R3.png"], **how),
        lambda index, source, **how: index.remove(artists=["Painter, Blue"], **how),
        lambda index, source, **how: index.label(labels(id=["Red Painter/R3.png"], artist=["x"]), by="me", **how)[0],
    ],
)
def test_a_dry_run_says_what_would_be_done_and_changes_nothing(index, collection, change):
    painting(collection / "Red Painter" / "new.png", 900)
    painting(collection / "Red Painter" / "R0.png", 901)
    (collection / "Blue Painter" / "B0.png").rename(collection / "Blue Painter" / "moved.png")
    (collection / "Blue Painter" / "B1.png").unlink()
    before = State.of(index.source)
    files = sorted(path for path in index.source.rglob("*") if path.name != "LOCK")
    planned = change(index, collection, dry_run=True)
    assert State.of(index.source) == before
    assert sorted(path for path in index.source.rglob("*") if path.name != "LOCK") == files
    done = change(index, collection)
    for name in ("paintings", "embedded", "already_there", "moved", "replaced", "removed", "corrected"):
        assert getattr(planned, name) == getattr(done, name), name
    assert (planned.dry_run, done.dry_run) == (True, False)


def test_paintings_are_removed_by_artist_however_the_name_is_written(index):
    report = index.remove(artists=["RED  painter", "Painter, Blue"])
    assert (report.removed, set(index.generation.table["artist"])) == (8, {"Green Painter"})
    for name in ("Red Painter", "unknown"):
        with pytest.raises(UnknownPainting, match=f"no painting by '{name}'; nothing was removed"):
            index.remove(artists=[name])


def test_ids_and_labels_are_read_from_tables_and_lists(tmp_path):
    (tmp_path / "ids.txt").write_text("a/1.png\n\n b.png \n")
    assert read_names(tmp_path / "ids.txt") == ["a/1.png", "b.png"]
    (tmp_path / "l.csv").write_text("painting_id,creator,date,style\nx,Vermeer,c. 1665,\ny,,,Baroque\n")
    found = read_labels(tmp_path / "l.csv")
    assert found.astype(object).where(found.notna(), None).to_dict("records") == [
        {"id": "x", "artist": "Vermeer", "year": "c. 1665", "style": None},
        {"id": "y", "artist": None, "year": None, "style": "Baroque"},
    ]
    assert read_names(tmp_path / "l.csv") == ["x", "y"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("artist\nx\n", "no column id"),
        ("id,artist\nx,a\nx,b\n", "'x' occurs more than once"),
        ("id,artist\n,a\n", "row 2 has no id"),
        ("", "is empty"),
    ],
)
def test_tables_of_labels_that_cannot_be_used_are_refused(tmp_path, text, reason):
    (tmp_path / "l.csv").write_text(text)
    with pytest.raises(BadCatalog, match=reason):
        read_labels(tmp_path / "l.csv")


def test_a_change_reads_only_what_is_new_and_sees_damage_all_the_same(index, collection, monkeypatch):
    read, is_whole = [], generations.check_file
    monkeypatch.setattr(generations, "check_file", lambda *about: (read.append(about[-1]), is_whole(*about))[1])
    index.label(labels(id=["Red Painter/R0.png"], title=["A title"]), by="me")
    painting(collection / "Red Painter" / "new.png", 900)
    index.add(collection)
    assert not {"000001-0.parquet", "000001-0.npy"} & {*read}, "the files of the first build go on as they are"
    assert row_of(index, "Red Painter/R0.png")["title"] == "A title"
    read.clear()
    assert index.renewed().store.sha256 == index.store.sha256 == Index.open(index.source).store.sha256
    assert {"000001-0.parquet", "000001-0.npy"} <= {*read}, "who opens an index reads all of it"

    path = index.generation.folder / "000001-0.npy"
    with path.open("r+b") as stream:
        stream.seek(-1, 2)
        stream.write(b"\x99")
    for change in (lambda: index.remove(["Red Painter/R1.png"]), index.renewed, lambda: Index.open(index.source)):
        with pytest.raises(BadIndex, match=r"000001-0\.npy: damaged"):
            change()
    assert f"{path}: not as it was written" in index.check()
