"""Files of older formats are read: the same numbers under older keys."""

from __future__ import annotations

import json
from typing import Any

import pytest

from artidx import Embedder, Index
from artidx.errors import BadIndex
from artidx.files import sha256_of
from artidx.index.scoring import upgrades
from artidx.index.scoring.calibration import Calibration
from made import CALIBRATION, small_model


def renamed(found: dict[str, Any], keys: dict[str, str]) -> dict[str, Any]:
    assert set(keys) <= set(found)
    return {keys.get(name, name): value for name, value in found.items()}


def calibration_3() -> dict[str, Any]:
    """As version 3 wrote it."""
    now = CALIBRATION.to_json()
    return {
        "version": 3,
        "pairs": renamed(now["pairs"], {"by_fused_distance": "by_separation", "neighbourhood_weight": "disagreement"}),
        "artists": renamed(now["artists"], {"count_penalty": "crowding", "prior_exponent": "prominence"}),
    }


def as_format(number: int, index: Index) -> None:
    """Rewrite an index as the artidx before wrote it: without columns to be looked up, and of format 2 other keys."""
    folder = index.generation.folder
    for path in folder.glob("*.arrow"):
        path.unlink()
    now = json.loads((folder / "manifest.json").read_text("utf-8"))
    files = {name: sha256 for name, sha256 in now["files"].items() if not name.endswith(".arrow")}
    then = now | {"format": number, "files": files}
    if number == 2:
        then = renamed(then, {"centre_artists": "centre_people"}) | {"calibration": calibration_3()}
    (folder / "manifest.json").write_text(json.dumps(then), "utf-8")
    sha256 = sha256_of(folder / "manifest.json")
    (folder / "manifest.sha256").write_text(f"{sha256}  manifest.json\n")
    (index.source / "CURRENT").write_text(f"000001 {sha256}\n")


def test_a_calibration_of_version_3_is_that_of_today():
    assert Calibration.from_json(upgrades.calibration(calibration_3()), "test", 256) == CALIBRATION


@pytest.mark.parametrize("number", [2, 3])
def test_an_index_of_an_older_format_gives_the_same_answers_and_grows_into_one_of_today(number, index):
    table = index.generation.table
    a, b = (f"id:{name}" for name in table["id"][[0, 5]])
    expected = index.pair(a, b), index.nearest(a)
    as_format(number, index)
    old = Index.open(index.source)
    assert (old.pair(a, b), old.nearest(a)) == expected
    assert old.manifest.centre_artists == index.manifest.centre_artists
    assert old.check() == []
    old.remove([table["id"][11]])
    written = json.loads((old.generation.folder / "manifest.json").read_text("utf-8"))
    assert (written["format"], written["calibration"]["version"]) == (4, 4)
    assert written["centre_artists"] == index.manifest.centre_artists
    assert {"000001-0.arrow", "000001-0.parquet"} <= set(written["files"])
    assert Index.open(old.source).check() == []


def test_a_model_file_of_an_older_artidx_calibrates_an_index_as_one_of_today(tmp_path, collection, index):
    (tmp_path / "old.onnx").write_bytes(small_model(calibration=calibration_3()))
    old, _ = Index.build(tmp_path / "old.artidx", collection, embedder=Embedder.load(tmp_path / "old.onnx"))
    assert old.calibration == index.calibration
    assert old.manifest.calibration["version"] == 4


def test_vectors_that_an_older_artidx_exported_are_imported(tmp_path, index, embedder):
    index.export_vectors(tmp_path / "vectors")
    path = tmp_path / "vectors" / "manifest.json"
    now = json.loads(path.read_text("utf-8"))
    path.write_text(
        json.dumps(renamed(now, {"centre_artists": "centre_people"}) | {"format": 1, "calibration": calibration_3()}),
        "utf-8",
    )
    found, _ = Index.import_vectors(tmp_path / "again.artidx", tmp_path / "vectors", embedder=embedder)
    assert found.calibration == index.calibration
    assert found.manifest.centre == index.manifest.centre


@pytest.mark.parametrize(
    "found",
    [
        None,
        [],
        {},
        "text",
        {"format": 2},
        {"version": 3},
        {"version": 3, "pairs": []},
        {"format": [], "calibration": {"version": {}}},
    ],
)
def test_what_is_no_older_format_is_left_to_its_reader(found):
    for upgrade in (upgrades.calibration, upgrades.manifest, upgrades.export):
        upgrade(found)


def test_an_index_of_format_1_is_still_refused_in_one_line(index):
    folder = index.generation.folder
    text = json.dumps(json.loads((folder / "manifest.json").read_text("utf-8")) | {"format": 1})
    (folder / "manifest.json").write_text(text, "utf-8")
    (index.source / "CURRENT").write_text(f"000001 {sha256_of(folder / 'manifest.json')}\n")
    with pytest.raises(BadIndex, match="rebuild it"):
        Index.open(index.source)
