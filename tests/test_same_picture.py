"""Photographs of one picture are distinguished from photographs of two, with their differences, by bytes, pixels and
geometry."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageOps

import artidx
from artidx.cli.main import artidx as command
from artidx.errors import OutOfResources
from artidx.index.answers import geometry, twins
from artidx.index.answers import same_picture as module
from artidx.index.answers.same_picture import Reach, same_picture, seen
from made import CALIBRATION, MUSEUM

PICTURE, OTHER = MUSEUM / "436839.jpg", MUSEUM / "436892.jpg"


def changed(image: Image.Image, how: str) -> Image.Image:
    width, height = image.size
    if how == "smaller":
        return image.resize((width // 2, height // 2))
    if how == "crop":
        return image.crop((width // 8, height // 8, width, height * 9 // 10))
    if how == "grey":
        return ImageOps.grayscale(image).convert("RGB")
    if how == "mirrored":
        return ImageOps.mirror(image)
    if how == "mirrored, crop":
        return ImageOps.mirror(image.crop((width // 8, 0, width, height)))
    if how == "recoloured":
        return Image.fromarray((np.asarray(image) * [0.7, 1, 0.8]).astype(np.uint8))
    turned = np.asarray(image.rotate(2, Image.Resampling.BICUBIC, expand=True, fillcolor=(200, 200, 195)), float)
    light = np.linspace(0.7, 1.1, turned.shape[1])[None, :, None]  # from a window at the right
    return Image.fromarray(np.clip(turned * light, 0, 255).astype(np.uint8))


def redrawn(image: Image.Image) -> Image.Image:
    """As a copyist would: each line a little elsewhere, the paint laid on anew."""
    chance = np.random.default_rng(3)
    pixels = np.asarray(image.resize((400, 570)), np.float64)
    height, width = pixels.shape[:2]
    wander = [
        np.asarray(
            Image.fromarray(chance.normal(0, 6, (7, 7)).astype(np.float32)).resize(
                (width, height), Image.Resampling.BICUBIC
            )
        )
        for _ in range(2)
    ]
    rows = np.clip(np.arange(height)[:, None] + wander[0], 0, height - 1).astype(int)
    columns = np.clip(np.arange(width)[None] + wander[1], 0, width - 1).astype(int)
    paint = chance.normal(0, 12, (height // 4 + 1, width // 4 + 1, 1)).repeat(4, 0).repeat(4, 1)[:height, :width]
    return Image.fromarray(np.clip(pixels[rows, columns] + paint, 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    with Image.open(PICTURE) as opened:
        return opened.convert("RGB")


@pytest.fixture(scope="module")
def original(picture: Image.Image) -> module.Seen:
    return seen(picture)


@pytest.mark.parametrize(
    "how", ["smaller", "crop", "grey", "mirrored", "mirrored, crop", "recoloured", "another photograph"]
)
def test_a_changed_photograph_shows_one_picture_and_it_is_said_how(picture, original, how):
    stream = io.BytesIO()
    changed(picture, how).save(stream, "JPEG", quality=85)
    found = same_picture(original, seen(stream.getvalue()))
    assert found is not None
    assert not found.is_version
    assert set(how.split(", ")) <= set(found.kinds)
    assert ("mirrored" in found.kinds) == ("mirrored" in how)


def test_what_is_said_of_b_is_turned_round_with_the_order(picture, original):
    crop = seen(changed(picture, "crop"))
    assert same_picture(original, crop).kinds == ("crop",)
    assert same_picture(crop, original).kinds == ("wider",)


def test_agreement_is_the_median_over_patches_of_a_plain_correlation():
    chance, side = np.random.default_rng(0), geometry.PATCH
    one = chance.normal(100, 20, (5 * side + 7, 4 * side + 9)).astype(np.float32)
    two = (one + chance.normal(0, np.linspace(5, 60, one.shape[1]), one.shape)).astype(np.float32)
    one[:side], two[:side] = 90, 91  # nothing to compare
    inside = np.ones(one.shape, bool)
    inside[:, : side // 2] = False  # half of the first patches, which do not count
    inside[2 * side :: 20] = False
    found = []
    for top in range(0, one.shape[0] - side + 1, side):
        for left in range(0, one.shape[1] - side + 1, side):
            at = np.s_[top : top + side, left : left + side]
            x, y = one[at][inside[at]], two[at][inside[at]]
            if inside[at].mean() >= 0.9 and max(x.std(), y.std()) >= geometry.FLAT:
                found.append(np.corrcoef(x, y)[0, 1])
    assert len(found) == 12
    assert geometry.agreement(one, two, inside) == pytest.approx(np.median(found), abs=1e-5)
    assert geometry.agreement(one[:side], two[:side], inside[:side]) == 0


def test_features_of_a_mirror_image_are_those_that_would_be_found_in_it(original):
    derived = original.found.mirrored
    anew = geometry.photograph(ImageOps.mirror(Image.fromarray(original.found.rgb)))
    assert np.array_equal(derived.rgb, anew.rgb)
    apart = np.abs(derived.points[:, None] - anew.points[None]).max(axis=2)
    cosines = np.where(apart < 1, derived.descriptors @ anew.descriptors.T, -1).max(axis=1)
    assert (cosines > 0.999).mean() > 0.8  # the others lie at the border of what is a feature


def test_two_pictures_are_not_one_as_they_are_or_mirrored(original):
    assert same_picture(original, seen(OTHER)) is None


def test_a_copy_by_another_hand_is_a_version_and_not_the_same_picture(picture, original):
    found = same_picture(original, seen(redrawn(picture)))
    assert found is not None
    assert found.is_version
    assert "two versions" in found.says


def test_identical_pixels_and_bytes_are_told_without_opencv(picture, monkeypatch):
    monkeypatch.setattr(module, "has_geometry", lambda: False)
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    assert same_picture(seen(picture), seen(stream.getvalue())).kinds == ("identical pixels",)
    assert same_picture(seen(picture, "ab"), seen(picture, "ab")).kinds == ("identical",)
    assert same_picture(seen(picture), seen(changed(picture, "mirrored"))) is None


def test_an_opencv_for_which_there_is_no_memory_is_not_called_missing(tmp_path, monkeypatch):
    (tmp_path / "cv2.py").write_text("raise ImportError('libopenblas.so: failed to map segment from shared object')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cv2", raising=False)
    with pytest.raises(OutOfResources, match="OpenCV: not enough memory"):
        module.has_geometry()


def test_what_was_found_in_a_photograph_is_kept_for_who_asks_again(original, picture, monkeypatch):
    before = original.found, seen(picture).found.mirrored
    monkeypatch.setattr("cv2.SIFT_create", None)
    again = seen(picture).found
    for ours, theirs in zip((again, again.mirrored), before, strict=True):
        assert np.array_equal(ours.points, theirs.points)
        assert np.array_equal(ours.descriptors, theirs.descriptors)


def test_a_picture_without_features_is_not_called_anything():
    plain, other = (seen(Image.new("RGB", (90, 60), colour)) for colour in ("red", "blue"))
    assert same_picture(plain, other) is None
    assert len(plain.found.mirrored.points) == 0


@pytest.fixture(scope="module")
def photographs(tmp_path_factory, picture):
    folder = tmp_path_factory.mktemp("photographs")
    picture.save(folder / "one.png")
    (folder / "again.png").write_bytes((folder / "one.png").read_bytes())
    changed(picture, "mirrored").save(folder / "mirrored.png")
    with Image.open(OTHER) as other:
        other.save(folder / "other.png")
    return folder, artidx.Index.build(folder / "i.artidx", folder, embedder=artidx.Embedder.load("small"))[0]


def test_pair_and_nearest_say_first_that_it_is_one_picture(photographs):
    folder, index = photographs
    assert index.pair("one.png", "again.png").one_picture.how == "identical"
    assert index.pair("one.png", folder / "mirrored.png").one_picture.how == "mirrored"
    assert index.pair("one.png", "other.png").one_picture is None
    where = ["--index", str(folder / "i.artidx")]
    asked = CliRunner().invoke(command, ["nearest", str(folder / "one.png"), *where, "--json"])
    found = {twin["painting"]["id"]: twin["how"]["how"] for twin in json.loads(asked.output)["one_picture"]}
    assert found == {"one.png": "identical", "again.png": "identical", "mirrored.png": "mirrored"}
    said = CliRunner().invoke(command, ["pair", "one.png", "mirrored.png", *where])
    assert said.output.startswith("A and B seem to show the same picture: the second is mirrored. Very likely")


def test_how_far_photographs_are_compared_follows_the_models_scale():
    reach = Reach.of(CALIBRATION)
    assert (reach.near, reach.nearer, reach.very_near) == (0.6, 0.4, 0.1)
    wider = replace(
        CALIBRATION.pairs.by_distance,
        points=tuple(replace(point, distance=2 * point.distance) for point in CALIBRATION.pairs.by_distance.points),
    )
    assert Reach.of(replace(CALIBRATION, pairs=replace(CALIBRATION.pairs, by_distance=wider))).nearer == 0.8


def test_a_copy_that_a_model_finds_far_away_is_one_picture_still(photographs, picture, monkeypatch, tmp_path):
    # One model had grey copies at a distance of 0.71, farther than was compared.
    folder, index = photographs
    monkeypatch.setattr(index, "reach", Reach(near=0.0))
    for how in ("grey", "mirrored", "recoloured", "smaller", "another photograph"):
        changed(picture, how).save(tmp_path / "copy.jpg", quality=85)
        assert how in index.pair("one.png", tmp_path / "copy.jpg").one_picture.how
        assert how in index.pair(folder / "one.png", (tmp_path / "copy.jpg").read_bytes()).one_picture.how
    assert index.pair("one.png", "mirrored.png").one_picture is None  # both by id: no file is read
    monkeypatch.setattr(twins, "same_picture", None)  # different ones are not compared, which takes its time
    assert index.pair(PICTURE, OTHER).one_picture is None


@pytest.mark.parametrize("spelling", ["one.png", "id:one.png", "one.PNG", "id:one.PNG"])
def test_a_painting_asked_by_its_id_is_not_its_own_copy(photographs, spelling):
    _, index = photographs
    assert {twin.painting.id for twin in index.nearest(spelling).one_picture} == {"again.png", "mirrored.png"}
    assert index.nearest("other.png").one_picture == ()
