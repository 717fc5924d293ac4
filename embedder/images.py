"""One safe door for every image: a file, bytes, a PIL image or an array becomes a small RGB square.

Parts of it become such squares, too, and a small picture of it to look at goes out by the same door.

Whatever is wrong with an image leaves here as UnreadableImage with one reason, never as another exception.
Does not know where bytes come from (locations.py) nor what a network does with the pixels (runtime.py).
An image is squashed to the square, not cropped to it: the composition is part of the evidence. Three things would
otherwise tell a network which collection published a picture, and make all paintings of one look alike to it. A
museum photographs a canvas to its edge and somewhat beyond: so the outermost strip of each side is left out, unless
what is left would have to be enlarged. One collection publishes small JPEGs and another large files: so the square is
saved as a JPEG and read again. And scaling is bilinear: of Pillow's filters that brings the fine detail of large files
nearest to that of the paintings that the shipped model learnt from.
"""

from __future__ import annotations

import io
import math
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from ..errors import NotAnImage, UnreadableImage

Pixels = npt.NDArray[np.uint8]
Source = str | os.PathLike[str] | bytes | BinaryIO | Image.Image | npt.NDArray[np.generic]
Box = tuple[float, float, float, float]  # left, top, right, bottom, as shares of width and height
T = TypeVar("T")

INSET = 0.04  # of width and of height, left out on each side; for the museum's photographs 0.03 to 0.06 did as well
JPEG_QUALITY, JPEG_SUBSAMPLING = 75, "4:2:0"  # of the squares: as the paintings that the shipped model learnt from
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP")  # no EPS, PSD, ...: fewer decoders, smaller target
MAX_PIXELS = 200_000_000  # a progressive JPEG of this size takes about 0.6 GB to decode
BYTES_PER_PIXEL = 8  # 16-bit RGBA, uncompressed: no honest file holds more bytes for a pixel than this
SMALLEST_FILE_LIMIT = 16 << 20  # small images may still carry large colour profiles and metadata

_pillow_limit = threading.Lock()
_silence = threading.Lock()
_silent: list[warnings.catch_warnings[None]] = []  # one for each thread that wants silence; the first has made it


def square(image: Source, size: int, *, max_pixels: int = MAX_PIXELS) -> Pixels:
    """The image without its outermost strip as RGB, upright, scaled to (size, size, 3) uint8.

    Alpha is dropped, grey and palette become RGB, 16-bit and float are brought to 8 bits, the first frame of
    an animation is taken. Large JPEGs are decoded reduced, to no less than twice `size`. Raises UnreadableImage.
    """
    return _opened(image, math.ceil(2 * size / (1 - 2 * INSET)), max_pixels,
                   lambda rgb: _scaled(rgb, inner(rgb.width, rgb.height, size), size))


def squares(image: Source, boxes: Sequence[Box], size: int, *, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Parts of the image, each scaled as `square` scales the whole: (boxes, size, size, 3) uint8."""
    smallest = min(min(right - left, bottom - top) for left, top, right, bottom in boxes)
    return _opened(image, math.ceil(2 * size / smallest), max_pixels,
                   lambda rgb: np.stack([_scaled(rgb, box, size) for box in boxes]))


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
    """The image to look at: RGB, upright, in its own proportions, no side longer than `side`."""
    def reduced(rgb: Image.Image) -> Image.Image:
        rgb = rgb.copy() if rgb is image else rgb
        rgb.thumbnail((side, side), Image.Resampling.BICUBIC)
        return rgb

    return _opened(image, side, max_pixels, reduced)


def _opened(image: Source, least: int, max_pixels: int, use: Callable[[Image.Image], T]) -> T:
    """What `use` makes of the image in upright RGB; a JPEG may be decoded reduced to no less than `least` a side."""
    try:
        with _without_warnings():
            if isinstance(image, np.ndarray):
                return use(_to_rgb(_upright(_from_array(image))))
            if isinstance(image, Image.Image):
                _check_pixels(image.size, max_pixels)
                return use(_to_rgb(_upright(image)))
            if isinstance(image, str | os.PathLike):
                with open_file(Path(image), max_pixels) as stream:
                    return _decode(stream, least, max_pixels, use)
            return _decode(io.BytesIO(image) if isinstance(image, bytes) else image, least, max_pixels, use)
    except UnreadableImage:
        raise
    except MemoryError:
        raise UnreadableImage("not enough memory to decode it") from None
    except UnidentifiedImageError as problem:
        raise NotAnImage(f"not an image, or none of {', '.join(FORMATS)}") from problem
    except Exception as problem:  # decoders of hostile files raise anything: struct.error, KeyError, SyntaxError ...
        raise UnreadableImage(_reason(problem)) from problem


def file_limit_bytes(max_pixels: int) -> int:
    """The largest file worth reading when an image may have max_pixels pixels."""
    return max(SMALLEST_FILE_LIMIT, BYTES_PER_PIXEL * max_pixels)


def open_file(path: Path, max_pixels: int = MAX_PIXELS) -> BinaryIO:
    """The file opened for reading; UnreadableImage if it is missing, not a plain file, empty or too large."""
    try:
        if not path.exists():
            raise UnreadableImage("no such file")
        if not path.is_file():  # a pipe or a device would block or never end
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
            f"raise --max-pixels if it is sound"
        )


def _decode(stream: BinaryIO, least: int, max_pixels: int, use: Callable[[Image.Image], T]) -> T:
    with _open(stream, max_pixels) as image:
        image.draft("RGB", (least, least))  # JPEG only: decode at 1/2, 1/4 or 1/8
        image.load()
        return use(_to_rgb(_upright(image)))


def _open(stream: BinaryIO, max_pixels: int) -> Image.Image:
    # Pillow's own pixel limit is a global of its module. Ours is a setting, so theirs is lifted, but only while
    # it would be looked at: a program that imports artidx keeps the protection it had.
    with _pillow_limit:
        theirs, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            image = Image.open(stream, formats=FORMATS)
            _check_pixels(image.size, max_pixels)
            if isinstance(image, TiffImageFile):
                image.load_prepare()  # looks at the limit again
            return image
        finally:
            Image.MAX_IMAGE_PIXELS = theirs


@contextmanager
def _without_warnings() -> Iterator[None]:
    """No warnings about odd metadata: the pixels decide. Python's own catch_warnings is not safe between threads."""
    with _silence:
        _silent.append(warnings.catch_warnings())
        if len(_silent) == 1:
            _silent[0].__enter__()
            warnings.simplefilter("ignore")
    try:
        yield
    finally:
        with _silence:
            if len(_silent) == 1:
                _silent[0].__exit__(None, None, None)
                _silent.clear()
            else:
                _silent.pop()


def _check_pixels(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise UnreadableImage("has no pixels")
    if width * height > max_pixels:
        raise UnreadableImage(
            f"{width} x {height} is {width * height / 1e6:,.0f} megapixels, over the limit of "
            f"{max_pixels / 1e6:g}; raise it with --max-pixels"
        )


def _scaled(rgb: Image.Image, box: Box, size: int) -> Pixels:
    left, top, right, bottom = box
    part = (left * rgb.width, top * rgb.height, right * rgb.width, bottom * rgb.height)
    # Filters look past the box by half a pixel of the square: the shipped model was measured so.
    small = rgb.resize((size, size), Image.Resampling.BILINEAR, box=part)
    small.info.clear()  # a long comment could not be saved, and is nothing to look at
    return published(small)


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # the orientation is a courtesy of the camera; damaged metadata must not cost the painting
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I;16"):
        return _from_array(np.asarray(image))
    if image.mode in ("I", "F"):
        return _from_array(np.asarray(image))
    if image.mode in ("RGBA", "RGBX", "RGBa"):  # "RGBa" is premultiplied and converts by way of "RGBA"
        return image.convert("RGBA").convert("RGB")
    if image.mode in ("LA", "La"):
        return image.convert("LA").convert("L").convert("RGB")
    return image.convert("RGB")


def _from_array(array: npt.NDArray[np.generic]) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or 0 in array.shape:
        raise UnreadableImage(f"array of shape {array.shape}; expected (height, width) or (height, width, 3 or 4)")
    return Image.fromarray(_to_8_bit(array[..., :3] if array.ndim == 3 else array)).convert("RGB")


def _to_8_bit(array: npt.NDArray[np.generic]) -> Pixels:
    """Whole numbers above 255 count as 16-bit; fractions within [0, 1] as shares of white, else as 0 to 255."""
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array, dtype=np.uint8)
    if array.dtype == bool:
        return np.where(array, 255, 0).astype(np.uint8)
    if array.dtype.kind not in "uif":
        raise UnreadableImage(f"array of type {array.dtype}; expected numbers")
    values = np.nan_to_num(array.astype(np.float64), nan=0.0)
    top = values.max()
    if array.dtype.kind == "f" and top <= 1:
        values = values * 255
    elif (array.dtype.kind == "u" and array.dtype.itemsize == 2) or (array.dtype.kind in "ui" and top > 255):
        values = values / 257
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _reason(problem: Exception) -> str:
    if isinstance(problem, OSError) and problem.strerror:
        return problem.strerror
    text = " ".join(str(problem).split()) or type(problem).__name__
    return f"damaged image: {text[:200]}"
