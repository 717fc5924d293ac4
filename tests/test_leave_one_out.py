"""A painting of an index, searched among the others: only appearance may reveal its artist.

Its artist then has one painting fewer than in the index. A calibration once learned the answer from that count: for
artists with 12 paintings each, it always named the right one, and nobody for new works.
"""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from artidx.errors import BadCatalog, Uncalibrated
from artidx.index.measure.evaluate import evaluate
from artidx.index.measure.fit_artists import USUAL_COUNT_PENALTY, calibrate_artists, cases_within
from artidx.index.measure.report import write_report
from artidx.index.measure.retrieval import nearest_scores
from artidx.index.measure.too_good import reads_the_answer
from artidx.index.scoring.artist_scores import (
    KERNEL,
    ArtistCalibration,
    GalleryScores,
    compensated,
    gallery_scores,
    without_own_artists,
)
from artidx.index.scoring.artists import artist_codes
from artidx.index.scoring.calibration import Calibration
from made import CALIBRATION

SIZES = {
    "balanced": [12] * 30,
    "nearly balanced": [11, 12, 13] * 10,
    "unequal": [2, 3, 4, 6, 9, 13, 19, 28, 40, 60] * 2,
    "mostly single": [1] * 100 + [2, 3, 5, 12] * 5,
}
COUNTING = ArtistCalibration(slope=8.8, intercept=832, count_penalty=342, measured_on="what a leak had fitted")


def made_up(sizes, hand=0.0):
    """Unit vectors (n, 24) with artists (n,) of these sizes; hand: what an artist's have in common, 0 for nothing."""
    chance = np.random.default_rng(4)
    artists = np.repeat(np.arange(len(sizes)), sizes)
    vectors = hand * chance.normal(size=(len(sizes), 24))[artists] + chance.normal(size=(len(artists), 24))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), artists


def scored(vectors, artists, calibration):
    heard = gallery_scores(vectors, artists, int(artists.max()) + 1, vectors, np.arange(len(vectors)))
    names = [str(code) for code in range(artists.max() + 1)]
    return nearest_scores(heard, artists, without_own_artists(heard, artists), artists, names, calibration)[0]


def evaluated(vectors, artists, calibration):
    keys = [f"artist {code:03d}" for code in artists]
    table = pd.DataFrame(
        {
            "artist": keys,
            "artist_key": pd.Series(keys, dtype="str"),
            "vector_sha256": [f"{number:016x}" for number in range(len(keys))],
        }
    )
    (found,) = evaluate(table, vectors, pd.Series(["all"] * len(keys)), ["all"], None, calibration)
    return found


@pytest.fixture(scope="module", params=SIZES)
def by_nobody(request):
    """A set whose vectors are independent of their artists, and the calibration fitted to it."""
    vectors, artists = made_up(SIZES[request.param])
    cases = cases_within(vectors, artists, np.arange(len(artists)), "made-up paintings")
    return request.param, vectors, artists, cases


def test_no_count_depends_on_whose_the_query_is(by_nobody):
    _, vectors, artists, cases = by_nobody
    heard = gallery_scores(vectors, artists, int(artists.max()) + 1, vectors, np.arange(len(vectors)))
    sizes = np.bincount(artists)
    assert ((heard.paintings == sizes) | ((heard.paintings == 0) & (sizes == 1))).all()
    for case in cases:
        counts = np.concatenate([case.known.paintings, case.unknown.paintings])
        assert (counts == counts[0]).all()
        assert counts.min() > 1, "an artist with one painting could never have been the answer"
        assert len(case.truth) > 0 < len(case.unknown.scores)


def test_what_says_nothing_of_its_artist_stays_at_chance_whatever_was_fitted(by_nobody):
    name, vectors, artists, cases = by_nobody
    largest = np.bincount(artists).max() / len(artists)
    for calibration in (calibrate_artists(cases, "test"), COUNTING):
        found = scored(vectors, artists, calibration)
        assert found.top_1 < largest + 0.06, name
        assert found.correct_identification[1] < 0.1


def test_a_fit_to_nothing_knows_nothing(by_nobody):
    _, _, _, cases = by_nobody
    found = calibrate_artists(cases, "test")
    assert 0 < found.slope < 8, "noise weighs little"
    assert abs(found.count_penalty - USUAL_COUNT_PENALTY) < 0.6
    for case in cases:
        for artist_scores in (case.known, case.unknown):
            assert found.posterior(artist_scores)[1].mean() == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("name", SIZES)
def test_calibrating_an_index_does_not_change_whom_it_finds(name):
    # Once 0.690 became 1.000 on real paintings, 12 by each of 40 artists.
    vectors, artists = made_up(SIZES[name], hand=0.7)
    fitted = calibrate_artists(cases_within(vectors, artists, np.arange(len(artists)), "these"), "test")
    before, after = (scored(vectors, artists, calibration) for calibration in (CALIBRATION.artists, fitted))
    assert 0.3 < before.top_1 < 0.8
    assert after.top_1 == pytest.approx(before.top_1, abs=0.08)


@pytest.mark.parametrize("name", SIZES)
def test_works_from_elsewhere_are_judged_as_those_of_the_index_were(name):
    # Once new works by known artists got "none of these" above 0.99999.
    vectors, artists = made_up([2 * size for size in SIZES[name]], hand=0.7)
    is_new = np.arange(len(artists)) % 2 == 1
    gallery, codes = vectors[~is_new], artists[~is_new]
    fitted = calibrate_artists(cases_within(gallery, codes, np.arange(len(codes)), "these"), "test")
    within = gallery_scores(gallery, codes, len(SIZES[name]), gallery, np.arange(len(codes)))
    from_elsewhere = gallery_scores(gallery, codes, len(SIZES[name]), vectors[is_new])
    has_others = np.bincount(codes)[codes] > 1
    inside, outside = (
        fitted.posterior(GalleryScores(heard.scores[has_others], heard.paintings[has_others]))
        for heard in (within, from_elsewhere)
    )
    assert outside[1].mean() == pytest.approx(inside[1].mean(), abs=0.05)
    right = [(known.argmax(axis=1) == codes[has_others]).mean() for known, _ in (inside, outside)]
    assert right[0] == pytest.approx(right[1], abs=0.08)


@pytest.mark.parametrize(("name", "is_told"), [("balanced", True), ("nearly balanced", True), ("unequal", False)])
def test_a_fit_says_that_counts_were_not_measured_where_all_are_alike(name, is_told):
    vectors, artists = made_up(SIZES[name], hand=0.7)
    found = calibrate_artists(cases_within(vectors, artists, np.arange(len(artists)), "these"), "test")
    assert ("equally many paintings" in found.measured_on) == is_told
    if is_told:
        assert found.count_penalty == pytest.approx(USUAL_COUNT_PENALTY, abs=0.2)
        assert found.prior_exponent == pytest.approx(0, abs=0.2)


def test_an_index_of_artists_with_as_many_paintings_each_is_evaluated_by_what_they_look_like():
    vectors, artists = made_up([6] * 12)
    assert evaluated(vectors, artists, replace(CALIBRATION, artists=COUNTING)).nearest.top_1 < 0.3


def test_artists_who_can_be_told_without_fail_do_not_make_the_fit_run_away():
    vectors, artists = made_up([4, 4, 4], hand=40)
    found = calibrate_artists(cases_within(vectors, artists, np.arange(12), "these"), "test")
    assert 0 < found.slope < 200
    assert abs(found.intercept) < 200


def test_one_artist_alone_is_nothing_to_calibrate_artists_on():
    vectors, artists = made_up([5, 1, 1])
    with pytest.raises(BadCatalog, match="two artists or more with two paintings each, in these"):
        cases_within(vectors, artists, np.arange(7), "these")


def test_those_left_out_are_compensated_for_by_the_mean_of_the_others():
    chance = np.random.default_rng(0)
    sums, left_out = chance.uniform(0.1, 3, 4), np.array([0, 1, 2, 1])
    heard = GalleryScores(np.append(1 + np.log(sums[:3]) / KERNEL, -np.inf), np.array([5.0, 3.0, 1.0, 0.0]))
    found = compensated(heard, left_out)
    np.testing.assert_allclose(np.exp(KERNEL * (found.scores[:3] - 1)), sums[:3] * [1, 4 / 3, 3])
    assert found.paintings.tolist() == [5, 4, 3, 0]
    assert found.scores[3] == -np.inf


def test_a_painting_of_an_index_is_answered_as_it_was_evaluated(museum_index):
    table, embeddings = museum_index.generation.table, museum_index.generation.embeddings
    codes, keys = artist_codes(table["artist_key"])
    vectors = museum_index.generation.vectors.matrix
    expected, _ = museum_index.calibration.artists.posterior(
        gallery_scores(vectors, codes, len(keys), vectors, np.arange(len(vectors)))
    )
    assert len(embeddings) == len(vectors)
    for place in (0, 7, 15):
        found = museum_index.nearest(f"id:{table['id'][place]}", k=50).artists
        given = {artist.artist: artist.probability for artist in found}
        for code, name in zip(codes, table["artist"], strict=True):
            if expected[place, code] > 0:
                assert given[name] == pytest.approx(expected[place, code], rel=1e-4)


# --- what is too good to be true


def test_a_ranking_that_reads_the_answer_is_told_from_one_that_looks(monkeypatch):
    vectors, artists = made_up(SIZES["balanced"], hand=0.7)
    assert reads_the_answer(vectors, artists, CALIBRATION.artists) == []
    assert reads_the_answer(vectors, artists, COUNTING) == []
    # As artist_scores were before anybody stood in for the painting that is left out.
    monkeypatch.setattr("artidx.index.scoring.artist_scores.compensated", lambda heard, left_out: heard)
    (doubt,) = reads_the_answer(vectors, artists, COUNTING)
    assert "100% even if artists are shuffled" in doubt


@pytest.mark.parametrize("name", SIZES)
def test_an_honest_evaluation_raises_no_doubt(name):
    vectors, artists = made_up(SIZES[name], hand=0.7)
    fitted = calibrate_artists(cases_within(vectors, artists, np.arange(len(artists)), "these"), "test")
    for calibration in (fitted, replace(fitted, prior_exponent=3.0), replace(fitted, prior_exponent=-3.0)):
        assert reads_the_answer(vectors, artists, calibration) == []


def test_copies_of_pictures_raise_doubts_in_the_scores_and_on_the_page(tmp_path):
    vectors, artists = np.repeat(made_up([1] * 40)[0], 3, axis=0), np.repeat(np.arange(40), 3)
    found = evaluated(vectors, artists, CALIBRATION)
    assert [doubt.split(" is hardly")[0] for doubt in found.doubts] == [
        "an AUC of 1.000",
        "the right artist first for 100.0%",
    ]
    assert evaluated(vectors[:12], artists[:12], CALIBRATION).doubts == (), "too few to say so"
    model = SimpleNamespace(name="x", sha256="0" * 64)
    manifest = SimpleNamespace(paintings=120, artists=40, generation=1, model=model)
    write_report(tmp_path / "page.html", "copies", manifest, [found])
    assert "copies of a picture under several names" in (tmp_path / "page.html").read_text()


def test_a_calibration_that_learnt_to_read_counts_is_no_calibration():
    leaked = replace(CALIBRATION, artists=COUNTING).to_json()
    with pytest.raises(Uncalibrated, match=r"infers the artist from the number of paintings.*artidx calibrate"):
        Calibration.from_json(leaked, "old.artidx", 256)
