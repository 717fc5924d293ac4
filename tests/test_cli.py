"""The command line: what goes to stdout and stderr, exit statuses, and one clear line for every kind of trouble."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest

from artidx.cli.main import VERBS, artidx
from artidx.cli.output import progress, stages
from made import HUES, painting, small_model

ROOT = Path(__file__).parents[1]


@pytest.fixture
def built(run, tmp_path, collection, monkeypatch):
    """The collection's index, under the default name."""
    monkeypatch.chdir(tmp_path)
    status, _, err = run("build", collection, "-o", "paintings.artidx")
    assert status == 0, err
    return tmp_path / "paintings.artidx"


RED, RED_TOO, BLUE = "Red Painter/R0.png", "Red Painter/R1.png", "Blue Painter/B0.png"


def test_build_says_what_it_did_on_stdout_and_notes_go_to_stderr(run, tmp_path, collection):
    (collection / "bad.jpg").write_text("no")
    status, out, err = run("build", collection, "-o", tmp_path / "i.artidx")
    assert status == 0
    assert "12 paintings by 3 artists, generation 1" in out
    assert "images/s" in out
    assert "skipped 1" in out
    assert "bad.jpg: not an image" in out
    assert "model small" in err
    assert "CPUExecutionProvider" in err
    assert "\r" not in err, "no progress bar where stderr is no terminal"


def test_in_a_log_a_stage_that_takes_long_is_told_at_intervals_whether_it_moves_or_not(capsys, monkeypatch):
    monkeypatch.setattr("artidx.cli.output.LOGGED_S", 0.05)
    said = ""
    with progress(1000, "embedding") as advance:
        for words in ("embedding 0/1,000  0:00 so far\n", "embedding 300/1,000  "):
            while words not in said:
                time.sleep(0.01)
                said += capsys.readouterr().err
            advance(300)
    assert re.search(r"embedding 300/1,000  \d+\.\d/s  0:0\d left\n", said)


def test_in_a_log_each_stage_of_an_export_is_told_when_it_ends(capsys, monkeypatch):
    for what in ("sizes of activations, pictures", "conversion to ONNX"):
        with stages(32, what) as advance:
            advance(32)
    assert capsys.readouterr().err == "sizes of activations, pictures: 32 in 0:00\nconversion to ONNX: 32 in 0:00\n"
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with stages(32, "rounding"):
        pass
    assert capsys.readouterr().err.endswith("\r\x1b[K"), "on a terminal the bar is enough"


def test_on_a_terminal_a_stage_is_a_bar_from_its_beginning_and_goes_in_the_end(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with progress(10, "publishing") as advance:
        assert "publishing ░░" in capsys.readouterr().err
        advance(10)
        assert "██ 10/10" in capsys.readouterr().err
    assert capsys.readouterr().err == "\r\x1b[K"


def test_the_version_names_the_model_too(run, model_file):
    sha256 = hashlib.sha256(model_file.read_bytes()).hexdigest()
    assert run("--version") == (0, f"artidx {version('artidx')}, model small {sha256[:12]}\n", "")


def test_build_as_json_is_one_object(run, tmp_path, collection):
    (collection / "bad.jpg").touch()
    _, out, _ = run("build", collection, "-o", tmp_path / "i.artidx", "--json")
    found = json.loads(out)
    assert (found["paintings"], found["embedded"], found["generation"]) == (12, 12, 1)
    assert [Path(s["path"]).name for s in found["skipped"]] == ["bad.jpg"]


@pytest.mark.parametrize(("other", "status", "word"), [(RED_TOO, 0, "below"), (BLUE, 1, "not below")])
def test_pair_exits_0_for_same_and_1_for_different(run, built, other, status, word):
    found, out, err = run("pair", RED, other)
    assert (found, err) == (status, "")
    assert f" is {word} the threshold 0.600" in out
    assert out.startswith("Very likely that" if status == 0 else "Very unlikely that")
    assert "made-up pairs" in out, "says what the threshold was measured on"
    assert "10.0% of pairs by different artists" in out


def test_pair_warns_where_both_paintings_may_be_of_a_collection_that_the_index_does_not_hold(run, built, tmp_path):
    # 65% of a museum's pairs by different artists were once called the same, asked of a gallery without the museum.
    one, alike, other = (
        painting(tmp_path / f"{seed}.png", seed, hue)
        for seed, hue in ((900, (40, 90, 160)), (901, (40, 90, 160)), (902, (240, 90, 20)))
    )
    (status, said, _), (other_status, other_said, _) = run("pair", one, alike), run("pair", one, other)
    assert (status, other_status) == (0, 1)
    assert "The index holds neither" in said
    assert said.startswith("Likely that"), "a step weaker than the number"
    assert "The index holds neither" not in other_said, "nothing is too sure there"
    assert "The index holds neither" not in run("pair", RED, RED_TOO)[1]


def test_a_lower_false_positive_rate_asks_for_a_smaller_distance(run, built):
    thresholds = [
        json.loads(run("pair", RED, RED_TOO, "--json", "--fpr", rate)[1])["threshold"]
        for rate in ("0.1", "0.01", "0.001")
    ]
    assert thresholds == [0.6, 0.4, 0.2]


def test_pair_as_json_has_the_promised_keys(run, built):
    status, out, _ = run("pair", RED, BLUE, "--json", "--prior", "0.01")
    found = json.loads(out)
    assert status == 1
    assert {"same", "distance", "threshold", "probability", "prior", "model", "generation", "a", "b", "shared"} <= {
        *found
    }
    assert (found["same"], found["prior"], found["a"]["painting"]["id"]) == (False, 0.01, RED)


def test_nearest_ranks_artists_with_the_paintings_that_speak_for_them(run, built, tmp_path):
    query = painting(tmp_path / "q.png", 123, HUES["Green Painter"])
    status, out, _ = run("nearest", query, "-k", "2")
    assert out.startswith("Likely Green Painter: ")
    lines = out.splitlines()
    lines = lines[next(number for number, line in enumerate(lines) if line.endswith("%  Green Painter")) :]
    assert status == 0
    assert all("Green Painter" in line for line in lines[1:4])
    assert "none of the artists here" in lines[-1]


def test_nearest_as_json_has_the_promised_keys(run, built):
    found = json.loads(run("nearest", RED, "--json")[1])
    assert {"artists", "unknown", "model", "generation", "paintings"} <= {*found}
    assert {"artist", "probability", "paintings"} <= {*found["artists"][0]}
    assert sum(a["probability"] for a in found["artists"]) + found["unknown"] == pytest.approx(1)


def test_nearest_paintings_is_the_flat_list(run, built):
    status, out, _ = run("nearest", RED, "--paintings", "-k", "3")
    assert status == 0
    assert len(out.splitlines()) == 3
    apart = [float(line.split()[0]) for line in out.splitlines()]
    assert apart == sorted(apart)


def test_an_image_may_come_on_stdin(built, model_file, collection):
    data = (collection / RED).read_bytes()
    found = subprocess.run(
        [sys.executable, "-m", "artidx.cli", "pair", "-", RED, "--json"],
        input=data,
        capture_output=True,
        check=False,
        cwd=built.parent,
    )
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["distance"] < 1e-6


def test_add_and_remove_report_the_new_state(run, built, collection):
    painting(collection / "Red Painter" / "new.png", 55, HUES["Red Painter"])
    status, out, _ = run("add", built, collection)
    assert status == 0
    assert "13 paintings by 3 artists, generation 2" in out
    assert "already in the index, unchanged: 12" in out
    assert json.loads(run("add", built, collection, "--json")[1])["already_there"] == 13
    status, out, _ = run("remove", built, RED, BLUE)
    assert status == 0
    assert "11 paintings" in out
    assert "removed: 2" in out


def test_one_image_can_be_added(run, built, tmp_path):
    status, out, _ = run("add", built, painting(tmp_path / "single.png", 56))
    assert status == 0
    assert "13 paintings" in out


def test_info_tells_what_an_index_holds(run, built):
    status, out, _ = run("info", built)
    assert status == 0
    for words in ("12 paintings by 3 artists", "generation 1", "model small", "calibrated on made-up pairs", "10.00%"):
        assert words in out
    assert json.loads(run("info", built, "--json")[1])["paintings"] == 12


def test_check_exits_1_and_names_what_is_damaged(run, built):
    assert run("check", built)[0] == 0
    (built / "generations" / "000001" / "skipped.csv").write_text("changed")
    status, out, _ = run("check", built)
    assert status == 1
    assert "skipped.csv: damaged: its sha256 is not the one in manifest.json; try artidx check --repair" in out


def test_evaluate_scores_a_labelled_index(run, built):
    status, out, _ = run("evaluate", built)
    assert status == 0
    assert out.startswith("all: 12 paintings by 3 artists, 66 pairs, 18 of them by one artist")
    found = json.loads(run("evaluate", built, "--json")[1])
    assert found[0]["pairs"]["same_pairs"] == 18
    assert found[0]["nearest"]["top_1"] > 0.5


def test_a_table_with_columns_of_other_names(run, tmp_path, collection):
    table = tmp_path / "list.csv"
    with table.open("w", newline="") as stream:
        csv.writer(stream).writerows([["wo", "wer"], ["Red Painter/R0.png", "Rot"], ["Blue Painter/B0.png", "Blau"]])
    status, out, err = run(
        "build",
        table,
        "-o",
        tmp_path / "i.artidx",
        "--image-column",
        "wo",
        "--artist-column",
        "wer",
        "--images",
        collection,
    )
    assert status == 0, err
    assert "2 paintings by 2 artists" in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["pair", "a.jpg", "b.jpg", "-i", "p.artidx"], "artidx: p.artidx: no such index; make one with artidx build"),
        (["build", "nowhere", "-o", "x.artidx"], "artidx: nowhere: no such file or folder"),
        (["build", ".", "-o", "x.artidx", "--model", "none.onnx"], "none.onnx: no such model file"),
        (["evaluate", "nowhere"], "no such file or folder"),
        (["nearest", "x", "-k", "0"], "Invalid value for '-k'"),
        (["pair", "a", "b", "--prior", "1"], "Invalid value for '--prior'"),
        (["pair", "a"], "name two paintings, or give --pairs"),
        (["nearest", "a", "--list", "b"], "name one painting, or give --list"),
        (["paint"], "No such command 'paint'"),
        (["info", "."], "not an index of artidx"),
    ],
)
def test_trouble_is_told_on_stderr_and_exits_2(run, tmp_path, monkeypatch, words, says):
    monkeypatch.chdir(tmp_path)
    painting(tmp_path / "a.png", 1)
    status, out, err = run(*words)
    assert (status, out) == (2, "")
    assert says in err
    assert err.startswith("artidx: ")
    assert len(err.splitlines()) == 1


def test_a_second_painting_of_the_same_id_is_named_when_it_replaces_the_first(run, built, collection):
    painting(collection / RED, 77)
    assert f"replaced, because their content is new: 1: {RED}" in run("add", built, collection)[1]


def test_what_could_not_be_read_is_told_even_if_nothing_was_added(run, built, tmp_path):
    (tmp_path / "bad").mkdir()
    for number in range(7):
        (tmp_path / "bad" / f"{number}.jpg").write_text("no")
    status, out, _ = run("add", built, tmp_path / "bad")
    assert status == 0
    assert out.count("not an image") == 7
    assert "skipped.csv" not in out


def test_a_bug_is_not_taken_for_a_verdict(run, built, monkeypatch):
    monkeypatch.setattr("artidx.index.opened.Index.pair", lambda *_, **__: 1 / 0)
    status, _, err = run("pair", RED, BLUE)
    assert status == 2
    assert "ZeroDivisionError" in err


@pytest.mark.parametrize("words", [["--gallery", "trian"], ["--split-column", "splitt"]])
def test_evaluate_does_not_guess_what_a_misspelt_split_meant(run, built, words):
    status, out, err = run("evaluate", built, *words)
    assert (status, out) == (2, "")
    assert words[1] in err


def test_evaluate_of_paintings_without_labels_has_dashes(run, tmp_path):
    for number in range(3):
        painting(tmp_path / "flat" / f"{number}.png", number)
    run("build", tmp_path / "flat", "-o", tmp_path / "flat.artidx")
    status, out, _ = run("evaluate", tmp_path / "flat.artidx")
    assert status == 0
    assert out.startswith("all: 0 paintings by 0 artists, 0 pairs")
    assert "AUC over all pairs               -; by distance alone -" in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["pair", RED, "none.jpg"], "none.jpg: neither a file nor the id"),
        (["remove", "paintings.artidx", "none"], "nothing was removed"),
        (["build", "collection", "-o", "paintings.artidx"], "there is an index already"),
        (["pair", "-", "-"], "there is only one"),
        (["nearest", RED, "--model", "other.onnx"], "built with model"),
        (["nearest", RED, "--model", "small.onnx", "--device", "cuda"], "offers only CPUExecutionProvider"),
    ],
)
def test_trouble_with_an_index_is_told_too(run, built, tmp_path, words, says):
    (tmp_path / "other.onnx").write_bytes(small_model(seed=1))
    status, out, err = run(*words)
    assert (status, out) == (2, "")
    assert says in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith("artidx: ")


def test_a_title_cannot_rewrite_the_terminal(run, tmp_path, collection):
    table = tmp_path / "list.csv"
    table.write_text(
        "file,artist,title\nRed Painter/R0.png,A\x1b[2Jrt,\x1b]0;owned\x07T\u202eitle\nRed Painter/R1.png,B,C\n"
    )
    run("build", table, "-o", tmp_path / "i.artidx", "--images", collection)
    for words in (["nearest", "Red Painter/R1.png"], ["nearest", "Red Painter/R1.png", "--paintings"]):
        _, out, err = run(*words, "--index", tmp_path / "i.artidx")
        assert not {"\x1b", "\x07", "\u202e"} & {*out, *err}


def test_the_pixel_limit_reaches_the_images(run, tmp_path, collection):
    _, out, _ = run("build", collection, "-o", tmp_path / "i.artidx", "--max-pixels", "5000")
    assert "12 paintings" in out
    status, _, err = run("build", collection, "-o", tmp_path / "j.artidx", "--max-pixels", "1000")
    assert status == 2
    assert "--max-pixels" in err


def test_help_and_a_question_about_two_paintings_load_nothing_heavy_that_they_do_not_need(index):
    heavy = ["pandas", "faiss", "onnxruntime", "torch", "cv2"]
    pair = ["pair", "id:Red Painter/R0.png", "id:Blue Painter/B0.png", "--index", str(index.source)]
    for words, unneeded in ((["--help"], [*heavy, "numpy", "PIL", "pyarrow"]), (pair, heavy)):
        code = (
            f"import sys; sys.argv = ['artidx', *{words}]\n"
            "from artidx.cli.main import main\n"
            "try: main()\n"
            "except SystemExit as end: assert end.code in (0, 1, None), end.code\n"
            f"loaded = {{*{unneeded}}} & {{*sys.modules}}\n"
            "sys.exit(f'loaded {loaded}' if loaded else 0)"
        )
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_and_stands_in_the_readme(run, verb):
    status, out, _ = run(verb, "--help")
    assert status == 0
    assert out.startswith("Usage: artidx")
    assert f"artidx {verb}" in (ROOT / "README.md").read_text("utf-8")


def test_the_list_of_verbs_is_that_of_the_files():
    with_command = {
        p.stem.replace("_", "-") for p in (ROOT / "cli").glob("*.py") if "@click.command" in p.read_text("utf-8")
    } - {"main"}
    assert with_command == {*VERBS} == {*artidx.list_commands(None)}
