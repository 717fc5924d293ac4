"""Copy the generation of a folder to Milvus: written aside, checked, then switched to.

Readers of the previous generation continue with it: it is dropped when the one after the next is pushed. An interrupted
push resumes when it is run again; only its last step, which is atomic, changes what answers.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from time import monotonic, sleep

import numpy as np

from ...embedder.parallel import Bar, no_bar
from ...errors import BadIndex, IndexAway
from ..scoring.artists import artist_codes, artist_names, centroids_of
from ..scoring.neighbourhood import smallest
from ..scoring.vectors import Integers
from ..storage import generations
from ..storage.generations import Generation
from ..storage.pushed import CHECKED, K, Pushed, Spread, nearest_rows, ranks, written_here
from ..storage.words import searched_text
from . import layout
from .address import Address
from .layout import ABOUT, Kind
from .milvus_store import About, MilvusStore
from .server import ROWS, Server, connected

ASKED = 50  # queries at once
READY_S = 24 * 3600.0  # an index of very many paintings takes hours
WAIT_S = 0.5


def push(
    index: Path, address: Address, bar: Bar = no_bar, kind: Kind | None = None, spread: Spread | None = None
) -> Pushed:
    """Copy the published generation of a folder to Milvus, where it then answers at an address. Raises BadIndex.

    kind: of the vector index; by default the one for this many paintings. spread: who writes the paintings, if
    not this process.
    """
    started = monotonic()
    generation = generations.read(index)
    server = connected(address)
    before = server.published()
    name = _name_of(address, generation)
    written = 0
    if before != name or not _is_whole(server, name, generation):
        layout.check_fits(generation.table)
        kind = kind or layout.kind_for(len(generation))
        written = _write(server, name, generation, kind, bar, spread)
        _wait_until_ready(server, name, len(generation), bar)
        recall = _checked(server, name, generation, kind, bar)
        if server.published() != before:
            raise BadIndex(
                f"{address}: another generation was published there in the meantime; push again to replace it "
                f"with this one"
            )
        _write_about(server, name, generation, kind, recall)
        MilvusStore.of(server, name)  # what cannot be read back is not published
        if before != name:
            server.ask("create_alias" if before is None else "alter_alias", name, address.collection)
        _drop_older(server, kept={name, before})
    about = MilvusStore.of(server, name).about
    return Pushed(
        len(generation),
        generation.manifest.generation,
        written,
        about.kind.type,
        about.recall_at_10,
        monotonic() - started,
    )


def _is_whole(server: Server, name: str, generation: Generation) -> bool:
    """Whether the generation that answers has all its paintings and facts."""
    try:
        MilvusStore.of(server, name)
    except IndexAway:
        raise
    except BadIndex:
        return False
    return server.count(name, is_exact=True) == len(generation)


class Writer:
    """Writes paintings of a generation into its collection, which is there already."""

    def __init__(self, address: Address, generation: Generation) -> None:
        self._server, self._generation = connected(address), generation
        self._name = _name_of(address, generation)
        self._codes, self._ranks = generation.paintings.codes, ranks(generation, layout.UNRANKED)

    def __call__(self, part: range) -> None:
        places = np.array(part)
        table = self._generation.paintings.frame(places.tolist())
        vectors, words = self._generation.vectors.at(places), searched_text(table).to_pylist()
        self._server.ask(
            "upsert", self._name, layout.entities(table, vectors, self._codes[places], self._ranks[places], words)
        )


def _name_of(address: Address, generation: Generation) -> str:
    return layout.collection_name(address.collection, generation.manifest.generation, generation.sha256)


def _write(server: Server, name: str, generation: Generation, kind: Kind, bar: Bar, spread: Spread | None) -> int:
    """Write the paintings that are not there yet; returns their number."""
    paintings, is_new = len(generation), not server.ask("has_collection", name)
    if is_new:
        parameters = server.client.prepare_index_params()
        parameters.add_index("vector", index_type=kind.type, metric_type="IP", params=kind.built_with(paintings))
        partitions = layout.partitions_for(paintings)
        server.ask(
            "create_collection",
            name,
            schema=layout.schema(server.client, generation.manifest.model.dim),
            num_partitions=partitions,
            index_params=parameters,
            consistency_level="Bounded",
        )
    else:  # a restarted server does not load an incomplete collection
        server.load(name, READY_S)
    parts = [range(start, min(start + ROWS, paintings)) for start in range(0, paintings, ROWS)]
    missing = parts if is_new else [part for part in parts if not _is_there(server, name, generation, part)]
    wanted = sum(map(len, missing))
    with bar(paintings, "pushing") as advance:
        advance(paintings - wanted)
        if spread is None:
            sent = written_here(Writer(server.address, generation), missing)
        else:
            sent = spread(server.address, generation, missing)
        for written in sent:
            advance(written)
    return wanted


def _is_there(server: Server, name: str, generation: Generation, part: range) -> bool:
    first, last = generation.paintings.row(part[0]), generation.paintings.row(part[-1])
    return server.count(name, f"row >= {first} and row <= {last}", is_exact=True) >= len(part)


def _wait_until_ready(server: Server, name: str, paintings: int, bar: Bar) -> None:
    """Wait until all segments are sealed, and their index is built and loaded. Raises BadIndex."""
    with bar(paintings, "indexing") as advance:
        server.ask("flush", name, seconds=READY_S)
        deadline, done = monotonic() + READY_S, 0
        while pending := int(server.ask("describe_index", name, "vector").get("pending_index_rows", 0)):
            if monotonic() > deadline:
                raise BadIndex(f"{server.address}: the index is not ready after {READY_S / 3600:.0f} hours; push again")
            if paintings - pending > done:
                advance(paintings - pending - done)
                done = paintings - pending
            sleep(WAIT_S)
        server.load(name, READY_S)
        advance(paintings - done)


def _checked(server: Server, name: str, generation: Generation, kind: Kind, bar: Bar) -> float:
    """Check the number of paintings, and a sample of them bit by bit; returns the recall of the search.

    Raises BadIndex.
    """
    there = server.count(name, is_exact=True)
    if there != len(generation):
        raise BadIndex(f"{server.address}: {there:,} of {len(generation):,} paintings have arrived; push again")
    sample = smallest(generation.table["vector_sha256"].to_numpy(object), CHECKED)
    vectors = generation.vectors.at(sample)
    numbers = generation.table["row"].to_numpy(np.int64)
    with bar(len(sample), "checking") as advance:
        found = {
            row["row"]: np.array(row["vector"], np.float32)
            for row in server.rows(name, f"row in {numbers[sample].tolist()}", ["vector"])
        }
        if not all(
            number in found and np.array_equal(found[number], vector)
            for number, vector in zip(numbers[sample].tolist(), vectors, strict=True)
        ):
            raise BadIndex(f"{server.address}: a vector came back changed; drop the collection {name}, and push again")
        recall = 1.0 if kind.is_exact else _recall(server, name, generation, kind, sample)
        advance(len(sample))
    return recall


def _recall(server: Server, name: str, generation: Generation, kind: Kind, sample: Integers) -> float:
    """The share of the ten nearest to the sampled paintings, including themselves, that Milvus finds."""
    vectors, numbers = generation.vectors.at(sample), nearest_rows(generation, sample)
    parameters = {"metric_type": "IP", "params": kind.asked_with(K)}
    hits = 0
    for start in range(0, len(sample), ASKED):
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


def _write_about(server: Server, name: str, generation: Generation, kind: Kind, recall: float) -> None:
    table, dim = generation.table, generation.manifest.model.dim
    codes, keys = artist_codes(table["artist_key"])
    counts = np.bincount(codes + 1, minlength=len(keys) + 1)[1:].tolist()
    manifest = (generation.folder / "manifest.json").read_text(encoding="utf-8")
    about = About(
        manifest,
        list(table.columns),
        list(zip(keys, artist_names(table, codes, keys), counts, strict=True)),
        kind,
        recall,
    )
    rows = layout.pieces(dataclasses.asdict(about), dim) + [
        {"row": layout.CENTROIDS + number, "text": "", "vector": centroid}
        for number, centroid in enumerate(centroids_of(generation.vectors.matrix, codes, keys))
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
        raise BadIndex(f"{server.address}: the description of {name} is incomplete; push again")


def _drop_older(server: Server, kept: set[str | None]) -> None:
    """Drop the other generations, except later unfinished ones, which another push is writing."""
    name = server.address.collection
    latest = max(layout.generation_of(name, each) or 0 for each in kept if each)
    there = set(server.ask("list_collections"))
    for collection in sorted(there):
        number, paintings = layout.generation_of(name, collection), collection.removesuffix(ABOUT)
        if number is not None and paintings not in kept and (number <= latest or paintings + ABOUT in there):
            server.ask("drop_collection", collection)
