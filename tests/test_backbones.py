"""Backbones by their names in timm: read at several depths, from files, in the linear recipe and as exported."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from artidx import Embedder
from artidx.cli.main import artidx
from artidx.embedder.training import making
from artidx.embedder.training.networks import timm_backbone
from artidx.embedder.training.networks.ensemble import CentredHead, LinearHead
from artidx.embedder.training.networks.timm_backbone import Reading, load_timm
from artidx.embedder.training.networks.torchvision_import import import_torchvision
from artidx.embedder.training.recipes import linear
from artidx.errors import BadModel, BadSetting
from made import painting, pictures

import_torchvision()
import timm  # noqa: E402  (torchvision must have been made to work)

SIZE = 64


@pytest.fixture
def weights(tmp_path):
    """A folder with weights of a tiny transformer and a tiny convolutional network."""
    folder = tmp_path / "backbones"
    folder.mkdir()
    torch.manual_seed(0)
    for name, settings in (("test_vit", {"img_size": SIZE}), ("test_resnet", {})):
        save_file(timm.create_model(name, **settings).state_dict(), folder / f"{name}.safetensors")
    return folder


def test_class_tokens_and_statistics_are_those_of_the_blocks_asked_for(tmp_path, weights, monkeypatch):
    monkeypatch.setitem(timm_backbone.KNOWN, "tiny", Reading("test_vit", "test_vit.safetensors", (3, 5), (2,), "none"))
    backbone = load_timm("tiny", weights, SIZE)
    x = torch.from_numpy(pictures(tmp_path, 2, SIZE)).permute(0, 3, 1, 2).float()
    whole = timm.create_model("test_vit", num_classes=0, img_size=SIZE).eval()
    stored = timm.models.load_state_dict(str(weights / "test_vit.safetensors"))
    whole.load_state_dict(stored, strict=False)
    seen = []
    for block in whole.blocks:
        block.register_forward_hook(lambda module, given, made: seen.append(made))
    with torch.inference_mode():
        found = backbone(x)
        whole((x - backbone.mean) / backbone.std)
    width = seen[0].shape[2]
    patches = seen[1][:, whole.num_prefix_tokens :]
    expected = [seen[2][:, 0], seen[4][:, 0], patches.mean(1), patches.std(1, correction=0)]
    torch.testing.assert_close(found, torch.cat(expected, dim=1), atol=1e-4, rtol=1e-4)
    assert backbone.widths == [width, width, 2 * width]
    assert len(backbone.model.blocks) == 5, "what is not read is not run"


def test_a_convolutional_network_is_read_by_means_and_deviations(tmp_path, weights):
    backbone = load_timm("test_resnet", weights, SIZE)
    x = torch.from_numpy(pictures(tmp_path, 2, SIZE)).permute(0, 3, 1, 2).float()
    assert not backbone.class_tokens
    with torch.inference_mode():
        assert backbone(x).shape == (2, sum(backbone.widths))
        depths = backbone.model.forward_intermediates(
            (x - backbone.mean) / backbone.std, indices=[n - 1 for n in backbone.read], intermediates_only=True
        )
    torch.testing.assert_close(backbone(x)[:, : depths[0].shape[1]], depths[0].mean((2, 3)))


def test_clip_is_read_where_it_was_found_to_serve():
    assert timm.is_model(timm_backbone.KNOWN["clip_vitb16"].model)
    assert timm_backbone.KNOWN["clip_vitb16"][2:4] == ((9, 10, 11), (7,))


def test_what_is_no_network_or_does_not_fit_is_one_clear_line(tmp_path, weights, monkeypatch):
    with pytest.raises(BadSetting, match="no such network"):
        load_timm("rembrandt", weights, SIZE)
    save_file({"blocks.0.attn.qkv.bias": torch.zeros(3)}, weights / "test_vit.safetensors")
    with pytest.raises(BadModel, match="not the weights of test_vit"):
        load_timm("test_vit", weights, SIZE)
    save_file({}, weights / "test_vit.safetensors")
    with pytest.raises(BadModel, match="lacks"):
        load_timm("test_vit", weights, SIZE)

    def offline(*arguments, **settings):
        raise OSError("no network\nhere")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(BadModel, match="hub: no network here"):
        load_timm("test_vit2", tmp_path, SIZE)


def test_parts_that_are_not_rooted_are_less_their_mean_and_of_unit_length():
    torch.manual_seed(0)
    features, means, centre, projection = torch.randn(4, 5), torch.randn(5), torch.randn(5), torch.randn(5, 3)
    found = CentredHead([2, 3], [True, False], means, centre, projection)(features)
    rooted = LinearHead([2], torch.zeros(2), torch.eye(2))(features[:, :2])
    plain = torch.nn.functional.normalize(features[:, 2:] - means[2:], dim=1)
    torch.testing.assert_close(found, (torch.cat([rooted, plain], dim=1) - centre) @ projection)


def test_the_linear_recipe_takes_any_networks_and_what_is_exported_gives_pytorchs_vectors(
    tmp_path, weights, monkeypatch
):
    monkeypatch.setattr(linear, "SIZE", SIZE)
    monkeypatch.setattr(making, "SIZE", SIZE)
    rows = []
    for number in range(6):
        for i in range(8):
            path = tmp_path / "images" / f"{number}-{i}.png"
            painting(path, 10 * number + i, ((number * 40) % 256, (number * 90) % 256, 128))
            split = "val_unseen" if number > 3 else "val_seen" if i > 4 else "train"
            rows.append({"filename": path.name, "artist": f"Artist {number}", "split": split})
    pd.DataFrame(rows).to_csv(tmp_path / "paintings.csv", index=False)
    CliRunner().invoke(
        artidx,
        [
            "train",
            str(tmp_path / "paintings.csv"),
            "--recipe",
            "linear",
            "--trunks",
            str(weights),
            "--backbone",
            "test_vit",
            "--backbone",
            "test_resnet",
            "--work",
            str(tmp_path / "work"),
            "-o",
            str(tmp_path / "m.onnx"),
        ],
        catch_exceptions=False,
        standalone_mode=False,
    )
    embedder = Embedder.load(tmp_path / "m.onnx")
    assert embedder.metadata["parity"]["largest_difference_to_pytorch"] < 1e-4
    assert np.isfinite(embedder.infer(pictures(tmp_path / "more", 2, SIZE))).all()
    card = (tmp_path / "m.md").read_text()
    assert "`test_vit`" in card
    assert "`test_resnet`" in card
