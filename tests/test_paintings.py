"""A table that is read in place has the same content as the same table in memory."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from artidx import Index
from artidx.embedder import hashed
from artidx.embedder.catalogs.attribution import artist_key, attributed
from artidx.errors import BadIndex
from artidx.files import sha256_of
from artidx.index.scoring.artists import artist_codes, artist_names
from artidx.index.scoring.neighbourhood import smallest
from artidx.index.storage import columns_file, generations, history, segments
from artidx.index.storage.batch import ORDERED, Batch
from artidx.index.storage.generations import Contents
from artidx.index.storage.where import matching
from artidx.index.storage.words import folded, searched_text

TEXTS = st.sampled_from(["a", "b", "é", "e\u0301", "", "Ann Lee", "Bo", "after Bo", "LEE, ANN"]) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=3
)
MISSING = st.none() | TEXTS
ROWS = st.fixed_dictionaries(
    {
        "id": TEXTS,
        "path": TEXTS,
        "artist": MISSING,
        "title": MISSING,
        "year": st.none() | st.integers(900, 2000),
        "sha256": st.sampled_from(["", "11", "22"]),
        "vector_sha256": st.sampled_from([f"{number:016x}" for number in range(6)]),
        "object": MISSING,
        "style": MISSING,
    }
)
SAID = st.tuples(
    st.integers(0, 25), st.sampled_from(["artist", "title", "style", "id", "path"]), st.sampled_from(["a", "Bo", "x"])
)
EXPRESSIONS = [
    "artist == 'Bo'",
    "artist != 'Ann Lee'",
    "artist == None",
    "title == 'é'",
    "style < 'b' or title == None",
    "year < 1500 and not style == 'a'",
    "year != None",
    "id >= 'a'",
    "vector_sha256 == '0000000000000003'",
    "object in ('a', 'Bo')",
    "style == 'x' or later == 'Bo'",
]


def contents_of(parts, removed, said, ids):
    """Segments of rows, the second with a column that the others lack; ids: of artists, or None."""
    made, start = [], 0
    for number, part in enumerate(parts):
        table = attributed(pd.DataFrame(part, columns=list(part[0])))
        if number == 1:
            table["later"] = table["title"]
        if ids:
            table["artist_id"] = [ids[place % len(ids)] for place in range(start, start + len(table))]
        keys = [artist_key(name) for name in table["artist"]]
        table = table.assign(artist_key=keys, year=table["year"].astype("Int64"))
        table.insert(0, "row", np.arange(2 * start, 2 * (start + len(table)), 2))
        table = table.astype({name: "str" for name in table if name not in ("row", "year")})
        made.append(segments.Draft(segments.Tables.of(table), np.zeros((len(table), 2), np.float32)))
        start += len(table)
    words = pd.DataFrame(
        [(row, "", column, None, text, "me", "") for row, column, text in said], columns=list(history.COLUMNS)
    ).astype({"row": "int64"})
    return Contents(made, np.zeros(2), 0, 0, removed=np.array(sorted(removed), np.int64), said=words)


@settings(max_examples=40, phases=[Phase.generate])
@given(
    st.lists(st.lists(ROWS, min_size=1, max_size=6), min_size=1, max_size=3),
    st.sets(st.integers(0, 25), max_size=5),
    st.lists(SAID, max_size=4),
    st.none() | st.lists(st.sampled_from([None, "Q1", "Q2", "http://x/Q1"]), min_size=1, max_size=4),
)
def test_what_is_looked_up_in_place_is_what_the_table_says(parts, removed, said, ids):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "AT_ONCE", 4)
        contents = contents_of(parts, removed, said, ids)
        paintings = contents.paintings
    table = contents.table()
    assert len(paintings) == len(table)
    assert paintings.names == list(table)
    everywhere = range(len(table))
    for name in table:
        cells = table[name].astype(object).where(table[name].notna(), None).tolist()
        assert paintings.cells(name, everywhere) == cells
        assert name not in ("id", "path", "sha256", "artist") or paintings.texts(name) == cells
        if name in ORDERED:
            for text in {"nowhere", *(cell for cell in cells if cell is not None)}:
                assert paintings.places(name, text) == [place for place, cell in enumerate(cells) if cell == text]
    some = [*everywhere][::-2]
    pd.testing.assert_frame_equal(paintings.frame(some), table.iloc[some].reset_index(drop=True), check_dtype=False)
    codes, keys = artist_codes(table["artist_key"])
    assert (paintings.codes.tolist(), paintings.artist_keys) == (codes.tolist(), keys)
    assert paintings.artist_names == (artist_names(table, codes, keys) if len(table) else [])
    for expression in EXPRESSIONS:
        if "later" in table or "later" not in expression:
            assert paintings.matching(expression).tolist() == matching(table, expression).tolist()
    text = searched_text(table).to_pylist()
    for word in folded(pa.array(["a", "é", "Bo"])).to_pylist():
        assert paintings.holding(word).tolist() == [word in each for each in text]
    for most in (1, 3, 30):
        assert paintings.smallest(most).tolist() == smallest(table["vector_sha256"].to_numpy(object), most).tolist()
    rows = table["row"].to_numpy(np.int64)
    assert paintings.places_of_rows(np.arange(40)).tolist() == [place for place in everywhere if rows[place] < 40]


def columns_of(index: Index):
    return next(index.generation.folder.glob("*.arrow"))


def published(index: Index, data: bytes) -> None:
    """Write this file of columns and a matching manifest, as an attacker could."""
    path = columns_of(index)
    manifest = index.generation.folder / "manifest.json"
    before = sha256_of(path)
    path.unlink()
    path.write_bytes(data)
    manifest.write_text(manifest.read_text("utf-8").replace(before, sha256_of(path)), "utf-8")
    (index.source / "CURRENT").write_text(f"000001 {sha256_of(manifest)}\n")


def written(batch, tmp_path, **options) -> bytes:
    with pa.ipc.new_file(str(tmp_path / "x"), batch.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_batch(batch)
    return (tmp_path / "x").read_bytes()


def test_the_columns_are_a_file_of_arrows_own_that_says_what_the_table_says(index):
    found = pd.read_feather(columns_of(index))
    table = index.generation.table
    assert found["id"].tolist() == table["id"].tolist()
    assert found["artist"].tolist() == table["artist"].tolist()


def test_a_large_file_that_was_found_right_is_not_read_again_until_it_changes(index, monkeypatch):
    read = []
    check = generations.check_file
    monkeypatch.setattr(hashed, "LARGE", 1)
    monkeypatch.setattr(hashed, "FRESH_NS", -(1 << 62))
    monkeypatch.setattr(generations, "check_file", lambda *words: read.append(words[-1]) or check(*words))
    path = columns_of(index)
    Index.open(index.source)
    assert {path.name, "000001-0.npy", "000001-0.parquet"} <= set(read)
    read.clear()
    Index.open(index.source)
    assert read == []
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(BadIndex, match=r"\.arrow: damaged: its sha256"):
        Index.open(index.source)
    assert read == [path.name]


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_columns_that_are_packed_are_refused_before_they_are_unpacked(index, tmp_path, compression):
    (batch,) = columns_file.read(columns_of(index), 12, is_checked=False)
    published(index, written(batch, tmp_path, compression=compression))
    with pytest.raises(BadIndex, match=r"\.arrow: damaged: not the columns of 12 paintings: it is compressed"):
        Index.open(index.source)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda batch: batch.slice(1), "11 rows"),
        (lambda batch: batch.set_column(0, "row", batch["row"].take(pa.array([*range(11, -1, -1)]))), "do not ascend"),
        (lambda batch: batch.set_column(0, "row", pa.array([None] * 12, pa.int64())), "column row has the wrong type"),
        (
            lambda batch: batch.set_column(
                batch.num_columns - 2, batch.schema.names[-2], pa.array([99] * 12, pa.uint32())
            ),
            "an invalid order",
        ),
        (lambda batch: batch.drop_columns(["words"]), "other columns"),
        (lambda batch: batch.replace_schema_metadata({}), "columns"),
        (lambda batch: batch.drop_columns(["title"]).append_column("z", batch["title"]), "column title"),
    ],
)
def test_columns_that_lead_elsewhere_are_refused(index, tmp_path, change, why):
    (batch,) = columns_file.read(columns_of(index), 12, is_checked=False)
    published(index, written(change(batch), tmp_path))
    with pytest.raises(BadIndex, match=why):
        Index.open(index.source)


@settings(max_examples=100)
@given(st.data())
def test_whatever_a_file_of_columns_holds_it_is_read_or_refused(tmp_path_factory, data):
    table = contents_of(
        [
            [
                dict.fromkeys(("id", "path", "artist", "title", "object", "style"), "a")
                | {"year": 1500, "sha256": "", "vector_sha256": "0" * 16}
            ]
            * 3
        ],
        set(),
        [],
        None,
    ).table()
    path = tmp_path_factory.mktemp("c") / "c.arrow"
    table = pa.Table.from_pandas(table)
    columns_file.write(path, columns_file.batches_of(table.schema, lambda: [table]))
    found = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        found[data.draw(st.integers(0, len(found) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(found[: data.draw(st.sampled_from([len(found), len(found) // 2, len(found) - 40]))]))
    try:
        batches = [Batch(part) for part in columns_file.read(path, 3, is_checked=False)]
    except BadIndex:
        return
    for batch in batches:
        for name in batch.names:
            for at in range(len(batch)):
                batch.cell(name, at)
        [*batch.equal("id", "a")], batch.numbers("artist_key"), batch.first_by_hash(2)
