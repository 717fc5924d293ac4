"""Ask a service by HTTP as if it were an index here: `artidx.Client("http://127.0.0.1:8000").nearest("a.jpg")`.

Methods, answers and errors are those of `artidx.Index`; neither a model nor an index is needed here. docs/service.md
describes the routes. Needs artidx[client].
"""

from __future__ import annotations

import dataclasses
import json
import os
import types
import typing
from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from . import errors
from .errors import ArtidxError, BadSetting, IndexAway, MissingPackage, Refused
from .index.answers.search import Answer
from .index.answers.verify import Verdict
from .index.storage.vector_store import Painting

try:
    import httpx
except ModuleNotFoundError:
    raise MissingPackage("asking a service needs httpx; pip install 'artidx[client]'") from None

T = TypeVar("T")
Image = str | os.PathLike[str] | bytes
ID_PREFIX = "id:"
MOST = 1000  # questions in one request
MOST_BYTES = 32 << 20  # bytes of pictures per request: half of a service's default limit
TYPE_PREFIX = "urn:artidx:"


class Client:
    """A service. Close it, or use it in a `with` statement. Raises the same ArtidxErrors as an index, and Refused."""

    def __init__(self, address: str, *, token: str | None = None, timeout_s: float = 120) -> None:
        """address: such as http://127.0.0.1:8000; token: if the service asks for one."""
        self.name = address.rstrip("/")
        headers = {"authorization": f"Bearer {token}"} if token else {}
        try:
            self._http = httpx.Client(base_url=self.name, headers=headers, timeout=timeout_s)
        except httpx.InvalidURL as problem:
            raise BadSetting(f"{address}: not the address of a service: {problem}") from None

    def pair(
        self,
        a: Image,
        b: Image,
        *,
        prior: float | None = None,
        false_positive_rate: float | None = None,
        threshold: float | None = None,
    ) -> Verdict:
        """Were a and b painted by the same artist?  Each is a path, an id of the index, or the bytes of an image."""
        sent = {"prior": prior, "fpr": false_positive_rate, "threshold": threshold}
        return _judged(a, b, self._ask("POST", "pair", files=_form({"a": [a], "b": [b]}, sent)))

    def nearest(self, image: Image, *, k: int = 10, where: str | None = None, exclude: str | None = None) -> Answer:
        """Who might have painted it?  The k most probable artists and the k nearest paintings, among those for which
        `where` holds and `exclude` does not."""
        sent = {"k": k, "where": where, "exclude": exclude}
        return _answered(image, self._ask("POST", "nearest", files=_form({"image": [image]}, sent)))

    def nearest_of_each(
        self, images: Iterable[Image], *, k: int = 10, where: str | None = None, exclude: str | None = None
    ) -> Iterator[Answer | ArtidxError]:
        """`nearest` for each, in order, many per request. If one fails, its result is the error."""
        sent = {"k": k, "where": where, "exclude": exclude}
        for some in _portions((image,) for image in images):
            form = _form({"images": [image for (image,) in some]}, sent)
            for (image,), said in zip(some, self._each("nearest:batch", form, len(some)), strict=True):
                yield said if isinstance(said, ArtidxError) else _answered(image, said)

    def pair_of_each(
        self,
        pairs: Iterable[tuple[Image, Image]],
        *,
        prior: float | None = None,
        false_positive_rate: float | None = None,
        threshold: float | None = None,
    ) -> Iterator[Verdict | ArtidxError]:
        """`pair` for each, in order, many per request. If one fails, its result is the error."""
        sent = {"prior": prior, "fpr": false_positive_rate, "threshold": threshold}
        for some in _portions(pairs):
            form = _form({"a": [a for a, _ in some], "b": [b for _, b in some]}, sent)
            for (a, b), said in zip(some, self._each("pair:batch", form, len(some)), strict=True):
                yield said if isinstance(said, ArtidxError) else _judged(a, b, said)

    def painting(self, painting: str) -> Painting:
        """The painting with this id. Raises UnknownPainting."""
        return _made(Painting, self._ask("GET", _path(painting))["painting"])

    def label(self, painting: str, labels: dict[str, str | int], *, by: str) -> Painting:
        """Correct labels of a painting, and record who said so; needs a token that may write."""
        said = self._ask("PATCH", _path(painting), json={"labels": labels, "by": by})
        return _made(Painting, said["painting"])

    def add(self, image: Image, *, key: str | None = None, **labels: str) -> Painting:
        """Add a painting, with `id`, `artist`, `title`, `year`; needs a token that may write.

        If it is sent again with the same key, it is added once.
        """
        headers = {"idempotency-key": key} if key else {}
        said = self._ask("POST", "paintings", files=_form({"image": [image]}, labels), headers=headers)
        return _made(Painting, said["painting"])

    def remove(self, painting: str) -> None:
        """Remove a painting; needs a token that may write."""
        self._ask("DELETE", _path(painting))

    def __len__(self) -> int:
        return int(self._ask("GET", "index")["paintings"])

    @property
    def artists(self) -> int:
        """The number of artists with a painting in the index."""
        return int(self._ask("GET", "index")["artists"])

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, method: str, path: str, **sent: Any) -> Any:
        try:
            answer = self._http.request(method, f"/v1/{path}", **sent)
        except httpx.HTTPError as problem:
            raise IndexAway(f"{self.name}: does not answer: {problem}") from None
        return self._read(answer)

    def _each(self, path: str, form: Any, questions: int) -> Iterator[Any]:
        """The answer or the problem of each question of a batch; the error of a request with a single question is that
        question's."""
        try:
            for line in self._lines(path, form):
                yield line["answer"] if line["problem"] is None else _error(line["problem"])
        except Refused as problem:
            if questions > 1:
                raise
            yield problem

    def _lines(self, path: str, form: Any) -> Iterator[Any]:
        try:
            with self._http.stream("POST", f"/v1/{path}", files=form) as answer:
                if answer.is_error:
                    answer.read()
                    self._read(answer)
                for line in answer.iter_lines():
                    yield self._json(line)
        except httpx.HTTPError as problem:
            raise IndexAway(f"{self.name}: does not answer: {problem}") from None

    def _read(self, answer: httpx.Response) -> Any:
        said = self._json(answer.text)
        if answer.is_success:
            return said
        raise _error(said)

    def _json(self, text: str) -> Any:
        try:
            said = json.loads(text)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            raise Refused(f"{self.name}: answers, but is not an artidx service; is the address right?")
        return said


def _form(images: dict[str, list[Image]], texts: dict[str, Any]) -> list[tuple[str, tuple[str | None, str | bytes]]]:
    """Fields in the form of httpx: paths are read, other names are ids."""
    parts = [(field, _part(image)) for field, asked in images.items() for image in asked]
    return [*parts, *((field, (None, str(value))) for field, value in texts.items() if value is not None)]


def _part(image: Image) -> tuple[str | None, str | bytes]:
    if isinstance(image, bytes):
        return "image", image
    name = os.fspath(image)
    if name.startswith(ID_PREFIX) or not Path(name).is_file():
        return None, name.removeprefix(ID_PREFIX)
    return Path(name).name, Path(name).read_bytes()


def _name(image: Image) -> str:
    """The name of an image in an answer, the same as with a local index."""
    return "image" if isinstance(image, bytes) else os.fspath(image).removeprefix(ID_PREFIX)


def _path(painting: str) -> str:
    return f"paintings/{quote(painting, safe='/')}"


def _portions(questions: Iterable[tuple[Image, ...]]) -> Iterator[list[tuple[Image, ...]]]:
    """Split questions into portions that a service accepts in one request."""
    some: list[tuple[Image, ...]] = []
    size = 0
    for question in questions:
        more = sum(map(_size, question))
        if some and (len(some) == MOST or size + more > MOST_BYTES):
            yield some
            some, size = [], 0
        some.append(question)
        size += more
    if some:
        yield some


def _size(image: Image) -> int:
    if isinstance(image, bytes):
        return len(image)
    path = Path(os.fspath(image))
    return path.stat().st_size if path.is_file() else 0


def _judged(a: Image, b: Image, said: Any) -> Verdict:
    found = _made(Verdict, said)
    first, second = (dataclasses.replace(side, name=_name(asked)) for side, asked in ((found.a, a), (found.b, b)))
    return dataclasses.replace(found, a=first, b=second)


def _answered(image: Image, said: Any) -> Answer:
    return dataclasses.replace(_made(Answer, said), query=_name(image))


def _error(problem: Any) -> ArtidxError:
    """A problem as the error that a local index would have raised, if there is one."""
    name = str(problem.get("type", "")).removeprefix(TYPE_PREFIX)
    kind = getattr(errors, "".join(word.capitalize() for word in name.split("-")), None)
    known = kind if isinstance(kind, type) and issubclass(kind, ArtidxError) else Refused
    return known(str(problem.get("detail") or problem.get("title") or "refused"))


def _made(kind: Callable[..., T], said: Any) -> T:
    """A dataclass from its JSON; unknown keys are ignored, and paths of files are missing."""
    hints: dict[str, Any] = _hints(kind)
    fields = {
        field.name: _value(hints[field.name], said[field.name])
        for field in dataclasses.fields(kind)  # type: ignore[arg-type]
        if field.init and field.name in said
    }
    if kind is Painting:
        fields["path"] = ""
    return kind(**fields)


@lru_cache(maxsize=64)
def _hints(kind: Hashable) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _value(hint: Any, said: Any) -> Any:
    if isinstance(hint, types.UnionType):
        hint = next(each for each in typing.get_args(hint) if each is not types.NoneType)
    if said is None:
        return None
    if typing.get_origin(hint) is tuple:
        return tuple(_value(typing.get_args(hint)[0], each) for each in said)
    return _made(hint, said) if isinstance(hint, type) and dataclasses.is_dataclass(hint) else said
