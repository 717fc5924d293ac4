"""Files of many kinds that look like images but cannot be used, each with the expected reason."""

from __future__ import annotations

import io
import os
import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

import hostile_pictures

MAX_PIXELS = 1 << 16  # of the run; the good images have 64 x 64

Make = Callable[[Path, random.Random], None]


def _encoded(file_format: str, chance: random.Random, side: int = 40) -> bytes:
    pixels = np.random.default_rng(chance.getrandbits(32)).integers(0, 256, (side, side, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, file_format)
    return stream.getvalue()


def _cut(file_format: str) -> Make:
    def make(path: Path, chance: random.Random) -> None:
        data = _encoded(file_format, chance)
        path.write_bytes(data[: chance.randrange(len(data) // 3, len(data) // 2)])

    return make


def _begins(magic: bytes) -> Make:
    """The first bytes of a format, and then noise."""
    return lambda path, chance: _write(path, magic + chance.randbytes(200))


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _text(text: str) -> Make:
    return lambda path, chance: _write(path, f"{text} {chance.random()}".encode())


def _huge(path: Path, chance: random.Random) -> None:
    head = struct.pack(">IIBBBBB", 50_000 + chance.randrange(999), 60_000, 8, 2, 0, 0, 0)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)


def _large(path: Path, chance: random.Random) -> None:
    Image.new("RGB", (300 + chance.randrange(50), 300), (chance.randrange(256), 0, 0)).save(path, "PNG")


def _broken_link(path: Path, chance: random.Random) -> None:
    path.symlink_to(path.with_name(f"nowhere-{chance.random()}"))


def _pipe(path: Path, chance: random.Random) -> None:
    os.mkfifo(path)


def _png_with_wrong_checksum(path: Path, chance: random.Random) -> None:
    data = bytearray(_encoded("PNG", chance))
    data[data.index(b"IDAT") + 20] ^= 0xFF
    path.write_bytes(data)


def _hostile(kind: str, size: int) -> Make:
    """Made by hostile_pictures.py, with this many bytes of the excessive part."""
    return lambda path, chance: _write(path, hostile_pictures.KINDS[kind](size + chance.randrange(100)))


KINDS: dict[str, tuple[str, Make, str]] = {  # kind -> suffix, how it is made, the reason as a pattern
    "empty": (".jpg", lambda path, chance: path.touch(), "^empty file$"),
    "cut jpeg": (".jpg", _cut("JPEG"), "damaged|truncated|not an image"),
    "cut png": (".png", _cut("PNG"), "damaged|truncated|not an image"),
    "cut gif": (".gif", _cut("GIF"), "damaged|truncated"),
    "cut bmp": (".bmp", _cut("BMP"), "damaged|truncated"),
    "cut tiff": (".tif", _cut("TIFF"), "damaged|truncated|not an image"),
    "cut webp": (".webp", _cut("WEBP"), "damaged|truncated|not an image"),
    "text": (".jpg", _text("this is no picture"), "^not an image"),
    "html": (".png", _text("<!DOCTYPE html><title>404</title>"), "^not an image"),
    "json": (".jpeg", _text('{"error": "rate limit"}'), "^not an image"),
    "svg": (".png", _text('<svg xmlns="http://www.w3.org/2000/svg"/>'), "^not an image"),
    "noise": (".jpg", _begins(b""), "^not an image"),
    "zeros": (".png", lambda path, chance: _write(path, bytes(100 + chance.randrange(900))), "^not an image"),
    "jpeg magic": (".jpg", _begins(b"\xff\xd8\xff\xe0"), "damaged|not an image"),
    "png magic": (".png", _begins(b"\x89PNG\r\n\x1a\n"), "damaged|not an image"),
    "gif magic": (".gif", _begins(b"GIF89a\x00\x00\x00\x00"), "damaged|not an image|has no pixels|over the limit"),
    "tiff magic": (".tif", _begins(b"II*\x00\xff\xff\xff\x00"), "damaged|not an image"),
    "webp magic": (".webp", _begins(b"RIFF\x00\x10\x00\x00WEBPVP8 "), "damaged|not an image|over the limit"),
    "pdf": (".jpg", _begins(b"%PDF-1.7\n"), "^not an image.* it is a PDF document"),
    "zip": (".jpg", _begins(b"PK\x03\x04"), "^not an image.* it is a zip archive"),
    "huge": (".png", _huge, "megapixels, over the limit"),
    "large": (".png", _large, "over the limit of 0.065536; raise it with --max-pixels"),
    "broken link": (".jpg", _broken_link, "^no such file$"),
    "pipe": (".jpg", _pipe, "^not a file$"),
    "png checksum": (".png", _png_with_wrong_checksum, "damaged"),
    "many scans": (".jpg", _hostile("jpeg: scans", 3000), "^too much work to decode: a JPEG of .* in over 100 scans"),
    "many segments": (".jpg", _hostile("jpeg: comments", 10_000), "^too much work to decode: a JPEG of over 2,000 "),
    "two sizes": (".jpg", _hostile("jpeg: two sizes", 0), "^damaged image: a JPEG with two sizes"),
    "many chunks": (".png", _hostile("png: chunks", 13_000), "^too much work to decode: a PNG of over 1,000 chunks"),
    "many blocks": (".gif", _hostile("gif: comments", 110_000), "^too much work to decode: a GIF of over 50,000 "),
    "huge tile": (".tif", _hostile("tiff: huge tile", 10_000), "^too much work to decode: a TIFF of 16 x 16 in "),
    "many tags": (".tif", _hostile("tiff: tags", 10_000), "^too much work to decode: a TIFF of 65,535 tags"),
    "wide canvas": (".webp", _hostile("webp: canvas", 0), "16383 x 16383 is 268 megapixels, over the limit"),
}


def make_bad(folder: Path, count: int, seed: int = 0) -> dict[str, str]:
    """Write this many bad images of all kinds into folders of artists; returns their paths and the expected reasons."""
    chance, expected = random.Random(seed), {}
    for number in range(count):
        kind = list(KINDS)[number % len(KINDS)]
        suffix, make, reason = KINDS[kind]
        path = folder / f"Artist {number % 7}" / f"bad {number:05d} {kind}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        make(path, chance)
        expected[os.path.abspath(path)] = reason
    return expected
