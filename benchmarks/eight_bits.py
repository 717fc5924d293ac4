"""What int8 activations of a model give, and cost: compared with the same model in float32.

    python benchmarks/eight_bits.py CATALOG WORK [MODEL]

MODEL is base if none is given. Both embed the paintings of val_unseen and val_seen: speed is the median of five,
alternating; the cosine is between both vectors; AUC and pairs found are by distance alone, each split around its own
centre. They are too high for a model that was trained on these paintings. Weights are rounded in both; the export
measures the cost of that.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from recipes import asked_about, judged

from artidx import Embedder, read_catalog
from artidx.embedder.parallel import no_bar
from artidx.embedder.training.data.splits import UNSEEN, splits
from artidx.embedder.training.recipes import training_set

TIMED, ROUNDS = 32, 5


def with_sums_in_float(model: bytes) -> bytes:
    """The graph without quantisation of activations, its integer weights converted to float32."""
    found = onnx.load_from_string(model)
    stored = {weight.name: numpy_helper.to_array(weight) for weight in found.graph.initializer}
    exact = {node.output[0]: node.input[0] for node in found.graph.node if node.op_type == "QuantizeLinear"}
    before: dict[str, str] = {}  # the input of each pair of quantise and dequantise
    for node in found.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in stored:
            found.graph.initializer.append(numpy_helper.from_array(_brought_back(node, stored), node.output[0]))
        elif node.op_type == "DequantizeLinear":
            before[node.output[0]] = exact[node.input[0]]
    kept = [node for node in found.graph.node if node.op_type not in ("QuantizeLinear", "DequantizeLinear")]
    for node in kept:
        node.input[:] = [before.get(name, name) for name in node.input]
    del found.graph.node[:]
    found.graph.node.extend(kept)
    return found.SerializeToString()


def _brought_back(node: onnx.NodeProto, stored: dict[str, np.ndarray]) -> np.ndarray:
    numbers, scales = stored[node.input[0]], stored[node.input[1]]
    axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
    shape = [len(scales) if along == axis % numbers.ndim else 1 for along in range(numbers.ndim)] if scales.ndim else []
    return numbers.astype(np.float32) * scales.reshape(shape)


def seconds(embedder: Embedder, squares: np.ndarray) -> float:
    started = time.perf_counter()
    embedder.infer(squares)
    return time.perf_counter() - started


def main(catalog: str, work: str, model: str = "base") -> None:
    as_it_is = Embedder.load(model)
    in_float = Embedder(with_sums_in_float(as_it_is.data), "the same, with sums in float32")
    table = read_catalog(catalog).table
    table = table.assign(split=splits(table))
    packed = training_set.data_of(table, Path(work), print, no_bar).packed
    places, codes = asked_about(table, packed)
    timed = packed.squares(places[UNSEEN][:TIMED])
    ratio = statistics.median(seconds(in_float, timed) / seconds(as_it_is, timed) for _ in range(ROUNDS))
    vectors = {
        embedder: {split: embedder.infer(packed.squares(here)) for split, here in places.items()}
        for embedder in (in_float, as_it_is)
    }
    print("| sums | times as fast | cosine, mean (least) | AUC unseen / seen | found at 1% |\n|---|---|---|---|---|")
    for name, embedder, faster in (("in float32", in_float, 1.0), ("in 8 bits, as it is", as_it_is, ratio)):
        found, exact = vectors[embedder], vectors[in_float]
        cosines = np.concatenate([(found[split] * exact[split]).sum(axis=1) for split in places])
        scores = [judged(found[split], codes[split]) for split in places]
        print(
            f"| {name} | {faster:.2f} | {cosines.mean():.4f} ({cosines.min():.3f}) | "
            + " / ".join(f"{score.auc:.4f}" for score in scores)
            + " | "
            + " / ".join(f"{score.found:.4f}" for score in scores)
            + " |",
            flush=True,
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
