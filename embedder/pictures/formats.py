"""Which image formats are read, recognised by the ending of a file's name or by its first bytes.

Formats that are not read have names, too: the summary of a folder says which pictures were skipped, and an error says
what the file is. Does not open images (images.py), list folders or count (catalog.py).
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from PIL import features


@dataclass(frozen=True)
class Format:
    """A format that is read: Pillow's name, ours, the endings of its files, and how to install support if it is
    missing."""

    pillow: str
    name: str
    endings: tuple[str, ...]
    is_here: bool = True
    remedy: str = ""


FORMATS = (  # in the order in which they are tried; no EPS, PSD, ...: fewer decoders, fewer weaknesses
    Format("JPEG", "JPEG", (".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".jif", ".pjpeg", ".pjp", ".mpo")),
    Format("PNG", "PNG", (".png", ".apng")),
    Format("WEBP", "WebP", (".webp",)),
    Format("TIFF", "TIFF", (".tif", ".tiff", ".ptif", ".ptiff", ".btf", ".tf8", ".tf2")),
    Format("GIF", "GIF", (".gif",)),
    Format("BMP", "BMP", (".bmp", ".dib")),
    Format(
        "JPEG2000",
        "JPEG 2000",
        (".jp2", ".j2k", ".jpf", ".jpx", ".j2c", ".jpc"),
        bool(features.check("jpg_2000")),
        "read with a Pillow that is built with OpenJPEG",
    ),
    Format(
        "AVIF",
        "AVIF",
        (".avif", ".avifs"),
        bool(features.check("avif")),
        "read with a Pillow that is built with libavif",
    ),
    Format(
        "HEIF",
        "HEIC",
        (".heic", ".heif", ".hif", ".heics", ".heifs"),
        importlib.util.find_spec("pillow_heif") is not None,
        "pip install 'artidx[heic]' to read it",
    ),
)
UNREAD = {  # names of other pictures, and of documents that contain pictures -> the endings of their files
    "a PDF document": ".pdf",
    "a Photoshop file": ".psd .psb",
    "an SVG drawing": ".svg .svgz",
    "PostScript": ".eps .epsf .epsi .ps .ai",
    "a camera's raw file": ".dng .cr2 .cr3 .crw .nef .nrw .arw .sr2 .srf .orf .rw2 .raf .pef .rwl .3fr .fff .iiq .x3f "
    ".erf .mef .mos .mrw .kdc .dcr .srw .gpr .cap .eip .raw",
    "JPEG XL": ".jxl",
    "JPEG XR": ".jxr .wdp .hdp",
    "a compound JPEG 2000 document": ".jpm .mj2",
    "a portable bitmap": ".ppm .pgm .pbm .pnm .pam .pfm",
    "an icon": ".ico .cur .icns .ani",
    "a picture of high dynamic range": ".exr .hdr .rgbe",
    "a working file of an editor": ".xcf .kra .ora .afphoto .afdesign .cdr .indd .idml .sketch .clip .procreate .pdn "
    ".xar .fla .fig",
    "a DjVu document": ".djvu .djv",
    "a DICOM image": ".dcm .dicom",
    "a FITS image": ".fits .fit .fts",
    "a Windows metafile": ".wmf .emf .wmz .emz",
    "an old bitmap": ".tga .icb .vda .vst .pcx .dcx .pct .pict .pic .sgi .rgb .rgba .bw .ras .xbm .xpm .iff .lbm "
    ".ilbm .pcd .fpx .mng .jng .wbmp .cin .dpx .qoi .sid .ecw .bpg .flif .jbig2 .jb2 .jls .dds "
    ".msp .ief .im .palm .xwd",
}
_READ_BY_ENDING = {ending: found for found in FORMATS for ending in found.endings}
_UNREAD_BY_ENDING = {ending: name for name, endings in UNREAD.items() for ending in endings.split()}
_BEGINNINGS = (  # how files of other kinds begin
    (b"%PDF-", "a PDF document"),
    (b"8BPS", "a Photoshop file"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"II\xbc\x01", "JPEG XR"),
    (b"AT&TFORM", "a DjVu document"),
    (b"gimp xcf", "a working file of an editor"),
    (b"\0\0\1\0", "an icon"),
    (b"\0\0\2\0", "an icon"),
    (b"icns", "an icon"),
    (b"SIMPLE  =", "a FITS image"),
    (b"v/1\1", "a picture of high dynamic range"),
    (b"#?RADIANCE", "a picture of high dynamic range"),
    (b"FUJIFILMCCD-RAW", "a camera's raw file"),
    (b"IIRO", "a camera's raw file"),
    (b"IIRS", "a camera's raw file"),
    (b"MMOR", "a camera's raw file"),
    (b"IIU\0", "a camera's raw file"),
    (b"FOVb", "a camera's raw file"),
    (b"\0MRM", "a camera's raw file"),
    (b"DDS ", "an old bitmap"),
    (b"qoif", "an old bitmap"),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile"),
    (b"PK\3\4", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\xd0\xcf\x11\xe0", "an Office document"),
    (b"PAR1", "a parquet file"),
)
_READ_BEGINNINGS = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    *((mark, "TIFF") for mark in (b"II*\0", b"MM\0*", b"MM*\0", b"II\0*", b"II+\0", b"MM\0+")),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG2000"),
)
_BRANDS = {  # brands of ISO base media files, from byte 8 on
    b"crx ": "a camera's raw file",
    b"jpm ": "a compound JPEG 2000 document",
    b"qt  ": "a film",
    b"isom": "a film",
    b"mp41": "a film",
    b"mp42": "a film",
    b"M4V ": "a film",
    b"avc1": "a film",
    b"iso2": "a film",
    b"iso5": "a film",
}
_HEIF, _AVIF = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}, {b"avif", b"avis"}


def ending(name: str) -> str:
    """The ending of a file's name or location, in lower case with its dot; empty where there is none."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]  # ten times as fast as a path, for folders of many
    dot = last.rfind(".")
    return last[dot:].strip().lower() if 0 < dot < len(last) - 1 else ""


def is_read(name: str) -> bool:
    """Whether a file of this name has a format that can be read with what is installed."""
    found = _READ_BY_ENDING.get(ending(name))
    return found is not None and found.is_here


def unread(name: str) -> str | None:
    """The format of a picture that is not read, and what to install if it could be; None if it is read, or no picture.

    Such as "a PDF document", or "HEIC: pip install 'artidx[heic]' to read it".
    """
    found = _READ_BY_ENDING.get(ending(name))
    if found is not None:
        return None if found.is_here else f"{found.name}: {found.remedy}"
    return _UNREAD_BY_ENDING.get(ending(name))


def names() -> str:
    """The formats that can be read, as a list for a sentence."""
    return ", ".join(found.name for found in FORMATS if found.is_here)


def kind_of(beginning: bytes) -> str | None:
    """Pillow's name of the format of a file that begins with these bytes (some hundred); None if it is not read."""
    name = _kind(beginning)
    return name if any(found.pillow == name and found.is_here for found in FORMATS) else None


def _kind(beginning: bytes) -> str | None:
    if beginning.startswith(b"RIFF") and beginning[8:12] == b"WEBP":
        return "WEBP"
    if beginning[4:8] == b"ftyp":  # of the brands of a file, that of HEIC may also be on an AVIF
        box = beginning[: int.from_bytes(beginning[:4], "big")]
        brands = {box[8:12], *(box[at : at + 4] for at in range(16, len(box), 4))}
        return "AVIF" if brands & _AVIF else "HEIF" if brands & _HEIF else None
    return next((kind for mark, kind in _READ_BEGINNINGS if beginning.startswith(mark)), None)


def unread_format(beginning: bytes) -> str | None:
    """The name of a format that is known but not read, by the first bytes (some hundred) of a file."""
    missing = next((found for found in FORMATS if found.pillow == _kind(beginning)), None)
    if missing is not None:
        return None if missing.is_here else f"{missing.name}: {missing.remedy}"
    name = next((name for mark, name in _BEGINNINGS if beginning.startswith(mark)), None)
    if name is None and beginning[4:8] == b"ftyp":
        name = _BRANDS.get(beginning[8:12])
    if name is None and beginning[128:132] == b"DICM":
        name = "a DICOM image"
    if name is None and beginning[:1] == b"P" and beginning[1:2] in b"1234567" and beginning[2:3].isspace():
        name = "a portable bitmap"
    return name or _markup(beginning.lstrip(b"\xef\xbb\xbf \t\r\n").lower())


def _markup(text: bytes) -> str | None:
    if b"<svg" in text and text.startswith(b"<"):
        return "an SVG drawing"
    if text.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    return "XML" if text.startswith(b"<?xml") else None
