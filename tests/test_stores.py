"""Stores of vectors, one meaning: what a folder searched by FAISS answers, Milvus and PostgreSQL answer, too."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import sys
import threading
import uuid

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from artidx import Embedder, Index
from artidx.as_json import as_json
from artidx.cli.main import artidx
from artidx.errors import (
    BadIndex,
    BadModel,
    BadSetting,
    IndexAway,
    IndexBusy,
    MissingPackage,
    ModelMismatch,
    UnknownPainting,
)
from artidx.index.addresses import address_of, written_here
from artidx.index.milvus import layout, milvus_store
from artidx.index.milvus.address import Address
from artidx.index.milvus.layout import Kind
from artidx.index.milvus.server import connected
from artidx.index.postgres import layout as postgres_layout
from artidx.index.postgres import postgres_store
from artidx.index.postgres import push as postgres_push
from artidx.index.postgres import server as postgres_server
from artidx.index.storage.pushed import Folder
from artidx.index.storage.vector_store import CANDIDATES
from lite import MilvusLite
from made import DIM, TELLING, Stages, painting, small_model, watched
from served import TOKEN, as_served, form, served

AWKWARD = ["Baroque", "", "ba'r\"o\\que", "100", "-2.5", "1e3", "Été\u0301", "%_\\", "b\tc", "日本", "inf"]


@pytest.fixture(scope="session")
def museum_there(there, museum_index):
    address = there.address()
    assert museum_index.push(address).written == len(museum_index)
    return Index.open(address, embedder=museum_index.embedder)


@pytest.fixture(scope="session")
def labelled_there(there, labelled, small_embedder):
    address = there.address()
    labelled.push(address)
    return Index.open(address, embedder=small_embedder)


@pytest.fixture(scope="session")
def small_embedder(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "small.onnx"
    path.write_bytes(small_model(calibration=TELLING))
    return Embedder.load(path)


def imported(folder, embedder, table, seed=0):
    """An index of made-up vectors with these labels."""
    vectors = np.random.default_rng(seed).normal(size=(len(table), DIM)).astype(np.float32)
    folder.mkdir()
    np.save(folder / "vectors.npy", vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    table.to_parquet(folder / "paintings.parquet")
    return Index.import_vectors(folder / "i.artidx", folder, embedder=embedder)[0]


@pytest.fixture(scope="session")
def labelled(tmp_path_factory, small_embedder):
    """An index whose labels try everything that text can be."""
    rows = 60
    table = pd.DataFrame(
        {
            "id": [f"p {i} 'é\"" for i in range(rows)],
            "artist": pd.Series([("Ann", "Bé", None, "unknown", "Ann, Mary")[i % 5] for i in range(rows)], dtype="str"),
            "title": pd.Series([AWKWARD[i % len(AWKWARD)] or None for i in range(rows)], dtype="str"),
            "year": pd.array([None if i % 4 == 0 else 1500 + i for i in range(rows)], dtype="Int64"),
            "style": pd.Series([AWKWARD[i % 7] or None for i in range(rows)], dtype="str"),
            "born": pd.Series([("1600", "about 1600", None, "1600.5")[i % 4] for i in range(rows)], dtype="str"),
        }
    )
    return imported(tmp_path_factory.mktemp("labelled") / "x", small_embedder, table)


def ids(index, k=100):
    query = np.zeros(DIM, np.float32)
    query[0] = 1
    return [n.painting.id for n in index.nearest_to(index.query_of_vector(query, "q"), k=k).paintings]


# What every store must do, held to the same numbers.


@pytest.mark.parametrize("where", [None, "year > 1520"])
def test_sculptures_and_artists_by_their_share_of_them_are_the_same(labelled_there, labelled, where):
    ours, theirs = (each if where is None else each.only(where) for each in (labelled_there, labelled))
    names = labelled.generation.table["id"].tolist()[:20]
    shown = []
    for name in names:
        there, here = ours.nearest(name), theirs.nearest(name)
        assert there.sculpture == here.sculpture
        assert there.unknown == pytest.approx(here.unknown, abs=1e-6)
        assert [each.artist for each in there.artists] == [each.artist for each in here.artists]
        assert [each.probability for each in there.artists] == pytest.approx(
            [each.probability for each in here.artists], abs=1e-6
        )
        shown.append(here.sculpture)
    assert min(shown) < 0.1 < 0.9 < max(shown)


def test_every_painting_finds_itself_and_its_neighbours(museum_there, museum_index):
    table = museum_index.generation.table
    for name in table["id"]:
        query, expected = museum_there.query_of_id(name), museum_index.query_of_id(name)
        assert query.vector.tobytes() == expected.vector.tobytes()
        assert query.painting == expected.painting
        assert museum_there.nearest_to(query, k=30).paintings == museum_index.nearest_to(expected, k=30).paintings


def test_pair_says_the_same_to_the_bit_and_its_artists_nearly(museum_there, museum_index):
    names = museum_index.generation.table["id"].tolist()
    for a, b in zip(names[:-1:3], names[1::3], strict=False):
        ours, theirs = museum_there.pair(a, b), museum_index.pair(a, b)
        assert (ours.distance, ours.threshold, ours.probability) == (
            theirs.distance,
            theirs.threshold,
            theirs.probability,
        )
        assert ours.shared == theirs.shared
        assert ours.a.unknown == pytest.approx(theirs.a.unknown, abs=1e-5)


def test_artists_are_ranked_the_same_with_the_same_evidence(museum_there, museum_index):
    for name in museum_index.generation.table["id"][::5]:
        ours, theirs = museum_there.nearest(name, k=8), museum_index.nearest(name, k=8)
        assert [a.artist for a in ours.artists] == [a.artist for a in theirs.artists]
        assert [a.paintings for a in ours.artists] == [a.paintings for a in theirs.artists]
        assert [a.probability for a in ours.artists] == pytest.approx([a.probability for a in theirs.artists], abs=1e-5)
        assert (ours.model, ours.generation, ours.searched) == (theirs.model, theirs.generation, theirs.searched)


def test_a_picture_gets_the_distances_that_its_id_gets(museum_there, museum_index):
    row = museum_index.generation.table.iloc[3]
    by_path, by_id = museum_there.nearest_paintings(row["path"]), museum_there.nearest_paintings(f"id:{row['id']}")
    assert by_path.paintings == by_id.paintings


def test_the_collection_is_looked_through_the_same(museum_there, museum_index):
    ours, theirs = museum_there.collection, museum_index.collection
    assert ours.artists == theirs.artists
    artist = theirs.artists[0]
    assert ours.search(artist=artist.id, start=1, count=2) == theirs.search(artist=artist.id, start=1, count=2)
    assert ours.near(artist) == theirs.near(artist)
    painting = theirs.search().paintings[0]
    assert ours.painting(painting.id) == theirs.painting(painting.id)
    assert ours.labels(painting) == theirs.labels(painting)


def test_evaluation_sees_the_same_table_and_vectors(museum_there, museum_index):
    (ours, vectors), (theirs, expected) = museum_there.whole(), museum_index.whole()
    pd.testing.assert_frame_equal(ours, theirs)
    assert vectors.tobytes() == expected.tobytes()


def test_what_is_wrong_is_said_in_the_same_words(museum_there, museum_index):
    def said(index, ask):
        with pytest.raises((UnknownPainting, BadSetting)) as problem:
            ask(index)
        return str(problem.value).replace(index.name, "INDEX")

    for ask in (
        lambda i: i.query_of_id("none"),
        lambda i: i.pair("none", "none"),
        lambda i: i.only("nothing == 1"),
        lambda i: i.only("year == 'x'"),
        lambda i: i.only("year < 2"),
        lambda i: i.only("year <"),
        lambda i: i.nearest(museum_index.generation.table["id"][0], k=0),
        lambda i: i.only("year < 1e999"),
        lambda i: i.only(f"year == {'9' * 400}"),
        lambda i: i.query("\udcff"),
        lambda i: i.only("artist == '\\ud800'"),
        lambda i: i.collection.artist("Nobody Known"),
        lambda i: i.collection.painting("none"),
    ):
        assert said(museum_there, ask) == said(museum_index, ask)


def test_another_models_questions_are_refused(museum_there, small_embedder):
    with pytest.raises(ModelMismatch, match="built with model"):
        Index.open(museum_there.source, embedder=small_embedder)


# Filters mean what they mean over a table.

TEXT_COLUMNS = ["style", "title", "born", "artist", "id"]
OPERATORS = ["==", "!=", "<", "<=", ">", ">="]
simple = st.one_of(
    st.tuples(
        st.just("year"),
        st.sampled_from(OPERATORS),
        st.one_of(st.integers(1495, 1560), st.sampled_from([1500.5, -1, 10**30, -1e300])).map(repr),
    ),
    st.tuples(
        st.sampled_from(TEXT_COLUMNS),
        st.sampled_from(OPERATORS),
        st.sampled_from([*AWKWARD, "Ann", "mary ann", "Été", "p 7 'é\""]).map(repr),
    ),
    st.tuples(st.sampled_from([*TEXT_COLUMNS, "year"]), st.sampled_from(["==", "!="]), st.just("None")),
    st.tuples(
        st.sampled_from(["style", "born", "title"]),
        st.sampled_from(OPERATORS),
        st.sampled_from(["100", "-2.5", "1600", "1600.5", "0"]),
    ),
    st.tuples(
        st.sampled_from(["style", "title"]),
        st.sampled_from(["in", "not in"]),
        st.sampled_from(["()", "('Baroque', '100', None)", "(100,)"]),
    ),
    st.tuples(st.just("row"), st.sampled_from(OPERATORS), st.integers(-1, 61).map(str)),
)


def expressions():
    return st.recursive(
        simple.map(" ".join),
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda t: f"({t[0]}) {t[1]} ({t[2]})"),
            inner.map(lambda text: f"not ({text})"),
        ),
        max_leaves=6,
    )


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(expressions(), st.one_of(st.none(), simple.map(" ".join)))
def test_a_filter_lets_through_the_same_paintings(labelled, labelled_there, where, exclude):
    try:
        expected = labelled.only(where, exclude)
    except BadSetting as problem:
        words = str(problem).replace(labelled.name, labelled_there.name)
    else:
        words = None
    if words:
        with pytest.raises(BadSetting, match=f"^{re.escape(words)}$"):
            labelled_there.only(where, exclude)
        return
    found = labelled_there.only(where, exclude)
    assert len(found) == len(expected)
    assert ids(found) == ids(expected)
    assert found.store.artists.paintings.tolist() == expected.store.artists.paintings.tolist()


def test_filters_add_up(labelled, labelled_there):
    for index in (labelled, labelled_there):
        assert ids(index.only("year > 1510").only("style == 'Baroque'")) == ids(
            labelled.only("year > 1510 and style == 'Baroque'")
        )


@pytest.mark.parametrize("words", ["ete", "baroque ann", "%_", "日本", "o\\q", "p 7 '", "nothing at all", "100"])
def test_words_find_the_same_paintings(words, labelled, labelled_there):
    if "Milvus v2.3" in labelled_there.store.facts[0]:
        with pytest.raises(BadSetting, match=r"cannot search for words; 2\.4 and newer can"):
            labelled_there.collection.search(words)
        return
    assert labelled_there.collection.search(words, count=5) == labelled.collection.search(words, count=5)
    late, late_there = (index.only("year > 1510").collection for index in (labelled, labelled_there))
    assert late_there.search(words, count=5) == late.search(words, count=5)
    assert all(painting.year > 1510 for painting in late.search(words, count=5).paintings)
    assert late_there.rows(words, 5)["id"].tolist() == [
        painting.id for painting in late.search(words, count=5).paintings
    ]


# The way to a server.


def test_a_push_is_published_at_once_and_readers_keep_what_they_opened(there, index, tmp_path):
    address, embedder = there.address(), index.embedder
    index.push(address)
    reader = Index.open(address, embedder=embedder)
    assert reader.is_current()
    index.add(painting(tmp_path / "new.png", 900))
    assert index.push(address).generation == 2
    assert not reader.is_current()
    assert len(reader.nearest_paintings("id:Red Painter/R0.png", k=50).paintings) == 11
    newer = reader.renewed()
    assert (len(reader), len(newer)) == (12, 13)
    assert newer.query_of_id("new.png").painting.id == "new.png"
    again = index.push(address)
    assert (again.written, again.generation) == (0, 2)


def test_generations_before_the_last_are_dropped(there, index):
    address = there.address()
    for removed in (None, "Red Painter/R0.png", "Red Painter/R1.png"):
        if removed:
            index.remove([removed])
        index.push(address)
    assert there.generations(address) == [2, 2, 3, 3]


def test_an_interrupted_push_changes_nothing_and_goes_on_where_it_was(there, index, tmp_path, monkeypatch):
    address = there.address()
    index.push(address)
    index.add(painting(tmp_path / "new.png", 900))
    monkeypatch.setattr(there.pushing, "ROWS", 5)

    def stopping(done):
        stopping.seen += done
        if stopping.seen >= 10:
            raise KeyboardInterrupt

    stopping.seen = 0
    with pytest.raises(KeyboardInterrupt):
        index.push(address, bar=watched(stopping))
    assert len(Index.open(address, embedder=index.embedder)) == 12
    there.restart(address)
    assert index.push(address).written == 3  # of 13, 10 were there
    assert len(Index.open(address, embedder=index.embedder)) == 13


def test_the_stages_of_a_push_are_told(there, index):
    stages = Stages()
    index.push(there.address(), bar=stages)
    assert stages.seen == [("pushing", 12, 12), ("indexing", 12, 12), ("checking", 12, 12)]


@pytest.mark.parametrize(
    ("title", "field"),
    [("x" * 66_000, "title"), ("_" * 30_000, "text to look in"), ("\ufdfa" * 15_000, "text to look in")],
)
def test_texts_that_milvus_cannot_keep_are_refused_before_anything_is_written(milvus, index, title, field):
    address = milvus.address()
    painting_id = index.generation.table["id"][3]
    index.label(pd.DataFrame({"id": [painting_id], "title": [title]}), by="a talker")
    with pytest.raises(BadIndex, match=rf"{painting_id}: its {field} is more than the 64 KB"):
        index.push(address)
    assert not any(name.startswith(address.collection) for name in connected(address).ask("list_collections"))


def test_long_texts_that_can_be_kept_are_pushed(there, index):
    index.label(pd.DataFrame({"id": [index.generation.table["id"][3]], "title": ["x" * 40_000]}), by="a talker")
    assert index.push(there.address()).written == 12


@given(st.lists(st.text(max_size=40), max_size=20))
def test_entities_go_in_messages_that_milvus_takes_and_none_is_lost(texts):
    entities = [{"vector": np.zeros(2, np.float32), "title": text} for text in texts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "LONGEST_MESSAGE", 100)
        found = list(layout.messages(entities))
    assert [entity["title"] for message in found for entity in message] == texts
    sizes = [sum(len(entity["title"].encode()) + 8 for entity in message) for message in found]
    assert all(size <= 100 for size, message in zip(sizes, found, strict=True) if len(message) > 1)
    assert len(found) <= max(1, len(texts))


def test_a_push_of_several_messages_is_that_of_one(milvus, index, monkeypatch):
    asked, whole, upserts = milvus.address(), milvus.address(), []
    index.push(whole)
    ask = type(connected(asked)).ask
    monkeypatch.setattr(layout, "LONGEST_MESSAGE", 2000)
    monkeypatch.setattr(
        type(connected(asked)), "ask", lambda self, what, *a, **k: (upserts.append(what), ask(self, what, *a, **k))[1]
    )
    assert index.push(asked).written == 12
    assert upserts.count("upsert") > 2
    first, second = (Index.open(address, embedder=index.embedder) for address in (asked, whole))
    assert first.whole()[1].tobytes() == second.whole()[1].tobytes()


def test_a_push_that_loses_a_painting_is_not_published(there, index, monkeypatch):
    address = there.address()
    whole = getattr(*there.rows_made_by)
    monkeypatch.setattr(*there.rows_made_by, lambda *args: list(whole(*args))[:-1])
    with pytest.raises(BadIndex, match="11 of 12 paintings have arrived; push again"):
        index.push(address)
    monkeypatch.undo()
    with pytest.raises(BadIndex, match="no such index; copy one there with artidx push"):
        Index.open(address)
    assert index.push(address).written == 12


def test_a_push_that_bends_a_vector_is_not_published(there, index, monkeypatch):
    whole = getattr(*there.rows_made_by)
    monkeypatch.setattr(*there.rows_made_by, lambda *args: there.bend(list(whole(*args))))
    with pytest.raises(BadIndex, match="came back changed"):
        index.push(there.address())


def test_what_is_kept_about_a_generation_is_checked(there, index):
    address = there.address()
    index.push(address)
    there.damage(address)
    with pytest.raises(BadIndex, match=r"is damaged .*; push or build it again"):
        Index.open(address)
    assert index.push(address).written == 0  # the paintings are there
    assert len(Index.open(address)) == 12


def test_paintings_that_are_lost_there_come_back_with_the_next_push(there, index):
    address = there.address()
    index.push(address)
    there.lose(address, [3, 4])
    assert index.push(address).written == 12  # those of the window that is not whole
    assert len(Index.open(address).whole()[0]) == 12


def test_an_index_built_anew_with_a_lower_number_takes_the_place_of_the_old(there, index, tmp_path, collection):
    address = there.address()
    index.remove(["Red Painter/R0.png"])
    index.push(address)
    for number in range(2):
        anew = Index.build(
            tmp_path / f"{number}.artidx", collection / "Blue Painter" / f"B{number}.png", embedder=index.embedder
        )[0]
        anew.push(address)
        assert len(Index.open(address)) == 1
    assert len(there.generations(address)) == 4  # the last and the one before


@pytest.mark.parametrize(
    ("server", "kind"),
    [("milvus", Kind("HNSW", 128)), ("milvus", Kind("IVF_SQ8", 32)), ("postgres", postgres_layout.Kind("HNSW"))],
)
def test_many_paintings_are_searched_by_lists_or_a_graph_and_measured_anew(
    server, kind, tmp_path, small_embedder, request
):
    place = request.getfixturevalue(server)
    rows = CANDIDATES + 1000
    table = pd.DataFrame({"id": [str(i) for i in range(rows)], "artist": [f"artist {i % 50}" for i in range(rows)]})
    index = imported(tmp_path / "x", small_embedder, table)
    address = place.address()
    found = place.pushing.push(Folder(index.generation, written_here), address, kind=kind)
    assert found.kind == kind.type
    assert found.recall_at_10 > 0.9
    there = Index.open(address, embedder=small_embedder)
    for name in ("5", "77", "2999"):
        ours, theirs = there.nearest(name, k=5), index.nearest(name, k=5)
        assert ours.approximate
        known = {n.painting.id: n.distance for n in index.nearest_paintings(name, k=rows).paintings}
        assert [n.distance for n in ours.paintings] == [known[n.painting.id] for n in ours.paintings]
        assert len({n.painting.id for n in ours.paintings} & {n.painting.id for n in theirs.paintings}) >= 4
        assert sum(a.probability for a in there.nearest(name, k=50).artists) + ours.unknown == pytest.approx(1)
    assert ids(there.only("id == '5'")) == ["5"]


def test_the_index_over_the_vectors_follows_their_number():
    assert [layout.kind_for(n).type for n in (1, 20_000, 20_001, 20_000_000, 20_000_001)] == [
        "FLAT",
        "FLAT",
        "HNSW",
        "HNSW",
        "IVF_SQ8",
    ]
    assert [layout.partitions_for(n) for n in (1, 1_999_999, 2_000_000, 10**8, 10**10)] == [1, 1, 2, 100, 1024]


def test_ids_spread_evenly():
    found = np.bincount([layout.spread_of(f"painting {i}.jpg") % 16 for i in range(16_000)], minlength=16)
    assert 850 < found.min() <= found.max() < 1150


# Addresses, and who is there.


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("milvus+http://host", "cannot be a collection's name"),
        ("milvus+http://host/a/b", "cannot be a collection's"),
        ("milvus+http://host/1a", "no digit first"),
        ("milvus+http:///a", "not an address"),
        ("milvus+ftp://host/a", "not an address"),
        ("milvus+http://host:x/a", "not an address"),
        ("milvus+http://host/a?b=1", "not an address"),
        ("milvus+http://host/" + "a" * 300, "200 at most"),
        ("milvus+https://me:secret@host/a", "credentials do not belong in an address; set ARTIDX_MILVUS_TOKEN"),
        ("postgresql://host/database", "not an address"),
        ("postgresql://host:x/database/a", "not an address"),
        ("postgresql://host/data%00base/a", "not an address"),
        ("postgresql://host//a", "not an address"),
        ("postgresql://host/database/a/b", "cannot be an index's name"),
        ("postgresql://host/database/A", "small letters"),
        ('postgresql://host/database/a"; DROP TABLE b; --', "cannot be an index's name"),
        ("postgresql://host/database/" + "a" * 25, "24 at most"),
        ("postgresql://host/database/a?sslmode=disable", "TLS is set by PGSSLMODE"),
        ("postgresql://me:secret@host/database/a", "a password does not belong in an address; set PGPASSWORD"),
        ("mysql://host/a", "not an address"),
    ],
)
def test_an_address_that_is_none_is_refused(address, reason):
    with pytest.raises(BadSetting, match=reason) as problem:
        address_of(address)
    assert "secret" not in str(problem.value)


def test_an_address_is_read_and_written():
    assert str(Address.of("milvus+https://example.org/a_1")) == "milvus+https://example.org:19530/a_1"
    assert Address.of("milvus+http://[::1]:1/a").server == "http://[::1]:1"
    for text in ("postgresql://me%40museum@db.example.org:5433/our%2Farchive/a_1", "postgresql://[::1]/x/a"):
        assert str(address_of(text)) == text
    assert str(address_of("postgres:///x/a")) == "postgresql:///x/a"  # on this machine


@pytest.mark.parametrize("address", ["milvus+http://127.0.0.1:{}/a", "postgresql://me@127.0.0.1:{}/x/a"])
@pytest.mark.parametrize("is_silent", [True, False])
def test_nobody_there_is_one_line_soon(address, is_silent, monkeypatch):
    for server in ("milvus", "postgres"):
        monkeypatch.setattr(f"artidx.index.{server}.server.CONNECT_S", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        if not is_silent:
            silent.close()
        with pytest.raises(IndexAway, match=r"no (Milvus|PostgreSQL) answers there, or it refuses") as problem:
            Index.open(address.format(port))
    assert "\n" not in str(problem.value)


def test_a_collection_of_another_program_is_left_alone(milvus, index):
    address = milvus.address()
    server = connected(address)
    server.ask("create_collection", address.collection, dimension=4)
    server.ask("create_alias", address.collection, f"{address.collection}_too")
    for theirs in (str(address), f"{address}_too"):
        for ask in (index.push, Index.open):
            with pytest.raises(BadIndex, match="a collection that artidx did not make; choose another name"):
                ask(theirs)
    server.ask("drop_alias", f"{address.collection}_too")
    server.ask("drop_collection", address.collection)


def test_a_server_that_goes_and_comes_back_gives_the_same_answers(tmp_path, museum_index, monkeypatch):
    with MilvusLite(tmp_path) as server:
        address = server.address("museum")
        museum_index.push(address)
        reader = Index.open(address, embedder=museum_index.embedder)
        name = museum_index.generation.table["id"][0]
        before = as_json(reader.nearest(name))
        server.stop()
        monkeypatch.setattr("artidx.index.milvus.server.RETURN_S", 0.5)
        with pytest.raises(BadIndex, match="Milvus does not answer"):
            Index.open(address)
        monkeypatch.undo()
        server.start()
        assert as_json(Index.open(address, embedder=museum_index.embedder).nearest(name)) == before


def test_a_postgres_that_dies_in_a_push_is_pushed_to_again_and_readers_get_the_same_answers(
    postgres, museum_index, index, monkeypatch
):
    if postgres.server is None:
        pytest.skip("not ours to stop")
    address, other = postgres.address(), postgres.address()
    museum_index.push(address)
    reader = Index.open(address, embedder=museum_index.embedder)
    name = museum_index.generation.table["id"][0]
    before = as_json(reader.nearest(name))
    monkeypatch.setattr(postgres_push, "ROWS", 5)
    monkeypatch.setattr(postgres_server, "RETURN_S", 0.5)

    def dying(done):
        dying.seen += done
        if dying.seen == 10:
            postgres.server.stop()

    dying.seen = 0
    for _ in range(2):  # it dies, and is not there
        with pytest.raises(IndexAway, match="PostgreSQL does not answer") as problem:
            index.push(other, bar=watched(dying))
        assert "\n" not in str(problem.value)
    with pytest.raises(IndexAway, match="PostgreSQL does not answer"):
        Index.open(address)
    monkeypatch.setattr(postgres_server, "RETURN_S", 10.0)
    postgres.server.start()
    assert as_json(Index.open(address, embedder=museum_index.embedder).nearest(name)) == before
    assert as_json(reader.nearest(name)) == before
    assert index.push(other).written == 2  # of 12, 10 were there
    assert len(Index.open(other)) == 12


def test_a_second_push_to_postgres_waits_its_turn(postgres, index):
    address = postgres.address()

    def meanwhile(done):
        with pytest.raises(IndexBusy, match="another push is writing there"):
            index.push(address)

    assert index.push(address, bar=watched(meanwhile)).written == 12


def test_a_generation_that_somebody_reads_is_dropped_later(postgres, index, monkeypatch):
    monkeypatch.setattr(postgres_push, "UNLOCKED_S", 0.1)
    address = postgres.address()
    index.push(address)
    first = postgres_server.connected(address).published()
    for number in (1, 2):
        index.remove([f"Red Painter/R{number}.png"])
        with postgres_server.connected(address).connection_of_its_own() as reading, reading.transaction():
            reading.execute(postgres_layout.statement("SELECT count(*) FROM {table}", table=first))
            index.push(address)
    assert postgres.generations(address) == [1, 1, 2, 2, 3, 3]
    index.remove(["Red Painter/R3.png"])
    index.push(address)
    assert postgres.generations(address) == [3, 3, 4, 4]


def test_what_a_catalog_says_is_never_part_of_a_statement(postgres, tmp_path, small_embedder):
    words = ["'; DROP TABLE t; --", "%s %(x)s {table} {", "$1 $$ \\'", 'a"b', "\\x00 \\0", "{}", "?"]
    table = pd.DataFrame({"id": words, "artist": words, "title": words[::-1], words[0]: words, 'x"%s{y}': words})
    index = imported(tmp_path / "x", small_embedder, table)
    address = postgres.address()
    index.push(address)
    there = Index.open(address, embedder=small_embedder)
    pd.testing.assert_frame_equal(there.whole()[0], index.whole()[0])
    for word in words:
        assert (
            there.pair(f"id:{word}", f"id:{words[0]}").distance == index.pair(f"id:{word}", f"id:{words[0]}").distance
        )
        assert there.collection.search(word) == index.collection.search(word)
        where = " or ".join(f"{column} == {word!r} or {column} > {word!r}" for column in ("id", "artist", "title"))
        assert ids(there.only(f"row == 0 or {where}")) == ids(index.only(f"row == 0 or {where}"))


def test_the_character_of_code_0_is_compared_as_python_does_and_never_kept(postgres, labelled, small_embedder):
    address = postgres.address()
    labelled.push(address)
    there = Index.open(address, embedder=small_embedder)
    for sign in OPERATORS:
        where = f"style {sign} 'Baroque\\0' or row == 0"
        assert ids(there.only(where)) == ids(labelled.only(where))
    for index in (there, labelled):
        with pytest.raises(UnknownPainting):
            index.pair("id:a\0", "id:b")
        assert index.collection.search("a\0").total == 0
    table = labelled.whole()[0].iloc[:2]
    with pytest.raises(BadIndex, match=r"p 1 .*: its 'title' holds the character of code 0, .* it, and push again"):
        postgres_layout.check_fits(table.assign(title=["a", "b\0"]), Folder.again)


def test_a_database_that_lacks_pgvector_gets_one_line_that_says_what_to_do(postgres, index):
    address, word = postgres.address(), uuid.uuid4().hex[:12]
    with postgres_server.connected(address).connection_of_its_own() as owner:
        for text in ("CREATE ROLE {name} LOGIN", "CREATE DATABASE {name} OWNER {name}"):
            owner.execute(postgres_layout.statement(text, name=f"u{word}"))
    bare = f"postgresql://u{word}@{postgres.where.split('@')[-1].split('/')[0]}/u{word}/a"
    with pytest.raises(BadIndex, match="no such index; copy one there"):
        Index.open(bare)
    with pytest.raises(BadIndex, match="have a superuser run CREATE EXTENSION vector in this database") as problem:
        index.push(bare)
    assert "\n" not in str(problem.value)


def test_postgres_without_its_packages_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "artidx.index.postgres.postgres_store", None)
    with pytest.raises(MissingPackage, match=r"needs psycopg and pgvector; pip install 'artidx\[postgres\]'"):
        Index.open("postgresql://host/x/a")


def test_a_statement_that_takes_too_long_is_given_up(postgres):
    server = postgres_server.connected(postgres.address())
    with pytest.raises(IndexAway, match="PostgreSQL took too long to read; is it busy"):
        server.ask("read", lambda connection: connection.execute("SELECT pg_sleep(30)"), seconds=0.05)


def test_a_table_of_another_program_is_left_alone(postgres, index):
    address = postgres.address()
    with postgres_server.connected(address).connection_of_its_own() as other:
        other.execute(postgres_layout.statement("CREATE TABLE {table} (a int)", table=address.name))
        for ask in (index.push, Index.open):
            with pytest.raises(BadIndex, match="a table that artidx did not make; choose another name"):
                ask(address)
        other.execute(postgres_layout.statement("DROP TABLE {table}", table=address.name))


def test_without_its_model_an_index_there_answers_by_id_only(labelled_there, tmp_path, monkeypatch):
    monkeypatch.delenv("ARTIDX_MODEL", raising=False)
    there = Index.open(labelled_there.source)
    assert there.nearest_paintings("id:p 7 'é\"", k=1).paintings
    with pytest.raises(BadModel, match=r"not the default one .*give it with --model"):
        there.nearest(painting(tmp_path / "x.png", 1))


@pytest.mark.parametrize(
    "change",
    [
        lambda i: i.remove(["x"]),
        lambda i: i.add("nowhere"),
        lambda i: i.calibrate(),
        lambda i: i.check(),
        lambda i: i.export_vectors("nowhere"),
        lambda i: i.push("milvus+http://nowhere/x"),
        lambda i: i.history,
    ],
)
def test_an_index_there_is_changed_by_changing_its_folder(change, museum_there, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nowhere").mkdir()
    painting(tmp_path / "nowhere" / "a.png", 1)
    with pytest.raises(BadIndex, match="change or ask the folder, then copy the change here with artidx push"):
        change(museum_there)


def test_more_than_fits_into_memory_is_not_read(museum_there, monkeypatch):
    for store in (milvus_store, postgres_store):
        monkeypatch.setattr(store, "WHOLE_AT_MOST", 23)
    with pytest.raises(BadSetting, match="24 paintings are more than are read into memory"):
        museum_there.whole()


# The command line and the service.


def said(*words, status=0):
    found = CliRunner().invoke(artidx, [str(word) for word in words], catch_exceptions=False)
    assert found.exit_code == status, found.output
    return found.stdout


def test_the_command_line_takes_an_address_where_it_takes_an_index(there, museum_index):
    address = there.address()
    assert f"24 paintings, generation 1; {there.all_are_looked_at}, exhaustive search" in said(
        "push", museum_index.source, address
    )
    assert json.loads(said("push", museum_index.source, address, "--json"))["written"] == 0
    first, second = museum_index.generation.table["id"][:2]
    assert said("evaluate", address) == said("evaluate", museum_index.source)
    told = said("info", address)
    assert f"{address}: 24 paintings by" in told
    assert f"{there.all_are_looked_at}, exhaustive search" in told
    ours = json.loads(said("nearest", first, "--index", address, "--json", "--where", "year > 1000"))
    theirs = json.loads(said("nearest", first, "--index", museum_index.source, "--json", "--where", "year > 1000"))
    assert ours["paintings"] == theirs["paintings"]
    verdicts = [
        json.loads(CliRunner().invoke(artidx, ["pair", first, second, "--json", "--index", str(place)]).stdout)
        for place in (address, museum_index.source)
    ]
    assert verdicts[0]["distance"] == verdicts[1]["distance"]


def test_build_brings_the_index_to_a_store(there, collection, model_file, tmp_path):
    address = there.address()
    out = said("build", collection, "-o", tmp_path / "i.artidx", "--model", model_file, "--push", address)
    assert f"{address}: 12 paintings, generation 1; {there.all_are_looked_at}" in out
    assert len(Index.open(address)) == 12
    other = there.address()
    out = said("build", collection, "-o", other, "--model", model_file)
    assert f"{other}: 12 paintings by 3 artists, generation 1\n" in out
    assert f"{other}: 12 paintings, generation 1; {there.all_are_looked_at}" in out
    refused = CliRunner().invoke(artidx, ["build", "x", "-o", str(address), "--half"])
    assert refused.exit_code == 2
    assert "--half, --approximate and --push are for an index in a folder" in refused.output


def test_a_verb_that_changes_a_folder_says_what_to_do_about_an_address(museum_there):
    for words in (
        ["remove", str(museum_there.source), "x"],
        ["import-vectors", "x", "-o", str(museum_there.source)],
        ["submit", "x.csv", "-o", "y.csv", "--index", str(museum_there.source)],
    ):
        found = CliRunner().invoke(artidx, words)
        assert found.exit_code == 2
        assert "is on a server, where nothing is changed: name the folder that was pushed there" in found.output


def test_the_service_answers_from_a_server_and_takes_up_what_is_pushed(there, index, tmp_path, monkeypatch):
    monkeypatch.setenv("ARTIDX_MODEL", str(index.generation.model_path))
    address = there.address()
    index.push(address)
    with served(address, write_token=TOKEN, uploads=tmp_path) as service, service.client() as client:
        answer = client.post("/v1/nearest", **form(image="Red Painter/R0.png"))
        assert answer.status_code == 200
        assert answer.headers["artidx-index"] == address.name
        expected = as_served(json.loads(as_json(index.nearest("id:Red Painter/R0.png"))))
        assert answer.json()["paintings"] == expected["paintings"]
        assert client.get("/v1/artists/red painter").json()["artist"]["paintings"] == 4
        assert client.get("/v1/paintings?artist=Red Painter").json()["total"] == 4
        assert client.get("/v1/paintings/none").status_code == 404
        with service.client(TOKEN) as writer:
            refused = writer.delete("/v1/paintings/Red Painter/R0.png")
        assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (409, "not-to-be-changed")
        deadline = threading.Event()
        while (drawn := client.get("/v1/map")).status_code == 202:
            assert not deadline.wait(0.2)
        assert sorted(drawn.json()["ids"]) == sorted(index.generation.table["id"])
        index.remove(["Red Painter/R0.png"])
        index.push(address)
        service_s = 20.0
        with contextlib.suppress(StopIteration):
            for _ in range(int(service_s / 0.2)):
                if client.get("/v1/index").json()["paintings"] == 11:
                    break
                deadline.wait(0.2)
        assert client.get("/v1/index").json()["paintings"] == 11
        assert client.post("/v1/nearest", **form(image="Red Painter/R0.png")).status_code == 404


def test_the_service_says_that_milvus_is_away_and_goes_on_when_it_is_back(tmp_path, index, monkeypatch):
    monkeypatch.setenv("ARTIDX_MODEL", str(index.generation.model_path))
    monkeypatch.setattr("artidx.index.milvus.server.RETURN_S", 0.5)
    with MilvusLite(tmp_path) as milvus:
        index.push(milvus.address("paintings"))
        with served(milvus.address("paintings")) as service, service.client() as client:
            milvus.stop()
            answer = client.post("/v1/nearest", **form(image="Blue Painter/B3.png"))
            assert (answer.status_code, answer.json()["type"]) == (503, "urn:artidx:index-away")
            assert answer.json()["detail"].startswith("paintings: Milvus does not answer")
            assert str(milvus.port) not in answer.text
            assert client.get("/livez").status_code == 200
            monkeypatch.setattr("artidx.index.milvus.server.RETURN_S", 20.0)
            milvus.start()
            server = connected(Address.of(milvus.address("paintings")))
            deadline = threading.Event()
            for _ in range(100):
                with contextlib.suppress(BadIndex):  # Lite forgets that when it starts, perhaps in the midst of it
                    server.load(server.published(), seconds=2)
                if (again := client.post("/v1/nearest", **form(image="Blue Painter/B3.png"))).status_code == 200:
                    break
                deadline.wait(0.2)
            assert again.status_code == 200


def test_the_service_says_that_milvus_has_released_a_collection(tmp_path, index, monkeypatch):
    # Once an error 500, as if artidx had a bug.
    monkeypatch.setenv("ARTIDX_MODEL", str(index.generation.model_path))
    monkeypatch.setattr("artidx.index.milvus.server.RETURN_S", 0.5)
    with MilvusLite(tmp_path) as milvus:
        address = milvus.address("paintings")
        index.push(address)
        with served(address) as service, service.client() as client:
            server = connected(Address.of(address))
            server.ask("release_collection", server.published())
            answer = client.post("/v1/nearest", **form(image="Blue Painter/B3.png"))
            assert (answer.status_code, answer.json()["type"]) == (503, "urn:artidx:index-away")
            assert answer.json()["detail"].startswith("paintings: Milvus has not loaded the collection; load it there")
            server.load(server.published())
            assert client.post("/v1/nearest", **form(image="Blue Painter/B3.png")).status_code == 200
