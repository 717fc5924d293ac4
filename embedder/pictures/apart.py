"""Rare formats are decoded in a process of their own, with limits of time and memory, that can be killed.

JPEG 2000, AVIF and HEIC come from large libraries, and what a file of theirs will ask for cannot be told from a few of
its bytes. Such a process costs a tenth of a second an image. The common formats do without: their structure is counted
(structure.py), which costs next to nothing.
What runs in that process is decoder.py. Where a system has no limits of address space (macOS), that of time remains.
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

    JPEG 2000 may be decoded reduced to no less than `least` a side. Raises UnreadableImage for too many pixels, OSError
    for a damaged image or one that went beyond the limits, MemoryError.
    """
    stream.seek(0)
    asked = {"kind": kind, "least": least, "max_pixels": max_pixels, "seconds": SECONDS, "packages": _packages()}
    kept = {name: value for name, value in os.environ.items() if name.endswith("LIBRARY_PATH")}
    try:  # isolated, without the environment: what a decoder can be made to do, it does to nothing
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
        raise OSError("its decoder crashed, or went beyond its limits of memory and time")
    found = json.loads(head)
    if "problem" in found:
        raise MemoryError if found["problem"] == "MemoryError" else OSError(found["problem"])
    check_pixels(found["size"], max_pixels)
    image = Image.frombytes(found["mode"], found["shape"], pixels)
    image.info["icc_profile"] = bytes.fromhex(found["profile"])
    return image


def _packages() -> list[str]:
    """Where Pillow and pillow-heif lie, which an isolated process would look for elsewhere."""
    specs = [importlib.util.find_spec(name) for name in ("PIL", "pillow_heif")]
    return list(dict.fromkeys(str(Path(spec.origin).parents[1]) for spec in specs if spec and spec.origin))
