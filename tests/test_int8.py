"""Int8 activations: which operations have them, their ranges, and models without them."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper
from torch import nn
from torch.nn import functional

from artidx.embedder.runtime import Embedder
from artidx.embedder.training.export.int8 import rounded
from artidx.embedder.training.export.onnx_file import export
from artidx.embedder.training.making import parity_note
from artidx.index.model_card import said_of_int8
from made import pictures

SIDE = 32


class Tokens(nn.Module):
    """A transformer's shape: patches of 8 px, a product for each of them, and a head for the picture."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.patches = nn.Conv2d(3, 8, 8, stride=8)
        self.inner = nn.Linear(8, 24)
        self.outer = nn.Linear(24, 8)
        self.head = nn.Linear(8, 6, bias=False)

    def forward(self, x):
        tokens = self.patches(x / 255 - 0.5).flatten(2).transpose(1, 2)  # (b, 16, 8)
        tokens = tokens + self.outer(functional.gelu(self.inner(tokens)))
        return functional.normalize(self.head(tokens.mean(1) + tokens.std(1)), dim=1)


class Separable(nn.Module):
    """A separable convolution, as in Xception, among others: plain ones, a pointwise one of what a plain one gives,
    one of groups, one that is separable but for what lies between its halves, as in MobileNetV2, and one that is not
    pointwise after a depthwise one."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 8, 3, stride=2)
        self.expand = nn.Conv2d(8, 12, 1)
        self.grouped = nn.Conv2d(12, 8, 1, groups=2)
        self.depthwise = nn.Conv2d(8, 8, 3, groups=8, bias=False)
        self.pointwise = nn.Conv2d(8, 16, 1, bias=False)
        self.other = nn.Conv2d(16, 16, 3, groups=16)
        self.after = nn.Conv2d(16, 8, 1)
        self.third = nn.Conv2d(8, 8, 3, groups=8)
        self.wide = nn.Conv2d(8, 6, 3)

    def forward(self, x):
        x = self.first(x / 255 - 0.5).relu()
        x = self.grouped(self.expand(x).relu()).relu()
        x = self.pointwise(self.depthwise(x)).relu()
        x = self.after(functional.relu6(self.other(x)))
        return functional.normalize(self.wide(self.third(x)).amax((2, 3)), dim=1)


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    return pictures(tmp_path_factory.mktemp("pictures"), 8, SIDE)


@pytest.fixture(scope="module")
def tokens_file(squares):
    return export(Tokens().eval(), SIDE, "tiny", squares)


def eight_bit_weights(graph):
    """The int8 weights, by name."""
    stored = {weight.name: numpy_helper.to_array(weight) for weight in graph.initializer}
    return {
        node.input[0]: stored[node.input[0]]
        for node in graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in stored and stored[node.input[0]].ndim > 1
    }


@pytest.mark.parametrize(
    ("network", "all_pointwise", "kernels"),
    [
        (Tokens, False, [(8, 24), (24, 8)]),
        (Separable, False, [(16, 8, 1, 1)]),
        (Tokens, True, [(8, 24), (24, 8)]),
        (Separable, True, [(8, 16, 1, 1), (12, 8, 1, 1), (16, 8, 1, 1)]),
    ],
)
def test_products_of_tokens_and_pointwise_convolutions_that_bear_it_sum_in_eight_bits(
    network, all_pointwise, kernels, squares
):
    network = network().eval()
    data = export(network, SIDE, "tiny", squares, all_pointwise=all_pointwise)
    weights = eight_bit_weights(onnx.load_from_string(data).graph)
    assert sorted(w.shape for w in weights.values()) == sorted(kernels), "not heads, not other convolutions"
    with torch.inference_mode():
        expected = network(torch.from_numpy(squares).permute(0, 3, 1, 2).float()).numpy()
    embedder = Embedder(data, "tiny")
    assert ((embedder.infer(squares) * expected).sum(axis=1) > 1 - 5e-3).all()
    assert 0 < embedder.metadata["parity"]["mean_cosine_lost_to_sums_in_8_bits"] < 5e-3


def test_the_same_network_gives_the_same_file(tokens_file, squares):
    assert export(Tokens().eval(), SIDE, "tiny", squares) == tokens_file


def test_two_products_fit_in_sixteen_bits_so_that_no_cpu_overflows(tokens_file):
    graph = onnx.load_from_string(tokens_file).graph
    for weight in eight_bit_weights(graph).values():
        assert weight.dtype == np.int8
        assert 2 * 255 * int(np.abs(weight.astype(int)).max()) < 1 << 15


def test_a_range_is_the_mean_of_what_single_pictures_need(tokens_file, squares):
    network = Tokens().eval()
    graph = onnx.load_from_string(tokens_file).graph
    with torch.inference_mode():
        x = torch.from_numpy(squares[::2]).permute(0, 3, 1, 2).float() / 255 - 0.5
        tokens = network.patches(x).flatten(1).numpy()  # (pictures, numbers)
    expected = (tokens.max(axis=1).mean() - tokens.min(axis=1).mean()) / 255
    stored = {weight.name: numpy_helper.to_array(weight) for weight in graph.initializer}
    scales = [float(stored[node.input[1]]) for node in graph.node if node.op_type == "QuantizeLinear"]
    assert min(abs(scale / expected - 1) for scale in scales) < 1e-4


def test_a_vector_does_not_depend_on_the_pictures_beside_it(tokens_file, squares):
    graph = onnx.load_from_string(tokens_file).graph
    stored = {weight.name for weight in graph.initializer}
    assert all(node.input[1] in stored for node in graph.node if node.op_type == "QuantizeLinear"), "ranges are fixed"
    session = onnxruntime.InferenceSession(tokens_file)
    together = session.run(None, {"image": squares})[0]
    alone = np.concatenate([session.run(None, {"image": square[None]})[0] for square in squares])
    assert ((together * alone).sum(axis=1) > 1 - 1e-4).all(), "a last bit may turn a rounding elsewhere"


def test_sums_that_would_lose_too_much_are_made_in_float(tokens_file, squares, monkeypatch):
    in_eight_bits = Embedder(tokens_file, "in 8 bits")
    monkeypatch.setattr("artidx.embedder.training.export.onnx_file.INT8_LIMIT", 0.0)
    data = export(Tokens().eval(), SIDE, "tiny", squares)
    assert not eight_bit_weights(onnx.load_from_string(data).graph)
    in_float = Embedder(data, "in float")
    assert not [key for key in in_float.metadata["parity"] if "sums" in key]
    parity = in_eight_bits.metadata["parity"]
    lost = 1 - (in_eight_bits.infer(squares) * in_float.infer(squares)).sum(axis=1)[1::2]  # not what gave the ranges
    assert lost.mean() == pytest.approx(parity["mean_cosine_lost_to_sums_in_8_bits"], abs=1e-6)
    assert lost.max() == pytest.approx(parity["largest_cosine_lost_to_sums_in_8_bits"], abs=1e-6)


def test_what_sums_in_eight_bits_cost_is_told_where_there_are_some(tokens_file):
    embedder = Embedder(tokens_file, "tiny")
    largest = embedder.metadata["parity"]["largest_cosine_lost_to_sums_in_8_bits"]
    assert f"to int8 activations {largest:.1e}" in parity_note(embedder)
    assert f"{largest:.1e} at most" in said_of_int8(embedder.metadata["parity"])
    plain = {"largest_difference_to_pytorch": 1e-7, "largest_cosine_lost_to_stored_weights": 1e-4}
    assert not said_of_int8(plain)


def test_the_next_row_makes_good_what_rounding_one_has_cost():
    weight, scales = np.float32([[1.4], [2.2]]), np.float32([1.0])
    together = np.array([[1, 0.9], [0.9, 1]])  # two channels that say nearly the same
    # The first loses 0.4, of which the second would have to give 0.9 / 1.01 x 0.4: 2.2 + 0.36 = 2.56.
    assert rounded(weight, scales, together).tolist() == [[1], [3]]
    assert rounded(weight, scales, np.eye(2)).tolist() == [[1], [2]], "channels that say nothing of each other"


@given(seed=st.integers(0, 2**16), channels=st.integers(1, 12), outputs=st.integers(1, 6))
@settings(max_examples=25)
def test_whole_numbers_stay_in_their_range_and_independent_channels_are_rounded_to_the_nearest(seed, channels, outputs):
    chance = np.random.default_rng(seed)
    weight = chance.normal(size=(channels, outputs)).astype(np.float32)
    scales = (np.abs(weight).max(axis=0) / 64).astype(np.float32)
    nearest = np.round(weight.astype(np.float64) / scales)
    assert np.array_equal(rounded(weight, scales, np.diag(chance.uniform(0.1, 1, channels))), nearest)
    assert np.array_equal(rounded(weight, scales, np.zeros((channels, channels))), nearest), "where nothing flows in"
    mixed = chance.normal(size=(channels, channels))
    assert np.abs(rounded(weight, scales, mixed @ mixed.T).astype(int)).max() <= 64


def test_rounding_loses_less_of_what_a_product_gives_than_the_nearest_numbers_do():
    chance = np.random.default_rng(0)
    seen = chance.normal(size=(500, 8)) @ chance.normal(size=(8, 40))  # 40 channels that say 8 things
    weight = chance.normal(size=(40, 10)).astype(np.float32)
    scales = (np.abs(weight).max(axis=0) / 64).astype(np.float32)

    def lost(numbers):
        return float(np.mean((seen @ (numbers * scales - weight)) ** 2))

    assert lost(rounded(weight, scales, seen.T @ seen)) < lost(np.round(weight / scales)) / 4
