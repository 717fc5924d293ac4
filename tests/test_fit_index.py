"""An index is calibrated part by part, and the parts do not matter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artidx.errors import BadCatalog
from artidx.index.measure import fit_index, groups
from artidx.index.measure.fit_artists import calibrate_artists, cases_within
from artidx.index.measure.fit_index import Divided, Kernels, Sample, Some, calibrate_index, quantum_of
from artidx.index.measure.fit_pairs import calibrate_pairs, pairs_among
from artidx.index.scoring.artist_scores import KERNEL, gallery_scores
from artidx.index.scoring.neighbourhood import copies_of, expanded
from artidx.index.storage.segments import hashes_of


def made_up():
    """Artists (n,) and vectors (n, d): by eight artists, one who has only one, and nobody; some are copies."""
    chance = np.random.default_rng(3)
    artists = np.concatenate([np.repeat(np.arange(8), 26), [8], np.full(20, -1)])
    vectors = chance.normal(size=(9, 24))[artists] + 1.5 * chance.normal(size=(len(artists), 24))
    vectors = np.concatenate([vectors, vectors[:6], vectors[:2], vectors[-3:]])
    artists = np.concatenate([artists, artists[:6], [5, 5], artists[-3:]])
    order = chance.permutation(len(artists))
    return artists[order], (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)[order]


ARTISTS, VECTORS = made_up()
HASHES = np.array(hashes_of(VECTORS), str)
EVERYBODY = np.ones(len(ARTISTS), bool)


def some(which, chosen=EVERYBODY):
    at = np.flatnonzero(which)
    return Some(at, ARTISTS[at], chosen[at], HASHES[at], VECTORS[at])


def divided(part_of, chosen=EVERYBODY):
    """In parts with these numbers (n,), the last one first."""

    def done(job):
        return (job(some(part_of == part, chosen)) for part in sorted({*part_of.tolist()}, reverse=True))

    return Divided(ARTISTS, chosen, done, lambda numbers: VECTORS[numbers])


@pytest.fixture(scope="module")
def whole():
    return calibrate_index(divided(np.zeros(len(ARTISTS), int)), "these")


@settings(max_examples=3)
@given(st.sampled_from([2, 7, 64]), st.integers(0, 99))
def test_whatever_the_parts_the_calibration_is_that_of_the_whole_to_the_last_bit(whole, parts, seed):
    part_of = np.random.default_rng(seed).integers(0, parts, len(ARTISTS))
    assert calibrate_index(divided(part_of), "these") == whole


def test_it_is_the_calibration_that_is_fitted_to_an_index_in_memory(whole):
    places = np.flatnonzero(ARTISTS >= 0)
    hashes = HASHES.astype(object)
    groups_of = groups.halves(ARTISTS[places])
    settings_of = [pairs_among(VECTORS[places], ARTISTS[places], VECTORS, hashes, places)]
    apart = [(np.isin(ARTISTS, group), ~np.isin(ARTISTS, group)) for group in groups_of]
    found = [
        pairs_among(VECTORS[here], ARTISTS[here], VECTORS[there], hashes[there], np.full(here.sum(), -1))
        for here, there in apart
    ]
    settings_of.append(type(found[0]).joined(found))
    pairs = calibrate_pairs(settings_of, whole.pairs.measured_on)
    assert whole.pairs.neighbourhood_weight == pytest.approx(pairs.neighbourhood_weight, rel=1e-3)
    for ours, theirs in (
        (whole.pairs.by_distance, pairs.by_distance),
        (whole.pairs.by_fused_distance, pairs.by_fused_distance),
    ):
        for name in ("slope", "intercept", "auc", "calibration_error", "brier"):
            assert getattr(ours, name) == pytest.approx(getattr(theirs, name), rel=1e-3)
    artists = calibrate_artists(cases_within(VECTORS, ARTISTS, places, "these"), "")
    for name in ("slope", "intercept", "count_penalty", "prior_exponent"):
        assert getattr(whole.artists, name) == pytest.approx(getattr(artists, name), rel=1e-3)
    assert whole.artists.open_set.weights == pytest.approx(artists.open_set.weights, rel=1e-2, abs=1e-3)


def test_kernels_are_those_of_artists_scores_and_add_up_in_any_order():
    places, counts = np.flatnonzero(ARTISTS >= 0)[::9], np.bincount(ARTISTS[ARTISTS >= 0])
    expected = gallery_scores(VECTORS, ARTISTS, len(counts), VECTORS[places], own=places)
    odd = np.arange(len(ARTISTS)) % 2 == 1
    first, second = (Kernels.of(some(which), VECTORS[places], places, quantum_of(9)) for which in (odd, ~odd))
    found = (first + second).scores(ARTISTS[places], counts)
    assert np.array_equal(found.paintings, expected.paintings)
    is_near = expected.scores > 0  # for others, a kernel is a few quanta
    assert found.scores[is_near] == pytest.approx(expected.scores[is_near], abs=1e-4)
    assert found.scores == pytest.approx(expected.scores, abs=0.2)
    whole = Kernels.of(some(EVERYBODY), VECTORS[places], places, quantum_of(9))
    assert np.array_equal((second + first).sums, whole.sums)


@given(st.integers(1, 10**12))
def test_kernels_of_copies_of_one_painting_fit_into_an_integer_however_many_there_are(most):
    # Rounded to the grid, a unit vector of 2,048 numbers can have a square a little above 1.
    kernel = np.exp(KERNEL * 2048 * 2.0**-24)
    assert most * kernel / quantum_of(most) < np.iinfo(np.int64).max
    assert quantum_of(131_071) == fit_index.FINEST, "as fine as ever, for an index of usual size"


def test_kernels_in_coarser_quanta_are_the_same_but_for_rounding():
    places, counts = np.flatnonzero(ARTISTS >= 0)[::9], np.bincount(ARTISTS[ARTISTS >= 0])
    fine, coarse = (
        Kernels.of(some(EVERYBODY), VECTORS[places], places, quantum_of(most)).scores(ARTISTS[places], counts).scores
        for most in (9, 10**7)
    )
    is_near = fine > 0
    assert not np.array_equal(fine, coarse)
    assert coarse[is_near] == pytest.approx(fine[is_near], abs=1e-2)


def test_paintings_are_expanded_by_the_nearest_that_are_no_copies():
    places = np.flatnonzero(ARTISTS >= 0)
    sample = Sample(ARTISTS[places], HASHES[places], places)
    index = divided(np.arange(len(ARTISTS)) % 3)
    near = fit_index.joined(index.done(fit_index._Looking(sample, VECTORS[places], (), fit_index.FINEST))).nearest
    expected = expanded(VECTORS[places], VECTORS, places, copies_of(HASHES.astype(object)))
    assert fit_index._expanded(index, VECTORS[places], near) == pytest.approx(expected, abs=1e-6)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["ax", "ay", "bx", "cw"])), min_size=1), st.integers(1, 5))
def test_a_sample_has_the_smallest_hashes_read_backwards_of_each_artist_whatever_the_parts(paintings, parts):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit_index, "MOST_OF_ONE", 2)
        numbers = np.arange(len(paintings))
        artists, hashes = np.array([artist for artist, _ in paintings]), np.array([each for _, each in paintings])
        pieces = [np.flatnonzero(numbers % parts == part) for part in range(min(parts, len(paintings)))]
        found = fit_index.joined(Sample.of(artists[at], hashes[at], numbers[at]) for at in pieces)
    expected = [
        number
        for artist in sorted({*artists.tolist()})
        for _, number in sorted((hashes[at][::-1], at) for at in numbers if artists[at] == artist)[:2]
    ]
    assert found.numbers.tolist() == expected


def test_artists_are_sampled_until_there_are_enough_paintings(monkeypatch):
    assert groups.some_artists(ARTISTS).tolist() != sorted(groups.some_artists(ARTISTS)), "in random order"
    assert sorted(groups.some_artists(ARTISTS)) == [*range(9)], "all, if they have no more"
    monkeypatch.setattr(groups, "MOST_PAINTINGS", 50)
    assert 2 <= len(groups.some_artists(ARTISTS)) <= 3


def test_an_index_without_two_artists_is_refused():
    for chosen in (EVERYBODY & False, ARTISTS == 3, ARTISTS == 8, ARTISTS == -1):
        with pytest.raises(BadCatalog, match="needs two artists or more, one of them with two paintings, in these"):
            calibrate_index(divided(np.zeros(len(ARTISTS), int), chosen), "these")
