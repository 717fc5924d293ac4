"""Vectors to other programs and back: nothing is lost on the way, and what does not fit is refused in one line."""

from __future__ import annotations

import json
import os
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from artidx import Embedder, Index
from artidx.errors import BadCatalog, BadIndex, ModelMismatch
from artidx.index.changes import interchange
from artidx.index.scoring import sums
from artidx.index.scoring.centre import centred
from artidx.index.storage import columns_file, generations, segments
from made import DIM, painting, small_model

ROOT = Path(__file__).parent.parent


@pytest.fixture
def in_blocks(monkeypatch):
    """Two paintings at a time, as thousands are of many."""
    for module in (interchange, segments):
        monkeypatch.setattr(module, "AT_ONCE", 2)
    monkeypatch.setattr(segments, "HASHED", 1)
    monkeypatch.setattr(columns_file, "AT_ONCE", 5)


def test_an_index_that_goes_out_and_comes_back_answers_to_the_bit(tmp_path, index, embedder):
    index.label(pd.DataFrame({"id": ["Red Painter/R0.png"], "artist": ["Rosso"]}), by="me")
    index.remove(["Blue Painter/B0.png"])
    index.export_vectors(tmp_path / "out")
    again, report = Index.import_vectors(tmp_path / "again.artidx", tmp_path / "out", embedder=embedder)
    assert report.paintings == len(again) == 11
    assert again.generation.table.drop(columns="row").equals(index.generation.table.drop(columns="row"))
    assert again.generation.vectors.matrix.tobytes() == index.generation.vectors.matrix.tobytes()
    names = ("id:Red Painter/R0.png", "id:Green Painter/G0.png")
    assert again.pair(*names).distance == index.pair(*names).distance
    assert again.pair(*names).probability == index.pair(*names).probability
    assert again.nearest(names[0]).artists == index.nearest(names[0]).artists
    assert again.check() == []


def test_what_goes_out_can_be_read_with_numpy_and_pandas_alone(tmp_path, index):
    index.export_vectors(tmp_path / "out")
    vectors = np.load(tmp_path / "out" / "vectors.npy")
    table = pd.read_parquet(tmp_path / "out" / "paintings.parquet")
    facts = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert vectors.shape == (12, DIM) == (len(table), facts["model"]["dim"])
    near = np.argsort(-vectors @ vectors[0])[1]
    assert table["id"][near] == index.nearest_paintings(f"id:{table['id'][0]}", k=1).paintings[0].painting.id


def test_the_table_goes_out_some_rows_at_a_time_and_is_all_of_it(tmp_path, index, in_blocks):
    index.label(pd.DataFrame({"id": ["Red Painter/R0.png"], "artist": ["Rosso"], "year": ["1899"]}), by="me")
    index.export_vectors(tmp_path / "out")
    assert pq.ParquetFile(tmp_path / "out" / "paintings.parquet").num_row_groups == 6
    assert pd.read_parquet(tmp_path / "out" / "paintings.parquet").equals(index.generation.table)


def test_vectors_straight_from_the_model_need_no_manifest(tmp_path, index, collection, embedder, in_blocks):
    table = index.generation.table
    np.save(tmp_path / "vectors.npy", embedder.transform(table["path"]).astype(np.float64))
    table[["id", "artist"]].to_parquet(tmp_path / "paintings.parquet")
    found, _ = Index.import_vectors(tmp_path / "i.artidx", tmp_path, embedder=embedder)
    assert found.generation.vectors.matrix.tobytes() == index.generation.vectors.matrix.tobytes()
    answer = found.nearest("id:Red Painter/R0.png", k=3)
    assert answer.artists[0].artist == "Red Painter"
    assert len(found.nearest_paintings("id:Red Painter/R0.png", k=50).paintings) == 11


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 12), st.integers(1, 12))
def test_neither_row_groups_nor_how_much_is_in_memory_change_the_files(
    tmp_path_factory, index, embedder, group, hashed
):
    folder = tmp_path_factory.mktemp("vectors")
    table = index.generation.table
    np.save(folder / "vectors.npy", embedder.transform(table["path"]))
    found = []
    for rows, size in ((len(table), segments.HASHED), (group, hashed)):
        table[["id", "artist", "title"]].to_parquet(folder / "paintings.parquet", row_group_size=rows)
        with pytest.MonkeyPatch.context() as patch:
            for module in (interchange, segments):
                patch.setattr(module, "HASHED", size)
            patch.setattr(sums, "AT_ONCE", size)
            patch.setattr(sums, "LISTED", size)
            again, _ = Index.import_vectors(folder / f"{len(found)}.artidx", folder, embedder=embedder)
        files = again.generation.folder.iterdir()
        found.append({file.name: file.read_bytes() for file in files if not file.name.startswith("manifest")})
    assert found[0] == found[1]


def test_an_index_is_read_without_artidx_as_the_formats_page_says(tmp_path, index, collection, monkeypatch):
    for number in range(2):
        index.add(painting(collection / "Red Painter" / f"more {number}.png", 700 + number))
    index.remove(["Blue Painter/B0.png"])
    assert len(index.manifest.segments) > 1
    code = (ROOT / "docs" / "formats.md").read_text("utf-8").partition("```python\n")[2].partition("```")[0]
    assert "artidx." not in code.replace('"paintings.artidx"', "")
    monkeypatch.chdir(index.source.parent)
    found: dict[str, object] = {}
    exec(code, found)
    assert found["table"].equals(index.generation.table)
    assert found["vectors"].tobytes() == index.generation.vectors.matrix.tobytes()


def test_paintings_keep_their_vectors_whatever_order_pandas_remembers(tmp_path, index, embedder):
    table = index.generation.table
    vectors = embedder.transform(table["path"])
    order = np.random.default_rng(0).permutation(len(table))[:9]
    np.save(tmp_path / "vectors.npy", vectors[order])
    shuffled = table.iloc[order].assign(year="c. 1665")[["id", "artist", "path", "year"]]
    shuffled.to_parquet(tmp_path / "paintings.parquet")
    found, _ = Index.import_vectors(tmp_path / "i.artidx", tmp_path, embedder=embedder)
    assert found.generation.table["id"].tolist() == table["id"].iloc[order].tolist()
    assert found.generation.table["artist_key"].tolist() == table["artist_key"].iloc[order].tolist()
    assert set(found.generation.table["year"]) == {1665}
    for place, name in enumerate(found.generation.table["path"]):
        expected = centred(embedder.transform([name]), found.generation.centre)[0]
        assert np.array_equal(found.generation.vectors.at(place), expected)


def test_imported_paintings_find_their_files_and_keep_their_names(tmp_path, index, collection, embedder):
    table = index.generation.table
    np.save(collection / "vectors.npy", embedder.transform(table["path"]))
    names = [f"accession {i}" for i in range(12)]
    pd.DataFrame({"id": names, "path": [*table["id"][:6], *[None] * 6], "sha256": table["sha256"]}).to_parquet(
        collection / "paintings.parquet"
    )
    found, _ = Index.import_vectors(tmp_path / "i.artidx", collection, embedder=embedder)
    assert found.generation.table["path"].tolist()[:6] == table["path"].tolist()[:6]
    report = found.add(collection)
    assert (report.embedded, len(report.moved)) == (0, 6)
    assert found.generation.table["id"].tolist() == names
    assert found.generation.table["path"].tolist() == table["path"].tolist()


def test_an_import_that_was_killed_just_before_it_was_published_is_finished_by_the_same_command(
    tmp_path, index, embedder, monkeypatch
):
    index.export_vectors(tmp_path / "out")
    path = tmp_path / "again.artidx"
    with monkeypatch.context() as patch:
        patch.setattr(generations, "make_current", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            Index.import_vectors(path, tmp_path / "out", embedder=embedder)
    with pytest.raises(BadIndex, match="its build has not finished; run the same command again"):
        Index.open(path)
    found, _ = Index.import_vectors(path, tmp_path / "out", embedder=embedder)
    assert found.generation.table.equals(index.generation.table)
    assert found.check() == []
    assert not (path / "building").exists()


def test_images_in_object_storage_and_on_the_web_stay_where_they_are(tmp_path, embedder):
    there = ["s3://scans/a.jpg", "https://museum.example/b.jpg", "c.jpg"]
    write(tmp_path, UNIT, id=["a", "b", "c"], path=there)
    found, _ = Index.import_vectors(tmp_path / "i.artidx", tmp_path, embedder=embedder)
    assert found.generation.table["path"].tolist() == [*there[:2], str(tmp_path / "c.jpg")]


def write(folder, vectors, **columns):
    np.save(folder / "vectors.npy", vectors, allow_pickle=True)
    pd.DataFrame(columns).to_parquet(folder / "paintings.parquet")


UNIT = np.eye(3, DIM, dtype=np.float32)


@pytest.mark.parametrize(
    ("vectors", "columns", "reason"),
    [
        (UNIT * 2, {"id": ["a", "b", "c"]}, "3 vectors are not of unit length, the first in row 0"),
        (UNIT * np.nan, {"id": ["a", "b", "c"]}, "not of unit length"),
        (UNIT[:, :5], {"id": ["a", "b", "c"]}, rf"expected floats of shape \(paintings, {DIM}\)"),
        (UNIT.astype(int), {"id": ["a", "b", "c"]}, "int64 of shape"),
        (UNIT[:0], {"id": []}, "expected floats"),
        (np.array([{"a": 1}]), {"id": ["a"]}, "cannot be read as vectors"),
        (UNIT, {"id": ["a", "b"]}, "2 paintings for 3 vectors"),
        (UNIT, {"name": ["a", "b", "c"]}, "has no column id"),
        (UNIT, {"id": ["a", "b", "a"]}, "ids must be unique"),
        (UNIT, {"id": ["a", "b", None]}, "ids must be unique"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, embedder, in_blocks, vectors, columns, reason):
    write(tmp_path, vectors, **columns)
    with pytest.raises(BadCatalog, match=reason) as problem:
        Index.import_vectors(tmp_path / "i.artidx", tmp_path, embedder=embedder)
    assert "\n" not in str(problem.value)
    assert not (tmp_path / "i.artidx").exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": 1}',
        '{"format": 9}',
        "null",
        "[" * 100_000,
        '{"format": 1, "model": {"sha256": 5, "name": "", "dim": 1}, "centre": [0]}',
        '{"format": 1, "model": {"sha256": "", "name": "", "dim": 1}, "centre": [1' + "0" * 400 + "]}",
    ],
)
def test_a_manifest_that_is_none_is_refused(tmp_path, embedder, text):
    write(tmp_path, UNIT, id=["a", "b", "c"])
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(BadCatalog, match=r"manifest\.json"):
        Index.import_vectors(tmp_path / "i.artidx", tmp_path, embedder=embedder)


def test_vectors_of_another_model_are_refused(tmp_path, index):
    index.export_vectors(tmp_path / "out")
    (tmp_path / "other.onnx").write_bytes(small_model(seed=1))
    with pytest.raises(ModelMismatch, match="name the right one with --model"):
        Index.import_vectors(tmp_path / "i.artidx", tmp_path / "out", embedder=Embedder.load(tmp_path / "other.onnx"))


def test_nothing_is_written_over(tmp_path, index, embedder):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    with pytest.raises(BadIndex, match="not an empty folder"):
        index.export_vectors(tmp_path / "full")
    index.export_vectors(tmp_path / "out")
    with pytest.raises(BadIndex, match="there is an index already"):
        Index.import_vectors(index.source, tmp_path / "out", embedder=embedder)
    with pytest.raises(BadCatalog, match="cannot be read as vectors"):
        Index.import_vectors(tmp_path / "i.artidx", tmp_path / "nothing", embedder=embedder)


@pytest.mark.parametrize("name", ["manifest.json", "vectors.npy", "paintings.parquet"])
def test_a_pipe_or_a_device_among_exported_vectors_is_not_waited_for(tmp_path, index, embedder, name):
    index.export_vectors(tmp_path / "out")
    for put in (os.mkfifo, lambda path: path.symlink_to("/dev/zero")):
        (tmp_path / "out" / name).unlink()
        put(tmp_path / "out" / name)
        with pytest.raises(BadCatalog, match="not a plain file"):
            Index.import_vectors(tmp_path / "i.artidx", tmp_path / "out", embedder=embedder)
