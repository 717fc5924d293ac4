"""Known or unknown artist: the terms against plain loops, the fit against scikit-learn, and the purpose."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from artidx.errors import BadCatalog
from artidx.index.measure.bootstrap import auc_interval, identified_interval
from artidx.index.measure.fit_artists import Asked, OpenSetCase, fit_artists, open_set_weights
from artidx.index.measure.retrieval import nearest_scores
from artidx.index.scoring.artist_scores import (
    LEAST_DEVIATION,
    ArtistCalibration,
    GalleryScores,
    OpenSet,
    auc_of,
    largest,
    terms_of,
)

WEIGHED = OpenSet(field=0.3, standing=0.8, tail=0.2, paintings=0.3, intercept=-1.5)
CALIBRATED = ArtistCalibration(12, -4, 0.6, "", prior_exponent=0.4, open_set=WEIGHED)


def heard(scores, paintings):
    return GalleryScores(np.where(paintings > 0, scores, -np.inf), paintings.astype(float))


artist_scores = (
    st.integers(1, 40)
    .flatmap(
        lambda artists: st.tuples(
            st.lists(st.floats(-1, 1), min_size=artists, max_size=artists),
            st.lists(st.integers(0, 200), min_size=artists, max_size=artists),
        )
    )
    .map(lambda drawn: heard(np.array(drawn[0]), np.array(drawn[1])))
)


@settings(deadline=None)
@given(artist_scores)
def test_the_terms_equal_their_definitions_written_out(said):
    heard_ones = [i for i, count in enumerate(said.paintings) if count]
    found = CALIBRATED.terms(said)
    if not heard_ones:
        assert np.isneginf(found).all()
        return
    total = sum(said.paintings[i] ** 0.4 for i in heard_ones)
    ratio = {i: 12 * said.scores[i] - 4 - 0.6 * math.log(said.paintings[i]) for i in heard_ones}
    evidence = {i: ratio[i] + math.log(said.paintings[i] ** 0.4 / total) for i in heard_ones}
    order = sorted(heard_ones, key=lambda i: -evidence[i])
    first, following = order[0], [ratio[i] for i in order[1:11]]
    ten = [math.exp(evidence[i]) for i in order[:10]]
    tail = (ratio[first] - np.mean(following)) / math.hypot(np.std(following), LEAST_DEVIATION) if following else 0
    assert found == pytest.approx(
        [
            math.log(sum(map(math.exp, evidence.values()))),
            math.log(ten[0] / sum(ten)),
            tail,
            math.log(said.paintings[first]),
        ],
        abs=1e-6,
    )


@settings(deadline=None)
@given(artist_scores, st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_probabilities_add_up_keep_the_order_of_the_evidence_and_follow_the_prior(said, low, high):
    low, high = min(low, high), max(low, high)
    known, unknown = CALIBRATED.posterior(said, low)
    assert known.sum() + unknown == pytest.approx(1)
    assert (np.diff(known[np.argsort(CALIBRATED.evidence(said), kind="stable")]) >= 0).all()
    assert CALIBRATED.posterior(said, high)[1] >= unknown
    if not said.paintings.any():
        assert unknown == 1


@settings(deadline=None)
@given(artist_scores, st.floats(0.01, 0.99))
def test_the_field_alone_is_bayes_rule_on_the_artists_likelihood_ratios(said, share):
    found, unknown = replace(CALIBRATED, open_set=OpenSet()).posterior(said, share)
    evidence = np.exp(CALIBRATED.evidence(said)) * (1 - share)
    assert unknown == pytest.approx(share / (evidence.sum() + share))
    assert found == pytest.approx(evidence / (evidence.sum() + share))


def test_many_queries_get_what_each_gets():
    chance = np.random.default_rng(0)
    counts = chance.integers(0, 3, (30, 17))
    counts[4] = 0
    all_of_them = heard(chance.uniform(-1, 1, (30, 17)), counts)
    known, unknown = CALIBRATED.posterior(all_of_them)
    for row in range(30):
        one = CALIBRATED.posterior(GalleryScores(all_of_them.scores[row], all_of_them.paintings[row]))
        np.testing.assert_allclose(known[row], one[0])
        np.testing.assert_allclose(unknown[row], one[1])


def test_the_weights_are_scikit_learns_logistic_regression_where_there_is_much_to_learn_from():
    chance = np.random.default_rng(1)
    terms, wanted = chance.normal(size=(40_000, 4)), np.array([0.5, 0.9, -0.1, 0.2])
    is_known = chance.random(40_000) < 1 / (1 + np.exp(-(terms @ wanted) + 0.4))
    nobody = np.empty(0, np.int64)
    found = open_set_weights([OpenSetCase(terms[is_known], terms[~is_known], nobody, nobody)])
    fitted = LogisticRegression(C=np.inf, class_weight="balanced").fit(terms, is_known)
    np.testing.assert_allclose(found, np.append(fitted.coef_[0], fitted.intercept_), atol=0.01)


def test_cases_weigh_alike_however_many_queries_they_have():
    chance = np.random.default_rng(2)
    nobody = np.empty(0, np.int64)

    def case(known, unknown, times):
        return OpenSetCase(np.tile(known, (times, 1)), np.tile(unknown, (times, 1)), nobody, nobody)

    one, other = chance.normal(size=(2, 2, 500, 4)) + np.array([0.5, -0.5])[:, None, None]
    even = open_set_weights([case(*one, 4), case(*other, 4)])
    uneven = open_set_weights([case(*one, 1), case(*other, 7)])
    np.testing.assert_allclose(even, uneven, atol=1e-3)


def test_a_handful_of_queries_leaves_the_odds_near_bayes_rule():
    nobody = np.empty(0, np.int64)
    terms = np.array([[2.0, -0.1, 6, 1], [1, -2.0, 1, 3]])
    found = open_set_weights([OpenSetCase(terms[:1], terms[1:], nobody, nobody)])
    assert np.abs(found[:4] - [1, 0, 0, 0]).max() < 1
    assert np.isfinite(found).all()


def two_origins():
    """A gallery from one source, and queries from that and from other sources, which are apart from the gallery.

    Half of the artists are unknown; some have a few paintings in the gallery, others many.
    """
    chance = np.random.default_rng(3)
    hands = chance.normal(size=(80, 48))
    held = np.repeat(np.arange(40), np.tile([3, 5, 9, 20], 10))
    origin = chance.normal(size=48)

    def some(artists, moved):
        made = hands[artists] + 1.6 * chance.normal(size=(len(artists), 48)) + moved[:, None] * origin
        return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)

    gallery = some(held, np.zeros(len(held)))
    asked = np.repeat(np.arange(80), 6)
    names = [f"Painter {code}" for code in asked]
    return [
        Asked(gallery, [f"painter {code}" for code in held], some(asked, most * chance.random(len(asked))), names)
        for most in (1.0, 5.0)
    ]


def test_one_calibration_serves_galleries_and_queries_of_several_origins():
    cases = two_origins()
    found = fit_artists(cases, "two origins")
    assert found.measured_on == "two origins"
    assert 0.6 < found.open_set.auc < 0.8
    assert found.open_set.calibration_error < 0.1
    for case in cases:
        both, field = (_scores(case, calibration) for calibration in (found, replace(found, open_set=OpenSet())))
        assert both.known_auc > field.known_auc + 0.003
        assert both.top_1 == field.top_1, "the artists keep their order"


def test_where_origin_moves_the_field_what_compares_artists_with_each_other_counts():
    chance = np.random.default_rng(4)
    origin, nobody = chance.normal(0, 3, (2, 2000)), np.empty(0, np.int64)
    signal = chance.normal(size=(2, 2000)) + np.array([0.7, -0.7])[:, None]
    terms = [np.column_stack([s + o, s, 0 * s, 0 * s]) for s, o in zip(signal, origin, strict=True)]
    found = OpenSet(*open_set_weights([OpenSetCase(*terms, nobody, nobody)]).tolist())
    assert found.standing > 1 > 10 * abs(found.field)
    apart = [auc_of(*(model.log_odds(kind) for kind in terms)) for model in (OpenSet(), found)]
    assert apart[0] < 0.7 < 0.8 < apart[1]


def _scores(case, calibration):
    from artidx.index.scoring.artist_scores import gallery_scores
    from artidx.index.scoring.centre import centre_of, centred

    codes = np.array([int(name.split()[1]) for name in case.gallery_artists])
    asked = np.array([int(name.split()[1]) for name in case.query_artists])
    centre = centre_of(case.gallery, codes)
    said = gallery_scores(centred(case.gallery, centre), codes, 40, centred(case.queries, centre))
    known = asked < 40
    parts = [GalleryScores(said.scores[kind], said.paintings[kind]) for kind in (known, ~known)]
    return nearest_scores(parts[0], asked[known], parts[1], codes, [str(i) for i in range(40)], calibration)[0]


@pytest.mark.parametrize("names", [["Painter 1"] * 480, [None] * 480])
def test_a_case_without_strangers_or_without_known_artists_is_refused(names):
    case = replace(two_origins()[0], query_artists=names)
    with pytest.raises(BadCatalog, match="queries by its artists and by others"):
        fit_artists([case], "test")


def test_a_query_that_is_in_the_gallery_does_not_speak_for_itself():
    case = two_origins()[0]
    inside = Asked(
        case.gallery,
        case.gallery_artists,
        np.concatenate([case.gallery, case.queries[240:]]),
        [*case.gallery_artists, *case.query_artists[240:]],
        np.append(np.arange(370), np.full(240, -1)),
    )
    assert fit_artists([inside], "test").open_set.auc < 0.9, "else a painting is found by being its own neighbour"


def test_evaluating_tells_how_well_the_known_are_told_from_strangers():
    chance = np.random.default_rng(5)
    known, strangers = (heard(chance.normal(middle, 0.2, (60, 8)), np.full((60, 8), 3)) for middle in (0.3, 0.1))
    truth = chance.integers(0, 8, 60)
    found, intervals, _ = nearest_scores(known, truth, strangers, np.arange(8), list("abcdefgh"), CALIBRATED)
    unknown = np.concatenate([CALIBRATED.posterior(said)[1] for said in (known, strangers)])
    assert found.known_auc == pytest.approx(roc_auc_score(np.repeat([0, 1], 60), unknown))
    low, high = intervals["known_auc"]
    assert low < found.known_auc < high
    low, high = intervals["identified_at_10_percent"]
    assert low <= found.correct_identification[1] <= high


def test_ties_between_known_and_strangers_are_worth_one_half():
    assert auc_of(np.array([1.0, 2.0]), np.array([1.0, 0.0])) == pytest.approx(0.875)
    assert math.isnan(auc_of(np.array([]), np.array([1.0])))


def test_intervals_of_open_sets_are_wide_where_artists_differ():
    chance = np.random.default_rng(6)
    by = np.repeat(np.arange(20), 30)
    apart = (np.arange(20) % 2)[by] + chance.normal(0, 0.01, 600)
    strangers = chance.normal(0.5, 0.5, 600)
    mixed = chance.permutation(apart)
    widths = [high - low for low, high in (auc_interval(values, strangers, by, by) for values in (apart, mixed))]
    assert widths[0] > 1.5 * widths[1]
    low, high = identified_interval(apart, apart > 0.5, strangers, 0.1, by, by)
    assert low < ((apart > np.quantile(strangers, 0.9)) & (apart > 0.5)).mean() + 0.02 < high + 0.04


@given(st.lists(st.lists(st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 2.0]), min_size=7, max_size=7)), st.integers(1, 9))
def test_the_largest_are_in_order_and_equal_ones_as_they_came(rows, most):
    values = np.reshape(rows, (len(rows), 7)).astype(np.float64)
    expected = np.argsort(-values, axis=-1, kind="stable")[:, :most]
    assert np.array_equal(largest(values, most), expected)
    assert all(np.array_equal(largest(row, most), places) for row, places in zip(values, expected, strict=True))


def test_terms_of_nobody_are_no_terms():
    nothing = np.full((2, 3), -np.inf)
    assert np.isneginf(terms_of(nothing, nothing, np.zeros((2, 3)))).all()
    assert np.isneginf(WEIGHED.log_odds(terms_of(nothing, nothing, np.zeros((2, 3))))).all()
