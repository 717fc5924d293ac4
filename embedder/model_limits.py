"""What a model may have in its graph, and how long it may run, since it may come from anywhere.

ONNX Runtime would read the files that a tensor names, run a loop for years and load operators that others wrote. So a
graph may have only the operators that lead from a picture to a vector, each run once, and its weights must be in the
file itself. Reads as much of protobuf's wire format as that takes, without the package onnx. Does not check that the
graph is valid: ONNX Runtime does.

Runs of a model, and its loading, that take too long are terminated: one thread checks every second while anything runs.
A run can be ended between two operators, not within one. Loading can be ended between two steps, and computing the
constants of a graph is a single step: if that is much work, it is left to the runs.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from time import monotonic
from typing import Any, NamedTuple

from ..errors import BadModel

MOST_FIELDS = 1_000_000  # of names, numbers and parts: many times those of a large network; checked in seconds
MOST_CONSTANTS, MOST_PRODUCTS = 2000, 20  # of operators that depend on no picture; exporters leave hundreds, and none
LOOK_S = 1.0  # between two checks of what runs
DEEPEST = 32  # of nested messages: a graph without subgraphs is half as deep

# Of opset 23 of ONNX: all that map tensors to tensors without control flow, sequences, strings, randomness or training.
_ORDINARY = """
    Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh Attention AveragePool BatchNormalization BitShift
    BitwiseAnd BitwiseNot BitwiseOr BitwiseXor BlackmanWindow Cast CastLike Ceil Celu CenterCropPad Clip Col2Im Compress
    Concat Constant ConstantOfShape Conv ConvInteger ConvTranspose Cos Cosh CumSum DeformConv DepthToSpace
    DequantizeLinear Det DFT Div Dropout DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor
    Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual
    GridSample GroupNormalization HammingWindow HannWindow HardSigmoid HardSwish Hardmax Identity
    InstanceNormalization IsInf IsNaN LRN LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax LpNormalization
    LpPool MatMul MatMulInteger Max MaxPool MaxRoiPool MaxUnpool Mean MeanVarianceNormalization Min Mish Mod Mul Neg
    NonMaxSuppression NonZero Not OneHot Or PRelu Pad Pow QLinearConv QLinearMatMul QuantizeLinear RMSNormalization
    Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd
    ReduceSum ReduceSumSquare Relu Reshape Resize RoiAlign RotaryEmbedding Round ScatterElements ScatterND Selu Shape
    Shrink Sigmoid Sign SimplifiedLayerNormalization Sin Sinh Size Slice Softmax Softplus Softsign SpaceToDepth Split
    Sqrt Squeeze Sub Sum Swish Tan Tanh ThresholdedRelu Tile TopK Transpose Trilu Unique Unsqueeze Upsample Where Xor
"""
# ONNX Runtime's own operators: quantised ones, and those into which its optimiser fuses ordinary ones.
_MICROSOFT = """
    Attention BiasAdd BiasGelu BiasSoftmax BiasSplitGelu CDist DequantizeLinear DequantizeWithOrder
    DynamicQuantizeMatMul FastGelu FusedConv FusedGemm FusedMatMul FusedMatMulActivation GatherBlockQuantized Gelu
    GemmFastGelu GroupNorm GroupQueryAttention MatMulBnb4 MatMulFpQ4 MatMulInteger16 MatMulIntegerToFloat MatMulNBits
    MulInteger MultiHeadAttention NhwcConv NhwcFusedConv NhwcMaxPool PackedAttention QAttention QGemm QLinearAdd
    QLinearAveragePool QLinearConcat QLinearConv QLinearGlobalAveragePool QLinearLeakyRelu QLinearMul QLinearReduceMean
    QLinearSigmoid QLinearSoftmax QLinearWhere QMoE QuantizeLinear QuantizeWithOrder QuickGelu ReduceSumInteger
    RotaryEmbedding SkipGroupNorm SkipLayerNormalization SkipSimplifiedLayerNormalization TransposeMatMul
"""
OPERATORS = {"": frozenset(_ORDINARY.split()), "com.microsoft": frozenset(_MICROSOFT.split())}
OPERATORS["ai.onnx"] = OPERATORS[""]

# Which fields of which messages hold messages, by their numbers in onnx.proto. Only those that lead to nodes and
# tensors.
_INSIDE = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "graph": {1: "node", 5: "tensor", 11: "input", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "subgraph", 10: "tensor", 11: "subgraph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
    "input": {},
}
_REFUSED = {
    "subgraph": "control flow (Loop, Scan, If and the like)",
    "function": "functions of its own",
    "training": "instructions for training",
}
_INPUT, _OUTPUT, _OP_TYPE, _DOMAIN = 1, 2, 4, 7  # of a node
_TENSOR_NAME, _INPUT_NAME = 8, 1
_SHAPES = ("Shape", "Size")  # constant even if the input is not
_PRODUCTS = frozenset(name for names in OPERATORS.values() for name in names if "MatMul" in name or "Conv" in name)
_PRODUCTS |= {"Attention", "Det", "DFT", "Einsum", "Gemm", "FusedGemm", "QGemm", "QAttention", "MultiHeadAttention"}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # of a tensor


class _Field(NamedTuple):
    """One field of a message: its number, and its bytes if it has a length, else its integer."""

    number: int
    value: memoryview | int


class Constants(NamedTuple):
    """How many operators depend on no picture, and how many of these are products of matrices."""

    operators: int
    products: int

    @property
    def are_few(self) -> bool:
        """Whether they may be computed when the session is created, which cannot be interrupted."""
        return self.operators <= MOST_CONSTANTS and self.products <= MOST_PRODUCTS


class _Node(NamedTuple):
    name: str
    inputs: list[str]
    outputs: list[str]


def check_graph(data: bytes, source: str) -> Constants:
    """The constants of the graph. Raises BadModel unless it may be run."""
    try:
        return _check(memoryview(data))
    except _Refused as problem:
        raise BadModel(f"{source}: {problem}") from None
    except (IndexError, ValueError):
        raise BadModel(f"{source}: not a usable ONNX model: it cannot be read as one") from None


class _Refused(Exception):
    """The graph contains something that is not allowed."""


def _check(model: memoryview) -> Constants:
    nodes: list[_Node] = []
    inputs: set[str] = set()
    given: set[str] = set()  # names of tensors in the file
    waiting: list[tuple[str, memoryview, int]] = [("model", model, 0)]
    left = MOST_FIELDS
    while waiting:
        kind, message, depth = waiting.pop()
        if kind in _REFUSED:
            raise _Refused(f"has {_REFUSED[kind]}, which artidx does not run")
        fields = list(islice(_fields(message), left + 1))
        left -= len(fields)
        if left < 0 or depth > DEEPEST:
            raise _Refused(f"has over {MOST_FIELDS:,} parts, or they are nested more than {DEEPEST} deep")
        if kind == "node":
            nodes.append(_Node(_check_operator(fields), *(_texts(fields, number) for number in (_INPUT, _OUTPUT))))
        elif kind == "tensor" and any(
            field.number == _EXTERNAL_DATA or (field.number == _DATA_LOCATION and field.value) for field in fields
        ):
            raise _Refused("has numbers in other files (external data), which are not read; save it as one file")
        elif kind == "tensor":
            given.update(_texts(fields, _TENSOR_NAME))
        elif kind == "input":
            inputs.update(_texts(fields, _INPUT_NAME))
        inside = _INSIDE[kind]
        waiting.extend(
            (inside[field.number], field.value, depth + 1)
            for field in fields
            if field.number in inside and not isinstance(field.value, int)
        )
    return _constants(nodes, inputs - given)


def _texts(fields: list[_Field], number: int) -> list[str]:
    return [
        bytes(field.value).decode() for field in fields if field.number == number and not isinstance(field.value, int)
    ]


def _constants(nodes: list[_Node], inputs: set[str]) -> Constants:
    """The nodes that do not depend on an input; shapes count as constant."""
    readers: dict[str, list[int]] = {}
    for place, node in enumerate(nodes):
        for name in node.inputs:
            readers.setdefault(name, []).append(place)
    reached: set[int] = set()
    names = list(inputs)
    while names:
        for place in readers.pop(names.pop(), ()):
            if place not in reached:
                reached.add(place)
                names.extend(nodes[place].outputs if nodes[place].name not in _SHAPES else ())
    left = [node.name for place, node in enumerate(nodes) if place not in reached and node.name != "Constant"]
    return Constants(len(left), sum(name in _PRODUCTS for name in left))


def _check_operator(fields: list[_Field]) -> str:
    """Its name. Raises _Refused."""
    # If a field occurs twice, the last one counts.
    name, domain = (
        next(
            (
                bytes(field.value).decode()
                for field in reversed(fields)
                if field.number == number and not isinstance(field.value, int)
            ),
            "",
        )
        for number in (_OP_TYPE, _DOMAIN)
    )
    if name not in OPERATORS.get(domain, ()):
        called = f"{domain}::{name}" if domain else name
        raise _Refused(
            f"has the operator {called[:80]!r}, which is not among those that are run "
            f"(embedder/model_limits.py lists them)"
        )
    return name


def _fields(message: memoryview) -> Iterator[_Field]:
    """Raises IndexError or ValueError if the bytes are no message."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        if key >> 32:  # protobuf would read its last 32 bits
            raise ValueError("a number of a field that is too large")
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(message, at)
            yield _Field(number, value)
            continue
        if wire == 2:
            length, at = _varint(message, at)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError("a kind of field that ONNX does not have")
        if at + length > len(message):
            raise ValueError("cut")
        # Protobuf does not accept a string or a message encoded as a number of fixed length.
        yield _Field(number, message[at : at + length] if wire == 2 else 1)
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """The number that begins there, and the position after it."""
    found = 0
    for place in range(10):
        byte = message[at + place]
        found |= (byte & 127) << 7 * place
        if byte < 128:
            return found, at + place + 1
    raise ValueError("a number without an end")


class Loading:
    """The creation of a session, with the interface by which a run is terminated."""

    def __init__(self, options: Any) -> None:
        """options: ONNX Runtime's SessionOptions."""
        self._options = options
        self._is_ended = False

    @property
    def terminate(self) -> bool:
        """Whether it has been told to terminate."""
        return self._is_ended

    @terminate.setter
    def terminate(self, is_ended: bool) -> None:
        self._is_ended = is_ended
        self._options.set_load_cancellation_flag(is_ended)


class Deadline:
    """So many seconds for each run; safe to share between threads."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._running: dict[int, tuple[float, Any]] = {}  # when it must end, and what to terminate
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @contextmanager
    def of(self, run: Any) -> Iterator[None]:
        """A context in which the run may take this long; after that it is told to terminate. run: RunOptions or a
        Loading."""
        with self._changed:
            self._running[id(run)] = monotonic() + self.seconds, run
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="deadline", daemon=True)
                self._thread.start()
            elif len(self._running) == 1:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                del self._running[id(run)]

    def _look(self) -> None:
        while True:
            with self._changed:
                while not self._running:
                    self._changed.wait()
                for ends, run in self._running.values():
                    if monotonic() > ends:
                        run.terminate = True
                self._changed.wait(min(LOOK_S, self.seconds))
