"""Fit `small` to the vectors of another teacher: its backbone stays, its projection is fitted by ridge regression.

    python benchmarks/another_teacher.py PAINTINGS WORK OUTPUT.onnx

PAINTINGS: as for all_origins.py. The teacher's vectors of its training paintings are those of its reference gallery.
The student's features are the graph's values before the last projection, with int8 activations; a projection fitted to
the teacher's vectors (first_head of the distilled recipe, ridge 0.01) replaces the old one. The model is then measured,
calibrated and written with its card like those of `artidx train`. Takes some minutes on two cores; WORK has the index
of the measurement.
"""

from __future__ import annotations

import contextlib
import json
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pandas as pd
from all_origins import joined
from onnx import helper, numpy_helper

from artidx import Embedder, Index
from artidx.embedder.catalogs.catalog import read_catalog
from artidx.embedder.training.export.onnx_file import with_stored_weights
from artidx.embedder.training.recipes.distilled import DistilledSettings, first_head
from artidx.embedder.wrapping import with_metadata
from artidx.index import measured
from artidx.index.measured import Splits
from artidx.index.storage.reference import Reference

CENTRE, PROJECTION = "network.head.centre", "network.head.projection"
SPLITS = Splits("train", "val_seen", "val_unseen", ("train_away",), ("strangers_away", "val_away"))
MADE = """One `efficientnet_lite2` with pretrained weights (Google, Apache-2.0), read at several depths (mean and
standard deviation of every channel). It was trained to reproduce the vectors of a larger model, its teacher, and has
had two teachers:

1. The previous `base` (four networks side by side, trained on one source). All but the first 4 parts were trained on
   its vectors of 9,450 paintings: 14 epochs at a rate of 0.0004, on crops of 154 px of paintings that were re-
   digitised at random, 25% of them in another light and with a strip of background around them. The backbone has
   not changed since.
2. `base` {teacher}. Only the projection was fitted to its vectors, by ridge regression (0.01 of the mean variance of a
   feature), for the {count:,} paintings from several sources that `base` was trained on, each as it is
   (`benchmarks/another_teacher.py`)."""


def head_of(model: onnx.ModelProto) -> onnx.NodeProto:
    """The node that subtracts the head's centre."""
    return next(node for node in model.graph.node if node.op_type == "Sub" and CENTRE in node.input)


def features_of(model: onnx.ModelProto, facts: dict[str, Any]) -> Embedder:
    """A model that returns the inputs of the head: parts of unit length each, divided by their common length."""
    cut = onnx.ModelProto()
    cut.CopyFrom(model)
    head = head_of(cut)
    nodes = list(cut.graph.node)
    nodes = nodes[: next(at for at, node in enumerate(nodes) if node.output == head.output)]
    del cut.graph.node[:]
    cut.graph.node.extend(nodes)
    cut.graph.node.extend([helper.make_node("LpNormalization", [head.input[0]], ["vector"], axis=-1, p=2)])
    width = next(weight.dims[0] for weight in cut.graph.initializer if weight.name == CENTRE)
    cut.graph.output[0].type.tensor_type.shape.dim[1].dim_value = width
    return Embedder(with_metadata(cut.SerializeToString(), facts), "the student's features")


def with_head(
    model: onnx.ModelProto, centre: npt.NDArray[np.float32], projection: npt.NDArray[np.float32]
) -> onnx.ModelProto:
    """The graph with another head, whose weights are quantised."""
    head, rest = onnx.ModelProto(), onnx.ModelProto()
    head.CopyFrom(model)
    rest.CopyFrom(model)
    del head.graph.node[:], head.graph.initializer[:]
    head.graph.initializer.append(numpy_helper.from_array(projection, PROJECTION))
    head = with_stored_weights(head)
    kept = [weight for weight in rest.graph.initializer if not weight.name.startswith((PROJECTION, CENTRE))]
    nodes = [node for node in rest.graph.node if not node.output[0].startswith(PROJECTION)]
    del rest.graph.node[:], rest.graph.initializer[:]
    rest.graph.node.extend([*head.graph.node, *nodes])
    rest.graph.initializer.extend([*kept, *head.graph.initializer, numpy_helper.from_array(centre, CENTRE)])
    return rest


def main(paintings: Path, work: Path, output: Path) -> None:
    work.mkdir(parents=True, exist_ok=True)
    joined(paintings).to_csv(work / "all.csv", index=False)
    table = read_catalog(work / "all.csv").table
    learnt = table[table["split"].str.startswith("train")]
    gallery = Index.open(Reference("base"))
    row = pd.Series(np.arange(len(gallery)), index=gallery.generation.table["id"])
    learnt = learnt[learnt["id"].isin(row.index)]
    targets = np.asarray(gallery.generation.embeddings[row[learnt["id"]].to_numpy()], dtype=np.float32)
    source = files("artidx.embedder.models").joinpath("small.onnx").read_bytes()
    model = onnx.load_from_string(source)
    facts = json.loads({each.key: each.value for each in model.metadata_props}["artidx"])
    features = features_of(model, facts).transform(learnt["path"]) * np.sqrt(5)
    head = first_head(features, targets, [1], DistilledSettings().ridge)
    centre, projection = (getattr(head, name).detach().numpy() for name in ("centre", "projection"))
    facts.pop("calibration", None)
    data = with_metadata(with_head(model, centre, projection).SerializeToString(deterministic=True), facts)
    student = Embedder(data, str(output))
    made = MADE.format(teacher=gallery.generation.manifest.model.sha256[:12], count=len(learnt))

    def note(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    @contextlib.contextmanager
    def bar(count: int, what: str) -> Any:
        note(f"{what}: {count:,}")
        yield lambda done: None

    measured.write(measured.measure(student, made, table, SPLITS, work, note, bar), output)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]), Path(sys.argv[3]))
