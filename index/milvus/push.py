"""Copy a generation to Milvus: written aside, checked, then switched to.

Readers of the previous generation continue with it: it is dropped when the one after the next is pushed. An interrupted
push resumes when it is run again; only its last step, which is atomic, changes what answers.
"""

from __future__ import annotations

import dataclasses
from time import monotonic, sleep

import numpy as np

from ...embedder.parallel import Bar, no_bar
from ...errors import BadIndex, IndexAway
from ..scoring.vectors import Array
from ..storage.pushed import UNRANKED, Entries, K, Original, Pushed
from ..storage.words import searched_text
from . import layout
from .address import Address
from .layout import ABOUT, Kind
from .milvus_store import About, MilvusStore
from .server import ROWS, Server, connected

ASKED = 50  # queries at once
READY_S = 24 * 3600.0  # an index of very many paintings takes hours
WAIT_S = 0.5


def push(original: Original, address: Address, bar: Bar = no_bar, kind: Kind | None = None) -> Pushed:
    """Copy a generation to Milvus, where it then answers at an address. Raises BadIndex.

    kind: of the vector index; by default the one for this many paintings.
    """
    started = monotonic()
    server = connected(address)
    before = server.published()
    name = layout.collection_name(address.collection, original.manifest.generation, original.sha256)
    written = 0
    if before != name or not _is_whole(server, name, original):
        for frame in original.frames():
            layout.check_fits(frame, original.again)
        kind = kind or layout.kind_for(len(original))
        written = _write(server, name, original, kind, bar)
        _wait_until_ready(server, name, original, bar)
        recall = _checked(server, name, original, kind, bar)
        if server.published() != before:
            raise BadIndex(f"{address}: another generation was published there in the meantime; {original.to_replace}")
        _write_about(server, name, original, kind, recall)
        MilvusStore.of(server, name)  # what cannot be read back is not published
        if before != name:
            server.ask("create_alias" if before is None else "alter_alias", name, address.collection)
        _drop_older(server, kept={name, before})
    about = MilvusStore.of(server, name).about
    return Pushed(
        len(original), original.manifest.generation, written, about.kind.type, about.recall_at_10, monotonic() - started
    )


def _is_whole(server: Server, name: str, original: Original) -> bool:
    """Whether the generation that answers has all its paintings and facts."""
    try:
        MilvusStore.of(server, name)
    except IndexAway:
        raise
    except BadIndex:
        return False
    return server.count(name, is_exact=True) == len(original)


def write(address: Address, generation: int, sha256: str, entries: Entries) -> None:
    """Write paintings of a generation into its collection, which is there already. Raises BadIndex."""
    ranks = np.where(entries.ranks == UNRANKED, layout.UNRANKED, entries.ranks)
    words = searched_text(entries.table).to_pylist()
    name = layout.collection_name(address.collection, generation, sha256)
    for message in layout.messages(layout.entities(entries.table, entries.vectors, entries.artists, ranks, words)):
        connected(address).ask("upsert", name, message)


def _write(server: Server, name: str, original: Original, kind: Kind, bar: Bar) -> int:
    """Write the paintings that are not there yet; returns their number."""
    paintings, is_new = len(original), not server.ask("has_collection", name)
    if is_new:
        parameters = server.client.prepare_index_params()
        parameters.add_index("vector", index_type=kind.type, metric_type="IP", params=kind.built_with(paintings))
        partitions = layout.partitions_for(paintings)
        server.ask(
            "create_collection",
            name,
            schema=layout.schema(server.client, original.manifest.model.dim),
            num_partitions=partitions,
            index_params=parameters,
            consistency_level="Bounded",
        )
    else:  # a restarted server does not load an incomplete collection
        server.load(name, READY_S)
    parts = [range(start, min(start + ROWS, paintings)) for start in range(0, paintings, ROWS)]
    missing = parts if is_new else [part for part in parts if not _is_there(server, name, original, part)]
    wanted = sum(map(len, missing))
    with bar(paintings, "pushing") as advance:
        advance(paintings - wanted)
        for written in original.written(server.address, missing):
            advance(written)
    return wanted


def _is_there(server: Server, name: str, original: Original, part: range) -> bool:
    first, last = original.number(part[0]), original.number(part[-1])
    return server.count(name, f"row >= {first} and row <= {last}", is_exact=True) >= len(part)


def _wait_until_ready(server: Server, name: str, original: Original, bar: Bar) -> None:
    """Wait until all segments are sealed, and their index is built and loaded. Raises BadIndex."""
    paintings = len(original)
    with bar(paintings, "indexing") as advance:
        server.ask("flush", name, seconds=READY_S)
        deadline, done = monotonic() + READY_S, 0
        while pending := int(server.ask("describe_index", name, "vector").get("pending_index_rows", 0)):
            if monotonic() > deadline:
                hours = f"{READY_S / 3600:.0f} hours"
                raise BadIndex(f"{server.address}: the index is not ready after {hours}; {original.again}")
            if paintings - pending > done:
                advance(paintings - pending - done)
                done = paintings - pending
            sleep(WAIT_S)
        server.load(name, READY_S)
        advance(paintings - done)


def _checked(server: Server, name: str, original: Original, kind: Kind, bar: Bar) -> float:
    """Check the number of paintings, and a sample of them bit by bit; returns the recall of the search.

    Raises BadIndex.
    """
    there = server.count(name, is_exact=True)
    if there != len(original):
        raise BadIndex(f"{server.address}: {there:,} of {len(original):,} paintings have arrived; {original.again}")
    sample, vectors = original.sample()
    with bar(len(sample), "checking") as advance:
        found = {
            row["row"]: np.array(row["vector"], np.float32) for row in server.rows(name, f"row in {sample}", ["vector"])
        }
        if not all(
            number in found and np.array_equal(found[number], vector)
            for number, vector in zip(sample, vectors, strict=True)
        ):
            raise BadIndex(
                f"{server.address}: a vector came back changed; drop the collection {name}, and {original.again}"
            )
        recall = 1.0 if kind.is_exact else _recall(server, name, original, kind, vectors)
        advance(len(sample))
    return recall


def _recall(server: Server, name: str, original: Original, kind: Kind, vectors: Array) -> float:
    """The share of the ten nearest to the sampled paintings (m, d), including themselves, that Milvus finds."""
    numbers = original.nearest(vectors)
    parameters = {"metric_type": "IP", "params": kind.asked_with(K)}
    hits = 0
    for start in range(0, len(vectors), ASKED):
        found = server.ask(
            "search",
            name,
            data=list(vectors[start : start + ASKED]),
            limit=K,
            output_fields=["row"],
            search_params=parameters,
        )
        hits += sum(
            len({hit["entity"]["row"] for hit in ours} & {*near.tolist()})
            for ours, near in zip(found, numbers[start : start + ASKED], strict=True)
        )
    return round(hits / numbers.size, 4)


def _write_about(server: Server, name: str, original: Original, kind: Kind, recall: float) -> None:
    dim = original.manifest.model.dim
    about = About(original.manifest_text, original.columns, original.artists(), kind, recall)
    rows = layout.pieces(dataclasses.asdict(about), dim) + [
        {"row": layout.CENTROIDS + number, "text": "", "vector": centroid}
        for number, centroid in enumerate(original.centroids())
    ]
    parameters = server.client.prepare_index_params()
    parameters.add_index("vector", index_type="FLAT", metric_type="IP")
    if server.ask("has_collection", name + ABOUT):  # of an interrupted push
        server.ask("drop_collection", name + ABOUT)
    server.ask(
        "create_collection",
        name + ABOUT,
        schema=layout.about_schema(server.client, dim),
        index_params=parameters,
        consistency_level="Bounded",
    )
    for start in range(0, len(rows), ROWS):
        server.ask("insert", name + ABOUT, rows[start : start + ROWS])
    server.ask("flush", name + ABOUT, seconds=READY_S)
    if server.count(name + ABOUT, is_exact=True) != len(rows):
        raise BadIndex(f"{server.address}: the description of {name} is incomplete; {original.again}")


def _drop_older(server: Server, kept: set[str | None]) -> None:
    """Drop the other generations, except later unfinished ones, which another push is writing."""
    name = server.address.collection
    latest = max(layout.generation_of(name, each) or 0 for each in kept if each)
    there = set(server.ask("list_collections"))
    for collection in sorted(there):
        number, paintings = layout.generation_of(name, collection), collection.removesuffix(ABOUT)
        if number is not None and paintings not in kept and (number <= latest or paintings + ABOUT in there):
            server.ask("drop_collection", collection)
