"""TIFFs of every layout become the picture that their numbers mean, or are refused as what they are."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from artidx.embedder.pictures.images import picture
from artidx.errors import NotAnImage, UnreadableImage
from made_tiff import DEFLATE, LZW, NONE, PACKBITS, tiff, whole

SIDE = 40
CHANNELS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4}
CIE, ICC = 8, 9


def read(data: bytes) -> npt.NDArray[np.uint8]:
    """The picture in its own size."""
    return np.asarray(picture(data, 1000))


def numbers(height: int, width: int, channels: int, bits: int, kind: str = "u", seed: int = 0) -> npt.NDArray[Any]:
    chance = np.random.default_rng(seed)
    if kind == "f":
        return chance.random((height, width, channels)).astype(f"f{bits // 8}")
    top = 2**bits - 1 if kind == "u" else 2**15 - 1
    found = chance.integers(0, top, (height, width, channels), dtype=np.uint64, endpoint=True)
    found[0, 0], found[-1, -1] = 0, top  # so that the white of 32 bits can be told
    return found


def in_8_bits(samples: npt.NDArray[Any], bits: int, kind: str) -> npt.NDArray[np.uint8]:
    white = 1.0 if kind == "f" else 2**16 - 1 if kind == "i" else 2**bits - 1
    return np.rint(samples.astype(np.float64) * (255 / white)).astype(np.uint8)


def expected(samples: npt.NDArray[Any], photometric: int, bits: int, kind: str) -> npt.NDArray[np.uint8]:
    small = in_8_bits(samples, bits, kind)
    if photometric in (0, 1):
        grey = 255 - small[..., 0] if photometric == 0 else small[..., 0]
        return np.repeat(grey[..., None], 3, axis=2)
    if photometric == 5:
        inks = np.ascontiguousarray(small[..., :4])
        return np.asarray(Image.frombytes("CMYK", inks.shape[1::-1], inks.tobytes()).convert("RGB"))
    return small[..., :3]


layouts = st.fixed_dictionaries(
    {
        "bits_and_kind": st.sampled_from(
            [
                *((bits, "u") for bits in (1, 2, 3, 4, 8, 10, 12, 14, 16, 32, 64)),
                (16, "i"),
                (16, "f"),
                (32, "f"),
                (64, "f"),
            ]
        ),
        "photometric": st.sampled_from([0, 1, 2, 5]),
        "extra": st.sampled_from([(), (2,), (0,), (0, 2)]),
        "order": st.sampled_from("<>"),
        "planar": st.booleans(),
        "compression": st.sampled_from([NONE, LZW, DEFLATE, PACKBITS]),
        "has_predictor": st.booleans(),
        "tile": st.sampled_from([None, None, (16, 16), (32, 16)]),
        "rows": st.sampled_from([None, 1, 7]),
        "fill_order": st.sampled_from([1, 1, 2]),
        "is_big": st.booleans(),
        "width": st.integers(1, SIDE),
        "height": st.integers(1, SIDE),
        "seed": st.integers(0, 100),
    }
)


@given(layouts)
@settings(derandomize=True, database=None, deadline=None, max_examples=120)
def test_every_layout_gives_the_picture_that_its_numbers_mean_as_tifffile_reads_them(layout: dict[str, Any]) -> None:
    bits, kind = layout["bits_and_kind"]
    photometric, compression, extra = layout["photometric"], layout["compression"], layout["extra"]
    samples = numbers(layout["height"], layout["width"], CHANNELS[photometric] + len(extra), bits, kind, layout["seed"])
    predictor = 1
    if layout["has_predictor"] and compression in (LZW, DEFLATE) and bits in (8, 16, 32, 64):
        predictor = 3 if kind == "f" else 2
    data = tiff(
        samples,
        photometric,
        bits=bits,
        kind=kind,
        order=layout["order"],
        planar=layout["planar"],
        compression=compression,
        predictor=predictor,
        tile=layout["tile"],
        rows=layout["rows"],
        fill_order=layout["fill_order"],
        is_big=layout["is_big"],
        tags={338: ("H", extra)} if extra else None,
    )
    found = read(data).astype(int)
    assert np.abs(found - expected(samples, photometric, bits, kind)).max() <= 1
    if bits % 8 == 0 and compression in (NONE, DEFLATE) and predictor < 3 and layout["fill_order"] == 1:
        theirs = tifffile.imread(io.BytesIO(data)).reshape(
            np.moveaxis(samples, 2, 0).shape if layout["planar"] else samples.shape
        )
        np.testing.assert_array_equal(np.moveaxis(theirs, 0, 2) if layout["planar"] else theirs, samples)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("times", [256, 257, 1])  # how programs spread colours of 8 bits over 16, or do not
def test_a_palette_gives_its_colours(bits: int, times: int) -> None:
    entries = 2**bits
    colours = np.random.default_rng(bits).integers(0, 256, (3, entries))
    places = numbers(9, 13, 1, bits)
    for planar in (False, True):
        data = tiff(places, 3, bits=bits, planar=planar, tags={320: ("H", (colours * times).ravel().tolist())})
        np.testing.assert_array_equal(read(data), colours.T[places[..., 0].astype(int)])


@pytest.mark.parametrize("wide", [1, 2, 4])
@pytest.mark.parametrize("high", [1, 2])
@pytest.mark.parametrize("pieces", [{}, {"rows": 8}, {"tile": (16, 16)}])
def test_ycbcr_with_coarser_colours_gives_them_where_they_were(wide: int, high: int, pieces: dict[str, Any]) -> None:
    small = np.random.default_rng(0).integers(0, 256, (12, 11, 3), dtype=np.uint8)
    image = Image.fromarray(small.repeat(4, 0).repeat(4, 1))
    values = np.asarray(image.convert("YCbCr"))
    tile, rows = pieces.get("tile"), pieces.get("rows", 48)
    parts = (
        [values[y : y + 16, x : x + 16] for y in range(0, 48, 16) for x in range(0, 44, 16)]
        if tile
        else [values[y : y + rows] for y in range(0, 48, rows)]
    )
    packed = []
    for part in parts:
        part = np.pad(part, ((0, 0), (0, (16 if tile else 44) - part.shape[1]), (0, 0)), "edge")
        cells = part.reshape(part.shape[0] // high, high, part.shape[1] // wide, wide, 3).transpose(0, 2, 1, 3, 4)
        bright = cells[..., 0].reshape(*cells.shape[:2], -1)
        packed.append(np.concatenate([bright, cells[:, :, 0, 0, 1:]], axis=2).tobytes())
    data = whole(
        packed,
        {
            256: ("I", [44]),
            257: ("I", [48]),
            258: ("H", [8] * 3),
            259: ("H", [1]),
            262: ("H", [6]),
            277: ("H", [3]),
            530: ("H", [wide, high]),
            **({322: ("H", [16]), 323: ("H", [16])} if tile else {278: ("I", [rows])}),
        },
        is_tiled=bool(tile),
    )
    assert np.abs(read(data).astype(int) - np.asarray(image)).max() <= 3


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("photometric", [CIE, ICC])
@pytest.mark.parametrize("options", [{}, {"planar": True}, {"order": ">"}, {"compression": LZW, "predictor": 2}])
def test_lab_becomes_the_colours_that_it_names(bits: int, photometric: int, options: dict[str, Any]) -> None:
    named = {
        (255, 0, 0): (54.29, 80.81, 69.89),
        (0, 255, 0): (87.82, -79.27, 80.99),
        (255, 255, 255): (100, 0, 0),
        (0, 0, 255): (29.57, 68.30, -112.03),
        (0, 0, 0): (0, 0, 0),
        (119, 119, 119): (50.03, 0, 0),
    }  # D50
    lab = np.array(list(named.values()))[None]
    step = 1 if bits == 8 else 256
    lightness = lab[..., :1] * ((65280 if photometric == ICC and bits == 16 else 2**bits - 1) / 100)
    colour = (lab[..., 1:] + (128 if photometric == ICC else 0)) * step
    samples = np.rint(np.concatenate([lightness, colour], axis=2)).astype(int) % 2**bits
    found = read(tiff(samples, photometric, bits=bits, **options)).astype(int)
    assert np.abs(found - np.array(list(named))).max() <= (12 if bits == 8 else 1)  # steps of 8 bits, at the edge


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_that_is_multiplied_in_is_divided_out(bits: int, channels: int) -> None:
    alpha = 2 ** (bits - 1)
    samples = np.full((8, 8, channels), alpha // 2)
    samples[..., -1] = alpha
    for planar in (False, True):
        found = read(tiff(samples, 1 if channels == 2 else 2, bits=bits, planar=planar, tags={338: ("H", [1])}))
        assert np.abs(found.astype(int) - 128).max() <= 2


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (tiff(numbers(4, 4, 1, 16), 32803, bits=16), "one sample of 16 bits a pixel, a camera's raw colour filters"),
        (
            tiff(numbers(4, 4, 3, 16), 8, bits=32, kind="f"),
            r"3 floating-point samples of 32 bits a pixel, CIE L\*a\*b\*",
        ),
        (tiff(numbers(4, 4, 3, 16), 10, bits=16), r"3 samples of 16 bits a pixel, ITU L\*a\*b\*"),
        (
            tiff(numbers(4, 4, 3, 8), 6, bits=16, planar=True),
            "3 samples of 16 bits a pixel, YCbCr, compression none, in planes",
        ),
        (tiff(numbers(4, 4, 4, 8), 5, tags={332: ("H", [2])}), "4 samples of 8 bits a pixel, CMYK"),
        (tiff(numbers(4, 4, 1, 1), 4, bits=1), "one sample of 1 bits a pixel, transparency mask"),
        (tiff(numbers(4, 4, 2, 8), 2), "2 samples of 8 bits a pixel, RGB"),
        (tiff(numbers(4, 4, 3, 8), 2, compression=34887), "compression LERC"),
        (tiff(numbers(4, 4, 3, 8), 2, compression=33005), "compression JPEG 2000"),
        (tiff(numbers(4, 4, 3, 8), 2, tags={258: ("H", [5, 6, 5])}), "3 samples of 5/6/5 bits a pixel, RGB"),
    ],
)
def test_a_layout_that_is_not_read_is_refused_as_what_it_is(data: bytes, what: str) -> None:
    with pytest.raises(UnreadableImage, match=rf"^a TIFF with .*{what}.*: not read in this layout; save it as RGB"):
        read(data)


def test_a_cameras_raw_file_is_not_taken_for_the_small_picture_in_it() -> None:
    with pytest.raises(NotAnImage, match="a camera's raw file; develop it"):
        read(tiff(numbers(4, 4, 3, 8), 2, tags={50706: ("B", [1, 4, 0, 0])}))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_in_an_unusual_layout_is_turned_as_a_usual_one_is(orientation: int) -> None:
    samples = numbers(5, 9, 3, 8)
    turned = [read(tiff(samples, 2, planar=planar, tags={274: ("H", [orientation])})) for planar in (False, True)]
    np.testing.assert_array_equal(*turned)
    assert turned[0].shape == ((9, 5, 3) if orientation > 4 else (5, 9, 3))


def test_without_a_photometric_or_the_lengths_of_its_strips_a_picture_is_read_as_is_usual() -> None:
    samples = numbers(5, 9, 3, 8)
    for planar in (False, True):
        np.testing.assert_array_equal(read(tiff(samples, None, planar=planar)), samples)


@pytest.mark.parametrize(
    "tags",
    [
        {256: ("I", [0])},
        {278: ("f", [0.5])},
        {322: ("H", [0]), 323: ("H", [16])},
        {273: ("I", [1 << 30])},
        {279: ("I", [3])},
        {320: ("H", [1, 2])},
        {258: ("H", [])},
        {277: ("f", [3.0])},
        {259: ("f", [1.0])},
    ],
)
@pytest.mark.parametrize("photometric", [1, 2, 3, 6, 8])
def test_a_damaged_directory_is_a_square_or_a_reason(tags: dict[int, Any], photometric: int) -> None:
    samples = numbers(6, 6, 1 if photometric in (1, 3) else 3, 8)
    for planar in (False, True):
        whole_file = tiff(samples, photometric, planar=planar)
        damaged = tiff(samples, photometric, planar=planar, tags=tags)
        assert damaged != whole_file
        with suppress(UnreadableImage):
            assert read(damaged).dtype == np.uint8
