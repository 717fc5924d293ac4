"""Bounds of numbers from users; errors for limits of the system, and for an output that nobody reads."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_service import BLUE, RED

from artidx import Embedder, Index
from artidx.cli.main import artidx
from artidx.errors import BadModel, BadSetting, OutOfResources, damaged, exhausted
from artidx.index.storage import segments
from artidx.service.settings import ServiceSettings
from made import painting
from served import form, served

COMMAND = [sys.executable, "-m", "artidx.cli"]
# Without root's rights, since limits of processes do not apply to root, but able to read root's files.
AS_SOMEBODY = [
    "setpriv",
    "--reuid=54321",
    "--regid=54321",
    "--clear-groups",
    "--inh-caps=+dac_read_search",
    "--ambient-caps=+dac_read_search",
]
is_root = os.geteuid() == 0 and shutil.which("setpriv") is not None


def ran(*words, before=(), **options):
    return subprocess.run([*before, *COMMAND, *map(str, words)], capture_output=True, text=True, timeout=120, **options)


@pytest.mark.parametrize(
    "words",
    [
        ["pair", RED, BLUE, "--threshold", "nan"],
        ["pair", RED, BLUE, "--threshold", "inf"],
        ["pair", RED, BLUE, "--threshold", "-0.1"],
        ["pair", RED, BLUE, "--prior", "nan"],
        ["pair", RED, BLUE, "--prior", "0"],
        ["submit", "pairs.csv", "-o", "out.csv", "--prior", "nan"],
        ["evaluate", "x.artidx", "--prior", "nan"],
        ["nearest", RED, "-k", "0"],
        ["nearest", RED, "-k", "nan"],
        ["pair", RED, BLUE, "--max-pixels", str(10**15)],
        ["serve", "--in-flight", "100000"],
        ["serve", "--port", "65536"],
        ["serve", "--max-pixels", str(10**30)],
        ["build", "x", "-o", "y", "--workers", str(10**9)],
        ["build", "x", "-o", "y", "--batch-size", str(10**9)],
        ["build", "x", "-o", "y", "--gpu-share", "nan"],
    ],
)
def test_a_number_that_makes_no_sense_is_refused_by_its_option(words):
    found = CliRunner().invoke(artidx, words)
    assert found.exit_code == 2
    assert "Invalid value for" in found.output


def test_a_number_that_is_no_whole_one_is_called_so():
    found = CliRunner().invoke(artidx, ["nearest", RED, "-k", "1e6"])
    assert "'1e6' is not a whole number in digits, such as 10." in found.output


@pytest.mark.parametrize("threshold", [math.nan, math.inf, -1, 2.1])
def test_python_and_http_refuse_the_same_thresholds(index, threshold):
    with pytest.raises(BadSetting, match="must be a number from 0 to 2"):
        index.pair(RED, BLUE, threshold=threshold)
    with served(index.source) as service, service.client() as client:
        answer = client.post("/v1/pair", **form(a=RED, b=BLUE, threshold=threshold))
    assert (answer.status_code, "must be a number from 0 to 2" in answer.json()["detail"]) == (422, True)


@pytest.mark.parametrize("prior", [math.nan, 0, 1, -1])
def test_python_and_http_refuse_the_same_priors(index, prior):
    with pytest.raises(BadSetting, match="must be a number between 0 and 1"):
        index.pair(RED, BLUE, prior=prior)
    with served(index.source) as service, service.client() as client:
        answer = client.post("/v1/pair", **form(a=RED, b=BLUE, prior=prior))
    assert (answer.status_code, "must be a number between 0 and 1" in answer.json()["detail"]) == (422, True)


@pytest.mark.parametrize("k", [10**12, 2**63, 10**40])
def test_nobody_gets_more_neighbours_than_there_are_however_many_are_asked_for(index, k):
    answer = index.nearest(RED, k=k)
    assert len(answer.paintings) == len(index) - 1
    assert len(answer.artists) == 3
    assert index.nearest_paintings(RED, k=k).paintings == answer.paintings
    said = CliRunner().invoke(artidx, ["nearest", RED, "-k", str(k), "--index", str(index.source), "--json"])
    assert len(json.loads(said.stdout)["paintings"]) == len(index) - 1
    filtered = index.only("artist == 'Red Painter'").nearest_paintings(RED, k=k)
    assert len(filtered.paintings) == 3


@settings(derandomize=True, database=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(k=st.one_of(st.integers(-3, 20), st.integers()))
def test_any_whole_number_of_neighbours_is_answered_by_what_there_is_or_refused(index, k):
    if k < 1:
        with pytest.raises(BadSetting, match="must be 1 or more"):
            index.nearest_paintings(RED, k=k)
    else:
        assert len(index.nearest_paintings(RED, k=k).paintings) == min(k, len(index) - 1)


@pytest.mark.parametrize("k", [0, -1, 1.5, math.nan, "3"])
def test_what_is_no_number_of_neighbours_is_refused(index, k):
    with pytest.raises(BadSetting):
        index.nearest(RED, k=k)


def test_embedding_and_serving_have_the_bounds_of_the_command_line(embedder, tmp_path):
    path = painting(tmp_path / "a.png", 1)
    for options in ({"workers": 10**9}, {"batch_size": 10**9}, {"max_pixels": 10**15}, {"workers": 0}):
        with pytest.raises(BadSetting):
            embedder.transform([path], **options)
    for options in ({"in_flight": 10**6}, {"in_flight": 1}, {"max_pixels": 0}):
        with pytest.raises(BadSetting):
            ServiceSettings(**options)


@pytest.mark.parametrize(
    "words",
    [
        ["pair", RED, RED, "--json"],
        ["pair", RED, BLUE],
        ["pair", "--pairs", "pairs.csv"],
        ["nearest", RED],
        ["nearest", "--list", "list.txt"],
    ],
)
@pytest.mark.parametrize("output", ["| true", ">&-", ">/dev/full"])
def test_an_output_that_cannot_be_written_is_trouble(index, tmp_path, words, output):
    if output == ">/dev/full" and not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    (tmp_path / "pairs.csv").write_text(f"a,b\n{RED},{BLUE}\n" * 50)
    (tmp_path / "list.txt").write_text(f"{RED}\n" * 50)
    command = " ".join(f"'{word}'" for word in (*COMMAND, *words, "--index", index.source))
    found = subprocess.run(
        ["bash", "-c", f"{command} {output}; exit ${{PIPESTATUS[0]}}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert found.returncode == 2, found.stderr
    assert "Traceback" not in found.stderr
    assert "Exception ignored" not in found.stderr


def test_help_that_nobody_reads_is_trouble_and_not_a_verdict(tmp_path):
    command = " ".join(f"'{word}'" for word in (*COMMAND, "--help"))
    found = subprocess.run(
        ["bash", "-c", f"(sleep 0.2; {command}) | true; exit ${{PIPESTATUS[0]}}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (found.returncode, found.stderr) == (2, "")


def test_without_standard_streams_no_file_of_an_index_gets_what_libraries_print(index):
    before = {path: path.read_bytes() for path in index.source.rglob("*") if path.is_file()}
    code = (
        "import os, sys; from artidx.cli.main import main; sys.argv[1:] = ['remove', sys.argv[1], 'no-such']\n"
        "try: main()\nexcept SystemExit: os.write(1, b'out'); os.write(2, b'err')"
    )
    subprocess.run(["bash", "-c", f'"{sys.executable}" -c "{code}" "{index.source}" <&- >&- 2>&-'], check=True)
    after = {path: path.read_bytes() for path in index.source.rglob("*") if path.is_file()}
    before.pop(index.source / "LOCK"), after.pop(index.source / "LOCK")
    assert after == before
    assert b"out" not in (index.source / "LOCK").read_bytes()


@pytest.mark.parametrize("kilobytes", [250_000, 700_000, 1_200_000])
def test_a_want_of_memory_is_called_so_and_ends(index, kilobytes):
    for words in (["check", index.source], ["nearest", RED, "--index", index.source]):
        found = ran(*words, before=["bash", "-c", f'ulimit -v {kilobytes}; exec "$@"', "-"])
        assert found.returncode == 0 or (found.returncode == 2 and "not enough memory" in found.stderr), found
        assert "damaged" not in found.stderr + found.stdout
        assert len(found.stderr.splitlines()) <= 1
        if kilobytes == 700_000:
            assert found.returncode == 2


@pytest.mark.skipif(not is_root, reason="needs the rights of root, to give them up")
@pytest.mark.parametrize("processes", [1, 2, 4, 8])
def test_a_want_of_threads_is_called_so_and_ends(index, tmp_path, processes):
    for words in (["info", index.source], ["check", index.source]):
        found = ran(*words, before=[*AS_SOMEBODY, "prlimit", f"--nproc={processes}"], cwd="/")
        assert (found.returncode, "no more threads or processes" in found.stderr) == (2, True), found
        assert len(found.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (MemoryError(), "not enough memory"),
        (RuntimeError("std::bad_alloc"), "not enough memory"),
        (RuntimeError("Failed to allocate memory for requested buffer of size 99999999"), "not enough memory"),
        (OSError(12, os.strerror(12)), "not enough memory"),
        (ImportError("libfaiss.so: failed to map segment from shared object"), "not enough memory"),
        (RuntimeError("can't start new thread"), "threads"),
        (OSError("Failed to launch worker thread: Resource temporarily unavailable"), "threads"),
        (OSError(24, os.strerror(24)), "ulimit -n"),
    ],
)
def test_what_libraries_say_of_limits_is_understood(problem, words):
    assert words in str(exhausted(problem, "here"))


@pytest.mark.parametrize(
    "problem",
    [
        ValueError("magic bytes not found"),
        OSError(2, os.strerror(2)),
        KeyError("a"),
        OSError(28, os.strerror(28)),
        RuntimeError("Invalid model: no graph"),
    ],
)
def test_nothing_else_is_taken_for_a_limit(problem):
    assert exhausted(problem, "here") is None


def test_a_table_and_a_model_for_which_there_is_no_memory_are_not_called_damaged(index, monkeypatch, model_file):
    def refuse(*_, **__):
        raise MemoryError

    path = index.source / "generations" / "000001" / "000001-0.parquet"
    with monkeypatch.context() as patch:
        patch.setattr("artidx.index.storage.segments.read_columns", refuse)
        with pytest.raises(OutOfResources, match="not enough memory"):
            segments.read_table(path)
    with monkeypatch.context() as patch:
        patch.setattr("pyarrow.memory_map", refuse)
        with pytest.raises(OutOfResources):
            Index.open(index.source)
    with monkeypatch.context() as patch:
        patch.setattr("onnxruntime.InferenceSession", refuse)
        with pytest.raises(OutOfResources):
            Embedder.load(model_file)
    assert not issubclass(OutOfResources, (BadModel, type(damaged(path, ""))))
