"""Intermediate results that are kept between runs, each under a key of everything that it depends on.

It depends on facts: the content of images, labels, seeds, settings, weights, the constants of the modules that did the
work, and the versions of the libraries that they call. Arrays are stored under the key itself and computed anew if it
is missing (`array`). Hours of training are not discarded for a changed constant: a checkpoint has the keys of its facts
one by one, and a run with different facts is refused (`check_origin`). Only one run at a time may use a folder
(`held`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import BadSetting, UnreadableImage, WorkBusy, exhausted
from ..files import locked, replacing
from .locations import Reader, split_location
from .parallel import ahead
from .runtime import available_cores

# Libraries that decode, draw random numbers, train, fit and measure.
LIBRARIES = (
    "torch",
    "torchvision",
    "timm",
    "lightning-fabric",
    "pytorch-metric-learning",
    "numpy",
    "scipy",
    "scikit-learn",
    "pillow",
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxscript",
)
READ_AT_ONCE = 1 << 20  # bytes

_contents: dict[tuple[Any, ...], str] = {}  # of files read by this process, by their file status


def key_of(*facts: Any) -> str:
    """64 hexadecimal digits that differ if any of the facts differs.

    Facts are None, numbers, texts, bytes, paths, arrays, tensors, and lists, tuples and dictionaries of these. Raises
    TypeError for anything else.
    """
    digest = hashlib.sha256()
    _feed(digest.update, facts)
    return digest.hexdigest()


def constants(*modules: ModuleType) -> dict[str, Any]:
    """The constants of modules, by module and name: everything with an upper-case name and a plain value."""
    return {
        f"{module.__name__}.{name}": value
        for module in modules
        for name, value in vars(module).items()
        if name.isupper() and _is_plain(value)
    }


def libraries() -> dict[str, str]:
    """The versions of the libraries that are installed."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def contents(places: Iterable[str]) -> list[str]:
    """sha256 of the bytes at each location, or why it cannot be read. An unchanged file is read only once."""
    with Reader() as reader:
        return list(
            ahead(
                lambda location: _content(location, reader),
                places,
                workers=available_cores(),
                most=4 * available_cores(),
            )
        )


def array(folder: Path, name: str, key: str, make: Callable[[], npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """The array stored in the folder under this key; computed and written if there is none."""
    found: npt.NDArray[Any] = np.load(_written(folder, name, key, make), allow_pickle=False)
    return found


def mapped(folder: Path, name: str, key: str, make: Callable[[], npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """The same, memory-mapped: for what does not fit in memory."""
    found: npt.NDArray[Any] = np.load(_written(folder, name, key, make), mmap_mode="r", allow_pickle=False)
    return found


def _written(folder: Path, name: str, key: str, make: Callable[[], npt.NDArray[Any]]) -> Path:
    path = folder / f"{name}-{key[:24]}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(path) as aside, aside.open("xb") as stream:
            np.save(stream, make(), allow_pickle=False)
    return path


def origin(**facts: Any) -> dict[str, str]:
    """The key of each fact by its name, and of the libraries: the origin that a checkpoint records."""
    return {name.replace("_", " "): key_of(fact)[:24] for name, fact in {**facts, "libraries": libraries()}.items()}


def check_origin(path: Path, found: dict[str, Any], expected: dict[str, str]) -> None:
    """Raises BadSetting, with the names of the facts, if the origin recorded in a file is not the expected one."""
    if other := [name for name, key in expected.items() if found.get(name) != key]:
        raise BadSetting(
            f"{path}: a run with other {', '.join(other)}; give another --work folder, or delete "
            f"{path.parent} to train again"
        )


@contextmanager
def held(work: Path) -> Iterator[None]:
    """Lock a folder of intermediate results, created if missing, against other runs. Raises WorkBusy and BadSetting."""
    with ExitStack() as stack:
        try:
            work.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(work / "LOCK"))
        except BlockingIOError as problem:
            raise WorkBusy(
                f"{work}: {problem.strerror} is training there; wait until it has finished, or give another "
                "--work folder"
            ) from None
        except OSError as problem:
            raise exhausted(problem, str(work)) or BadSetting(
                f"{work}: cannot be written: {problem.strerror or problem}; give another --work folder"
            ) from None
        yield


def _content(location: str, reader: Reader) -> str:
    container, inside = split_location(location)
    seen: tuple[Any, ...] = ()  # remote, or not there
    try:
        facts = os.stat(container)
        seen = (
            os.path.abspath(container),
            inside,
            facts.st_dev,
            facts.st_ino,
            facts.st_size,
            facts.st_mtime_ns,
            facts.st_ctime_ns,
        )
    except (OSError, ValueError):
        pass
    if seen in _contents:
        return _contents[seen]
    digest = hashlib.sha256()
    try:
        with reader.open(location) as stream:
            while data := stream.read(READ_AT_ONCE):
                digest.update(data)
    except UnreadableImage as problem:
        return str(problem)
    if seen:
        _contents[seen] = digest.hexdigest()
    return digest.hexdigest()


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_plain, (*value, *value.values())))
    if isinstance(value, (tuple, list)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str, bytes))


def _feed(take: Callable[[bytes], None], fact: Any) -> None:
    """Encode a fact so that no two facts give the same bytes: each begins with its kind and its length."""
    if hasattr(fact, "detach"):  # a tensor, without importing torch
        fact = fact.detach().cpu().numpy()
    if isinstance(fact, np.ndarray):
        if fact.dtype.hasobject:
            return _feed(take, ["objects", *fact.tolist()])
        take(f"array {fact.dtype.str} {fact.shape} ".encode())
        take(np.ascontiguousarray(fact).tobytes())
    elif isinstance(fact, dict):
        take(f"dict {len(fact)} ".encode())
        for name in sorted(fact, key=str):
            _feed(take, name)
            _feed(take, fact[name])
    elif isinstance(fact, (tuple, list)):
        take(f"list {len(fact)} ".encode())
        for each in fact:
            _feed(take, each)
    elif fact is None or isinstance(fact, (bool, int, float)):
        if not isinstance(fact, (bool, type(None))):  # enumeration members and NumPy numbers
            fact = float(fact) if isinstance(fact, float) else int(fact)
        text = repr(fact)
        take(f"number {len(text)} {text}".encode())
    elif isinstance(fact, (str, Path, bytes)):
        data = fact if isinstance(fact, bytes) else str(fact).encode("utf-8", "surrogatepass")
        take(f"{'bytes' if isinstance(fact, bytes) else 'text'} {len(data)} ".encode() + data)
    else:
        raise TypeError(f"{type(fact).__name__} cannot go into a key")
    return None
