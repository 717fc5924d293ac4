"""Files of pairs: every pair answered in its place, whatever the size of the file."""

from __future__ import annotations

import itertools
import json
import threading
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from artidx.errors import BadCatalog
from artidx.index.answers import pair_file, pair_judge
from artidx.index.answers import submit as submitting
from artidx.index.answers.pair_file import PairFile, Side, ten_digits
from artidx.index.answers.pair_judge import PairJudge
from artidx.index.answers.submit import PRIOR, submit
from artidx.index.scoring.curve import BINS
from artidx.index.scoring.neighbourhood import FEWEST, bandwidth_of, nearness, similarity
from artidx.index.scoring.vectors import distances, vector_hash
from made import CALIBRATION, among_its_nearest


@pytest.fixture
def pairs_file(tmp_path, index):
    ids = list(index.generation.table["id"])
    pairs = pd.DataFrame(list(itertools.combinations(ids, 2)), columns=["one", "other"])
    pairs.insert(0, "number", range(len(pairs)))
    pairs.to_csv(tmp_path / "pairs.csv", index=False)
    return tmp_path / "pairs.csv"


def test_every_pair_gets_the_probability_that_pair_gives(tmp_path, index, pairs_file):
    done = submit(index.generation, index.calibration.pairs, pairs_file, tmp_path / "out.csv")
    found, pairs = pd.read_csv(tmp_path / "out.csv"), pd.read_csv(pairs_file)
    assert list(found.columns) == ["index", "sameArtist"]
    assert (found["index"] == pairs["number"]).all()
    assert (done.pairs, done.unanswered) == (66, 0)
    for row in pairs.sample(12, random_state=0).itertuples():
        expected = index.pair(f"id:{row.one}", f"id:{row.other}", prior=PRIOR).probability
        assert found["sameArtist"][row.number] == pytest.approx(expected, rel=1e-4, abs=1e-9)


def test_auc_equals_scikit_learns_overall_and_by_group(tmp_path, index, pairs_file):
    table = index.generation.table
    groups = {"Red Painter": "train_and_test", "Green Painter": "train_and_test", "Blue Painter": "test_only"}
    table["artist_group"] = table["artist"].map(groups)
    done = submit(index.generation, index.calibration.pairs, pairs_file, tmp_path / "out.csv")
    pairs = pd.read_csv(pairs_file)
    artist = dict(zip(table["id"], table["artist"], strict=True))
    one, other = pairs["one"].map(artist), pairs["other"].map(artist)
    score = pd.read_csv(tmp_path / "out.csv")["sameArtist"]
    assert done.auc == pytest.approx(roc_auc_score(one == other, score), abs=2 / BINS * 100)
    seen = (one.map(groups) == "train_and_test") & (other.map(groups) == "train_and_test")
    assert done.auc_seen == pytest.approx(roc_auc_score((one == other)[seen], score[seen]), abs=1e-3)
    assert np.isnan(done.auc_unseen), "one unseen artist alone gives no different pairs"


def test_many_blocks_give_the_same_file_as_one(tmp_path, index, pairs_file, monkeypatch):
    whole = submit(index.generation, index.calibration.pairs, pairs_file, tmp_path / "whole.csv")
    monkeypatch.setattr(pair_file, "BLOCK_BYTES", 200)
    parts = submit(index.generation, index.calibration.pairs, pairs_file, tmp_path / "parts.csv")
    assert whole == parts
    np.testing.assert_allclose(*(pd.read_csv(tmp_path / f"{name}.csv") for name in ("whole", "parts")), rtol=1e-4)


@settings(max_examples=30)
@given(st.integers(1, 130), st.integers(0, 200), st.sampled_from([0, 10**6]))
def test_gram_matrix_and_gathering_agree_with_the_one_distance_and_agreement(paintings, pairs, dense):
    chance = np.random.default_rng(pairs)
    matrix = chance.normal(size=(paintings, 16)).astype(np.float32)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    a, b = chance.integers(0, paintings, (2, pairs))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pair_judge, "DENSE", dense)
        patch.setattr(pair_judge, "PACKING", 0)
        patch.setattr(pair_judge, "GATHER", 7)
        patch.setattr(pair_judge, "LOOKED_AT", 20)
        judge = PairJudge(generation(matrix), CALIBRATION.pairs, workers=2)
        for places in (a, np.append(b, -1)):  # some of b are known by then
            judge.look_at(places)
        named = [Side(*np.unique(places, return_inverse=True)) for places in (a, b)]
        found = judge.fused_distances(*(side.of(judge.numbers(side.places)) for side in named))
    expected = distances(matrix[a], matrix[b])
    if paintings >= FEWEST:
        standing = among_its_nearest(matrix)
        near = nearness(standing @ standing.T, bandwidth_of(standing))
        for pair, (one, other) in enumerate(zip(a, b, strict=True)):
            heard = [np.where(np.isin(np.arange(paintings), (one, other)), 0, near[place]) for place in (one, other)]
            expected[pair] += CALIBRATION.pairs.neighbourhood_weight * (1 - similarity(*heard))
    np.testing.assert_allclose(found, expected, atol=2e-5)


def generation(matrix):
    """The little of one that pairs are judged by."""
    table = pd.DataFrame({"vector_sha256": [vector_hash(vector) for vector in matrix]})
    return SimpleNamespace(vectors=SimpleNamespace(matrix=matrix), table=table)


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=20))
def test_probabilities_are_written_to_ten_digits_and_never_as_a_certainty(values):
    found = [float(text) for text in ten_digits(np.array(values, np.float32)).view("S12").ravel()]
    np.testing.assert_allclose(found, values, atol=1.1e-10)
    assert max(found) < 1


def test_columns_count_by_position_even_where_their_names_repeat(tmp_path, index):
    # With the header index,a,a the first image was once compared with itself.
    rows = "7,Red Painter/R0.png,Blue Painter/B0.png\n"
    for name, header in (("same", "index,a,a\n"), ("other", "index,a,b\n")):
        (tmp_path / f"{name}.csv").write_text(header + rows)
        submit(index.generation, index.calibration.pairs, tmp_path / f"{name}.csv", tmp_path / f"{name}.out")
    same, other = (pd.read_csv(tmp_path / f"{name}.out") for name in ("same", "other"))
    np.testing.assert_allclose(same, other, rtol=1e-5)


def test_a_number_with_a_comma_is_refused_and_nothing_is_written(tmp_path, index):
    (tmp_path / "pairs.csv").write_text('index,a,b\n"1,x",Red Painter/R0.png,Blue Painter/B0.png\n')
    with pytest.raises(BadCatalog, match="number the pairs"):
        submit(index.generation, index.calibration.pairs, tmp_path / "pairs.csv", tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_many_paintings_in_many_blocks_are_answered_to_the_bit_whichever_is_read_first(tmp_path, monkeypatch):
    # Paintings were once looked at in the order in which threads came to ask about them.
    chance = np.random.default_rng(0)
    matrix = chance.normal(size=(130, 16)).astype(np.float32)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    many = generation(matrix)
    many.table["id"], many.table["artist_key"] = [f"{i}.png" for i in range(130)], [str(i % 9) for i in range(130)]
    names = ["nobody.png", *chance.permutation(many.table["id"])]
    asked = list(itertools.combinations(names, 2))
    rows = "".join(f"{i},{a},{b}\n" for i, (a, b) in enumerate(asked))
    (tmp_path / "pairs.csv").write_text(f"i,a,b\n{rows}")
    monkeypatch.setattr(pair_file, "BLOCK_BYTES", 20_000)
    monkeypatch.setattr(pair_judge, "GATHER", 100)
    read = PairFile.pairs
    slow = iter([0.2, 0.0, 0.1])
    monkeypatch.setattr(PairFile, "pairs", lambda self, rows: (time.sleep(next(slow, 0)), read(self, rows))[1])
    for name, cores in (("one", 1), ("other", 4)):
        monkeypatch.setattr(submitting, "available_cores", lambda cores=cores: cores)
        done = submit(many, CALIBRATION.pairs, tmp_path / "pairs.csv", tmp_path / name)
        assert (done.pairs, done.unanswered) == (len(asked), 130)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    found, standing = pd.read_csv(tmp_path / "one")["sameArtist"], among_its_nearest(matrix)
    near = nearness(standing @ standing.T, bandwidth_of(standing))
    for number in chance.choice(np.arange(130, len(asked)), 50, replace=False):
        a, b = (int(name.removesuffix(".png")) for name in asked[number])
        heard = [np.where(np.isin(np.arange(130), (a, b)), 0, near[place]) for place in (a, b)]
        apart = float(distances(matrix[a], matrix[b])) + CALIBRATION.pairs.neighbourhood_weight * (
            1 - similarity(*heard)
        )
        assert found[number] == pytest.approx(CALIBRATION.pairs.by_fused_distance.probability(apart, PRIOR), rel=1e-3)


def test_of_an_index_without_a_painting_every_pair_gets_the_prior(tmp_path, pairs_file):
    nothing = generation(np.zeros((0, 16), np.float32))
    nothing.table = nothing.table.assign(id="", artist_key="", vector_sha256="")
    done = submit(nothing, CALIBRATION.pairs, pairs_file, tmp_path / "out.csv", prior=0.25)
    assert (done.pairs, done.unanswered) == (66, 66)
    assert set(pd.read_csv(tmp_path / "out.csv")["sameArtist"]) == {0.25}


def test_after_an_error_no_thread_works_on(tmp_path, index, monkeypatch):
    monkeypatch.setattr(pair_file, "BLOCK_BYTES", 100)
    row = "7,Red Painter/R0.png,Blue Painter/B0.png\n"
    (tmp_path / "pairs.csv").write_text("i,a,b\n" + row * 20 + '"1,x",Red Painter/R0.png,y.png\n' + row * 20)
    before = threading.active_count()
    with pytest.raises(BadCatalog) as held:
        submit(index.generation, index.calibration.pairs, tmp_path / "pairs.csv", tmp_path / "out.csv")
    assert held.value
    assert threading.active_count() == before


@pytest.mark.parametrize("numbers", [["10", "11"], ["9", "10"], ["", ""], ["ä", "b"]])
def test_the_first_column_is_written_as_it_was_read(tmp_path, index, numbers):
    pairs = "".join(f"{number},Red Painter/R0.png,Blue Painter/B0.png\n" for number in numbers)
    (tmp_path / "pairs.csv").write_text(f"i,a,b\n{pairs}", encoding="utf-8")
    submit(index.generation, index.calibration.pairs, tmp_path / "pairs.csv", tmp_path / "out.csv")
    header, *rows = (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()
    assert header == "index,sameArtist"
    assert [row.split(",")[0] for row in rows] == numbers
    assert len({row.split(",")[1] for row in rows}) == 1
    assert all(len(row.split(",")[1]) == 12 for row in rows)


def test_progress_adds_up_to_the_size_of_the_file(tmp_path, index, pairs_file, monkeypatch):
    monkeypatch.setattr(pair_file, "BLOCK_BYTES", 300)
    done = []
    submit(index.generation, index.calibration.pairs, pairs_file, tmp_path / "out.csv", progress=done.append)
    assert sum(done) == pairs_file.stat().st_size


def test_rows_end_as_they_like_and_blank_ones_are_no_pairs(tmp_path, index):
    rows = ["i,a,b", "7,Red Painter/R0.png,Blue Painter/B0.png", "8,Red Painter/R0.png,Red Painter/R1.png"]
    for name, text in (("unix", "\n".join(rows)), ("windows", "\r\n".join([*rows, "", ""]))):
        (tmp_path / f"{name}.csv").write_bytes(text.encode())
        done = submit(index.generation, index.calibration.pairs, tmp_path / f"{name}.csv", tmp_path / f"{name}.out")
        assert (done.pairs, done.unanswered) == (2, 0)
    unix, windows = (pd.read_csv(tmp_path / f"{name}.out") for name in ("unix", "windows"))
    np.testing.assert_allclose(unix, windows, rtol=1e-5)


@pytest.mark.parametrize("size", [30, 45, 60, 77, 200])
def test_a_last_row_without_an_end_is_a_row_wherever_blocks_end(tmp_path, index, monkeypatch, size):
    monkeypatch.setattr(pair_file, "BLOCK_BYTES", size)
    (tmp_path / "p.csv").write_text("i,a,b\n1,x.png,Red Painter/R0.png\n2,x.png,y.png\n3,x.png,y.png")
    assert submit(index.generation, index.calibration.pairs, tmp_path / "p.csv", tmp_path / "o.csv").pairs == 3


def test_a_row_without_an_end_is_refused_before_it_fills_the_memory(tmp_path, index, monkeypatch):
    monkeypatch.setattr(pair_file, "BLOCK_BYTES", 100)
    (tmp_path / "pairs.csv").write_text("i,a,b\n7,Red Painter/R0.png,Blue Painter/B0.png\n8," + "a" * 1000)
    with pytest.raises(BadCatalog, match="not a list of pairs"):
        submit(index.generation, index.calibration.pairs, tmp_path / "pairs.csv", tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_pairs_with_a_painting_that_is_not_there_get_the_prior(tmp_path, index):
    (tmp_path / "pairs.csv").write_text(
        "i,a,b\n7,Red Painter/R0.png,nobody.jpg\n8,Red Painter/R0.png,Red Painter/R1.png\n"
    )
    done = submit(index.generation, index.calibration.pairs, tmp_path / "pairs.csv", tmp_path / "out.csv", prior=0.2)
    assert (done.pairs, done.unanswered) == (2, 1)
    assert (tmp_path / "out.csv").read_text().splitlines()[1] == "7,0.2000000030"


@pytest.mark.parametrize("text", [None, "", "a,b\n1,2\n", "a,b,c\n1,2\n", "a,b,c\r1,2,3\r2,3\r"])
def test_a_file_that_is_no_list_of_pairs_is_refused_and_nothing_is_written(tmp_path, index, text):
    if text is not None:
        (tmp_path / "pairs.csv").write_text(text)
    with pytest.raises(BadCatalog, match=r"pairs\.csv"):
        submit(index.generation, index.calibration.pairs, tmp_path / "pairs.csv", tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()
    assert not (tmp_path / "out.csv.part").exists()


@pytest.mark.parametrize(
    ("name", "text", "encoding"),
    [
        ("semicolons.csv", "i;a;b\n7;{0};{1}\n8;{1};{0}\n", "utf-8"),
        ("tabs.tsv", "i\ta\tb\n7\t{0}\t{1}\n8\t{1}\t{0}\n", "utf-8"),
        ("excel.csv", "sep=;\ni;a;b\n7;{0};{1}\n8;{1};{0}\n", "utf-8-sig"),
        ("utf-16.csv", "i,a,b\n7,{0},{1}\n8,{1},{0}\n", "utf-16"),
        ("old-mac.csv", "i,a,b\r7,{0},{1}\r8,{1},{0}\r", "utf-8"),
    ],
)
def test_pairs_are_read_from_tables_as_people_have_them(tmp_path, index, name, text, encoding):
    # Of UTF-16 once every pair got the prior, for no name was found.
    (tmp_path / name).write_bytes(text.format("Red Painter/R0.png", "Blue Painter/B0.png").encode(encoding))
    done = submit(index.generation, index.calibration.pairs, tmp_path / name, tmp_path / "out.csv")
    assert (done.pairs, done.unanswered) == (2, 0)
    found = pd.read_csv(tmp_path / "out.csv")
    assert found["index"].tolist() == [7, 8]
    expected = index.pair("id:Red Painter/R0.png", "id:Blue Painter/B0.png", prior=PRIOR).probability
    assert found["sameArtist"].tolist() == pytest.approx([expected, expected], rel=1e-4)


def test_the_command_tells_the_auc(tmp_path, index, pairs_file, monkeypatch, capsys):
    from artidx.cli import main as command_line

    monkeypatch.setattr(
        "sys.argv",
        ["artidx", "submit", str(pairs_file), "-i", str(index.source), "-o", str(tmp_path / "out.csv"), "--json"],
    )
    command_line.main()
    found = json.loads(capsys.readouterr().out)
    assert (found["pairs"], found["unanswered"], found["auc_seen"]) == (66, 0, None)
    assert 0.5 < found["auc"] <= 1
