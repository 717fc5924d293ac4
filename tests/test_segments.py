"""Segments: small changes stay small, many are merged, and what is stored is what is read."""

from __future__ import annotations

import shutil
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from artidx import Embedder, Index
from artidx.errors import BadIndex, BadSetting
from artidx.files import sha256_of
from artidx.index.changes.build import Layout
from artidx.index.changes.repair import repair
from artidx.index.scoring.vectors import Part, Vectors, distances, vector_hash
from artidx.index.storage import approximate, columns_file, segments
from artidx.index.storage.segments import DEAD, GROWTH, Draft, Tables, compacted, packed
from made import DIM, painting


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def table_of(rows):
    return pd.DataFrame({"row": np.array(rows, np.int64), "id": [f"{row}" for row in rows]})


def draft_of(rows, vectors):
    return Draft(Tables.of(table_of(rows)), vectors)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.floats(0, 1), st.integers(0, 10))
def test_compacting_keeps_every_painting_with_its_vector_and_leaves_few_segments(sizes, dead, seed):
    chance = np.random.default_rng(seed)
    rows = np.arange(sum(sizes), dtype=np.int64)
    vectors = unit(chance.normal(size=(len(rows), 4)))
    made = [draft_of(part, vectors[part]) for part in np.split(rows, np.cumsum(sizes)[:-1])]
    removed = chance.random(len(rows)) < dead
    found = compacted(made, np.flatnonzero(removed))
    kept = {row for segment in found for row in segment.rows.tolist()}
    assert kept >= set(rows[~removed].tolist())
    for segment in found:
        assert np.array_equal(segment.part.matrix[:], vectors[segment.rows])
        assert removed[segment.rows].mean() <= DEAD if len(segment) else True
    assert sum(len(segment) > 0 for segment in found) == len(found) or len(found) == 1
    assert [row for segment in found for row in segment.rows.tolist()] == sorted(kept)
    for before, last in pairwise(found):  # so there are at most log4(n) of them
        assert len(before) >= GROWTH * len(last)


def test_a_thousand_small_changes_leave_few_segments_and_rewrite_the_large_one_seldom():
    written = 0
    parts = [draft_of(range(1000), np.zeros((1000, 2), np.float32))]
    for number in range(1000):
        before = parts
        parts = compacted([*parts, draft_of([1000 + number], np.zeros((1, 2), np.float32))], np.empty(0, np.int64))
        written += sum(len(part) for part in parts if not any(part is other for other in before))
    assert len(parts) <= 6
    assert sum(len(part) for part in parts) == 2000
    assert written < 20_000, "a thousand times a thousand would be a million"


def test_a_small_addition_writes_a_small_file_and_links_the_rest(tmp_path, collection, embedder):
    for number in range(60):
        painting(collection / "Red Painter" / f"more {number}.png", 300 + number)
    index, _ = Index.build(tmp_path / "i.artidx", collection, embedder=embedder)
    before = index.generation.folder
    index.add(painting(tmp_path / "one.png", 999))
    files = {path.name: path for path in index.generation.folder.glob("*.npy")}
    assert files["000001-0.npy"].samefile(before / "000001-0.npy")
    assert np.load(files["000002-1.npy"]).shape == (1, DIM)
    assert [facts.paintings for facts in index.manifest.segments] == [72, 1]


@pytest.mark.full
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_an_index_answers_alike_however_it_came_to_hold_what_it_holds(tmp_path_factory, embedder, collection, data):
    """Adds and removes in any order against a plain list, and answers against a plain sort."""
    folder = tmp_path_factory.mktemp("any")
    index, _ = Index.build(folder / "i.artidx", collection, embedder=embedder)
    expected = dict(zip(index.generation.table["id"], index.generation.vectors.matrix, strict=True))
    for step in range(data.draw(st.integers(1, 6))):
        if expected and data.draw(st.booleans()):
            leaving = data.draw(st.sets(st.sampled_from(sorted(expected)), min_size=1, max_size=5))
            index.remove(leaving)
            expected = {id_: vector for id_, vector in expected.items() if id_ not in leaving}
        else:
            for number in range(data.draw(st.integers(1, 4))):
                painting(folder / f"batch {step}" / "Red Painter" / f"{step} {number}.png", 1000 * step + number + 5000)
            index.add(folder / f"batch {step}")
            table = index.generation.table
            for place in np.flatnonzero(~table["id"].isin(expected)).tolist():
                expected[table["id"][place]] = index.generation.vectors.at(place)
    again = Index.open(index.source)
    assert again.check() == []
    assert again.generation.table["id"].tolist() == list(expected)
    assert np.array_equal(again.generation.vectors.matrix, np.array([*expected.values()]).reshape(-1, DIM))
    if len(expected) > 1:
        name = next(iter(expected))
        apart = {id_: float(distances(expected[name], vector)) for id_, vector in expected.items() if id_ != name}
        found = again.nearest_paintings(f"id:{name}", k=5).paintings
        assert [n.distance for n in found] == sorted(apart.values())[:5]
        assert all(apart[n.painting.id] == n.distance for n in found)


def test_float16_is_stored_small_measured_and_read_back_the_same_after_any_change(tmp_path, collection, embedder):
    half, _ = Index.build(tmp_path / "half.artidx", collection, embedder=embedder, layout=Layout(half=True))
    whole, _ = Index.build(tmp_path / "whole.artidx", collection, embedder=embedder)
    assert np.load(half.generation.folder / "000001-0.npy").dtype == np.float16
    assert 0 < half.manifest.storage.largest_error < 2e-3
    assert half.manifest.storage.recall_at_10 > 0.9
    assert whole.manifest.storage.largest_error == 0
    with pytest.MonkeyPatch.context() as patch:  # of many, a block at a time is unpacked whenever they are read
        patch.setattr(segments, "UNPACKED", 0)
        patch.setattr("artidx.index.scoring.vectors.MADE_AT_ONCE", 5 * DIM)
        in_blocks, at_once = Index.open(half.source).generation.vectors, half.generation.vectors
        queries, some = at_once.at(range(3)), np.arange(12) % 3 > 0
        for asked in ((queries, 4), (queries, 12), (queries, 9, some)):
            for ours, theirs in zip(in_blocks.nearest(*asked), at_once.nearest(*asked), strict=True):
                assert np.array_equal(ours, theirs)
        assert np.array_equal(in_blocks.cosines(queries), at_once.cosines(queries))
    np.testing.assert_allclose(half.generation.vectors.matrix, whole.generation.vectors.matrix, atol=1e-3)
    before = half.generation.vectors.matrix[4:].tobytes()
    half.remove(half.generation.table["id"][:4])  # written anew, and from what was stored
    assert half.generation.vectors.matrix.tobytes() == before
    assert half.check() == []
    half.add(collection)
    assert (len(half), half.check()) == (12, [])


def clustered(count, dim=DIM, seed=0):
    chance = np.random.default_rng(seed)
    centres = chance.normal(size=(200, dim))
    return unit(centres[chance.integers(0, 200, count)] + 0.4 * chance.normal(size=(count, dim)))


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Eleven thousand made-up vectors with an approximate index."""
    from made import small_model

    folder = tmp_path_factory.mktemp("large")
    (folder / "small.onnx").write_bytes(small_model())
    vectors = clustered(11_000)
    np.save(folder / "vectors.npy", vectors)
    pd.DataFrame(
        {
            "id": [f"{i}" for i in range(11_000)],
            "artist": [f"Artist {i % 300}" for i in range(11_000)],
            "year": np.arange(11_000) % 400 + 1500,
        }
    ).to_parquet(folder / "paintings.parquet")
    return Index.import_vectors(
        folder / "i.artidx", folder, embedder=Embedder.load(folder / "small.onnx"), layout=Layout(approximate=True)
    )[0]


def test_an_approximate_index_says_what_it_finds_and_distances_stay_exact(large):
    (facts,) = large.manifest.segments
    assert facts.approximate is not None
    assert facts.approximate.recall_at_10 >= approximate.ENOUGH
    matrix = large.generation.vectors.matrix
    hits = 0
    for place in range(0, 11_000, 220):
        answer = large.nearest_paintings(f"id:{place}", k=10)
        assert answer.approximate
        apart = distances(matrix[place], matrix)
        assert [n.distance for n in answer.paintings] == apart[[int(n.painting.id) for n in answer.paintings]].tolist()
        near = np.argsort(apart)[1:11].tolist()
        hits += len({*near} & {int(n.painting.id) for n in answer.paintings})
    assert hits / 500 > 0.97


def test_lists_that_name_another_file_are_refused_by_every_verb_though_all_sums_fit(large, tmp_path):
    """check said that every file was as it was written: so it was, by whoever made the index."""
    import faiss

    shutil.copytree(large.source, tmp_path / "i.artidx")
    folder, elsewhere = tmp_path / "i.artidx/generations/000001", tmp_path / "elsewhere"
    path = folder / f"{large.manifest.segments[0].name}.faiss"
    before = sha256_of(path)
    lists = faiss.read_index(str(path))
    linked = faiss.OnDiskInvertedLists(lists.nlist, lists.code_size, str(elsewhere))
    linked.merge_from_1(lists.invlists)
    lists.replace_invlists(linked)
    faiss.write_index(lists, str(path))
    elsewhere.write_text("years of work")
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace(before, sha256_of(path)))
    (folder / "manifest.sha256").write_text(f"{sha256_of(manifest)}  manifest.json\n")
    (tmp_path / "i.artidx/CURRENT").write_text(f"000001 {sha256_of(manifest)}\n")
    hostile = Index.open(tmp_path / "i.artidx")
    assert [path.name in line and "no ilar" in line for line in hostile.check()] == [True]
    with pytest.raises(BadIndex, match="no ilar"):
        hostile.nearest("id:0")
    assert elsewhere.read_text() == "years of work"


def test_filters_are_exact_over_an_approximate_index(large):
    few = large.only("year < 1510", exclude="artist == 'Artist 0'")
    matrix, table = large.generation.vectors.matrix, large.generation.table
    allowed = ((table["year"] < 1510) & (table["artist"] != "Artist 0")).to_numpy(bool)
    assert len(few) == allowed.sum()
    for place in range(0, 11_000, 1100):
        answer = few.nearest_paintings(f"id:{place}", k=10)
        apart = np.where(allowed, distances(matrix[place], matrix), np.inf)
        apart[place] = np.inf
        assert [int(n.painting.id) for n in answer.paintings] == np.argsort(apart, kind="stable")[:10].tolist()
        assert (answer.searched, answer.approximate) == (allowed.sum(), False)
        named = few.nearest(f"id:{place}", k=3)
        assert all(table["year"][int(n.painting.id)] < 1510 for artist in named.artists for n in artist.paintings)


def test_filters_add_up_and_a_part_of_an_index_cannot_be_changed(large):
    both = large.only("year < 1510").only("year > 1505")
    assert len(both) == len(large.only("1505 < year < 1510"))
    with pytest.raises(BadSetting, match="open it again to change it"):
        both.remove(["0"])
    with pytest.raises(BadSetting, match=r"no painting is left by --where 'year > 1600'$"):
        both.only("year > 1600")
    outside = both.nearest("id:300", k=2)  # of 1800
    assert outside.searched == len(both)
    assert {n.painting.year for n in outside.paintings} <= set(range(1506, 1510))


def test_artists_named_by_an_approximate_index_are_those_of_the_exact_one(large, monkeypatch):
    approximately = [large.nearest(f"id:{place}", k=5) for place in range(0, 11_000, 500)]
    monkeypatch.setattr(Vectors, "is_approximate", False)
    exactly = [large.nearest(f"id:{place}", k=5) for place in range(0, 11_000, 500)]
    for ours, theirs in zip(approximately, exactly, strict=True):
        assert ours.artists[0].artist == theirs.artists[0].artist
        assert ours.artists[0].probability == pytest.approx(theirs.artists[0].probability, abs=0.005)
        assert ours.unknown == pytest.approx(theirs.unknown, abs=0.005)


def test_what_gpus_propose_is_measured_as_anything_else(monkeypatch):
    """FAISS' index on the processor stands in for the one on a GPU: what is tested is what is made of its answers."""
    import faiss

    vectors = clustered(500)
    several = Vectors([Part(vectors[:300]), Part(vectors[300:])])
    assert several.on_gpus() is several
    copied = []
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1)
    monkeypatch.setattr(faiss, "index_cpu_to_all_gpus", lambda flat: copied.append(flat) or flat, raising=False)
    there = several.on_gpus()
    assert [flat.ntotal for flat in copied] == [300, 200]
    for k in (1, 10, 600):
        for ours, theirs in zip(several.nearest(vectors[:20], k), there.nearest(vectors[:20], k), strict=True):
            assert ours.tobytes() == theirs.tobytes()
    allowed = np.arange(500) % 2 == 0
    assert np.array_equal(several.nearest(vectors[:5], 10, allowed)[0], there.nearest(vectors[:5], 10, allowed)[0])


def test_an_index_on_a_gpu_stays_there_when_it_changes(index, monkeypatch):
    """After a removal, or new labels, it was searched on the processor."""
    import faiss

    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1)
    monkeypatch.setattr(faiss, "index_cpu_to_all_gpus", lambda flat: flat, raising=False)
    there = Index.open(index.source, device="cuda")
    assert all(part.gpu is not None for part in there.generation.vectors.parts)
    there.remove(["Red Painter/R0.png"])
    assert len(there) == 11
    assert all(part.gpu is not None for part in there.generation.vectors.parts)


def test_vectors_without_structure_stay_exact(tmp_path):
    matrix = unit(np.random.default_rng(0).normal(size=(10_000, 64)))
    assert approximate.write(tmp_path / "l.faiss", matrix) is None
    assert not [*tmp_path.iterdir()]


def test_lists_are_the_same_file_however_many_vectors_are_in_memory_and_as_faiss_writes_them(tmp_path, monkeypatch):
    import faiss

    monkeypatch.setattr(approximate, "MADE_AT_ONCE", 1000 * DIM)
    for shard in (1, 3, 10):
        monkeypatch.setattr(approximate, "SHARD", shard)
        approximate.write(tmp_path / f"{shard}.faiss", clustered(10_000))
    whole = (tmp_path / "10.faiss").read_bytes()
    assert {(tmp_path / f"{shard}.faiss").read_bytes() for shard in (1, 3)} == {whole}
    faiss.write_index(faiss.read_index(str(tmp_path / "10.faiss")), str(tmp_path / "again.faiss"))
    assert (tmp_path / "again.faiss").read_bytes() == whole
    assert {path.name for path in tmp_path.iterdir()} == {"1.faiss", "3.faiss", "10.faiss", "again.faiss"}


def test_of_the_vectors_of_lists_some_are_in_memory_and_not_all(tmp_path, monkeypatch):
    import faiss

    most, add = 0, faiss.IndexIVF.add_with_ids

    def counted(index, *given):
        nonlocal most
        add(index, *given)
        most = max(most, index.ntotal)

    monkeypatch.setattr(faiss.IndexIVF, "add_with_ids", counted)
    monkeypatch.setattr(approximate, "MADE_AT_ONCE", 100 * DIM)
    monkeypatch.setattr(approximate, "SHARD", 5)
    approximate.write(tmp_path / "l.faiss", clustered(10_000))
    assert most == 500


def test_an_approximate_file_that_is_something_else_is_refused(tmp_path):
    matrix = clustered(10_000)
    facts = approximate.write(tmp_path / "l.faiss", matrix)
    path, sha256 = tmp_path / "l.faiss", sha256_of(tmp_path / "l.faiss")
    again = approximate.read(path, facts, 10_000, DIM, sha256)
    exact = Vectors([Part(matrix)]).nearest(matrix[:50], 5)[0]
    assert (Vectors([Part(matrix, again)]).nearest(matrix[:50], 5)[0] == exact).mean() > 0.95
    with pytest.raises(BadIndex, match="not inverted lists over 9,999 vectors"):
        _ = approximate.read(path, facts, 9_999, DIM, sha256).index
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(BadIndex, match=r"its sha256 is not the one in manifest\.json; try artidx check --repair"):
        _ = approximate.read(path, facts, 10_000, DIM, sha256).index
    path.write_bytes(b"no index")
    with pytest.raises(BadIndex, match="not inverted lists over 10,000 vectors"):
        _ = approximate.read(path, facts, 10_000, DIM, sha256_of(path)).index


def test_a_damaged_approximate_index_gives_no_answer_and_is_made_anew(tmp_path, large):
    shutil.copytree(large.source, tmp_path / "i.artidx")
    (path,) = (tmp_path / "i.artidx").glob("generations/*/*.faiss")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    broken = Index.open(tmp_path / "i.artidx")
    assert broken.check() == [f"{path}: not as it was written"]
    with pytest.raises(BadIndex, match="its sha256 is not the one"):
        broken.nearest_paintings("id:5")
    assert broken.only("year > 1500").nearest_paintings("id:5", k=2).paintings, "which looks at all it allows"
    assert repair(tmp_path / "i.artidx") == [f"{path.name}: rebuilt from the vectors"]
    again = Index.open(tmp_path / "i.artidx")
    assert again.check() == []
    assert again.nearest_paintings("id:5").paintings == large.nearest_paintings("id:5").paintings


def test_arrow_has_some_rows_of_a_segment_in_memory_while_it_is_written_and_not_all(tmp_path, monkeypatch):
    # Parquet files were read ahead, and so once were in memory as a whole.
    rows, title, pool, taken = 50, 4_000, pa.default_memory_pool(), []
    for module, name, value in (
        (segments, "AT_ONCE", 1),
        (columns_file, "AT_ONCE", 4),
        (columns_file, "MOST_TEXTS", 1),
    ):
        monkeypatch.setattr(module, name, value * rows)
    chance, batch, before = np.random.default_rng(0), columns_file._batch, pool.bytes_allocated()

    def counted(*given, **named):
        found = batch(*given, **named)
        taken.append(pool.bytes_allocated() - before)
        return found

    def made(numbers):
        titles = [chance.bytes(title // 2).hex() for _ in numbers]
        return pa.Table.from_pandas(table_of(numbers).assign(title=titles), preserve_index=False)

    monkeypatch.setattr(columns_file, "_batch", counted)
    tables = Tables(made([0]).schema, lambda: (made(range(at, at + rows)) for at in range(0, 80 * rows, rows)))
    segments.write(tmp_path, "a", Draft(tables, clustered(80 * rows)), approximate.AUTOMATIC)
    assert len(taken) == 20
    assert max(taken) < (tmp_path / "a.parquet").stat().st_size / 2


def test_a_new_segment_has_the_hashes_of_what_will_be_read_back():
    vectors = clustered(5)
    for storage in segments.TYPES:
        draft = draft_of(range(5), packed(vectors, storage))
        stored: list[np.ndarray] = []
        (table,) = draft.written(stored.append)
        np.testing.assert_array_equal(np.concatenate(stored), draft.stored)
        assert table["vector_sha256"].to_pylist() == [vector_hash(vector) for vector in draft.part.matrix]
        np.testing.assert_allclose(np.linalg.norm(draft.part.matrix, axis=1), 1, atol=1e-6)
