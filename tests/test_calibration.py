"""Calibration and scores against scikit-learn and plain loops."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import check_grad
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score, roc_curve

from artidx.errors import BadCatalog, BadSetting, Uncalibrated
from artidx.index.measure.bootstrap import rate_interval
from artidx.index.measure.evaluate import evaluate
from artidx.index.measure.fit import THIN_GALLERIES, calibrate_model
from artidx.index.measure.fit_artists import calibrate_artists
from artidx.index.measure.fit_pairs import calibrate_pairs, setting_within
from artidx.index.measure.groups import thinned
from artidx.index.measure.likelihood import Case, Said
from artidx.index.measure.reliability import brier, even_odds, reliability
from artidx.index.measure.retrieval import triplet_accuracy
from artidx.index.scoring import upgrades
from artidx.index.scoring.artist_scores import ArtistCalibration, ArtistCase, GalleryScores, OpenSet
from artidx.index.scoring.calibration import Calibration, Scale
from artidx.index.scoring.curve import Pairs
from artidx.index.scoring.neighbourhood import FEWEST
from made import CALIBRATION, curve_of


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
    monkeypatch.setattr("artidx.index.scoring.curve.BLOCK", 5000)
    curve = curve_of(*labelled)
    _, is_same = all_pairs(*labelled)
    assert (curve.same.sum(), curve.different.sum()) == (is_same.sum(), (~is_same).sum())


def test_auc_equals_scikit_learns(labelled):
    apart, is_same = all_pairs(*labelled)
    assert curve_of(*labelled).auc == pytest.approx(roc_auc_score(is_same, -apart), abs=2e-5)


@pytest.mark.parametrize("rate", [0.1, 0.01, 0.001])
def test_operating_points_equal_scikit_learns_curve(labelled, rate):
    apart, is_same = all_pairs(*labelled)
    false, true, _ = roc_curve(is_same, -apart, drop_intermediate=False)
    point = curve_of(*labelled).at(rate)
    assert point.false_positive_rate <= rate
    assert point.true_positive_rate == pytest.approx(true[false <= rate].max(), abs=0.01)
    called = apart < point.distance
    assert called[~is_same].mean() == pytest.approx(point.false_positive_rate, abs=1e-4)
    assert called[is_same].mean() == pytest.approx(point.true_positive_rate, abs=1e-3)


def test_a_curve_of_few_pairs_has_each_point_once_also_where_an_older_file_repeats_it(labelled):
    # The page divided by the distance between two points, and drew NaN for indexes of a few dozen paintings.
    vectors, artists = (part[:24] for part in labelled)
    scale = calibrate_pairs([setting(vectors, artists)], "few").by_distance
    distances = [point.distance for point in scale.roc]
    assert len(distances) > 5
    assert (np.diff(distances) > 0).all()
    assert (scale.roc[-1].false_positive_rate, scale.roc[-1].true_positive_rate) == (1, 1)
    written = json.loads(json.dumps(asdict(scale)))
    assert Scale.from_json(written | {"roc": [point for point in written["roc"] for _ in range(3)]}) == scale


def test_at_the_equal_error_point_both_errors_are_equal(labelled):
    point = curve_of(*labelled).equal_error()
    assert 1 - point.true_positive_rate == pytest.approx(point.false_positive_rate, abs=2e-3)


def test_triplet_accuracy_equals_the_loop_over_every_triplet(labelled):
    vectors, artists = labelled[0][:60], labelled[1][:60]
    won = []
    for a in range(60):
        mine = [
            float(vectors[a] @ vectors[p] > vectors[a] @ vectors[n])
            for p in range(60)
            if p != a and artists[p] == artists[a]
            for n in range(60)
            if artists[n] not in (artists[a], -1)
        ]
        if mine and artists[a] >= 0:
            won.append(np.mean(mine))
    assert triplet_accuracy(vectors, artists) == pytest.approx(np.mean(won))


def test_ties_are_worth_one_half():
    vectors = np.tile(np.array([[1, 0]], np.float32), (6, 1))
    artists = np.array([0, 0, 0, 1, 1, 1])
    assert triplet_accuracy(vectors, artists) == 0.5
    assert curve_of(vectors, artists).auc == 0.5


def setting(vectors, artists):
    return setting_within(vectors, artists, hashes(len(vectors)))


def hashes(count):
    """Anything that looks like the hashes of vectors."""
    return np.array([f"{number * 7919 % 100003:016x}" for number in range(count)], object)


def test_slope_and_intercept_equal_scikit_learns_balanced_logistic_regression(labelled):
    pairs = setting(*labelled)
    fitted = LogisticRegression(C=np.inf, class_weight="balanced", tol=1e-8)
    fitted.fit(pairs.distances[:, None], pairs.is_same)
    found = calibrate_pairs([pairs], "test").by_distance
    assert found.slope == pytest.approx(fitted.coef_[0, 0], rel=1e-3)
    assert found.intercept == pytest.approx(fitted.intercept_[0], rel=1e-3)


def some_pairs(weight, *, count=4000):
    """Made-up pairs of 12 artists with the log-likelihood ratio 3 - 6 * (distance + weight * (1 - similarity))."""
    chance = np.random.default_rng(2)
    first = chance.integers(0, 12, count)
    distances, similarities = chance.uniform(0, 1, (2, count)).astype(np.float32)
    is_same = chance.random(count) < np.exp(-np.logaddexp(0, 6 * (distances + weight * (1 - similarities)) - 3))
    return Pairs(distances, similarities, first, np.where(is_same, first, (first + 1) % 12))


def test_the_separation_is_scikit_learns_balanced_logistic_regression_on_distance_and_agreement():
    pairs = some_pairs(0.7)
    terms = np.column_stack([pairs.distances, pairs.similarities])
    fitted = LogisticRegression(C=np.inf, class_weight="balanced", tol=1e-8, max_iter=1000).fit(terms, pairs.is_same)
    found = calibrate_pairs([pairs], "test")
    assert found.neighbourhood_weight == pytest.approx(0.7, abs=0.1)
    evidence = found.by_fused_distance.evidence(found.fused_distances(pairs.distances, pairs.similarities))
    np.testing.assert_allclose(evidence, fitted.decision_function(terms), rtol=0.01, atol=0.01)
    assert found.by_fused_distance.auc == pytest.approx(roc_auc_score(pairs.is_same, evidence), abs=1e-4)


@pytest.mark.parametrize(("weight", "least", "most"), [(-0.5, 0, 0), (0, 0, 0.1), (50, 2, 2)])
def test_disagreement_never_speaks_for_one_artist_nor_drowns_the_distance(weight, least, most):
    found = calibrate_pairs([some_pairs(weight)], "test")
    assert least <= found.neighbourhood_weight <= most
    assert found.by_fused_distance.slope < 0


def test_agreement_helps_where_artists_keep_to_neighbourhoods(labelled):
    found = calibrate_pairs([setting(*labelled)], "test")
    assert found.neighbourhood_weight > 0
    assert found.by_fused_distance.auc > found.by_distance.auc + 0.01
    assert found.by_fused_distance.brier < found.by_distance.brier


def test_with_few_witnesses_the_distance_alone_is_calibrated(labelled):
    few = (labelled[0][:90], labelled[1][:90])
    assert len(few[0]) < FEWEST
    found = calibrate_pairs([setting(*few)], "test")
    assert found.neighbourhood_weight == 0
    assert found.by_fused_distance == found.by_distance


def test_errors_are_of_artists_that_the_fit_has_not_seen(labelled):
    pairs = setting(*labelled)
    codes, counts = np.unique(np.concatenate([pairs.first, pairs.second]), return_counts=True)
    order = codes[np.lexsort((codes, -counts))]
    halves = [order[[0, 3, 4, 7, 8, 11]], order[[1, 2, 5, 6, 9, 10]]]
    inside = [np.isin(pairs.first, half) & np.isin(pairs.second, half) for half in halves]
    given, is_same = [], []
    for fitted_on, judged in (inside, inside[::-1]):
        model = LogisticRegression(C=np.inf, class_weight="balanced", tol=1e-8).fit(
            pairs.distances[fitted_on, None], pairs.is_same[fitted_on]
        )
        given.append(model.predict_proba(pairs.distances[judged, None])[:, 1])
        is_same.append(pairs.is_same[judged])
    given, is_same = np.concatenate(given), np.concatenate(is_same)
    weights = np.where(is_same, 0.5 / is_same.sum(), 0.5 / (~is_same).sum())
    found = calibrate_pairs([pairs], "test").by_distance
    assert found.brier == pytest.approx(brier_score_loss(is_same, given, sample_weight=weights), rel=1e-3)
    bins = np.minimum((given * 15).astype(int), 14)
    error = sum(abs((weights * (given - is_same))[bins == b].sum()) for b in range(15))
    assert found.calibration_error == pytest.approx(error, abs=1e-3)


def test_rates_held_out_are_those_of_thresholds_set_on_the_other_half_of_the_artists(labelled):
    pairs = setting(*labelled)
    codes, counts = np.unique(np.concatenate([pairs.first, pairs.second]), return_counts=True)
    order = codes[np.lexsort((codes, -counts))]
    halves = [pairs.among(order[[0, 3, 4, 7, 8, 11]]), pairs.among(order[[1, 2, 5, 6, 9, 10]])]
    found = calibrate_pairs([pairs], "test").by_distance
    assert [point.nominal for point in found.held_out] == [0.1, 0.01, 0.001]
    for point in found.held_out:
        passed = [], []
        for set_on, judged in (halves, halves[::-1]):
            threshold = np.quantile(set_on.distances[~set_on.is_same], point.nominal, method="lower")
            for kind, some in zip(passed, (judged.is_same, ~judged.is_same), strict=True):
                kind.extend(judged.distances[some] < threshold)
        assert point.true_positive_rate == pytest.approx(np.mean(passed[0]), abs=0.01)
        assert point.false_positive_rate == pytest.approx(np.mean(passed[1]), abs=0.002)
        for low, high, rate in (
            (*point.false_positive_interval, point.false_positive_rate),
            (*point.true_positive_interval, point.true_positive_rate),
        ):
            assert low <= rate <= high
    assert Scale.from_json(json.loads(json.dumps(asdict(found)))) == found


def test_a_rate_interval_is_the_bootstrap_over_artists_of_every_pair_written_out():
    chance = np.random.default_rng(3)
    first, second = chance.integers(0, 6, (2, 400))
    called = chance.random(400) < 0.1 + 0.4 * (first == 2)
    kind = first != second
    counts = [np.zeros((6, 6)), np.zeros((6, 6))]
    for a, b, passed in zip(first[kind], second[kind], called[kind], strict=True):
        counts[0][a, b] += passed
        counts[1][a, b] += 1
    draws = np.random.default_rng(0)
    rates = []
    for _ in range(200):
        drawn = draws.multinomial(6, np.full(6, 1 / 6))
        weights = (drawn[first] * drawn[second])[kind]
        rates.append((weights * called[kind]).sum() / weights.sum())
    assert rate_interval(*counts) == pytest.approx(np.percentile(rates, (2.5, 97.5)))


def test_two_artists_are_too_few_to_hold_some_apart(labelled):
    here = labelled[1] < 2
    found = calibrate_pairs([setting(labelled[0][here], labelled[1][here])], "test")
    assert (found.by_distance.calibration_error, found.by_distance.brier) == (None, None)
    assert Scale.from_json(json.loads(json.dumps(asdict(found.by_distance)))) == found.by_distance


def test_paintings_whose_artists_are_not_nearer_to_themselves_cannot_be_calibrated():
    vectors = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    vectors[20:] = -vectors[:20]  # each artist has two opposite paintings
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    with pytest.raises(BadCatalog, match="no nearer"):
        calibrate_pairs([setting(vectors, np.tile(np.arange(20), 2))], "test")


def test_reliability_and_brier_equal_the_sums_over_pairs():
    is_same = np.array([False, True, False, True])
    given = even_odds(np.array([-2.0, -2.0, 0.1, 3.0]))
    assert given[0] == pytest.approx(1 / (1 + math.exp(2)))
    found = reliability(given, is_same, ~is_same)
    assert found.error == pytest.approx(0.5 * abs(given[0] - 0.5) + 0.25 * given[2] + 0.25 * (1 - given[3]))
    assert sum(found.weight) == pytest.approx(1)
    assert brier(given, is_same, ~is_same) == pytest.approx(((given - is_same) ** 2).mean())


def drawn_case(chance, *, alike):
    """Scores of 9 artists, one of whom has no painting, for 14 known and 6 unknown queries; counts by query or not."""

    def scored(queries):
        counts = chance.integers(1, 30, (1 if alike else queries, 9))
        counts[:, 4] = 0
        scores = chance.normal(0.4, 0.2, (queries, 9))
        scores[:, 4] = -np.inf
        return GalleryScores(scores, np.broadcast_to(counts, (queries, 9)).astype(np.float64))

    truth = chance.choice([0, 1, 2, 3, 5, 6, 7, 8], 14)
    return ArtistCase(scored(14), truth, scored(6), truth, np.arange(6) + 10)


@pytest.mark.parametrize("alike", [True, False])
def test_the_surprise_of_a_case_is_that_of_its_probabilities_and_its_gradient_is_right(alike):
    chance = np.random.default_rng(0)
    case = drawn_case(chance, alike=alike)
    prepared = Case.of(case)
    for _ in range(5):
        weights = chance.normal([12, -4, 0.7, 0.1], [3, 1, 0.3, 0.3])
        slope, intercept, count_penalty, prior_exponent = weights.tolist()
        calibration = ArtistCalibration(slope, intercept, count_penalty, "test", prior_exponent)
        known, _ = calibration.log_posterior(case.known, 0.5)
        _, unknown = calibration.log_posterior(case.unknown, 0.5)
        expected = -known[np.arange(14), case.truth].mean() - unknown.mean()
        assert prepared.surprise(weights)[0] == pytest.approx(expected, abs=1e-9)
        apart = check_grad(lambda w: prepared.surprise(w)[0], lambda w: prepared.surprise(w)[1], weights)
        assert apart < 1e-5


def test_artists_of_whom_nobody_has_a_painting_are_no_surprise():
    nothing = GalleryScores(np.full((3, 2), -np.inf), np.zeros((3, 2)))
    value, gradient = Said.of(nothing).total(np.array([14.0, -4.0, 0.7, 0.2]))
    assert value == 0
    assert not gradient.any()


def test_probabilities_fit_better_under_the_true_prior_than_under_another(labelled):
    pairs = setting(*labelled)
    found = calibrate_pairs([pairs], "test").by_distance

    def squared(prior):
        return brier_score_loss(pairs.is_same, found.probabilities(pairs.distances, prior))

    true = pairs.is_same.mean()
    assert squared(true) < min(squared(0.5), squared(true / 10))
    assert found.probabilities(pairs.distances, true).mean() == pytest.approx(true, abs=0.01)


@given(st.floats(0, 2), st.floats(0, 2), st.floats(1e-6, 1 - 1e-6), st.floats(1e-6, 1 - 1e-6))
def test_probability_falls_with_distance_and_rises_with_the_prior(near, far, low, high):
    near, far, low, high = min(near, far), max(near, far), min(low, high), max(low, high)
    pairs = CALIBRATION.pairs.by_distance
    assert 0 < pairs.probability(far, low) <= pairs.probability(near, low) <= pairs.probability(near, high) < 1


@pytest.mark.parametrize("prior", [0, 1, -1, 2, math.nan])
def test_a_prior_outside_0_and_1_is_refused(prior):
    with pytest.raises(BadSetting, match="between 0 and 1"):
        CALIBRATION.pairs.by_distance.probability(0.5, prior)


def test_a_calibration_survives_json():
    assert Calibration.from_json(CALIBRATION.to_json(), "test", 3) == CALIBRATION


def test_a_calibration_of_version_3_is_read_and_means_what_it_did():
    found = CALIBRATION.to_json() | {"version": 3}
    found["artists"].pop("open_set")
    read = Calibration.from_json(upgrades.calibration(found), "test", 3)
    assert read.artists.open_set == OpenSet()
    assert Calibration.from_json(read.to_json(), "test", 3) == read


@pytest.mark.parametrize("change", [{"field": math.nan}, {"standing": "much"}, {"weights": 3}])
def test_open_set_weights_that_are_no_numbers_are_damage(change):
    found = CALIBRATION.to_json()
    found["artists"]["open_set"] |= change
    with pytest.raises(Uncalibrated, match="damaged"):
        Calibration.from_json(found, "test", 3)


@pytest.mark.parametrize("version", [1, 2, 5, None])
def test_a_calibration_of_another_version_is_refused(version):
    # Versions 1 and 2 were fitted to other similarities: their probabilities would be silently wrong.
    with pytest.raises(Uncalibrated, match=r"another version.*artidx calibrate"):
        Calibration.from_json(CALIBRATION.to_json() | {"version": version}, "test", 3)


def test_thin_galleries_keep_a_painting_of_everybody_and_more_of_those_who_painted_more():
    codes = np.repeat(np.arange(60), [2, 20, 200] * 20)
    kept = np.bincount(codes[thinned(np.arange(len(codes)), codes, 10.0)], minlength=60).reshape(20, 3)
    assert (kept >= 1).all()
    assert (kept <= [2, 20, 200]).all()
    few, some, many = kept.mean(axis=0)
    assert few < some < many / 3
    assert kept.mean() == pytest.approx(10, rel=0.4)


def heard(scores, paintings=1.0):
    return GalleryScores(np.array(scores), np.where(np.isfinite(scores), paintings, 0.0))


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=30), st.floats(0.01, 0.99))
def test_posterior_adds_up_and_keeps_the_order_of_the_scores(scores, share):
    found, unknown = ArtistCalibration(20, -5, 0.3, "").posterior(heard(scores), share)
    assert found.sum() + unknown == pytest.approx(1)
    order = np.argsort(scores, kind="stable")
    assert (np.diff(found[order]) >= 0).all()


def test_posterior_equals_bayes_rule_written_out():
    artist_scores = GalleryScores(np.array([0.6, 0.2, -np.inf]), np.array([4.0, 1.0, 0.0]))
    ratios = [math.exp(10 * 0.6 - 3 - 0.5 * math.log(4)), math.exp(10 * 0.2 - 3)]
    total = 0.7 * sum(ratios) / 2 + 0.3
    found, unknown = ArtistCalibration(10, -3, 0.5, "").posterior(artist_scores, 0.3)
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
    case = ArtistCase(
        GalleryScores(known, paintings), truth, GalleryScores(unknown, paintings), truth, np.arange(queries) + artists
    )
    found = calibrate_artists([case], "test")
    assert found.slope == pytest.approx(20, rel=0.05)
    assert found.intercept == pytest.approx(-8, rel=0.05)
    assert found.count_penalty == pytest.approx(0.7, abs=0.05)
    assert found.prior_exponent == pytest.approx(0, abs=0.01)


def test_artists_with_many_paintings_are_found_likelier_from_galleries_of_several_sizes():
    # As above, with queries drawn in proportion to the root of an artist's paintings.
    chance, artists, queries, sigma, cases = np.random.default_rng(0), 20, 3000, 0.15, []
    for most in (100, 10, 2):
        counts = np.geomspace(1, most, artists)
        paintings = np.tile(counts, (queries, 1))
        truth = chance.choice(artists, queries, p=counts**0.5 / (counts**0.5).sum())
        middle = (8 + 0.7 * np.log(paintings)) / 20
        known, unknown = (chance.normal(middle - 10 * sigma**2, sigma) for _ in range(2))
        known[np.arange(queries), truth] += 20 * sigma**2
        cases.append(
            ArtistCase(
                GalleryScores(known, paintings),
                truth,
                GalleryScores(unknown, paintings),
                truth,
                np.arange(queries) + artists,
            )
        )
    found = calibrate_artists(cases, "test")
    assert found.prior_exponent == pytest.approx(0.5, abs=0.1)
    assert found.count_penalty == pytest.approx(0.7, abs=0.1)


def test_a_prominent_artist_is_likelier_before_anything_is_heard():
    artist_scores = GalleryScores(np.array([0.0, 0.0, -np.inf]), np.array([9.0, 1.0, 0.0]))
    found, unknown = ArtistCalibration(0, 0, 0, "", prior_exponent=0.5).posterior(artist_scores, 0.2)
    assert found == pytest.approx([0.6, 0.2, 0])
    assert unknown == pytest.approx(0.2)


def one_split(vectors, keys, calibration=CALIBRATION):
    table = pd.DataFrame(
        {"artist": keys, "artist_key": pd.Series(keys, dtype="str"), "vector_sha256": hashes(len(keys))}
    )
    splits = pd.Series(["all"] * len(keys))
    (found,) = evaluate(table, np.asarray(vectors, np.float32), splits, ["all"], None, calibration)
    return found


def test_leaving_one_out_does_not_judge_a_painting_whose_artist_has_no_other():
    # 99 single paintings among 168 once counted as answered wrongly.
    found = one_split(np.eye(4)[[0, 0, 1, 2]], ["a", "a", "b", "c"])
    assert (found.nearest.queries, found.nearest.top_1) == (2, 1.0)


@pytest.fixture
def split_table(labelled):
    chance = np.random.default_rng(1)
    vectors, artists = labelled
    splits = np.where(artists >= 9, "val_unseen", np.where(chance.random(300) < 0.3, "val_seen", "train"))
    keys = [f"artist {code:02d}" if code >= 0 else None for code in artists]
    table = pd.DataFrame({"artist": keys, "artist_key": pd.Series(keys, dtype="str"), "vector_sha256": hashes(300)})
    return table, vectors, pd.Series(splits)


def test_splits_are_scored_apart_with_artists_looked_for_in_the_gallery(split_table, labelled):
    table, vectors, splits = split_table
    names = ["train", "val_seen", "val_unseen"]
    found = {s.split: s for s in evaluate(table, vectors, splits, names, "train", CALIBRATION)}
    assert list(found) == [*names, "val_seen + val_unseen"]
    assert found["val_seen + val_unseen"].pairs.paintings == ((splits != "train").to_numpy() & (labelled[1] >= 0)).sum()
    here = (splits == "val_seen").to_numpy()
    alone = one_split(vectors[here], table["artist_key"][here])
    assert found["val_seen"].pairs == alone.pairs
    assert found["val_seen"].retrieval == alone.retrieval
    assert found["val_seen"].nearest.out_of_gallery == ((splits == "val_unseen").to_numpy() & (labelled[1] >= 0)).sum()
    assert found["val_seen"].nearest.gallery_paintings == ((splits == "train").to_numpy() & (labelled[1] >= 0)).sum()
    assert found["val_seen"].nearest.top_1 > 0.3
    assert math.isnan(found["val_unseen"].nearest.top_1), "none of their artists is in the gallery"
    assert found["train"].nearest.top_1 < 1, "no painting speaks for itself"


def test_a_calibration_says_what_it_was_measured_on(split_table):
    table, vectors, splits = split_table
    table, vectors, splits = (part[(table["artist_key"].notna()).to_numpy()] for part in (table, vectors, splits))
    found = calibrate_model(table, vectors, splits, gallery="train", seen="val_seen", unseen="val_unseen")
    assert "3 artists (val_unseen)" in found.pairs.measured_on
    assert "9 artists (train)" in found.artists.measured_on
    codes = np.unique(table["artist_key"], return_inverse=True)[1]
    among = thinned(np.flatnonzero((splits == "train").to_numpy()), codes, THIN_GALLERIES[-1])
    mean = np.bincount(codes[among])[np.unique(codes[among])].mean()
    assert found.artists.measured_on.endswith(f", {mean:.1f} paintings of each on average"), "as it came out"
    assert found.pairs.by_distance.slope < 0 < found.artists.slope


def test_a_models_calibration_tells_sculptures_from_paintings_if_its_gallery_has_some(split_table):
    table, vectors, splits = split_table
    kinds = np.where((splits == "train") & (np.arange(len(table)) % 9 == 0), "sculpture", "")
    kinds[(splits == "val_seen").to_numpy()] = "sculpture"  # which it must not learn
    asked = {"gallery": "train", "seen": "val_seen", "unseen": "val_unseen"}
    found = calibrate_model(table.assign(kind=kinds), vectors, splits, **asked)
    is_one = (kinds == "sculpture") & ((splits == "train") & table["artist_key"].notna()).to_numpy()
    assert found.artists.sculptures.measured_on.startswith(f"{is_one.sum()} sculptures and ")
    without = calibrate_model(table, vectors, splits, **asked)
    assert without.artists.sculptures is None
    assert replace(found, artists=replace(found.artists, sculptures=None)) == without


def test_calibrating_without_pairs_says_so(split_table):
    table, vectors, _ = split_table
    with pytest.raises(BadCatalog, match="val_unseen"):
        calibrate_model(
            table, vectors, pd.Series(["train"] * 300), gallery="train", seen="val_seen", unseen="val_unseen"
        )


def test_paintings_without_an_artist_do_not_take_part(split_table):
    table, vectors, splits = split_table
    labelled = table["artist_key"].notna().to_numpy()
    assert not labelled.all()
    splits_of = {"gallery": "train", "seen": "val_seen", "unseen": "val_unseen"}
    expected = calibrate_model(table[labelled], vectors[labelled], splits[labelled], **splits_of)
    found = calibrate_model(table, vectors, splits, **splits_of)
    assert found.pairs == expected.pairs
    assert found.artists.slope == pytest.approx(expected.artists.slope, rel=1e-3)


def test_an_index_without_artists_has_nothing_to_score():
    found = one_split(np.eye(3), [None] * 3)
    assert (found.pairs.paintings, found.nearest.queries) == (0, 0)


@pytest.mark.parametrize("change", [{"slope": "steep"}, {"slope": math.inf}, {"points": []}, {"equal_error": 3}])
def test_a_calibration_with_something_else_than_numbers_is_damaged(change):
    found = CALIBRATION.to_json()
    scale = {"by_distance": found["pairs"]["by_distance"] | change}
    with pytest.raises(Uncalibrated, match="damaged"):
        Calibration.from_json(found | {"pairs": found["pairs"] | scale}, "test", 3)
