"""Options that several commands share, so that one word means one thing everywhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from ..embedder import bounds
from ..embedder.bounds import Bounds

if TYPE_CHECKING:
    from ..index.sources import Source

F = TypeVar("F", bound=Callable[..., Any])
Decorator = Callable[[F], F]

PATH = click.Path(path_type=Path)
MODEL = click.Path()  # a str: the names of shipped models are not paths


class _Finite(click.FloatRange):
    """click's own type accepts NaN, which is neither too small nor too large."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not in the range {self._describe_range()}.", param, ctx)
        return number


def whole(within: Bounds) -> WholeNumber:
    """The type of an option for integers."""
    return WholeNumber(int(within.low), int(within.high))


def real(within: Bounds) -> click.FloatRange:
    """The type of an option for real numbers."""
    return _Finite(within.low, within.high, min_open=within.is_open, max_open=within.is_open)


class WholeNumber(click.IntRange):
    """click's own message for 1e6 is `not a valid integer range`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            int(value)
        except (ValueError, OverflowError):
            self.fail(f"{str(value)[:40]!r} is not a whole number in digits, such as 10.", param, ctx)
        return super().convert(value, param, ctx)


class _AddressType(click.ParamType[Any]):
    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from ..errors import BadSetting
        from ..index.addresses import address_of
        from ..index.storage.address import Address

        try:
            return value if isinstance(value, Address) else address_of(value)
        except BadSetting as problem:
            self.fail(str(problem), param, ctx)


class _FolderType(click.ParamType[Any]):
    name = "index"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from ..index.addresses import is_address

        if is_address(value):
            self.fail(
                f"{value} is on a server, where nothing is changed: name the folder that was pushed there, and push it "
                f"again with artidx push; what was built there is built again with artidx build --replace",
                param,
                ctx,
            )
        return PATH.convert(value, param, ctx)


class _IndexType(_AddressType):
    """A folder, or an address on a server."""

    name = "index"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from ..index.addresses import is_address

        return super().convert(value, param, ctx) if is_address(value) else PATH.convert(value, param, ctx)


class _AskedType(_IndexType):
    """A folder, an address on a server, or that of a service, which stays a str."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if str(value).startswith(("http://", "https://")) else super().convert(value, param, ctx)


ADDRESS = _AddressType()
NEW_INDEX = _IndexType()  # to make in a folder or on a server
INDEX_FOLDER = _FolderType()  # for commands that change it, or need its files
ANY_INDEX = _IndexType()  # for commands that only ask
INDEX = Path("paintings.artidx")


def _together(*options: Callable[[Any], Any]) -> Callable[[F], F]:
    def decorate(command: F) -> F:
        decorated: F = reduce(lambda wrapped, option: option(wrapped), reversed(options), command)
        return decorated

    return decorate


index_option = click.option(
    "--index",
    "-i",
    type=INDEX_FOLDER,
    envvar="ARTIDX_INDEX",
    default=INDEX,
    show_default=True,
    show_envvar=True,
    help="The index to ask.",
)

asked_index_option = click.option(
    "--index",
    "-i",
    type=_AskedType(),
    envvar="ARTIDX_INDEX",
    show_envvar=True,
    help="The index to ask, its address in Milvus or PostgreSQL, or that of a service, http://HOST:8000; ARTIDX_TOKEN "
    "is its token.  [default: paintings.artidx where there is one, else the reference gallery]",
)


def asked_index(named: Source | None) -> Source | None:
    """The index to ask; named: by the user, if at all. None for the reference gallery."""
    return named or (INDEX if INDEX.exists() else None)


json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")

output_option = click.option(
    "-o",
    "--output",
    type=INDEX_FOLDER,
    default=INDEX,
    show_default=True,
    metavar="NAME.artidx",
    help="The index to make.",
)

encoding_option = click.option("--encoding", metavar="NAME", help="The text encoding of a table.  [default: detected]")

replace_option = click.option(
    "--replace",
    is_flag=True,
    help="Replace an existing index, and forget its corrections; it answers until the new one is ready.",
)

dry_run_option = click.option("--dry-run", is_flag=True, help="Only tell what would change.")

push_option = click.option(
    "--push",
    type=ADDRESS,
    metavar="ADDRESS",
    help="Then copy the index to Milvus or PostgreSQL, to be searched there (artidx push).",
)

layout_options = _together(
    click.option(
        "--half", is_flag=True, help="Store vectors in 16 bits instead of 32; artidx info tells what that costs."
    ),
    click.option(
        "--approximate",
        is_flag=True,
        help="Search with an approximate index from 10,000 paintings on.  [default: from a million on]",
    ),
)

model_option = click.option(
    "--model",
    type=MODEL,
    envvar="ARTIDX_MODEL",
    show_envvar=True,
    help="base or small, which ship (small is several times faster and less accurate), or an ONNX file made by artidx "
    "train.  [default: base]",
)

same_model_option = click.option(
    "--model",
    type=MODEL,
    help="Check that the index was built with this model: base, small or a file. Without an index, ask the reference "
    "gallery of base or small.  [default: the index's own; of the galleries, that of ARTIDX_MODEL or base]",
)

device_option = click.option(
    "--device",
    type=click.Choice(["cpu", "cuda"]),
    envvar="ARTIDX_DEVICE",
    show_envvar=True,
    default="cpu",
    show_default=True,
    help="Where the model runs.",
)

pixels_option = click.option(
    "--max-pixels",
    type=whole(bounds.PIXELS),
    default=None,
    metavar="N",
    envvar="ARTIDX_MAX_PIXELS",
    show_envvar=True,
    help="Refuse images with more pixels.  [default: 200000000]",
)

note_option = click.option(
    "-o",
    "--output",
    type=PATH,
    metavar="NOTE.html|.json",
    help="Write the answer as a page with its pictures, too: a file note. As .json: a IIIF manifest for a viewer.",
)

query_options = _together(asked_index_option, same_model_option, device_option, pixels_option, json_option)

ray_option = click.option(
    "--ray",
    "ray",
    metavar="auto|HOST:PORT",
    help="Let the workers of a Ray cluster do it; auto is the one running here, else this machine's cores.  Needs "
    "artidx[ray], here and on all nodes.",
)

embedding_options = _together(
    device_option,
    click.option(
        "--workers", type=whole(bounds.WORKERS), help="Threads, or processes on Ray.  [default: one per core]"
    ),
    click.option(
        "--batch-size",
        type=whole(bounds.BATCH_SIZE),
        default=32,
        show_default=True,
        help="Images per batch on a GPU; on a CPU, each thread takes one image at a time.",
    ),
    pixels_option,
    ray_option,
    click.option(
        "--gpu-share",
        type=real(bounds.GPU_SHARE),
        default=0.25,
        show_default=True,
        help="With --ray and --device cuda: the share of a GPU for each worker.",
    ),
    click.option("--strict", is_flag=True, help="Stop at the first image that cannot be used."),
    json_option,
)

catalog_options = _together(
    click.option("--image-column", metavar="NAME", help="Column with a table's file names.  [default: guessed]"),
    click.option("--artist-column", metavar="NAME", help="Column with the artists.  [default: guessed]"),
    click.option("--title-column", metavar="NAME", help="Column with the titles.  [default: guessed]"),
    click.option("--year-column", metavar="NAME", help="Column with the years.  [default: guessed]"),
    click.option(
        "--id-column",
        metavar="NAME",
        help="Column with the ids.  [default: guessed, else the object's number or the file's name]",
    ),
    click.option("--object-column", metavar="NAME", help="Column with the museum's numbers.  [default: guessed]"),
    click.option(
        "--artist-id-column",
        metavar="NAME",
        help="Column with artists' numbers in ULAN, Wikidata or the like.  [default: guessed]",
    ),
    click.option(
        "--images",
        multiple=True,
        metavar="FOLDER...",
        help="Folders with a table's images, subfolders included; may be repeated."
        "  [default: beside the table, or in images/ beside it]",
    ),
    click.argument("more", nargs=-1, metavar=""),  # further folders after --images FOLDER
    encoding_option,
    click.option(
        "--qualified",
        is_flag=True,
        help="Count qualified works (attributed to, workshop of, after ...) as works of the artist, too.",
    ),
    click.option(
        "--allow",
        multiple=True,
        metavar="s3://BUCKET/FOLDER",
        envvar="ARTIDX_ALLOW",
        show_envvar=True,
        help="Read from object storage or the web below this prefix (s3, gs, abfs, https); may be repeated.",
    ),
)


def is_given(name: str) -> bool:
    """Whether the user gave this option of the running command."""
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE


def column_names(options: dict[str, Any], reading: dict[str, Any] | None = None) -> Any:
    """Take the catalog options out of a command's keyword arguments.

    reading: how the index's last table was read: the default for options that are not given.
    """
    from ..embedder.catalogs.catalog import ColumnNames

    taken = {
        ours: options.pop(f"{flag}_column")
        for ours, flag in (
            ("path", "image"),
            ("artist", "artist"),
            ("title", "title"),
            ("year", "year"),
            ("id", "id"),
            ("object", "object"),
            ("artist_id", "artist_id"),
        )
    }
    images, more = options.pop("images"), options.pop("more")
    if more and not images:
        raise click.UsageError(f"Got unexpected extra argument ({more[0]})")
    before = reading or {}
    return ColumnNames(
        **taken,
        images=(*images, *more) or before.get("images") or None,
        before=before.get("columns", {}),
        encoding=options.pop("encoding") or before.get("encoding"),
        qualified=options.pop("qualified") or before.get("qualified", False),
    )


def own_device(options: dict[str, Any], device: str) -> str:
    """The device of this process: with Ray, others run the model, and no GPU is needed here."""
    return "cpu" if options["ray"] else device


@contextmanager
def settings(options: dict[str, Any], device: str) -> Iterator[Any]:
    """Take the embedding options out of a command's keyword arguments; a context that keeps a cluster joined."""
    from dataclasses import replace

    from ..embedder.pictures.images import MAX_PIXELS
    from ..index.changes.build import Settings

    found = Settings(
        workers=options.pop("workers"),
        batch_size=options.pop("batch_size"),
        max_pixels=options.pop("max_pixels") or MAX_PIXELS,
        strict=options.pop("strict"),
        allowed=options.pop("allow", ()),
    )
    ray, share = options.pop("ray"), options.pop("gpu_share")
    with on_ray(ray) as cluster:
        yield replace(found, cluster=cluster, gpu_share=share if cluster and device == "cuda" else 0.0)


@contextmanager
def on_ray(address: str | None) -> Iterator[Any]:
    """A context that keeps the cluster of --ray joined; None without one."""
    if address is None:
        yield None
        return
    from ..index.changes.cluster import joined
    from .output import note

    with joined(address) as cluster:
        gpus = f", {cluster.gpus:g} GPUs" if cluster.gpus else ""
        note(f"on Ray: {cluster.nodes} nodes, {cluster.cores:g} cores{gpus}")
        yield cluster


def layout(half: bool, approximate: bool) -> Any:
    """The layout options of a command."""
    from ..index.changes.build import Layout

    return Layout(half, approximate)
