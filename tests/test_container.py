"""The container, as far as it can be tested without an engine: its file is linted, and its steps are run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
import zipfile
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[1]
DOCKERFILE = ROOT / "Dockerfile"
WITHOUT_RIGHTS = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]


def test_the_dockerfile_has_nothing_that_a_linter_objects_to():
    found = subprocess.run(
        [Path(sys.executable).with_name("hadolint"), DOCKERFILE], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout) == (0, "")


def test_every_base_image_is_fixed_by_its_digest():
    text = DOCKERFILE.read_text()
    named = dict(re.findall(r"^ARG (\w+)=(\S+)$", text, re.MULTILINE))
    bases = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert bases
    for base in bases:
        image = re.sub(r"\$\{(\w+)\}", lambda found: named[found[1]], base)
        assert re.fullmatch(r"\S+:\S+@sha256:[0-9a-f]{64}", image), base


def test_what_is_copied_is_what_the_package_needs(tmp_path):
    """.dockerignore allows everything from which a wheel is built, and nothing else."""
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")]
    for name in kept:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path / name)
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", tmp_path], check=True, capture_output=True
    )
    target = tmp_path / "installed"
    wheel = next(tmp_path.glob("dist/*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    assert {path.name for path in (target / "artidx").iterdir() if path.is_dir()} == {
        "cli",
        "embedder",
        "index",
        "service",
    }
    assert (target / "artidx/service/page/main.js").is_file()


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="root and setpriv are needed")
@pytest.mark.parametrize("has_index", [True, False])
def test_it_answers_without_rights_from_a_volume_that_cannot_be_written_to(has_index, index, tmp_path):
    """The command of the file, without capabilities, so that permissions count; a folder in place of /index."""
    words = json.loads(re.search(r"^CMD (\[.*\])$", DOCKERFILE.read_text(), re.MULTILINE)[1])
    volume = tmp_path / "volume"
    volume.mkdir()
    if has_index:
        shutil.copytree(index.source, volume, dirs_exist_ok=True)
    for path in [volume, *volume.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    script = words[2].replace("/index", str(volume)).replace("--host 0.0.0.0", "--host 127.0.0.1 --port 0")
    script = script.replace("exec artidx", f"exec {Path(sys.executable).with_name('artidx')}")
    own = tmp_path / "tmp"
    own.mkdir()
    process = subprocess.Popen(
        [*WITHOUT_RIGHTS, "sh", "-c", script, "artidx"],
        cwd=own,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "ARTIDX_CACHE": str(own),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )
    try:
        url = process.stdout.readline().rpartition(" at ")[2].strip()
        with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
            assert client.get("/readyz").status_code == 200
            name = "volume" if has_index else "the reference gallery"
            assert client.get("/v1/index").headers["artidx-index"] == name
            if has_index:
                deadline = time.monotonic() + 60
                while client.get("/v1/map").status_code != 200:
                    assert time.monotonic() < deadline
                    time.sleep(0.2)
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_all_that_is_installed_is_fixed_by_version_and_hash_as_it_was_tested():
    locked = {}
    for entry in re.split(r"\n(?=\S)", (ROOT / "locked.txt").read_text()):
        if found := re.match(r"([a-z0-9-]+)==(\S+)", entry):
            locked[found[1]] = found[2]
            assert "--hash=sha256:" in entry, found[1]
    constraints = dict(re.findall(r"^([a-z0-9-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    assert {name: locked[name] for name in locked.keys() & constraints.keys()} == {
        name: constraints[name] for name in locked.keys() & constraints.keys()
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["cpu"], *extras["serve"]]
    names = {re.match(r"[A-Za-z0-9-]+", name)[0].lower() for name in wanted}
    assert names <= locked.keys()
    assert "setuptools" in locked
