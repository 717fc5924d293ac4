"""What one IIIF document says, in versions 2 and 3 of the Presentation API alike: labels, pictures, further documents.

A manifest is an object, a canvas mostly a photograph of it. The document is not trusted: whatever does not have the
shape of the specification is ignored. Does not fetch (iiif.py) nor know what a label means (headings.py).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from typing import Any

from ...plain_text import is_text

MAX_TEXT = 4096  # characters of a value
MAX_LABELS = 200  # of one object
LANGUAGES = ("en", "none", "@none", "und")  # the language to take, best first; else the first there is
MANIFEST, COLLECTION = "Manifest", "Collection"
BLOCKS = {"br", "p", "div", "li", "tr", "ul", "ol"}
REGION = re.compile(r"full|square|(pct:)?\d+(\.\d+)?(,\d+(\.\d+)?){3}")
ROTATION = re.compile(r"!?\d{1,3}(\.\d+)?")
Node = dict[str, Any]
Labels = dict[str, str]  # heading -> value, as in a row of a table


@dataclass(frozen=True)
class Service:
    """An image server's address of an image. kind: as version 3 calls it, such as ImageService2; sizes: (width, height)
    of those that it has ready; is_fixed: it has no others."""

    address: str
    kind: str
    sizes: tuple[tuple[int, int], ...] = ()
    is_fixed: bool = False

    @property
    def quality(self) -> str:
        return "native" if self.kind == "ImageService1" else "default"


@dataclass(frozen=True)
class Picture:
    """An image that is painted on a canvas. width, height: of the image, 0 if unknown; size: of the canvas.

    labels: of the canvas, which then is an object of its own; url: its page.
    """

    address: str
    service: Service | None
    width: int
    height: int
    region: str
    rotation: str
    canvas: str
    label: str
    size: tuple[int, int]
    labels: Labels = field(default_factory=dict)
    url: str = ""

    def location(self, least: int) -> str:
        """Its address at a size with no side shorter than `least` pixels, unless it has fewer."""
        if self.service is None:
            return self.address
        width, height = self._extent()
        if self.service.is_fixed:
            ready = [size for size in sorted(self.service.sizes) if min(size) >= least]
            return self._at(f"{ready[0][0]},{ready[0][1] if self._is_third else ''}") if ready else self.address
        if not min(width, height):
            return self._at(f"{least},")
        wanted = math.ceil(width * least / min(width, height))
        if wanted >= width and self.region == "full" and self.rotation == "0":
            return self.address
        return self._at(f"{min(wanted, width)},")

    @property
    def _is_third(self) -> bool:
        return self.service is not None and self.service.kind == "ImageService3"

    def _extent(self) -> tuple[int, int]:
        """Width and height of the part that is shown, 0 if unknown."""
        width, height = (self.width, self.height) if self.width and self.height else self.size
        if re.fullmatch(r"\d+(,\d+){3}", self.region):
            width, height = (int(side) for side in self.region.split(",")[2:])
        return width, height

    def _at(self, size: str) -> str:
        if self.service is None:
            return self.address
        return f"{self.service.address}/{self.region}/{size}/{self.rotation}/{self.service.quality}.jpg"


@dataclass(frozen=True)
class Object:
    """A manifest. choices: alternative images, such as an x-ray, which are not read."""

    address: str
    label: str
    labels: Labels
    url: str
    pictures: tuple[Picture, ...]
    choices: int


@dataclass(frozen=True)
class Found:
    """What a document holds: objects, addresses of further documents, and documents that are folded into it."""

    objects: tuple[Object, ...] = ()
    references: tuple[str, ...] = ()
    inside: tuple[Node, ...] = ()


def read(document: Any) -> Found | None:
    """None for what is neither a manifest nor a collection."""
    kind = _kind(document)
    if kind == MANIFEST:
        return Found(objects=(_object(document),))
    if kind == COLLECTION:
        return _collection(document)
    return None


def _kind(node: Any) -> str:
    said = _text_of(node, "type", "@type") if isinstance(node, dict) else ""
    return said.rpartition(":")[2]


def _collection(node: Node) -> Found:
    references, inside = [], []
    for name in ("manifests", "collections", "members", "items"):
        for each in _nodes(node.get(name)):
            if _kind(each) not in (MANIFEST, COLLECTION, ""):
                continue
            if any(each.get(part) for part in ("items", "sequences", "manifests", "collections", "members")):
                inside.append(each)
            elif address := _id(each):
                references.append(address)
    references += [address for name in ("first", "next") if (address := _id(node.get(name)))]
    return Found((), tuple(dict.fromkeys(references)), tuple(inside))


def _object(node: Node) -> Object:
    sequence = next(iter(_nodes(node.get("sequences"))), {})  # others have the same canvases in another order
    canvases = [*_nodes(node.get("items")), *_nodes(sequence.get("canvases"))]
    pictures: list[Picture] = []
    choices = 0
    for canvas in canvases:
        for body, others in _painted(canvas):
            choices += others
            if (picture := _picture(body, canvas)) is not None:
                pictures.append(picture)
    address = _id(node)
    return Object(address, text(node.get("label")), _labels(node), _page(node) or address, tuple(pictures), choices)


def _painted(canvas: Node) -> Iterator[tuple[Node, int]]:
    """Bodies of the annotations that paint a canvas, and how many alternatives each has."""
    third = [each for page in _nodes(canvas.get("items")) for each in _nodes(page.get("items"))]
    for annotation in third:
        if "painting" in _texts(annotation.get("motivation")):
            yield from _chosen(annotation.get("body"))
    for annotation in _nodes(canvas.get("images")):
        yield from _chosen(annotation.get("resource"))


def _chosen(body: Any) -> Iterator[tuple[Node, int]]:
    for node in _nodes(body):
        if _kind(node) != "Choice":
            yield node, 0
            continue
        among = _nodes(node.get("default")) + _nodes(node.get("item")) + _nodes(node.get("items"))
        if among:
            yield among[0], len(among) - 1


def _picture(body: Node, canvas: Node) -> Picture | None:
    region, rotation = "full", "0"
    if _kind(body) == "SpecificResource":
        selector = next(iter(_nodes(body.get("selector"))), {})
        region, rotation = str(selector.get("region") or "full"), str(selector.get("rotation") or "0")
        body = next(iter(_nodes(body.get("source")) + _nodes(body.get("full"))), {})
    if _kind(body) not in ("Image", ""):
        return None  # sound, video, text
    address, service = _id(body), _service(body)
    if not (address or service) or not REGION.fullmatch(region) or not ROTATION.fullmatch(rotation):
        return None
    picture = Picture(
        address,
        service,
        _whole(body.get("width")),
        _whole(body.get("height")),
        region,
        rotation,
        _id(canvas),
        text(canvas.get("label")),
        (_whole(canvas.get("width")), _whole(canvas.get("height"))),
        _labels(canvas),
        _page(canvas),
    )
    if not address and service is not None:
        return replace(picture, address=picture._at("max" if picture._is_third else "full"))
    return picture


def _service(body: Node) -> Service | None:
    for node in _nodes(body.get("service")):
        profiles = [each for each in _list(node.get("profile")) if isinstance(each, str)]
        context = " ".join(_texts(node.get("@context")))
        said = " ".join([_kind(node), context, *profiles])
        address = _id(node).rstrip("/")
        version = re.search(r"ImageService([123])|image(?:-api)?/([123])", said)
        if not address or not version:
            continue
        sizes = tuple((_whole(size.get("width")), _whole(size.get("height"))) for size in _nodes(node.get("sizes")))
        is_fixed = any(re.search(r"level0|#level0", profile) for profile in profiles)
        return Service(address, f"ImageService{version[1] or version[2]}", sizes, is_fixed)
    return None


def _labels(node: Node) -> Labels:
    found: dict[str, list[str]] = {}
    for pair in _nodes(node.get("metadata"))[:MAX_LABELS]:
        heading, value = text(pair.get("label")), text(pair.get("value"))
        if heading and value:
            found.setdefault(heading[:100], []).append(value)
    return {heading: "; ".join(values)[:MAX_TEXT] for heading, values in found.items()}


def _page(node: Node) -> str:
    """Where people can look at it."""
    found = [(each, "text/html") for name in ("homepage", "related") for each in _list(node.get(name))]
    found += [(each, "") for each in _list(node.get("rendering"))]  # a PDF, or the page in a catalogue
    for each, usual in found:
        kind = (_text_of(each, "format") if isinstance(each, dict) else "") or usual
        if kind == "text/html" and re.match(r"https?://", address := _id(each)):
            return address
    return ""


def text(value: Any) -> str:
    """A label or value of either version as plain text: one language of several, its parts joined by `; `, its lines
    kept."""
    return "; ".join(part for each in _values(value) if (part := _plain(each)))[:MAX_TEXT]


def _values(value: Any) -> list[str]:
    if isinstance(value, (str, int, float)):
        return [str(value)]
    if isinstance(value, dict):
        if "@value" in value:
            return _values(value["@value"])
        by_language = {str(name): _texts(said) for name, said in value.items()}
        name = next((name for name in LANGUAGES if by_language.get(name)), next(iter(by_language), ""))
        return by_language.get(name, [])
    if isinstance(value, list):
        spoken = [each for each in value if isinstance(each, dict) and "@language" in each]
        if len({each["@language"] for each in spoken if isinstance(each["@language"], str)}) > 1:
            by_name: dict[str, list[str]] = {}
            for each in spoken:
                by_name.setdefault(str(each["@language"]), []).extend(_values(each))
            return _values(by_name)
        return [said for each in value if not isinstance(each, list) for said in _values(each)]
    return []


class _Text(HTMLParser):
    """The text of a piece of HTML."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.parts.append(data)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag in BLOCKS:
            self.parts.append("\n")


def _plain(value: str) -> str:
    value = value[: 4 * MAX_TEXT]
    if "<" in value and ">" in value:  # the specification wants markup within < and >, but museums write it anywhere
        parser = _Text()
        parser.feed(value)
        parser.close()
        value = "".join(parser.parts)
    return "\n".join(line for each in value.splitlines() if (line := " ".join(_unicode(each).split())))


def _id(node: Any) -> str:
    if isinstance(node, str):
        return _unicode(node).strip()
    return _text_of(node, "id", "@id") if isinstance(node, dict) else ""


def _text_of(node: Node, *names: str) -> str:
    return next((_unicode(said).strip() for name in names if isinstance(said := node.get(name), str)), "")


def _unicode(said: str) -> str:
    """With a replacement character for half of a character, which JSON can have."""
    return said if is_text(said) else said.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _texts(value: Any) -> list[str]:
    return [str(each) for each in _list(value) if isinstance(each, (str, int, float))]


def _nodes(value: Any) -> list[Node]:
    return [each for each in _list(value) if isinstance(each, dict)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _whole(value: Any) -> int:
    return int(value) if isinstance(value, (int, float)) and 0 < value < 1 << 31 else 0
