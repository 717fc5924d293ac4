"""What others made: folders, indexes and models that were meant to do harm."""

from __future__ import annotations

import os
import shutil
import sys
import time

import pytest
from click.testing import CliRunner

from artidx import Index
from artidx.cli.main import artidx
from artidx.errors import BadIndex
from artidx.index.files import write_atomically
from made import painting
from served import TOKEN, served

STRANGERS = ("artidx/__init__.py", "artidx/index/map.py", "numpy.py", "onnxruntime.py", "pandas.py", "sitecustomize.py")


def filled_with_code(folder):
    """The folder with modules in it that tell when they are run, and where they tell it."""
    told = folder / "told"
    for name in STRANGERS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"import os\nopen({str(told)!r}, 'a').write('{name} ' + str(dict(os.environ)))\n")
    return told


def drawn_map(client):
    deadline = time.monotonic() + 60
    while (answer := client.get("/v1/map")).status_code == 202:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return answer


def test_the_map_runs_no_code_from_the_folder_the_service_was_started_in(index, tmp_path, monkeypatch):
    told = filled_with_code(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ARTIDX_CACHE", "cache")
    with served(index.source.relative_to(tmp_path), write_token=TOKEN) as service, service.client() as client:
        assert drawn_map(client).status_code == 200
    assert not told.exists()


def test_who_draws_the_map_is_told_no_token(index, tmp_path, monkeypatch):
    told, python = tmp_path / "told", tmp_path / "python"
    python.write_text(f'#!/bin/sh\n(env; pwd) > "{told}"\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr("artidx.service.maps.sys.executable", str(python))
    for name in ("ARTIDX_READ_TOKEN", "ARTIDX_WRITE_TOKEN", "ARTIDX_MILVUS_TOKEN", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, TOKEN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with served(index.source) as service, service.client() as client:
        assert drawn_map(client).status_code == 200
    assert TOKEN not in told.read_text()
    assert "PYTHONPATH" not in told.read_text()
    assert told.read_text().splitlines()[-1] == "/"


def link_lock(folder, elsewhere):
    (folder / "LOCK").unlink()
    (folder / "LOCK").symlink_to(elsewhere / "kept.txt")


def link_lock_hard(folder, elsewhere):
    (folder / "LOCK").unlink()
    os.link(elsewhere / "kept.txt", folder / "LOCK")


def link_what_is_written_aside(folder, elsewhere):
    (folder / "CURRENT.part").symlink_to(elsewhere / "kept.txt")


def link_building(folder, elsewhere):
    (elsewhere / "a.part").write_text("a picture")
    (folder / "building").symlink_to(elsewhere)


def link_a_shard(folder, elsewhere):
    (folder / "building").mkdir()
    (folder / "building" / "a.parquet").symlink_to(elsewhere / "kept.txt")


def link_generations(folder, elsewhere):
    shutil.move(folder / "generations", elsewhere)
    (elsewhere / "generations" / "000007.part").mkdir()
    (folder / "generations").symlink_to(elsewhere / "generations")


def link_a_generation(folder, elsewhere):
    (folder / "generations" / "000009").symlink_to(elsewhere)


def link_a_file(folder, elsewhere):
    path = folder / "generations" / "000001" / "skipped.csv"
    shutil.move(path, elsewhere)
    path.symlink_to(elsewhere / "skipped.csv")


def pipe_for_lock(folder, _):
    (folder / "LOCK").unlink()
    os.mkfifo(folder / "LOCK")


def folder_for_lock(folder, _):
    (folder / "LOCK").unlink()
    (folder / "LOCK").mkdir()


def pipe_among_shards(folder, _):
    (folder / "building").mkdir()
    os.mkfifo(folder / "building" / "a.parquet")


def writers(index, picture):
    folder = str(index.source)
    return [["add", folder, str(picture)], ["remove", folder, "Red Painter/R0.png"], ["check", folder, "--repair"],
            ["sync", folder, str(picture.parent)], ["build", str(picture.parent), "-o", folder, "--replace"]]


@pytest.mark.parametrize("strange", [
    link_lock, link_lock_hard, link_what_is_written_aside, link_building, link_a_shard, link_generations,
    link_a_generation, link_a_file, pipe_for_lock, folder_for_lock, pipe_among_shards])
def test_an_index_with_parts_that_lead_elsewhere_is_not_written_to(index, tmp_path, strange):
    elsewhere, picture = tmp_path / "elsewhere", painting(tmp_path / "more" / "new.png", 77)
    elsewhere.mkdir()
    (elsewhere / "kept.txt").write_text("years of work")
    strange(index.source, elsewhere)
    before = {path: path.read_bytes() for path in elsewhere.rglob("*") if path.is_file()}
    published = (index.source / "CURRENT").read_bytes()
    for words in writers(index, picture):
        said = CliRunner().invoke(artidx, words)
        assert isinstance(said.exception, BadIndex), words
        assert "nothing was changed" in str(said.exception)
    assert {path: path.read_bytes() for path in elsewhere.rglob("*") if path.is_file()} == before
    assert (index.source / "CURRENT").read_bytes() == published


def test_who_wrote_aside_and_was_killed_left_no_link_to_write_through(tmp_path):
    (tmp_path / "kept.txt").write_text("years of work")
    (tmp_path / "a.part").symlink_to(tmp_path / "kept.txt")
    write_atomically(tmp_path / "a", b"new")
    assert (tmp_path / "kept.txt").read_text() == "years of work"
    assert (tmp_path / "a").read_bytes() == b"new"


@pytest.mark.parametrize("name", ["manifest.json", "manifest.sha256", "000001-0.parquet", "000001-0.npy", "removed.npy",
                                  "history.parquet", "skipped.csv", "model.onnx", "more"])
def test_a_pipe_in_a_generation_is_not_waited_for(index, name):
    path = index.source / "generations" / "000001" / name
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    with pytest.raises(BadIndex, match="not a plain file"):
        Index.open(index.source)
    index.check()


@pytest.mark.parametrize("name", ["CURRENT", "generations"])
def test_a_pipe_in_place_of_a_part_is_not_waited_for(index, name):
    path = index.source / name
    shutil.move(path, index.source.parent)
    os.mkfifo(path)
    with pytest.raises(BadIndex):
        Index.open(index.source)
