"""The program that apart.py starts for one image: its bytes on stdin, a line of JSON and the pixels on stdout.

Imports nothing but Pillow and, for HEIC, pillow-heif. The line has either the problem, or the size of the whole image,
the mode and the shape of the pixels that follow, and the colour profile.
"""

from __future__ import annotations

import io
import json
import sys
from typing import Any

BASE_BYTES = 512 << 20  # of address space: for the libraries, and for what they allocate before they know the size
BYTES_PER_PIXEL = 20  # JPEG 2000 needs 32 bits per channel while it is decoded


def main() -> None:
    """Decode the image on stdin, as the one argument says."""
    asked = json.loads(sys.argv[1])
    sys.path += asked["packages"]
    data = sys.stdin.buffer.read()
    try:
        head, pixels = _decoded(data, asked)
    except MemoryError:
        head, pixels = {"problem": "MemoryError"}, b""
    except Exception as problem:  # a decoder raises anything
        head, pixels = {"problem": " ".join(str(problem).split())[:200] or type(problem).__name__}, b""
    sys.stdout.buffer.write(json.dumps(head).encode() + b"\n" + pixels)


def _decoded(data: bytes, asked: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    from PIL import Image, ImageOps

    Image.MAX_IMAGE_PIXELS = None  # the limit is asked["max_pixels"]
    _limit(asked["seconds"], BASE_BYTES + 2 * len(data))
    image = _opened(data, asked["kind"])
    width, height = size = image.size
    if width * height > asked["max_pixels"]:
        return {"size": size, "mode": "L", "shape": (0, 0), "profile": ""}, b""
    profile, halvings = image.info.get("icc_profile") or b"", 0
    if asked["kind"] == "JPEG2000":
        profile, halvings = _profile(data), _halvings(data, min(size), asked["least"])
        image.reduce = halvings
    _limit(asked["seconds"], BASE_BYTES + 2 * len(data) + BYTES_PER_PIXEL * (width * height >> 2 * halvings))
    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode in ("P", "PA"):
        image = image.convert("RGB")
    return {"size": size, "mode": image.mode, "shape": image.size, "profile": profile.hex()}, image.tobytes()


def _opened(data: bytes, kind: str) -> Any:
    if kind == "HEIF":
        import pillow_heif

        options: Any = pillow_heif.options
        options.THUMBNAILS = options.DEPTH_IMAGES = options.AUX_IMAGES = False
        options.DECODE_THREADS = 1
        plugin: Any = pillow_heif.HeifImageFile
        return plugin(io.BytesIO(data))
    from PIL import AvifImagePlugin, Jpeg2KImagePlugin

    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # one core per image, as for other formats
    return {"AVIF": AvifImagePlugin.AvifImageFile, "JPEG2000": Jpeg2KImagePlugin.Jpeg2KImageFile}[kind](
        io.BytesIO(data)
    )


def _profile(data: bytes) -> bytes:
    """The colour profile in the header of a JP2 file, which Pillow ignores."""
    at = data.find(b"colr", 0, max(0, data.find(b"jp2c")))
    length = int.from_bytes(data[at - 4 : at], "big") if at >= 4 else 0
    return data[at + 7 : at - 4 + length] if data[at + 4 : at + 5] == b"\2" else b""


def _halvings(data: bytes, side: int, least: int) -> int:
    """How often a JPEG 2000 image may be halved: at most as often as it is stored so, with no side shorter than
    `least`."""
    at = data.find(b"\xff\x52", data.find(b"\xff\x4f\xff\x51"))
    stored = data[at + 9] if 0 <= at < len(data) - 9 else 0
    times = 0
    while times < stored and side >> (times + 1) >= least:
        times += 1
    return times


def _limit(seconds: int, size_bytes: int) -> None:
    if sys.platform == "win32":  # systems on which a process cannot limit itself
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (size_bytes if most < 0 else min(size_bytes, most), most))


if __name__ == "__main__":
    main()
