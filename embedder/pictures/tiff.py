"""TIFF in all its layouts: what a file is, whether it is too much work, and the pixels that Pillow does not read
correctly.

Pillow reads the usual layouts and all that is compressed as an image (JPEG, fax). Others it refuses (16-bit grey with
alpha, 16-bit palettes, 16-bit L*a*b*) or misreads (as a negative, planes as stripes). For those, Pillow's libtiff only
decompresses: each plane is passed to it as a grey picture of bytes, and the samples are assembled here. Does not
convert colours to sRGB (colour.py), except those for which Pillow has no mode. Only the first picture of a file is
read.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from functools import cached_property
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from ...errors import NotAnImage, UnreadableImage
from .colour import srgb_of_lab
from .samples import Pixels, blocks, to_8_bit
from .structure import MAX_SCANS, check_pixels, count, too_much

WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
STRIP_OFFSETS, ORIENTATION, SAMPLES, ROWS_PER_STRIP, STRIP_BYTES, PLANAR = 273, 274, 277, 278, 279, 284
PREDICTOR, PALETTE, TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_BYTES = 317, 320, 322, 323, 324, 325
INK_SET, EXTRA, FORMAT, SUBSAMPLING = 332, 338, 339, 530
COEFFICIENTS, BLACK_WHITE, PROFILE, DNG_VERSION = 529, 532, 34675, 50706

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
CODES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I", 16: "Q", 17: "q", 18: "Q"}
MAX_ENTRIES = 1000  # of a directory; ordinary ones have less than a hundred
MAX_NUMBERS = 200_000  # of one entry, so also of strips and tiles: one row per strip, or 64 x 64 px of 400 megapixels
SMALL = 4 << 20  # pixels that tiles may have beyond those of the picture: one tile of 2,048 x 2,048
ASSOCIATED = 1  # premultiplied alpha
PHOTOMETRICS = {
    0: "white is zero",
    1: "black is zero",
    2: "RGB",
    3: "palette",
    4: "transparency mask",
    5: "CMYK",
    6: "YCbCr",
    8: "CIE L*a*b*",
    9: "ICC L*a*b*",
    10: "ITU L*a*b*",
    32803: "a camera's raw colour filters",
    32844: "LogL",
    32845: "LogLuv",
    34892: "a camera's linear raw",
    51177: "depth map",
}
COMPRESSIONS = {
    1: "none",
    2: "fax",
    3: "fax 3",
    4: "fax 4",
    5: "LZW",
    6: "old JPEG",
    7: "JPEG",
    8: "deflate",
    32771: "none, in words",
    32773: "PackBits",
    32946: "deflate",
    33003: "JPEG 2000",
    33005: "JPEG 2000",
    34712: "JPEG 2000",
    34887: "LERC",
    34892: "lossy JPEG",
    34925: "LZMA",
    50000: "Zstandard",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
OF_BYTES = {1, 5, 8, 32773, 32946, 34925, 50000}  # compressions of bytes, not of pixels
WITH_PREDICTOR = OF_BYTES - {1, 32773}
COLOURS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3, 9: 3}  # samples of a pixel that are not extra
FORMATS = {1: "u", 2: "i", 3: "f", 4: "u"}  # whole, signed, floating point, not said


@dataclass(frozen=True)
class Tiff:
    """The first directory of a file: its entries by tag, as (type, count, bytes). `order` as in struct."""

    order: str
    is_big: bool
    entries: dict[int, tuple[int, int, bytes]]
    size_bytes: int

    def numbers(self, tag: int) -> tuple[Any, ...]:
        """The values of an entry; none if it is missing or holds no plain numbers."""
        kind, length, data = self.entries.get(tag, (0, 0, b""))
        if kind in (5, 10):
            pairs = struct.unpack(f"{self.order}{2 * length}{'I' if kind == 5 else 'i'}", data)
            return tuple(a / b if b else 0.0 for a, b in zip(pairs[::2], pairs[1::2], strict=True))
        return struct.unpack(f"{self.order}{length}{CODES[kind]}", data) if kind in CODES else ()

    def number(self, tag: int, default: int) -> int:
        """The one value of an entry."""
        found = self.numbers(tag)
        if found and not isinstance(found[0], int):
            raise UnreadableImage(f"damaged image: a TIFF whose tag {tag} is not a whole number")
        return found[0] if found else default

    @cached_property
    def samples(self) -> int:
        return self.number(SAMPLES, 1)

    @cached_property
    def photometric(self) -> int:
        return self.number(PHOTOMETRIC, 2 if self.samples >= 3 else 0)  # required, but not every program writes it

    @cached_property
    def bits(self) -> tuple[int, ...]:
        """Bits of each sample; one number if all have the same."""
        found = self.numbers(BITS)[: self.samples] or (1,)
        return found if len(set(found)) > 1 else found[:1]

    @cached_property
    def format(self) -> int:
        found = set(self.numbers(FORMAT)[: self.samples]) or {1}
        if self.photometric in (8, 9) and found <= {1, 2, 4}:
            return 1  # a* and b* are signed even if the file does not say so
        return found.pop() if len(found) == 1 else 0

    @cached_property
    def extra(self) -> tuple[int, ...]:
        return self.numbers(EXTRA)

    @cached_property
    def size(self) -> tuple[int, int]:
        return self.number(WIDTH, 0), self.number(LENGTH, 0)

    @cached_property
    def compression(self) -> int:
        return self.number(COMPRESSION, 1)

    @cached_property
    def is_planar(self) -> bool:
        return self.number(PLANAR, 1) == 2 and self.samples > 1

    @cached_property
    def is_tiled(self) -> bool:
        return TILE_OFFSETS in self.entries or TILE_WIDTH in self.entries

    @cached_property
    def piece(self) -> tuple[int, int]:
        """Width and height of a tile, or of a strip."""
        width, height = self.size
        if self.is_tiled:
            return self.number(TILE_WIDTH, 0), self.number(TILE_LENGTH, 0)
        return width, min(height, self.number(ROWS_PER_STRIP, height) or height)

    @cached_property
    def pieces(self) -> tuple[int, int]:
        """How many pieces there are across and down."""
        return -(-self.size[0] // self.piece[0]), -(-self.size[1] // self.piece[1])

    def described(self) -> str:
        """What the file is, in words."""
        bits = "/".join(map(str, self.bits))
        number = {1: "", 2: "signed ", 3: "floating-point "}.get(self.format, "unknown ")
        pixel = f"{self.samples} {number}samples" if self.samples != 1 else f"one {number}sample"
        planes = ", in planes" if self.is_planar else ""
        return (
            f"a TIFF with {pixel} of {bits} bits a pixel, {PHOTOMETRICS.get(self.photometric, self.photometric)}, "
            f"compression {COMPRESSIONS.get(self.compression, self.compression)}{planes}"
        )


def read(stream: BinaryIO, max_pixels: int) -> Tiff:
    """The first directory of a TIFF. Raises UnreadableImage if it is damaged, or too much work for a decoder."""
    size_bytes = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    head = stream.read(16)
    order = "<" if head[:2] == b"II" else ">"
    is_big = 43 in head[2:4]
    try:
        (offset,) = struct.unpack_from(f"{order}Q", head, 8) if is_big else struct.unpack_from(f"{order}I", head, 4)
        stream.seek(offset)
        (entries,) = struct.unpack(f"{order}{'Q' if is_big else 'H'}", stream.read(8 if is_big else 2))
        found = Tiff(order, is_big, _entries(stream, order, is_big, entries, size_bytes), size_bytes)
    except (struct.error, OverflowError, ValueError):
        raise UnreadableImage("damaged image: a TIFF without a directory") from None
    if DNG_VERSION in found.entries or head[8:10] == b"CR":
        raise NotAnImage("a camera's raw file; develop it to a JPEG or TIFF first")
    check_pixels(found.size, max_pixels)
    _check_pieces(found, stream)
    return found


def _entries(
    stream: BinaryIO, order: str, is_big: bool, how_many: int, size_bytes: int
) -> dict[int, tuple[int, int, bytes]]:
    if how_many > MAX_ENTRIES:
        raise too_much(f"a TIFF of {how_many:,} tags")
    step, room, form = (20, 8, f"{order}HHQ") if is_big else (12, 4, f"{order}HHI")
    table = stream.read(step * how_many)
    found: dict[int, tuple[int, int, bytes]] = {}
    for at in range(0, len(table) - step + 1, step):
        tag, kind, length = struct.unpack_from(form, table, at)
        size = length * SIZES.get(kind, 1)
        if kind not in (1, 2, 7) and length > MAX_NUMBERS:
            raise too_much(f"a TIFF with {length:,} numbers in tag {tag}")
        if tag in found or size > size_bytes:
            continue  # the first one counts; impossible entries are ignored
        value = table[at + step - room : at + step]
        if size > room:
            stream.seek(*struct.unpack(f"{order}{'Q' if is_big else 'I'}", value))
            value = stream.read(size) if kind in CODES or kind in (5, 7, 10) else b""
        else:
            value = value[:size]
        if len(value) == size:
            found[tag] = (kind, length, value)
    return found


def _check_pieces(tiff: Tiff, stream: BinaryIO) -> None:
    (width, height), (across, down) = tiff.piece, (0, 0)
    if width < 1 or height < 1:
        raise UnreadableImage("damaged image: a TIFF with empty tiles")
    across, down = tiff.pieces
    whole = -(-tiff.size[0] // 16) * -(-tiff.size[1] // 16) * 256
    if across * width * down * height > max(SMALL, 4 * whole):
        raise too_much(f"a TIFF of {tiff.size[0]} x {tiff.size[1]} in tiles of {width} x {height}")
    starts, lengths = map(tiff.numbers, (TILE_OFFSETS, TILE_BYTES) if tiff.is_tiled else (STRIP_OFFSETS, STRIP_BYTES))
    there = sum(min(length, max(0, tiff.size_bytes - start)) for start, length in zip(starts, lengths, strict=False))
    if there > 4 * tiff.size_bytes + 4096 * len(lengths):
        raise too_much("a TIFF whose strips are the same bytes again and again")
    stream.seek(0)
    if tiff.compression in (6, 7) and (scans := count(stream, b"\xff\xda")) > MAX_SCANS + 10 * across * down:
        raise too_much(f"a TIFF of {across * down:,} JPEGs in {scans:,} scans")


def is_usual(tiff: Tiff) -> bool:
    """Whether Pillow reads this layout correctly."""
    if tiff.compression not in OF_BYTES:
        return True
    if tiff.is_planar or tiff.is_big or tiff.format != 1 or len(tiff.bits) > 1 or tiff.number(FILL_ORDER, 1) != 1:
        return False
    if PHOTOMETRIC not in tiff.entries or tiff.number(INK_SET, 1) != 1:
        return False
    return (tiff.photometric, tiff.samples, tiff.bits[0]) in {
        (0, 1, 1),
        (1, 1, 1),
        (0, 1, 8),
        (1, 1, 8),
        (1, 1, 16),
        (2, 3, 8),
        (2, 4, 8),
        (2, 3, 16),
        (2, 4, 16),
        (5, 4, 8),
    }


def decoded(tiff: Tiff, stream: BinaryIO, max_bytes: int) -> Image.Image:
    """The picture in an unusual layout, orientation not applied: mode L, La, RGB, RGBa or CMYK.

    Its colour profile is in `info`. Raises UnreadableImage for an unsupported layout, or if the unpacked samples take
    more than max_bytes.
    """
    _check_layout(tiff)
    if tiff.photometric == 6:
        image = Image.fromarray(_rgb_of_ycbcr(tiff, _ycbcr(tiff, stream, max_bytes)))
    else:
        image = _image(tiff, _pixels(tiff, stream, max_bytes))
    kind, _, profile = tiff.entries.get(PROFILE, (0, 0, b""))
    if kind in (1, 7) and tiff.photometric not in (8, 9):
        image.info["icc_profile"] = profile
    return image


def _check_layout(tiff: Tiff) -> None:
    bits = tiff.bits[0]
    sizes = {"u": {*range(1, 17), 32, 64}, "i": {8, 16, 32, 64}, "f": {16, 32, 64}}.get(
        FORMATS.get(tiff.format, ""), set()
    )
    predictor = tiff.number(PREDICTOR, 1) if tiff.compression in WITH_PREDICTOR else 1
    is_read = (
        len(tiff.bits) == 1
        and bits in sizes
        and tiff.photometric in COLOURS
        and tiff.samples >= COLOURS[tiff.photometric]
        and tiff.samples <= 16
        and not (tiff.photometric == 5 and tiff.number(INK_SET, 1) != 1)
        and not (tiff.photometric == 6 and (bits != 8 or predictor != 1))
        and not (tiff.photometric in (8, 9) and (bits not in (8, 16) or tiff.format == 3))
        and not (tiff.photometric == 3 and (bits > 16 or tiff.format not in (1, 4)))
        and (predictor == 1 or (predictor == 2 and bits in (8, 16, 32, 64)) or (predictor == 3 and tiff.format == 3))
    )
    if not is_read:
        raise not_read(tiff)


def _pixels(tiff: Tiff, stream: BinaryIO, max_bytes: int) -> npt.NDArray[Any]:
    """(height, width, samples) of the file's own numbers."""
    (width, height), (across, down) = tiff.piece, tiff.pieces
    planes, each = (tiff.samples, 1) if tiff.is_planar else (1, tiff.samples)
    row_bytes = -(-width * each * tiff.bits[0] // 8)
    _check_bytes(tiff, across * down * height * row_bytes * planes, max_bytes)
    found = []
    for plane in range(planes):
        rows = _unpacked(tiff, stream, plane * across * down, row_bytes, height)
        found.append(_joined(tiff, _numbers(tiff, rows, width, each)))
    return found[0] if planes == 1 else np.concatenate(found, axis=2)


def _ycbcr(tiff: Tiff, stream: BinaryIO, max_bytes: int) -> npt.NDArray[Any]:
    """(height, width, 3): luma and chroma; each block of a few luma samples is followed by one pair of chroma
    samples."""
    wide, high = tiff.numbers(SUBSAMPLING) or (2, 2)
    if tiff.is_planar and (wide, high) == (1, 1):
        return _pixels(tiff, stream, max_bytes)[..., :3]
    (width, height), (across, down) = tiff.piece, tiff.pieces
    fits = (tiff.is_tiled and width % wide == 0) or across == 1
    if tiff.is_planar or tiff.samples != 3 or {wide, high} - {1, 2, 4} or not fits or (down > 1 and height % high):
        raise not_read(tiff)
    cells, lines = -(-width // wide), -(-height // high)
    row_bytes = cells * (wide * high + 2)
    _check_bytes(tiff, across * down * lines * row_bytes, max_bytes)
    last = lines if tiff.is_tiled else -(-(tiff.size[1] - (down - 1) * height) // high)
    rows = _unpacked(tiff, stream, 0, row_bytes, lines, last).reshape(-1, cells, wide * high + 2)
    bright = rows[..., :-2].reshape(-1, cells, high, wide).transpose(0, 2, 1, 3).reshape(-1, cells * wide)
    blue, red = (rows[..., i].repeat(high, axis=0).repeat(wide, axis=1) for i in (-2, -1))
    return _joined(tiff, np.stack([bright, blue, red], axis=-1))


def _joined(tiff: Tiff, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(height, width, samples) of rows of pieces (rows, piece's width, samples)."""
    if tiff.is_tiled:
        (across, down), (_, wide, samples) = tiff.pieces, values.shape
        high = len(values) // (across * down)
        tiles = values.reshape(down, across, high, wide, samples)
        values = tiles.transpose(0, 2, 1, 3, 4).reshape(down * high, across * wide, samples)
    return values[: tiff.size[1], : tiff.size[0]]


def _check_bytes(tiff: Tiff, size_bytes: int, max_bytes: int) -> None:
    if size_bytes > max_bytes:
        raise UnreadableImage(
            f"{tiff.described()}: over {max_bytes / 1e6:,.0f} MB unpacked; raise --max-pixels if you trust it"
        )


def not_read(tiff: Tiff) -> UnreadableImage:
    """The error for an unsupported layout."""
    return UnreadableImage(f"{tiff.described()}: not read in this layout; save it as RGB or grey of 8 or 16 bits")


def _unpacked(
    tiff: Tiff, stream: BinaryIO, first: int, row_bytes: int, rows: int, last_rows: int | None = None
) -> Pixels:
    """(rows of all pieces of a plane, row_bytes): its decompressed bytes, piece below piece.

    The pieces are passed to libtiff as the strips of a grey picture, row_bytes wide.
    """
    how_many = tiff.pieces[0] * tiff.pieces[1]
    if last_rows is None:
        last_rows = rows if tiff.is_tiled else tiff.size[1] - (how_many - 1) * rows
    packed = _packed(tiff, stream, first, how_many, row_bytes * rows)
    starts = np.cumsum([8, *map(len, packed)])
    height = rows * (how_many - 1) + last_rows
    entries = {
        WIDTH: [row_bytes],
        LENGTH: [height],
        BITS: [8],
        COMPRESSION: [tiff.compression],
        PHOTOMETRIC: [1],
        FILL_ORDER: [tiff.number(FILL_ORDER, 1)],
        STRIP_OFFSETS: starts[:-1].tolist(),
        SAMPLES: [1],
        ROWS_PER_STRIP: [rows],
        STRIP_BYTES: [len(piece) for piece in packed],
    }
    end = int(starts[-1])
    behind = end + 2 + 12 * len(entries) + 4
    table, longer = struct.pack("<H", len(entries)), b""
    for tag, values in entries.items():
        data = struct.pack(f"<{len(values)}I", *values)
        table += struct.pack("<HHI", tag, 4, len(values)) + (
            data if len(data) == 4 else struct.pack("<I", behind + len(longer))
        )
        longer += data if len(data) > 4 else b""
    whole = b"".join([b"II*\0", struct.pack("<I", end), *packed, table, bytes(4), longer])
    return np.asarray(TiffImageFile(io.BytesIO(whole)))


def _packed(tiff: Tiff, stream: BinaryIO, first: int, how_many: int, whole: int) -> list[bytes]:
    """The bytes of how_many pieces from `first` on, as they are in the file; whole: size of an unpacked one."""
    offsets, lengths = (TILE_OFFSETS, TILE_BYTES) if tiff.is_tiled else (STRIP_OFFSETS, STRIP_BYTES)
    starts = tiff.numbers(offsets)[first : first + how_many]
    sizes = tiff.numbers(lengths)[first : first + how_many]
    if len(starts) == how_many and len(sizes) < how_many and tiff.compression == 1:
        sizes = (whole,) * how_many  # some programs leave them out
    if len(starts) < how_many or len(sizes) < how_many:
        raise UnreadableImage("damaged image: a TIFF that does not say where its pixels are")
    found = []
    for start, size in zip(starts, sizes, strict=True):
        stream.seek(start)
        found.append(stream.read(size))
    return found


def _numbers(tiff: Tiff, rows: Pixels, width: int, samples: int) -> npt.NDArray[Any]:
    """(rows, width, samples) of the numbers in rows of bytes; unusual bit depths are widened to 8 or 16."""
    bits = tiff.bits[0]
    if bits not in (8, 16, 32, 64):
        return _of_odd_bits(rows, width * samples, bits, tiff.photometric == 3).reshape(len(rows), width, samples)
    predictor = tiff.number(PREDICTOR, 1) if tiff.compression in WITH_PREDICTOR else 1
    number = np.dtype(f"{tiff.order}{FORMATS[tiff.format]}{bits // 8}")
    if predictor == 3:
        differences = rows.reshape(len(rows), -1, samples)
        planes = np.cumsum(differences, axis=1, dtype=np.uint8).reshape(len(rows), bits // 8, width * samples)
        number = number.newbyteorder(">")
        rows = np.ascontiguousarray(planes.transpose(0, 2, 1)).reshape(len(rows), -1)
    values = rows.view(number).reshape(len(rows), width, samples)
    if predictor == 2:
        whole = np.dtype(f"u{bits // 8}")
        native = values.view(f"{tiff.order}u{bits // 8}").astype(whole)
        values = np.cumsum(native, axis=1, dtype=whole).view(number.newbyteorder("="))
    return values


def _of_odd_bits(rows: Pixels, numbers: int, bits: int, as_they_are: bool) -> npt.NDArray[Any]:
    """(rows, numbers) of big-endian numbers of 1 to 15 bits."""
    found = np.empty((len(rows), numbers), np.uint16 if as_they_are else np.uint8)
    weights = (1 << np.arange(bits - 1, -1, -1)).astype(np.uint16)
    for part in blocks(len(rows), numbers * bits):
        single = np.unpackbits(rows[part], axis=1)[:, : numbers * bits].reshape(-1, numbers, bits)
        values = (single * weights).sum(axis=2, dtype=np.uint16)
        found[part] = values if as_they_are else np.rint(values * (255 / (2**bits - 1)))
    return found


def _image(tiff: Tiff, values: npt.NDArray[Any]) -> Image.Image:
    colours = COLOURS[tiff.photometric]
    if tiff.photometric == 3:
        return Image.fromarray(_palette(tiff)[values[..., 0]])
    if tiff.photometric in (8, 9):
        return Image.fromarray(_srgb(tiff, values[..., :3]))
    small = to_8_bit(values[..., : colours + 1] if _has_associated_alpha(tiff) else values[..., :colours])
    if tiff.photometric == 0:
        small[..., 0] = 255 - small[..., 0]
    mode = {1: "L", 2: "La", 3: "RGB", 4: "CMYK" if tiff.photometric == 5 else "RGBa"}[min(small.shape[2], 4)]
    return Image.frombytes(mode, tiff.size, np.ascontiguousarray(small[..., :4]).tobytes())


def _has_associated_alpha(tiff: Tiff) -> bool:
    return tiff.photometric in (0, 1, 2) and tiff.extra[:1] == (ASSOCIATED,)


def _palette(tiff: Tiff) -> Pixels:
    """(2^bits, 3): its colours in 16 bits, or in 8 as some programs wrote them."""
    entries = 1 << tiff.bits[0]
    colours = np.array(tiff.numbers(PALETTE), dtype=np.uint16)
    if len(colours) != 3 * entries:
        raise UnreadableImage("damaged image: a TIFF without its palette")
    return (colours if colours.max() < 256 else colours >> 8).astype(np.uint8).reshape(3, entries).T


def _srgb(tiff: Tiff, lab: npt.NDArray[Any]) -> Pixels:
    """From L*a*b* of 8 or 16 bits: a* and b* are signed in CIE's encoding, offset in ICC's."""
    is_wide, found = tiff.bits[0] == 16, np.empty(lab.shape, np.uint8)
    white = 255 if not is_wide else 65535 if tiff.photometric == 8 else 65280
    for rows in blocks(len(lab), lab[:1].size):
        values = lab[rows].astype(np.int32)
        colour = values[..., 1:] / (256 if is_wide else 1)
        colour = np.where(colour >= 128, colour - 256, colour) if tiff.photometric == 8 else colour - 128
        found[rows] = srgb_of_lab(np.concatenate([values[..., :1] * (100 / white), colour], axis=-1))
    return found


def _rgb_of_ycbcr(tiff: Tiff, values: npt.NDArray[Any]) -> Pixels:
    """(h, w, 3), by the coefficients and the black and white that the file names, as libtiff does."""
    red, green, blue = tiff.numbers(COEFFICIENTS)[:3] or (0.299, 0.587, 0.114)
    ends = np.array(tiff.numbers(BLACK_WHITE)[:6] or (0, 255, 128, 255, 128, 255)).reshape(3, 2)
    if not green or (ends[:, 0] == ends[:, 1]).any():
        raise not_read(tiff)
    found = np.empty(values.shape, np.uint8)
    for rows in blocks(len(values), values[:1].size):
        y, b, r = np.moveaxis((values[rows] - ends[:, 0]) * (255, 127, 127) / (ends[:, 1] - ends[:, 0]), -1, 0)
        r, b = y + r * (2 - 2 * red), y + b * (2 - 2 * blue)
        rgb = np.stack([r, (y - red * r - blue * b) / green, b], axis=-1)
        found[rows] = np.clip(np.rint(rgb), 0, 255)
    return found
