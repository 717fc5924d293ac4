"""Tables that unpack to far more than they are on disk, and tables with wrong cells."""

from __future__ import annotations

import hashlib
import json
import logging
import resource
import subprocess
import sys
import unicodedata

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from artidx import Index
from artidx.cli.main import artidx
from artidx.embedder import locations
from artidx.embedder.locations import Reader
from artidx.errors import BadIndex, UnreadableImage
from artidx.index.storage import bounded_parquet, history
from artidx.index.storage.bounded_parquet import read_blocks, read_frame
from artidx.plain_text import cell, escaped, of_cell
from artidx.service.server import JsonLines
from made import painting


def resigned(index, name=None):
    """The manifest of an index with new hashes for its changed files, as an attacker could write it."""
    folder = index.source / "generations" / "000001"
    manifest = json.loads((folder / "manifest.json").read_text())
    if name:
        manifest["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    return sign(index, manifest)


def sign(index, manifest):
    folder = index.source / "generations" / "000001"
    data = json.dumps(manifest).encode()
    sha256 = hashlib.sha256(data).hexdigest()
    (folder / "manifest.json").write_bytes(data)
    (folder / "manifest.sha256").write_text(f"{sha256}  manifest.json\n")
    (index.source / "CURRENT").write_text(f"000001 {sha256}\n")
    return manifest


def test_a_table_is_what_pandas_reads_of_it(index):
    path = index.source / "generations" / "000001" / "000001-0.parquet"
    pd.testing.assert_frame_equal(read_frame(path, rows=12), pd.read_parquet(path))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.text(max_size=5), st.just("long" * 50)), max_size=30),
    st.sampled_from(["snappy", "zstd", "none"]),
    st.booleans(),
)
def test_any_texts_are_what_pandas_reads_of_them(tmp_path_factory, texts, compression, packed):
    path = tmp_path_factory.mktemp("t") / "a.parquet"
    frame = pd.DataFrame({"a": pd.Series(texts, dtype="str"), "b": range(len(texts)), "c": [b"x"] * len(texts)})
    frame.to_parquet(path, compression=compression, use_dictionary=packed)
    pd.testing.assert_frame_equal(read_frame(path), pd.read_parquet(path))


def test_one_long_text_in_many_rows_is_refused_before_it_is_unfolded(tmp_path):
    path = tmp_path / "a.parquet"
    text = pa.DictionaryArray.from_arrays(pa.array(np.zeros(20_000, np.int32)), pa.array(["x" * 1_000_000]))
    pq.write_table(pa.table({"id": text}), path, compression="zstd")
    assert path.stat().st_size < 100_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match="unpack to over"):
        read_frame(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kB, of 20 GB


def test_one_long_text_in_many_rows_is_refused_before_the_first_block(tmp_path):
    path = tmp_path / "a.parquet"
    text = pa.DictionaryArray.from_arrays(pa.array(np.zeros(20_000, np.int32)), pa.array(["x" * 1_000_000]))
    pq.write_table(pa.table({"id": pa.array(map(str, range(20_000))), "title": text}), path, compression="zstd")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match="unpack to over"):
        next(read_blocks(path, 5_000))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kB, of 5 GB


def test_of_a_row_group_that_is_a_whole_file_some_rows_are_in_memory(tmp_path):
    # A dictionary of each column took 0.3 KB for each row.
    path, rows, pool = tmp_path / "a.parquet", 40_000, pa.default_memory_pool()
    names = [f"{number:060}" for number in range(rows)]
    pq.write_table(pa.table(dict.fromkeys("abcd", names)), path, row_group_size=rows)
    before = pool.bytes_allocated()
    taken, found = [], 0
    for table in read_blocks(path, 1000):
        taken.append(pool.bytes_allocated() - before)
        assert table["d"].to_pylist() == names[found : found + len(table)]
        found += len(table)
    assert found == rows
    assert max(taken) < 16 << 20


def test_many_rows_of_nothing_are_refused_before_they_are_read(tmp_path):
    path = tmp_path / "history.parquet"
    rows = pa.array(np.zeros(3_000_000, np.int64))
    nothing = pa.array([""]).take(pa.array(np.zeros(3_000_000, np.int32)))
    pq.write_table(pa.table({"row": rows} | dict.fromkeys(history.COLUMNS[1:], nothing)), path, compression="zstd")
    with pytest.raises(BadIndex, match="unpack to over"):
        history.read(path)


def test_a_table_has_as_many_rows_as_its_manifest_says(index):
    path = index.source / "generations" / "000001" / "000001-0.parquet"
    frame = pd.read_parquet(path)
    pd.concat([frame, frame]).to_parquet(path)
    resigned(index, path.name)
    with pytest.raises(BadIndex, match="24 rows, expected 12"):
        Index.open(index.source).table  # noqa: B018


def test_categories_are_texts(tmp_path):
    pd.DataFrame({"a": pd.Categorical(["x", "y", "x", None])}).to_parquet(tmp_path / "a.parquet")
    assert read_frame(tmp_path / "a.parquet")["a"].tolist()[:3] == ["x", "y", "x"]


def test_columns_of_lists_are_refused(tmp_path):
    pq.write_table(pa.table({"a": [[1, 2], [3]]}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="expected texts or numbers"):
        read_frame(tmp_path / "a.parquet")


def test_the_same_image_in_many_rows_is_held_once(tmp_path):
    picture = painting(tmp_path / "a.png", 1).read_bytes()
    picture += bytes(1_000_000)
    path = tmp_path / "a.parquet"
    images = pa.DictionaryArray.from_arrays(pa.array(np.zeros(1500, np.int32)), pa.array([picture]))
    pq.write_table(pa.table({"image": images}), path, compression="zstd")
    assert path.stat().st_size < 50_000
    code = (
        "import resource, sys; from artidx.embedder.locations import Reader\n"
        "with Reader() as reader:\n    for row in range(0, 1500, 7): reader.square(f'{sys.argv[1]}::{row}', 32)\n"
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    )
    found = subprocess.run([sys.executable, "-c", code, path], check=True, capture_output=True, text=True)
    assert int(found.stdout) < 600_000  # kB, of 1.5 GB


def test_reading_images_of_a_parquet_file_takes_the_memory_of_a_row_group_and_not_several(tmp_path):
    # A dictionary of every image, batches of 32 and whole columns read ahead once took seven times the file.
    chance = np.random.default_rng(0)
    pictures = [chance.bytes(100_000) for _ in range(200)]
    pq.write_table(pa.table({"image": [{"bytes": each, "path": None} for each in pictures]}), tmp_path / "a.parquet")
    pool, before = pa.proxy_memory_pool(pa.system_memory_pool()), pa.default_memory_pool()
    pa.set_memory_pool(pool)
    try:
        with Reader() as reader:
            for row in range(200):
                with reader.open(f"{tmp_path / 'a.parquet'}::{row}") as stream:
                    assert stream.read() == pictures[row]
    finally:
        pa.set_memory_pool(before)
    assert pool.max_memory() < 1.8 * 200 * 100_000


def test_rows_of_a_parquet_file_that_are_large_are_not_held_by_the_dozen(tmp_path, monkeypatch):
    monkeypatch.setattr(locations, "MAX_HELD_BYTES", 250_000)
    pq.write_table(pa.table({"image": [bytes(100_000)] * 30}), tmp_path / "a.parquet")
    images = locations._ParquetImages(str(tmp_path / "a.parquet"))
    for row in [*range(30), 3]:
        assert images.row(row, None) == bytes(100_000)
    assert len(images._held) == 2
    images.close()


def test_images_of_a_parquet_file_may_be_read_in_any_order(tmp_path):
    pictures = [painting(tmp_path / f"{number}.png", number).read_bytes() for number in range(150)]
    structs = [{"bytes": picture, "path": None} for picture in pictures]
    pq.write_table(pa.table({"image": structs}), tmp_path / "a.parquet", row_group_size=100)
    order = [*range(150), *np.random.default_rng(0).permutation(150).tolist()]
    with Reader() as reader:
        for row in order:
            with reader.open(f"{tmp_path / 'a.parquet'}::{row}") as stream:
                assert stream.read() == pictures[row]


def test_a_member_of_an_archive_that_unpacks_to_gigabytes_is_refused(tmp_path, monkeypatch):
    import zipfile

    monkeypatch.setattr(locations, "MAX_MEMBER_BYTES", 1000)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.bmp", bytes(2000))
    with (
        Reader() as reader,
        pytest.raises(UnreadableImage, match="unpack it to a folder"),
        reader.open(f"{tmp_path / 'a.zip'}::a.bmp"),
    ):
        pass


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("skipped.csv", b"path,reason\nonly one\n", "not a list"),
        ("skipped.csv", b"\xff\xfe", "not a list"),
        ("skipped.csv", b'path,reason\n"' + b"x" * 200_000 + b'",y\n', "not a list"),
        ("removed.npy", b"junk", "damaged"),
        ("history.parquet", b"junk", "not a history"),
    ],
)
def test_a_signed_file_that_is_something_else_is_damage_and_no_traceback(index, name, data, reason):
    (index.source / "generations" / "000001" / name).write_bytes(data)
    resigned(index, name)
    with pytest.raises(BadIndex, match=reason):
        Index.open(index.source)


@pytest.mark.parametrize("removed", [np.zeros((2, 2), np.int64), np.array(["a"]), np.array([1.5])])
def test_numbers_of_removed_paintings_are_whole_numbers_in_a_row(index, removed):
    np.save(index.source / "generations" / "000001" / "removed.npy", removed)
    resigned(index, "removed.npy")
    with pytest.raises(BadIndex, match="expected whole numbers"):
        Index.open(index.source)


WORDS = {"row": 0, "id": "a", "column": "title", "before": "x", "after": "y", "by": "z", "at": "now"}


@pytest.mark.parametrize(
    "change",
    [
        {"row": "a"},
        {"row": 1.5},
        {"row": None},
        {"column": "row"},
        {"column": "sha256"},
        {"column": "year", "after": "soon"},
        {"column": "year", "after": "9" * 400},
        {"more": 1},
    ],
)
def test_a_history_that_says_what_nobody_can_say_is_refused(tmp_path, change):
    pd.DataFrame([WORDS | change]).to_parquet(tmp_path / "history.parquet")
    with pytest.raises(BadIndex, match="not a history"):
        history.read(tmp_path / "history.parquet")


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("row", ["a"] * 12),
        ("row", [None] * 12),
        ("id", [1] * 12),
        ("sha256", [None] * 12),
        ("artist", list(range(12))),
        ("year", ["soon"] * 12),
        ("path", [1.5] * 12),
    ],
)
def test_columns_of_a_table_hold_what_they_should(index, column, values):
    path = index.source / "generations" / "000001" / "000001-0.parquet"
    pd.read_parquet(path).assign(**{column: values}).to_parquet(path)
    resigned(index, path.name)
    with pytest.raises(BadIndex, match=f"its column {column} has the wrong type"):
        Index.open(index.source).table  # noqa: B018


def changed(value, change, at):
    """The value with its `at`-th part replaced."""
    count = 0

    def walk(part):
        nonlocal count
        count += 1
        if count == at:
            return change
        if isinstance(part, dict):
            return {name: walk(each) for name, each in part.items()}
        return [walk(each) for each in part] if isinstance(part, list) else part

    return walk(value)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 120), st.sampled_from([None, "12", -1, 1.5, 2**70, [], {}, True, "", float("inf"), "../../x"]))
def test_whatever_stands_in_a_manifest_an_index_opens_or_is_damaged(index, at, change):
    before = resigned(index)
    try:
        sign(index, changed(before, change, at))
        try:
            opened = Index.open(index.source)
            f"{opened.manifest.paintings:,} {opened.manifest.generation:06d} {opened.manifest.skipped:,}".encode()
        except BadIndex:
            pass
    finally:
        sign(index, before)


def test_the_bounds_are_far_above_what_an_index_of_artidx_unfolds_to():
    assert bounded_parquet.RATIO >= 100
    assert bounded_parquet.LEAST >= 64 << 20


@pytest.mark.parametrize("name", ["=HYPERLINK(1)", "+1", "-1+1", "@SUM(1)", "\tx", "plain", "'quoted", "'=x", ""])
def test_a_cell_that_is_a_formula_to_a_spreadsheet_becomes_a_text_and_the_same_again(name):
    written = cell(name)
    assert not written.startswith(("=", "+", "-", "@", "\t"))
    assert name.startswith("'") or of_cell(written) == name


@given(st.text())
def test_escaped_text_has_nothing_that_moves_what_is_shown_and_says_what_stood_there(text):
    found = escaped(text)
    assert {unicodedata.category(c) for c in found if not c.isprintable()} <= {"Zs", "Co", "Cn"}
    if "\\" not in text:
        assert json.loads('"' + found.replace('"', '\\"') + '"') == text


def test_lists_of_what_was_skipped_and_answers_hold_no_formulas(tmp_path, collection, embedder):
    strange = "=cmd|' \u202egpj.exe.jpg"
    (collection / "Red Painter" / strange).write_text("no image")
    index, _ = Index.build(tmp_path / "i.artidx", collection, embedder=embedder)
    (tmp_path / "list.txt").write_text("=1+1\n@x\n")
    said = CliRunner().invoke(artidx, ["nearest", "--list", str(tmp_path / "list.txt"), "--index", str(index.source)])
    assert [line[:2] for line in said.stdout.splitlines()[1:3]] == ["'=", "'@"]
    listed = (index.generation.folder / "skipped.csv").read_text("utf-8")
    assert "\\u202e" in listed
    assert "\u202e" not in listed


def test_the_log_of_a_service_holds_no_marks_of_direction():
    record = logging.LogRecord("artidx", logging.INFO, "", 0, "answered", (), None)
    record.facts = {"path": "/v1/\u202e\u2028\x9b31m", "status": 404}
    line = JsonLines().format(record)
    assert line.isprintable()
    assert json.loads(line)["path"] == record.facts["path"]
