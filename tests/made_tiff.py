"""A writer of TIFFs in any layout, for tests that read them back."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

NONE, LZW, DEFLATE, PACKBITS = 1, 5, 8, 32773
Numbers = npt.NDArray[Any]


def tiff(
    samples: Numbers,
    photometric: int | None,
    *,
    bits: int = 8,
    kind: str = "u",
    order: str = "<",
    planar: bool = False,
    compression: int = NONE,
    predictor: int = 1,
    tile: tuple[int, int] | None = None,
    rows: int | None = None,
    fill_order: int = 1,
    is_big: bool = False,
    tags: dict[int, Any] | None = None,
) -> bytes:
    """samples: (h, w, channels) of `bits` bits; tile: (width, height); rows: of a strip; tags: each (type, values)."""
    height, width, channels = samples.shape
    planes = [samples[:, :, i : i + 1] for i in range(channels)] if planar else [samples]
    if tile:
        across, down = -(-width // tile[0]), -(-height // tile[1])
        padding = ((0, down * tile[1] - height), (0, across * tile[0] - width), (0, 0))
        pieces = [
            np.pad(plane, padding, "edge")[y * tile[1] : (y + 1) * tile[1], x * tile[0] : (x + 1) * tile[0]]
            for plane in planes
            for y in range(down)
            for x in range(across)
        ]
    else:
        rows = rows or height
        pieces = [plane[y : y + rows] for plane in planes for y in range(0, height, rows)]
    return whole(
        [compressed(row_bytes(piece, bits, kind, order, predictor), compression, fill_order) for piece in pieces],
        {
            256: ("I", [width]),
            257: ("I", [height]),
            258: ("H", [bits] * channels),
            259: ("H", [compression]),
            **({} if photometric is None else {262: ("H", [photometric])}),
            266: ("H", [fill_order]),
            277: ("H", [channels]),
            284: ("H", [2 if planar else 1]),
            **({317: ("H", [predictor])} if predictor != 1 else {}),
            **({322: ("H", [tile[0]]), 323: ("H", [tile[1]])} if tile else {278: ("I", [rows])}),
            339: ("H", [{"u": 1, "i": 2, "f": 3}[kind]] * channels),
            **(tags or {}),
        },
        order,
        is_big,
        is_tiled=bool(tile),
    )


def whole(
    pieces: list[bytes], tags: dict[int, Any], order: str = "<", is_big: bool = False, is_tiled: bool = False
) -> bytes:
    """The file around compressed pieces."""
    start = 16 if is_big else 8
    starts = np.cumsum([start, *map(len, pieces)]).tolist()
    word = "Q" if is_big else "I"
    tags = {
        324 if is_tiled else 273: (word, starts[:-1]),
        325 if is_tiled else 279: (word, [len(piece) for piece in pieces]),
    } | tags
    entries, longer, room = b"", b"", 8 if is_big else 4
    behind = starts[-1] + (8 + 20 * len(tags) + 8 if is_big else 2 + 12 * len(tags) + 4)
    for tag, (letter, values) in sorted(tags.items()):
        data = values if letter == "s" else struct.pack(f"{order}{len(values)}{letter}", *values)
        length = len(values) // (2 if letter == "II" else 1)
        code = {"B": 1, "H": 3, "I": 4, "Q": 16, "s": 7, "f": 11}[letter]
        place = data.ljust(room, b"\0") if len(data) <= room else struct.pack(order + word, behind + len(longer))
        entries += struct.pack(f"{order}HH{word}", tag, code, length) + place
        longer += data if len(data) > room else b""
    mark = b"II" if order == "<" else b"MM"
    head = mark + (
        struct.pack(f"{order}HHHQ", 43, 8, 0, starts[-1]) if is_big else struct.pack(f"{order}HI", 42, starts[-1])
    )
    count = struct.pack(f"{order}{'Q' if is_big else 'H'}", len(tags))
    return b"".join([head, *pieces, count, entries, bytes(room), longer])


def row_bytes(piece: Numbers, bits: int, kind: str, order: str, predictor: int) -> bytes:
    height, width, channels = piece.shape
    if bits not in (8, 16, 32, 64):
        single = np.unpackbits(piece.astype(">u2").reshape(height, -1, 1).view(np.uint8), axis=2)[:, :, 16 - bits :]
        return np.packbits(single.reshape(height, -1), axis=1).tobytes()
    native = piece.astype(f"{kind}{bits // 8}")
    if predictor == 2:
        numbers = native.view(f"u{bits // 8}")
        native = np.concatenate([numbers[:, :1], np.diff(numbers, axis=1)], axis=1)
    if predictor == 3:
        planes = native.astype(f">{kind}{bits // 8}").reshape(height, width * channels, 1).view(np.uint8)
        flat = planes.transpose(0, 2, 1).reshape(height, -1, channels)
        return np.concatenate([flat[:, :1], np.diff(flat, axis=1)], axis=1).tobytes()
    return native.astype(native.dtype.newbyteorder(order)).tobytes()


def compressed(data: bytes, compression: int, fill_order: int = 1) -> bytes:
    if compression == DEFLATE:
        data = zlib.compress(data)
    elif compression == PACKBITS:
        data = b"".join(bytes([len(data[i : i + 128]) - 1]) + data[i : i + 128] for i in range(0, len(data), 128))
    elif compression == LZW:  # literal bytes only; the table is reset before a code needs 10 bits
        codes = [code for i in range(0, len(data), 200) for code in (256, *data[i : i + 200])]
        text = "".join(f"{code:09b}" for code in [*codes, 257])
        data = int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big")
    if fill_order == 2:
        data = bytes(int(f"{byte:08b}"[::-1], 2) for byte in data)
    return data
