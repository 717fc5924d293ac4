"""Browsing an index: words, artists, neighbours of artists, parts that look alike, the map."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from artidx import Index
from artidx.embedder.pictures.images import inner, picture, square, squares
from artidx.errors import NotAnImage, UnknownPainting, UnreadableImage
from artidx.index.answers import regions
from artidx.index.scoring.neighbourhood import smallest
from artidx.service import projection
from made import painting


@pytest.fixture
def collection_of(index):
    return index.collection


def png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    stream.seek(0)
    return stream


def test_all_words_must_occur_wherever_they_do(collection_of):
    assert collection_of.search("").total == 12
    assert collection_of.search("painter").total == 12
    assert [each.id for each in collection_of.search("R1 réd").paintings] == ["Red Painter/R1.png"]
    assert collection_of.search("red blue").total == 0
    assert collection_of.search(".*").total == 0  # words, not patterns


def test_a_page_of_paintings_is_a_piece_of_the_whole(collection_of):
    whole = collection_of.search("", count=100).paintings
    pieces = [collection_of.search("", start=start, count=5).paintings for start in (0, 5, 10)]
    assert sum(pieces, ()) == whole


def test_the_nearest_artists_are_those_whose_mean_vectors_are(index):
    found = index.collection.near(index.collection.artist("Red Painter"))
    table, vectors = index.generation.table, index.generation.vectors.matrix

    def middle(name):  # the plain formula
        mean = vectors[(table["artist"] == name).to_numpy()].mean(axis=0)
        return mean / np.linalg.norm(mean)

    expected = {name: 1 - float(middle("Red Painter") @ middle(name)) for name in ("Green Painter", "Blue Painter")}
    assert {each.artist.artist: pytest.approx(each.distance, abs=1e-6) for each in found} == expected
    assert [each.distance for each in found] == sorted(each.distance for each in found)


def test_paintings_without_an_artist_belong_to_nobodys_works(tmp_path, embedder, collection):
    for number in range(3):
        painting(collection / f"{number}.png", 50 + number)
    index = Index.build(tmp_path / "some.artidx", collection, embedder=embedder)[0]
    assert sum(artist.paintings for artist in index.collection.artists) == 12
    assert index.collection.search("0.png").total == 4
    assert len(index.collection.near(index.collection.artist("red painter"))) == 2
    with pytest.raises(UnknownPainting, match="the index has no painting by this artist"):
        index.collection.artist("unknown")


def test_an_artist_with_a_single_painting_is_near_to_nobody(tmp_path, embedder, collection):
    painting(collection / "Lone Painter" / "l.png", 60)
    index = Index.build(tmp_path / "some.artidx", collection, embedder=embedder)[0]
    near = index.collection.near(index.collection.artist("Red Painter"))
    assert "Lone Painter" not in [each.artist.artist for each in near]
    assert len(index.collection.near(index.collection.artist("Lone Painter"))) == 3


def test_a_part_lies_where_its_box_says():
    pixels = np.zeros((120, 80, 3), np.uint8)
    pixels[30:90, 40:] = (200, 40, 30)
    part, whole, inside = squares(png(pixels), [(0.5, 0.25, 1, 0.75), (0, 0, 1, 1), inner(80, 120, 16)], 16)
    assert np.abs(part.astype(int) - (200, 40, 30))[2:-2, 2:-2].max() < 32
    assert max(whole[:2].max(), whole[:, :5].max()) < 32
    np.testing.assert_array_equal(inside, square(png(pixels), 16))


def test_a_picture_keeps_its_proportions_and_is_never_made_larger():
    pixels = np.zeros((120, 80, 3), np.uint8)
    assert picture(png(pixels), 60).size == (40, 60)
    assert picture(png(pixels), 600).size == (80, 120)
    own = Image.fromarray(pixels)
    picture(own, 60)
    assert own.size == (80, 120)  # what was given is left as it was


def test_what_is_no_image_at_all_is_told_from_what_cannot_be_read():
    with pytest.raises(NotAnImage):
        square(b"text", 16)
    with pytest.raises(UnreadableImage) as problem:
        square(png(np.random.default_rng(0).integers(0, 255, (40, 40, 3)).astype(np.uint8)).getvalue()[:2000], 16)
    assert not isinstance(problem.value, NotAnImage)


def test_parts_are_paired_off_the_nearest_first(index):
    chance = np.random.default_rng(1)
    a, b = (chance.normal(size=(9, index.generation.manifest.model.dim)).astype(np.float32) for _ in range(2))
    a, b = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in (a, b))
    b[4] = a[7]
    found = regions.alike(index.manifest, a, b).regions
    assert (found[0].a, found[0].b) == (regions.BOXES[7], regions.BOXES[4])
    assert found[0].distance == pytest.approx(0, abs=1e-6)
    assert {each.a for each in found} == {each.b for each in found} == set(regions.BOXES)
    assert found[1].distance == min(each.distance for each in found[1:])


def test_the_map_puts_those_side_by_side_that_are_alike(tmp_path, embedder):
    for artist, hue in {"Red": (220, 30, 30), "Green": (30, 220, 30), "Blue": (30, 30, 220)}.items():
        for number in range(12):
            painting(tmp_path / "many" / artist / f"{number}.png", number, hue)
    index = Index.build(tmp_path / "many.artidx", tmp_path / "many", embedder=embedder)[0]
    points = projection.drawn(index.store)
    assert points.shape == (36, 2)
    assert points.min() >= 0
    assert points.max() <= 1
    artists = index.generation.table["artist"].to_numpy()
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    assert (artists[apart.argmin(axis=1)] == artists).mean() > 0.9
    np.testing.assert_array_equal(points, projection.drawn(index.store))  # the same again


def test_paintings_that_follow_each_other_on_the_map_lie_side_by_side():
    side = 32
    grid = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2)
    shuffled = np.random.default_rng(0).permutation(grid)
    along = shuffled[projection.along_curve(((shuffled + 0.5) / side).astype(np.float32))]
    assert sorted(along.tolist()) == sorted(grid.tolist())
    assert (np.abs(np.diff(along, axis=0)).sum(axis=1) == 1).all()


@pytest.mark.parametrize("count", [1, 2, 11])
def test_the_map_of_few_paintings_is_drawn_all_the_same(count, tmp_path, embedder):
    for number in range(count):
        painting(tmp_path / "few" / f"{number}.png", number)
    points = projection.drawn(Index.build(tmp_path / "few.artidx", tmp_path / "few", embedder=embedder)[0].store)
    assert points.shape == (count, 2)
    assert np.isfinite(points).all()


def test_a_lot_that_is_drawn_is_the_same_each_time_and_in_order():
    hashes = np.array([f"{value:04x}" for value in np.random.default_rng(0).permutation(1000)], object)
    drawn = smallest(hashes, 10)
    assert sorted(hashes[drawn]) == [f"{value:04x}" for value in range(10)]
    assert list(drawn) == sorted(drawn)
    assert list(smallest(hashes[:5], 10)) == [0, 1, 2, 3, 4]
