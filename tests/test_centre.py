"""The centre of a collection: what all of its photographs share is taken out, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from artidx.index.scoring.centre import DOUBT, centre_of, centred, uncentred
from artidx.index.scoring.vectors import distances
from made import painting


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


many = (
    arrays(np.float32, st.tuples(st.integers(1, 30), st.just(8)), elements=st.floats(-1, 1, width=16))
    .filter(lambda a: (np.linalg.norm(a, axis=1) > 0.1).all())
    .map(unit)
)


def test_the_centre_is_the_mean_of_artists_means_drawn_in_by_doubt():
    a, b, c = np.eye(3, dtype=np.float32)
    found = centre_of(np.stack([a, a, a, b, c, c]), np.array([0, 0, 0, 1, -1, -1]))
    expected = (a + b + c + c) / 4 * 4 / (4 + DOUBT)  # the two without an artist count as one each
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_no_paintings_have_no_centre():
    assert not centre_of(np.empty((0, 4), np.float32), np.empty(0, np.int64)).any()


@given(many)
def test_a_vector_does_not_depend_on_those_beside_it(embeddings):
    centre = centre_of(embeddings, np.arange(len(embeddings)))
    together = centred(embeddings, centre)
    for embedding, vector in zip(embeddings, together, strict=True):
        assert centred(embedding, centre).tobytes() == centred(embedding[None], centre)[0].tobytes() == vector.tobytes()


@given(many)
def test_embeddings_can_be_had_back(embeddings):
    centre = centre_of(embeddings, np.arange(len(embeddings)))
    np.testing.assert_allclose(uncentred(centred(embeddings, centre), centre), embeddings, atol=2e-6)


def test_a_common_part_of_all_photographs_is_taken_out():
    chance = np.random.default_rng(0)
    artists = np.repeat(np.arange(40), 4)
    hands = chance.normal(size=(40, 32))[artists] + chance.normal(size=(160, 32))
    camera = 12 * unit(chance.normal(size=32))
    plain, shifted = unit(hands), unit(hands + camera)
    is_same = (artists[:, None] == artists) & ~np.eye(160, dtype=bool)

    def mean_of_different(vectors):
        return distances(vectors[:, None], vectors[None])[artists[:, None] != artists].mean()

    assert mean_of_different(shifted) < 0.5
    around = centred(shifted, centre_of(shifted, artists))
    assert mean_of_different(around) == pytest.approx(mean_of_different(plain), abs=0.05)
    assert distances(around[:, None], around[None])[is_same].mean() < mean_of_different(around) - 0.2


def test_one_artist_alone_is_not_mistaken_for_a_way_of_photographing():
    chance = np.random.default_rng(0)
    one = unit(chance.normal(size=32) + 0.7 * chance.normal(size=(30, 32)))
    around = centred(one, centre_of(one, np.zeros(30, np.int64)))
    apart = distances(around[:, None], around[None])
    assert apart[~np.eye(30, dtype=bool)].mean() < 0.6


def test_a_few_more_artists_leave_distances_as_they_were_and_many_move_the_centre(tmp_path, index):
    before = index.pair("Red Painter/R0.png", "Blue Painter/B0.png").distance
    for number in range(2):
        painting(tmp_path / "some" / f"Artist {number}" / f"{number}.png", 300 + number)
    index.add(tmp_path / "some")
    assert index.pair("Red Painter/R0.png", "Blue Painter/B0.png").distance == before
    for number in range(8):
        painting(tmp_path / "more" / f"Other {number}" / f"o{number}.png", 400 + number)
    index.add(tmp_path / "more")
    assert index.manifest.centre_artists == index.manifest.artists == 13
    assert index.pair("Red Painter/R0.png", "Blue Painter/B0.png").distance != before
    assert index.check() == []
