"""Scores against plain loops and scikit-learn, intervals against what they promise."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, balanced_accuracy_score, precision_score, roc_auc_score

from artidx import Embedder, Index
from artidx.index.answers.verify import Decision
from artidx.index.measure.bootstrap import interval_of, mean_interval, pair_draws, pair_intervals, thinned
from artidx.index.measure.evaluate import evaluate
from artidx.index.measure.retrieval import nearest_scores, retrieval_scores
from artidx.index.scoring.artist_scores import ArtistCalibration, GalleryScores
from artidx.index.scoring.curve import Pairs, blocks
from artidx.index.scoring.neighbourhood import FEWEST
from made import CALIBRATION, curve_of, painting, small_model

CALIBRATED = ArtistCalibration(slope=10, intercept=-3, count_penalty=0.5, measured_on="")


@pytest.fixture(scope="module")
def labelled():
    """150 unit vectors around 8 centres, and their artists."""
    chance = np.random.default_rng(7)
    artists = chance.integers(0, 8, 150)
    vectors = chance.normal(size=(8, 12))[artists] + 1.5 * chance.normal(size=(150, 12))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), artists.astype(np.int64)


def test_retrieval_equals_the_loop_over_every_query(labelled):
    vectors, artists = labelled
    precisions, first, five = [], [], []
    for query in range(len(vectors)):
        order = [i for i in np.argsort(-(vectors @ vectors[query]), kind="stable") if i != query][:10]
        hits = [artists[i] == artists[query] for i in order]
        possible = min(10, (artists == artists[query]).sum() - 1)
        precisions.append(sum(sum(hits[: k + 1]) / (k + 1) for k in range(10) if hits[k]) / possible)
        first.append(hits[0])
        five.append(any(hits[:5]))
    found, _ = retrieval_scores(vectors, artists)
    assert found.mean_average_precision_at_10 == pytest.approx(np.mean(precisions))
    assert (found.recall_at_1, found.recall_at_5) == (pytest.approx(np.mean(first)), pytest.approx(np.mean(five)))


def test_average_precision_is_scikit_learns_where_ten_places_are_enough():
    vectors = np.array([[1, 0], [0.99, 0.1], [0.9, 0.4], [0.8, 0.6], [0, 1]], np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    artists = np.array([0, 1, 0, 1, 1])
    expected = [
        average_precision_score(np.delete(artists == artists[q], q), np.delete(vectors @ vectors[q], q))
        for q in range(5)
    ]
    assert retrieval_scores(vectors, artists)[0].mean_average_precision_at_10 == pytest.approx(np.mean(expected))


def test_pairs_of_which_the_gallery_holds_neither_are_scored_as_pair_judges_two_files(tmp_path):
    outside = replace(CALIBRATION.pairs, neighbourhood_weight=0.3)
    calibration = replace(CALIBRATION, outside=outside)
    embedder = Embedder(small_model(calibration=calibration.to_json()), "small.onnx")
    hues = [(250, 40, 40), (200, 80, 40), (40, 80, 200), (60, 60, 120)]
    for number in range(FEWEST + 20):
        painting(tmp_path / "held" / str(number % 4) / f"{number}.png", number, hues[number % 4])
    for number in range(12):
        painting(tmp_path / "asked" / str(number % 4) / f"a{number}.png", 500 + number, hues[number % 4])
    held, _ = Index.build(tmp_path / "held.artidx", tmp_path / "held", embedder=embedder)
    both, _ = Index.build(tmp_path / "both.artidx", tmp_path, embedder=embedder)
    table, embeddings = both.whole()
    splits = table["id"].str.partition("/")[0].astype(object)
    table = table.assign(artist_key=table["id"].str.split("/").str[1])
    (found,) = evaluate(table, embeddings, splits, ["asked"], "held", calibration)

    files = sorted((tmp_path / "asked").rglob("*.png"))
    pairs = list(combinations(held.queries(map(str, files)), 2))
    judged = [held.judge(a, b, Decision()) for a, b in pairs]
    is_same = np.array([a.parent == b.parent for a, b in combinations(files, 2)])
    called = np.array([judgement.same for judgement in judged])
    assert all(judgement.neighbourhood_similarity is not None for judgement in judged)
    assert 0 < called[~is_same].mean() < called[is_same].mean()
    assert found.outside.called_same.false_positive_rate == pytest.approx(called[~is_same].mean())
    assert found.outside.called_same.true_positive_rate == pytest.approx(called[is_same].mean())
    assert found.outside.auc == pytest.approx(
        roc_auc_score(is_same, [judgement.probability for judgement in judged]), abs=1e-4
    )
    assert found.outside.brier != found.pairs.brier
    low, high = found.intervals["outside_auc"]
    assert low <= found.outside.auc <= high


def test_hubness_is_nothing_on_a_circle_and_much_around_a_hub():
    turns = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    circle = np.column_stack([np.cos(turns), np.sin(turns)]).astype(np.float32)
    rays = np.random.default_rng(0).normal(0.3, 1, (40, 60))
    star = np.concatenate([rays, rays.mean(axis=0)[None]])
    star = (star / np.linalg.norm(star, axis=1, keepdims=True)).astype(np.float32)
    artists = np.arange(41) % 2
    assert abs(retrieval_scores(circle, artists[:40])[0].hubness) < 1.5
    assert retrieval_scores(star, artists)[0].hubness > 2


def heard(scores):
    scores = np.array(scores, float)
    return GalleryScores(scores, np.where(np.isfinite(scores), 1.0, 0.0))


def test_ranks_count_those_ahead_and_leave_out_queries_whose_artist_is_not_in_the_gallery():
    nobody = -np.inf
    known = heard(
        [
            [3, 2, 1, 0, -1, -2, nobody],
            [0, 5, 4, 3, 2, 1, nobody],
            [0, 1, 2, 3, 4, 5, nobody],
            [9, 0, 0, 0, 0, 0, nobody],
        ]
    )
    gallery = np.array([0, 0, 1, 2, 3, 4, 5, -1])
    found, _, _ = nearest_scores(known, np.array([0, 0, 4, 6]), heard([[0] * 7]), gallery, list("abcdefg"), CALIBRATED)
    assert (found.queries, found.gallery_paintings, found.gallery_artists) == (3, 7, 6)
    assert found.top_1 == pytest.approx(1 / 3)
    assert found.top_5 == pytest.approx(2 / 3)
    assert {a.artist: (a.queries, a.top_1, a.taken_for) for a in found.by_artist} == {
        "a": (2, 0.5, "b"),
        "e": (1, 0.0, "f"),
    }


def test_the_open_set_curve_equals_counting_by_hand(labelled):
    chance = np.random.default_rng(1)
    known, out_of_gallery = heard(chance.normal(0.3, 0.3, (60, 5))), heard(chance.normal(0.2, 0.3, (80, 5)))
    truth = known.scores.argmax(axis=1)
    truth[::3] = (truth[::3] + 1) % 5
    found, _, curve = nearest_scores(known, truth, out_of_gallery, np.arange(5), list("abcde"), CALIBRATED)
    given, foreign = (CALIBRATED.posterior(artist_scores)[0] for artist_scores in (known, out_of_gallery))
    right = given.argmax(axis=1) == truth
    for rate, correct_identification in zip(found.false_acceptance, found.correct_identification, strict=True):
        limits = [limit for limit in np.sort(foreign.max(axis=1)) if (foreign.max(axis=1) > limit).mean() <= rate]
        assert correct_identification == pytest.approx(((given.max(axis=1) > min(limits)) & right).mean())
    assert curve[-1] == (1.0, pytest.approx(right.mean())), "all are accepted: the closed set"
    assert found.top_1 == pytest.approx(right.mean())


def test_confusions_are_counted_from_the_painter_to_the_one_named():
    known = heard([[0, 1, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]])
    found, _, _ = nearest_scores(
        known, np.array([0, 0, 1, 1]), heard([[0, 0, 0]]), np.arange(3), ["x", "y", "z"], CALIBRATED
    )
    assert found.confusions == (("x", "y", 2),)


def test_precision_and_rates_of_pair_are_those_of_its_calls(labelled):
    import pandas as pd

    vectors, artists = labelled
    table = pd.DataFrame(
        {
            "artist": "x",
            "artist_key": [f"a{code}" for code in artists],
            "vector_sha256": [f"{i:016x}" for i in range(150)],
        }
    )
    (found,) = evaluate(table, vectors, pd.Series(["all"] * 150), ["all"], None, CALIBRATION, prior=0.3)
    called = found.pairs.called_same
    # scikit-learn's precision, with pairs weighted to the prior
    same, different = found.pairs.same_pairs, found.pairs.different_pairs
    is_same = np.repeat([1, 0], [same, different])
    calls = np.concatenate(
        [
            np.arange(same) < round(called.true_positive_rate * same),
            np.arange(different) < round(called.false_positive_rate * different),
        ]
    )
    weights = np.repeat([0.3 / same, 0.7 / different], [same, different])
    assert found.pairs.accuracy == pytest.approx(balanced_accuracy_score(is_same, calls))
    assert found.pairs.precision == pytest.approx(precision_score(is_same, calls, sample_weight=weights), rel=1e-6)


# --- intervals


def test_an_interval_of_means_is_wide_where_artists_differ_and_narrow_where_paintings_do():
    chance = np.random.default_rng(0)
    artists = np.repeat(np.arange(20), 30)
    by_artist = (np.arange(20) % 2).astype(float)[artists]
    by_painting = chance.permutation(by_artist)
    for values, least, most in ((by_artist, 0.3, 0.6), (by_painting, 0.02, 0.12)):
        low, high = mean_interval(values, artists)
        assert low < values.mean() < high
        assert least < high - low < most


def test_pair_intervals_hold_the_values_of_the_whole(labelled):
    pairs = Pairs.joined(list(blocks(*labelled)))
    found = pair_intervals(pairs.distances, pairs)
    curve = curve_of(*labelled)
    assert curve.auc == pytest.approx(roc_auc_score(pairs.is_same, -pairs.distances), abs=1e-4)
    low, high = found["auc"]
    assert low < curve.auc < high < low + 0.2
    low, high = found["found_at_1_percent"]
    assert low <= curve.at(0.01).true_positive_rate <= high


def test_two_rankings_of_the_same_pairs_are_judged_on_the_same_draws(labelled):
    pairs = Pairs.joined(list(blocks(*labelled)))
    noise = np.random.default_rng(0).normal(scale=0.02, size=len(pairs.distances)).astype(np.float32)
    one, other = (np.array(pair_draws(x, pairs)["auc"]) for x in (pairs.distances, pairs.distances + noise))
    assert interval_of(one.tolist()) == pair_intervals(pairs.distances, pairs)["auc"]
    assert np.std(one - other) < 0.2 * np.std(one), "what artists make of it falls out of the difference"


def test_thinning_keeps_each_kind_by_its_share(labelled):
    pairs = Pairs.joined(list(blocks(*labelled)))
    kept = thinned(pairs, 1.0, 0.25, np.random.default_rng(0))
    assert kept.is_same.sum() == pairs.is_same.sum()
    assert (~kept.is_same).sum() == pytest.approx(0.25 * (~pairs.is_same).sum(), rel=0.05)


def test_evaluating_the_museum_agrees_with_scikit_learn(museum_index):
    """Real paintings by the shipped model: too few landmarks, so by distance."""
    import pandas as pd

    table = museum_index.generation.table
    vectors = museum_index.generation.embeddings
    (found,) = evaluate(table, vectors, pd.Series(["all"] * len(table)), ["all"], None, museum_index.calibration)
    a, b = np.triu_indices(len(table), 1)
    matrix = museum_index.generation.vectors.matrix
    is_same = table["artist_key"].to_numpy()[a] == table["artist_key"].to_numpy()[b]
    expected = roc_auc_score(is_same, (matrix[a] * matrix[b]).sum(axis=1))
    assert found.pairs.auc == pytest.approx(expected, abs=1e-3)
    assert found.pairs.auc > 0.7
