"""Images to vectors with the exported model, through ONNX Runtime; the one place that talks to it.

Everything that happens to an image is fixed by the model file: the size of the square is in its metadata, normalisation
and the rest are part of the graph. Does not train or export (training/), and stores nothing (index/).

On a CPU, one thread takes an image from its bytes to its vector, and there are no batches: single images are no slower
in ONNX Runtime there, decoding and embedding overlap, and the last bits of a vector do not depend on its neighbours in
a batch. On a GPU, threads decode ahead and whole batches run.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..errors import BadModel, BadSetting, MissingPackage, UnreadableImage, exhausted
from . import bounds
from .as_transformer import AsTransformer
from .locations import Reader, content_hash
from .model_limits import Deadline, Loading, check_graph
from .parallel import ahead, batches
from .pictures.images import MAX_PIXELS, Pixels, Source, check_size, one, several
from .pictures.preprocessing import Preprocessing
from .resources import available_cores as available_cores

if TYPE_CHECKING:
    import onnxruntime

Array = npt.NDArray[np.float32]
ImageLike = str | os.PathLike[str] | bytes | Image.Image | npt.NDArray[np.generic]

MODELS = Path(__file__).with_name("models")
DEFAULT_MODEL = MODELS / "base.onnx"
SHIPPED = ("base", "small")  # names that may stand for a path
METADATA_KEY = "artidx"
METADATA_FORMAT = 1
PREPROCESSING = {name: value for name, value in Preprocessing(224).to_json().items() if name != "size"}  # of ours
MAX_MODEL_BYTES = 2 << 30  # the limit of protobuf
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
BATCH_SIZE = 32  # images, on a GPU
LOAD_S = 300.0  # for creating a session; a large transformer takes half a minute on a busy core
RUN_S = 120.0  # for one run; a large transformer takes some seconds per image on a slow core


@dataclass(frozen=True)
class Embedding:
    """The result for one image: a unit vector (d,) float32, or the problem; and the sha256 of its bytes, if it has any.

    reading, embedding: seconds that its thread took to fetch and decode the image, and to run the network on it.
    """

    vector: Array | None
    sha256: str = ""
    problem: str = ""
    reading: float = 0.0
    embedding: float = 0.0


class Embedder(AsTransformer):
    """A model file, opened with `Embedder.load`. Threads can share it.

    It is a transformer for scikit-learn's pipelines (as_transformer.py). A pickle contains the whole model.
    """

    def __init__(self, data: bytes, source: str, device: str = "cpu") -> None:
        self.source = source
        self.device = device
        self.sha256 = hashlib.sha256(data).hexdigest()
        self.data = data
        constants = check_graph(data, source)
        self._session = _session(data, source, device, folds=constants.are_few)
        self._deadline = Deadline(RUN_S)
        self.provider: str = self._session.get_providers()[0]  # the provider in use
        if self.provider != PROVIDERS[device]:
            raise BadSetting(
                f"device {device}: ONNX Runtime offers only {self.provider} here; install artidx[gpu] "
                f"on a machine with a GPU and its CUDA libraries, or use --device cpu"
            )
        self.metadata = _metadata(self._session, source)
        self.name = str(self.metadata.get("name", "unnamed"))
        self.preprocessing = Preprocessing.from_json(self.metadata["preprocessing"])
        self.size = self.preprocessing.size
        self.dim: int = _checked_dim(self._session, self.size, source)

    @classmethod
    def load(cls, path: str | os.PathLike[str] | None = None, *, device: str | None = None) -> Embedder:
        """Open the model at `path` (default: $ARTIDX_MODEL, else base) on `device`, cpu or cuda.

        "base" and "small" ship with artidx. Raises BadModel, and BadSetting if the device is not available.
        """
        path = model_file(path) if path else default_model()
        return cls(read_model(path), str(path), device or default_device())

    def __repr__(self) -> str:
        return f"<Embedder {self.name} {self.sha256[:12]}: {self.dim} numbers, on {self.device}>"

    def __reduce__(self) -> tuple[type[Embedder], tuple[bytes, str, str]]:
        return Embedder, (self.data, self.source, self.device)

    def save(self, path: Path) -> None:
        """Write the model file, byte for byte as it was read."""
        path.write_bytes(self.data)

    def transform(
        self,
        images: Iterable[ImageLike],
        *,
        batch_size: int = BATCH_SIZE,
        workers: int | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> Array:
        """(n, d) float32 unit vectors of n images: paths, bytes, PIL images or arrays (h, w), (h, w, 3 or 4).

        Raises UnreadableImage for the first that cannot be used; `embed` continues instead.
        """
        vectors = []
        for image, found in enumerate(
            self.embed(images, batch_size=batch_size, workers=workers, max_pixels=max_pixels), start=1
        ):
            if found.vector is None:
                raise UnreadableImage(f"image {image}: {found.problem}")
            vectors.append(found.vector)
        return np.stack(vectors) if vectors else np.empty((0, self.dim), np.float32)

    def embed(
        self,
        images: Iterable[ImageLike],
        *,
        batch_size: int = BATCH_SIZE,
        workers: int | None = None,
        max_pixels: int = MAX_PIXELS,
        allowed: Sequence[str] = (),
    ) -> Iterator[Embedding]:
        """One Embedding for each image, in order; a bad image carries its problem and does not stop the others.

        workers: threads, by default one per core; batch_size: images per batch, on a GPU only; allowed: prefixes of
        object storage that may be read (locations.py). Raises UnreachableStorage.
        """
        images = several(images)
        workers = available_cores() if workers is None else workers
        bounds.BATCH_SIZE.checked("batch size", batch_size)
        bounds.WORKERS.checked("workers", workers)
        with Reader(max_pixels, allowed) as reader:

            def whole(image: ImageLike) -> Embedding:
                return self.embed_one(image, reader)

            def first_half(image: ImageLike) -> _Decoded:
                return _decode(image, reader, self.preprocessing)

            if self.provider == PROVIDERS["cpu"]:
                yield from ahead(whole, images, workers=workers, most=2 * workers)
                return
            for batch in batches(ahead(first_half, images, workers=workers, most=2 * batch_size), batch_size):
                started = monotonic()
                vectors = iter(self._run(_stacked([each.pixels for each in batch if each.pixels is not None])))
                share = (monotonic() - started) / len(batch)
                for each in batch:
                    yield Embedding(
                        None if each.pixels is None else next(vectors), each.sha256, each.problem, each.seconds, share
                    )

    def square(self, image: Source, *, max_pixels: int = MAX_PIXELS) -> Pixels:
        """(size, size, 3) uint8: the image as the network sees it. Raises UnreadableImage."""
        return self.preprocessing.square(image, max_pixels=max_pixels)

    def infer(self, squares: Pixels, *, batch_size: int = BATCH_SIZE, workers: int | None = None) -> Array:
        """(n, size, size, 3) uint8 -> (n, d) float32: the network alone, as `embed` runs it."""
        if self.provider == PROVIDERS["cpu"]:
            batch_size, workers = 1, workers or available_cores()
        parts = [squares[i : i + batch_size] for i in range(0, len(squares), batch_size)]
        found = list(ahead(self._run, parts, workers=workers or 1, most=2 * (workers or 1)))
        return np.concatenate(found) if found else np.empty((0, self.dim), np.float32)

    def embed_one(self, image: ImageLike, reader: Reader) -> Embedding:
        """`embed` for one image, in the caller's thread."""
        found = _decode(image, reader, self.preprocessing)
        started = monotonic()
        vector = None if found.pixels is None else self._run(found.pixels[None])[0]
        return Embedding(vector, found.sha256, found.problem, found.seconds, monotonic() - started)

    def _run(self, squares: Pixels) -> Array:
        if not len(squares):
            return np.empty((0, self.dim), np.float32)
        run = _run_options()
        try:
            with self._deadline.of(run):
                found: Array = self._session.run(None, {"image": squares}, run)[0]
        except Exception as problem:  # as when the session is created
            if run.terminate:
                raise BadModel(f"{self.source}: did not finish within {RUN_S:g} s, and was stopped") from None
            raise exhausted(problem, self.source) or BadModel(
                f"{self.source}: cannot be run: {' '.join(str(problem).split())[:200]}"
            ) from None
        if not np.allclose((found * found).sum(axis=1), 1, atol=1e-3):
            raise BadModel(f"{self.source}: gives vectors that are not of unit length; the model file is damaged")
        return found


def default_device() -> str:
    """$ARTIDX_DEVICE, else cpu."""
    return os.environ.get("ARTIDX_DEVICE") or "cpu"


def default_model() -> Path:
    """$ARTIDX_MODEL, else base, which ships with artidx."""
    named = os.environ.get("ARTIDX_MODEL")
    return model_file(named) if named else DEFAULT_MODEL


def model_file(model: str | os.PathLike[str]) -> Path:
    """The file of a shipped model for its name as a str; any other str, and any Path, is the path of a file."""
    return MODELS / f"{model}.onnx" if model in SHIPPED else Path(model)


def read_model(path: Path) -> bytes:
    """The bytes of a model file. Raises BadModel if it is missing or not a plain file."""
    if not path.is_file():
        raise BadModel(f"{path}: no such model file; base and small ship with artidx")
    if path.stat().st_size > MAX_MODEL_BYTES:
        raise BadModel(f"{path}: over {MAX_MODEL_BYTES >> 30} GB, more than one ONNX file can hold")
    return path.read_bytes()


def _session(data: bytes, source: str, device: str, folds: bool = True) -> onnxruntime.InferenceSession:
    """folds: compute the graph's constants now; otherwise in each run, which can be interrupted."""
    if device not in PROVIDERS:
        raise BadSetting(f"device {device!r}: expected one of {', '.join(PROVIDERS)}")
    try:
        import onnxruntime
    except ImportError as problem:
        raise exhausted(problem, "ONNX Runtime") or MissingPackage(
            "ONNX Runtime is not installed; pip install 'artidx[cpu]' (or 'artidx[gpu]')"
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # one core per image: a fifth more images per second than many cores on one
    options.log_severity_level = 4  # errors are raised below
    available = onnxruntime.get_available_providers()
    wanted = [p for p in dict.fromkeys([PROVIDERS[device], PROVIDERS["cpu"]]) if p in available]
    loading = Loading(options)
    try:  # from bytes, not from a path: a hostile model cannot load other files as its weights
        with Deadline(LOAD_S).of(loading):
            left_out = None if folds else ["ConstantFolding"]
            return onnxruntime.InferenceSession(data, options, providers=wanted, disabled_optimizers=left_out)
    except Exception as problem:  # ONNX Runtime has a dozen exception types without a common base
        if loading.terminate:
            raise BadModel(f"{source}: did not load within {LOAD_S:g} s, and was stopped") from None
        raise exhausted(problem, source) or BadModel(
            f"{source}: not a usable ONNX model: {' '.join(str(problem).split())[:200]}"
        ) from None


def _run_options() -> onnxruntime.RunOptions:
    import onnxruntime

    return onnxruntime.RunOptions()


def _metadata(session: onnxruntime.InferenceSession, source: str) -> dict[str, Any]:
    try:
        text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    except UnicodeDecodeError:  # in any of its names and texts
        raise BadModel(f"{source}: its metadata are damaged") from None
    if text is None:
        raise BadModel(
            f"{source}: an ONNX file, but not an artidx model (it lacks the metadata {METADATA_KEY!r}); "
            f"make one with artidx train, or from this file with artidx wrap-model"
        )
    try:
        metadata = json.loads(text)
        is_ours = metadata["format"] == METADATA_FORMAT
        preprocessing = dict(metadata["preprocessing"])
    except (ValueError, TypeError, KeyError):
        raise BadModel(f"{source}: its metadata are damaged") from None
    try:
        Preprocessing.from_json(preprocessing)
    except (ValueError, TypeError, KeyError):
        is_ours = False
    if not is_ours:
        raise BadModel(f"{source}: made for another version of artidx (its format or preprocessing differs)")
    found: dict[str, Any] = metadata
    return found


def _checked_dim(session: onnxruntime.InferenceSession, size: int, source: str) -> int:
    """The length of the vectors, after the graph's inputs and outputs have been checked."""
    takes, gives = session.get_inputs(), session.get_outputs()
    if (len(takes), len(gives)) == (1, 1):
        dim = gives[0].shape[-1]
        if (
            (takes[0].name, takes[0].type, takes[0].shape[1:]) == ("image", "tensor(uint8)", [size, size, 3])
            and gives[0].type == "tensor(float)"
            and len(gives[0].shape) == 2
            and isinstance(dim, int)
        ):
            return dim
    raise BadModel(f"{source}: the graph must take image (n, {size}, {size}, 3) uint8 and give (n, d) float32")


class _Decoded(NamedTuple):
    """One of pixels and problem is empty; sha256 is that of the bytes, if there are any."""

    pixels: Pixels | None
    sha256: str
    problem: str
    seconds: float


def _decode(image: ImageLike, reader: Reader, preprocessing: Preprocessing) -> _Decoded:
    started, sha256, pixels, problem = monotonic(), "", None, ""
    try:
        image = one(image)
        if isinstance(image, str | os.PathLike):
            with reader.open(os.fspath(image)) as stream:
                sha256 = content_hash(stream)
                pixels = preprocessing.square(stream, max_pixels=reader.max_pixels)
        else:
            if isinstance(image, bytes):
                check_size(len(image), reader.max_pixels)
                sha256 = hashlib.sha256(image).hexdigest()
            pixels = preprocessing.square(image, max_pixels=reader.max_pixels)
    except UnreadableImage as unreadable:
        problem = str(unreadable)
    return _Decoded(pixels, sha256, problem, monotonic() - started)


def _stacked(squares: list[Pixels]) -> Pixels:
    return np.stack(squares) if squares else np.empty((0, 0, 0, 3), np.uint8)
