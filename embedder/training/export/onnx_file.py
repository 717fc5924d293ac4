"""An ensemble becomes one ONNX file: uint8 RGB squares in, unit vectors out, preprocessing in its metadata.

Weights are stored in 8 bits if that changes them little, else in float16, and restored to float32 when the file is
loaded: a quarter of the size. Activations are int8 if that changes vectors little (int8.py), else float32. The output
of ONNX Runtime is then compared with PyTorch's.
"""

from __future__ import annotations

import copy
import io
import logging
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from ....errors import BadModel
from ...parallel import Bar, no_bar
from ...pictures.images import Pixels
from ...runtime import METADATA_FORMAT, PREPROCESSING, Array, Embedder
from ...wrapping import with_metadata as with_metadata  # for those who export
from .int8 import with_int8_activations
from .smoothing import smooth

PARITY_LIMIT = 1e-4  # largest difference allowed in any component of a unit vector; correct graphs give about 1e-6
STORED_LIMIT = 1e-2  # smallest allowed cosine is 1 minus this between vectors of stored and float32 weights
INT8_LIMIT = 1e-2  # of cosine, on average over pictures: if more is lost, activations stay float32
EIGHT_BIT_ERROR = 0.015  # root mean square, relative to that of the weights: if more is lost, float16 is used
EIGHT_BIT_SIZE = 1 << 14  # elements; smaller weights are not worth it


class _FromPixels(nn.Module):
    """(n, s, s, 3) uint8 -> (n, d)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        vectors: Tensor = self.network(image.permute(0, 3, 1, 2).float())
        return vectors


def export(
    network: nn.Module, size: int, name: str, example: Pixels, bar: Bar = no_bar, *, all_pointwise: bool = False
) -> bytes:
    """The ONNX file of a network (b, 3, s, s) float in [0, 255] -> (b, d), with the measured parity in its metadata.

    example: (n, size, size, 3), two or more real pictures to measure it on; every second one calibrates int8
    activations, and the others measure what these lose; bar: shows progress; all_pointwise: quantise all pointwise
    convolutions (int8.py). Raises BadModel if parity is lost.
    """
    network = network.eval()
    whole = _FromPixels(network)
    with torch.inference_mode(), bar(len(example), f"{name}, PyTorch's vectors of pictures") as advance:
        expected = _in_turn(lambda picture: whole(torch.from_numpy(picture)).numpy(), example, advance)
    smoothed = _FromPixels(_smoothed(network, example[::2], bar))
    with bar(1, f"{name}, conversion to ONNX") as advance:
        model = _converted(smoothed, example[:2])
        _share_weights(model)
        advance(1)

    def vectors_of(graph: onnx.ModelProto, what: str) -> Array:
        embedder = Embedder(with_metadata(_bytes(graph), _facts(size, name)), "the exported model")
        with bar(len(example), f"{name}, vectors of pictures {what}") as advance:
            return _in_turn(embedder.infer, example, advance)

    difference = float(np.abs(vectors_of(model, "by ONNX Runtime") - expected).max())
    stored = with_stored_weights(model)
    in_float = vectors_of(stored, "with stored weights")
    turned = float(_cosines_lost(in_float, expected).max())
    if not (difference <= PARITY_LIMIT and turned <= STORED_LIMIT):
        raise BadModel(f"{name}: ONNX and PyTorch differ by {difference:.1e}, and as stored by {turned:.1e} of cosine")
    parity = {"largest_difference_to_pytorch": difference, "largest_cosine_lost_to_stored_weights": turned}
    quantised = with_int8_activations(model, example[::2], bar, all_pointwise=all_pointwise)
    if quantised is not None:
        quantised = with_stored_weights(quantised)
        lost = _cosines_lost(vectors_of(quantised, "with int8 activations"), in_float)[1::2]
        if lost.mean() <= INT8_LIMIT:
            stored = quantised
            parity |= {
                "mean_cosine_lost_to_sums_in_8_bits": float(lost.mean()),
                "largest_cosine_lost_to_sums_in_8_bits": float(lost.max()),
            }
    return with_metadata(_bytes(stored), {**_facts(size, name), "parity": parity})


def _smoothed(network: nn.Module, pictures: Pixels, bar: Bar) -> nn.Module:
    """A copy whose transformers are ready for int8 activations; the network itself if it has none."""
    copied = copy.deepcopy(network)
    return copied if smooth(copied, torch.from_numpy(pictures).permute(0, 3, 1, 2).float(), bar) else network


def _in_turn(vectors_of: Callable[[Pixels], Array], pictures: Pixels, advance: Callable[[int], None]) -> Array:
    """(n, d) of pictures (n, s, s, 3), one after the other."""
    found = []
    for number in range(len(pictures)):
        found.append(vectors_of(pictures[number : number + 1]))
        advance(1)
    return np.concatenate(found)


def _facts(size: int, name: str) -> dict[str, Any]:
    return {"format": METADATA_FORMAT, "name": name, "preprocessing": {"size": size, **PREPROCESSING}}


def _cosines_lost(vectors: Array, expected: Array) -> Array:
    lost: Array = 1 - (vectors * expected).sum(axis=1)
    return lost


def _converted(whole: nn.Module, example: Pixels) -> onnx.ModelProto:
    batch = torch.export.Dim("n", min=1)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            whole,
            (torch.from_numpy(example),),
            dynamo=True,
            input_names=["image"],
            output_names=["vector"],
            dynamic_shapes={"image": {0: batch}},
            verbose=False,
        )
    if program is None:  # only for other arguments than ours, but the annotation allows None
        raise ValueError("torch.onnx.export gave nothing")
    saved = io.BytesIO()
    onnx.save(program.model_proto, saved)
    model = onnx.load_from_string(saved.getvalue())
    del model.graph.value_info[:]  # shapes of intermediate tensors: many kilobytes that nobody reads
    for node in model.graph.node:  # the exporter records the source line of every operation, with local paths
        del node.metadata_props[:]
        node.doc_string = ""
    return model


def _share_weights(model: onnx.ModelProto) -> None:
    """Store equal weights once. Members with the same frozen blocks then share their output: ONNX Runtime merges equal
    operations on equal inputs when it loads a file."""
    first: dict[tuple[Any, ...], str] = {}
    same, kept = {}, []
    for weight in model.graph.initializer:
        content = weight.data_type, tuple(weight.dims), numpy_helper.to_array(weight).tobytes()
        if content in first:
            same[weight.name] = first[content]
        else:
            first[content] = weight.name
            kept.append(weight)
    for node in model.graph.node:
        for at, name in enumerate(node.input):
            node.input[at] = same.get(name, name)
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)


def with_stored_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with float32 matrices and kernels stored in fewer bits, and operations that restore them.

    ONNX Runtime folds these when it loads the file.
    """
    model = copy.deepcopy(model)
    restoring, scales = [], []
    for weight in model.graph.initializer:
        if weight.data_type != TensorProto.FLOAT or len(weight.dims) < 2:
            continue
        name, values = weight.name, numpy_helper.to_array(weight)
        eight = _in_eight_bits(values) if values.size >= EIGHT_BIT_SIZE else None
        if eight:
            weight.CopyFrom(numpy_helper.from_array(eight[0], f"{name}_stored"))
            scales.append(numpy_helper.from_array(eight[1], f"{name}_scale"))
            restoring += [
                helper.make_node("Cast", [f"{name}_stored"], [f"{name}_cast"], to=TensorProto.FLOAT),
                helper.make_node("Mul", [f"{name}_cast", f"{name}_scale"], [name]),
            ]
        elif np.abs(values).max() < np.finfo(np.float16).max:
            weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_stored"))
            restoring.append(helper.make_node("Cast", [f"{name}_stored"], [name], to=TensorProto.FLOAT))
    model.graph.initializer.extend(scales)
    nodes = [*restoring, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def _in_eight_bits(weight: Array) -> tuple[npt.NDArray[np.int8], Array] | None:
    """(integers from -127 to 127, scales) whose product approximates the weight, or None if too much is lost.

    A kernel (o, i, h, w) has a scale for each output; a matrix has one for each row or each column, whichever loses
    less: rows of a projection, which belong to features, differ more in magnitude than its columns.
    """
    ways = [tuple(range(1, weight.ndim))] if weight.ndim > 2 else [(0,), (1,)]
    rounded = [_rounded(weight, axes) for axes in ways]
    errors = [float(np.mean((eight * scale - weight) ** 2)) for eight, scale in rounded]
    least = int(np.argmin(errors))
    return rounded[least] if errors[least] <= EIGHT_BIT_ERROR**2 * float(np.mean(weight**2)) else None


def _rounded(weight: Array, axes: tuple[int, ...]) -> tuple[npt.NDArray[np.int8], Array]:
    """Integers from -127 to 127 and their scales, one for all elements along these axes."""
    scale = np.maximum(np.abs(weight).max(axis=axes, keepdims=True) / 127, np.finfo(np.float32).tiny)
    return np.round(weight / scale).astype(np.int8), scale.astype(np.float32)


def _bytes(model: onnx.ModelProto) -> bytes:
    data: bytes = model.SerializeToString(deterministic=True)
    return data
