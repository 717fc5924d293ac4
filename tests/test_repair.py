"""Repair: what can be rebuilt is rebuilt, bit for bit; what cannot is named, and nothing is lost."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from faults import State

from artidx import Index
from artidx.cli.main import artidx
from artidx.errors import BadIndex
from artidx.index.changes.build import SHARD_COLUMNS, Layout
from artidx.index.changes.repair import repair
from made import painting


def damage(path, kind):
    """Damage a copy of the file, since other generations may link to it."""
    data = bytearray(path.read_bytes())
    path.unlink()
    if kind == "flipped":
        data[len(data) * 2 // 3] ^= 1
    if kind != "missing":
        path.write_bytes(data[: len(data) * 2 // 3] if kind == "cut" else data)


@pytest.fixture
def changed(index, collection):
    """An index of several segments, with a removal and a correction."""
    for number in range(2):
        index.add(painting(collection / "Red Painter" / f"more {number}.png", 700 + number))
    index.remove(["Blue Painter/B0.png"])
    return index


@pytest.mark.parametrize("kind", ["cut", "flipped", "missing"])
@pytest.mark.parametrize("suffix", [".npy", ".arrow", "model.onnx", "CURRENT", "manifest.sha256"])
def test_vectors_model_and_current_are_made_anew_as_they_were(changed, suffix, kind):
    before = State.of(changed.source)
    names = sorted(path.name for path in changed.generation.folder.glob(f"0*{suffix}")) or [suffix]
    for name in names:
        damage(changed.source / name if name == "CURRENT" else changed.generation.folder / name, kind)
    found = repair(changed.source)
    assert len(found) == len(names)
    assert all(name in line for name, line in zip(names, found, strict=True))
    assert State.of(changed.source) == before
    assert repair(changed.source) == []


def test_a_flipped_byte_costs_one_image_or_none(index, collection):
    before = State.of(index.source)
    damage(index.generation.folder / "000001-0.npy", "flipped")
    kept = collection.rename(collection.with_name("elsewhere"))
    with pytest.raises(BadIndex, match=r"1 of its vectors cannot be rebuilt.*the first is .*restore 000001-0.npy or"):
        repair(index.source)
    assert not (index.source / "building").exists()
    kept.rename(collection)
    assert repair(index.source) == ["000001-0.npy: rebuilt"]
    assert State.of(index.source) == before


def test_another_generations_copy_needs_no_image(changed, collection):
    before = State.of(changed.source)
    damage(next(changed.generation.folder.glob("000001*.npy")), "missing")  # elsewhere the file has another name
    shutil.rmtree(collection)
    repair(changed.source)
    assert State.of(changed.source) == before


def test_a_missing_current_is_no_reason_to_collect_anything(changed, collection):
    (changed.source / "CURRENT").unlink()
    folders = sorted(changed.source.glob("generations/*"))
    for change in (lambda: changed.add(collection), lambda: changed.remove(["Red Painter/R0.png"])):
        with pytest.raises(BadIndex, match="damaged: missing; try artidx check --repair"):
            change()
    assert sorted(changed.source.glob("generations/*")) == folders


def test_an_image_that_has_changed_is_not_taken_for_the_one_that_was_indexed(index, collection):
    shutil.copy(collection / "Red Painter" / "R1.png", collection / "Red Painter" / "R0.png")
    damage(index.generation.folder / "000001-0.npy", "missing")
    with pytest.raises(BadIndex, match=r"1 of its vectors cannot be rebuilt.*Red Painter/R0\.png"):
        repair(index.source)


def test_shards_of_an_interrupted_build_give_vectors_without_images(index, collection, embedder):
    table = index.generation.table
    embeddings = embedder.transform(table["path"])
    shard = table[["path", "sha256"]].assign(problem="", embedding=[each.tobytes() for each in embeddings])
    (index.source / "building").mkdir()
    shard[SHARD_COLUMNS].to_parquet(index.source / "building" / "left.parquet")
    before = State.of(index.source)
    damage(index.generation.folder / "000001-0.npy", "missing")
    shutil.rmtree(collection)
    assert repair(index.source) == ["000001-0.npy: rebuilt"]
    assert State.of(index.source) == before


@pytest.mark.parametrize("name", ["000001-0.parquet", "removed.npy", "history.parquet", "manifest.json"])
def test_what_only_one_file_knew_is_named_and_nothing_changed(changed, name):
    damage(changed.generation.folder / name, "flipped")
    files = {path: path.read_bytes() for path in changed.source.rglob("*") if path.is_file() and path.name != "LOCK"}
    with pytest.raises(BadIndex, match=rf"{name}: cannot be rebuilt"):
        repair(changed.source)
    assert {
        path: path.read_bytes() for path in changed.source.rglob("*") if path.is_file() and path.name != "LOCK"
    } == files


@pytest.mark.parametrize(
    "change",
    [
        lambda index, source: index.add(source),
        lambda index, source: index.remove(["Red Painter/R0.png"]),
        lambda index, source: Index.build(index.source, source, embedder=index.embedder),
        lambda index, source: repair(index.source),
    ],
)
def test_no_damage_to_current_costs_a_generation(changed, collection, change):
    before, path = State.of(changed.source), changed.source / "CURRENT"
    data, folders = path.read_bytes(), sorted(changed.source.glob("generations/*"))
    for at in range(0, len(data), 3):
        damaged = bytearray(data)
        damaged[at] ^= 1  # one number becomes another
        path.write_bytes(damaged)
        try:
            change(changed, collection)
        except BadIndex:
            path.write_bytes(data)
        assert {*folders} <= {*changed.source.glob("generations/*")}
        assert State.of(changed.source) == before


def test_an_index_whose_centre_has_been_set_anew_is_repaired_from_its_images_up_to_rounding(tmp_path, index):
    for number in range(6):
        painting(tmp_path / "more" / f"Artist {number}" / "a.png", 800 + number)
    index.add(tmp_path / "more")
    index.remove(["Red Painter/R0.png"])
    index.remove(["Red Painter/R1.png"])
    assert index.manifest.centre_artists == 9
    table, vectors = index.generation.table, index.generation.vectors.matrix
    damage(index.generation.folder / f"{index.manifest.segments[0].name}.npy", "missing")
    for other in index.source.glob("generations/*"):
        if other != index.generation.folder:
            shutil.rmtree(other)
    assert "the same up to rounding" in repair(index.source)[0]
    again = Index.open(index.source)
    assert again.check() == []
    assert again.generation.table["id"].tolist() == table["id"].tolist()
    np.testing.assert_allclose(again.generation.vectors.matrix, vectors, atol=1e-6)


def test_what_was_removed_or_has_moved_is_no_obstacle(index, collection):
    (collection / "Red Painter" / "R0.png").unlink()
    (collection / "Red Painter" / "R1.png").rename(collection / "Red Painter" / "moved.png")
    index.sync(collection)
    before = State.of(index.source)
    assert len(np.load(index.generation.folder / "000001-0.npy")) == 12, "the removed one is still in its segment"
    for copy in index.source.glob("generations/*/000001-0.npy"):
        copy.unlink()
    assert repair(index.source) == ["000001-0.npy: rebuilt"]
    assert State.of(index.source) == before


def test_a_lost_current_leads_to_the_newest_generation_even_if_that_must_be_mended(changed):
    before = State.of(changed.source)
    damage(changed.generation.folder / "skipped.csv", "flipped")
    damage(next(changed.generation.folder.glob("000001*.npy")), "flipped")
    (changed.source / "CURRENT").unlink()
    found = repair(changed.source)
    assert f"for generation {changed.manifest.generation} of" in found[0]
    assert len(found) == 3
    assert State.of(changed.source) == before


def test_an_index_beyond_repair_can_be_built_anew(changed, collection):
    (changed.source / "CURRENT").unlink()
    for manifest in changed.source.glob("generations/*/manifest.json"):
        manifest.write_text("{}")
    with pytest.raises(BadIndex, match="none of its generations can be repaired"):
        repair(changed.source)
    with pytest.raises(BadIndex, match="damaged: missing"):
        Index.build(changed.source, collection, embedder=changed.embedder)
    index, _ = Index.build(changed.source, collection, embedder=changed.embedder, replace=True)
    assert index.check() == []


def test_going_back_to_the_generation_before_is_told_and_works(changed):
    damage(changed.generation.folder / "manifest.json", "cut")
    folder, number = changed.generation.folder, changed.manifest.generation
    with pytest.raises(BadIndex, match=rf"Generation {number - 1} of .* is whole, with 14 paintings: without .*CURR"):
        repair(changed.source)
    (changed.source / "CURRENT").unlink()
    shutil.rmtree(folder)
    assert f"for generation {number - 1} of" in repair(changed.source)[0]
    assert len(Index.open(changed.source)) == 14


def test_the_list_of_skipped_paintings_is_emptied_when_it_is_lost(index):
    damage(index.generation.folder / "skipped.csv", "flipped")
    assert repair(index.source) == [
        "skipped.csv: emptied; artidx add of the same source lists again what could not be read"
    ]
    assert Index.open(index.source).check() == []


def test_half_size_vectors_are_repaired_to_the_same_bits(tmp_path, collection, embedder):
    index, _ = Index.build(tmp_path / "i.artidx", collection, embedder=embedder, layout=Layout(half=True))
    before = State.of(index.source)
    damage(index.generation.folder / "000001-0.npy", "cut")
    repair(index.source)
    assert State.of(index.source) == before


def test_check_repairs_from_the_command_line(index):
    damage(index.generation.folder / "000001-0.npy", "flipped")
    found = CliRunner().invoke(artidx, ["check", str(index.source)])
    assert (found.exit_code, "try artidx check --repair" in found.stdout) == (1, True)
    found = CliRunner().invoke(artidx, ["check", str(index.source), "--repair"])
    assert found.exit_code == 0
    assert found.stdout.splitlines() == [
        "000001-0.npy: rebuilt",
        f"{index.source}: 12 paintings, every file and vector as it was written",
    ]
