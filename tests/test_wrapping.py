"""Wrapped networks: compared with the network alone, and errors in one line."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx
import onnxruntime
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from artidx import Embedder, Index
from artidx.cli.main import artidx
from artidx.embedder.pictures.images import square
from artidx.embedder.pictures.preprocessing import FILTERS, FITS, SUBSAMPLINGS, Preprocessing
from artidx.embedder.wrapping import Wrapping, side_of, with_metadata, wrapped
from artidx.errors import BadModel, BadSetting
from made import painting

MEAN, STD = (0.48, 0.46, 0.41), (0.27, 0.26, 0.28)
SIDE, DIM = 32, 6


def network(*, layout="nchw", gives="vector", elem=TensorProto.FLOAT, opset=18, batch="batch", side=SIDE, blind=False):
    """A small network: patches of 8 px -> DIM numbers each, as a map, as tokens or as their sum."""
    chance = np.random.default_rng(1)
    kernel = (0 if blind else 1) * chance.normal(size=(DIM, 3, 8, 8)) + 0.0
    bias = np.ones(DIM)
    weights = [
        numpy_helper.from_array(value.astype(helper.tensor_dtype_to_np_dtype(elem)), name)
        for name, value in (("kernel", kernel), ("bias", bias))
    ]
    weights.append(numpy_helper.from_array(np.array([0, DIM, -1], np.int64), "shape"))
    nodes, pixels = [], "image"  # the name that the wrapped graph has for its own input
    if layout == "nhwc":
        nodes.append(helper.make_node("Transpose", [pixels], ["turned"], perm=[0, 3, 1, 2]))
        pixels = "turned"
    nodes.append(helper.make_node("Conv", [pixels, "kernel", "bias"], ["map"], strides=[8, 8]))
    nodes += [
        helper.make_node("Reshape", ["map", "shape"], ["columns"]),
        helper.make_node("Transpose", ["columns"], ["tokens"], perm=[0, 2, 1]),
        helper.make_node("GlobalAveragePool", ["map"], ["middle"]),
        helper.make_node("Flatten", ["middle"], ["vector"]),
    ]
    patches = side // 8 if isinstance(side, int) else "p"
    shapes = {"map": [batch, DIM, patches, patches], "tokens": [batch, "t", DIM], "vector": [batch, DIM]}
    taken = [batch, 3, side, side] if layout == "nchw" else [batch, side, side, 3]
    graph = helper.make_graph(
        nodes,
        "elsewhere",
        [helper.make_tensor_value_info("image", elem, taken)],
        [helper.make_tensor_value_info(name, elem, shapes[name]) for name in gives.split()],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def wrapping(**more):
    return Wrapping(Preprocessing(SIDE, jpeg_quality=None, filter="bicubic"), MEAN, STD, **more)


@pytest.fixture
def pictures(tmp_path):
    return [painting(tmp_path / f"{number}.png", number, side=50) for number in range(4)]


@pytest.mark.parametrize("opset", [13, 17, 18])
@pytest.mark.parametrize(
    ("gives", "pool"), [("vector", "none"), ("map", "mean"), ("tokens", "first"), ("tokens", "mean")]
)
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_a_wrapped_network_gives_what_it_gives_alone_pooled_and_of_unit_length(pictures, layout, gives, pool, opset):
    alone = network(layout=layout, gives=gives, opset=opset)
    chosen = wrapping(layout=layout, pool=pool)
    embedder = Embedder(wrapped(alone, "mine", chosen, "net.onnx"), "mine.onnx")
    squares = np.stack([chosen.preprocessing.square(path) for path in pictures])
    normalised = ((squares / 255 - np.array(MEAN)) / np.array(STD)).astype(np.float32)
    session = onnxruntime.InferenceSession(alone)
    (expected,) = session.run(None, {"image": normalised.transpose(0, 3, 1, 2) if layout == "nchw" else normalised})
    if pool == "first":
        expected = expected[:, 0]
    elif pool == "mean":
        expected = expected.mean(axis=(2, 3) if gives == "map" else 1)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(embedder.transform(pictures), expected, atol=2e-5)
    assert (embedder.name, embedder.size, embedder.dim) == ("mine", SIDE, DIM)


def test_half_precision_and_a_batch_of_one_are_taken(pictures):
    for alone in (network(elem=TensorProto.FLOAT16), network(batch=1), network(side="s")):
        found = Embedder(wrapped(alone, "mine", wrapping(), "net.onnx"), "mine.onnx").transform(pictures)
        whole = Embedder(wrapped(network(), "mine", wrapping(), "net.onnx"), "mine.onnx").transform(pictures)
        np.testing.assert_allclose(found, whole, atol=5e-3)


def test_the_side_is_read_where_it_is_fixed():
    assert side_of(network(), "nchw", "net.onnx") == SIDE
    assert side_of(network(layout="nhwc"), "nhwc", "net.onnx") == SIDE
    assert side_of(network(side="s"), "nchw", "net.onnx") is None


@pytest.mark.parametrize(
    ("alone", "more", "why"),
    [
        (
            network(),
            {"layout": "nhwc"},
            "takes image .batch, 3, 32, 32. float, not pictures of 32 px in the layout nhwc",
        ),
        (network(side=64), {}, "not pictures of 32 px"),
        (network(gives="map vector"), {}, "gives map .*, vector .*; name one of them with --output-name"),
        (network(gives="tokens"), {}, "gives tokens .batch, t, 6. float, of which --pool none makes no vector"),
        (network(), {"pool": "mean"}, "of which --pool mean makes no vector"),
        (network(blind=True), {}, "the same vector for quite different pictures"),
        (b"no graph at all", {}, "not an ONNX file"),
        (network(opset=11), {}, "opset 11; convert it"),
    ],
)
def test_a_network_that_does_not_fit_is_told_in_one_line(alone, more, why):
    with pytest.raises(BadModel, match=rf"net\.onnx: .*{why}"):
        wrapped(alone, "mine", wrapping(**more), "net.onnx")


def test_one_of_several_outputs_can_be_named(pictures):
    both = wrapped(network(gives="map vector"), "mine", wrapping(output="vector"), "net.onnx")
    one = wrapped(network(), "mine", wrapping(), "net.onnx")
    assert (Embedder(both, "a").transform(pictures) == Embedder(one, "b").transform(pictures)).all()


@pytest.mark.parametrize(
    "change",
    [
        {"std": (0.2, 0, 0.2)},
        {"mean": (124, 116, 104)},
        {"mean": (0.5, 0.5)},
        {"std": (0.2, float("nan"), 0.2)},
        {"layout": "chw"},
        {"pool": "max"},
    ],
)
def test_settings_that_cannot_be_are_refused(change):
    with pytest.raises(BadSetting):
        dataclasses.replace(wrapping(), **change)


# --- how pictures are made ready

preprocessings = st.builds(
    Preprocessing,
    st.integers(16, 64),
    st.floats(0, 0.25),
    st.sampled_from(FITS),
    st.sampled_from(FILTERS),
    st.none() | st.integers(1, 100),
    st.sampled_from(SUBSAMPLINGS),
)


@given(preprocessings, st.integers(1, 90), st.integers(1, 90))
def test_any_picture_becomes_a_square_and_any_preprocessing_survives_json(preprocessing, width, height):
    found = preprocessing.square(np.full((height, width, 3), 200, np.uint8))
    assert (found.shape, found.dtype) == ((preprocessing.size, preprocessing.size, 3), np.uint8)
    assert Preprocessing.from_json(preprocessing.to_json()) == preprocessing


def test_the_default_is_the_shipped_models_to_the_bit(pictures):
    for path in pictures:
        assert Preprocessing(40).square(path).tobytes() == square(path, 40).tobytes()
    general = dataclasses.replace(Preprocessing(40), inset=0.04 + 1e-12)  # the same, but not by its own way
    assert np.abs(general.square(pictures[0]).astype(int) - square(pictures[0], 40)).max() <= 2


def test_squash_crop_and_letterbox_do_what_their_names_say():
    halves = np.zeros((20, 40, 3), np.uint8)
    halves[:, 20:] = 255
    halves[:, :4] = halves[:, -4:] = (255, 0, 0)  # only at the edges

    def fitted(**more):
        return Preprocessing(20, inset=0.0, jpeg_quality=None, filter="box", **more).square(halves)

    squashed, cropped, boxed = fitted(fit="squash"), fitted(fit="crop"), fitted(fit="letterbox", fill=(9, 8, 7))
    assert squashed[10, 0].tolist() == squashed[10, -1].tolist() == [255, 0, 0]
    assert cropped[:, :10].max() == 0
    assert cropped[:, 10:].min() == 255
    assert boxed[0, 3].tolist() == boxed[-1, 3].tolist() == [9, 8, 7]
    assert boxed[10, 0].tolist() == [255, 0, 0]
    assert (boxed == (9, 8, 7)).all(axis=2).sum() == 200, "half of it"
    half = Preprocessing(20, inset=0.0, jpeg_quality=None, filter="box", fit="crop", crop=0.5).square(halves)
    assert (half == cropped).all(), "two halves stay two halves"


@pytest.mark.parametrize(
    "change",
    [
        {"size": 8},
        {"size": 9999},
        {"size": True},
        {"inset": 0.5},
        {"inset": float("nan")},
        {"fit": "stretch"},
        {"filter": "cubic"},
        {"jpeg_quality": 0},
        {"jpeg_quality": "high"},
        {"jpeg_subsampling": "4:1:0"},
        {"colour": "BGR"},
        {"inset_leaves_at_least": 2},
        {"unheard_of": 1},
    ],
)
def test_a_model_whose_preprocessing_is_not_known_here_is_refused(tmp_path, change):
    model = wrapped(network(), "mine", wrapping(), "net.onnx")
    facts = wrapping().preprocessing.to_json() | change
    with pytest.raises(BadModel, match="preprocessing differ"):
        Embedder(with_metadata(model, {"preprocessing": facts}), "mine.onnx")


# --- the command


def run(*arguments):
    return CliRunner().invoke(artidx, [str(argument) for argument in arguments], catch_exceptions=True)


def test_a_network_is_wrapped_calibrated_built_with_and_asked_by_three_commands(tmp_path, collection):
    (tmp_path / "net.onnx").write_bytes(network())
    made = run(
        "wrap-model",
        tmp_path / "net.onnx",
        "-o",
        tmp_path / "mine.onnx",
        "--mean",
        "0.48,0.46,0.41",
        "--std",
        "0.27,0.26,0.28",
        "--fit",
        "letterbox",
        "--catalog",
        collection,
    )
    assert made.exit_code == 0, made.output
    assert "net" in made.stdout
    embedder = Embedder.load(tmp_path / "mine.onnx")
    assert embedder.preprocessing == Preprocessing(
        SIDE, fit="letterbox", filter="bicubic", jpeg_quality=None, fill=(122, 117, 105)
    )
    assert run("build", collection, "-o", tmp_path / "i.artidx", "--model", tmp_path / "mine.onnx").exit_code == 0
    index = Index.open(tmp_path / "i.artidx")
    assert index.nearest("id:Red Painter/R0.png").artists[0].artist == "Red Painter"
    assert index.calibration.pairs.measured_on.endswith("(all of this index)")


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        ([], "give --mean and --std, as"),
        (["--mean", "0,0,0"], "give --std, as"),
        (["--std", "1 1 1"], "give --mean, as"),
    ],
)
def test_what_is_missing_is_said_at_once_with_what_is_usual(tmp_path, options, missing):
    (tmp_path / "net.onnx").write_bytes(network())
    found = run("wrap-model", tmp_path / "net.onnx", "-o", tmp_path / "mine.onnx", *options)
    assert missing in str(found.exception)
    assert "for CLIP --mean" in str(found.exception)
    assert not (tmp_path / "mine.onnx").exists()


def test_a_plain_network_given_as_a_model_is_told_how_to_become_one():
    with pytest.raises(BadModel, match="artidx wrap-model"):
        Embedder(network(), "net.onnx")


def test_pictures_reach_the_network_by_one_way_whoever_asks(pictures, tmp_path):
    embedder = Embedder(wrapped(network(), "mine", wrapping(), "net.onnx"), "mine.onnx")
    with Image.open(pictures[0]) as opened:
        by_hand = embedder.infer(embedder.square(np.asarray(opened))[None])
    assert by_hand.tobytes() == embedder.transform([pictures[0]]).tobytes()
