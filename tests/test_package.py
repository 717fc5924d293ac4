"""The package as users get it: a wheel with only artidx in it, which answers from any folder."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from hypothesis import settings
from packaging.requirements import Requirement

import artidx
from made import MUSEUM

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from the files as they are here."""
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT],
        check=True,
        capture_output=True,
    )
    return next(out.glob("*.whl"))


def test_the_public_names_are_these_and_all_can_be_imported():
    assert (
        sorted(artidx.__all__)
        == artidx.__all__
        == [
            "Answer",
            "ArtidxError",
            "Catalog",
            "Client",
            "ColumnNames",
            "Embedder",
            "Index",
            "Neighbour",
            "Painting",
            "RankedArtist",
            "Report",
            "Settings",
            "Verdict",
            "read_catalog",
        ]
    )
    for name in artidx.__all__:
        assert getattr(artidx, name).__name__ == name
    assert {*artidx.__all__, "__version__"} == {*dir(artidx)}
    with pytest.raises(AttributeError, match="nothing_of_ours"):
        artidx.nothing_of_ours  # noqa: B018


def test_no_property_fails_because_the_machine_is_busy():
    """11 of 30 had Hypothesis's own deadline of 0.2 s."""
    assert settings().deadline is None


def test_the_wheel_holds_nothing_but_artidx_with_the_model_inside(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    outside = [n for n in names if not n.startswith("artidx/") and ".dist-info/" not in n]
    assert outside == []
    models = {f"artidx/embedder/models/{name}" for name in ("base.onnx", "base.md", "small.onnx", "small.md")}
    assert {*models, "artidx/py.typed"} <= {*names}
    assert not [n for n in names if "tests/" in n or "benchmarks/" in n]
    for package, licence in (
        ("openseadragon", "BSD-3-Clause"),
        ("twgl.js", "MIT"),
    ):  # what the page takes from npm is what its lock says
        lock = json.loads((ROOT / "service/page-build/package-lock.json").read_text())
        version = lock["packages"][f"node_modules/{package}"]["version"]
        vendored = f"artidx/service/page/vendor/{package.removesuffix('.js')}"
        with zipfile.ZipFile(wheel) as opened:
            assert opened.read(f"{vendored}.js").decode().startswith(f"// {package} {version}, {licence};")
        assert f"{vendored}.LICENSE.txt" in names
    assert wheel.stat().st_size <= 95e6


def test_the_package_index_would_take_the_wheel(wheel):
    checked = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", wheel], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def needed(name, extras=()):
    """An installed package, and everything it requires."""
    found = distribution(name)
    yield found
    for line in found.requires or ():
        requirement = Requirement(line)
        if not requirement.marker or any(requirement.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield from needed(requirement.name, requirement.extras)


def pip(python, *words):
    return subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, *words], check=True, capture_output=True, text=True
    )


@pytest.fixture
def environment(tmp_path, wheel):
    """An environment with the wheel, and links to its requirements: copies would take half a minute."""
    venv.create(tmp_path / "env")
    python = tmp_path / "env" / "bin" / "python"
    packages = next((tmp_path / "env" / "lib").glob("python*")) / "site-packages"
    for each in {found.name: found for found in needed("artidx", ["cpu"])}.values():
        for top in {file.parts[0] for file in each.files if each.name != "artidx"} - {"..", "__pycache__"}:
            (packages / top).symlink_to(each.locate_file(top))
    pip(python, "install", "--quiet", "--no-compile", "--no-deps", wheel)
    pip(python, "check")
    return python


def test_the_wheel_answers_in_an_environment_of_its_own_from_another_folder(environment, tmp_path, museum_index):
    (tmp_path / "elsewhere").mkdir()
    a, b = (MUSEUM / f"{i}.jpg" for i in museum_index.generation.table["id"][:2])
    found = subprocess.run(
        [environment.with_name("artidx"), "pair", a, b, "--index", museum_index.source],
        cwd=tmp_path / "elsewhere",
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode in (0, 1), found.stderr
    assert f"distance {museum_index.pair(a, b).distance:.3f}" in found.stdout
    code = "import artidx, sys; artidx.Embedder.load(); sys.exit('torch' in sys.modules)"
    subprocess.run([environment, "-c", code], cwd=tmp_path / "elsewhere", check=True)
