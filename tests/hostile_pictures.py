"""Pictures that are much work for a decoder: few pixels or bytes, but endless parts, or false sizes.

Each kind can be made in any size: small for the tests, and 15 MB by `python tests/hostile_pictures.py`, which prints
the cost of each.
"""

from __future__ import annotations

import io
import resource
import struct
import sys
import time
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

from made_tiff import tiff, whole


def encoded(file_format: str, side: int = 64, **options: object) -> bytes:
    y, x = np.mgrid[0:side, 0:side]
    pixels = np.stack([x * 5 % 256, y * 3 % 256, (x + y) % 256], axis=2).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, file_format, **options)
    return stream.getvalue()


def scans(size: int, side: int = 1500) -> bytes:
    """A progressive JPEG that repeats its last scan."""
    data = encoded("JPEG", side, progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last : last + 20] * (size // 20) + data[-2:]


def segments(size: int, body: bytes = b"\xff\xfe\0\2") -> bytes:
    data = encoded("JPEG")
    return data[:2] + body * (size // len(body)) + data[2:]


def table(size: int) -> bytes:
    """Quantisation tables, each of which Pillow parses."""
    return segments(size, b"\xff\xdb" + struct.pack(">H", 2 + 65 * 1000) + (b"\0" + bytes([1]) * 64) * 1000)


def exif_segments(size: int) -> bytes:
    return segments(size, b"\xff\xe1\0\x09Exif\0\0x")


def photoshop(size: int) -> bytes:
    return segments(
        size,
        b"\xff\xed" + struct.pack(">H", 2 + 14 + 12 * 5000) + b"Photoshop 3.0\0" + (b"8BIM\1\1\0\0\0\0\0\0") * 5000,
    )


def two_sizes(size: int) -> bytes:
    """A JPEG that is small for decoders that read the last of its sizes, and large for those that read the first."""
    data = encoded("JPEG")
    at = data.index(b"\xff\xc0")
    length = int.from_bytes(data[at + 2 : at + 4], "big") + 2
    large = data[at : at + 5] + struct.pack(">HH", 65500, 65500) + data[at + 9 : at + length]
    return data[:at] + large + data[at:]


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def chunks(size: int, part: bytes, before_pixels: bool = True) -> bytes:
    data = encoded("PNG")
    at = 33 if before_pixels else data.index(b"IDAT") - 4
    return data[:at] + part * (size // len(part)) + data[at:]


def empty_pixels(size: int) -> bytes:
    return chunks(size, chunk(b"IDAT"), before_pixels=False)


def profiles(size: int) -> bytes:
    return chunks(size, chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(1 << 20))))


def bursting_texts(size: int) -> bytes:
    return chunks(size, chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(1 << 20))))


def tags_of_exif(size: int) -> bytes:
    """EXIF tags that each claim to contain most of the file."""
    entries = min(65535, size // 24)
    length = size - 12 * entries
    exif = (
        b"II*\0\x08\0\0\0"
        + struct.pack("<H", entries)
        + b"".join(struct.pack("<HHII", tag, 7, length // 2, 8) for tag in range(entries))
        + bytes(length)
    )
    return chunks(len(chunk(b"eXIf", exif)), chunk(b"eXIf", exif))


def strips(size: int) -> bytes:
    how_many = size // 8
    return whole(
        [b"x"],
        {
            256: ("I", [1]),
            257: ("I", [how_many]),
            258: ("H", [8]),
            259: ("H", [1]),
            262: ("H", [1]),
            273: ("I", [8] * how_many),
            277: ("H", [1]),
            278: ("I", [1]),
            279: ("I", [1] * how_many),
        },
    )


def strips_that_are_one(size: int) -> bytes:
    how_many, data = 50_000, bytes(size // 2)
    return whole(
        [data],
        {
            256: ("I", [3000]),
            257: ("I", [how_many]),
            258: ("H", [8]),
            259: ("H", [32773]),
            262: ("H", [1]),
            273: ("I", [8] * how_many),
            277: ("H", [1]),
            278: ("I", [1]),
            279: ("I", [len(data)] * how_many),
        },
    )


def huge_tile(size: int) -> bytes:
    side = 22_528
    data = zlib.compress(bytes(min(100 * size, 3 * side * side)), 1)
    return whole(
        [data],
        {
            256: ("I", [16]),
            257: ("I", [16]),
            258: ("H", [8] * 3),
            259: ("H", [8]),
            262: ("H", [2]),
            277: ("H", [3]),
            322: ("I", [side]),
            323: ("I", [side]),
        },
        is_tiled=True,
    )


def wide_tiles(size: int) -> bytes:
    """A picture one pixel wide in tiles of 1,024."""
    how_many = 20_000
    data = zlib.compress(bytes(1024 * 16))
    return whole(
        [data],
        {
            256: ("I", [1]),
            257: ("I", [16 * how_many]),
            258: ("H", [8]),
            259: ("H", [8]),
            262: ("H", [1]),
            277: ("H", [1]),
            322: ("I", [1024]),
            323: ("I", [16]),
            324: ("I", [8] * how_many),
            325: ("I", [len(data)] * how_many),
        },
        is_tiled=True,
    )


def fractions(size: int) -> bytes:
    """A resolution in a million numbers."""
    return tiff(np.zeros((8, 8, 1)), 1, tags={282: ("I", [1] * (size // 4))})


def many_tags(size: int) -> bytes:
    data = bytearray(tiff(np.zeros((8, 8, 1)), 1))
    at = int.from_bytes(data[4:8], "little")
    data[at : at + 2] = struct.pack("<H", 65535)
    return bytes(data) + struct.pack("<HHII", 65000, 7, len(data), 0) * (min(size, 65535 * 12) // 12)


def directories(size: int) -> bytes:
    """A chain of them."""
    data = tiff(np.zeros((8, 8, 1)), 1)
    start = int.from_bytes(data[4:8], "little")
    tags = int.from_bytes(data[start : start + 2], "little")
    link = start + 2 + 12 * tags
    chain = b"".join(struct.pack("<HHHIII", 1, 256, 4, 1, 8, len(data) + 18 * (i + 1)) for i in range(size // 18))
    return data[:link] + struct.pack("<I", len(data)) + data[link + 4 :] + chain


def scans_in_a_tiff(size: int) -> bytes:
    data = scans(size, 400)
    return whole(
        [data],
        {
            256: ("I", [400]),
            257: ("I", [400]),
            258: ("H", [8] * 3),
            259: ("H", [7]),
            262: ("H", [6]),
            277: ("H", [3]),
            278: ("I", [400]),
            530: ("H", [2, 2]),
        },
    )


def comments(size: int, block: bytes = b"\1x") -> bytes:
    data = encoded("GIF")
    at = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    return data[:at] + b"!\xfe" + block * (size // len(block)) + b"\0" + data[at:]


def extensions(size: int) -> bytes:
    data = encoded("GIF")
    at = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    return data[:at] + b"!\xf0\0" * (size // 3) + data[at:]


def packed_bmp(size: int) -> bytes:
    side = 1 << (size.bit_length() // 2)
    head = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, 0, 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 14 + 40 + 1024) + head + bytes(1024) + b"\1\7" * (size // 2)


def webp_chunks(size: int) -> bytes:
    data = encoded("WEBP", lossless=True)
    body = b"VP8X" + struct.pack("<I", 10) + bytes([0, 0, 0, 0]) + (63).to_bytes(3, "little") * 2 + data[12:]
    body += b"JUNK\0\0\0\0" * (size // 8)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def webp_canvas(size: int) -> bytes:
    body = b"VP8X" + struct.pack("<I", 10) + bytes([2, 0, 0, 0]) + (16382).to_bytes(3, "little") * 2
    body += b"ANIM\6\0\0\0" + bytes(6)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def precincts(size: int) -> bytes:
    """A JPEG 2000 picture in the smallest parts: a structure for each is allocated before any pixel."""
    data = bytearray(encoded("JPEG2000", no_jp2=True))
    at = data.index(b"\xff\x51")
    data[at + 6 : at + 14] = struct.pack(">II", 10_000, 10_000)
    data[at + 22 : at + 30] = struct.pack(">II", 10_000, 10_000)
    at = data.index(b"\xff\x52")
    length = int.from_bytes(data[at + 2 : at + 4], "big")
    levels = data[at + 9]
    data[at + 4] |= 1
    data[at + 2 : at + 4] = struct.pack(">H", length + levels + 1)
    data[at + 2 + length : at + 2 + length] = bytes([0x11] * (levels + 1))
    return bytes(data)


def small_tiles_of_jp2(size: int) -> bytes:
    data = bytearray(encoded("JPEG2000", no_jp2=True))
    at = data.index(b"\xff\x51")
    data[at + 6 : at + 14] = struct.pack(">II", 10_000, 10_000)
    data[at + 22 : at + 30] = struct.pack(">II", 1, 1)
    return bytes(data)


KINDS: dict[str, Callable[[int], bytes]] = {
    "jpeg: scans": scans,
    "jpeg: comments": segments,
    "jpeg: fill bytes": lambda size: segments(size, b"\xff"),
    "jpeg: no markers": lambda size: segments(size, b"x"),
    "jpeg: tables": table,
    "jpeg: exif": exif_segments,
    "jpeg: photoshop": photoshop,
    "jpeg: two sizes": two_sizes,
    "png: chunks": lambda size: chunks(size, chunk(b"teSt")),
    "png: empty pixels": empty_pixels,
    "png: profiles": profiles,
    "png: texts": bursting_texts,
    "png: exif": tags_of_exif,
    "tiff: strips": strips,
    "tiff: one strip again and again": strips_that_are_one,
    "tiff: huge tile": huge_tile,
    "tiff: wide tiles": wide_tiles,
    "tiff: fractions": fractions,
    "tiff: tags": many_tags,
    "tiff: directories": directories,
    "tiff: scans": scans_in_a_tiff,
    "gif: comments": comments,
    "gif: long comments": lambda size: comments(size, b"\xff" + bytes(255)),
    "gif: extensions": extensions,
    "bmp: packed": packed_bmp,
    "webp: chunks": webp_chunks,
    "webp: canvas": webp_canvas,
    "jp2: precincts": precincts,
    "jp2: tiles": small_tiles_of_jp2,
}


def main() -> None:
    """Print the cost of each kind at 15 MB, in a separate process: CPU seconds, additional MB, and the message."""
    import multiprocessing

    from artidx.embedder.pictures.images import square
    from artidx.errors import UnreadableImage

    def measured(kind: str) -> None:
        data = KINDS[kind](15_000_000)
        before, used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        try:
            said = f"a square {square(data, 224).shape}"
        except UnreadableImage as problem:
            said = str(problem)
        used = time.process_time() - used + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
        peak = (
            max(
                resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before,
                resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss,
            )
            / 1024
        )
        print(f"{kind:34} {len(data) / 1e6:5.1f} MB {used:7.2f} s {peak:6.0f} MB  {said[:110]}", flush=True)

    context = multiprocessing.get_context("fork")
    for kind in sys.argv[1:] or KINDS:
        process = context.Process(target=measured, args=(kind,))
        process.start()
        process.join()


if __name__ == "__main__":
    main()
