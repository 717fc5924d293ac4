"""Nothing leaves the machine, and nothing is written into the user's home."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import artidx
from made import painting

ROOT = Path(artidx.__file__).parent
FACES = {
    "command": "import sys; from artidx.cli.main import main; sys.argv[1:] = ['nearest', *sys.argv[1:]]; main()",
    "python": "import sys, artidx; artidx.Embedder.load('small').transform([sys.argv[1]])",
    "worker": "import sys; from artidx.index.changes.cluster import _Worker; "
    "from artidx.embedder.runtime import Embedder; Embedder.load('small').transform([sys.argv[1]])",
    "export": "import artidx.embedder.training.export.int8",
}


def ran(face: str, picture: Path, home: str | Path, *before: str) -> subprocess.CompletedProcess[str]:
    """An entry point of artidx in a separate process, with only HOME in its environment."""
    return subprocess.run(
        [*before, sys.executable, "-c", FACES[face], picture],
        cwd=picture.parent,
        check=True,
        env={"PATH": os.environ["PATH"], "HOME": str(home)},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("face", FACES)
def test_nothing_is_written_into_the_home(tmp_path, face):
    picture, home = painting(tmp_path / "a.png", 1), tmp_path / "home"
    home.mkdir()
    ran(face, picture, home)
    assert [*home.rglob("*")] == []


@pytest.mark.parametrize("face", ["command", "python"])
def test_a_home_that_cannot_be_written_to_is_not_complained_of(tmp_path, face):
    said = ran(face, painting(tmp_path / "a.png", 1), "/proc").stderr  # not even root writes there
    assert [line for line in said.splitlines() if not line.startswith("against the reference gallery")] == []


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
def test_nobody_is_looked_up_or_called(tmp_path):
    trace, home = tmp_path / "trace", tmp_path / "home"
    home.mkdir()
    ran("command", painting(tmp_path / "a.png", 1), home, "strace", "-f", "-e", "trace=network", "-o", str(trace))
    assert re.findall(r"AF_INET\S*", trace.read_text()) == []


def test_whatever_loads_onnx_runtime_lies_where_its_telemetry_is_off():
    """embedder/__init__.py turns it off, which Python runs before anything below it."""
    loads = {
        path.relative_to(ROOT).parts[0]
        for path in ROOT.glob("*/**/*.py")
        if path.relative_to(ROOT).parts[0] in ("cli", "embedder", "index", "service")
        and re.search(r"^\s*(import|from) onnxruntime", path.read_text("utf-8"), re.MULTILINE)
    }
    assert loads == {"embedder"}
