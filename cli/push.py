"""artidx push."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import ADDRESS, INDEX_FOLDER, json_option

if TYPE_CHECKING:
    from ..index.milvus.address import Address


@click.command()
@click.argument("index", type=INDEX_FOLDER)
@click.argument("address", type=ADDRESS, metavar="milvus+http://HOST:PORT/COLLECTION")
@json_option
def push(index: Path, address: Address, as_json: bool) -> None:
    """Copy INDEX to a Milvus server, where it answers at that address.  pip install 'artidx[cpu,milvus]'.

    pair, nearest, evaluate, serve and info take the address in place of an index. The previous generation answers until
    the new one is written and checked. An interrupted push resumes when the command is given again. Credentials,
    user:password or a key, come from ARTIDX_MILVUS_TOKEN.
    """
    from ..index.opened import Index
    from .output import say_json
    from .report import pushed, show_push

    found = pushed(Index.open(index), address)
    if as_json:
        say_json({"address": address, **vars(found)})
    else:
        show_push(address, found)
