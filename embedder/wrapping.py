"""Turn any ONNX network into a model of artidx: add its preprocessing before it, and unit vectors after it.

The network itself stays as it is. Before it, uint8 squares become normalised floats in its layout; after it, tokens or
a feature map are pooled, and the vector is scaled to unit length. How pictures become squares is stored in the
metadata. Needs the package onnx (artidx[wrap]).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import BadModel, BadSetting, MissingPackage
from .pictures.preprocessing import Preprocessing
from .runtime import METADATA_FORMAT, METADATA_KEY, Array, Embedder

LAYOUTS = ("nchw", "nhwc")
POOLS = ("none", "first", "mean")
OPSET = 13  # the oldest with the operations that are used here
LEAST_APART = 1e-5  # of cosine, between unrelated pictures


@dataclass(frozen=True)
class Wrapping:
    """mean and std: of the normalisation, in shares of white, RGB. layout: of the network's input. pool: for (n,
    tokens, d) or (n, d, h, w): the first token or the mean of all; none for (n, d). output: its name, if the network
    has several."""

    preprocessing: Preprocessing
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    layout: str = "nchw"
    pool: str = "none"
    output: str | None = None

    def __post_init__(self) -> None:
        """Raises BadSetting."""
        if self.layout not in LAYOUTS:
            raise BadSetting(f"layout {self.layout!r}: one of {', '.join(LAYOUTS)}")
        if self.pool not in POOLS:
            raise BadSetting(f"pool {self.pool!r}: one of {', '.join(POOLS)}")
        if len(self.mean) != 3 or len(self.std) != 3 or not np.isfinite([*self.mean, *self.std]).all():
            raise BadSetting("mean and std are three numbers each: red, green, blue")
        if min(self.std) <= 0 or max(map(abs, [*self.mean, *self.std])) > 2:
            raise BadSetting(
                "mean and std are on a scale from 0 to 1, std above 0; divide numbers from 0 to 255 by 255"
            )


def side_of(network: bytes, layout: str, source: str) -> int | None:
    """The side of the network's input in px, if it is fixed. Raises BadModel."""
    shape = _shape(_input(_opened(network, source), source))
    sides = shape[2:] if layout == "nchw" else shape[1:3]
    return sides[0] if len(shape) == 4 and isinstance(sides[0], int) and sides[0] == sides[1] else None


def wrapped(network: bytes, name: str, wrapping: Wrapping, source: str) -> bytes:
    """The model file. Raises BadModel, with details, if the network does not take or give what was stated."""
    onnx = _onnx()
    helper, types = onnx.helper, onnx.TensorProto
    model = _opened(network, source)
    taken = _input(model, source)
    given = _output(model, wrapping.output, source)
    _check_input(taken, wrapping, source)
    size = wrapping.preprocessing.size
    prefixed = onnx.compose.add_prefix(model, "network/")
    graph = prefixed.graph
    pixels, vector = "image", "vector"
    scale, shift = (np.array(values, np.float32) * 255 for values in (wrapping.std, wrapping.mean))
    before = [
        helper.make_node("Cast", [pixels], ["before/float"], to=types.FLOAT),
        helper.make_node("Sub", ["before/float", "before/mean"], ["before/centred"]),
        helper.make_node("Div", ["before/centred", "before/std"], ["before/normalised"]),
    ]
    last = "before/normalised"
    if wrapping.layout == "nchw":
        before.append(helper.make_node("Transpose", [last], ["before/nchw"], perm=[0, 3, 1, 2]))
        last = "before/nchw"
    before.append(helper.make_node("Cast", [last], [f"network/{taken.name}"], to=taken.type.tensor_type.elem_type))
    after = [helper.make_node("Cast", [f"network/{given.name}"], ["after/float"], to=types.FLOAT)]
    pooling, dim = _pooling(helper, given, wrapping, source)
    after += pooling
    after += [
        helper.make_node("ReduceL2", ["after/pooled"], ["after/length"], axes=[1], keepdims=1)
        if _opset(model) < 18
        else helper.make_node("ReduceL2", ["after/pooled", "after/axis"], ["after/length"]),
        helper.make_node("Max", ["after/length", "after/least"], ["after/divisor"]),
        helper.make_node("Div", ["after/pooled", "after/divisor"], [vector]),
    ]
    nodes = [*before, *graph.node, *after]
    del graph.node[:], graph.input[:], graph.output[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend(
        [
            onnx.numpy_helper.from_array(shift, "before/mean"),
            onnx.numpy_helper.from_array(scale, "before/std"),
            onnx.numpy_helper.from_array(np.array([1], np.int64), "after/axis"),
            onnx.numpy_helper.from_array(np.array([0], np.int64), "after/first"),
            onnx.numpy_helper.from_array(np.float32(1e-12), "after/least"),
        ]
    )
    graph.input.append(helper.make_tensor_value_info(pixels, types.UINT8, ["n", size, size, 3]))
    graph.output.append(helper.make_tensor_value_info(vector, types.FLOAT, ["n", dim]))
    facts = {"format": METADATA_FORMAT, "name": name, "preprocessing": wrapping.preprocessing.to_json()}
    data = with_metadata(prefixed.SerializeToString(deterministic=True), facts)
    _tried(data, source)
    return data


def with_metadata(model: bytes, metadata: dict[str, Any]) -> bytes:
    """The same graph with `metadata` added to its own."""
    onnx = _onnx()
    found = onnx.load_from_string(model)
    entries = {entry.key: entry.value for entry in found.metadata_props}
    merged = json.loads(entries.get(METADATA_KEY, "{}")) | metadata
    onnx.helper.set_model_props(found, {METADATA_KEY: json.dumps(merged, ensure_ascii=False)})
    data: bytes = found.SerializeToString(deterministic=True)
    return data


def _tried(data: bytes, source: str) -> None:
    """Raises BadModel unless synthetic pictures get different vectors, and the same ones a second time."""
    embedder = Embedder(data, source)
    chance = np.random.default_rng(0)
    size = embedder.size
    coarse = chance.integers(0, 256, (4, 8, 8, 3), np.uint8)
    steps = np.arange(size) * 8 // size
    pictures = coarse[:, steps][:, :, steps]
    vectors: Array = embedder.infer(pictures)
    if not np.array_equal(vectors, embedder.infer(pictures)):
        raise BadModel(f"{source}: gives different vectors for the same picture; export it for inference (eval mode)")
    if float((1 - (vectors @ vectors.T)[np.triu_indices(4, 1)]).max()) < LEAST_APART:
        raise BadModel(
            f"{source}: gives the same vector for quite different pictures; are mean, std and the output "
            f"those that the network was trained with?"
        )


def _opened(network: bytes, source: str) -> Any:
    onnx = _onnx()
    try:
        model = onnx.load_from_string(network)
    except Exception:  # protobuf's errors differ between versions
        raise BadModel(f"{source}: not an ONNX file") from None
    if any(weight.data_location == onnx.TensorProto.EXTERNAL for weight in model.graph.initializer):
        raise BadModel(f"{source}: keeps its weights in another file; join them with onnx.save(onnx.load(path), path)")
    if _opset(model) < OPSET:
        raise BadModel(f"{source}: opset {_opset(model)}; convert it to {OPSET} or later with onnx.version_converter")
    return model


def _opset(model: Any) -> int:
    return next((int(each.version) for each in model.opset_import if each.domain in ("", "ai.onnx")), 0)


def _input(model: Any, source: str) -> Any:
    weights = {weight.name for weight in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in weights]
    if len(inputs) != 1:
        raise BadModel(f"{source}: takes {_listing(inputs)}; an artidx model takes one input, pictures")
    return inputs[0]


def _output(model: Any, name: str | None, source: str) -> Any:
    outputs = [each for each in model.graph.output if name in (None, each.name)]
    if len(outputs) != 1:
        raise BadModel(f"{source}: gives {_listing(model.graph.output)}; name one of them with --output-name")
    return outputs[0]


def _check_input(taken: Any, wrapping: Wrapping, source: str) -> None:
    types, size = _onnx().TensorProto, wrapping.preprocessing.size
    wanted = [None, 3, size, size] if wrapping.layout == "nchw" else [None, size, size, 3]
    shape = _shape(taken)
    fits = len(shape) == 4 and all(
        expected is None or not isinstance(found, int) or found == expected
        for found, expected in zip(shape, wanted, strict=True)
    )
    if not fits or taken.type.tensor_type.elem_type not in (types.FLOAT, types.FLOAT16):
        raise BadModel(
            f"{source}: takes {_listing([taken])}, not pictures of {size} px in the layout "
            f"{wrapping.layout}, as floats; see --size and --layout"
        )


def _pooling(helper: Any, given: Any, wrapping: Wrapping, source: str) -> tuple[list[Any], int]:
    """The nodes from after/float to after/pooled (n, d), and d."""
    shape = _shape(given)
    rank, node = len(shape), helper.make_node
    if rank == 2 and wrapping.pool == "none":
        at, nodes = 1, [node("Identity", ["after/float"], ["after/pooled"])]
    elif rank == 3 and wrapping.pool == "first":
        at, nodes = (
            2,
            [
                node("Gather", ["after/float", "after/first"], ["after/one"], axis=1),
                node("Squeeze", ["after/one", "after/axis"], ["after/pooled"]),
            ],
        )
    elif rank == 3 and wrapping.pool == "mean":
        at, nodes = (
            2,
            [
                node("Transpose", ["after/float"], ["after/turned"], perm=[0, 2, 1]),
                node("GlobalAveragePool", ["after/turned"], ["after/mean"]),
                node("Flatten", ["after/mean"], ["after/pooled"]),
            ],
        )
    elif rank == 4 and wrapping.pool == "mean":
        at, nodes = (
            1,
            [
                node("GlobalAveragePool", ["after/float"], ["after/mean"]),
                node("Flatten", ["after/mean"], ["after/pooled"]),
            ],
        )
    else:
        raise BadModel(
            f"{source}: gives {_listing([given])}, of which --pool {wrapping.pool} makes no vector: none is "
            f"for (n, d), first for (n, tokens, d), mean for (n, tokens, d) and (n, d, h, w)"
        )
    dim = shape[at]
    if not isinstance(dim, int):
        raise BadModel(f"{source}: gives {_listing([given])}, but the length of the vector must be fixed")
    return nodes, dim


def _shape(value: Any) -> list[int | str]:
    return [
        each.dim_value if each.HasField("dim_value") else each.dim_param or "?"
        for each in value.type.tensor_type.shape.dim
    ]


def _listing(values: Any) -> str:
    types = _onnx().TensorProto
    return (
        ", ".join(
            f"{each.name} ({', '.join(map(str, _shape(each)))}) "
            f"{types.DataType.Name(each.type.tensor_type.elem_type).lower()}"
            for each in values
        )
        or "nothing"
    )


def _onnx() -> Any:
    try:
        import onnx
        import onnx.compose  # as onnx.compose
    except ModuleNotFoundError:
        raise MissingPackage("wrapping a model needs onnx; pip install 'artidx[wrap]'") from None
    return onnx
