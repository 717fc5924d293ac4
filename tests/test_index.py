"""Building, changing and opening an index: nothing published is lost, nothing half-written is seen."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import faiss
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from artidx import Embedder, Index, Settings, read_catalog
from artidx.errors import BadIndex, BadModel, IndexBusy, ModelMismatch, UnknownPainting, UnreadableImage
from artidx.files import sha256_of
from artidx.index.changes.build import SHARD
from artidx.index.scoring.centre import centred
from artidx.index.storage import generations
from artidx.index.storage.manifest import FORMAT
from made import DIM, HUES, Stages, painting, small_model


def contents(index: Index) -> tuple[bytes, bytes]:
    """What a generation holds, without when it was made."""
    return index.generation.table.to_parquet(), index.generation.vectors.matrix.tobytes()


def as_stored(index: Index, embedder: Embedder, path: Path | str) -> bytes:
    """The vector that a painting must have in this index."""
    return centred(embedder.transform([path]), index.generation.centre)[0].tobytes()


def test_every_painting_stands_in_the_table_with_its_own_vector(index, collection, embedder):
    table = index.generation.table
    assert len(index) == 12
    assert set(table["artist"]) == set(HUES)
    for place, path in enumerate(table["path"]):
        assert Path(path).is_absolute()
        assert index.generation.vectors.at(place).tobytes() == as_stored(index, embedder, path)


def test_the_files_can_be_read_without_artidx(index):
    folder = index.generation.folder
    vectors = np.load(folder / "000001-0.npy")
    table = pd.read_parquet(folder / "000001-0.parquet")
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    assert len(vectors) == len(table) == manifest["paintings"] == 12
    assert manifest["model"]["dim"] == vectors.shape[1] == DIM
    assert vectors.dtype == np.float32
    found = faiss.IndexFlatIP(DIM)
    found.add(vectors)
    assert table["id"][found.search(vectors[3:4], 1)[1][0, 0]] == table["id"][3]


def test_bad_images_are_skipped_with_their_reason_and_listed(tmp_path, collection, embedder):
    (collection / "Red Painter" / "empty.jpg").touch()
    (collection / "Red Painter" / "text.png").write_text("hello")
    index, report = Index.build(tmp_path / "i.artidx", collection, embedder=embedder)
    assert (report.paintings, report.embedded, len(report.skipped)) == (12, 12, 2)
    listed = pd.read_csv(index.generation.folder / "skipped.csv")
    assert sorted(Path(path).name for path in listed["path"]) == ["empty.jpg", "text.png"]
    assert dict(zip(listed["path"].map(os.path.basename), listed["reason"], strict=True))["empty.jpg"] == "empty file"


def test_strict_makes_a_bad_image_an_error_and_publishes_nothing(tmp_path, collection, embedder):
    (collection / "Red Painter" / "empty.jpg").touch()
    with pytest.raises(UnreadableImage, match=r"empty\.jpg: empty file"):
        Index.build(tmp_path / "i.artidx", collection, embedder=embedder, settings=Settings(strict=True))
    with pytest.raises(BadIndex, match="has not finished"):
        Index.open(tmp_path / "i.artidx")


def test_a_catalog_without_one_readable_image_is_an_error(tmp_path, embedder):
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "a.jpg").touch()
    with pytest.raises(BadIndex, match=r"no image of .*a\.jpg: empty file"):
        Index.build(tmp_path / "i.artidx", tmp_path / "c", embedder=embedder)


def test_build_does_not_overwrite_an_index_unless_told_to(index, collection, embedder):
    with pytest.raises(BadIndex, match="there is an index already"):
        Index.build(index.source, collection, embedder=embedder)
    shutil.rmtree(collection / "Red Painter")
    again, _ = Index.build(index.source, collection, embedder=embedder, replace=True)
    assert (len(again), again.manifest.generation) == (8, 2)
    assert len(index) == 12, "a reader keeps the generation it opened"


def test_a_folder_of_other_things_is_never_written_to(tmp_path, collection, embedder):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "letter.txt").write_text("dear")
    with pytest.raises(BadIndex, match="is not an index"):
        Index.build(tmp_path / "precious", collection, embedder=embedder)
    assert [p.name for p in (tmp_path / "precious").iterdir()] == ["letter.txt"]


BUILD = """
import sys
from artidx import Embedder, Index
from artidx.index.changes import build
build.SHARD = 8
Index.build(sys.argv[1], sys.argv[2], embedder=Embedder.load(sys.argv[3]))
"""


@pytest.mark.full
@pytest.mark.parametrize("shards_before_the_kill", [1, 4])
def test_a_killed_build_resumes_and_ends_in_the_same_index(tmp_path, model_file, shards_before_the_kill, monkeypatch):
    for number in range(120):
        painting(tmp_path / "c" / f"Artist {number % 7}" / f"{number}.png", number, side=400)
    target = tmp_path / "killed.artidx"
    running = subprocess.Popen([sys.executable, "-c", BUILD, target, tmp_path / "c", model_file])
    while len(list(target.glob("building/*.parquet"))) < shards_before_the_kill:
        assert running.poll() is None, "too quick to be killed"
        time.sleep(0.001)
    running.send_signal(signal.SIGKILL)
    running.wait()
    monkeypatch.setattr("artidx.index.changes.build.SHARD", 8)
    resumed, report = Index.build(target, tmp_path / "c", embedder=Embedder.load(model_file))
    unbroken, _ = Index.build(tmp_path / "whole.artidx", tmp_path / "c", embedder=Embedder.load(model_file))
    assert report.resumed >= 8 * shards_before_the_kill
    assert report.resumed + report.embedded == 120
    assert contents(resumed) == contents(unbroken)
    assert not (target / "building").exists()


def test_a_file_that_changed_since_the_kill_is_embedded_anew(tmp_path, collection, embedder, monkeypatch):
    (collection / "Red Painter" / "zz.png").touch()
    monkeypatch.setattr("artidx.index.changes.build.SHARD", 1)
    with pytest.raises(UnreadableImage):
        Index.build(tmp_path / "i.artidx", collection, embedder=embedder, settings=Settings(strict=True))
    changed = painting(collection / "Blue Painter" / "B0.png", 99)
    painting(collection / "Red Painter" / "zz.png", 98)
    index, report = Index.build(tmp_path / "i.artidx", collection, embedder=embedder)
    assert report.resumed > 0
    assert index.query("Blue Painter/B0.png").vector.tobytes() == as_stored(index, embedder, changed)


def test_add_takes_new_leaves_known_and_replaces_changed_paintings(tmp_path, index, collection, embedder):
    painting(collection / "Red Painter" / "new.png", 77, HUES["Red Painter"])
    painting(collection / "Red Painter" / "R0.png", 78, HUES["Red Painter"])
    shutil.copy(collection / "Red Painter" / "R1.png", collection / "Red Painter" / "copy of R1.png")
    rows_before = dict(zip(index.generation.table["id"], index.generation.table["row"], strict=True))
    report = index.add(collection)
    assert (report.embedded, report.already_there, report.paintings) == (2, 12, 13)
    assert report.replaced == ("Red Painter/R0.png",)
    rows = dict(zip(index.generation.table["id"], index.generation.table["row"], strict=True))
    assert rows["Red Painter/R1.png"] == rows_before["Red Painter/R1.png"]
    assert rows["Red Painter/R0.png"] not in rows_before.values()
    assert index.manifest.generation == 2
    assert index.check() == []
    changed = as_stored(index, embedder, collection / "Red Painter" / "R0.png")
    assert index.query("Red Painter/R0.png").vector.tobytes() == changed


def test_every_stage_is_told_with_how_far_it_went(tmp_path, collection, embedder):
    (collection / "bad.jpg").write_text("no")
    built, added, nothing = Stages(), Stages(), Stages()
    index, report = Index.build(tmp_path / "staged.artidx", collection, embedder=embedder, bar=built)
    assert built.seen == [("embedding", 13, 13), ("publishing", 12, 12)]
    assert 0 < report.reading < 1
    painting(collection / "new.png", 500)
    index.add(collection, bar=added)
    assert added.seen == [("comparing", 14, 14), ("embedding", 2, 2), ("publishing", 13, 13)]
    index.add(collection, bar=nothing)
    assert nothing.seen == [("comparing", 14, 14), ("embedding", 1, 1)]


def test_adding_what_is_there_changes_nothing(index, collection):
    report = index.add(collection)
    assert (report.embedded, report.already_there, index.manifest.generation) == (0, 12, 1)


def test_removed_paintings_are_gone_and_their_numbers_are_not_given_again(tmp_path, index, collection):
    last = index.generation.table["row"].max()
    report = index.remove(["Red Painter/R3.png", index.generation.table["id"].iloc[0]])
    assert (report.removed, len(index), index.check()) == (2, 10, [])
    with pytest.raises(UnknownPainting):
        index.query("id:Red Painter/R3.png")
    index.add(collection)
    assert len(index) == 12
    assert sorted(index.generation.table["row"])[-2:] == [last + 1, last + 2]


def test_removing_an_unknown_id_removes_nothing(index):
    with pytest.raises(UnknownPainting, match="nothing was removed"):
        index.remove(["Red Painter/R3.png", "nobody/1.png"])
    assert len(Index.open(index.source)) == 12


def test_everything_may_be_removed_and_added_again(index, collection):
    index.remove(list(index.generation.table["id"]))
    assert len(index) == 0
    assert index.check() == []
    index.add(collection)
    assert len(Index.open(index.source)) == 12


def test_a_generation_is_kept_while_somebody_reads_it_and_then_collected(index):
    reader = Index.open(index.source)
    for number in range(3):
        index.remove([f"Red Painter/R{number}.png"])
    assert sorted(p.name for p in index.source.glob("generations/*")) == ["000001", "000003", "000004"]
    assert len(reader.nearest_paintings("id:Red Painter/R0.png", k=50).paintings) == 11
    del reader
    index.remove(["Red Painter/R3.png"])
    assert sorted(p.name for p in index.source.glob("generations/*")) == ["000004", "000005"]


def test_only_the_last_two_generations_are_kept(index):
    for number in range(3):
        index.remove([f"Red Painter/R{number}.png"])
    assert sorted(p.name for p in index.source.glob("generations/*")) == ["000003", "000004"]


def test_the_model_is_stored_once_for_generations_that_share_it(index):
    first = index.generation.model_path
    index.remove(["Red Painter/R0.png"])
    assert first.samefile(index.generation.model_path)


def test_one_writer_at_a_time(index):
    with generations.writer(index.source), pytest.raises(IndexBusy, match=f"process {os.getpid()} on "):
        index.remove(["Red Painter/R0.png"])
    assert len(Index.open(index.source)) == 12


def test_what_an_interrupted_writer_left_is_not_seen_and_is_cleared_away(index):
    left = [index.source / "generations" / "000002.part", index.source / "generations" / "000002"]
    for folder in left:
        shutil.copytree(index.generation.folder, folder)
    (index.source / "CURRENT.part").write_text("half")
    assert len(Index.open(index.source)) == 12
    index.remove(["Red Painter/R0.png"])
    assert index.manifest.generation == 2
    assert sorted(p.name for p in index.source.rglob("*.part")) == []


@pytest.mark.parametrize(
    "name",
    ["manifest.json", "000001-0.parquet", "000001-0.npy", "removed.npy", "history.parquet", "skipped.csv", "CURRENT"],
)
@pytest.mark.parametrize("damage", ["cut", "flipped", "missing"])
def test_a_damaged_index_is_refused_in_one_line(index, name, damage):
    path = index.source / name if name == "CURRENT" else index.generation.folder / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data[:-9] if damage == "cut" else data)
    if damage == "missing":
        path.unlink()
    with pytest.raises(BadIndex) as problem:
        Index.open(index.source)
    assert "\n" not in str(problem.value)
    assert str(index.source) in str(problem.value)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_flipped_bit_changes_an_answer_unnoticed(index, data):
    path = index.generation.folder / data.draw(
        st.sampled_from(["manifest.json", "000001-0.parquet", "000001-0.npy", "removed.npy", "history.parquet"])
    )
    whole = path.read_bytes()
    broken = bytearray(whole)
    broken[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(broken)
    try:
        with pytest.raises(BadIndex):
            Index.open(index.source)
    finally:
        path.write_bytes(whole)


def test_check_finds_a_damaged_model_and_asking_it_is_refused(tmp_path, index):
    path = index.generation.model_path
    data = bytearray(path.read_bytes())
    data[data.index(b"grid")] ^= 1
    path.write_bytes(data)
    assert index.check() == [f"{path}: not as it was written"]
    with pytest.raises(BadModel):
        Index.open(index.source).nearest(painting(tmp_path / "q.png", 500))


def test_check_finds_decisions_that_cannot_be_read(index):
    assert index.check() == []
    path = index.source / "decisions.jsonl"
    path.write_text("[]\n")
    assert index.check() == [f"{path}: not decisions of a review; move the file away"]
    assert Index.open().check() == []  # it has none


def test_check_finds_a_vector_under_the_wrong_painting(index):
    swapped = np.array(index.generation.vectors.matrix)
    swapped[[0, 1]] = swapped[[1, 0]]
    path = index.generation.folder / "000001-0.npy"
    np.save(path, swapped)
    manifest = json.loads((index.generation.folder / "manifest.json").read_text("utf-8"))
    manifest["files"]["000001-0.npy"] = sha256_of(path)
    (index.generation.folder / "manifest.json").write_text(json.dumps(manifest))
    (index.generation.folder / "manifest.sha256").write_text(
        f"{sha256_of(index.generation.folder / 'manifest.json')}  manifest.json\n"
    )
    sha256 = sha256_of(index.generation.folder / "manifest.json")
    (index.source / "CURRENT").write_text(f"000001 {sha256}\n")
    index = Index.open(index.source)
    wrong = index.check()
    assert len(wrong) == 2
    assert all("its vector is not the one" in line for line in wrong)


def test_a_damaged_model_does_not_slip_into_the_next_generation(index):
    path = index.generation.model_path
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(BadIndex, match="not the one that made its vectors"):
        index.remove(["Red Painter/R0.png"])
    assert Index.open(index.source).manifest.generation == 1


def test_a_reader_can_still_embed_when_writers_have_moved_on(tmp_path, index):
    reader = Index.open(index.source)
    for number in range(3):
        index.remove([f"Red Painter/R{number}.png"])
    shutil.rmtree(reader.generation.folder)  # by somebody who does not ask
    assert len(reader.nearest(painting(tmp_path / "new.png", 500), k=50).paintings) == 12


def test_a_change_is_seen_by_the_object_that_made_it_even_if_it_was_asked_before(index, collection):
    assert len(index.nearest("Red Painter/R0.png", k=50).paintings) == 11
    index.remove(["Red Painter/R1.png"])
    assert "Red Painter/R1.png" not in {n.painting.id for n in index.nearest("Red Painter/R0.png", k=50).paintings}
    with pytest.raises(UnknownPainting):
        index.nearest("id:Red Painter/R1.png")
    index.add(collection)
    assert index.nearest("id:Red Painter/R1.png").paintings


def test_vectors_of_two_models_never_meet_in_one_index(tmp_path, index, collection):
    (tmp_path / "other.onnx").write_bytes(small_model(seed=1))
    index.nearest(painting(tmp_path / "q.png", 1))
    Index.build(index.source, collection, embedder=Embedder.load(tmp_path / "other.onnx"), replace=True)
    with pytest.raises(ModelMismatch, match="built with model"):
        index.add(tmp_path / "q.png")
    index.remove(["Red Painter/R0.png"])
    assert index.embedder.sha256 == index.manifest.model.sha256 == Embedder.load(tmp_path / "other.onnx").sha256


def test_a_stranger_s_database_is_left_as_it_was(tmp_path, collection, embedder):
    (tmp_path / "db").mkdir()
    for name, text in (("LOCK", ""), ("CURRENT", "MANIFEST-000004\n"), ("big.mkv.part", "half"), ("000005.ldb", "x")):
        (tmp_path / "db" / name).write_text(text)
    with pytest.raises(BadIndex, match="is not an index"):
        Index.build(tmp_path / "db", collection, embedder=embedder, replace=True)
    assert {p.name: p.read_text() for p in (tmp_path / "db").iterdir()} == {
        "LOCK": "",
        "CURRENT": "MANIFEST-000004\n",
        "big.mkv.part": "half",
        "000005.ldb": "x",
    }


def test_an_index_that_was_copied_without_its_lock_can_be_written(index):
    (index.source / "LOCK").unlink()
    (index.source / "notes.txt").write_text("mine")
    index.remove(["Red Painter/R0.png"])
    assert (index.source / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("junk", [b"", b"junk", None])
def test_a_shard_that_cannot_be_read_is_made_anew(tmp_path, collection, embedder, junk, monkeypatch):
    (collection / "Red Painter" / "zz.png").touch()
    monkeypatch.setattr("artidx.index.changes.build.SHARD", 6)
    with pytest.raises(UnreadableImage):
        Index.build(tmp_path / "i.artidx", collection, embedder=embedder, settings=Settings(strict=True))
    (shard, *_) = (tmp_path / "i.artidx" / "building").iterdir()
    shard.write_bytes(pd.DataFrame({"path": ["other"]}).to_parquet() if junk is None else junk)
    index, report = Index.build(tmp_path / "i.artidx", collection, embedder=embedder)
    assert (len(index), index.check(), len(report.skipped)) == (12, [], 1)


def test_adding_does_not_throw_away_an_interrupted_build(index, collection, tmp_path):
    (index.source / "building").mkdir()
    (index.source / "building" / "of-another-run.parquet").write_text("work")
    index.add(painting(tmp_path / "one.png", 900))
    index.add(collection)
    index.remove(["one.png"])
    assert [p.name for p in (index.source / "building").iterdir()] == ["of-another-run.parquet"]


def test_removing_keeps_the_list_of_what_could_not_be_read(tmp_path, collection, embedder):
    (collection / "Red Painter" / "empty.jpg").touch()
    index, _ = Index.build(tmp_path / "i.artidx", collection, embedder=embedder)
    index.remove(["Red Painter/R0.png"])
    assert (index.manifest.skipped, [reason for _, reason in index.generation.contents.skipped]) == (1, ["empty file"])


@pytest.mark.full
def test_a_full_disk_leaves_the_published_index_as_it_was(index, collection):
    code = (
        "import resource, sys; from artidx import Index\n"
        "index = Index.open(sys.argv[1]); resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        "index.remove(['Red Painter/R0.png'])"
    )
    found = subprocess.run([sys.executable, "-c", code, index.source], capture_output=True, text=True, check=False)
    assert found.returncode != 0
    assert len(Index.open(index.source)) == 12
    assert index.check() == []
    index.remove(["Red Painter/R0.png"])
    assert len(Index.open(index.source)) == 11


def test_an_index_from_a_newer_artidx_says_so(index):
    folder = index.generation.folder
    manifest = json.loads((folder / "manifest.json").read_text("utf-8")) | {"format": FORMAT + 1}
    text = json.dumps(manifest)
    (folder / "manifest.json").write_text(text, "utf-8")
    (index.source / "CURRENT").write_text(f"000001 {sha256_of(folder / 'manifest.json')}\n")
    with pytest.raises(BadIndex, match="update artidx"):
        Index.open(index.source)


def test_an_index_refuses_another_model_and_says_what_to_do(tmp_path, index):
    (tmp_path / "other.onnx").write_bytes(small_model(seed=1))
    with pytest.raises(ModelMismatch, match="leave out --model"):
        Index.open(index.source, embedder=Embedder.load(tmp_path / "other.onnx"))


def test_a_missing_or_foreign_folder_is_no_index(tmp_path):
    with pytest.raises(BadIndex, match="no such index"):
        Index.open(tmp_path / "none.artidx")
    with pytest.raises(BadIndex, match="not an index"):
        Index.open(tmp_path)


def test_paintings_without_labels_are_indexed(tmp_path, embedder):
    for number in range(3):
        painting(tmp_path / "flat" / f"{number}.png", number)
    index, _ = Index.build(tmp_path / "i.artidx", tmp_path / "flat", embedder=embedder)
    assert (len(index), index.manifest.artists) == (3, 0)
    answer = index.nearest("0.png")
    assert (answer.artists, answer.unknown) == ((), 1.0)
    assert [n.painting.artist for n in answer.paintings] == [None, None]


def test_extra_columns_of_the_catalog_are_kept(tmp_path, collection, embedder):
    catalog = read_catalog(collection)
    catalog.table["style"] = "made up"
    index, _ = Index.build(tmp_path / "i.artidx", catalog, embedder=embedder)
    assert set(Index.open(index.source).generation.table["style"]) == {"made up"}


def test_more_paintings_than_a_shard_keep_their_order(tmp_path, embedder, monkeypatch):
    assert SHARD > 5
    monkeypatch.setattr("artidx.index.changes.build.SHARD", 5)
    for number in range(12):
        painting(tmp_path / "c" / f"{number:02d}.png", number)
    index, _ = Index.build(tmp_path / "i.artidx", tmp_path / "c", embedder=embedder)
    for vector, path in zip(index.generation.vectors.matrix, sorted((tmp_path / "c").iterdir()), strict=True):
        assert vector.tobytes() == as_stored(index, embedder, path)
