"""Endless bytes that are nearly images: each gives a square or UnreadableImage, in bounded time and memory.

    python tests/fuzz_images.py SECONDS [SEED] [FOLDER]

The last input is in FOLDER/last, so that a crash of a decoder can be examined. test_fuzz_images.py runs this in a
separate process.
"""

from __future__ import annotations

import random
import re
import resource
import struct
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from artidx.embedder.pictures import formats
from artidx.embedder.pictures.images import square
from artidx.errors import UnreadableImage
from hostile_pictures import KINDS, encoded
from made_tiff import DEFLATE, LZW, PACKBITS, tiff
from test_colour import ADOBE, CMYK

SIZE, MAX_PIXELS = 32, 4_000_000
CPU_S, MEMORY_MB = 3.0, 600  # of one picture, on a busy machine; of all of them
EXTREMES = [
    struct.pack(form, value)
    for form in ("<H", ">H", "<I", ">I")
    for value in (0, 1, 2, 0x7FFF, 0x8000, 0xFFFF) + ((1 << 31, 0xFFFFFFFF, 0x10000) if form[1] == "I" else ())
]
RARE_SHARE = 0.01  # of formats that are decoded in a process apart


def corpus() -> tuple[list[bytes], list[bytes]]:
    """Valid files of all common formats in many layouts, small hostile ones, and files of the rare formats."""
    chance = np.random.default_rng(0)
    common = [
        encoded(file_format, 24, **options)
        for file_format, options in (
            ("JPEG", {"quality": 90}),
            ("JPEG", {"progressive": True}),
            ("JPEG", {"icc_profile": ADOBE}),
            ("PNG", {}),
            ("PNG", {"icc_profile": ADOBE}),
            ("WEBP", {}),
            ("WEBP", {"lossless": True}),
            ("WEBP", {"icc_profile": ADOBE}),
            ("GIF", {}),
            ("BMP", {}),
            ("TIFF", {}),
            ("TIFF", {"compression": "jpeg"}),
            ("TIFF", {"compression": "tiff_lzw"}),
            ("TIFF", {"icc_profile": CMYK}),
        )
    ]
    for bits in (1, 4, 8, 12, 16, 32):
        for photometric, channels in ((0, 1), (1, 2), (2, 3), (2, 4), (3, 1), (5, 4), (6, 3), (8, 3)):
            samples = chance.integers(0, 2**bits, (18, 17, channels), dtype=np.uint64)
            palette = {320: ("H", chance.integers(0, 65536, 3 << min(bits, 8)).tolist())} if photometric == 3 else {}
            common.append(
                tiff(
                    samples,
                    photometric,
                    bits=bits,
                    planar=bits % 3 == 1,
                    order="<>"[bits == 8],
                    rows=5,
                    compression=(1, DEFLATE, LZW, PACKBITS)[(bits + channels) % 4],
                    tile=(16, 16) if channels == 3 else None,
                    tags=palette,
                )
            )
    common += [make(2000) for kind, make in KINDS.items() if not kind.startswith(("jp2", "tiff: one", "tiff: huge"))]
    rare = [encoded(kind, 24) for kind, name in (("JPEG2000", "a.jp2"), ("AVIF", "a.avif")) if formats.is_read(name)]
    return common, rare


def mutated(data: bytes, other: bytes, chance: random.Random) -> bytes:
    """A file with bytes changed, cut out, doubled, taken from another file, or with numbers at their extremes."""
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        last = min(len(found) - 1, chance.choice((64, 400, 1 << 30)))  # headers come first
        at, length = chance.randint(0, max(last, 0)), chance.choice((1, 2, 4, 8, 50, 400))
        kind = chance.randrange(6)
        if kind == 0:
            found[at : at + 1] = bytes([chance.randrange(256)])
        elif kind == 1:
            extreme = chance.choice(EXTREMES)
            found[at : at + len(extreme)] = extreme
        elif kind == 2:
            del found[at : at + length]
        elif kind == 3:
            found[at:at] = found[at : at + length] * chance.choice((1, 2, 50))
        elif kind == 4:
            start = chance.randrange(max(1, len(other)))
            found[at : at + length] = other[start : start + length]
        else:
            found[at : at + 1] = bytes([found[at] ^ 1 << chance.randrange(8)]) if at < len(found) else b""
    return bytes(found[: chance.randint(0, len(found))] if chance.random() < 0.1 else found)


def run(seconds: float, seed: int, folder: Path) -> Counter[str]:
    """Counts of results, by their first words. Raises AssertionError, or any unexpected exception."""
    chance, outcomes = random.Random(seed), Counter[str]()
    common, rare = corpus()
    square(common[0], SIZE)
    end, before = time.monotonic() + seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    while time.monotonic() < end:
        files = rare if rare and chance.random() < RARE_SHARE else common
        data = mutated(chance.choice(files), chance.choice(common), chance)
        (folder / "last").write_bytes(data)
        started = time.thread_time()
        try:
            pixels = square(data, SIZE, max_pixels=MAX_PIXELS)
            assert pixels.shape == (SIZE, SIZE, 3)
            outcome = "a square"
        except UnreadableImage as problem:
            outcome = str(problem)
            assert outcome.strip()
            assert len(outcome.splitlines()) == 1
        assert time.thread_time() - started < CPU_S, outcome
        outcomes[re.sub(r"\d[\d,/]* ", "N ", outcome.partition(":")[0])[:24]] += 1
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < MEMORY_MB, f"{grown:.0f} MB"
    outcomes["MB more at most"] = round(grown)
    return outcomes


if __name__ == "__main__":
    where = Path(sys.argv[3] if len(sys.argv) > 3 else tempfile.mkdtemp())
    print(dict(run(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0, where).most_common()))
