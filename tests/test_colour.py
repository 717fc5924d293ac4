"""The profile in a file converts its pixels to sRGB, at every entry; a damaged one is ignored, and the picture is still
read."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageCms

from artidx.embedder.pictures import formats
from artidx.embedder.pictures.images import inner, picture, square, squares
from made import MUSEUM
from made_tiff import tiff

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def profile(space: bytes, tags: dict[bytes, bytes], connection: bytes = b"XYZ ") -> bytes:
    """An ICC profile of version 2."""
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": xyz(0.9642, 1, 0.8249),
    } | tags
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for tag, data in tags.items():
        table += tag + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    kind = b"prtr" if space == b"CMYK" else b"mntr"
    head = (
        struct.pack(">I", start + len(body))
        + b"lcms\x02\x10\0\0"
        + kind
        + space
        + connection
        + struct.pack(">6H", 2020, 1, 1, 0, 0, 0)
        + b"acsp"
    )
    return head.ljust(68, b"\0") + xyz(0.9642, 1, 0.8249)[8:] + bytes(48) + table + body


def xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))


def gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256)) + b"\0\0"


def rgb_profile(red: Any, green: Any, blue: Any, curve: float) -> bytes:
    return profile(
        b"RGB ",
        {
            b"rXYZ": xyz(*red),
            b"gXYZ": xyz(*green),
            b"bXYZ": xyz(*blue),
            **{tag: gamma(curve) for tag in (b"rTRC", b"gTRC", b"bTRC")},
        },
    )


def cmyk_profile() -> bytes:
    """Inks on paper: Lab in two steps an ink, and a black that is not quite black."""
    steps = np.array(np.meshgrid(*[[0.0, 1.0]] * 4, indexing="ij")).reshape(4, -1).T  # (16, 4), the last ink first
    cyan, magenta, yellow, black = steps.T
    light = (100 - 40 * cyan - 45 * magenta - 8 * yellow) * (1 - 0.85 * black)
    a = (-35 * cyan + 70 * magenta - 5 * yellow) * (1 - black)
    b = (-45 * cyan - 5 * magenta + 85 * yellow) * (1 - black)
    table = np.stack([np.clip(light, 12, 100) * 2.55, a + 128, b + 128], axis=1)
    cube = np.clip(np.rint(table), 0, 255).astype(np.uint8).tobytes()
    straight = bytes(range(256))
    identity = struct.pack(">9i", *(65536 * value for value in (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + identity + 4 * straight + cube + 3 * straight
    back = bytes([255] * 16 + [0] * 16)  # by lightness alone: all inks, or none
    reverse = b"mft1\0\0\0\0" + bytes([3, 4, 2, 0]) + identity + 3 * straight + back + 4 * straight
    return profile(b"CMYK", {b"A2B0": lut, b"A2B1": lut, b"B2A0": reverse, b"B2A1": reverse}, b"Lab ")


ADOBE = rgb_profile((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457), 2.2)
PROPHOTO = rgb_profile((0.79767, 0.28804, 0), (0.13519, 0.71187, 0), (0.03135, 0.00009, 0.82521), 1.8)
GREY = profile(b"GRAY", {b"kTRC": gamma(1.8)})
CMYK = cmyk_profile()


@pytest.fixture(scope="module")
def painting() -> Image.Image:
    """A real one in sRGB, without a profile."""
    with Image.open(sorted(MUSEUM.glob("*.jpg"))[3]) as opened:
        return opened.convert("RGB").resize((240, 200))


def converted(image: Image.Image, data: bytes, mode: str) -> Image.Image:
    found = ImageCms.profileToProfile(image, SRGB, ImageCms.ImageCmsProfile(io.BytesIO(data)), outputMode=mode)
    assert found is not None
    found.info.clear()
    return found


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    if file_format == "JPEG":
        options = {"quality": 98, "subsampling": 0} | options
    if file_format in ("WEBP", "AVIF", "HEIF"):
        options = (
            {"lossless": True} | options
            if file_format == "WEBP"
            else {"quality": 98, "subsampling": "4:4:4"}
            | (options if file_format == "AVIF" else {"chroma": 444, **options})
        )
    stream = io.BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def apart(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> float:
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


def pixels(data: Any) -> npt.NDArray[np.uint8]:
    return np.asarray(picture(data, 1000))


RGB_FORMATS = ["JPEG", "PNG", "TIFF", "WEBP", *(["AVIF"] if formats.is_read("a.avif") else [])]


@pytest.mark.parametrize("data", [ADOBE, PROPHOTO], ids=["Adobe RGB", "ProPhoto"])
@pytest.mark.parametrize("file_format", RGB_FORMATS)
def test_a_profile_brings_the_picture_to_what_it_is_in_srgb_at_every_door(
    tmp_path: Path, painting: Image.Image, file_format: str, data: bytes
) -> None:
    path = tmp_path / "painting"
    path.write_bytes(encoded(converted(painting, data, "RGB"), file_format, icc_profile=data))
    assert apart(np.asarray(converted(painting, data, "RGB")), np.asarray(painting)) > 3, "else nothing is tested"
    boxes = [(0.1, 0.1, 0.6, 0.6), inner(*painting.size, 64)]
    within = 3.0 if file_format in ("JPEG", "AVIF") else 1.5  # what their compression costs grows with the space
    with path.open("rb") as stream, Image.open(path) as opened:
        for form in (path, str(path), path.read_bytes(), stream, opened):
            assert apart(pixels(form), np.asarray(painting)) < within
            assert apart(square(form, 64), square(painting, 64)) < within
            assert apart(squares(form, boxes, 64), squares(painting, boxes, 64)) < within


def test_the_painting_of_a_profile_is_for_a_model_the_one_in_srgb(embedder: Any, painting: Image.Image) -> None:
    def cosine(data: bytes | Image.Image) -> float:
        one, other = embedder.transform([data, painting])
        return float(one @ other)

    made = converted(painting, PROPHOTO, "RGB")
    followed, left_out = cosine(encoded(made, "TIFF", icc_profile=PROPHOTO)), cosine(encoded(made, "TIFF"))
    assert followed > 0.9995  # 8 bits of so wide a space are coarse
    assert 1 - left_out > 10 * (1 - followed)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_an_srgb_profile_changes_no_pixel(painting: Image.Image, file_format: str) -> None:
    for image in (painting, painting.convert("L")):
        plain = encoded(image, file_format)
        with_profile = encoded(image, file_format, icc_profile=SRGB.tobytes())
        assert plain != with_profile
        np.testing.assert_array_equal(pixels(with_profile), pixels(plain))


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "TIFF"])
def test_grey_follows_its_profile_and_stays_grey(painting: Image.Image, file_format: str) -> None:
    grey = painting.convert("L")
    stored = grey.point([round(255 * (srgb_to_linear(level / 255)) ** (1 / 1.8)) for level in range(256)])
    assert apart(np.asarray(stored), np.asarray(grey)) > 3
    found = pixels(encoded(stored, file_format, icc_profile=GREY))
    assert apart(found[..., 0], np.asarray(grey)) < 1
    assert np.ptp(found.astype(int), axis=2).max() <= 1


def srgb_to_linear(level: float) -> float:
    return level / 12.92 if level <= 0.04045 else ((level + 0.055) / 1.055) ** 2.4


@pytest.mark.parametrize("file_format", ["JPEG", "TIFF"])
def test_cmyk_follows_its_profile_and_black_ink_is_black(file_format: str) -> None:
    inks = [(0, 0, 0, 0), (255, 0, 0, 0), (0, 255, 0, 0), (0, 0, 255, 0), (255, 255, 255, 255), (255, 255, 0, 0)]
    image = Image.new("CMYK", (16 * len(inks), 16))
    for place, ink in enumerate(inks):
        image.paste(ink, (16 * place, 0, 16 * place + 16, 16))
    found = pixels(encoded(image, file_format, icc_profile=CMYK))[8, 8::16].astype(int)
    naive = pixels(encoded(image, file_format))[8, 8::16].astype(int)
    assert np.abs(found - naive).max() > 40
    assert found[0].min() >= 252, "paper is white"
    assert found[4].max() <= 3, "the darkest that the inks can do is black, as on a screen"
    transform = ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(CMYK)),
        SRGB,
        "CMYK",
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    expected = np.asarray(transform.apply(image))[8, 8::16].astype(int)
    assert np.abs(found - expected).max() <= 6


def test_lab_of_pillow_is_the_picture_that_littlecms_made_it_from(painting: Image.Image) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    made = ImageCms.profileToProfile(painting, SRGB, lab, outputMode="LAB")
    assert made is not None
    for form in (made, encoded(made, "TIFF")):
        assert apart(pixels(form), np.asarray(painting)) < 1


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("planar", [False, True])
def test_tiffs_of_unusual_layouts_follow_their_profile_too(painting: Image.Image, bits: int, planar: bool) -> None:
    samples = np.asarray(converted(painting, ADOBE, "RGB")).astype(int) * (1 if bits == 8 else 257)
    data = tiff(samples, 2, bits=bits, planar=planar, tags={34675: ("s", ADOBE)})
    assert apart(pixels(data), np.asarray(painting)) < 1


def test_colours_with_alpha_or_a_palette_follow_their_profile(painting: Image.Image) -> None:
    stored = converted(painting, ADOBE, "RGB")
    with_alpha = stored.copy()
    with_alpha.putalpha(128)
    few = stored.quantize(64)
    expected = few.convert("RGB")
    expected.info["icc_profile"] = ADOBE
    assert apart(pixels(encoded(with_alpha, "PNG", icc_profile=ADOBE)), np.asarray(painting)) < 1
    np.testing.assert_array_equal(pixels(encoded(few, "PNG", icc_profile=ADOBE)), pixels(expected))


def png_with(chunk: bytes, painting: Image.Image) -> bytes:
    data = encoded(painting, "PNG")
    return (
        data[:33]
        + struct.pack(">I", len(chunk))
        + b"iCCP"
        + chunk
        + struct.pack(">I", zlib.crc32(b"iCCP" + chunk))
        + data[33:]
    )


def jpeg_with(segments: list[bytes], painting: Image.Image) -> bytes:
    data = encoded(painting, "JPEG")
    return data[:2] + b"".join(b"\xff\xe2" + struct.pack(">H", len(body) + 2) + body for body in segments) + data[2:]


DAMAGED: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[:200],
    "one byte": lambda data: data[:1],
    "noise": lambda data: bytes(range(256)) * 2,
    "of another space": lambda data: CMYK,
    "no tags": lambda data: data[:128] + bytes(4),
    "many tags": lambda data: data[:128] + b"\xff" * 4 + data[132:],
    "no such space": lambda data: data[:16] + b"MCH6" + data[20:],
    "a device link": lambda data: data[:12] + b"link" + data[16:],
    "a space of nothing": lambda data: data[:16] + bytes(4) + data[20:],
}


@pytest.mark.parametrize("kind", DAMAGED)
@pytest.mark.parametrize("file_format", RGB_FORMATS)
def test_a_damaged_profile_is_left_out_and_costs_no_picture(painting: Image.Image, file_format: str, kind: str) -> None:
    plain = pixels(encoded(painting, file_format))
    data = encoded(painting, file_format, icc_profile=DAMAGED[kind](ADOBE))
    np.testing.assert_array_equal(pixels(data), plain)


@pytest.mark.parametrize(
    "chunk",
    [
        b"",
        b"x",
        b"x\0",
        b"x\0\1" + zlib.compress(ADOBE),
        b"x\0\0" + b"noise",
        b"x\0\0" + zlib.compress(ADOBE)[:-9],
        b"x\0\0" + zlib.compress(bytes(1 << 25)),
    ],
    ids=lambda chunk: repr(chunk[:9]),
)
def test_a_damaged_or_bursting_chunk_of_a_png_costs_no_picture(painting: Image.Image, chunk: bytes) -> None:
    np.testing.assert_array_equal(pixels(png_with(chunk, painting)), np.asarray(painting))


def test_a_profile_of_a_png_may_be_larger_than_pillow_unpacks(painting: Image.Image) -> None:
    large = profile(
        b"RGB ",
        {
            b"rXYZ": xyz(0.60974, 0.31111, 0.01947),
            b"gXYZ": xyz(0.20528, 0.62567, 0.06087),
            b"bXYZ": xyz(0.14919, 0.06322, 0.74457),
            b"data": b"text\0\0\0\0" + bytes(3 << 20),
            **{tag: gamma(2.2) for tag in (b"rTRC", b"gTRC", b"bTRC")},
        },
    )
    stored = converted(painting, ADOBE, "RGB")
    found = pixels(png_with(b"x\0\0" + zlib.compress(large), stored))
    assert apart(found, np.asarray(painting)) < 1


@pytest.mark.parametrize(
    "segments",
    [
        [b"ICC_PROFILE\0"],
        [b"ICC_PROFILE\0\1"],
        [b"ICC_PROFILE\0\1\2" + ADOBE],
        [b"ICC_PROFILE\0\0\0"],
        [b"ICC_PROFILE\0\1\1" + ADOBE, b"ICC_PROFILE\0"],
    ],
)
def test_damaged_segments_of_a_jpegs_profile_cost_no_picture(painting: Image.Image, segments: list[bytes]) -> None:
    np.testing.assert_array_equal(pixels(jpeg_with(segments, painting)), pixels(encoded(painting, "JPEG")))


def test_gamma_and_primaries_of_a_png_without_a_profile_are_not_followed(painting: Image.Image) -> None:
    data = encoded(painting, "PNG")
    chunk = b"gAMA" + struct.pack(">I", 100_000)
    with_gamma = data[:33] + struct.pack(">I", 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]
    np.testing.assert_array_equal(pixels(with_gamma), np.asarray(painting))


def test_a_profile_on_a_pil_image_counts_unless_it_is_no_profile_at_all(painting: Image.Image) -> None:
    for nothing in (None, "text", 7, b"", (1, 2)):
        image = painting.copy()
        image.info["icc_profile"] = nothing
        np.testing.assert_array_equal(pixels(image), np.asarray(painting))
    image = converted(painting, PROPHOTO, "RGB")
    image.info["icc_profile"] = PROPHOTO
    before = np.array(image)
    assert apart(pixels(image), np.asarray(painting)) < 1.5
    np.testing.assert_array_equal(np.asarray(image), before)


def test_a_profile_of_rgb_is_no_profile_of_inks() -> None:
    inks, saved = Image.new("CMYK", (16, 16), (40, 90, 10, 30)), {}
    wide = rgb_profile((0.798, 0.288, 0), (0.135, 0.712, 0), (0.031, 0, 0.825), 1.8)
    for name, given in (("none", None), ("wrong", wide)):
        stream = io.BytesIO()
        inks.save(stream, "TIFF", icc_profile=given)
        saved[name] = np.asarray(picture(stream.getvalue(), 16))
    np.testing.assert_array_equal(saved["wrong"], saved["none"])
