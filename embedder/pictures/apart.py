"""Decode rare formats in a separate process, which has limits of time and memory and can be killed.

JPEG 2000, AVIF and HEIC are decoded by large libraries, and a few bytes of a file do not tell how much work it will be.
Such a process costs a tenth of a second per image. The common formats need none: their structure is counted
(structure.py), which costs next to nothing. The process runs decoder.py. Where a system cannot limit the address space
(macOS), only the time is limited.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from .structure import check_pixels

SECONDS = 60  # of a CPU; JPEG 2000 of 200 megapixels takes some 20
FORMATS = ("JPEG2000", "AVIF", "HEIF")
PROGRAM = Path(__file__).with_name("decoder.py")


def decoded(stream: BinaryIO, kind: str, least: int, max_pixels: int) -> Image.Image:
    """The image in the stream, upright, with its colour profile in `info`; kind: one of FORMATS.

    JPEG 2000 may be decoded at a reduced size, no side shorter than `least`. Raises UnreadableImage for too many
    pixels, OSError for a damaged image or one that exceeded the limits, MemoryError.
    """
    stream.seek(0)
    asked = {"kind": kind, "least": least, "max_pixels": max_pixels, "seconds": SECONDS, "packages": _packages()}
    kept = {name: value for name, value in os.environ.items() if name.endswith("LIBRARY_PATH")}
    try:  # isolated and without the environment: an exploited decoder finds nothing to misuse
        ran = subprocess.run(  # noqa: S603, our own program
            [sys.executable, "-I", "-S", PROGRAM, json.dumps(asked)],
            input=stream.read(),
            capture_output=True,
            timeout=4 * SECONDS,
            check=False,
            env=kept | {"MALLOC_ARENA_MAX": "1"},
        )
    except subprocess.TimeoutExpired:
        raise OSError(f"not decoded in {4 * SECONDS} s") from None
    head, _, pixels = ran.stdout.partition(b"\n")
    if not head:
        raise OSError("its decoder crashed, or exceeded its limits of memory and time")
    found = json.loads(head)
    if "problem" in found:
        raise MemoryError if found["problem"] == "MemoryError" else OSError(found["problem"])
    check_pixels(found["size"], max_pixels)
    image = Image.frombytes(found["mode"], found["shape"], pixels)
    image.info["icc_profile"] = bytes.fromhex(found["profile"])
    return image


def _packages() -> list[str]:
    """The folders of Pillow and pillow-heif, which an isolated process would not find."""
    specs = [importlib.util.find_spec(name) for name in ("PIL", "pillow_heif")]
    return list(dict.fromkeys(str(Path(spec.origin).parents[1]) for spec in specs if spec and spec.origin))
