"""Count how much work a file is for its decoder, from its structure, before anything is decoded.

Pixels are bounded elsewhere (images.py). But a JPEG of few pixels may have thousands of scans, a PNG millions of
chunks, a TIFF millions of strips: a few bytes each that cost a decoder as much as a picture. Such parts are counted
here, in time that grows with their number and ends at the limit. Ordinary files stay far below it. Does not decode.
TIFF's directory is read in tiff.py, and formats decoded in a separate process (apart.py) have their limits there.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ...errors import UnreadableImage
from .colour import MAX_PROFILE_BYTES

MAX_SCANS = 100  # of a JPEG; progressive ones have 10, of four colours 17
MAX_SCANS_OF_ALL_PIXELS = 20  # of the largest picture allowed: smaller ones may have more scans
MAX_SEGMENTS = 2000  # of a JPEG before its first scan; 1,000 of them may hold a profile and metadata of 64 MB
MAX_ALIKE = 64  # of one kind of table, of EXIF and of Photoshop data: Pillow joins and parses them byte by byte
MAX_FILL_BYTES = 100_000  # between the segments of a JPEG
MAX_CHUNKS = 1000  # of a PNG, without those with pixels
BYTES_PER_CHUNK = 512  # at least, on average, of those with pixels; encoders write 8 KB
MAX_BLOCKS = 50_000  # of a GIF before its first picture; one holds up to 255 bytes of comments
MAX_RLE_BYTES = 4 << 20  # of a packed BMP, which Pillow unpacks in Python
READ = 1 << 20

SOI, EOI, SOS, APP1, APP2, APP13 = 0xD8, 0xD9, 0xDA, 0xE1, 0xE2, 0xED
TABLES = range(0xC0, 0xE0)
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # starts of frames, of all kinds of coding
ALONE = {0x01, *range(0xD0, 0xD8), SOI}  # markers without a length
ICC, EXIF = b"ICC_PROFILE\0", b"Exif\0\0"
NOT_IN_A_SCAN = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")  # what ends it
PIXELS_OF_A_PNG = (b"IDAT", b"fdAT", b"fcTL")


@dataclass(frozen=True)
class Outline:
    """What was found: width and height, if known, and parts that Pillow should not see."""

    size: tuple[int, int] | None = None
    left_out: tuple[tuple[int, int], ...] = ()  # (start, end) of colour profiles
    profile: bytes | None = None  # the valid one of those
    scans: int = 1  # of a JPEG, at most


def too_much(what: str) -> UnreadableImage:
    """The error for a file that is too much work for its decoder."""
    return UnreadableImage(f"too much work to decode: {what}; save it again if you trust it")


def without(stream: BinaryIO, parts: tuple[tuple[int, int], ...]) -> BinaryIO:
    """A copy of the file in memory that lacks some parts, each (start, end), in their order."""
    stream.seek(0)
    data, kept, end = stream.read(), [], 0
    for start, behind in parts:
        kept.append(data[end:start])
        end = behind
    return io.BytesIO(b"".join([*kept, data[end:]]))


def outline(stream: BinaryIO, kind: str, max_pixels: int) -> Outline:
    """The outline of a JPEG, PNG, WEBP, GIF or BMP. Raises UnreadableImage if it is too much work."""
    if kind == "JPEG":
        return jpeg(stream, max_pixels)
    return {"PNG": png, "WEBP": webp, "GIF": gif, "BMP": bmp}[kind](stream)


def jpeg(stream: BinaryIO, max_pixels: int) -> Outline:
    """Raises UnreadableImage for a JPEG with too many segments or scans, or with two sizes for different decoders."""
    profiles: list[tuple[int, int]] = []
    size, is_damaged, alike = None, False, Counter[int]()
    for segment in _segments(stream):
        if segment.marker in FRAMES:
            if size:
                raise UnreadableImage("damaged image: a JPEG with two sizes")
            height, width = struct.unpack(">HH", segment.head[1:5].ljust(4, b"\0"))
            size = (width, height)
        elif segment.marker == APP2 and segment.head.startswith(ICC):
            profiles.append((segment.start, segment.end))
            is_damaged |= len(segment.head) < len(ICC) + 2  # Pillow does not check its two counters
        if segment.marker in TABLES or segment.marker == APP13 or segment.head.startswith(EXIF):
            alike[segment.marker] += 1
            if alike[segment.marker] > MAX_ALIKE:
                raise too_much(f"a JPEG with over {MAX_ALIKE} segments of one kind")
    if size is None:
        return Outline()
    pixels = size[0] * size[1]
    scans = count(stream, b"\xff\xda") + 1  # at most: the two bytes may also occur after the picture
    if _are_too_many(scans, pixels, max_pixels) and _are_too_many(scans := _scans(stream), pixels, max_pixels):
        raise too_much(f"a JPEG of {pixels / 1e6:,.1f} megapixels in over {scans - 1:,} scans")
    return Outline(size, tuple(profiles) if is_damaged else (), scans=scans)


@dataclass(frozen=True)
class _Segment:
    marker: int
    start: int
    end: int
    head: bytes  # the first bytes behind its length


def _segments(stream: BinaryIO) -> Iterator[_Segment]:
    """The segments of a JPEG up to its first scan; the stream is left just after the marker."""
    stream.seek(2)
    patience = iter(range(MAX_FILL_BYTES + 2 * MAX_SEGMENTS))
    for _ in range(MAX_SEGMENTS):
        marker = _marker(stream, patience)
        if marker in (None, SOS, EOI):
            return
        if marker in ALONE:
            continue
        start, length = stream.tell() - 2, stream.read(2)
        end = start + 2 + max(2, int.from_bytes(length, "big"))
        yield _Segment(marker or 0, start, end, stream.read(min(16, end - start - 4)))
        stream.seek(end)
    raise too_much(f"a JPEG of over {MAX_SEGMENTS:,} segments")


def _marker(stream: BinaryIO, patience: Iterator[int]) -> int | None:
    """The next marker, read as Pillow and libjpeg do: fill bytes, and anything else before it, are skipped."""
    before = b""
    for _ in patience:
        byte = stream.read(1)
        if not byte:
            return None
        if before == b"\xff" and byte not in (b"\xff", b"\0"):
            return byte[0]
        before = byte
    raise too_much("a JPEG with nothing between its markers")


def count(stream: BinaryIO, two: bytes) -> int:
    """How often these two bytes occur in the rest of the stream, whose position is restored."""
    start, found, last = stream.tell(), 0, b""
    while block := stream.read(READ):
        found += block.count(two) + (last + block[:1] == two)
        last = block[-1:]
    stream.seek(start)
    return found


def _are_too_many(scans: int, pixels: int, max_pixels: int) -> bool:
    return scans > MAX_SCANS or scans * pixels > MAX_SCANS_OF_ALL_PIXELS * max_pixels


def _scans(stream: BinaryIO) -> int:
    """The exact number of scans of the picture whose first begins here; counting stops after MAX_SCANS."""
    data, at, scans = stream.read(), 0, 1
    for _ in range(MAX_SEGMENTS):  # of tables and comments between the scans
        at += int.from_bytes(data[at : at + 2], "big")
        found = NOT_IN_A_SCAN.search(data, at)
        if found is None or found[1][0] == EOI or scans > MAX_SCANS:
            return scans
        scans += found[1][0] == SOS
        at = found.end()
    raise too_much(f"a JPEG of over {MAX_SEGMENTS:,} segments")


def png(stream: BinaryIO) -> Outline:
    """Raises UnreadableImage for a PNG of too many chunks. Its colour profile is read here, with a size limit."""
    size_bytes = stream.seek(0, io.SEEK_END)
    stream.seek(8)
    profiles: list[tuple[int, int]] = []
    size, profile, others, pixels = None, None, 0, 0
    while len(head := stream.read(8)) == 8:
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        start, end = stream.tell() - 8, stream.tell() + length + 4
        if kind in PIXELS_OF_A_PNG:
            pixels += 1
        else:
            others += 1
        if others > MAX_CHUNKS or pixels * BYTES_PER_CHUNK > size_bytes + MAX_CHUNKS * BYTES_PER_CHUNK:
            raise too_much(f"a PNG of over {others + pixels - 1:,} chunks")
        if kind == b"IHDR" and size is None:
            size = struct.unpack(">II", stream.read(8).ljust(8, b"\0"))
        elif kind == b"iCCP":
            if not profiles and length <= MAX_PROFILE_BYTES:
                profile = _unpacked(stream.read(length), stream.read(4))
            profiles.append((start, end))
        elif kind == b"IEND":
            break
        stream.seek(end)
    return Outline(size, tuple(profiles), profile)


def _unpacked(chunk: bytes, checksum: bytes) -> bytes | None:
    """The profile in an iCCP chunk; None if it is damaged or too large."""
    if zlib.crc32(b"iCCP" + chunk).to_bytes(4, "big") != checksum:
        return None
    _, _, packed = chunk.partition(b"\0")
    reader = zlib.decompressobj()
    try:
        profile = reader.decompress(packed[1:], MAX_PROFILE_BYTES)
    except zlib.error:
        return None
    return profile if reader.eof and packed[:1] == b"\0" else None


def webp(stream: BinaryIO) -> Outline:
    """The size of the canvas, which the library allocates as soon as it opens the file."""
    stream.seek(12)
    kind, head = stream.read(4), stream.read(14)
    if len(head) < 14:
        return Outline()
    if kind == b"VP8X":
        return Outline((int.from_bytes(head[8:11], "little") + 1, int.from_bytes(head[11:14], "little") + 1))
    if kind == b"VP8L":
        both = int.from_bytes(head[5:9], "little")
        return Outline(((both & 0x3FFF) + 1, (both >> 14 & 0x3FFF) + 1))
    return Outline((int.from_bytes(head[10:12], "little") & 0x3FFF, int.from_bytes(head[12:14], "little") & 0x3FFF))


def gif(stream: BinaryIO) -> Outline:
    """Raises UnreadableImage for a GIF of too many blocks before its first picture."""
    stream.seek(0)
    head = stream.read(13)
    if len(head) == 13 and head[10] & 0x80:
        stream.seek(3 << (head[10] & 7) + 1, io.SEEK_CUR)
    blocks = 0
    while (kind := stream.read(1)) not in (b"", b",", b";"):
        blocks += 1
        if kind == b"!":
            stream.seek(1, io.SEEK_CUR)
            while length := stream.read(1).ljust(1, b"\0")[0]:
                stream.seek(length, io.SEEK_CUR)
                blocks += 1
                if blocks > MAX_BLOCKS:
                    break
        if blocks > MAX_BLOCKS:
            raise too_much(f"a GIF of over {MAX_BLOCKS:,} blocks before its first picture")
    return Outline()


def bmp(stream: BinaryIO) -> Outline:
    """Raises UnreadableImage for a large packed BMP."""
    size_bytes = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    head = stream.read(34)
    packing = int.from_bytes(head[30:34], "little") if int.from_bytes(head[14:18], "little") >= 40 else 0
    if packing in (1, 2) and size_bytes > MAX_RLE_BYTES:
        raise too_much(f"a packed BMP of over {MAX_RLE_BYTES >> 20} MB")
    return Outline()


def check_pixels(size: tuple[int, int], max_pixels: int) -> None:
    """Raises UnreadableImage for a picture of no pixels or of too many; size: its width and height."""
    width, height = size
    if width < 1 or height < 1:
        raise UnreadableImage("has no pixels")
    if width * height > max_pixels:
        raise UnreadableImage(
            f"{width} x {height} is {width * height / 1e6:,.0f} megapixels, over the limit of "
            f"{max_pixels / 1e6:g}; raise it with --max-pixels"
        )
