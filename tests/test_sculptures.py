"""Sculptures: told from paintings by their vectors, and no painter named for them whose works are paintings."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artidx import Embedder, Index, read_catalog
from artidx.errors import Uncalibrated
from artidx.index.answers.verify import Decision
from artidx.index.measure.evaluate import evaluate
from artidx.index.measure.fit_sculpture import FEWEST, fit_sculptures, sculptures_in
from artidx.index.measured import Splits, measure
from artidx.index.review.evidence import Evidence
from artidx.index.review.works import Works
from artidx.index.scoring.artist_scores import ArtistCalibration, GalleryScores, gallery_scores
from artidx.index.scoring.calibration import Calibration
from artidx.index.scoring.sculpture import LEAST, SculptureDetector, likeness, likeness_in, shares_of
from made import CALIBRATION, HUES, painting, quiet, small_model

DETECTOR = SculptureDetector((4.0, 0.0, -4.0), -1.0, "three numbers")


def made_up(chance, count, kind):
    """(count, 8) unit vectors; sculptures are far along the first axis."""
    vectors = chance.normal(size=(count, 8)) + np.where(np.arange(8) == 0, 4.0 * kind, 0.0)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_probabilities_are_the_logistic_function_of_one_photograph_alone():
    vectors = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    found = DETECTOR.probabilities(vectors)
    assert found.tolist() == pytest.approx([1 / (1 + math.exp(-3)), 1 / (1 + math.e), 0.0])
    assert 1 / (1 + math.exp(5)) < LEAST  # the last one, which counts as none
    assert [DETECTOR.probabilities(row[None])[0] for row in vectors] == found.tolist()


def test_an_artist_counts_by_the_share_of_their_works_that_are_sculptures():
    shares = shares_of(np.array([1.0, 0.5, 0.0, 0.0, 1.0, 0.6, 0.4, 1.0]), np.array([0, 0, 0, 0, 2, 2, 3, -1]), 4)
    assert shares.tolist() == [0.375, 0.0, 0.8, 0.4]
    assert likeness(0.9, shares).tolist() == pytest.approx([1 - 0.9 * 0.5, 1 - 0.9, 1.0, 1 - 0.9 * 0.4])
    assert likeness(0.9, np.array([0.25, 0.5])).tolist() == pytest.approx([0.1, 1.0])
    assert likeness(0.0, shares).tolist() == [1.0] * 4


def test_the_likeness_in_a_gallery_equals_a_plain_loop_that_leaves_the_query_out():
    chance = np.random.default_rng(0)
    vectors = np.concatenate([made_up(chance, 12, 1), made_up(chance, 12, 0)])
    detector = SculptureDetector((3.0, *[0.0] * 7), -1.5, "")
    artists, own = chance.integers(-1, 4, 24), np.array([0, 5, 13, -1, 23])
    queries = vectors[own]
    shows, asked = detector.probabilities(vectors), detector.probabilities(queries)
    found = likeness_in(detector, vectors, artists, 4, queries, own)
    for row, place in enumerate(own.tolist()):
        for artist in range(4):
            works = [shows[n] for n in range(24) if artists[n] == artist and n != place]
            share = sum(works) / len(works) if works else 0
            counts = min(max(4 * share - 1, 0), 1)
            assert found[row, artist] == pytest.approx(1 - asked[row] * (1 - counts))
    assert np.array_equal(
        likeness_in(detector, vectors, artists, 4, queries), likeness(asked[:, None], shares_of(shows, artists, 4))
    )


@given(st.lists(st.tuples(st.floats(-0.2, 0.99), st.integers(0, 9), st.floats(1e-9, 1)), min_size=1, max_size=12))
def test_what_likeness_takes_from_artists_goes_to_none_of_them(drawn):
    scores, paintings, alike = map(np.array, zip(*drawn, strict=True))
    said = GalleryScores(np.where(paintings > 0, scores, -np.inf), paintings.astype(float))
    calibration = ArtistCalibration(12, -4, 0.6, "")
    plain, nobody = calibration.posterior(said)
    found, unknown = calibration.posterior(replace(said, likeness=alike))
    np.testing.assert_allclose(found, plain * alike, atol=1e-12)
    assert found.sum() + unknown == pytest.approx(1)
    assert unknown >= nobody - 1e-12
    assert unknown <= 1
    evidence = calibration.evidence(replace(said, likeness=alike))
    assert found[np.argmax(evidence)] == pytest.approx(found.max())


def test_the_detector_learns_from_a_few_sculptures_among_many_paintings_and_not_from_fewer():
    chance = np.random.default_rng(1)
    paintings = made_up(chance, 300, 0)
    learnt = np.concatenate([made_up(chance, FEWEST, 1), paintings])
    is_one = np.arange(len(learnt)) < FEWEST
    detector = fit_sculptures(learnt, is_one)
    others = np.concatenate([made_up(chance, 50, 1), made_up(chance, 50, 0)])
    found = detector.probabilities(others) >= 0.5
    assert found[:50].mean() > 0.9
    assert found[50:].mean() < 0.1
    assert detector.measured_on == f"{FEWEST} sculptures and 300 paintings"
    assert fit_sculptures(learnt, is_one & (np.arange(len(learnt)) > 0)) is None
    assert fit_sculptures(learnt, np.ones(len(learnt), bool)) is None


def test_sculptures_are_read_from_the_column_kind():
    assert sculptures_in(pd.DataFrame({"kind": ["sculpture", " Sculpture ", "painting", "", None]})).tolist() == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert not sculptures_in(pd.DataFrame({"artist": ["a"]})).any()


def test_a_calibration_keeps_its_detector_and_one_for_other_vectors_is_refused():
    whole = replace(CALIBRATION, artists=replace(CALIBRATION.artists, sculptures=DETECTOR))
    stored = json.loads(json.dumps(whole.to_json()))
    assert Calibration.from_json(stored, "x", 3) == whole
    for damage in (
        {"weights": [1.0, 2.0]},
        {"weights": [1, 2, math.nan]},
        {"weights": [1, 2, 10**400]},
        {"weights": [1e300, 1e300, 1e300]},
        {"intercept": None},
        {"intercept": 10**400},
        {"sigma": 1},
    ):
        artists = stored["artists"] | {"sculptures": stored["artists"]["sculptures"] | damage}
        with pytest.raises(Uncalibrated, match="damaged"):
            Calibration.from_json(stored | {"artists": artists}, "x", 3)


@pytest.fixture
def sculpting(tmp_path):
    """An index in which red pictures are sculptures: all of one artist's, one of five of another's, none of a third's;
    and a red picture that it does not hold."""
    folder, number = tmp_path / "works", 0
    for artist, hues in {
        "Red Painter": ["Red Painter"] * 4,
        "Blue Painter": ["Blue Painter"] * 4 + ["Red Painter"],
        "Green Painter": ["Green Painter"] * 4,
    }.items():
        for hue in hues:
            number += 1
            painting(folder / artist / f"{number}.png", number, HUES[hue])
    taught = [painting(tmp_path / "taught" / f"{n}.png", 100 + n, list(HUES.values())[n % 3]) for n in range(60)]
    plain = tmp_path / "plain.onnx"
    plain.write_bytes(small_model())
    detector = fit_sculptures(Embedder.load(plain).transform(taught), np.arange(60) % 3 == 0)
    model = tmp_path / "telling.onnx"
    artists = replace(CALIBRATION.artists, sculptures=detector)
    model.write_bytes(small_model(calibration=replace(CALIBRATION, artists=artists)))
    index = Index.build(tmp_path / "works.artidx", folder, embedder=Embedder.load(model))[0]
    return index, painting(tmp_path / "asked.png", 200, HUES["Red Painter"])


def test_an_answer_on_a_sculpture_counts_artists_by_their_sculptures_and_says_so(sculpting, tmp_path):
    index, asked = sculpting
    answer = index.nearest(asked)
    detector, vectors = index.calibration.artists.sculptures, index.generation.embeddings
    table = index.generation.table
    names, codes = np.unique(table["artist"], return_inverse=True)
    query = index.embedder.transform([asked])
    alike = likeness_in(detector, vectors, codes, 3, query)
    without = replace(index.calibration.artists, sculptures=None)
    scored = gallery_scores(index.generation.vectors.matrix, codes, 3, index.query(asked).vector[None])
    expected, _ = without.posterior(replace(scored, likeness=alike))
    found = {each.artist: each.probability for each in answer.artists}
    assert [found[name] for name in names] == pytest.approx(expected[0].tolist(), rel=1e-4)
    assert answer.unknown == pytest.approx(1 - sum(found.values()))
    assert answer.sculpture == pytest.approx(float(detector.probabilities(query)[0]), rel=1e-4)
    assert answer.sculpture > 0.9
    assert any("seems to show a sculpture" in note for note in answer.summary.notes)
    painted = index.nearest(painting(tmp_path / "blue.png", 201, HUES["Blue Painter"]))
    assert painted.sculpture == 0
    assert not any("sculpture" in note for note in painted.summary.notes)
    assert index.nearest_paintings(asked).sculpture is None


def test_a_sculpture_of_the_index_is_judged_without_itself_and_within_a_filter(sculpting):
    index, _ = sculpting
    table, detector = index.generation.table, index.calibration.artists.sculptures
    shows = detector.probabilities(index.generation.embeddings)
    without = Index.open(index.generation.folder.parent.parent)
    plain = replace(index.calibration, artists=replace(index.calibration.artists, sculptures=None))
    for where in (None, "title != '2'"):
        asked = index if where is None else index.only(where)
        expected = without if where is None else without.only(where)
        expected.__dict__["calibration"] = plain
        is_found = np.ones(len(table), bool) if where is None else (table["title"] != "2").to_numpy()
        for place, id_ in enumerate(table["id"]):
            before, after = expected.nearest(id_), asked.nearest(id_)
            found = {each.artist: each.probability for each in after.artists}
            assert after.sculpture == pytest.approx(shows[place], abs=1e-6)
            for each in before.artists:
                theirs = is_found & (table["artist"] == each.artist).to_numpy() & (np.arange(len(table)) != place)
                share = shows[theirs].mean() if theirs.any() else 0.0
                expected_one = each.probability * likeness(shows[place], share)
                assert found[each.artist] == pytest.approx(float(expected_one), abs=1e-6)


def test_pairs_judged_together_say_of_a_sculpture_what_each_says_alone(sculpting):
    index, asked = sculpting
    ids = index.generation.table["id"].tolist()
    queries = [index.query(asked), *(index.query(id_) for id_ in ids[:6])]
    detector = index.calibration.artists.sculptures
    assert (detector.probabilities(index.generation.embeddings[:6]) > 0.5).any()
    pairs = [(a, b) for a in queries for b in queries if a is not b]
    decision = Decision(0.1, None, 0.5)
    together = list(index.verdicts(pairs, decision))
    assert together == [index.verdict(*pair, decision) for pair in pairs]
    for verdict in together:
        is_one = [each.sculpture >= 0.5 for each in (verdict.a, verdict.b)]
        notes = [note for note in verdict.summary.notes if "sculpture" in note]
        begins = {(True, True): "A and B seem", (True, False): "A seems", (False, True): "B seems"}
        assert [note.startswith(begins[tuple(is_one)]) for note in notes] == [True] * any(is_one)


def test_calibrating_an_index_keeps_the_models_detector(sculpting):
    index, _ = sculpting
    before = index.calibration
    index.calibrate()
    assert index.calibration.artists.slope != before.artists.slope
    assert index.calibration.artists.sculptures == before.artists.sculptures


def test_training_says_if_a_catalog_has_too_few_sculptures_to_learn_from(tmp_path):
    rows = []
    for number, (artist, hue) in enumerate([*HUES.items(), ("Grey", (90, 90, 90)), ("White", (230, 230, 230))]):
        for i in range(6):
            split = "val_unseen" if number > 2 else "val_seen" if i > 3 else "train"
            path = painting(tmp_path / artist / f"{i}.png", 10 * number + i, hue)
            rows.append({"id": f"{artist} {i}", "path": str(path), "artist": artist, "split": split})
    pd.DataFrame(rows).to_csv(tmp_path / "catalog.csv", index=False)
    table = read_catalog(str(tmp_path / "catalog.csv")).table
    for kinds, is_said in ((["sculpture", *[""] * 29], True), ([""] * 30, False)):
        said = []
        embedder = Embedder(small_model(calibration=None), "small")
        asked = table.assign(kind=kinds), Splits("train", "val_seen", "val_unseen"), tmp_path / "work"
        found = measure(embedder, "", *asked, said.append, quiet)
        assert found.calibration.artists.sculptures is None
        assert any(f"that takes {FEWEST} or more in the training set" in line for line in said) == is_said


def test_strangers_sculptures_are_told_from_known_paintings_in_an_evaluation():
    """Sculptures by strangers lie near the one sculpture among an artist's paintings."""
    chance = np.random.default_rng(5)
    hands = chance.normal(size=(6, 8))
    works = [
        (artist, split, hands[artist] + 0.5 * chance.normal(size=8)) for artist in range(6) for split in "tttttttss"
    ]
    works.append((0, "t", np.eye(8)[0] * 6))
    works += [(6 + number, "u", np.eye(8)[0] * 6 + 0.5 * chance.normal(size=8)) for number in range(12)]
    vectors = np.array([vector / np.linalg.norm(vector) for *_, vector in works], np.float32)
    keys = [f"artist {artist}" for artist, *_ in works]
    table = pd.DataFrame({"artist": keys, "artist_key": keys, "vector_sha256": [f"{n:016x}" for n in range(len(keys))]})
    splits = pd.Series([split for _, split, _ in works])
    detector = SculptureDetector((20.0, *[0.0] * 7), -17.0, "")
    telling = replace(CALIBRATION, artists=replace(CALIBRATION.artists, sculptures=detector))
    plain, told = (
        next(
            each.nearest for each in evaluate(table, vectors, splits, ["s", "u"], "t", calibration) if each.split == "s"
        )
        for calibration in (CALIBRATION, telling)
    )
    assert told.known_auc > plain.known_auc
    rates = list(zip(told.correct_identification, plain.correct_identification, strict=True))
    assert all(with_ >= without for with_, without in rates)
    assert any(with_ > without for with_, without in rates)
    assert told.top_1 == plain.top_1


def test_a_review_suggests_sculptors_for_a_nameless_sculpture_and_leaves_evidence_as_it_is():
    chance = np.random.default_rng(3)
    kinds = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1]
    vectors = np.concatenate([made_up(chance, 1, kind) for kind in kinds])
    names = ["Painter"] * 4 + ["Other"] * 4 + ["Sculptor"] * 3 + [None]
    table = pd.DataFrame({"id": [f"w{n}" for n in range(12)], "artist": names, "attribution": names})
    table["artist_key"] = table["artist"].str.lower()
    works = Works(table, vectors)
    detector = SculptureDetector((12.0, *[0.0] * 7), -6.0, "")
    evidence = Evidence(works, replace(CALIBRATION.artists, sculptures=detector), np.zeros(8, np.float32))
    shows = detector.probabilities(vectors)
    assert (shows > 0).any()
    assert (shows == 0).any()
    for place, before in enumerate(evidence.of(works.objects)):
        after = evidence.by_kind(before)
        others = np.array([n for n in range(12) if n != place])
        alike = likeness(shows[place], shares_of(shows[others], works.codes[others], len(works.keys)))
        np.testing.assert_allclose(after.probabilities, before.probabilities * alike, atol=1e-6)
        assert after.probabilities.sum() + after.unknown == pytest.approx(1)
        assert after.evidence is before.evidence
    nameless = dict(zip(works.artists, after.probabilities.tolist(), strict=True))  # the last one
    assert max(nameless, key=nameless.get) == "Sculptor"


def test_the_reference_gallery_names_a_sculptor_for_a_sculpture_and_no_painter():
    gallery = Index.open()
    found = gallery.nearest("auguste-rodin/wa_the-call-to-arms-1879.jpg", k=3)
    assert found.sculpture > 0.9
    assert found.artists[0].artist == "Auguste Rodin"
    assert gallery.nearest("abdullah-suriosubroto/wa_waterfall.jpg", k=1).sculpture == 0
