"""Which files are images that are read, which are pictures that are not, and what a refused file is."""

from __future__ import annotations

import mimetypes
from dataclasses import replace

import pytest
from PIL import Image

from artidx.embedder.pictures import formats


@pytest.mark.parametrize(
    "name",
    [
        "a.jpg",
        "A.JPG",
        "a.jpeg",
        "a.jfif",
        "a.mpo",
        "b/c d.png",
        "a.webp",
        "a.tif",
        "a.TIFF",
        "a.gif",
        "a.bmp",
        "x.y.jpg",
        "a.jpg ",
        r"C:\scans\a.Tif",
        "s3://bucket/a.jpg",
        "train.zip::train/7.jpg",
    ],
)
def test_an_ending_of_a_format_that_is_read_makes_an_image(name):
    assert formats.is_read(name)
    assert formats.unread(name) is None


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("a.pdf", "a PDF document"),
        ("a.PSD", "a Photoshop file"),
        ("a.svg", "an SVG drawing"),
        ("a.eps", "PostScript"),
        ("a.jxl", "JPEG XL"),
        ("a.djvu", "a DjVu document"),
        ("a.ppm", "a portable bitmap"),
        ("a.ico", "an icon"),
        *((f"a{ending}", "a camera's raw file") for ending in (".dng", ".cr2", ".CR3", ".nef", ".arw", ".raf", ".orf")),
    ],
)
def test_a_picture_that_is_not_read_is_called_by_what_it_is(name, what):
    assert not formats.is_read(name)
    assert formats.unread(name) == what


@pytest.mark.parametrize("name", ["a.txt", "a", ".jpg", "Thumbs.db", "a.csv", "jpg", "a.", "", "a.docx", "a.jpg/b"])
def test_what_is_no_picture_is_neither_read_nor_a_picture_that_is_not(name):
    assert not formats.is_read(name)
    assert formats.unread(name) is None


def test_every_ending_stands_once_and_is_written_as_it_is_looked_up():
    read = [ending for found in formats.FORMATS for ending in found.endings]
    other = [ending for endings in formats.UNREAD.values() for ending in endings.split()]
    assert len({*read, *other}) == len(read) + len(other)
    assert all(ending == formats.ending(f"a{ending}") for ending in (*read, *other))


def test_every_picture_that_pillow_or_python_knows_the_ending_of_is_one_here():
    """One that is not would be left out of a folder's summary."""
    Image.init()
    theirs = {
        ending
        for ending, pillow in Image.registered_extensions().items()
        if pillow not in ("BUFR", "GRIB", "HDF5", "MPEG", "IPTC", "FLI", "BLP", "FTEX", "GBR", "PIXAR")
    }
    theirs |= {ending for ending, kind in mimetypes.MimeTypes().types_map[True].items() if kind.startswith("image/")}
    assert not {ending for ending in theirs if not (formats.is_read(f"a{ending}") or formats.unread(f"a{ending}"))}


@pytest.mark.parametrize(
    ("pillow", "name", "remedy"),
    [("HEIF", "a.heic", "artidx[heic]"), ("AVIF", "a.avif", "libavif"), ("JPEG2000", "a.jp2", "OpenJPEG")],
)
def test_a_format_whose_library_is_missing_is_a_picture_that_is_not_read_and_says_what_to_do(
    monkeypatch, pillow, name, remedy
):
    for is_here in (True, False):
        there = tuple(replace(f, is_here=is_here) if f.pillow == pillow else f for f in formats.FORMATS)
        monkeypatch.setattr(formats, "FORMATS", there)
        monkeypatch.setattr(formats, "_READ_BY_ENDING", {ending: f for f in there for ending in f.endings})
        assert formats.is_read(name) is is_here
        assert (formats.unread(name) is None) is is_here
    assert remedy in formats.unread(name)


@pytest.mark.parametrize(
    ("beginning", "what"),
    [
        (b"%PDF-1.7\n", "a PDF document"),
        (b"8BPS\0\1", "a Photoshop file"),
        (b"%!PS-Adobe-3.0 EPSF", "PostScript"),
        (b"\xff\x0a\xfa", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n", "JPEG XL"),
        (b"PK\3\4", "a zip archive"),
        (b"P6\n8 8\n255\n", "a portable bitmap"),
        (b"\0\0\0\x18ftypcrx \0", "a camera's raw file"),
        (b"\0\0\0\x18ftypmp42", "a film"),
        (bytes(128) + b"DICM", "a DICOM image"),
        (b"\n<svg xmlns=", "an SVG drawing"),
        (b"<?xml version='1.0'?><!-- made by hand --><svg>", "an SVG drawing"),
        (b"<?xml version='1.0'?><a/>", "XML"),
        (b"<!DOCTYPE html><title>404</title>", "a web page"),
        (b"\xef\xbb\xbf<HTML>", "a web page"),
        (b"Dear diary", None),
        (b"", None),
        (bytes(500), None),
        (b"\xff\xd8\xff\xe0", None),
        (b"P", None),
    ],
)
def test_a_file_of_another_kind_is_told_by_how_it_begins(beginning, what):
    assert formats.unread_format(beginning) == what
