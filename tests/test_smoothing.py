"""Transformers prepared for int8 activations: they compute the same, and lose less by int8."""

from __future__ import annotations

import copy

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn
from torch.nn import functional

from artidx import Embedder
from artidx.embedder.training.export import onnx_file, smoothing
from artidx.embedder.training.export.onnx_file import export
from artidx.embedder.training.export.smoothing import OUTLIERS, SplitLinear, smooth
from artidx.embedder.training.networks.torchvision_import import import_torchvision
from made import pictures

import_torchvision()
from timm.models.vision_transformer import VisionTransformer  # noqa: E402  (torchvision must have been made to work)

SIDE, CHANNELS, HIDDEN = 32, 32, 128


class Transformer(nn.Module):
    """A tiny vision transformer with planted outliers: channels after LayerNorm, values, and hidden units."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.vit = VisionTransformer(SIDE, 8, embed_dim=CHANNELS, depth=2, num_heads=2, num_classes=0)
        with torch.no_grad():
            for block in self.vit.blocks:
                block.attn.fused_attn = False
                for norm, layer in ((block.norm1, block.attn.qkv), (block.norm2, block.mlp.fc1)):
                    norm.weight[[3, 17]] *= 100
                    norm.bias += 0.1
                    layer.weight.normal_(0, 0.2)
                    layer.weight[:, [3, 17]] /= 50
                block.attn.qkv.weight[2 * CHANNELS + 5] *= 60
                block.attn.proj.weight.normal_(0, 0.2)
                block.mlp.fc1.weight[[7, 90]] *= 40
                block.mlp.fc2.weight.normal_(0, 0.1)

    def forward(self, x):
        tokens = self.vit.forward_features(x / 127.5 - 1)
        return functional.normalize(tokens[:, 0], dim=1)


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    return pictures(tmp_path_factory.mktemp("pictures"), 12, SIDE)


def as_input(squares):
    return torch.from_numpy(squares).permute(0, 3, 1, 2).float()


def test_smoothing_changes_nothing_that_is_computed(squares):
    network = Transformer().eval()
    with torch.inference_mode():
        expected = network(as_input(squares))
    assert smooth(network, as_input(squares[:4])) == 2
    with torch.inference_mode():
        torch.testing.assert_close(network(as_input(squares)), expected, atol=2e-5, rtol=0)


def test_activations_are_of_like_size_afterwards_and_the_largest_hidden_units_are_apart(squares):
    before, after = Transformer().eval(), Transformer().eval()
    smooth(after, as_input(squares))

    def unevenness(network, layer_of):
        seen = []
        hook = layer_of(network.vit.blocks[0]).register_forward_pre_hook(lambda module, given: seen.append(given[0]))
        with torch.inference_mode():
            network(as_input(squares))
        hook.remove()
        largest = seen[0].abs().amax((0, 1))
        return float(largest.max() / largest.median())

    for layer_of in (lambda b: b.attn.qkv, lambda b: b.attn.proj, lambda b: b.mlp.fc1):
        assert unevenness(after, layer_of) < 0.5 * unevenness(before, layer_of)
    fc2 = after.vit.blocks[0].mlp.fc2
    assert isinstance(fc2, SplitLinear)
    assert fc2.outliers.in_features == min(OUTLIERS, HIDDEN // 8)
    assert unevenness(after, lambda b: b.mlp.fc2.most) < 0.5 * unevenness(before, lambda b: b.mlp.fc2)


def test_a_split_product_is_the_whole_one():
    torch.manual_seed(0)
    for bias in (True, False):
        whole = nn.Linear(20, 7, bias=bias)
        x = torch.randn(3, 5, 20)
        torch.testing.assert_close(SplitLinear(whole, 4)(x), whole(x))


def test_a_network_without_such_blocks_is_left_as_it_is():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten())
    kept = copy.deepcopy(network.state_dict())
    assert smooth(network, torch.zeros(1, 3, 8, 8)) == 0
    assert all(torch.equal(value, kept[name]) for name, value in network.state_dict().items())


def int8_weights(graph):
    stored = {weight.name: numpy_helper.to_array(weight) for weight in graph.initializer}
    return [
        stored[node.input[0]].shape
        for node in graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in stored and stored[node.input[0]].ndim == 2
    ]


def test_an_exported_transformer_loses_less_by_int8_than_without_smoothing(squares, monkeypatch):
    monkeypatch.setattr(onnx_file, "INT8_LIMIT", 1.0)
    network = Transformer().eval()
    weights = copy.deepcopy(network.state_dict())
    smoothed = export(network, SIDE, "smoothed", squares)
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items()), "a copy is prepared"
    monkeypatch.setattr(onnx_file, "smooth", lambda *anything: 0)
    plain = export(network, SIDE, "plain", squares)
    with torch.inference_mode():
        expected = network(as_input(squares)).numpy()
    lost = {}
    for name, data in (("smoothed", smoothed), ("plain", plain)):
        lost[name] = float(np.mean(1 - (Embedder(data, name).infer(squares)[1::2] * expected[1::2]).sum(axis=1)))
    assert lost["smoothed"] < lost["plain"] / 2
    shapes = int8_weights(onnx.load_from_string(smoothed).graph)
    small = min(smoothing.OUTLIERS, HIDDEN // 8)
    assert (HIDDEN - small, CHANNELS) in shapes
    assert (small, CHANNELS) not in shapes, "the small product stays in float32"
    assert len(shapes) == 8
