"""Training: augmentation, splits, discriminants, members, export."""

from __future__ import annotations

import random

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from artidx import Embedder, read_catalog
from artidx.embedder.training.data import features as features_module
from artidx.embedder.training.data.augment import photographed_whole, redigitised
from artidx.embedder.training.data.features import backbone_features
from artidx.embedder.training.data.splits import SEEN, TRAIN, UNSEEN, check_splits, splits
from artidx.embedder.training.export.onnx_file import _in_eight_bits, export
from artidx.embedder.training.networks.backbones import BACKBONES, load_backbone
from artidx.embedder.training.networks.ensemble import Ensemble, LinearHead, balanced
from artidx.embedder.training.recipes.linear import LinearSettings, discriminants, without_surplus
from artidx.errors import BadCatalog, BadModel
from made import pictures
from made_backbone import TinyBackbone


def test_a_pooled_backbone_gives_mean_and_deviation_of_every_channel(tmp_path):
    x = torch.from_numpy(pictures(tmp_path, 2)).permute(0, 3, 1, 2).float()
    backbone = TinyBackbone()
    found = backbone(x)
    assert found.shape == (2, 24)
    first = (backbone.blocks[0]((x / 255 - 0.5) / 0.5)).relu()
    torch.testing.assert_close(found[:, :5], first.mean((2, 3)))
    torch.testing.assert_close(found[:, 5:10], first.std((2, 3), correction=0), atol=1e-4, rtol=1e-4)


def test_balanced_parts_have_unit_length_and_keep_their_signs():
    x = torch.randn(4, 12)
    found = balanced(x, [5, 7])
    torch.testing.assert_close(found[:, :5].norm(dim=1), torch.ones(4))
    torch.testing.assert_close(found[:, 5:].norm(dim=1), torch.ones(4))
    assert (found.sign() == x.sign()).all()
    torch.testing.assert_close((found[0, 0] / found[0, 1]) ** 2, (x[0, 0] / x[0, 1]).abs())


def test_unscaled_discriminants_are_those_of_scikit_learn():
    chance = np.random.default_rng(0)
    artists = chance.integers(0, 6, 400)
    x = chance.normal(size=(6, 10))[artists] + chance.normal(size=(400, 10)) * np.linspace(0.5, 3, 10)
    x = x.astype(np.float32)
    centre, projection = discriminants(x, artists, LinearSettings(components=10, shrinkage=0.2, spread=0, dim=5))
    theirs = LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.2).fit(x, artists)
    ours, expected = (x - centre) @ projection, theirs.transform(x)
    for axis in range(5):
        assert abs(np.corrcoef(ours[:, axis], expected[:, axis])[0, 1]) > 0.97


@pytest.mark.parametrize("spread", [0, 0.25])
def test_directions_that_only_rounding_makes_have_no_weight(spread):
    # A spread of 0 whitened them to full weight, and they turned with the order in which a sum was written.
    chance = np.random.default_rng(0)
    artists = np.arange(60) % 6
    x = (chance.normal(size=(6, 40))[artists] + chance.normal(size=(60, 40))).astype(np.float32)
    settings, found = LinearSettings(spread=spread), []
    for order in (np.arange(60), chance.permutation(60)):
        _, projection = without_surplus(*discriminants(x[order], artists[order], settings), artists)
        assert (np.linalg.norm(projection, axis=0) > 0).tolist() == [True] * 5 + [False] * 35
        found.append(projection @ projection.T)
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-5)


def test_spread_shrinks_the_directions_that_part_artists_least():
    chance = np.random.default_rng(0)
    artists = chance.integers(0, 6, 400)
    x = (chance.normal(size=(6, 10))[artists] + chance.normal(size=(400, 10))).astype(np.float32)
    _, whitened = discriminants(x, artists, LinearSettings(spread=0, dim=8))
    _, scaled = discriminants(x, artists, LinearSettings(spread=0.5, dim=8))
    ratio = np.linalg.norm(scaled, axis=0) / np.linalg.norm(whitened, axis=0)
    assert (np.diff(ratio) < 1e-9).all()
    assert (ratio[5:] < 1e-3).all(), "six artists differ in five directions"


def test_a_redigitised_painting_is_the_same_at_every_run_and_another_copy_differs(tmp_path):
    picture = pictures(tmp_path, 1, 224)[0]
    first, again, other = (redigitised(picture, 96, random.Random(seed)) for seed in (1, 1, 2))
    assert first.shape == (96, 96, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_redigitising_keeps_the_colours_of_a_painting(tmp_path):
    picture = pictures(tmp_path, 1, 224)[0]
    for seed in range(20):
        copy = redigitised(picture, 224, random.Random(seed))
        assert np.abs(copy.mean((0, 1)) - picture.mean((0, 1))).max() < 40


def test_a_painting_photographed_whole_is_all_there_with_a_strip_around_it(tmp_path):
    picture = np.full((224, 224, 3), (200, 40, 30), np.uint8)
    picture[:24, :24] = picture[-24:, -24:] = (30, 60, 190)
    strips = set()
    for seed in range(20):
        found = photographed_whole(picture, random.Random(seed))
        assert found.shape == picture.shape
        assert np.array_equal(found, photographed_whole(picture, random.Random(seed)))
        is_painting = np.abs(found.astype(int) - picture).max(axis=2) < 40
        assert is_painting[40:184, 40:184].all()
        is_corner = np.abs(found.astype(int) - (30, 60, 190)).max(axis=2) < 40
        assert min(is_corner[:40, :40].sum(), is_corner[-40:, -40:].sum()) > 300, "squashed, not cut"
        strips.add(int((~is_painting[:, 112]).sum()))
    assert len(strips) > 10
    assert max(strips) <= 2 * round(0.05 * 224) + 2 * 2 + 16, "no more than strips, edges and what JPEG blurs"


def test_a_painting_photographed_whole_is_darker_and_brighter_where_it_is_dark_and_bright():
    picture = np.full((224, 224, 3), 30, np.uint8)
    picture[112:] = 200
    dark, bright = np.array(
        [
            [found[80, 112, 0], found[150, 112, 0]]
            for found in (photographed_whole(picture, random.Random(seed)) for seed in range(40))
        ],
        dtype=int,
    ).T
    assert (bright > dark + 120).all()
    assert dark.min() < 15 < 30 < dark.max() + 5
    assert bright.min() < 195 < 220 < bright.max()


def test_splits_keep_unseen_artists_wholly_apart():
    table = pd.DataFrame({"id": [str(i) for i in range(3000)], "artist": [f"Artist N{i % 150}" for i in range(3000)]})
    found = splits(table)
    assert found.equals(splits(table))
    by_artist = found.groupby(table["artist"]).unique().map(set)
    assert all(kinds in ({UNSEEN}, {TRAIN}, {TRAIN, SEEN}) for kinds in by_artist)
    assert 0.05 < (found == UNSEEN).mean() < 0.15
    assert 0.05 < (found == SEEN).mean() < 0.15


def test_splits_of_the_catalog_are_used_where_it_has_them():
    table = pd.DataFrame({"id": ["a", "b"], "artist": ["x", "y"], "split": ["train", None]})
    assert list(splits(table)) == ["train", ""]


def test_what_painter_by_numbers_tests_on_is_in_no_split():
    table = pd.DataFrame({"id": ["a", "b", "c"], "artist": ["x"] * 3, "in_train": ["True", "False", "False"]})
    assert [split == "" for split in splits(table)] == [False, True, True]


def test_paintings_without_an_artist_are_in_no_split():
    table = pd.DataFrame({"id": ["a", "b"], "artist": [None, "unknown artist"]})
    assert list(splits(table)) == ["", ""]


@pytest.mark.parametrize(
    ("kinds", "says"),
    [
        ([TRAIN] * 6 + [UNSEEN] * 3, "val_seen"),
        ([TRAIN] * 6 + [SEEN] * 3, "val_unseen"),
        ([TRAIN, SEEN, UNSEEN] * 3, None),
    ],
)
def test_splits_that_cannot_be_calibrated_on_are_refused_before_training(kinds, says):
    artists = ["Unseen A" if kind == UNSEEN else "Seen" for kind in kinds]
    artists[-1] = "Unseen B" if kinds[-1] == UNSEEN else artists[-1]
    table = pd.DataFrame({"artist": artists, "split": kinds})
    if says is None:
        check_splits(table)
    else:
        with pytest.raises(BadCatalog, match=says):
            check_splits(table)


@pytest.fixture
def tiny_weights(tmp_path, monkeypatch):
    backbone = TinyBackbone()
    save_file(
        {k: v for k, v in backbone.state_dict().items() if k not in ("mean", "std")}, tmp_path / "tiny.safetensors"
    )
    kind = BACKBONES["mobilenet_v2"]._replace(
        make=TinyBackbone, weights_file="tiny.safetensors", rename=str, channels=(5, 7)
    )
    monkeypatch.setitem(BACKBONES, "tiny", kind)
    return tmp_path


def test_features_are_kept_and_a_second_run_goes_on_from_them(tmp_path, tiny_weights, collection, monkeypatch):
    monkeypatch.setattr(features_module, "SHARD", 5)
    table = read_catalog(collection).table
    done = []
    found = backbone_features("tiny", tiny_weights, table, 1, tmp_path / "work", 48, done.append)
    assert found.shape == (12, 24)
    assert done == [5, 5, 2]
    kept = sorted((tmp_path / "work").rglob("*.npy"))
    kept[1].unlink()
    stamp = kept[0].stat().st_mtime_ns
    again = backbone_features("tiny", tiny_weights, table, 1, tmp_path / "work", 48)
    assert np.array_equal(found, again)
    assert kept[0].stat().st_mtime_ns == stamp


def test_features_by_other_weights_are_made_anew(tmp_path, tiny_weights, collection):
    table = read_catalog(collection).table
    before = backbone_features("tiny", tiny_weights, table, 0, tmp_path / "work", 48)
    other = {k: v * 2 for k, v in TinyBackbone().state_dict().items() if k not in ("mean", "std")}
    save_file(other, tmp_path / "tiny.safetensors")
    assert not np.allclose(before, backbone_features("tiny", tiny_weights, table, 0, tmp_path / "work", 48))


def test_a_backbone_without_its_weights_is_refused(tmp_path, tiny_weights):
    with pytest.raises(BadModel, match="no such file"):
        load_backbone("tiny", tmp_path / "elsewhere")
    save_file({"blocks.0.weight": torch.zeros(5, 3, 3, 3)}, tmp_path / "tiny.safetensors")
    with pytest.raises(BadModel, match="lacks blocks"):
        load_backbone("tiny", tmp_path)


def test_an_exported_ensemble_gives_pytorchs_vectors(tmp_path):
    head = LinearHead([10, 14], torch.rand(24) / 10, torch.randn(24, 6))
    ensemble = Ensemble([TinyBackbone()], head).eval()
    squares = pictures(tmp_path, 6, 48)
    data = export(ensemble, 48, "tiny", squares)
    (tmp_path / "tiny.onnx").write_bytes(data)
    embedder = Embedder.load(tmp_path / "tiny.onnx")
    assert (embedder.name, embedder.size, embedder.dim) == ("tiny", 48, 6)
    parity = embedder.metadata["parity"]
    assert 0 < parity["largest_difference_to_pytorch"] < 1e-5
    assert parity["largest_cosine_lost_to_stored_weights"] < 1e-3
    with torch.inference_mode():
        expected = ensemble(torch.from_numpy(squares).permute(0, 3, 1, 2).float()).numpy()
    np.testing.assert_allclose(embedder.infer(squares), expected, atol=5e-3)
    assert data == export(ensemble, 48, "tiny", squares), "the same network gives the same file"


def test_members_with_equal_blocks_share_them_and_their_work(tmp_path):
    first, second = TinyBackbone(), TinyBackbone()
    with torch.no_grad():
        second.blocks[1].weight *= 2  # trained on
    head = LinearHead([10, 14] * 2, torch.zeros(48), torch.randn(48, 6))
    squares = pictures(tmp_path, 4, 48)
    data = export(Ensemble([first, second], head).eval(), 48, "two", squares)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "loaded.onnx")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    onnxruntime.InferenceSession(data, options)
    nodes = [node.op_type for node in onnx.load(tmp_path / "loaded.onnx").graph.node]
    assert nodes.count("Conv") == 3, "the first block once, each of the second blocks"


def test_large_weights_are_stored_in_eight_bits_unless_that_loses_too_much(tmp_path, monkeypatch):
    torch.manual_seed(0)
    network = Ensemble([TinyBackbone()], LinearHead([10, 14], torch.rand(24) / 10, torch.randn(24, 1024))).eval()
    squares = pictures(tmp_path, 4, 48)
    small = export(network, 48, "tiny", squares)
    monkeypatch.setattr("artidx.embedder.training.export.onnx_file.EIGHT_BIT_ERROR", 1e-6)
    large = export(network, 48, "tiny", squares)
    assert len(large) - len(small) == pytest.approx(24 * 1024 - 4 * 1024, rel=0.05), "and a scale for each output"
    parity = Embedder(small, "small").metadata["parity"]
    assert 0 < parity["largest_cosine_lost_to_stored_weights"] < 1e-3


def test_int8_of_a_kernel_are_off_by_half_a_step_at_most():
    kernel = np.random.default_rng(0).uniform(-1, 1, (6, 5, 3, 3)).astype(np.float32)
    kernel[2] = 0
    eight, scale = _in_eight_bits(kernel)
    assert (eight.dtype, scale.shape) == (np.int8, (6, 1, 1, 1))
    assert (np.abs(eight * scale - kernel) <= scale / 2 + 1e-7).all()


@pytest.mark.parametrize("by_row", [True, False])
def test_int8_of_a_matrix_have_scales_along_the_axis_that_differs_most_in_size(by_row):
    sizes = np.logspace(-3, 0, 40)
    matrix = np.random.default_rng(0).normal(size=(40, 40)) * (sizes[:, None] if by_row else sizes)
    eight, scale = _in_eight_bits(matrix.astype(np.float32))
    assert scale.shape == ((40, 1) if by_row else (1, 40))
    assert (np.abs(eight * scale - matrix) <= scale / 2 + 1e-7).all()


def test_a_graph_that_lost_parity_is_not_exported(tmp_path, monkeypatch):
    monkeypatch.setattr("artidx.embedder.training.export.onnx_file.PARITY_LIMIT", 0.0)
    head = LinearHead([10, 14], torch.zeros(24), torch.randn(24, 6))
    with pytest.raises(BadModel, match="differ by"):
        export(Ensemble([TinyBackbone()], head).eval(), 48, "tiny", pictures(tmp_path, 2, 48))


@pytest.mark.parametrize("name", ["mobilenet_v2", "efficientnet_lite2"])
def test_the_real_trunks_have_the_channels_they_say(name, tmp_path):
    x = torch.from_numpy(pictures(tmp_path, 1, 64)).permute(0, 3, 1, 2).float()
    with torch.inference_mode():
        assert BACKBONES[name].make().eval()(x).shape == (1, sum(BACKBONES[name].widths))
