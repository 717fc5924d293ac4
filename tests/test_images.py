"""Images: every format and mode becomes the right square, everything else one reason."""

from __future__ import annotations

import importlib
import io
import os
import struct
import sys
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from artidx.embedder.pictures import formats, images
from artidx.embedder.pictures.images import SMALLEST_FILE_LIMIT, inner, is_quick, square, squares
from artidx.embedder.runtime import PREPROCESSING
from artidx.errors import UnreadableImage
from made import MUSEUM

COMMON = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP")
RARE = tuple(found.pillow for found in formats.FORMATS if found.is_here and found.pillow not in COMMON)
if "HEIF" in RARE:
    importlib.import_module("pillow_heif").register_heif_opener()  # to write it, too
SIZE = 16
Colour = tuple[int, int, int]
A, B, C, D = (200, 40, 30), (40, 180, 60), (30, 60, 190), (220, 200, 40)  # top left, top right, bottom left, right
LEVELS = (0, 80, 160, 255)
GREYS = [(level, level, level) for level in LEVELS]
ROUNDING = 3  # of a JPEG's colours, at its best
fuzz = settings(derandomize=True, database=None, max_examples=150)


@pytest.fixture(scope="module", autouse=True)
def fine_jpeg() -> Iterator[None]:
    """What saving them as JPEG does to squares has a test of its own; in the others it does next to nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "JPEG_QUALITY", 100)
        patch.setattr(images, "JPEG_SUBSAMPLING", "4:4:4")
        yield


def quarters(values: Sequence[Any], dtype: Any = np.uint8, height: int = 64, width: int = 64) -> npt.NDArray[Any]:
    """One value (a number or a colour) for each quarter, row by row."""
    table = np.array(values, dtype=dtype)
    return table.reshape(2, 2, *table.shape[1:]).repeat(height // 2, axis=0).repeat(width // 2, axis=1)


def picture(height: int = 64, width: int = 64) -> Image.Image:
    return Image.fromarray(quarters([A, B, C, D], height=height, width=width))


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def assert_quarters(pixels: npt.NDArray[np.uint8], expected: Sequence[Colour], within: int = 0) -> None:
    """The middle of each quarter, far enough from the edges that scaling leaves it alone."""
    assert pixels.shape == (SIZE, SIZE, 3)
    assert pixels.dtype == np.uint8
    low, high = SIZE // 4, 3 * SIZE // 4
    found = pixels[[low, low, high, high], [low, high, low, high]].astype(int)
    assert np.abs(found - np.array(expected)).max() <= within + ROUNDING, f"{found.tolist()} is not {expected}"


def png(width: int, height: int, rows: bytes, *, bits: int = 8, colour: int = 2, extra: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + extra
        + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def in_time(function: Callable[[], object], seconds: float = 10) -> list[object]:
    """What the function returned or raised; empty if it was still busy after that many seconds."""
    outcome: list[object] = []

    def attempt() -> None:
        try:
            outcome.append(function())
        except Exception as problem:
            outcome.append(problem)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(seconds)
    return outcome


# Formats


@pytest.mark.parametrize(
    ("file_format", "options", "within"),
    [
        ("JPEG", {"quality": 95, "subsampling": 0}, 3),
        ("JPEG", {"quality": 95, "subsampling": 2, "progressive": True}, 3),
        ("MPO", {"quality": 95, "save_all": True, "append_images": [Image.new("RGB", (64, 64))]}, 3),  # as phones write
        ("PNG", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("WEBP", {"quality": 95}, 8),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("TIFF", {"compression": "jpeg", "quality": 95}, 8),
        ("GIF", {}, 0),
        ("BMP", {}, 0),
    ],
)
def test_every_format_keeps_its_colours_where_they_were(file_format: str, options: dict[str, Any], within: int) -> None:
    data = encoded(picture(), file_format, **options)
    assert_quarters(square(data, SIZE), [A, B, C, D], within)


@pytest.mark.parametrize("file_format", [*COMMON, *RARE])
def test_a_path_its_text_its_bytes_a_stream_and_a_pil_image_give_the_same_pixels(
    tmp_path: Path, file_format: str
) -> None:
    path = tmp_path / "no-suffix-needed"
    path.write_bytes(encoded(picture(), file_format))
    expected = square(path, 32)  # half the picture: a file of JPEG is not reduced, as a PIL image never is
    with path.open("rb") as stream, Image.open(path) as image:
        for form in (str(path), path.read_bytes(), stream, image):
            np.testing.assert_array_equal(square(form, 32), expected)


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_an_animation_gives_its_first_frame(file_format: str) -> None:
    options = {"lossless": True} if file_format == "WEBP" else {}
    later = [Image.new("RGB", (64, 64), colour) for colour in (C, D)]
    data = encoded(picture(), file_format, save_all=True, append_images=later, **options)
    with Image.open(io.BytesIO(data)) as image:
        assert getattr(image, "n_frames", 1) == 3
    assert_quarters(square(data, SIZE), [A, B, C, D])


def test_every_square_has_been_a_jpeg_like_the_paintings_that_the_model_learnt_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A museum's large files once came out so much cleaner than those that all its paintings looked alike.
    monkeypatch.setattr(images, "JPEG_QUALITY", PREPROCESSING["jpeg_quality"])
    monkeypatch.setattr(images, "JPEG_SUBSAMPLING", PREPROCESSING["jpeg_subsampling"])
    with Image.open(sorted(MUSEUM.glob("*.jpg"))[0]) as museum:
        inside = (0.04 * museum.width, 0.04 * museum.height, 0.96 * museum.width, 0.96 * museum.height)
        small = museum.resize((SIZE, SIZE), Image.Resampling.BILINEAR, box=inside)
        found = square(museum, SIZE)
    small.save(tmp_path / "published.jpg", quality=75, subsampling="4:2:0")
    with Image.open(tmp_path / "published.jpg") as published:
        np.testing.assert_array_equal(found, np.asarray(published))
    again = squares(tmp_path / "published.jpg", [(0, 0, 1, 1)], SIZE)[0]
    assert np.abs(again.astype(int) - found).mean() < 1, "once is as good as twice"


@pytest.mark.parametrize("file_format", ["GIF", "PNG"])
def test_a_comment_too_long_for_a_jpeg_does_not_cost_the_picture(file_format: str) -> None:
    if file_format == "GIF":
        data = encoded(picture(), "GIF", comment=b"x" * 70_000)
    else:
        text = PngInfo()
        text.add_text("comment", "x" * 70_000)
        data = encoded(picture(), "PNG", pnginfo=text)
    assert_quarters(square(data, SIZE), [A, B, C, D])


@given(st.integers(60, 400), st.integers(60, 400), st.integers(0, 255))
@settings(max_examples=20)
def test_what_lies_behind_a_canvas_does_not_show(width: int, height: int, grey: int) -> None:
    # A museum photographs a canvas to its edge and beyond. All that had such a strip once looked alike.
    canvas = picture(height, width).resize((width, height))
    behind = Image.new("RGB", canvas.size, (grey, grey, grey))
    x, y = round(0.02 * width), round(0.02 * height)
    behind.paste(canvas.crop((x, y, width - x, height - y)), (x, y))
    np.testing.assert_allclose(square(behind, 48), square(canvas, 48), atol=1)


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 300))
def test_what_is_left_out_is_the_same_on_both_sides_and_enlarges_nothing(width: int, height: int, size: int) -> None:
    left, top, right, bottom = inner(width, height, size)
    assert (left, top) == pytest.approx((1 - right, 1 - bottom))
    for start, end, side in ((left, right, width), (top, bottom, height)):
        assert 0 <= start <= 0.04
        assert (end - start) * side >= min(side, size) - 1e-9
        assert start == 0.04 or (end - start) * side == pytest.approx(min(side, size)), "no more is kept than need be"


def test_a_wide_picture_is_squashed_not_cropped() -> None:
    assert_quarters(square(picture(height=32, width=256), SIZE), [A, B, C, D])


@pytest.mark.parametrize("size", [1, 7, 16, 300])
def test_the_square_has_the_size_that_was_asked_for_and_may_be_larger_than_the_picture(size: int) -> None:
    pixels = square(Image.new("RGB", (5, 3), A), size)
    assert pixels.shape == (size, size, 3)
    assert np.abs(pixels.astype(int) - A).max() <= ROUNDING


# Modes


def palette(transparency: int | bytes | None = None) -> Image.Image:
    image = Image.fromarray(quarters([0, 1, 2, 3])).convert("P")
    image.putpalette([*A, *B, *C, *D])
    image.putdata(quarters([0, 1, 2, 3]).ravel().tolist())
    if transparency is not None:
        image.info["transparency"] = transparency
    return image


def with_alpha() -> Image.Image:
    return Image.fromarray(quarters([(*A, 255), (*B, 128), (*C, 1), (*D, 0)]))


def grey_with_alpha() -> Image.Image:
    image = Image.fromarray(quarters(LEVELS))
    image.putalpha(Image.fromarray(quarters([0, 128, 255, 0])))
    assert image.mode == "LA"
    return image


def cmyk() -> Image.Image:
    inks = [(*(255 - channel for channel in colour), 0) for colour in (A, B, C, D)]
    return Image.frombytes("CMYK", (64, 64), quarters(inks).tobytes())


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "BMP", "WEBP", "JPEG", "GIF"])
def test_grey_becomes_equal_red_green_and_blue(file_format: str) -> None:
    options = {"lossless": True} if file_format == "WEBP" else {}
    pixels = square(encoded(Image.fromarray(quarters(LEVELS)), file_format, **options), SIZE)
    assert_quarters(pixels, GREYS, within=2 if file_format == "JPEG" else 0)
    assert (pixels == pixels[:, :, :1]).all()


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "BMP", "GIF"])
def test_one_bit_becomes_black_and_white(file_format: str) -> None:
    image = Image.fromarray(quarters([255, 0, 0, 255])).convert("1")
    white, black = (255, 255, 255), (0, 0, 0)
    assert_quarters(square(encoded(image, file_format), SIZE), [white, black, black, white])
    assert_quarters(square(image, SIZE), [white, black, black, white])


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_alpha_of_a_grey_picture_is_dropped_not_blended(file_format: str) -> None:
    assert_quarters(square(encoded(grey_with_alpha(), file_format), SIZE), GREYS)
    assert_quarters(square(grey_with_alpha(), SIZE), GREYS)


@pytest.mark.parametrize(
    ("file_format", "options"), [("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True, "exact": True})]
)
def test_alpha_of_a_colour_picture_is_dropped_not_blended(file_format: str, options: dict[str, Any]) -> None:
    data = encoded(with_alpha(), file_format, **options)
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == "RGBA"
    assert_quarters(square(data, SIZE), [A, B, C, D])


@pytest.mark.parametrize(
    ("file_format", "transparency"),
    [("PNG", None), ("PNG", 0), ("PNG", bytes([0, 128, 255, 7])), ("GIF", None), ("GIF", 0), ("TIFF", None)],
)
def test_a_palette_gives_its_colours_with_or_without_transparency(
    file_format: str, transparency: int | bytes | None
) -> None:
    assert_quarters(square(encoded(palette(transparency), file_format), SIZE), [A, B, C, D])


@pytest.mark.parametrize("transparency", [None, 0, bytes([0, 128, 255, 7])])
def test_a_palette_as_a_pil_image_gives_its_colours_and_no_warning(transparency: int | bytes | None) -> None:
    assert_quarters(square(palette(transparency), SIZE), [A, B, C, D])


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_brought_to_eight(file_format: str) -> None:
    image = Image.fromarray(quarters(LEVELS, np.uint16) * np.uint16(257))
    assert image.mode == "I;16"
    assert_quarters(square(encoded(image, file_format), SIZE), GREYS)
    assert_quarters(square(image, SIZE), GREYS)


def test_sixteen_bit_colour_is_brought_to_eight() -> None:
    line = b"".join(struct.pack(">HHH", *(257 * channel for channel in colour)) * 32 for colour in (A, B))
    other = b"".join(struct.pack(">HHH", *(257 * channel for channel in colour)) * 32 for colour in (C, D))
    rows = (b"\0" + line) * 32 + (b"\0" + other) * 32
    assert_quarters(square(png(64, 64, rows, bits=16), SIZE), [A, B, C, D])


@pytest.mark.parametrize("scale", [1, 257])
def test_a_tiff_of_whole_numbers_is_eight_bit_unless_it_goes_beyond(scale: int) -> None:
    image = Image.fromarray(quarters(LEVELS, np.int32) * scale)
    assert image.mode == "I"
    assert_quarters(square(encoded(image, "TIFF"), SIZE), GREYS)
    assert_quarters(square(image, SIZE), GREYS)


@pytest.mark.parametrize("white", [1.0, 255.0])
def test_a_tiff_of_fractions_has_white_at_one_or_at_255(white: float) -> None:
    image = Image.fromarray((quarters(LEVELS, np.float32) / 255 * np.float32(white)).astype(np.float32))
    assert image.mode == "F"
    assert_quarters(square(encoded(image, "TIFF"), SIZE), GREYS)
    assert_quarters(square(image, SIZE), GREYS)


def test_a_dark_sixteen_bit_picture_is_dark_in_either_byte_order() -> None:
    dark = quarters([0, 80, 160, 255], np.uint16)  # of 65535
    image = Image.fromarray(dark).convert("I").convert("I;16B")
    expected = square(dark, SIZE)
    assert expected.max() == 1
    np.testing.assert_array_equal(square(dark.astype(">u2"), SIZE), expected)
    np.testing.assert_array_equal(square(encoded(image, "TIFF"), SIZE), expected)


@pytest.mark.parametrize(("file_format", "options", "within"), [("JPEG", {"quality": 95}, 8), ("TIFF", {}, 0)])
def test_cmyk_becomes_the_colours_it_prints(file_format: str, options: dict[str, Any], within: int) -> None:
    data = encoded(cmyk(), file_format, **options)
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == "CMYK"
    assert_quarters(square(data, SIZE), [A, B, C, D], within)


@pytest.mark.parametrize("file_format", ["JPEG", "TIFF"])
def test_ycbcr_becomes_rgb(file_format: str) -> None:
    image = picture().convert("YCbCr")
    assert_quarters(square(image, SIZE), [A, B, C, D], within=2)
    options = {"quality": 95, "subsampling": 0} if file_format == "JPEG" else {}
    assert_quarters(square(encoded(image, file_format, **options), SIZE), [A, B, C, D], within=4)


def test_hsv_and_a_fourth_channel_without_meaning_become_rgb() -> None:
    assert_quarters(square(picture().convert("HSV"), SIZE), [A, B, C, D], within=6)
    assert_quarters(square(picture().convert("RGBX"), SIZE), [A, B, C, D])


def test_premultiplied_colour_is_divided_by_its_alpha() -> None:
    image = Image.fromarray(quarters([(*A, 255), (*B, 128), (*C, 200), (*D, 100)]))
    assert_quarters(square(image.convert("RGBa"), SIZE), [A, B, C, D], within=2)
    grey = Image.fromarray(quarters([80, 80, 160, 255]))
    grey.putalpha(Image.fromarray(quarters([255, 128, 200, 100])))
    assert_quarters(square(grey.convert("La"), SIZE), [GREYS[1], GREYS[1], GREYS[2], GREYS[3]], within=2)


def test_premultiplied_tiff_is_divided_by_its_alpha() -> None:
    alphas = np.array([255, 128, 200, 100])
    stored = np.rint(np.array([A, B, C, D]) * alphas[:, None] / 255)
    image = Image.fromarray(quarters(np.column_stack([stored, alphas]).tolist()))
    data = encoded(image, "TIFF")
    extra_samples = struct.pack("<HHI", 338, 3, 1)
    assert data.count(extra_samples + b"\x02") == 1  # alpha beside the colours; 1 is alpha multiplied in
    data = data.replace(extra_samples + b"\x02", extra_samples + b"\x01")
    assert_quarters(square(data, SIZE), [A, B, C, D], within=2)


# Which way is up

STORED = {  # EXIF orientation -> what stands in the file's top left, top right, bottom left, bottom right quarter
    1: (A, B, C, D),
    2: (B, A, D, C),
    3: (D, C, B, A),
    4: (C, D, A, B),
    5: (A, C, B, D),
    6: (B, D, A, C),
    7: (D, B, C, A),
    8: (C, A, D, B),
}


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", STORED)
def test_a_picture_is_turned_as_its_exif_says(orientation: int, file_format: str) -> None:
    stored = Image.fromarray(quarters(STORED[orientation], height=48, width=96))
    exif = Image.Exif()
    exif[274] = orientation
    if file_format == "JPEG":
        data = encoded(stored, file_format, exif=exif, quality=95, subsampling=0)
    else:
        data = encoded(stored, file_format, exif=exif, **({"lossless": True} if file_format == "WEBP" else {}))
    assert_quarters(square(data, SIZE), [A, B, C, D], within=3)
    with Image.open(io.BytesIO(data)) as image:
        assert_quarters(square(image, SIZE), [A, B, C, D], within=3)


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0" + b"junk" * 20,
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x12\x01\x03\0\xff\xff\xff\xff" * 4,
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0\0\0\0\0",  # orientation 99
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x04\0\0\0abc\0\0\0\0\0",  # orientation "abc"
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x05\0\x01\0\0\0\x08\0\0\0\0\0\0\0",  # a fraction with nothing below
        b"Exif\0\0",
    ],
)
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_damaged_exif_does_not_cost_the_picture(file_format: str, exif: bytes) -> None:
    if file_format == "PNG":
        data = encoded(picture(), "PNG")
        data = data[:33] + png_chunk(b"eXIf", exif[6:]) + data[33:]
    else:
        options = {"quality": 95, "subsampling": 0} if file_format == "JPEG" else {"lossless": True}
        data = encoded(picture(), file_format, exif=exif, **options)
    assert_quarters(square(data, SIZE), [A, B, C, D], within=3)


# What is refused


@pytest.mark.parametrize("file_format", [*COMMON, *RARE])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_a_truncated_file_is_refused_with_a_reason(tmp_path: Path, file_format: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), file_format)
    path = tmp_path / "short"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UnreadableImage, match=r"damaged|not an image"):
        square(path, SIZE)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"Dear diary, today I painted water lilies.\n" * 100, "not an image, or none of JPEG, PNG"),
        (bytes(1000), "not an image, or none of JPEG, PNG"),
        (encoded(Image.new("RGB", (8, 8)), "PPM"), "not an image, or none of JPEG, PNG"),
        (encoded(Image.new("RGB", (8, 8)), "ICO"), "not an image, or none of JPEG, PNG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n", "not an image, or none of JPEG, PNG"),
        (b"8BPS\0\1" + bytes(200), "not an image, or none of JPEG, PNG"),
    ],
)
def test_what_is_no_image_of_ours_is_refused_with_a_reason(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "looks-fine.jpg"
    path.write_bytes(data)
    with pytest.raises(UnreadableImage, match=reason):
        square(path, SIZE)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("none.jpg", "no such file"), ("", "not a file"), ("a" * 300, "[Tt]oo long"), ("nul\0.jpg", r"\w")],
)
def test_a_folder_a_missing_file_and_an_impossible_name_are_refused(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(UnreadableImage, match=reason):
        square(f"{tmp_path}/{name}", SIZE)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_refused_and_does_not_block(tmp_path: Path) -> None:
    path = tmp_path / "pipe.jpg"
    os.mkfifo(path)
    outcome = in_time(lambda: square(path, SIZE))
    assert outcome, "still waiting for a writer"
    assert isinstance(outcome[0], UnreadableImage)
    assert str(outcome[0]) == "not a file"


@pytest.mark.skipif(sys.platform == "win32", reason="no /dev here")
def test_a_device_that_never_ends_is_refused() -> None:
    with pytest.raises(UnreadableImage, match="not a file"):
        square("/dev/zero", SIZE)


def test_a_small_file_that_claims_to_be_huge_is_refused_before_it_is_decoded() -> None:
    bomb = png(60_000, 60_000, bytes(1000))
    assert len(bomb) < 200
    with pytest.raises(UnreadableImage, match=r"60000 x 60000 is 3,600 megapixels, over the limit of 200; .*--max-pix"):
        square(bomb, SIZE)


def test_an_animation_whose_first_frame_outgrows_its_screen_is_refused() -> None:
    data = bytearray(encoded(Image.new("P", (8, 8)), "GIF"))
    frame = data.index(b"\x2c")
    data[frame + 5 : frame + 9] = struct.pack("<HH", 60_000, 60_000)
    with pytest.raises(UnreadableImage, match=r"over the limit of 200; raise it with --max-pixels"):
        square(bytes(data), SIZE)


@pytest.mark.parametrize("file_format", [*COMMON, *RARE])
def test_the_limit_of_pixels_names_its_setting_and_raising_it_admits_the_picture(file_format: str) -> None:
    data = encoded(Image.new("RGB", (100, 50), A), file_format)
    with pytest.raises(UnreadableImage, match=r"100 x 50 .* over the limit of 0.004999; raise it with --max-pixels"):
        square(data, SIZE, max_pixels=4999)
    assert square(data, SIZE, max_pixels=5000).shape == (SIZE, SIZE, 3)


def test_the_limit_of_pixels_holds_for_pil_images_and_one_without_pixels_is_refused() -> None:
    with pytest.raises(UnreadableImage, match="--max-pixels"):
        square(Image.new("RGB", (100, 50)), SIZE, max_pixels=4999)
    with pytest.raises(UnreadableImage, match="has no pixels"):
        square(Image.new("RGB", (0, 5)), SIZE)


@pytest.mark.parametrize("file_format", [*COMMON, *RARE])
def test_our_limit_counts_where_pillow_has_a_lower_one(monkeypatch: pytest.MonkeyPatch, file_format: str) -> None:
    """Pillow refuses 179 megapixels by itself: there --max-pixels was a promise that TIFF did not keep."""
    data = encoded(Image.new("RGB", (100, 50), A), file_format)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert square(data, SIZE).shape == (SIZE, SIZE, 3)


@pytest.mark.parametrize(
    ("file_format", "side", "options", "quick"),
    [
        ("JPEG", 400, {}, True),
        ("JPEG", 3600, {}, True),  # of a phone: decoded reduced
        ("JPEG", 3600, {"progressive": True}, False),
        *((name, 400, {}, name in COMMON) for name in (*COMMON, *RARE)),
        *((name, 2100, {}, False) for name in COMMON if name != "JPEG"),
    ],
)
def test_a_file_tells_whether_it_is_soon_decoded(
    file_format: str, side: int, options: dict[str, Any], quick: bool
) -> None:
    assert is_quick(io.BytesIO(encoded(Image.new("RGB", (side, side)), file_format, **options))) is quick


@pytest.mark.parametrize("data", [b"", b"text", b"\xff\xd8\xff\xe0" + bytes(300), b"II*\0\xff\xff\xff\0"])
def test_a_file_that_is_refused_before_it_is_decoded_is_so_soon(data: bytes) -> None:
    assert is_quick(io.BytesIO(data))


def test_a_file_larger_than_its_pixels_can_need_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(encoded(picture(), "PNG"))
    os.truncate(path, SMALLEST_FILE_LIMIT)  # a sparse tail: no disk is used
    assert square(path, SIZE, max_pixels=10_000).shape == (SIZE, SIZE, 3)
    os.truncate(path, SMALLEST_FILE_LIMIT + 1)
    with pytest.raises(UnreadableImage, match=r"file of 17 MB, more than 0.01 megapixels can need; raise --max-pixels"):
        square(path, SIZE, max_pixels=10_000)
    assert square(path, SIZE).shape == (SIZE, SIZE, 3)


# Global state is restored


@pytest.mark.parametrize("theirs", [None, 1_000_000])
def test_pillows_own_limit_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch, theirs: int | None) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", theirs)
    files = [encoded(picture(), "PNG"), b"no image", png(60_000, 60_000, b"")] * 20

    def attempt(data: bytes) -> bool:
        try:
            return bool(square(data, SIZE).any())
        except UnreadableImage:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(attempt, files)) == [True, False, False] * 20
    assert theirs == Image.MAX_IMAGE_PIXELS


class Gate(io.BytesIO):
    """A bitmap that makes whoever reads its pixels wait."""

    def __init__(self) -> None:
        super().__init__(encoded(picture(), "BMP"))
        self.reached, self.opened = threading.Event(), threading.Event()

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() >= 54:  # behind the headers
            self.reached.set()
            self.opened.wait(10)
        return super().read(size)


def test_threads_that_decode_at_once_leave_the_warnings_of_the_program_as_they_were() -> None:
    first, second = Gate(), Gate()
    with warnings.catch_warnings(), ThreadPoolExecutor(2) as pool:
        before = list(warnings.filters)
        one = pool.submit(square, first, SIZE)
        assert first.reached.wait(10)
        other = pool.submit(square, second, SIZE)
        assert second.reached.wait(10)
        first.opened.set()
        one.result(10)
        second.opened.set()
        other.result(10)
        assert list(warnings.filters) == before


def test_a_pil_image_and_an_array_are_not_changed() -> None:
    image = with_alpha()
    array = np.array(image)
    square(image, SIZE)
    square(array, SIZE)
    assert image.mode == "RGBA"
    np.testing.assert_array_equal(np.asarray(image), array)


# Large JPEGs


def brushwork(height: int, width: int) -> Image.Image:
    y, x = np.mgrid[0:height, 0:width]
    waves = [127 + 90 * np.sin(x / a + y / b) + 30 * np.sin(x / 3 - y / 5) for a, b in ((70, 190), (110, 45), (31, 80))]
    return Image.fromarray(np.clip(np.stack(waves, axis=2), 0, 255).astype(np.uint8))


def test_a_large_jpeg_decoded_reduced_is_nearly_the_same_as_decoded_in_full() -> None:
    data = encoded(brushwork(1500, 2000), "JPEG", quality=90)
    with Image.open(io.BytesIO(data)) as image:
        full = square(image, 64).astype(int)
    difference = np.abs(square(data, 64).astype(int) - full)
    assert 0 < difference.mean() < 2  # 0 would mean that nothing was reduced
    assert difference.max() < 16


def test_a_jpeg_is_not_reduced_below_twice_the_square() -> None:
    data = encoded(brushwork(255, 300), "JPEG", quality=90)  # one half would leave less than 128
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(square(data, 64), square(image, 64))


# Arrays


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (quarters(LEVELS), GREYS),
        (quarters(LEVELS)[:, :, None], GREYS),
        (quarters([A, B, C, D]), [A, B, C, D]),
        (quarters([(*A, 255), (*B, 128), (*C, 1), (*D, 0)]), [A, B, C, D]),
        (quarters([True, False, False, True], bool), [GREYS[3], GREYS[0], GREYS[0], GREYS[3]]),
        (quarters(LEVELS, np.uint16) * np.uint16(257), GREYS),
        (quarters([A, B, C, D], np.uint16) * np.uint16(257), [A, B, C, D]),
        (quarters(LEVELS, np.int64), GREYS),
        (quarters(LEVELS, np.int32) * 257, GREYS),
        (quarters([-5, -1, 0, 127], np.int8), [GREYS[0], GREYS[0], GREYS[0], (127, 127, 127)]),
        (quarters([A, B, C, D], np.float32) / np.float32(255), [A, B, C, D]),
        (quarters([A, B, C, D], np.float64), [A, B, C, D]),
        (quarters([0, 0.25, 0.5, 1], np.float16), [GREYS[0], (64, 64, 64), (128, 128, 128), GREYS[3]]),
        (quarters([np.nan, 80, 160, 255], np.float64), GREYS),
        (quarters([np.nan, 0, 0.5, 1], np.float64), [GREYS[0], GREYS[0], (128, 128, 128), GREYS[3]]),
        (quarters([-np.inf, 80, 160, 300], np.float64), GREYS),
        (quarters([A, B, C, D])[:, ::-1], [B, A, D, C]),
        (np.asfortranarray(quarters([A, B, C, D])), [A, B, C, D]),
    ],
    ids=str,
)
def test_an_array_of_any_kind_of_number_becomes_the_picture_it_means(
    array: npt.NDArray[Any], expected: list[Colour]
) -> None:
    assert_quarters(square(array, SIZE), expected)


@pytest.mark.parametrize("shape", [(), (8,), (8, 8, 0), (8, 8, 2), (8, 8, 5), (0, 8), (8, 0, 3), (2, 8, 8, 3)])
def test_an_array_of_another_shape_is_refused_with_its_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(UnreadableImage, match=r"array of shape \(.*; expected \(height, width\)"):
        square(np.zeros(shape, np.uint8), SIZE)


@pytest.mark.parametrize("dtype", ["complex128", "O", "U3", "S3", "datetime64[D]"])
def test_an_array_of_anything_but_numbers_is_refused_with_its_type(dtype: str) -> None:
    with pytest.raises(UnreadableImage, match=r"array of type .*; expected numbers"):
        square(np.zeros((8, 8), dtype), SIZE)


# Arbitrary input


def assert_a_square_or_a_reason(data: bytes) -> None:
    try:
        pixels = square(data, SIZE, max_pixels=1_000_000)
    except UnreadableImage as problem:
        reason = str(problem)
    else:
        reason = "a square"
        assert pixels.shape == (SIZE, SIZE, 3)
        assert pixels.dtype == np.uint8
    assert reason.strip()
    assert len(reason.splitlines()) == 1


BEGINNINGS = [
    b"",
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"RIFF\x20\0\0\0WEBPVP8 ",
    b"II*\0\x08\0\0\0",
    b"MM\0*\0\0\0\x08",
    b"GIF89a",
    b"BM",
]
WHOLE = [
    encoded(image, file_format)
    for file_format in COMMON
    for image in (picture(24, 24), Image.fromarray(quarters(LEVELS, height=24, width=24)))
]


@fuzz
@given(st.sampled_from(BEGINNINGS), st.binary(max_size=300))
def test_arbitrary_bytes_are_a_square_or_a_reason(beginning: bytes, rest: bytes) -> None:
    assert_a_square_or_a_reason(beginning + rest)


@fuzz
@given(st.sampled_from(WHOLE), st.data())
def test_a_file_with_bytes_changed_or_cut_is_a_square_or_a_reason(whole: bytes, data: st.DataObject) -> None:
    damaged = bytearray(whole)
    ends = [min(100, len(whole) - 1), len(whole) - 1]  # most headers lie in the first hundred bytes
    places = st.sampled_from(ends).flatmap(lambda last: st.integers(0, last))
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=8)):
        damaged[place] = value
    cut = data.draw(st.one_of(st.just(len(whole)), st.integers(0, len(whole))))
    assert_a_square_or_a_reason(bytes(damaged[:cut]))


@pytest.mark.parametrize("thing", [None, 7, 1.5, [1, 2], {}, bytearray(b"BM")], ids=repr)
def test_what_is_not_even_a_file_is_a_reason(thing: Any) -> None:
    with pytest.raises(UnreadableImage, match=r"\w"):
        square(thing, SIZE)
