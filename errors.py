"""Every error that a user can cause or encounter, in one tree. The message is one line: what, which file, what to do.

ArtidxError
├── UnreadableImage    this image cannot be used, and why
│   └── NotAnImage     not an image, or in a format that is not read
├── BadCatalog         the table or folder of paintings cannot be read
├── BadModel           the model file cannot be used
│   └── ModelMismatch  the index was built with another model
├── BadIndex           the index is missing, damaged or from a newer artidx
│   ├── IndexAway      the server that keeps it does not answer
│   ├── IndexBusy      another process is writing to it
│   └── IndexChanged   another generation has been published meanwhile
├── UnknownPainting    no file with this name, and no painting with this id
│   └── UnknownArtist  the index has no painting by this artist
├── Refused            a service did not do what it was asked, and why
├── Uncalibrated       a threshold or probability was asked for without a calibration
├── UnreachableStorage storage with images cannot be reached, or refuses access
├── ClusterFailed      the Ray cluster cannot be joined, or failed
├── MissingPackage     an optional package is needed here
├── WorkBusy           another training run is using the work folder
├── OutOfResources     too little memory or disk, or too few threads or open files
└── BadSetting         a setting has a value that cannot work
"""

import re
from pathlib import Path


class ArtidxError(Exception):
    """Base of all errors that are the input's fault, not a bug."""


class UnreadableImage(ArtidxError):
    """This image cannot be used; the message is the reason."""


class NotAnImage(UnreadableImage):
    """These bytes are not an image, or in a format that is not read."""


class BadCatalog(ArtidxError):
    """The table or folder of paintings cannot be read."""


class BadModel(ArtidxError):
    """The model file cannot be used."""


class ModelMismatch(BadModel):
    """The index was built with another model than the one given."""


class BadIndex(ArtidxError):
    """The index is missing, damaged, or written by a newer artidx."""


class IndexAway(BadIndex):
    """The server that keeps the index does not answer at the moment."""


class IndexBusy(BadIndex):
    """Another process is writing to the index."""


class IndexChanged(BadIndex):
    """Another generation has been published than the one that the change was meant for."""


class UnknownPainting(ArtidxError):
    """There is no file with this name, and no painting of the index with this id."""


class UnknownArtist(UnknownPainting):
    """No painting of the index is by an artist of this name."""


class Refused(ArtidxError):
    """A service did not do what it was asked: a token is missing, it is too busy, or it is not an artidx service."""


class Uncalibrated(ArtidxError):
    """A threshold or a probability was asked of a model or an index that is not calibrated."""


class UnreachableStorage(ArtidxError):
    """Storage with images cannot be reached, or refuses access; trying the next image would not help."""


class ClusterFailed(ArtidxError):
    """The Ray cluster cannot be joined, or has failed at its work."""


class WorkBusy(ArtidxError):
    """Another training run is using this work folder."""


class MissingPackage(ArtidxError):
    """An optional package is needed for this."""


class OutOfResources(ArtidxError):
    """The system does not give this process as much memory or disk, or as many threads or open files, as it needs."""


class BadSetting(ArtidxError):
    """A setting has a value that cannot work."""


# Messages of the libraries if the system refuses memory, threads or files. They come as MemoryError, OSError,
# RuntimeError, ImportError or own types, mostly in places where a damaged file would raise, too.
_EXHAUSTED = {
    "not enough memory; close other programs, or raise the limit (ulimit -v, or that of the container)": re.compile(
        r"bad[ _]alloc|cannot allocate memory|failed to allocate|allocation failed|out of memory|"
        r"malloc of size \d+ failed|failed to map segment",
        re.IGNORECASE,
    ),
    "no more threads or processes can be started; raise the limit (ulimit -u, or that of the container)": re.compile(
        r"can't start new thread|worker thread|pthread_create|thread creation|resource temporarily unavailable",
        re.IGNORECASE,
    ),
    "no more files can be opened; raise the limit (ulimit -n)": re.compile("too many open files", re.IGNORECASE),
}


def exhausted(problem: BaseException, where: str) -> OutOfResources | None:
    """The error if a problem means that a resource of the system is exhausted; None for any other problem.

    where: the file, or the task.
    """
    if isinstance(problem, MemoryError):
        return OutOfResources(f"{where}: {next(iter(_EXHAUSTED))}")
    text = str(problem)
    return next((OutOfResources(f"{where}: {words}") for words, said in _EXHAUSTED.items() if said.search(text)), None)


def damaged(path: Path, why: str) -> BadIndex:
    """The error for a file of an index that is not as it was written."""
    return BadIndex(
        f"{path}: damaged: {why}; try artidx check --repair, restore it from a copy, or rebuild with "
        f"artidx build --replace"
    )
