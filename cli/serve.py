"""artidx serve."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..embedder import bounds
from .options import ANY_INDEX, PATH, asked_index, device_option, whole
from .output import note, say

if TYPE_CHECKING:
    from ..index.sources import Source


@click.command()
@click.argument("index", type=ANY_INDEX, required=False, envvar="ARTIDX_INDEX")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on; 0.0.0.0 for all.")
@click.option(
    "--port",
    type=whole(bounds.PORT),
    default=8000,
    show_default=True,
    help="The port to listen on; 0 picks a free one.",
)
@click.option(
    "--allow-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    envvar="ARTIDX_ALLOW_HOST",
    show_envvar=True,
    help="Also answer to this host name without a token, besides localhost and addresses; may be repeated.",
)
@click.option(
    "--proxy",
    "proxies",
    multiple=True,
    metavar="ADDRESS",
    envvar="ARTIDX_PROXY",
    show_envvar=True,
    help="Trust the X-Forwarded-For header of a proxy at this address; may be repeated.",
)
@click.option(
    "--tokens",
    type=PATH,
    metavar="FILE.toml",
    envvar="ARTIDX_TOKENS",
    show_envvar=True,
    help="Answer only those with a token; the file has names and rights, and is read again when it changes.",
)
@click.option(
    "--cors",
    multiple=True,
    metavar="ORIGIN",
    envvar="ARTIDX_CORS",
    show_envvar=True,
    help="Let pages of this origin, such as https://museum.example, ask from a browser; may be repeated.",
)
@click.option(
    "--traces",
    metavar="http://HOST:4318",
    envvar="ARTIDX_TRACES",
    show_envvar=True,
    help="Send OpenTelemetry traces to a collector at this address, by OTLP over HTTP: the time of decoding, embedding "
    "and searching in each request, and nothing about its content.",
)
@click.option("--uploads", type=PATH, metavar="FOLDER", help="Where pictures of added paintings are stored.")
@click.option(
    "--in-flight",
    type=whole(bounds.IN_FLIGHT),
    default=64,
    show_default=True,
    help="Limit of requests in flight: this many questions and this many views; half of each from one address.",
)
@click.option(
    "--max-mb",
    type=whole(bounds.BODY_MB),
    default=64,
    show_default=True,
    help="Refuse requests larger than this many megabytes.",
)
@click.option(
    "--max-pixels",
    type=whole(bounds.PIXELS),
    default=64_000_000,
    metavar="N",
    show_default=True,
    help="Refuse images with more pixels.",
)
@device_option
def serve(
    index: Source | None,
    host: str,
    port: int,
    allowed_hosts: tuple[str, ...],
    proxies: tuple[str, ...],
    tokens: Path | None,
    cors: tuple[str, ...],
    traces: str | None,
    uploads: Path | None,
    in_flight: int,
    max_mb: int,
    max_pixels: int,
    device: str,
) -> None:
    """Answer from INDEX by HTTP, with a page for people.  pip install 'artidx[cpu,serve]'.

    INDEX is by default paintings.artidx where there is one, else the reference gallery. Tokens in
    ARTIDX_READ_TOKEN and ARTIDX_WRITE_TOKEN decide who may ask and who may change the index: without the first, all may
    ask; without the second, nobody may change anything. A --tokens file has any number of tokens, each with a name.
    """
    # Requests share the cores; one that used all of them would wait for the others' threads.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from ..errors import MissingPackage

    try:
        from ..service.app import create_app
        from ..service.holder import IndexHolder
        from ..service.server import bound, log_as_json, server_of
        from ..service.settings import READ_TOKEN, WRITE_TOKEN, ServiceSettings, is_loopback
        from ..service.traces import traces_to
    except ModuleNotFoundError as problem:
        raise MissingPackage(f"the service needs {problem.name}; pip install 'artidx[cpu,serve]'") from None

    # Tokens come from the environment only: a command line can be read by others.
    settings = ServiceSettings(
        uploads=uploads,
        read_token=os.environ.get(READ_TOKEN) or None,
        write_token=os.environ.get(WRITE_TOKEN) or None,
        token_file=tokens,
        cors=frozenset(origin.lower() for origin in cors),
        is_local=is_loopback(host),
        allowed_hosts=frozenset(name.lower() for name in allowed_hosts),
        in_flight=in_flight,
        max_body_bytes=max_mb << 20,
        max_pixels=max_pixels,
    )
    sent = traces_to(traces) if traces else None
    listening = bound(host, port)
    index = asked_index(index)
    holder = IndexHolder(Path(os.path.abspath(index)) if isinstance(index, Path) else index, device)
    if not settings.is_local and not settings.asks_for_token:
        note("anyone who can reach this machine may ask; set ARTIDX_READ_TOKEN to require a token")
    app = create_app(holder, settings, sent)
    say(
        f"{holder.index.name}: {len(holder.index):,} paintings by {holder.index.artists:,} artists, "
        f"at http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
    )
    log_as_json()
    server_of(app, proxies).run([listening])  # until SIGINT or SIGTERM
