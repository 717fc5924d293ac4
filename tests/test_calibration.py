"""Calibration and scores against scikit-learn and plain loops."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score, roc_curve

from artidx.errors import BadCatalog, BadSetting, Uncalibrated
from artidx.index.calibrate import (
    ArtistCalibration,
    ArtistCase,
    Calibration,
    PairCurve,
    Voices,
    calibrate_artists,
    calibrate_pairs,
)
from artidx.index.centre import centre_of, centred
from artidx.index.evaluate import calibrate, evaluate, nearest_scores, pair_scores, triplet_accuracy
from made import CALIBRATION


@pytest.fixture(scope="module")
def labelled():
    """300 unit vectors around 12 centres, and their artists; -1 for a tenth without one."""
    chance = np.random.default_rng(5)
    artists = chance.integers(0, 12, 300)
    vectors = chance.normal(size=(12, 16))[artists] + 1.4 * chance.normal(size=(300, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    artists[chance.random(300) < 0.1] = -1
    return vectors.astype(np.float32), artists.astype(np.int64)


def all_pairs(vectors, artists):
    known = artists >= 0
    vectors, artists = vectors[known].astype(float), artists[known]
    i, j = np.triu_indices(len(vectors), 1)
    return 1 - (vectors[i] * vectors[j]).sum(1), artists[i] == artists[j]


def test_the_curve_counts_every_pair_once(labelled, monkeypatch):
    monkeypatch.setattr("artidx.index.calibrate.BLOCK", 64)
    curve = PairCurve.of(*labelled)
    _, is_same = all_pairs(*labelled)
    assert (curve.same.sum(), curve.different.sum()) == (is_same.sum(), (~is_same).sum())


def test_auc_equals_scikit_learns(labelled):
    apart, is_same = all_pairs(*labelled)
    assert PairCurve.of(*labelled).auc == pytest.approx(roc_auc_score(is_same, -apart), abs=2e-5)


@pytest.mark.parametrize("rate", [0.1, 0.01, 0.001])
def test_operating_points_equal_scikit_learns_curve(labelled, rate):
    apart, is_same = all_pairs(*labelled)
    false, true, _ = roc_curve(is_same, -apart, drop_intermediate=False)
    point = PairCurve.of(*labelled).at(rate)
    assert point.false_positive_rate <= rate
    assert point.true_positive_rate == pytest.approx(true[false <= rate].max(), abs=0.01)
    called = apart < point.distance
    assert called[~is_same].mean() == pytest.approx(point.false_positive_rate, abs=1e-4)
    assert called[is_same].mean() == pytest.approx(point.true_positive_rate, abs=1e-3)


def test_at_the_equal_error_point_both_errors_are_equal(labelled):
    point = PairCurve.of(*labelled).equal_error()
    assert 1 - point.true_positive_rate == pytest.approx(point.false_positive_rate, abs=2e-3)


def test_triplet_accuracy_equals_the_loop_over_every_triplet(labelled):
    vectors, artists = labelled[0][:60], labelled[1][:60]
    won = []
    for a in range(60):
        mine = [float(vectors[a] @ vectors[p] > vectors[a] @ vectors[n])
                for p in range(60) if p != a and artists[p] == artists[a]
                for n in range(60) if artists[n] not in (artists[a], -1)]
        if mine and artists[a] >= 0:
            won.append(np.mean(mine))
    assert triplet_accuracy(vectors, artists) == pytest.approx(np.mean(won))


def test_ties_are_worth_one_half():
    vectors = np.tile(np.array([[1, 0]], np.float32), (6, 1))
    artists = np.array([0, 0, 0, 1, 1, 1])
    assert triplet_accuracy(vectors, artists) == 0.5
    assert PairCurve.of(vectors, artists).auc == 0.5


def test_slope_and_intercept_equal_scikit_learns_balanced_logistic_regression(labelled):
    apart, is_same = all_pairs(*labelled)
    fitted = LogisticRegression(C=1e6, class_weight="balanced", tol=1e-8).fit(apart[:, None], is_same)
    found = calibrate_pairs(PairCurve.of(*labelled), "test")
    assert found.slope == pytest.approx(fitted.coef_[0, 0], rel=1e-3)
    assert found.intercept == pytest.approx(fitted.intercept_[0], rel=1e-3)


def test_probabilities_fit_better_under_the_true_prior_than_under_another(labelled):
    apart, is_same = all_pairs(*labelled)
    found = calibrate_pairs(PairCurve.of(*labelled), "test")

    def brier(prior):
        return brier_score_loss(is_same, [found.probability(d, prior) for d in apart])

    assert brier(is_same.mean()) < min(brier(0.5), brier(is_same.mean() / 10))
    assert np.mean([found.probability(d, is_same.mean()) for d in apart]) == pytest.approx(is_same.mean(), abs=0.01)


@given(st.floats(0, 2), st.floats(0, 2), st.floats(1e-6, 1 - 1e-6), st.floats(1e-6, 1 - 1e-6))
def test_probability_falls_with_distance_and_rises_with_the_prior(near, far, low, high):
    near, far, low, high = min(near, far), max(near, far), min(low, high), max(low, high)
    pairs = CALIBRATION.pairs
    assert 0 < pairs.probability(far, low) <= pairs.probability(near, low) <= pairs.probability(near, high) < 1


@pytest.mark.parametrize("prior", [0, 1, -1, 2, math.nan])
def test_a_prior_outside_0_and_1_is_refused(prior):
    with pytest.raises(BadSetting, match="between 0 and 1"):
        CALIBRATION.pairs.probability(0.5, prior)


def test_a_calibration_survives_json():
    assert Calibration.from_json(CALIBRATION.to_json(), "test") == CALIBRATION


def heard(scores, paintings=1.0):
    return Voices(np.array(scores), np.where(np.isfinite(scores), paintings, 0.0))


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=30), st.floats(0.01, 0.99))
def test_posterior_adds_up_and_keeps_the_order_of_the_scores(scores, share):
    found, unknown = ArtistCalibration(20, -5, 0.3, "").posterior(heard(scores), share)
    assert found.sum() + unknown == pytest.approx(1)
    order = np.argsort(scores, kind="stable")
    assert (np.diff(found[order]) >= 0).all()


def test_posterior_equals_bayes_rule_written_out():
    voices = Voices(np.array([0.6, 0.2, -np.inf]), np.array([4.0, 1.0, 0.0]))
    ratios = [math.exp(10 * 0.6 - 3 - 0.5 * math.log(4)), math.exp(10 * 0.2 - 3)]
    total = 0.7 * sum(ratios) / 2 + 0.3
    found, unknown = ArtistCalibration(10, -3, 0.5, "").posterior(voices, 0.3)
    assert found == pytest.approx([0.35 * ratios[0] / total, 0.35 * ratios[1] / total, 0])
    assert unknown == pytest.approx(0.3 / total)


def test_nobody_speaking_leaves_somebody_unknown():
    found, unknown = ArtistCalibration(10, -3, 0.5, "").posterior(heard([-np.inf, -np.inf]))
    assert (found.tolist(), unknown) == ([0, 0], 1)


def test_artists_calibrated_on_scores_of_known_evidence_get_it_back():
    # Normal scores whose log likelihood ratio is exactly 20 s - 8 - 0.7 log n, for artists with n paintings each.
    chance, artists, queries, sigma = np.random.default_rng(0), 20, 3000, 0.15
    paintings = np.tile(np.geomspace(1, 100, artists), (queries, 1))
    middle = (8 + 0.7 * np.log(paintings)) / 20
    truth = chance.integers(0, artists, queries)
    known, unknown = (chance.normal(middle - 10 * sigma**2, sigma) for _ in range(2))
    known[np.arange(queries), truth] += 20 * sigma**2
    case = ArtistCase(Voices(known, paintings), truth, Voices(unknown, paintings))
    found = calibrate_artists([case], "test")
    assert found.slope == pytest.approx(20, rel=0.05)
    assert found.intercept == pytest.approx(-8, rel=0.05)
    assert found.crowding == pytest.approx(0.7, abs=0.05)


def test_ranks_count_those_ahead_and_leave_out_queries_whose_artist_is_not_in_the_gallery():
    nobody = -np.inf
    scores = np.array([[3.0, 2, 1, 0, -1, -2, nobody], [0, 5, 4, 3, 2, 1, nobody], [0, 1, 2, 3, 4, 5, nobody],
                       [9, 0, 0, 0, 0, 0, nobody], [9, 0, 0, 0, 0, 0, nobody]])
    found = nearest_scores(scores, np.array([0, 0, 4, 6, -1]), np.array([0, 0, 1, 2, 3, 4, 5, -1]))
    assert (found.queries, found.gallery_paintings, found.gallery_artists) == (3, 7, 6)
    assert found.top_1 == pytest.approx(1 / 3)
    assert found.top_5 == pytest.approx(2 / 3)


def test_leaving_one_out_does_not_judge_a_painting_whose_artist_has_no_other():
    # 99 single paintings among 168 once counted as answered wrongly.
    vectors = np.eye(4, dtype=np.float32)[[0, 0, 1, 2]]
    table = pd.DataFrame({"artist_key": ["a", "a", "b", "c"]})
    (found,) = evaluate(table, vectors, pd.Series(["all"] * 4), ["all"], None, CALIBRATION.artists)
    assert (found.nearest.queries, found.nearest.top_1) == (2, 1.0)


@pytest.fixture
def split_table(labelled):
    chance = np.random.default_rng(1)
    vectors, artists = labelled
    splits = np.where(artists >= 9, "val_unseen", np.where(chance.random(300) < 0.3, "val_seen", "train"))
    keys = [f"artist {code:02d}" if code >= 0 else None for code in artists]
    return pd.DataFrame({"artist_key": pd.Series(keys, dtype="str")}), vectors, pd.Series(splits)


def test_splits_are_scored_apart_with_artists_looked_for_in_the_gallery(split_table, labelled):
    table, vectors, splits = split_table
    found = {s.split: s for s in evaluate(table, vectors, splits, ["train", "val_seen", "val_unseen"], "train",
                                            CALIBRATION.artists)}
    here = (splits == "val_seen").to_numpy()
    around = centred(vectors[here], centre_of(vectors[here], labelled[1][here]))
    assert found["val_seen"].pairs == pair_scores(around, labelled[1][here])
    assert found["val_seen"].nearest.gallery_paintings == ((splits == "train").to_numpy() & (labelled[1] >= 0)).sum()
    assert found["val_seen"].nearest.top_1 > 0.3
    assert math.isnan(found["val_unseen"].nearest.top_1), "none of their artists is in the gallery"
    assert found["train"].nearest.top_1 < 1, "no painting speaks for itself"


def test_a_calibration_says_what_it_was_measured_on(split_table):
    table, vectors, splits = split_table
    table, vectors, splits = (part[(table["artist_key"].notna()).to_numpy()] for part in (table, vectors, splits))
    found = calibrate(table, vectors, splits, gallery="train", seen="val_seen", unseen="val_unseen")
    assert "3 artists (val_unseen)" in found.pairs.measured_on
    assert "9 artists (train)" in found.artists.measured_on
    assert found.pairs.slope < 0 < found.artists.slope


def test_calibrating_without_pairs_says_so(split_table):
    table, vectors, _ = split_table
    with pytest.raises(BadCatalog, match="val_unseen"):
        calibrate(table, vectors, pd.Series(["train"] * 300), gallery="train", seen="val_seen", unseen="val_unseen")


def test_paintings_without_an_artist_do_not_take_part(split_table):
    table, vectors, splits = split_table
    labelled = table["artist_key"].notna().to_numpy()
    assert not labelled.all()
    splits_of = {"gallery": "train", "seen": "val_seen", "unseen": "val_unseen"}
    expected = calibrate(table[labelled], vectors[labelled], splits[labelled], **splits_of)
    found = calibrate(table, vectors, splits, **splits_of)
    assert found.pairs == expected.pairs
    assert found.artists.slope == pytest.approx(expected.artists.slope, rel=1e-3)


def test_an_index_without_artists_has_nothing_to_score():
    table = pd.DataFrame({"artist_key": pd.Series([None] * 3, dtype="str")})
    (found,) = evaluate(table, np.eye(3, dtype=np.float32), pd.Series(["all"] * 3), ["all"], None, CALIBRATION.artists)
    assert (found.pairs.paintings, found.nearest.queries) == (0, 0)


@pytest.mark.parametrize("change", [{"slope": "steep"}, {"slope": math.inf}, {"points": []}, {"equal_error": 3}])
def test_a_calibration_with_something_else_than_numbers_is_damaged(change):
    found = CALIBRATION.to_json()
    with pytest.raises(Uncalibrated, match="damaged"):
        Calibration.from_json(found | {"pairs": found["pairs"] | change}, "test")
