"""Intermediate results of training: stored under a key of everything they depend on, atomically, by one run at a
time."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from artidx.cli.main import artidx
from artidx.embedder import kept
from artidx.embedder.training.data import augment
from artidx.embedder.training.data import features as features_module
from artidx.embedder.training.data.features import backbone_features
from artidx.embedder.training.data.packed import pack
from artidx.embedder.training.networks.backbones import BACKBONES
from artidx.embedder.training.recipes import linear
from artidx.errors import BadSetting, WorkBusy
from artidx.files import replacing
from made import painting
from made_backbone import TinyBackbone

FACTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda facts: st.lists(facts, max_size=3) | st.dictionaries(st.text(), facts, max_size=3),
    max_leaves=6,
)


@pytest.fixture
def weights(tmp_path, monkeypatch):
    folder = tmp_path / "backbones"
    folder.mkdir()
    keep(folder)
    kind = BACKBONES["mobilenet_v2"]._replace(
        make=TinyBackbone, weights_file="tiny.safetensors", rename=str, channels=(5, 7)
    )
    monkeypatch.setitem(BACKBONES, "tiny", kind)
    monkeypatch.setattr(linear, "SIZE", 48)
    monkeypatch.setattr("artidx.embedder.training.making.SIZE", 48)
    return folder


def keep(folder, factor=1):
    save_file(
        {k: v * factor for k, v in TinyBackbone().state_dict().items() if k not in ("mean", "std")},
        folder / "tiny.safetensors",
    )


@pytest.fixture
def catalog(tmp_path):
    """Six artists with eight paintings each; a split column."""
    rows = []
    for number in range(6):
        for i in range(8):
            path = tmp_path / "images" / f"{number}-{i}.png"
            painting(path, 10 * number + i, ((number * 40) % 256, (number * 90) % 256, 128))
            split = "val_unseen" if number > 3 else "val_seen" if i > 4 else "train"
            rows.append({"id": path.stem, "path": str(path), "artist": f"Artist {number}", "split": split})
    return pd.DataFrame(rows)


@given(FACTS, FACTS)
def test_facts_have_one_key_if_and_only_if_they_are_the_same(one, other):
    assert (kept.key_of(one) == kept.key_of(other)) == (repr(one) == repr(other) or same(one, other))
    assert kept.key_of([one]) != kept.key_of(one), "nor is a list of one thing that thing"
    assert kept.key_of("a", "bc") != kept.key_of("ab", "c")


def same(one, other):
    """Equal, and of the same types: in Python, 1, 1.0 and True are equal."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return repr(one) == repr(other)


def test_arrays_and_tensors_have_a_key_by_their_numbers_their_kind_and_their_shape():
    array = np.arange(6, dtype=np.float32)
    keys = [kept.key_of(each) for each in (array, array.astype(np.float64), array.reshape(2, 3), array + 1)]
    assert len({*keys}) == 4
    assert kept.key_of(torch.arange(6).float()) == keys[0]
    with pytest.raises(TypeError, match="Generator"):
        kept.key_of(np.random.default_rng(0))


def overwritten(path):
    """Another picture with the same size in bytes and the same modification time."""
    before, facts = path.read_bytes(), path.stat()
    painting(path, 99, (0, 0, 0))
    data = path.read_bytes()
    path.write_bytes((data + bytes(len(before)))[: max(len(before), len(data))])
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


CHANGES = {
    "an image overwritten in place": lambda table, folder, patch: overwritten(type(folder)(table["path"][3])),
    "an id, which seeds the copy": lambda table, folder, patch: table.__setitem__("id", "x" + table["id"]),
    "the order": lambda table, folder, patch: table.__setitem__("path", list(table["path"])[::-1]),
    "weights": lambda table, folder, patch: keep(folder, 2),
    "a version": lambda table, folder, patch: patch.setattr(kept, "version", lambda name: "0.0"),
    "the batch": lambda table, folder, patch: patch.setattr(features_module, "BATCH", 3),
    **{
        f"the constant {name}": lambda table, folder, patch, name=name, value=value: patch.setattr(
            augment, name.rsplit(".")[-1], (*value, value[-1])
        )
        for name, value in kept.constants(augment).items()
    },
}


@pytest.mark.parametrize("what", CHANGES)
def test_features_are_made_anew_where_anything_that_goes_into_them_has_changed(
    what, tmp_path, weights, catalog, monkeypatch
):
    made = []
    monkeypatch.setattr(
        features_module, "_features", lambda backbone, rows, *rest: made.append(len(rows)) or np.zeros((len(rows), 2))
    )
    table = catalog.head(8).copy()

    def run():
        return backbone_features("tiny", weights, table, 1, tmp_path / "work", 48)

    run()
    run()
    assert made == [8], "kept"
    CHANGES[what](table, weights, monkeypatch)
    run()
    assert made == [8, 8], what


def test_packed_squares_see_an_image_overwritten_in_place(tmp_path, catalog):
    before = pack(catalog, tmp_path / "work", 40)
    old = before.squares([3])
    overwritten(type(tmp_path)(catalog["path"][3]))
    after = pack(catalog, tmp_path / "work", 40)
    assert not np.array_equal(old, after.squares([3]))
    assert before.digest != after.digest


def train(table, folder, weights, work, name):
    table.rename(columns={"id": "name", "path": "filename"}).to_csv(folder / "catalog.csv", index=False)
    found = CliRunner().invoke(
        artidx,
        [
            "train",
            str(folder / "catalog.csv"),
            "--recipe",
            "linear",
            "--backbone",
            "tiny",
            "--weights",
            str(weights),
            "--work",
            str(work),
            "-o",
            str(folder / name),
        ],
        catch_exceptions=False,
        standalone_mode=False,
    )
    return found.output[found.output.index("val_seen:") :]


def test_scores_are_those_of_todays_labels_whatever_the_folder_of_work_holds(tmp_path, weights, catalog):
    before = train(catalog, tmp_path, weights, tmp_path / "work", "before.onnx")
    unseen = catalog.index[catalog["split"] == "val_unseen"]
    names = catalog.loc[unseen, "artist"]
    swapped = [unseen[0], names.index[names != names.iloc[0]][0]]  # more, and nothing would be left to calibrate
    catalog.loc[swapped, "artist"] = catalog.loc[swapped[::-1], "artist"].to_numpy()
    after = train(catalog, tmp_path, weights, tmp_path / "work", "after.onnx")
    fresh = train(catalog, tmp_path, weights, tmp_path / "fresh", "fresh.onnx")
    assert after == fresh != before
    assert (tmp_path / "after.onnx").read_bytes() == (tmp_path / "fresh.onnx").read_bytes()
    assert len(list((tmp_path / "work" / "measured").iterdir())) == 1, "what nobody needs any more is gone"


def test_a_second_run_in_a_folder_of_work_is_refused_and_says_who_is_there(tmp_path, weights, catalog):
    work = tmp_path / "work"
    with kept.held(work), pytest.raises(WorkBusy, match=f"work: process {os.getpid()} on .* is training there"):
        train(catalog, tmp_path, weights, work, "m.onnx")
    assert not (work / "features").exists()
    with kept.held(work):
        pass  # free again


def test_a_folder_of_work_that_cannot_be_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadSetting, match="cannot be written"), kept.held(tmp_path / "file" / "work"):
        pass


def test_a_checkpoint_names_what_is_other_than_it_was(tmp_path):
    before = kept.origin(settings={"epochs": 3}, labels="a", machines=1)
    kept.check_origin(tmp_path / "checkpoint", before, kept.origin(settings={"epochs": 3}, labels="a", machines=1))
    with pytest.raises(BadSetting, match="with other settings, labels; give another"):
        kept.check_origin(tmp_path / "c", before, kept.origin(settings={"epochs": 4}, labels="b", machines=1))


def test_an_interrupted_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "file"
    path.write_text("before")

    def interrupted():
        with replacing(path) as aside:
            aside.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "before"
    with replacing(path) as aside, aside.open("x") as stream:
        stream.write("after")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
