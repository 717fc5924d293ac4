"""The centre of a collection: what all of its photographs share is subtracted, and nothing else."""

from __future__ import annotations

import mmap
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from artidx.index.scoring.centre import DOUBT, centre_of, centre_of_sums, centred, uncentred
from artidx.index.scoring.mapped import zeros
from artidx.index.scoring.neighbourhood import LANDMARKS, smallest
from artidx.index.scoring.parts import Nearest, Smallest, Summary, joined
from artidx.index.scoring.sums import Sums
from artidx.index.scoring.vectors import Vectors, distances
from artidx.index.storage.folder_store import Known
from artidx.index.storage.generations import Contents
from artidx.index.storage.manifest import Storage
from artidx.index.storage.segments import Draft, Tables, hashes_of
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


def test_sums_in_a_mapped_file_are_those_in_memory():
    chance = np.random.default_rng(0)
    vectors, artists = unit(chance.normal(size=(100, 8))), chance.integers(-1, 9, 100)
    inside, mapped = Sums.of(vectors, artists), Sums.of(vectors, artists, zeros)
    for name in ("artists", "sums", "counts"):
        np.testing.assert_array_equal(getattr(inside, name), getattr(mapped, name))
    assert isinstance(mapped.sums.base.base, mmap.mmap)
    assert zeros((0, 8), np.int64).shape == (0, 8)


@pytest.mark.parametrize("count", [1, 2, 7, 64])
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_sums_of_parts_have_the_bits_of_the_whole_however_it_is_divided_and_joined(count, seed):
    chance = np.random.default_rng(seed)
    paintings = int(chance.integers(0, 200))
    vectors = unit(chance.normal(size=(paintings, 8)))
    artists = chance.choice(np.array(["", "ann", "bé", "cy", "d"]), paintings)
    whole = Sums.of(vectors, artists)
    centre = centre_of_sums(whole, "")
    assert centre.tobytes() == centre_of(vectors, np.searchsorted(["", "ann", "bé", "cy", "d"], artists) - 1).tobytes()
    parts = [Sums.of(vectors[some], artists[some]) for some in np.array_split(chance.permutation(paintings), count)]
    while len(parts) > 1:  # any tree
        a, b = (parts.pop(int(chance.integers(len(parts)))) for _ in range(2))
        parts.append(a + b)
    assert centre_of_sums(parts[0], "").tobytes() == centre.tobytes()
    assert parts[0].means().tobytes() == whole.means().tobytes()
    for artist, mean in zip(whole.artists, whole.means(), strict=True):  # and they are the means
        np.testing.assert_allclose(mean, vectors[artists == artist].astype(np.float64).mean(axis=0), atol=2e-10)


@pytest.mark.parametrize("count", [1, 2, 7, 64])
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_what_parts_say_has_the_bits_of_the_whole(count, seed):
    chance = np.random.default_rng(seed)
    vectors, artists = unit(chance.normal(size=(200, 8))), chance.integers(-1, 5, 200)
    vectors[::50] = vectors[3]  # copies, few enough to be found in their order
    hashes, numbers = np.array(hashes_of(vectors)), np.arange(200)
    parts = np.array_split(numbers, count)
    found = joined(
        Summary(Sums.of(vectors[some], artists[some]), Smallest.of(hashes[some], some, 20)) for some in parts
    )
    centre = centre_of_sums(found.sums, -1)
    assert centre.tobytes() == centre_of(vectors, artists).tobytes()
    assert sorted(found.smallest.numbers) == smallest(hashes, 20).tolist()
    near = joined(Nearest.of(vectors[some], some, vectors[:9], 10) for some in parts)
    places, apart = Vectors.of(vectors).nearest(vectors[:9], 10)
    assert near.numbers.tolist() == places.tolist()
    assert near.distances.tobytes() == apart.tobytes()


def test_an_index_in_segments_has_the_landmarks_of_the_whole():
    chance = np.random.default_rng(0)
    vectors = unit(chance.normal(size=(LANDMARKS + 200, 8)))
    vectors[::7] = vectors[3]  # copies
    rows = np.arange(len(vectors))
    table = pd.DataFrame({"row": rows, **{name: rows.astype(str) for name in ("id", "path", "sha256", "artist")}})
    table = table.assign(artist_key="x", title=None, year=pd.array([None] * len(rows), "Int64"))
    found = []
    for count in (1, 2, 7, 64):
        parts = [table.iloc[some].reset_index(drop=True) for some in np.array_split(rows, count)]
        segments = [
            Draft(Tables.of(part.assign(vector_sha256=hashes_of(vectors[part["row"]]))), vectors[part["row"]])
            for part in parts
        ]
        contents = Contents(segments, np.zeros(8, np.float32), 0, next_row=len(table), storage=Storage("float32"))
        found.append(Known(SimpleNamespace(paintings=contents.paintings, vectors=contents.vectors())).landmarks)
    assert len(found[0]) > 0.8 * LANDMARKS
    for each in found[1:]:
        assert each.vectors.tobytes() == found[0].vectors.tobytes()
        assert (each.by_place, each.by_hash) == (found[0].by_place, found[0].by_hash)


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
