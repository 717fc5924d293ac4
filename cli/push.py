"""artidx push."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import ADDRESS, INDEX_FOLDER, json_option, on_ray, ray_option

if TYPE_CHECKING:
    from ..index.storage.address import Address


@click.command()
@click.argument("index", type=INDEX_FOLDER)
@click.argument("address", type=ADDRESS, metavar="ADDRESS")
@ray_option
@json_option
def push(index: Path, address: Address, ray: str | None, as_json: bool) -> None:
    """Copy INDEX to a server, where it answers at ADDRESS.

    ADDRESS is milvus+http://HOST:PORT/COLLECTION (pip install 'artidx[cpu,milvus]'), or
    postgresql://USER@HOST/DATABASE/NAME of a PostgreSQL with pgvector (artidx[cpu,postgres]).

    pair, nearest, evaluate, serve and info take the address in place of an index. The previous generation answers until
    the new one is written and checked. An interrupted push resumes when the command is given again. The token
    for Milvus, user:password or a key, comes from ARTIDX_MILVUS_TOKEN; the password for PostgreSQL from PGPASSWORD or
    ~/.pgpass. With --ray, the workers of a cluster write to the server, from a folder that every node has at the same
    path.
    """
    from ..index.opened import Index
    from .output import say_json
    from .report import pushed, show_push

    with on_ray(ray) as cluster:
        found = pushed(Index.open(index), address, cluster)
    if as_json:
        say_json({"address": address, **vars(found)})
    else:
        show_push(address, found)
