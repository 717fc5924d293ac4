"""What decides a pair: distance, similarity of neighbourhoods, thresholds; and many pairs and paintings at once."""

from __future__ import annotations

import csv
import io
import itertools
import json
import shutil
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from unittest.mock import Mock, patch

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from artidx import Index
from artidx.cli.main import artidx
from artidx.errors import BadCatalog, BadSetting, Uncalibrated
from artidx.index.answers import wording
from artidx.index.answers.search import Gallery
from artidx.index.answers.submit import submit
from artidx.index.answers.verify import Decision
from artidx.index.scoring import neighbourhood
from artidx.index.scoring.artist_scores import artist_scores
from artidx.index.scoring.calibration import Calibration
from artidx.index.scoring.neighbourhood import (
    Landmarks,
    Neighbourhoods,
    bandwidth_of,
    expanded,
    landmark_places,
    nearness,
    neighbourhoods_among,
    similarity,
)
from artidx.index.storage.folder_store import FolderStore
from artidx.index.storage.vector_store import Candidates, Seen
from made import CALIBRATION, HUES, among_its_nearest, painting


@pytest.fixture
def few_are_enough(monkeypatch):
    """Twelve landmarks are allowed to be enough."""
    monkeypatch.setattr(neighbourhood, "FEWEST", 3)
    monkeypatch.setattr("artidx.index.answers.search.FEWEST", 3)


def unit(chance, *shape):
    vectors = chance.normal(size=shape)
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


# --- similarity


def test_agreement_equals_the_sum_written_out():
    a, b = np.array([0.9, 0.2, -0.5]), np.array([0.7, 0.3, -0.9])
    p, q = (np.exp(x / 0.2) / np.exp(x / 0.2).sum() for x in (a, b))
    near_a, near_b = nearness(a, 0.2), nearness(b, 0.2)
    assert similarity(near_a, near_b) == pytest.approx(sum((p * q) ** 0.5))
    assert similarity(near_a, near_a) == pytest.approx(1)
    near_a[1] = near_b[1] = 0
    p, q = (np.exp(x[[0, 2]] / 0.2) / np.exp(x[[0, 2]] / 0.2).sum() for x in (a, b))
    assert similarity(near_a, near_b) == pytest.approx(sum((p * q) ** 0.5))


def test_scatter_is_the_root_mean_square_of_the_cosines_of_two_different_witnesses():
    vectors = unit(np.random.default_rng(0), 30, 8)
    cosines = [float(a @ b) for a, b in itertools.combinations(vectors.astype(np.float64), 2)]
    assert bandwidth_of(vectors) == pytest.approx(np.sqrt(np.mean(np.square(cosines))), abs=1e-6)
    assert bandwidth_of(vectors[::-1].copy()) == bandwidth_of(vectors), "the order does not count"
    assert bandwidth_of(np.eye(5, dtype=np.float32)) == neighbourhood.LEAST_BANDWIDTH


def test_paintings_agree_as_much_where_all_lie_twice_as_far_apart():
    # By the same steepness in every index, a calibration made in one misjudged pairs in another.
    wide, narrow = (chance_around(np.random.default_rng(0), width) for width in (0.9, 0.636))
    wide, narrow = (
        Neighbourhoods.of(v, v, bandwidth_of(v), np.arange(len(v))).similarity(slice(None), slice(None))
        for v in (wide, narrow)
    )
    above = np.triu_indices(len(wide), 1)
    found, expected = (np.quantile(similarities[above], (0.1, 0.5, 0.9)) for similarities in (narrow, wide))
    assert found == pytest.approx(expected, abs=0.03)


def test_two_of_the_same_painting_among_far_witnesses_agree_in_float32_as_exactly():
    # With a bandwidth of 0.04 each took all of the other's share: 0.83 together, 1.0 of the pair alone.
    vectors = unit(np.random.default_rng(0), 400, 512)
    vectors[1] = vectors[0]
    bandwidth = bandwidth_of(vectors)
    near = nearness(vectors.astype(np.float64) @ vectors[0], bandwidth)
    near[:2] = 0
    assert similarity(near, near) == pytest.approx(1)
    found = Neighbourhoods.of(vectors, vectors, bandwidth, np.arange(400))
    assert found.similarity(np.arange(2), np.arange(2))[0, 1] == pytest.approx(1, abs=1e-3)


def chance_around(chance, width):
    """300 vectors whose parts along 10 axes are `width` long in all; each has an axis of its own, too."""
    shared = width * unit(chance, 300, 10)
    return np.hstack([shared, np.sqrt(1 - width**2) * np.eye(300)]).astype(np.float32)


@settings(max_examples=30)
@given(st.integers(2, 40), st.integers(0, 2**31))
def test_agreements_of_many_equal_those_of_each_pair_with_neither_of_the_two_speaking(count, seed):
    chance = np.random.default_rng(seed)
    vectors = unit(chance, count, 8)
    landmarks = np.sort(chance.choice(count, max(2, count // 2), replace=False))
    own = np.full(count, -1)
    own[landmarks] = np.arange(len(landmarks))
    bandwidth = bandwidth_of(vectors[landmarks])
    found = Neighbourhoods.of(vectors, vectors[landmarks], bandwidth, own)
    a, b = np.triu_indices(count, 1)
    together = found.similarity(np.arange(count), np.arange(count))
    np.testing.assert_allclose(found.similarity_of_pairs(a, b), together[a, b], atol=1e-4)
    for i, j in zip(a[:20].tolist(), b[:20].tolist(), strict=True):
        is_silent = np.isin(landmarks, (i, j))
        near = [nearness(vectors[landmarks].astype(float) @ vectors[k], bandwidth) * ~is_silent for k in (i, j)]
        if near[0].any():
            assert together[i, j] == pytest.approx(similarity(*near), abs=1e-3)


def test_witnesses_are_few_drawn_by_hash_and_stay_when_others_come():
    chance = np.random.default_rng(0)
    hashes = np.array([f"{number:016x}" for number in chance.integers(0, 2**62, 5000)], object)
    chosen = landmark_places(hashes)
    assert len(chosen) == neighbourhood.LANDMARKS
    assert max(hashes[chosen]) < min(np.delete(hashes, chosen))
    others = np.array([f"{number:016x}" for number in chance.integers(0, 2**62, 250)], object)
    more = landmark_places(np.concatenate([hashes, others]))
    assert len(set(chosen) & set(more)) > 0.93 * len(chosen)
    assert landmark_places(hashes[:7]).tolist() == list(range(7))


def test_too_few_landmarks_say_nothing():
    vectors = unit(np.random.default_rng(0), neighbourhood.FEWEST - 1, 8)
    hashes = np.array([f"{n:016x}" for n in range(len(vectors))], object)
    assert neighbourhoods_among(vectors, vectors, hashes, np.arange(len(vectors))) is None


@settings(max_examples=30)
@given(st.integers(1, 40), st.integers(0, 2**31))
def test_paintings_of_the_index_are_expanded_by_their_nearest_and_others_stay_as_they_are(count, seed):
    chance = np.random.default_rng(seed)
    gallery, strangers = unit(chance, count, 8), unit(chance, 3, 8)
    own = chance.permutation(count)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbourhood, "EXPANDED_AT_ONCE", 7)
        found = expanded(
            np.concatenate([gallery[own], strangers]), gallery, np.concatenate([own, np.full(3, -1)]), np.arange(count)
        )
    np.testing.assert_allclose(found[:count], among_its_nearest(gallery)[own], atol=1e-5)
    assert np.array_equal(found[count:], strangers)


@settings(max_examples=30)
@given(st.integers(1, 12), st.integers(1, 9), st.integers(0, 2**31))
def test_copies_of_a_painting_change_nothing_for_it_nor_for_others_but_as_neighbours(count, times, seed):
    chance = np.random.default_rng(seed)
    once = unit(chance, count, 8)
    which = np.concatenate([np.arange(count), np.zeros(times, int)])  # the first is there once more, many times
    found = expanded(once[which], once[which], np.arange(len(which)), which)
    np.testing.assert_allclose(found[0], among_its_nearest(once)[0], atol=1e-5)
    assert (found[count:] == found[0]).all()


def test_copies_count_alike_in_pair_submit_and_evaluate(tmp_path, embedder):
    """Copies were no neighbours and no landmarks of each other in pair, and both in submit and evaluate."""
    few = neighbourhood.FEWEST
    for number in range(few):
        painting(tmp_path / "copied" / f"Artist {number % 5}" / f"{number}.png", number)
    for number in range(8):
        source = tmp_path / "copied" / f"Artist {number % 5}" / f"{number}.png"
        for again in range(1 + 2 * number):
            shutil.copy(source, source.with_name(f"{number} again {again}.png"))
    index, _ = Index.build(tmp_path / "copied.artidx", tmp_path / "copied", embedder=embedder)
    table, vectors = index.generation.table, index.generation.vectors.matrix
    assert len(index) > len(index.store.landmarks) == few
    place = {name.rpartition("/")[2]: number for number, name in enumerate(table["id"])}
    pairs = [
        (place[f"{a}.png"], place[f"{b}.png"])
        for a, b in (("7", "6"), ("7", "7 again 3"), ("0", "50"), ("6 again 1", "5"))
    ]
    (tmp_path / "p.csv").write_text(
        "i,a,b\n" + "".join(f"{i},{table['id'][a]},{table['id'][b]}\n" for i, (a, b) in enumerate(pairs))
    )
    submit(index.generation, index.calibration.pairs, tmp_path / "p.csv", tmp_path / "o.csv", prior=0.5)
    submitted = [float(line.split(",")[1]) for line in (tmp_path / "o.csv").read_text().split()[1:]]
    places = np.arange(len(vectors))
    around = neighbourhoods_among(vectors, vectors, table["vector_sha256"].to_numpy(object), places)
    for (a, b), probability in zip(pairs, submitted, strict=True):
        verdict = index.pair(f"id:{table['id'][a]}", f"id:{table['id'][b]}")
        evaluated = around.similarity_of_pairs(places[[a]], places[[b]])[0]
        assert verdict.neighbourhood_similarity == pytest.approx(evaluated, abs=1e-3)
        assert verdict.probability == pytest.approx(probability, abs=2e-4)


def test_a_pair_is_judged_by_its_neighbourhoods_as_all_pairs_of_an_index_are(larger):
    table, vectors = larger.generation.table, larger.generation.vectors.matrix
    places = np.arange(len(vectors))
    around = neighbourhoods_among(vectors, vectors, table["vector_sha256"].to_numpy(object), places)
    for a, b in ((0, 1), (3, 90), (207, 120)):
        expected = around.similarity_of_pairs(places[[a]], places[[b]])
        found = larger.pair(f"id:{table['id'][a]}", f"id:{table['id'][b]}").neighbourhood_similarity
        assert found == pytest.approx(expected[0], abs=1e-3)


def test_many_asked_at_once_are_answered_as_one_by_one(larger):
    for index in (larger, larger.only("artist != 'Artist 2'")):
        queries = [index.query_of_id(name) for name in larger.generation.table["id"][[0, 3, 90, 207, 120, 3]]]
        pairs = list(combinations(queries, 2))
        assert list(index.answers(queries, k=4)) == [index.answer(query, k=4) for query in queries]
        assert list(index.all_nearest_to(queries, k=4)) == [index.nearest_to(query, k=4) for query in queries]
        verdicts = [index.verdict(a, b, Decision()) for a, b in pairs]
        assert list(index.verdicts(pairs, Decision())) == verdicts
        for pair, verdict in zip(combinations(index.expanded(queries), 2), verdicts, strict=True):
            judgement = index.judge(*pair, Decision())
            assert judgement == index.judge(*(replace(query, expanded=None) for query in pair), Decision())
            assert vars(judgement).items() <= vars(verdict).items()
        assert index.judgements(pairs, Decision()) == [index.judge(*pair, Decision()) for pair in pairs]
    assert larger.judgements([], Decision()) == []


def test_of_pairs_inside_and_outside_an_index_each_is_judged_by_its_calibration(larger, monkeypatch):
    calibration = replace(larger.calibration, outside=replace(larger.calibration.pairs, neighbourhood_weight=0.9))
    monkeypatch.setitem(vars(larger), "calibration", calibration)
    inside = [larger.query_of_id(name) for name in larger.generation.table["id"][[0, 90]]]
    outside = [replace(query, own=frozenset(), painting=None) for query in inside]
    pairs = list(combinations([*outside, *inside], 2))
    together = larger.judgements(pairs, Decision())
    assert together == [larger.judge(*pair, Decision()) for pair in pairs]
    assert together[0].threshold < together[1].threshold


def test_what_belongs_to_one_painting_is_computed_once_however_many_pairs_it_is_in(larger, monkeypatch):
    near = Mock(wraps=neighbourhood.nearness)
    monkeypatch.setattr("artidx.index.answers.search.nearness", near)
    of_painting = Mock(wraps=Landmarks.of_painting)
    monkeypatch.setattr(Landmarks, "of_painting", lambda *asked: of_painting(*asked))
    queries = [larger.query_of_id(name) for name in larger.generation.table["id"][[0, 3, 90, 207]]]
    larger.judgements(list(combinations(queries, 2)), Decision())
    assert near.call_count == of_painting.call_count == 4


def test_pairs_are_answered_as_one_by_one_where_only_the_nearest_are_compared(larger, monkeypatch):
    def look(self, queries, wanted, excluded):  # as a server does under a filter
        for near, all_ in whole(self, queries, wanted, excluded):
            first = np.sort(np.argsort(-all_.cosines, kind="stable")[:60])
            few = Candidates(all_.places_of(first), all_.artists[first], all_.cosines[first], are_all=False)
            yield Seen(near, few)

    whole = FolderStore.look
    monkeypatch.setattr(FolderStore, "look", look)
    pairs = list(combinations([larger.query_of_id(name) for name in larger.generation.table["id"][[0, 3, 90]]], 2))
    assert list(larger.verdicts(pairs, Decision())) == [larger.verdict(a, b, Decision()) for a, b in pairs]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**31))
def test_artists_without_others_are_those_of_a_query_that_leaves_them_out(larger, seed):
    chance = np.random.default_rng(seed)
    gallery, calibration, codes = Gallery(larger.store), larger.calibration.artists, larger.store.artists_at(range(208))
    query = larger.query_of_id(larger.generation.table["id"][int(chance.integers(208))])
    sets = [chance.choice(208, chance.integers(4), replace=False) for _ in range(6)]
    sets += [np.flatnonzero(codes == chance.integers(codes.max())), []]  # all works of an artist, and none
    others = [frozenset(map(int, places)) - query.own for places in sets]
    (seen,) = gallery.look([query], 1)
    with patch("artidx.index.answers.search.SCORED_AT_ONCE", 3 * (codes.max() + 1)):  # of 8, in three blocks
        found = gallery.nearest_artists_without(query, others, seen.candidates, 3, calibration)
        for other, ranked in zip(others, found, strict=True):
            apart = replace(query, own=query.own | other)
            (afresh,) = gallery.look([apart], 1)
            assert ranked == gallery.nearest_artists(apart, afresh.candidates, 3, calibration)


def test_a_painting_is_scored_among_all_once_however_many_pairs_it_is_in(larger, monkeypatch):
    scored = Mock(wraps=artist_scores)
    monkeypatch.setattr("artidx.index.answers.search.artist_scores", scored)
    queries = [larger.query_of_id(name) for name in larger.generation.table["id"][[0, 3, 90, 207]]]
    list(larger.verdicts(list(combinations(queries, 2)), Decision()))
    sizes = [len(cosines) for cosines, *_ in (call.args for call in scored.call_args_list)]
    assert sizes.count(len(larger)) == 4
    assert sum(sizes) < 6 * len(larger), "of the other sides' artists, little is scored again"


def test_neither_a_filter_nor_a_picture_saved_anew_changes_a_neighbourhood(larger):
    one, other = larger.generation.table["id"][[3, 90]]
    expected = larger.pair(f"id:{one}", f"id:{other}").neighbourhood_similarity
    few = larger.only("artist == 'Artist 0' or artist == 'Artist 1'")
    assert few.pair(f"id:{one}", f"id:{other}").neighbourhood_similarity == expected
    gallery, path = Gallery(larger.store), larger.generation.table["path"][3]
    before = larger.query(path)
    assert not np.allclose(gallery.expanded([before])[0].expanded, before.vector)
    painting(Path(path), 9999, (10, 200, 30))
    anew = larger.query(path)
    assert anew.own == before.own
    assert np.array_equal(gallery.expanded([anew])[0].expanded, anew.vector)


# --- in words


PAIR = {
    "same": True,
    "prior": 0.5,
    "distance": 0.3,
    "threshold": 0.6,
    "false_positive_rate": 0.1,
    "probability_by_distance": 0.9,
    "neighbourhood_similarity": 0.9,
    "one_picture": None,
    "is_too_sure": False,
}


@pytest.mark.parametrize(
    ("probability", "words"),
    [(0.96, "very likely"), (0.7, "likely"), (0.5, "undecided"), (0.3, "unlikely"), (0.03, "very unlikely")],
)
def test_the_headline_says_the_probability_whatever_the_threshold_says(probability, words):
    # "The same artist: the probability that one artist painted both is 3%" was once a headline.
    for same in (True, False):
        summary = wording.of_pair(**PAIR | {"same": same, "probability": probability})
        assert summary.words == words
        assert summary.headline.startswith(words.capitalize())
        assert any("threshold says otherwise" in note for note in summary.notes) == (same != (probability >= 0.5))


def test_what_is_known_to_be_too_sure_is_said_a_step_weaker_with_the_reason():
    summary = wording.of_pair(**PAIR | {"probability": 0.99, "is_too_sure": True})
    assert summary.words == "likely"
    assert summary.notes[0].startswith("The index holds neither")


def test_one_picture_comes_before_one_hand():
    summary = wording.of_pair(
        **PAIR | {"probability": 0.99, "one_picture": "show the same picture: the files are identical"}
    )
    assert summary.headline.startswith("A and B show the same picture: the files are identical. Very likely")


def test_a_ranking_is_told_against_the_record():
    cezanne, renoir = wording.Named("Cézanne", 0.75, 40), wording.Named("Renoir", 0.05, 3)

    def summary(recorded):
        return wording.of_artists([cezanne, renoir], 0.2, 100, recorded, is_from_elsewhere=False)

    assert summary(None).headline == "Likely Cézanne: 75%."
    assert summary(None).notes == ()
    assert summary(wording.Recorded("Renoir", 1, 3)).notes == (
        "The record says Renoir (5%); it looks more like Cézanne (75%).",
    )
    assert summary(wording.Recorded("Cézanne", 0, 40)).notes == ("The record says Cézanne; the pictures agree.",)
    assert "no other work" in summary(wording.Recorded("Monet", None, 0)).notes[0]
    nobody = wording.of_artists([renoir], 0.95, 100, wording.Recorded("Renoir", 0, 3), is_from_elsewhere=True)
    assert nobody.headline == "Very likely none of the artists here: 95%."
    assert nobody.notes == ("The record says Renoir (5%); it looks like none of the artists here (95%).",)


def test_an_artist_with_few_works_is_never_very_likely():
    few = wording.of_artists([wording.Named("Lely", 0.97, 1)], 0.02, 100, None, is_from_elsewhere=True)
    assert (few.words, len(few.notes)) == ("likely", 2)
    assert few.notes[0].startswith("Only 1 work by Lely is here")
    many = wording.of_artists([wording.Named("Lely", 0.97, 30)], 0.02, 100, None, is_from_elsewhere=False)
    assert (many.words, many.notes) == ("very likely", ())


def test_an_answer_knows_how_many_other_works_speak_for_each_artist(index):
    answer = index.nearest("Red Painter/R0.png")
    held = index.generation.table["artist"].value_counts()
    assert answer.artists[0].works == answer.recorded_works == held["Red Painter"] - 1
    assert answer.artists[1].works == held[answer.artists[1].artist]


# --- the verdict


def test_in_a_small_index_the_distance_alone_decides(index):
    verdict = index.pair("Red Painter/R0.png", "Red Painter/R1.png")
    assert verdict.neighbourhood_similarity is None
    assert verdict.threshold == 0.6
    assert verdict.probability == verdict.probability_by_distance


def test_the_threshold_is_farther_for_paintings_whose_surroundings_agree(index, few_are_enough):
    same = index.pair("Red Painter/R0.png", "Red Painter/R1.png")
    different = index.pair("Red Painter/R0.png", "Blue Painter/B0.png")
    assert 1 >= same.neighbourhood_similarity > different.neighbourhood_similarity >= 0
    pairs = CALIBRATION.pairs
    for verdict in (same, different):
        added = pairs.neighbourhood_weight * (1 - verdict.neighbourhood_similarity)
        assert verdict.threshold == pytest.approx(0.7 - added)
        assert verdict.probability == pairs.by_fused_distance.probability(verdict.distance + added)
        assert verdict.probability_by_distance == pairs.by_distance.probability(verdict.distance)
        assert verdict.same == (verdict.distance < verdict.threshold)
    assert same.same
    assert not different.same


def test_agreement_is_the_same_by_path_by_id_in_either_order_and_after_reload(index, few_are_enough):
    table = index.generation.table
    expected = index.pair(f"id:{table['id'][0]}", f"id:{table['id'][5]}")
    again = Index.open(index.source).pair(table["path"][5], table["path"][0])
    for name in ("distance", "neighbourhood_similarity", "threshold", "probability"):
        assert getattr(again, name) == getattr(expected, name)


def test_a_threshold_of_ones_own_decides_by_the_plain_distance(index, few_are_enough):
    near = index.pair("Red Painter/R0.png", "Red Painter/R1.png")
    for threshold, same in ((near.distance + 1e-9, True), (near.distance, False)):
        verdict = index.pair("Red Painter/R0.png", "Red Painter/R1.png", threshold=threshold)
        assert (verdict.same, verdict.threshold, verdict.false_positive_rate) == (same, threshold, None)
        assert verdict.probability == near.probability


# --- calibrating an index


@pytest.fixture
def larger(tmp_path, embedder):
    """208 paintings by eight artists: half of them are landmarks enough."""
    for number in range(8):
        hue = (60 + 20 * number, 40 + (number * 70) % 180, 200 - 20 * number)
        for i in range(26):
            painting(tmp_path / "larger" / f"Artist {number}" / f"{i}.png", 100 * number + i, hue)
    return Index.build(tmp_path / "larger.artidx", tmp_path / "larger", embedder=embedder)[0]


def test_calibrate_publishes_thresholds_that_were_counted_on_the_index(larger):
    before = larger.generation
    found = larger.calibrate()
    assert larger.manifest.generation == before.manifest.generation + 1
    assert Index.open(larger.source).calibration == found
    assert found.pairs.same_pairs == 8 * 26 * 25 // 2
    assert "208 paintings by 8 artists (all of this index)" in found.pairs.measured_on
    assert found.pairs.neighbourhood_weight > 0
    assert np.array_equal(larger.generation.vectors.matrix, before.vectors.matrix)
    point = found.pairs.by_fused_distance.point(0.1)
    rows = before.table[["id", "artist"]].sample(400, replace=True, random_state=0).to_numpy().tolist()
    called = [
        larger.pair(f"id:{a}", f"id:{b}").same
        for (a, one), (b, other) in zip(rows[:200], rows[200:], strict=True)
        if one != other
    ]
    assert point.false_positive_rate <= 0.1
    assert 0.05 < sum(called) / len(called) < 0.15


def test_calibrating_survives_adding_and_a_split_that_is_not_there_is_refused(larger, tmp_path):
    found = larger.calibrate()
    larger.add(painting(tmp_path / "more" / "Artist 9" / "x.png", 1, HUES["Red Painter"]).parent)
    assert larger.calibration == found
    with pytest.raises(BadSetting, match="has no column 'split'"):
        larger.calibrate(split="val")


def test_calibrating_without_pairs_is_refused_and_publishes_nothing(tmp_path, embedder):
    for i in range(3):
        painting(tmp_path / "flat" / f"{i}.png", i)
    index, _ = Index.build(tmp_path / "flat.artidx", tmp_path / "flat", embedder=embedder)
    with pytest.raises(BadCatalog, match="two artists or more"):
        index.calibrate()
    assert index.manifest.generation == 1


def test_calibrate_tells_errors_on_artists_held_apart(larger):
    out = CliRunner().invoke(artidx, ["calibrate", str(larger.source)], catch_exceptions=False).output
    assert "calibrated on all pairs of 208 paintings by 8 artists" in out
    assert "on artists held out: calibration error 0." in out


# --- in bulk


def bulk(*words):
    found = CliRunner().invoke(artidx, [str(word) for word in words], catch_exceptions=False)
    return found.exit_code, found.stdout


@pytest.fixture
def pairs_file(tmp_path, index, collection):
    path = tmp_path / "pairs.csv"
    rows = [
        ("first", "second", "why"),
        ("Red Painter/R0.png", "Red Painter/R1.png", ""),
        (collection / "Red Painter" / "R0.png", "Blue Painter/B0.png", ""),
        ("Red Painter/R0.png", "none.jpg", ""),
    ]
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return path


def test_pairs_in_bulk_say_what_pair_says(index, pairs_file):
    status, out = bulk("pair", "--pairs", pairs_file, "-i", index.source, "--prior", "0.2")
    rows = list(csv.DictReader(io.StringIO(out.removeprefix("\ufeff"))))
    assert status == 2, "one could not be answered"
    for row in rows[:2]:
        expected = index.pair(row["a"], row["b"], prior=0.2)
        assert row["same"] == str(expected.same).lower()
        for name in ("distance", "threshold", "probability"):
            assert float(row[name]) == pytest.approx(getattr(expected, name), rel=1e-5)
    assert "none.jpg: neither a file" in rows[2]["problem"]
    out = bulk("pair", "--pairs", pairs_file, "-i", index.source, "--json")[1]
    lines = [json.loads(line) for line in out.splitlines()]
    assert lines[0]["distance"] == index.pair("Red Painter/R0.png", "Red Painter/R1.png").distance
    assert lines[2].keys() == {"a", "b", "problem"}


def test_pairs_with_their_evidence_take_one_search_of_each_painting(index, pairs_file, monkeypatch):
    # They once took two, because the paintings were expanded before their neighbours were known.
    looked, look = [], FolderStore.look
    monkeypatch.setattr(FolderStore, "nearest", lambda *_: pytest.fail("searched once more"))
    monkeypatch.setattr(
        FolderStore, "look", lambda self, queries, *wanted: looked.append(len(queries)) or look(self, queries, *wanted)
    )
    assert bulk("pair", "--pairs", pairs_file, "-i", index.source, "--json")[0] == 2, "one could not be answered"
    assert looked == [3]


def test_pairs_compare_each_painting_with_the_landmarks_once(larger, monkeypatch):
    # Each pair once had a gallery of its own, which knew nothing of the pairs before.
    asked, compared = larger.generation.table["id"][[0, 3, 90, 207]].tolist(), []
    queries = larger.expanded([larger.query_of_id(name) for name in asked])
    landmarks, _ = larger.store.landmarks.augmented, larger.store.landmarks.bandwidth

    class Counted:
        def __matmul__(self, vector):
            compared.append(vector.tobytes())
            return landmarks @ vector

    monkeypatch.setitem(larger.store.landmarks.__dict__, "augmented", Counted())
    for a, b in combinations(queries, 2):
        larger.judge(a, b, Decision())
    assert sorted(compared) == sorted(query.expanded.tobytes() for query in queries)


def test_each_image_is_embedded_once(tmp_path, index, monkeypatch):
    strangers = [painting(tmp_path / f"s{i}.png", 900 + i) for i in range(3)]
    (tmp_path / "p.csv").write_text("a,b\n" + "".join(f"{a},{b}\n" for a in strangers for b in strangers))
    embedded = []
    plain = index.embedder.embed_one
    monkeypatch.setattr(
        "artidx.embedder.runtime.Embedder.embed_one",
        lambda self, image, reader: embedded.append(image) or plain(image, reader),
    )
    status, out = bulk("pair", "--pairs", tmp_path / "p.csv", "-i", index.source)
    assert status == 0
    assert len(out.splitlines()) == 10
    assert sorted(embedded) == sorted(map(str, strangers))


def test_a_folder_or_a_list_is_answered_image_by_image(tmp_path, index, collection):
    (collection / "Red Painter" / "bad.jpg").write_text("no")
    (collection / "Red Painter" / "notes.txt").write_text("no")
    status, out = bulk("nearest", "--list", collection / "Red Painter", "-i", index.source, "-k", "2")
    rows = list(csv.DictReader(io.StringIO(out.removeprefix("\ufeff"))))
    assert status == 2
    assert [row["rank"] for row in rows] == ["1", "2"] * 4 + [""], "notes.txt is no image"
    assert "not an image" in rows[-1]["problem"]
    first = index.nearest(rows[0]["image"], k=2)
    assert rows[0]["artist"] == first.artists[0].artist
    assert rows[0]["painting"] == first.artists[0].paintings[0].painting.id
    assert float(rows[0]["unknown"]) == pytest.approx(first.unknown, rel=1e-5)
    (tmp_path / "list.txt").write_text("Red Painter/R0.png\n\nRed Painter/R0.png\nBlue Painter/B1.png\n")
    listed = tmp_path / "list.txt"
    status, out = bulk("nearest", "--list", listed, "-i", index.source, "--json", "--paintings", "-k", "1")
    assert status == 0
    assert [json.loads(line)["query"] for line in out.splitlines()] == ["Red Painter/R0.png", "Blue Painter/B1.png"]


def test_pair_and_submit_judge_an_index_of_just_enough_paintings_alike(tmp_path, embedder):
    # At 100 and 101 paintings pair once fell back to the distance alone, and submit did not.
    for number in range(neighbourhood.FEWEST):
        painting(tmp_path / "enough" / f"Artist {number % 5}" / f"{number}.png", number)
    index, _ = Index.build(tmp_path / "enough.artidx", tmp_path / "enough", embedder=embedder)
    a, b = index.generation.table["id"][:2]
    (tmp_path / "p.csv").write_text(f"i,a,b\n1,{a},{b}\n")
    submit(index.generation, index.calibration.pairs, tmp_path / "p.csv", tmp_path / "o.csv", prior=0.5)
    verdict = index.pair(f"id:{a}", f"id:{b}")
    assert verdict.neighbourhood_similarity is not None
    assert float((tmp_path / "o.csv").read_text().split(",")[-1]) == pytest.approx(verdict.probability, abs=1e-5)


def test_an_image_that_no_artist_can_be_named_for_still_has_a_row(tmp_path, embedder):
    for i in range(3):
        painting(tmp_path / "flat" / f"{i}.png", i)
    index, _ = Index.build(tmp_path / "flat.artidx", tmp_path / "flat", embedder=embedder)
    status, out = bulk("nearest", "--list", tmp_path / "flat", "-i", index.source)
    rows = list(csv.DictReader(io.StringIO(out.removeprefix("\ufeff"))))
    assert status == 0
    assert [(row["unknown"], row["artist"]) for row in rows] == [("1", "")] * 3


def test_fpr_and_threshold_cannot_both_decide(index):
    found = CliRunner().invoke(artidx, ["pair", "a", "b", "--fpr", "0.1", "--threshold", "1"])
    assert "give one of them" in found.output


def test_names_with_a_dollar_or_brackets_are_drawn_as_they_are(tmp_path, collection, model_file):
    (collection / "Red Painter").rename(collection / "A$\\foo$<1")
    report = tmp_path / "report.html"
    status, _ = bulk("evaluate", collection, "--model", model_file, "--report", report)
    assert status == 0
    bulk("build", collection, "-o", tmp_path / "i.artidx", "--model", model_file)
    assert bulk("plot", tmp_path / "i.artidx", "-o", tmp_path / "space.png")[0] == 0
    assert "<1" not in report.read_text()


@pytest.mark.parametrize(
    ("text", "says"), [("", "is empty"), ("a\n1\n", "header and two columns"), ("a,b\n1,2\n3\n", "line 3: one column")]
)
def test_a_file_that_is_no_list_of_pairs_is_one_clear_line(tmp_path, index, text, says):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(BadCatalog, match=says):
        bulk("pair", "--pairs", tmp_path / "p.csv", "-i", index.source)


def test_evaluate_takes_a_catalog_and_writes_a_page(tmp_path, collection, model_file):
    report = tmp_path / "report.html"
    (collection / "Red Painter" / "a<b>.png").write_bytes((collection / "Red Painter" / "R0.png").read_bytes())
    status, out = bulk("evaluate", collection, "--model", model_file, "--report", report, "--prior", "0.1")
    assert status == 0
    assert out.startswith("all: 13 paintings by 3 artists")
    assert "at a prior of 0.1" in out
    page = report.read_text()
    assert page.count("<svg") >= 3
    assert "mathdefault" not in page, "rates at the axes were once printed as TeX"
    assert "http" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    ).replace("https://matplotlib.org", "")


def test_a_scale_with_fewer_rates_than_promised_is_refused_when_asked():
    with pytest.raises(BadSetting, match="not calibrated; there are"):
        replace(CALIBRATION.pairs.by_distance).point(0.05)


# --- pairs of which the index holds neither


def test_a_pair_outside_the_index_is_judged_by_a_calibration_of_its_own(index, tmp_path, monkeypatch):
    far = replace(CALIBRATION.pairs.by_distance, slope=CALIBRATION.pairs.by_distance.slope * 3)
    outside = replace(CALIBRATION.pairs, by_distance=far, by_fused_distance=far, measured_on="pairs from elsewhere")
    monkeypatch.setattr(Index, "calibration", replace(CALIBRATION, outside=outside))
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for number, path in enumerate(paths):
        painting(path, 900 + number, (200, 40 * number, 90))
    inside = str(index.generation.table["id"][0])
    assert index.pair(*paths).measured_on == "pairs from elsewhere"
    assert index.pair(paths[0], inside).measured_on == CALIBRATION.pairs.measured_on
    assert index.pair(inside, paths[0]).measured_on == CALIBRATION.pairs.measured_on
    calibrations = [replace(CALIBRATION, outside=each) for each in (outside, None)]
    probabilities = []
    for calibration in calibrations:
        monkeypatch.setattr(Index, "calibration", calibration)
        probabilities.append(index.pair(*paths).probability)
    assert probabilities[0] != probabilities[1]


def test_a_calibration_of_pairs_outside_comes_back_from_json():
    whole = replace(CALIBRATION, outside=replace(CALIBRATION.pairs, measured_on="elsewhere"))
    assert Calibration.from_json(json.loads(json.dumps(whole.to_json())), "x", 3) == whole
    assert Calibration.from_json(json.loads(json.dumps(CALIBRATION.to_json())), "x", 3).outside is None
    damaged = whole.to_json()
    damaged["outside"]["neighbourhood_weight"] = "much"
    with pytest.raises(Uncalibrated, match="damaged"):
        Calibration.from_json(damaged, "x", 3)
