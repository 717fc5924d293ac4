"""What it gives, and costs, to make a model's sums in 8 bits, not only to store its weights so.

    python benchmarks/eight_bits.py CATALOG WORK [MODEL]

MODEL, base if none is given, is quantised by ONNX Runtime, more of it from row to row: scales of what flows through it
are fixed by 32 training paintings, those of weights by their columns or kernels. Each row is held against the model as
it is, on the paintings of val_unseen and val_seen: speed, in turns, the median of five; the cosine between both
vectors; AUC and pairs found by distance alone, each split around its own centre. A model that has learnt these
paintings has higher ones. Projections and heads, and products of two things that flow, stay as they are.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from recipes import asked_about, judged

from artidx import Embedder, read_catalog
from artidx.embedder.parallel import no_bar
from artidx.embedder.training import tuned
from artidx.embedder.training.splits import TRAIN, UNSEEN, splits

CALIBRATING, TIMED, ROUNDS = 32, 32, 5
CPU = ["CPUExecutionProvider"]

Chosen = Callable[[onnx.NodeProto, tuple[int, ...]], bool]  # by a node and its weights' shape


def is_product(node: onnx.NodeProto, shape: tuple[int, ...]) -> bool:
    return node.op_type == "MatMul" and "head" not in node.input[1]


def is_pointwise_of_xception(node: onnx.NodeProto, shape: tuple[int, ...]) -> bool:
    return node.op_type == "Conv" and "pointwise" in node.input[1]


def is_dense(node: onnx.NodeProto, shape: tuple[int, ...]) -> bool:
    """A convolution over more channels than a picture has, each of which sees all."""
    return node.op_type == "Conv" and shape[1] > 3


def is_convolution(node: onnx.NodeProto, shape: tuple[int, ...]) -> bool:
    return node.op_type == "Conv"


WAYS: dict[str, tuple[Chosen, ...]] = {
    "products with weights (DINOv2)": (is_product,),
    "and Xception's pointwise convolutions": (is_product, is_pointwise_of_xception),
    "and MobileNetV2's": (is_product, is_dense),
    "and depthwise ones, and the first": (is_product, is_convolution),
}


class Paintings(CalibrationDataReader):
    """One at a time, as ONNX Runtime asks for them."""

    def __init__(self, squares: np.ndarray) -> None:
        self.rest: Iterator[np.ndarray] = iter(squares)

    def get_next(self) -> dict[str, np.ndarray] | None:
        square = next(self.rest, None)
        return None if square is None else {"image": square[None]}


def folded(model: bytes, folder: Path) -> Path:
    """The graph with its weights as numbers, not as the 8 bits they are stored in and what brings these back."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(folder / "folded.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(model, options, providers=CPU)
    quant_pre_process(folder / "folded.onnx", folder / "ready.onnx", skip_symbolic_shape=True)
    return folder / "ready.onnx"


def quantised(ready: Path, chosen: tuple[Chosen, ...], squares: np.ndarray, source: bytes) -> Embedder:
    graph = onnx.load(ready).graph
    shapes = {weight.name: tuple(weight.dims) for weight in graph.initializer}
    nodes = [node.name for node in graph.node if len(node.input) > 1 and node.input[1] in shapes
             and any(is_chosen(node, shapes[node.input[1]]) for is_chosen in chosen)]
    target = ready.with_name("quantised.onnx")
    quantize_static(ready, target, Paintings(squares), nodes_to_quantize=nodes, per_channel=True,
                    activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)
    model = onnx.load(target)
    del model.metadata_props[:]
    model.metadata_props.extend(onnx.load_from_string(source).metadata_props)
    return Embedder(model.SerializeToString(), "quantised")


def seconds(embedder: Embedder, squares: np.ndarray) -> float:
    started = time.perf_counter()
    embedder.infer(squares)
    return time.perf_counter() - started


def main(catalog: str, work: str, model: str = "base") -> None:
    as_it_is = Embedder.load(model)
    table = read_catalog(catalog).table
    table = table.assign(split=splits(table))
    packed = tuned.data_of(table, Path(work), print, no_bar).packed
    places, codes = asked_about(table, packed)
    training = tuned.places_of(table, packed, TRAIN)
    calibrating = packed.squares(np.sort(np.random.default_rng(0).choice(training, CALIBRATING, replace=False)))
    timed = packed.squares(places[UNSEEN][:TIMED])
    before = {split: as_it_is.infer(packed.squares(here)) for split, here in places.items()}

    def show(name: str, ratio: float, vectors: dict[str, np.ndarray]) -> None:
        cosines = np.concatenate([(vectors[split] * before[split]).sum(axis=1) for split in places])
        scores = [judged(vectors[split], codes[split]) for split in places]
        print(f"| {name} | {ratio:.2f} | {cosines.mean():.4f} ({cosines.min():.3f}) | "
              + " / ".join(f"{score.auc:.4f}" for score in scores) + " | "
              + " / ".join(f"{score.found:.4f}" for score in scores) + " |", flush=True)

    print("| in 8 bits | times as fast | cosine, mean (least) | AUC unseen / seen | found at 1 % |\n"
          "|---|---|---|---|---|")
    show("nothing", 1.0, before)
    with TemporaryDirectory() as folder:
        ready = folded(as_it_is.data, Path(folder))
        for name, chosen in WAYS.items():
            way = quantised(ready, chosen, calibrating, as_it_is.data)
            turns = [seconds(as_it_is, timed) / seconds(way, timed) for _ in range(ROUNDS)]
            vectors = {split: way.infer(packed.squares(here)) for split, here in places.items()}
            show(name, statistics.median(turns), vectors)


if __name__ == "__main__":
    main(*sys.argv[1:])
