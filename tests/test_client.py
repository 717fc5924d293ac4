"""artidx.Client: a service answers as the index would here, in Python and on the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest

import artidx
from artidx import Client, Index
from artidx.as_json import as_json
from artidx.errors import BadSetting, IndexAway, NotAnImage, Refused, UnknownPainting
from made import painting
from served import TOKEN, served

RED, RED_TOO, BLUE = "Red Painter/R0.png", "Red Painter/R1.png", "Blue Painter/B0.png"


@pytest.fixture
def service(index, tmp_path):
    with served(index.source, uploads=tmp_path / "uploads", write_token=TOKEN) as found:
        yield found


@pytest.fixture
def client(service):
    with Client(service.url, token=TOKEN) as found:
        yield found


def without_paths(value):
    """An answer as a client gets it: without paths of files on the server."""
    if isinstance(value, list):
        return [without_paths(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {name: "" if name == "path" else without_paths(each) for name, each in value.items()}


def same(ours, theirs):
    return json.loads(as_json(ours)) == without_paths(json.loads(as_json(theirs)))


def test_a_service_answers_as_the_index_here(client, index, tmp_path):
    new = painting(tmp_path / "new.png", 77)
    assert isinstance(client.pair(RED, BLUE), artidx.Verdict)
    assert same(client.pair(RED, BLUE, prior=0.1, threshold=0.5), index.pair(RED, BLUE, prior=0.1, threshold=0.5))
    assert same(client.pair(str(new), RED, false_positive_rate=0.01), index.pair(new, RED, false_positive_rate=0.01))
    assert same(client.nearest(new, k=3), index.nearest(new, k=3))
    assert same(client.nearest(f"id:{RED}"), index.nearest(f"id:{RED}"))
    assert same(client.nearest(new.read_bytes()), index.nearest(new.read_bytes()))
    among = "artist != 'Green Painter'"
    assert same(client.nearest(RED, where=among, exclude="artist == 'x'"), index.only(among).nearest(RED))
    found = [*client.nearest_of_each([RED, "none", new], k=2)]
    assert same(found[0], index.nearest(RED, k=2))
    assert isinstance(found[1], UnknownPainting)
    assert same(found[2], index.nearest(new, k=2))
    assert (len(client), client.artists) == (12, 3)


def test_what_is_changed_by_a_client_is_changed(client, index, tmp_path):
    new = painting(tmp_path / "new.png", 77)
    added = client.add(new, id="new", artist="Nell", key="k-1")
    assert client.add(new, id="new", artist="Nell", key="k-1") == added == client.painting("new")
    assert client.label("new", {"year": 1540}, by="Anna") == replace(added, year=1540)
    client.remove("new")
    with pytest.raises(UnknownPainting, match="new: no painting"):
        client.painting("new")
    assert set(Index.open(index.source).history["by"]) == {"Anna"}


def test_errors_are_those_of_an_index_and_say_why(client, service, tmp_path):
    (tmp_path / "text.jpg").write_text("no picture")

    def once(address, ask):
        with Client(address) as other:
            ask(other)

    for ask, kind in (
        (lambda: client.nearest("none"), UnknownPainting),
        (lambda: client.nearest(tmp_path / "text.jpg"), NotAnImage),
        (lambda: client.pair(RED, BLUE, prior=2), BadSetting),
        (lambda: once(service.url, lambda other: other.remove(RED)), Refused),
        (lambda: once("http://127.0.0.1:1", lambda other: other.nearest(RED)), IndexAway),
        (lambda: once(f"{service.url}/page", lambda other: other.nearest(RED)), Refused),
        (lambda: Client("http://[::1"), BadSetting),
    ):
        with pytest.raises(kind):
            ask()


def test_the_command_line_asks_a_service(service, run, tmp_path, index):
    place = ("--index", service.url)
    for words in (("pair", RED, BLUE, "--threshold", 0.5), ("nearest", painting(tmp_path / "new.png", 77), "-k", 2)):
        status, out, err = run(*words, *place)
        assert (status, err) == (1 if words[0] == "pair" else 0, "")
        assert out == run(*words, "--index", index.source)[1]
        assert json.loads(run(*words, *place, "--json")[1])["model"] == index.manifest.model.sha256
    status, _, err = run("nearest", RED, "--paintings", *place)
    assert (status, err.splitlines()[0]) == (
        2,
        "artidx: --paintings works with an index here, not with a service (see artidx nearest --help)",
    )
    assert run("nearest", "none", *place)[2] == "artidx: none: no painting of paintings.artidx has this id\n"


def test_files_of_questions_are_answered_by_a_service_as_by_the_index_here(service, run, tmp_path, index, monkeypatch):
    """In several requests, limited by number and by size."""
    monkeypatch.setattr("artidx.client.MOST", 2)
    new, large = painting(tmp_path / "new.png", 77), painting(tmp_path / "large.png", 78)
    monkeypatch.setattr("artidx.client.MOST_BYTES", large.stat().st_size)
    (tmp_path / "notes.png").write_text("no picture")
    names = [RED, str(new), str(large), BLUE, str(tmp_path / "notes.png"), RED_TOO]
    (tmp_path / "list.txt").write_text("\n".join(names))
    rows = [f"{a},{b}" for a, b in zip(names, [*names[1:], RED], strict=True)]
    (tmp_path / "pairs.csv").write_text("\n".join(["a,b", *rows]))
    for words in (("nearest", "--list", tmp_path / "list.txt", "-k", 2), ("pair", "--pairs", tmp_path / "pairs.csv")):
        status, out, err = run(*words, "--index", service.url)
        here = run(*words, "--index", index.source)
        assert (status, err) == (here[0], here[2])
        problems = [line for line in out.splitlines() if "notes.png" in line]
        assert len(problems) == (1 if words[0] == "nearest" else 2)
        assert all("not an image" in line for line in problems)
        assert [line for line in out.splitlines() if "notes.png" not in line] == [
            line for line in here[1].splitlines() if "notes.png" not in line
        ]
        lines = run(*words, "--json", "--index", service.url)[1].splitlines()
        assert sum("problem" in json.loads(line) for line in lines) == len(problems)


def test_a_picture_that_is_too_large_for_a_service_is_the_problem_of_one_question(index, tmp_path, monkeypatch):
    monkeypatch.setattr("artidx.client.MOST_BYTES", 1000)
    (tmp_path / "large.png").write_bytes(bytes(2 << 20))
    with served(index.source, max_body_bytes=1 << 20) as service, Client(service.url) as client:
        found = [*client.nearest_of_each([RED, tmp_path / "large.png", BLUE], k=1)]
    assert [type(each) for each in found] == [artidx.Answer, Refused, artidx.Answer]


def test_a_client_needs_neither_a_model_nor_a_search_library():
    heavy = {"faiss", "onnxruntime", "cv2", "fastapi"}
    code = f"import sys, artidx; artidx.Client; print(sorted({heavy} & {{*sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
