"""Files in folders that are not paintings, such as what systems, drives and programs leave there: counted, not read.

A thumbnail is not a painting, nor is a picture in the trash. `walk` counts the files that it skips, by reason.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

from ..pictures.formats import ending, is_read, unread
from .letters import composed

THUMBNAILS, BIN, SYSTEM, HIDDEN = (
    "thumbnails and previews",
    "a bin of deleted files",
    "files of a system or program",
    "hidden files",
)
NOT_UTF_8 = "file name is not valid UTF-8; rename the file"
FOLDERS = {
    name: reason
    for reason, names in {  # in lower case
        THUMBNAILS: "@eadir .@__thumb @__thumb .thumbnails .thumbs thumbnails.lrdata .lrdata _thumbs "
        ".picasaoriginals .previews "
        "__thumbnails__ .synopreview .pics .xvpics thumbs thumbnails .thumb ipod_photo_cache "
        "adobe_bridge_cache",
        BIN: "#recycle $recycle.bin recycler recycled @recycle @recently-snapshot .trash .trashes .trash-0 .trash-1000 "
        "$recycle .recycle recycle.bin trashbox network_trash_folder .deleted #trash "
        "trash recycle recycle_bin _recycle",
        SYSTEM: "__macosx .git .svn .hg lost+found system_volume_information #snapshot .snapshot .snapshots .zfs "
        "@tmp @sharebin "
        "@appstore _gsdata_ .spotlight-v100 .fseventsd .documentrevisions-v100 .temporaryitems .appledouble .appledb "
        ".dropbox "
        ".dropbox.cache .sync .stfolder .stversions .tmp.drivedownload .tmp.driveupload .nextcloudsync "
        ".owncloudsync "
        "node_modules __pycache__ .ipynb_checkpoints .cache found.000 msocache config.msi .adobe_bridge "
        ".bridgecache "
        "captureone @synoresource @upload_cache ~snapshot cvs temporary_items thevolumesettingsfolder "
        "windowsimagebackup .dxo .idea .vscode .qsync .synologyworkingdirectory @database @docker $winreagent",
    }.items()
    for name in names.split()
}
FILES = {
    name: reason
    for reason, names in {
        THUMBNAILS: "thumbs.db ehthumbs.db ehthumbs_vista.db thumbs.db:encryptable .bridgecache .bridgecachet "
        ".picasa.ini picasa.ini zbthumbnail.info",
        SYSTEM: "desktop.ini .ds_store .localized .apdisk .volumeicon.icns autorun.inf icon\r folder.htt .directory "
        ".dropbox "
        ".dropbox.attr pspbrwse.jbf syncthing.ini",
    }.items()
    for name in names.split()
}


@dataclass
class LeftAlone:
    """How many files were skipped, by reason."""

    files: Counter[str] = field(default_factory=Counter)

    def count(self, reason: str, files: int = 1) -> None:
        """Count so many more files for this reason."""
        if files:
            self.files[reason] += files

    def counted(self) -> tuple[tuple[str, int], ...]:
        """Reasons and numbers of files, most first."""
        return tuple(sorted(self.files.items(), key=lambda item: (-item[1], item[0])))


def reason_for_folder(name: str) -> str | None:
    """Why a folder of this name is skipped; None if it is not."""
    plain = "_".join(composed(name).lower().split())
    if plain in FOLDERS:
        return FOLDERS[plain]
    if plain.startswith(".trash"):
        return BIN
    if plain.endswith(
        (
            ".lrdata",
            ".cocatalog",
            ".cosessiondb",
            ".lrcat-data",
            ".photoslibrary",
            ".aplibrary",
            ".migratedphotolibrary",
        )
    ):
        return THUMBNAILS
    return HIDDEN if name.startswith(".") else None


def reason_for_file(name: str) -> str | None:
    """Why a file of this name is no painting; None if it may be one."""
    if name.lower() in FILES:
        return FILES[name.lower()]
    if name.upper().startswith(("SYNOPHOTO_THUMB", "SYNOFILE_THUMB")):
        return THUMBNAILS
    if name.startswith("._"):
        return SYSTEM  # macOS writes these beside files on foreign drives
    if name.startswith((".", "~$")):
        return HIDDEN
    if is_read(name):
        return None
    kind = unread(name)
    return f"{ending(name) or 'no ending'}{f' ({kind})' if kind else ''}"


def reason_for_path(path: str) -> str | None:
    """Why a file is no painting, by all the names on its path below a folder."""
    *folders, name = path.split("/")
    return next((reason for folder in folders if (reason := reason_for_folder(folder))), None) or reason_for_file(name)


def led_outside(paths: Iterable[str], folders: Sequence[str]) -> int:
    """How many files below these folders are elsewhere, reached by links. They may still be read, because people link
    to their photographs; the number reveals a folder in which a stranger has put links."""
    inside = tuple(os.path.join(os.path.realpath(folder), "") for folder in folders)
    below = tuple(os.path.join(folder, "") for folder in folders)

    @cache
    def really(folder: str) -> str:
        return os.path.realpath(folder)

    def is_outside(path: str) -> bool:
        folder, name = os.path.split(path)
        real = os.path.realpath(path) if os.path.islink(path) else os.path.join(really(folder), name)
        return path.startswith(below) and not real.startswith(inside)

    return sum(map(is_outside, paths))


def walk(root: str | os.PathLike[str], left: LeftAlone, problems: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The folder and name of every file that may be a painting, in order; problems: folders that cannot be read."""
    seen: set[str] = set()

    def unreadable(problem: OSError) -> None:
        problems.append((str(problem.filename), f"folder cannot be read: {problem.strerror}"))

    for folder, below, files in os.walk(root, followlinks=True, onerror=unreadable):
        if os.path.realpath(folder) in seen:  # a link to a parent folder would never end
            below.clear()
            continue
        seen.add(os.path.realpath(folder))
        for name in below:
            if reason := reason_for_folder(name):
                left.count(reason, sum(len(inside) for _, _, inside in os.walk(os.path.join(folder, name))))
        below[:] = sorted(name for name in below if not reason_for_folder(name))
        for name in sorted(files):
            if reason := reason_for_file(name):
                left.count(reason)
            else:
                yield folder, name
