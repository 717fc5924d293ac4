"""The embedder: what goes in, what comes out, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from artidx import Embedder
from artidx.embedder.pictures.images import square
from artidx.embedder.runtime import PREPROCESSING, SHIPPED
from artidx.errors import BadModel, BadSetting, UnreadableImage
from artidx.index.scoring import upgrades
from artidx.index.scoring.calibration import Calibration
from made import DIM, MUSEUM, SIZE, painting, small_model, without_our_metadata


def test_vectors_have_unit_length_and_come_in_the_order_of_the_images(tmp_path, embedder):
    paths = [painting(tmp_path / f"{i}.png", i) for i in range(9)]
    together = embedder.transform(paths)
    assert together.shape == (9, DIM)
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, rtol=1e-6)
    for path, vector in zip(paths, together, strict=True):
        assert embedder.transform([path])[0].tobytes() == vector.tobytes()


def test_a_path_its_bytes_a_pil_image_and_an_array_give_the_same_vector(tmp_path, embedder):
    path = painting(tmp_path / "a.png", 1)
    image = Image.open(path)
    vectors = embedder.transform([path, str(path), path.read_bytes(), image, np.asarray(image)])
    assert len({vector.tobytes() for vector in vectors}) == 1


@pytest.mark.parametrize(("batch_size", "workers"), [(1, 1), (3, 2), (64, 7)])
def test_neither_batch_size_nor_workers_change_a_bit(tmp_path, embedder, batch_size, workers):
    paths = [painting(tmp_path / f"{i}.png", i) for i in range(8)]
    found = embedder.transform(paths, batch_size=batch_size, workers=workers)
    assert found.tobytes() == embedder.transform(paths).tobytes()


def test_the_shipped_model_gives_a_painting_the_same_bits_alone_and_among_others():
    embedder = Embedder.load()
    paths = sorted(MUSEUM.glob("*.jpg"))[:4]
    together = embedder.transform(paths)
    assert together[2].tobytes() == embedder.transform([paths[2]])[0].tobytes()
    squares = np.stack([square(path, embedder.size) for path in paths])
    assert embedder.infer(squares).tobytes() == together.tobytes()


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_is_calibrated_small_enough_and_has_a_card(name):
    shipped = Embedder.load(name)
    assert shipped.name == name
    Calibration.from_json(upgrades.calibration(shipped.metadata["calibration"]), "the shipped model", shipped.dim)
    path = Path(shipped.source)
    assert path.stat().st_size <= (85e6 if name == "base" else 10e6)
    card = path.with_suffix(".md").read_text("utf-8")
    assert shipped.sha256 in card
    assert "## The model that ships" in card, "written by hand: training writes the rest anew, and knows nothing of it"
    assert "Licence of this model: MIT" in card


def test_no_image_gives_no_vector(embedder):
    assert embedder.transform([]).shape == (0, DIM)
    assert embedder.infer(np.empty((0, SIZE, SIZE, 3), np.uint8)).shape == (0, DIM)


def test_a_bad_image_carries_its_problem_and_stops_nothing(tmp_path, embedder):
    good, bad = painting(tmp_path / "a.png", 1), tmp_path / "bad.jpg"
    bad.write_text("not an image")
    found = list(embedder.embed([good, bad, tmp_path / "none.jpg", good]))
    assert [outcome.problem == "" for outcome in found] == [True, False, False, True]
    assert "not an image" in found[1].problem
    assert found[2].problem == "no such file"
    assert found[0].vector is not None
    with pytest.raises(UnreadableImage, match="image 2: not an image"):
        embedder.transform([good, bad])


@pytest.mark.parametrize("setting", [{"batch_size": 0}, {"workers": 0}])
def test_settings_that_cannot_work_are_refused(embedder, setting):
    with pytest.raises(BadSetting, match="must be a number from 1 to"):
        list(embedder.embed([], **setting))


def test_a_device_that_is_not_there_is_an_error_that_names_the_one_that_is(model_file):
    with pytest.raises(BadSetting, match="CPUExecutionProvider"):
        Embedder.load(model_file, device="cuda")
    with pytest.raises(BadSetting, match="expected one of cpu, cuda"):
        Embedder.load(model_file, device="abacus")


def test_the_model_may_come_from_the_environment(model_file, monkeypatch):
    monkeypatch.setenv("ARTIDX_MODEL", str(model_file))
    assert Embedder.load().sha256 == Embedder.load(model_file).sha256
    monkeypatch.setenv("ARTIDX_MODEL", "small")
    assert Embedder.load().sha256 == Embedder.load("small").sha256 != Embedder.load("base").sha256


def test_a_file_with_the_name_of_a_shipped_model_is_reached_by_a_longer_path(model_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small").write_bytes(model_file.read_bytes())
    assert Embedder.load("small").sha256 != Embedder.load(model_file).sha256
    for path in ("./small", Path("small"), tmp_path / "small"):
        assert Embedder.load(path).sha256 == Embedder.load(model_file).sha256


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a usable ONNX model"),
        (b"junk" * 100, "not a usable ONNX model"),
        (small_model()[:-200], "not a usable ONNX model"),
        (without_our_metadata(small_model()), "not an artidx model"),
        (small_model(format=99), "another version"),
        (small_model(preprocessing={"size": SIZE, "colour": "BGR"}), "another version"),
        (small_model(preprocessing=7), "damaged"),
        (small_model(preprocessing={"size": 64, **PREPROCESSING}), "must take image"),
    ],
    ids=["empty", "junk", "cut", "stranger", "newer", "other-colours", "broken-metadata", "other-size"],
)
def test_a_file_that_is_no_model_of_ours_is_refused_in_one_line(tmp_path, data, reason):
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    with pytest.raises(BadModel, match=reason) as problem:
        Embedder.load(path)
    assert str(path) in str(problem.value)
    assert "\n" not in str(problem.value)


def test_a_model_whose_vectors_are_not_of_unit_length_is_refused(tmp_path):
    found = onnx.load_from_string(small_model())
    del found.graph.node[-1]
    found.graph.node[-1].output[0] = "vector"
    (tmp_path / "long.onnx").write_bytes(found.SerializeToString())
    with pytest.raises(BadModel, match="not of unit length"):
        Embedder.load(tmp_path / "long.onnx").transform([painting(tmp_path / "a.png", 1)])


def test_a_missing_model_is_refused(tmp_path):
    with pytest.raises(BadModel, match="no such model file"):
        Embedder.load(tmp_path / "none.onnx")


def test_saving_keeps_every_byte(tmp_path, model_file, embedder):
    embedder.save(tmp_path / "copy.onnx")
    assert (tmp_path / "copy.onnx").read_bytes() == model_file.read_bytes()
