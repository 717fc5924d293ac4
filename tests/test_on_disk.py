"""Catalogs are read some rows at a time: how many changes nothing, and memory has only the rows at hand."""

from __future__ import annotations

import dataclasses
import tempfile
import tracemalloc
from functools import partial
from pathlib import Path
from unittest import mock

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artidx import Index
from artidx.embedder.catalogs import catalog as reading
from artidx.embedder.catalogs import on_disk as disk
from artidx.embedder.catalogs.catalog import Catalog, ColumnNames, read_catalog
from artidx.embedder.catalogs.on_disk import again, cut, in_blocks, in_memory, on_disk
from artidx.errors import OutOfResources

FILES = ["1.png", "1 detail.png", "2.png", "b/3.png", "b/1.png", "b/é.png"]
NUMBERS = st.sampled_from(["1", "2", "3", "4", "", "\u200b"])
NAMES = st.sampled_from([*FILES, "", "none.png", "B\\3.PNG", "1.png; 2.png", "1.png | none.png", "s3://a/1.png"])
ROWS = st.lists(
    st.tuples(NUMBERS, NAMES, st.sampled_from(["Monet", "", "?"]), st.sampled_from(["after", ""]), NUMBERS), max_size=12
)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    for name in FILES:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    return folder


def read(rows: int, source: Path | pd.DataFrame, names: ColumnNames | None = None) -> Catalog | str:
    """The catalog, read so many rows at a time; or why there is none."""
    with mock.patch.object(disk, "ROWS", rows), mock.patch.object(reading, "ROWS", rows):
        try:
            return read_catalog(source, names)
        except reading.BadCatalog as problem:
            return str(problem)


def same(one: Catalog | str, other: Catalog | str) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    pd.testing.assert_frame_equal(one.table, other.table)
    rest = [{**vars(each), "table": None} for each in (one, other)]
    return rest[0] == rest[1]


@settings(deadline=None, max_examples=15)
@given(
    cells=ROWS,
    headings=st.lists(st.sampled_from(["object number", "file", "artist", "qualifier", "id"]), unique=True, min_size=1),
    at_once=st.integers(1, 6),
    is_deep=st.booleans(),
)
def test_a_table_is_the_same_catalog_however_many_rows_are_read_at_once(
    cells, headings, at_once, is_deep, photographs, tmp_path_factory
):
    table = pd.DataFrame(cells, columns=["object number", "file", "artist", "qualifier", "id"])[headings]
    path = photographs / "table.csv"
    table.to_csv(path, index=False)
    names = ColumnNames(images=photographs if is_deep else None)
    assert same(read(at_once, path, names), read(1000, path, names))
    if len(table):
        assert same(read(at_once, table, names), read(1000, table, names))


@pytest.mark.parametrize("at_once", [1, 2, 3, 6, 7])
def test_other_sources_are_the_same_catalog_however_many_rows_are_read_at_once(at_once, photographs, tmp_path):
    image = pa.array([{"bytes": b""}] * 7, pa.struct([("bytes", pa.binary())]))
    label, year = [0, None, 1, 9, None, 0, 1], [None, None, 1880, None, 1700, 1, None]
    table = pa.table({"image": image, "artist": label, "date": year, "id": [None, 1, 2, 1, None, 3, 3]})
    named = b'{"info": {"features": {"artist": {"names": ["Monet", "Manet"]}}}}'
    pq.write_table(table.replace_schema_metadata({"huggingface": named}), tmp_path / "images.parquet", row_group_size=3)
    numbers = tmp_path / "all_data_info.csv"
    numbers.write_text("artist,artist_group,date,in_train,new_filename,title\n" + "a,b,1900,True,1.jpg,t\n" * 7)
    for source in (tmp_path / "images.parquet", numbers, photographs):
        found = read(at_once, source)
        assert isinstance(found, Catalog)
        assert same(found, read(1000, source))


def test_a_catalog_on_disk_has_the_same_cells_in_columns_of_text(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("id,file,artist,title,date\n1,a.png,Monet,é 日本,1880\n2,b.png,,,\n1,c.png,,,\n", "utf-8")
    kept, found = read_catalog(path), read_catalog(path, on_disk=True)
    assert kept.table["title"].tolist() == ["é 日本", None]
    assert {str(kind) for kind in found.table.drop(columns="year").dtypes} == {"str"}
    pd.testing.assert_frame_equal(in_memory(found.table), kept.table)
    assert dataclasses.replace(found, table=kept.table).skipped == kept.skipped
    assert found.table.index.equals(kept.table.index)


def test_reading_takes_the_memory_of_the_rows_at_hand(tmp_path):
    rows = [f"{number:06d},s3://scans/{number:020d}.jpg,Painter {number % 9},{number:080d}" for number in range(5000)]
    path = tmp_path / "table.csv"

    def peak(count: int) -> int:
        path.write_text("\n".join(["id,file,artist,title", *rows[:count]]))
        tracemalloc.start()
        with mock.patch.object(disk, "ROWS", 500):
            assert len(read_catalog(path, on_disk=True)) == count
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(10)  # what is remembered of names, and modules
    assert peak(5000) - peak(2500) < 2500 * 200  # bytes; rows as Python has them take three times as many


@settings(deadline=None, max_examples=25)
@given(
    rows=st.lists(st.tuples(st.sampled_from(["a", "b", "", None]), st.sampled_from(["a", "b", None]))),
    at_once=st.integers(1, 5),
    is_alike=st.booleans(),
)
def test_rows_that_occur_again_are_those_that_pandas_finds_even_if_all_share_a_number(rows, at_once, is_alike):
    number = pd.util.hash_pandas_object
    hashed = (lambda some, **_: pd.Series(0, some.index)) if is_alike else number
    with mock.patch.object(disk, "ROWS", at_once), mock.patch.object(pd.util, "hash_pandas_object", hashed):
        table = on_disk(in_blocks(enumerate(rows), ["one", "two"]))
        for names in (["one"], ["one", "two"]):
            assert again(table, names).tolist() == table[names].duplicated().tolist()
        twice = again(table, ["one", "two"])
        kept = on_disk(cut(table, ~twice))
    pd.testing.assert_frame_equal(kept, table[~twice])


def test_an_index_has_the_same_files_however_many_rows_are_at_hand(collection, embedder, tmp_path, monkeypatch):
    copy = next(collection.rglob("*.png"))
    (collection / "Somebody Else").mkdir()
    (collection / "Somebody Else" / "copy.png").write_bytes(copy.read_bytes())
    (collection / "Somebody Else" / "broken.png").write_text("no image")

    def built(name: str) -> tuple[object, dict[str, bytes]]:
        report = Index.build(tmp_path / name, collection, embedder=embedder)[1]
        files = (path for path in (tmp_path / name).rglob("*") if path.suffix in (".parquet", ".npy", ".arrow"))
        return dataclasses.replace(report, seconds=0, reading=0), {path.name: path.read_bytes() for path in files}

    report, files = built("at once")
    monkeypatch.setattr(disk, "ROWS", 2)
    assert built("two at a time") == (report, files)
    assert [len(report.twice), len(report.skipped)] == [1, 1]


def test_a_full_disk_is_one_line_that_names_it(tmp_path, monkeypatch):
    (tmp_path / "table.csv").write_text("file,artist\na.png,Monet\n")
    full = partial(Path.open, Path("/dev/full"), "w+b")
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(OutOfResources, match="no room for the text of a table; name a larger folder in TMPDIR"):
        read_catalog(tmp_path / "table.csv")
