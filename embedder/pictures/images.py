"""The one entry for every image: a file, bytes, a PIL image or an array becomes a small RGB square.

Arrays of other libraries (torch, jax, ...) become NumPy arrays. Parts of an image can become such squares, too, and
thumbnails are made here.

Any problem with an image is raised as UnreadableImage with one reason, never as another exception. Does not know where
bytes come from (locations.py) nor what a network does with the pixels (runtime.py). An image is squashed to the square,
not cropped: the composition is part of the evidence. Three steps remove what would tell a network which collection
published a picture, and make all of its paintings look alike. Museums photograph a canvas to its edge and somewhat
beyond, so the outermost strip of each side is left out, unless the rest would have to be enlarged. Some publish small
JPEGs and others large files, so the square is saved as a JPEG and read again. And scaling is bilinear: among Pillow's
filters, it brings the fine detail of large files nearest to that of the shipped model's training paintings.
"""

from __future__ import annotations

import io
import math
import os
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ExifTags import Base
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from ...errors import BadSetting, NotAnImage, UnreadableImage
from . import apart, formats, structure, tiff
from .colour import to_srgb
from .samples import Pixels as Pixels  # re-exported
from .samples import to_8_bit
from .structure import check_pixels

Source = str | os.PathLike[str] | bytes | BinaryIO | Image.Image | npt.NDArray[np.generic]
Box = tuple[float, float, float, float]  # left, top, right, bottom, as shares of width and height
T = TypeVar("T")

INSET = 0.04  # of width and of height, left out on each side; 0.03 to 0.06 gave the same on a museum's photographs
CHANNELS = (1, 3, 4)  # grey, RGB, and with alpha
JPEG_QUALITY, JPEG_SUBSAMPLING = 75, "4:2:0"  # of the squares: that of the shipped model's training paintings
PLUGINS: dict[str, type[ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "WEBP": WebPImageFile,
    "GIF": GifImageFile,
    "BMP": BmpImageFile,
}
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # EXIF orientation -> transposition
MAX_PIXELS = 200_000_000  # decoding a progressive JPEG of this size takes about 0.6 GB
BYTES_PER_PIXEL = 8  # 16-bit RGBA, uncompressed: no ordinary file has more bytes per pixel
SMALLEST_FILE_LIMIT = 16 << 20  # small images may still carry large colour profiles and metadata
QUICK_BYTES, QUICK_PIXELS = 10 << 20, 4_000_000  # of a picture that is decoded in about a tenth of a second
QUICK_PIXELS_OF_SCANS = 40_000_000  # of a JPEG, which is decoded at reduced size: 10 scans of 4 million, for example

_globals = threading.Lock()
_inside: list[Any] = []  # what restores Pillow's settings, then one entry per decoding thread


def several(images: Any) -> Iterable[Any]:
    """The images one by one. Raises BadSetting for a single image, and for what is no sequence of images.

    These are probably mistakes: a path would be iterated letter by letter, an image row by row, a table by its column
    names.
    """
    if isinstance(images, str | os.PathLike | bytes | Image.Image):
        what = repr(os.fspath(images)) if isinstance(images, str | os.PathLike) else f"of type {type(images).__name__}"
        raise BadSetting(f"expected several images, this is one ({what}); pass it in a list: [image]")
    if hasattr(images, "columns"):
        raise BadSetting("expected several images, this is a DataFrame; pass its column of paths: table['path']")
    if _is_array(images):
        array = _array(images)
        if array.dtype.kind in "buif" and array.ndim < 4 and (array.ndim < 3 or _is_one_image(array.shape)):
            raise BadSetting(
                f"expected several images, this is one array of shape {array.shape}; pass it in a list: [image]"
            )
        return list(array)
    if not isinstance(images, Iterable):
        raise BadSetting(f"expected several images, this is of type {type(images).__name__}; pass a list")
    return images


def one(image: Any) -> Any:
    """A path, bytes, a PIL image or an array (h, w) or (h, w, channels). Raises UnreadableImage."""
    if _is_array(image):
        array = _array(image)
        is_channels_first = array.ndim == 3 and array.shape[0] in CHANNELS and array.shape[2] not in CHANNELS
        return np.moveaxis(array, 0, -1) if is_channels_first else array
    if isinstance(image, str | os.PathLike | bytes | Image.Image) or hasattr(image, "read"):
        return image
    if isinstance(image, bytearray | memoryview):
        return bytes(image)
    raise UnreadableImage(f"of type {type(image).__name__}; expected a path, bytes, a PIL image or an array")


def square(image: Source, size: int, *, max_pixels: int = MAX_PIXELS) -> Pixels:
    """The image without its outermost strip as RGB, upright, scaled to (size, size, 3) uint8.

    Alpha is dropped, grey and palette become RGB, 16-bit and float become 8 bits, an animation gives its first frame.
    Large JPEGs are decoded at reduced size, no side shorter than twice `size`. Raises UnreadableImage.
    """
    return _opened(
        image,
        math.ceil(2 * size / (1 - 2 * INSET)),
        max_pixels,
        lambda rgb: _scaled(rgb, inner(rgb.width, rgb.height, size), size),
    )


def squares(image: Source, boxes: Sequence[Box], size: int, *, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Parts of the image, each scaled as `square` scales the whole: (boxes, size, size, 3) uint8."""
    smallest = min(min(right - left, bottom - top) for left, top, right, bottom in boxes)
    return _opened(
        image,
        math.ceil(2 * size / smallest),
        max_pixels,
        lambda rgb: np.stack([_scaled(rgb, box, size) for box in boxes]),
    )


def used(image: Source, least: int, use: Callable[[Image.Image], T], *, max_pixels: int = MAX_PIXELS) -> T:
    """What `use` makes of the image in upright RGB; a JPEG may be decoded reduced to no less than `least` a side."""
    return _opened(image, least, max_pixels, use)


def inner(width: int, height: int, size: int, inset: float = INSET) -> Box:
    """What `square` looks at: all but the inset on each side, or less where fewer than `size` pixels would be left."""
    across, down = (min(inset, max(0.0, 1 - size / side) / 2) for side in (width, height))
    return across, down, 1 - across, 1 - down


def published(image: Image.Image) -> Pixels:
    """(h, w, 3) uint8: the RGB image saved as the shipped model's training paintings were, and read again."""
    saved = io.BytesIO()
    image.save(saved, "JPEG", quality=JPEG_QUALITY, subsampling=JPEG_SUBSAMPLING)
    return np.asarray(Image.open(saved, formats=["JPEG"]), dtype=np.uint8)


def picture(image: Source, side: int, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The image for people to look at: RGB, upright, in its own proportions, no side longer than `side`."""

    def reduced(rgb: Image.Image) -> Image.Image:
        rgb = rgb.copy() if rgb is image else rgb
        rgb.thumbnail((side, side), Image.Resampling.BICUBIC)
        return rgb

    return _opened(image, side, max_pixels, reduced)


def _is_array(image: Any) -> bool:
    return hasattr(image, "__array__") and not isinstance(image, str | bytes | Image.Image)


def _array(image: Any) -> np.ndarray[Any, Any]:
    try:
        if callable(getattr(image, "detach", None)):  # a tensor that is being trained, or on a GPU
            image = image.detach().cpu()
        return np.asarray(image)
    except Exception as problem:  # other libraries raise anything
        raise UnreadableImage(
            f"of type {type(image).__name__}, which cannot be read as an array: {' '.join(str(problem).split())[:200]}"
        ) from None


def _is_one_image(shape: tuple[int, ...]) -> bool:
    return shape[2] in CHANNELS or shape[0] in CHANNELS


def _opened(image: Source, least: int, max_pixels: int, use: Callable[[Image.Image], T]) -> T:
    """What `use` makes of the image in upright RGB; a JPEG may be decoded reduced to no less than `least` a side."""
    try:
        with _our_rules():
            if isinstance(image, np.ndarray):
                return use(_to_rgb(_upright(_from_array(image))))
            if isinstance(image, Image.Image):
                check_pixels(image.size, max_pixels)
                return use(_to_rgb(_upright(image)))
            if isinstance(image, str | os.PathLike):
                with open_file(Path(image), max_pixels) as stream:
                    return _decode(stream, least, max_pixels, use)
            return _decode(io.BytesIO(image) if isinstance(image, bytes) else image, least, max_pixels, use)
    except UnreadableImage:
        raise
    except MemoryError:
        raise UnreadableImage("not enough memory to decode it") from None
    except Exception as problem:  # decoders of hostile files raise anything: struct.error, KeyError, SyntaxError ...
        raise UnreadableImage(_reason(problem)) from problem


def is_quick(stream: BinaryIO, max_pixels: int = MAX_PIXELS) -> bool:
    """Whether a file can be decoded, or refused, in about a tenth of a second of CPU; checking takes a hundredth."""
    try:
        stream.seek(0)
        kind = formats.kind_of(stream.read(512))
        if kind in apart.FORMATS or stream.seek(0, io.SEEK_END) > QUICK_BYTES:
            return False
        if kind is None:
            return True
        if kind == "TIFF":
            width, height = tiff.read(stream, max_pixels).size
            return width * height <= QUICK_PIXELS
        outline = structure.outline(stream, kind, max_pixels)
        stream.seek(0)
        with _our_rules(), PLUGINS[kind](stream) as image:
            pixels = image.width * image.height
        return pixels <= QUICK_PIXELS or (kind == "JPEG" and pixels * outline.scans <= QUICK_PIXELS_OF_SCANS)
    except Exception:  # decoding will refuse it as fast, for the same reason
        return True


def file_limit_bytes(max_pixels: int) -> int:
    """The largest file worth reading when an image may have max_pixels pixels."""
    return max(SMALLEST_FILE_LIMIT, BYTES_PER_PIXEL * max_pixels)


def open_file(path: Path, max_pixels: int = MAX_PIXELS) -> BinaryIO:
    """The file opened for reading; UnreadableImage if it is missing, not a plain file, empty or too large."""
    try:
        if not path.exists():
            raise UnreadableImage("no such file")
        if not path.is_file():  # a pipe would block, a device might never end
            raise UnreadableImage("not a file")
        size_bytes = path.stat().st_size
        check_size(size_bytes, max_pixels)
        return path.open("rb")
    except (OSError, ValueError) as problem:
        raise UnreadableImage(_reason(problem)) from problem


def check_size(size_bytes: int, max_pixels: int) -> None:
    """Raises UnreadableImage for an empty file, or one with more bytes than max_pixels could need."""
    if size_bytes == 0:
        raise UnreadableImage("empty file")
    if size_bytes > file_limit_bytes(max_pixels):
        raise UnreadableImage(
            f"file of {size_bytes / 1e6:,.0f} MB, more than {max_pixels / 1e6:g} megapixels can need; "
            f"raise --max-pixels if you trust it"
        )


def _decode(stream: BinaryIO, least: int, max_pixels: int, use: Callable[[Image.Image], T]) -> T:
    stream.seek(0)
    beginning = stream.read(512)
    kind = formats.kind_of(beginning)
    if kind is None:
        raise NotAnImage(_not_an_image(beginning))
    if kind in apart.FORMATS:
        return use(_to_rgb(apart.decoded(stream, kind, least, max_pixels)))
    if kind == "TIFF":
        return use(_to_rgb(_tiff(stream, max_pixels)))
    outline = structure.outline(stream, kind, max_pixels)
    if outline.size:
        check_pixels(outline.size, max_pixels)
    if outline.left_out:
        stream = structure.without(stream, outline.left_out)
    stream.seek(0)
    with PLUGINS[kind](stream) as image:  # Image.open would look for further pictures in a JPEG, and has a limit
        check_pixels(image.size, max_pixels)
        if outline.size not in (None, image.size):
            raise UnreadableImage("damaged image: it states two sizes")
        if outline.left_out:
            image.info["icc_profile"] = outline.profile
        image.draft("RGB", (least, least))  # JPEG only: decode at 1/2, 1/4 or 1/8
        image.load()
        return use(_to_rgb(_upright(image)))


def _tiff(stream: BinaryIO, max_pixels: int) -> Image.Image:
    found = tiff.read(stream, max_pixels)
    if not tiff.is_usual(found):
        image = tiff.decoded(found, stream, BYTES_PER_PIXEL * max_pixels)
        return _turned(image, found.number(tiff.ORIENTATION, 1))
    stream.seek(0)
    try:
        opened = TiffImageFile(stream)
    except SyntaxError:  # an unsupported layout of a picture that is compressed as an image
        raise tiff.not_read(found) from None
    check_pixels(opened.size, max_pixels)
    opened.load()  # also applies the orientation
    return opened


def _not_an_image(beginning: bytes) -> str:
    what = formats.unread_format(beginning)
    return f"not an image, or none of {formats.names()}" + (f": it is {what}" if what else "")


@contextmanager
def _our_rules() -> Iterator[None]:
    """Lift Pillow's limit of pixels, since ours is a setting, and silence warnings about odd metadata.

    Both are global: the first thread to enter changes them, and the last to leave restores them. So no thread waits for
    another, and a program that imports artidx keeps its own limit and warnings.
    """
    with _globals:
        if not _inside:
            _inside.extend([Image.MAX_IMAGE_PIXELS, warnings.catch_warnings()])
            _inside[1].__enter__()
            warnings.simplefilter("ignore")
            Image.MAX_IMAGE_PIXELS = None
        _inside.append(None)
    try:
        yield
    finally:
        with _globals:
            _inside.pop()
            if len(_inside) == 2:
                Image.MAX_IMAGE_PIXELS = _inside[0]
                _inside[1].__exit__(None, None, None)
                _inside.clear()


def _scaled(rgb: Image.Image, box: Box, size: int) -> Pixels:
    left, top, right, bottom = box
    part = (left * rgb.width, top * rgb.height, right * rgb.width, bottom * rgb.height)
    # Filters reach beyond the box by half a pixel of the square; the shipped model was measured like this.
    small = rgb.resize((size, size), Image.Resampling.BILINEAR, box=part)
    small.info.clear()  # a long comment could not be saved
    return published(small)


def _upright(image: Image.Image) -> Image.Image:
    image.load()
    try:
        return _turned(image, image.getexif().get(Base.Orientation, 1))
    except Exception:  # a painting is not refused because of damaged metadata
        return image


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    method = TURNS.get(orientation)
    return image if method is None else image.transpose(method)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        grey = Image.fromarray(to_8_bit(np.asarray(image)))
        grey.info = image.info
        image = grey
    return to_srgb(image)


def _from_array(array: npt.NDArray[np.generic]) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or 0 in array.shape:
        raise UnreadableImage(f"array of shape {array.shape}; expected (height, width) or (height, width, 3 or 4)")
    return Image.fromarray(to_8_bit(array[..., :3] if array.ndim == 3 else array)).convert("RGB")


def _reason(problem: Exception) -> str:
    if isinstance(problem, OSError) and problem.strerror:
        return problem.strerror
    text = " ".join(str(problem).split()) or type(problem).__name__
    return f"damaged image: {text[:200]}"
