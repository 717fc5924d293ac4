"""The transformer recipe: a backbone in two halves, cached tokens, equally sampled sources, and the model."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from lightning_fabric import Fabric
from safetensors.torch import save_file

from artidx import Embedder
from artidx.cli.main import artidx
from artidx.embedder.catalogs.catalog import read_catalog
from artidx.embedder.training.data import tokens
from artidx.embedder.training.data.splits import held_out_splits, trained_on
from artidx.embedder.training.networks import timm_backbone
from artidx.embedder.training.networks.halves import halves
from artidx.embedder.training.networks.timm_backbone import Reading, load_timm
from artidx.embedder.training.networks.torchvision_import import import_torchvision
from artidx.embedder.training.recipes import transformer
from artidx.embedder.training.recipes.transformer import TransformerSettings, even_weights, train_transformer
from artidx.errors import BadSetting
from artidx.index.measure.retrieval import triplet_accuracy
from made import interrupting, painting, pictures, quiet

import_torchvision()
import timm  # noqa: E402  (torchvision must have been made to work)

SIZE = 64
SETTINGS = TransformerSettings(backbone="tiny", frozen=3, epochs=3, rest=2, batch=8, rate=1e-3, components=16, dim=6)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A folder with the weights of a tiny transformer, read after some of its six blocks."""
    folder = tmp_path_factory.mktemp("backbones")
    torch.manual_seed(0)
    save_file(timm.create_model("test_vit", img_size=SIZE).state_dict(), folder / "tiny.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(timm_backbone.KNOWN, "tiny", Reading("test_vit", "tiny.safetensors", (4, 5), (2,), "none"))
        patch.setattr(transformer, "SIZE", SIZE)
        yield folder


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    """Four training artists, two others; two sources, one of which has its own split."""
    folder, rows = tmp_path_factory.mktemp("paintings"), []
    for number in range(6):
        for i in range(8):
            name = f"{number}-{i}.png"
            painting(folder / "images" / name, 10 * number + i, ((number * 40) % 256, (number * 90) % 256, 128))
            split = "val_unseen" if number > 3 else "val_seen" if i > 5 else "train_away" if i == 5 else "train"
            source = "away" if split == "train_away" else "home"
            rows.append({"filename": name, "artist": f"Artist {number}", "split": split, "source": source})
    pd.DataFrame(rows).to_csv(folder / "paintings.csv", index=False)
    return folder / "paintings.csv"


@pytest.fixture(scope="module")
def table(catalog):
    """The catalog's rows."""
    return read_catalog(str(catalog)).table


class Whole(NamedTuple):
    """A complete run. said: its messages."""

    work: Path
    model: torch.nn.Module
    said: list[str]


@pytest.fixture(scope="module")
def whole(table, weights, tmp_path_factory):
    """The splits that are trained on, learnt."""
    work, said = tmp_path_factory.mktemp("whole") / "work", []
    return Whole(work, trained(table, weights, work, said=said), said)


def trained(table, weights, work, *, bar=quiet, said=None, settings=SETTINGS, **more):
    return train_transformer(
        table,
        settings,
        weights,
        work,
        Fabric(accelerator="cpu", precision="32-true"),
        triplet_accuracy,
        (said if said is not None else []).append,
        bar,
        learn=trained_on(table),
        **more,
    ).model


def test_both_halves_see_what_the_whole_backbone_sees(tmp_path, weights):
    backbone = load_timm("tiny", weights, SIZE)
    x = torch.from_numpy(pictures(tmp_path, 2, SIZE)).permute(0, 3, 1, 2).float()
    first, last = halves("tiny", backbone, 3)
    with torch.inference_mode():
        given, statistics = first(x)
        torch.testing.assert_close(torch.cat([last(given), statistics], dim=1), backbone(x))


@pytest.mark.parametrize("count", [1, 4])
def test_a_backbone_is_halved_only_between_what_is_read(weights, count):
    with pytest.raises(BadSetting, match=rf"backbone tiny: its first {count} blocks cannot be frozen"):
        halves("tiny", load_timm("tiny", weights, SIZE), count)


def test_only_a_transformer_is_halved(weights):
    save_file(timm.create_model("test_resnet").state_dict(), weights / "test_resnet.safetensors")
    with pytest.raises(BadSetting, match="test_resnet: not a vision transformer of timm"):
        halves("test_resnet", load_timm("test_resnet", weights, SIZE), 2)


def test_an_artist_is_drawn_by_the_root_of_the_paintings_and_origins_alike():
    # Nine by one artist, eight of them of one origin; four by another, all of one.
    found = even_weights(np.array([0] * 9 + [1] * 4), np.array(["home"] * 8 + ["away"] + ["home"] * 4), 0.5)
    assert found[:9].sum() / found[9:].sum() == pytest.approx(3 / 2)
    # As often as the others would be 4.5 times as often as its share of one ninth; three times is the most.
    assert found[8] / found[0] == pytest.approx(3 / (9 / 2 / 8))
    assert found[9:] == pytest.approx([found[9]] * 4)


def test_splits_that_are_trained_on_are_told_by_their_names():
    table = pd.DataFrame({"split": ["val_seen", "train_away", "", "train", "strangers"]})
    assert trained_on(table) == ["train", "train_away"]
    assert held_out_splits(table) == ["strangers", "val_seen"]


def test_a_copy_is_the_same_at_every_run_and_the_first_is_the_painting(tmp_path):
    square = pictures(tmp_path, 1, SIZE)[0]
    assert tokens.shown(square, "a", 0) is square
    again = tokens.shown(square, "a", 1)
    np.testing.assert_array_equal(again, tokens.shown(square, "a", 1))
    assert again.shape == square.shape
    assert not np.array_equal(again, tokens.shown(square, "a", 2))


def test_it_learns_to_tell_artists_apart(whole, tmp_path):
    losses = [float(line.split("loss ")[1].split(",")[0]) for line in whole.said if "loss" in line]
    assert losses[-1] < losses[0]
    x = torch.from_numpy(pictures(tmp_path, 3, SIZE)).permute(0, 3, 1, 2).float()
    with torch.inference_mode():
        found = whole.model(x)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_a_killed_run_goes_on_to_the_same_model(whole, table, weights, tmp_path):
    for words in ("copy 2 of 2", "epoch 2"):
        with pytest.raises(KeyboardInterrupt):
            trained(table, weights, tmp_path / "killed", bar=interrupting(words))
    again = trained(table, weights, tmp_path / "killed")
    for name, weight in whole.model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], weight, atol=1e-4, rtol=1e-4)


def test_all_splits_are_learnt_after_what_was_measured(whole, table, weights, tmp_path):
    shutil.copytree(whole.work, tmp_path / "work")
    said = []
    trained(table, weights, tmp_path / "work", said=said, more=held_out_splits(table))
    assert [line.partition(",")[0] for line in whole.said + said] == [
        *["transformer"] * 3,
        *["transformer-all-splits"] * 2,
    ]


def test_other_settings_are_not_gone_on_with(whole, table, weights, tmp_path):
    shutil.copytree(whole.work, tmp_path / "work")
    with pytest.raises(BadSetting, match="a run with other settings"):
        trained(table, weights, tmp_path / "work", settings=SETTINGS.model_copy(update={"rate": 2e-3}))


def test_the_command_measures_a_model_on_other_origins_too(catalog, weights, tmp_path, monkeypatch):
    monkeypatch.setattr("artidx.embedder.training.making.SIZE", SIZE)
    settings, model = tmp_path / "settings.toml", tmp_path / "tiny.onnx"
    settings.write_text(
        'backbone = "tiny"\nfrozen = 3\nepochs = 1\nbatch = 8\ncomponents = 16\ndim = 6\n[head]\ndim = 8\n'
    )
    shutil.copytree(catalog.parent, tmp_path / "paintings")
    paintings = pd.read_csv(catalog)
    paintings.loc[paintings["filename"].str.contains("-[34].png"), "split"] = "val_away"
    paintings["kind"] = paintings["artist"].map({"Artist 0": "sculpture", "Artist 1": "sculpture"})
    paintings.to_csv(tmp_path / "paintings" / "paintings.csv", index=False)
    words = [
        "train",
        str(tmp_path / "paintings" / "paintings.csv"),
        "--weights",
        str(weights),
        "--settings",
        str(settings),
    ]
    words += ["--settings", str(settings), "--work", str(tmp_path / "work"), "-o", str(model), "--precision", "32-true"]
    CliRunner().invoke(artidx, words, catch_exceptions=False, standalone_mode=False)
    embedder = Embedder.load(model)
    assert embedder.dim == 8
    assert "(val_away)" in embedder.metadata["calibration"]["pairs"]["measured_on"]
    assert "(val_away), known or not" in embedder.metadata["calibration"]["artists"]["measured_on"]
    detector = embedder.metadata["calibration"]["artists"]["sculptures"]
    assert len(detector["weights"]) == 8
    assert detector["measured_on"] == "8 sculptures and 8 paintings"  # of the training set
    card = model.with_suffix(".md").read_text()
    assert "One vision transformer, `tiny`" in card
    assert "| val_away |" in card
