"""Sums in 8 bits, that is, of numbers of 8 bits, for operations that bear them: CPUs with VNNI make them faster.

That is a transformer's products of tokens with weights, and the pointwise half of separable convolutions; in networks
like EfficientNet-Lite, built to be quantised, every pointwise convolution. The rest stays in float32: heads have little
to do, and MobileNetV2's convolutions lose too much (docs/experiments.md). The ranges of what is rounded are fixed, so
that a picture's vector does not depend on others. Does not decide whether such sums lose too much (export.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from ...parallel import Bar, no_bar
from ...pictures.images import Pixels
from ...runtime import PROVIDERS

# As ONNX Runtime's reduce_range has it. CPUs without VNNI sum two products in 16 bits, which hold 2 x 255 x 64.
MOST = 64
DAMPING = 0.01  # of the mean square of what flows in, as in GPTQ

Doubles = npt.NDArray[np.float64]


def with_int8_activations(
    model: onnx.ModelProto, typical: Pixels, bar: Bar = no_bar, *, all_pointwise: bool = False
) -> onnx.ModelProto | None:
    """The graph with such sums, by ONNX Runtime's static quantisation, or None if nothing in it bears them.

    model: its weights are plain float32 numbers; typical: (n, size, size, 3) pictures, which give the ranges of what
    flows in, and of what convolutions give. Each is the mean of the pictures' own, and what lies beyond is cut: a few
    pictures excite Xception many times as much as others, and a range for these would leave all others a few steps.
    Weights are whole numbers from -64 to 64, with a scale for each column or kernel. all_pointwise: whether every
    pointwise convolution bears it, not only those of what a depthwise one gives, as it is.
    """
    with TemporaryDirectory() as folder:
        given, ready, quantised = (Path(folder) / f"{name}.onnx" for name in ("given", "ready", "quantised"))
        onnx.save(model, given)  # as a file: handed over in memory, its weights would be looked for in another one
        quant_pre_process(given, ready, skip_symbolic_shape=True)
        exact = onnx.load(ready)
        chosen = _bear_int8(exact.graph, all_pointwise)
        if not chosen:
            return None
        with bar(len(typical), "ranges of what is rounded, pictures") as advance:
            quantize_static(
                ready,
                quantised,
                _OneByOne(typical, advance),
                nodes_to_quantize=[node.name for node in chosen],
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                extra_options={"CalibMovingAverage": True, "OpTypesToExcludeOutputQuantization": ["MatMul"]},
            )
        found = onnx.load(quantised)
    _round_anew(found, exact, chosen, typical, bar)
    del found.graph.value_info[:], found.opset_import[:]  # ONNX Runtime adds every one that it knows
    found.opset_import.extend(model.opset_import)
    return found


def _bear_int8(graph: onnx.GraphProto, all_pointwise: bool) -> list[onnx.NodeProto]:
    """Products of tokens (b, n, c) with weights; pointwise convolutions, all or those right after depthwise ones."""
    shapes = {weight.name: tuple(weight.dims) for weight in graph.initializer}
    tokens = {value.name for value in graph.value_info if len(value.type.tensor_type.shape.dim) == 3}
    depthwise = {node.output[0] for node in graph.node if node.op_type == "Conv" and _is_depthwise(node, shapes)}

    def bears(node: onnx.NodeProto) -> bool:
        if node.op_type == "MatMul":
            return node.input[0] in tokens and len(shapes.get(node.input[1], ())) == 2
        return (
            node.op_type == "Conv"
            and (all_pointwise or node.input[0] in depthwise)
            and _groups(node) == 1
            and shapes.get(node.input[1], ())[2:] == (1, 1)
        )

    chosen = [node for node in graph.node if bears(node)]
    outliers = _outliers(graph, chosen, shapes)
    return [node for node in chosen if node.name not in outliers]


def _outliers(graph: onnx.GraphProto, nodes: Sequence[onnx.NodeProto], shapes: dict[str, tuple[int, ...]]) -> set[str]:
    """Names of the small products of what smoothing.py keeps in float32: of those of slices of one flow, all but the
    largest."""
    whole = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Slice"}
    largest: dict[str, onnx.NodeProto] = {}
    of_slices = [node for node in nodes if node.op_type == "MatMul" and node.input[0] in whole]
    for node in of_slices:
        flow = whole[node.input[0]]
        if flow not in largest or shapes[node.input[1]][0] > shapes[largest[flow].input[1]][0]:
            largest[flow] = node
    return {node.name for node in of_slices} - {node.name for node in largest.values()}


def _is_depthwise(node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> bool:
    """Whether each of several channels is convolved for itself."""
    return _groups(node) > 1 and shapes.get(node.input[1], ())[1:2] == (1,)


def _groups(node: onnx.NodeProto) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)


def _round_anew(
    quantised: onnx.ModelProto, exact: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], pictures: Pixels, bar: Bar
) -> None:
    """Replace the weights of these operations by whole numbers that lose less on these pictures."""
    with bar(len(pictures), "what flows into products, pictures") as advance:
        moments = _moments(exact, nodes, pictures, advance)
    weights = {weight.name: numpy_helper.to_array(weight) for weight in exact.graph.initializer}
    stored = {weight.name: weight for weight in quantised.graph.initializer}
    with bar(len(moments), "rounding, weights") as advance:
        for name, moment in moments.items():
            weight, whole = weights[name], stored[f"{name}_quantized"]
            scales = numpy_helper.to_array(stored[f"{name}_scale"])
            numbers = (
                rounded(weight, scales, moment)
                if weight.ndim == 2
                else rounded(weight[:, :, 0, 0].T, scales, moment).T[:, :, None, None]
            )
            whole.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(numbers), whole.name))
            advance(1)


def _moments(
    model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], pictures: Pixels, advance: Callable[[int], None]
) -> dict[str, Doubles]:
    """For each weight: (i, i) sums of products of the i channels that flow into it; every picture counts the same."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    del watched.graph.output[:]
    flows = list(dict.fromkeys(node.input[0] for node in nodes))
    watched.graph.output.extend(helper.make_empty_tensor_value_info(flow) for flow in flows)
    session = onnxruntime.InferenceSession(watched.SerializeToString(), providers=[PROVIDERS["cpu"]])
    found: dict[str, Doubles] = {}
    for picture in _OneByOne(pictures, advance):
        values = dict(zip(flows, session.run(None, picture), strict=True))
        for node in nodes:
            value = values[node.input[0]][0].astype(np.float64)
            rows = value.reshape(len(value), -1).T if node.op_type == "Conv" else value  # (positions, i)
            weight = node.input[1]
            found[weight] = found.get(weight, 0.0) + rows.T @ rows / (np.mean(rows**2) or 1.0)
    return found


def rounded(weight: npt.NDArray[np.float32], scales: npt.NDArray[np.float32], moments: Doubles) -> npt.NDArray[np.int8]:
    """(i, o) whole numbers which, times scales (o,), stand for the weight (i, o), with moments (i, i) of what it sees.

    Row after row is rounded, and the rows to come make good what that has cost: GPTQ (Frantar et al., 2022).
    """
    damped = moments + DAMPING * (np.mean(np.diag(moments)) or 1.0) * np.eye(len(moments))
    spread = np.linalg.cholesky(np.linalg.inv(damped)).T  # (i, i), its lower half 0
    rest = weight.astype(np.float64)
    numbers = np.empty(weight.shape, np.int8)
    for row in range(len(rest)):
        numbers[row] = np.clip(np.round(rest[row] / scales), -MOST, MOST)
        lost = (rest[row] - numbers[row] * scales) / spread[row, row]
        rest[row + 1 :] -= np.outer(spread[row, row + 1 :], lost)
    return numbers


class _OneByOne(CalibrationDataReader):  # type: ignore[misc]
    """Pictures as ONNX Runtime asks for them."""

    def __init__(self, pictures: Pixels, advance: Callable[[int], None]) -> None:
        self.rest: Iterator[Pixels] = iter(pictures)
        self.advance = advance

    def get_next(self) -> dict[str, Pixels] | None:
        picture = next(self.rest, None)
        if picture is None:
            return None
        self.advance(1)
        return {"image": picture[None]}
