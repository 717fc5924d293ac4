"""Int8 activations for the operations that lose little by them: CPUs with VNNI compute these faster.

These are a transformer's products of tokens with weights, and the pointwise half of separable convolutions; in networks
like EfficientNet-Lite, designed for quantisation, every pointwise convolution. The rest stays in float32: heads are
cheap, and MobileNetV2's convolutions lose too much (docs/experiments.md). Activation ranges are fixed, so that a
picture's vector does not depend on others. Does not decide whether too much is lost (onnx_file.py).
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

# As with ONNX Runtime's reduce_range. CPUs without VNNI add two products in 16 bits, which can hold 2 x 255 x 64.
MOST = 64
DAMPING = 0.01  # of the mean square of the inputs, as in GPTQ

Doubles = npt.NDArray[np.float64]


def with_int8_activations(
    model: onnx.ModelProto, typical: Pixels, bar: Bar = no_bar, *, all_pointwise: bool = False
) -> onnx.ModelProto | None:
    """The graph with int8 activations, by ONNX Runtime's static quantisation, or None if no operation is suitable.

    model: with plain float32 weights; typical: (n, size, size, 3) pictures for calibration, which give the ranges of
    inputs and of the outputs of convolutions. Each range is the mean of the single pictures' ranges, and values beyond
    it are clipped: a few pictures have activations many times as large as others in Xception, and a range that covers
    them would leave few steps to the rest. Weights are integers from -64 to 64, with a scale for each column or kernel.
    all_pointwise: quantise every pointwise convolution, not only those directly after a depthwise one.
    """
    with TemporaryDirectory() as folder:
        given, ready, quantised = (Path(folder) / f"{name}.onnx" for name in ("given", "ready", "quantised"))
        onnx.save(model, given)  # with a model in memory, ONNX Runtime would look for weights in other files
        quant_pre_process(given, ready, skip_symbolic_shape=True)
        exact = onnx.load(ready)
        chosen = _bear_int8(exact.graph, all_pointwise)
        if not chosen:
            return None
        with bar(len(typical), "activation ranges, pictures") as advance:
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
    del found.graph.value_info[:], found.opset_import[:]  # ONNX Runtime adds all that it knows
    found.opset_import.extend(model.opset_import)
    return found


def _bear_int8(graph: onnx.GraphProto, all_pointwise: bool) -> list[onnx.NodeProto]:
    """The operations to quantise: products of tokens (b, n, c) with weights; pointwise convolutions, all or those right
    after depthwise ones."""
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
    """Names of the small products that smoothing.py keeps in float32: of the products of slices of one tensor, all but
    the largest."""
    whole = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Slice"}
    largest: dict[str, onnx.NodeProto] = {}
    of_slices = [node for node in nodes if node.op_type == "MatMul" and node.input[0] in whole]
    for node in of_slices:
        flow = whole[node.input[0]]
        if flow not in largest or shapes[node.input[1]][0] > shapes[largest[flow].input[1]][0]:
            largest[flow] = node
    return {node.name for node in of_slices} - {node.name for node in largest.values()}


def _is_depthwise(node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> bool:
    """Whether each of several channels is convolved separately."""
    return _groups(node) > 1 and shapes.get(node.input[1], ())[1:2] == (1,)


def _groups(node: onnx.NodeProto) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)


def _round_anew(
    quantised: onnx.ModelProto, exact: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], pictures: Pixels, bar: Bar
) -> None:
    """Replace the weights of these operations by integers that lose less on these pictures."""
    with bar(len(pictures), "inputs of products, pictures") as advance:
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
    """For each weight: (i, i) second moments of its i input channels; every picture counts the same."""
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
    """(i, o) integers which, times scales (o,), approximate the weight (i, o); moments: (i, i) of its inputs.

    Rounds row after row, and lets later rows compensate for the error: GPTQ (Frantar et al., 2022).
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
    """Feeds pictures to ONNX Runtime one by one."""

    def __init__(self, pictures: Pixels, advance: Callable[[int], None]) -> None:
        self.rest: Iterator[Pixels] = iter(pictures)
        self.advance = advance

    def get_next(self) -> dict[str, Pixels] | None:
        picture = next(self.rest, None)
        if picture is None:
            return None
        self.advance(1)
        return {"image": picture[None]}
