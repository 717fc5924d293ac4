"""What others made: folders, indexes and models that were meant to do harm."""

from __future__ import annotations

import sys
import time

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
