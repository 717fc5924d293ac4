"""An index that is built on a server, without a folder: that of a folder, to the bit, whatever was killed meanwhile."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import time
from contextlib import ExitStack, contextmanager

import faults
import numpy as np
import pandas as pd
import pytest
from built_there import killed
from click import UsageError
from hypothesis import given
from hypothesis import strategies as st
from there import same

from artidx import Embedder, Index
from artidx.cli.main import artidx
from artidx.embedder.catalogs.attribution import merged
from artidx.embedder.catalogs.catalog import Catalog
from artidx.embedder.catalogs.on_disk import on_disk
from artidx.errors import BadCatalog, BadIndex, IndexBusy, IndexChanged
from artidx.index import addresses
from artidx.index.changes import begun, build_on_server, catalog_rows
from artidx.index.changes.begun import Build, running
from artidx.index.changes.catalog_rows import artists_of
from artidx.index.measure import fit_index
from artidx.index.milvus import layout
from artidx.index.postgres import layout as postgres_layout
from artidx.index.scoring.artists import artist_codes, artist_names
from artidx.index.storage.stage import Staged
from made import DIM, HUES, TELLING, painting, quiet, small_model, watched


@pytest.fixture
def soon(monkeypatch):
    """A build tells more often that it runs, and is sooner taken for dead."""
    monkeypatch.setattr(begun, "SIGN_S", 0.1)
    monkeypatch.setattr(begun, "SILENT_S", 1.0)


def before(words, do):
    """A bar that does something before the stage whose name contains these words."""

    @contextmanager
    def bar(total, what):
        if words in what:
            do()
        yield lambda done: None

    return bar


def stage(there, address):
    return there.stage(address, DIM)


def test_an_index_that_is_built_there_is_that_of_a_folder_however_often_the_build_was_interrupted(
    there, index, collection, monkeypatch
):
    pushed, address, embedder = there.address(), there.address(), index.embedder
    (collection / "Red Painter" / "R9.png").write_text("no image")
    index = Index.build(index.source, collection, embedder=embedder, replace=True)[0]
    index.push(pushed)
    for module, name in ((build_on_server, "PIECE"), (build_on_server, "SUMMED"), (there.pushing, "ROWS")):
        monkeypatch.setattr(module, name, 5)
    for module in (layout, postgres_layout):
        monkeypatch.setattr(module, "EXACT_UP_TO", 5)  # so that recall is measured

    def stopping(done):
        stopping.seen += done
        if stopping.seen >= stopping.most:
            raise KeyboardInterrupt

    for stopping.most in (5, 13 + 2 * 12 + 5):  # while it embeds, and while it writes what will answer
        stopping.seen = 0
        with pytest.raises(KeyboardInterrupt):
            Index.build_on_server(address, collection, embedder=embedder, bar=watched(stopping))
        with pytest.raises(BadIndex, match="no such index"):
            Index.open(address)
    built, report, written = Index.build_on_server(address, collection, embedder=embedder)
    assert (report.embedded, report.resumed, len(report.skipped), written.written) == (0, 12, 1, 7)
    expected = Index.open(pushed, embedder=embedder)
    same(built, expected)
    assert (written.kind, written.recall_at_10) == ("HNSW", 1.0)
    with pytest.raises(BadIndex, match="there is an index already; --replace"):
        Index.build_on_server(address, collection, embedder=embedder)
    again, report, _ = Index.build_on_server(address, collection / "Blue Painter", embedder=embedder, replace=True)
    assert (len(again), again.manifest.generation, report.embedded) == (4, 2, 4)


def test_an_index_that_is_built_there_is_calibrated_as_in_a_folder_however_it_is_divided(
    there, tmp_path, collection, monkeypatch
):
    monkeypatch.setattr(fit_index, "FEWEST", 3)  # so that neighbourhoods count
    monkeypatch.setattr(build_on_server, "SUMMED", 5)
    telling = Embedder(small_model(calibration=TELLING), "telling")
    index = Index.build(tmp_path / "in a folder.artidx", collection, embedder=telling)[0]
    address, expected = there.address(), index.calibrate()
    assert expected.pairs.by_fused_distance != expected.pairs.by_distance
    assert expected.artists.sculptures == TELLING.artists.sculptures
    asked = {"embedder": index.embedder, "calibrate": True}
    bar = before("pushing", lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        Index.build_on_server(address, collection, **asked, bar=bar)
    built, report, _ = Index.build_on_server(address, collection, **asked)
    assert (built.calibration, report.embedded) == (expected, 0)
    with pytest.raises(BadCatalog, match="needs two artists or more"):
        Index.build_on_server(address, collection / "Blue Painter", **asked, replace=True)
    assert Index.open(address).calibration == expected
    with pytest.raises(UsageError, match="in a folder, run artidx calibrate"):
        artidx(["build", str(collection), "--calibrate"], standalone_mode=False)


@pytest.mark.parametrize("is_on_disk", [False, True])
def test_a_table_becomes_the_index_of_a_folder_wherever_its_rows_are(
    there, is_on_disk, collection, embedder, tmp_path, monkeypatch
):
    (collection / "Red Painter" / "R2.png").write_text("no image")
    paths = sorted(map(str, collection.rglob("*.png")))
    names = [None, "Monet", "Claude Monet", "Édouard Manet", "circle of Monet", "Manet"]
    catalog = Catalog(
        "a table",
        pd.DataFrame(
            {
                "id": [f"{number} é" for number in range(12)],
                "path": paths,
                "artist": [names[number % 6] for number in range(12)],
                "year": pd.array([1800, None, 1850] * 4, "Int64"),
                "artist_id": [None, "Q296", "ulan|Q296", "Q296", "Q40599", "Q40599"] * 2,
                "weight": [1.5, None, 2.0] * 4,
                "style": ["", "x", None] * 4,
            }
        ),
    )
    pushed = there.address()
    Index.build(tmp_path / "i.artidx", catalog, embedder=embedder)[0].push(pushed)
    for module, name in ((build_on_server, "PIECE"), (build_on_server, "SUMMED"), (catalog_rows, "FRAME")):
        monkeypatch.setattr(module, name, 5)
    catalog = dataclasses.replace(catalog, table=on_disk([catalog.table])) if is_on_disk else catalog
    built, report, _ = Index.build_on_server(there.address(), catalog, embedder=embedder)
    assert [path for path, _ in report.skipped] == [path for path in paths if "R2" in path]
    same(built, Index.open(pushed, embedder=embedder))


@given(
    rows=st.lists(st.tuples(st.sampled_from("abcAB"), st.sampled_from([None, "1", "2", "3", "1|2"])), min_size=1),
    most=st.integers(1, 5),
)
def test_artists_of_some_rows_at_a_time_are_those_of_the_whole_table(rows, most):
    names, ids = zip(*rows, strict=True)
    keys = [None if name == "a" else name.lower() for name in names]
    table = pd.DataFrame({"row": range(len(rows)), "artist": names, "artist_key": keys, "artist_id": ids})
    found = artists_of([table.iloc[start : start + most] for start in range(0, len(rows), most)], len(rows))
    assert found.own.tolist() == artist_codes(table["artist_key"])[0].tolist()
    table["artist_key"] = pd.Series(merged(keys, ids), dtype="str")
    codes, expected = artist_codes(table["artist_key"])
    assert (found.codes.tolist(), found.keys) == (codes.tolist(), expected)
    assert found.names == artist_names(table, codes, expected)


def test_a_build_that_was_killed_after_it_had_published_is_finished_by_the_same_command(
    there, collection, embedder, monkeypatch, soon
):
    address = there.address()
    for replace in (False, True):
        with monkeypatch.context() as patch:
            patch.setattr(there.stage, "drop", lambda stage: signal.raise_signal(signal.SIGINT))
            with pytest.raises(KeyboardInterrupt):
                Index.build_on_server(address, collection, embedder=embedder, replace=replace)
        published = addresses.published(address)
        assert stage(there, address).is_there()
        with pytest.raises(BadIndex, match="there is an index already; --replace"):
            Index.build_on_server(address, collection / "Blue Painter", embedder=embedder)
        _, report, pushed = Index.build_on_server(address, collection, embedder=embedder, replace=replace)
        assert (report.paintings, report.embedded, report.resumed, pushed.written) == (12, 0, 12, 0)
        assert addresses.published(address) == published
        assert not stage(there, address).is_there()


def test_of_two_builds_to_one_address_the_second_is_refused(there, collection, embedder, soon):
    address, refused = there.address(), []

    def meanwhile():
        with pytest.raises(IndexBusy, match="another build is writing there; wait until it is done"):
            Index.build_on_server(address, collection, embedder=embedder)
        refused.append(True)

    Index.build_on_server(address, collection, embedder=embedder, bar=before("measuring", meanwhile))
    assert refused == [True]


def test_of_two_builds_that_have_both_begun_one_ends(there, soon):
    address = there.address()
    embeddings = stage(there, address)
    embeddings.make()

    def is_refused(advance):
        try:
            advance(1)
        except IndexBusy:
            return True
        return False

    with ExitStack() as running_now:
        builds = [running(embeddings, address, Build("model", name, 1, "now"), quiet) for name in ("a", "b")]
        bars = [running_now.enter_context(build) for build in builds]
        advances = [running_now.enter_context(bar(1, "embedding")) for bar in bars]
        deadline = time.monotonic() + 60
        while not any(map(is_refused, advances)) and time.monotonic() < deadline:
            time.sleep(begun.SIGN_S)
        time.sleep(5 * begun.SIGN_S)
        assert sorted(map(is_refused, advances)) == [False, True]
    embeddings.drop()


def test_what_another_build_has_written_is_never_published(there, collection, embedder):
    address = there.address()

    def meanwhile():
        row = Staged(np.array([3]), [json.dumps(("other", "0" * 64, ""))], np.ones((1, DIM), np.float32))
        stage(there, address).put(row)

    with pytest.raises(BadIndex, match="another build has changed the embeddings there; run the same build again"):
        Index.build_on_server(address, collection, embedder=embedder, bar=before("measuring", meanwhile))
    assert addresses.published(address) is None


def test_what_was_published_during_a_build_stays(there, collection, embedder, index):
    address = there.address()
    with pytest.raises(IndexChanged, match="published there in the meantime; run the build with --replace"):
        Index.build_on_server(
            address, collection, embedder=embedder, bar=before("measuring", lambda: index.push(address))
        )
    assert addresses.published(address) == (1, index.generation.sha256[:16])


def test_a_text_that_a_server_cannot_keep_is_refused_before_anything_is_embedded(there, collection, embedder):
    address = there.address()
    paths = sorted(map(str, collection.rglob("*.png")))
    frame = pd.DataFrame({"path": paths, "artist": "A", "long": ["x" * 4000] + [""] * (len(paths) - 1)})
    for number in range(17):
        frame[f"long {number}"] = frame["long"]
    stages = []

    @contextmanager
    def bar(total, what):
        stages.append(what)
        yield lambda done: None

    if there.all_are_looked_at == "exact":  # PostgreSQL keeps it
        assert Index.build_on_server(address, frame, embedder=embedder)[2].written == len(paths)
        return
    with pytest.raises(BadIndex, match="64 KB that Milvus keeps in a field; shorten it, and run the same build again"):
        Index.build_on_server(address, frame, embedder=embedder, bar=bar)
    assert "embedding" not in stages
    assert not stage(there, address).is_there()


def test_an_error_of_a_build_says_what_to_do_in_its_own_words(there, collection, embedder, monkeypatch):
    whole = getattr(*there.rows_made_by)
    monkeypatch.setattr(*there.rows_made_by, lambda *args: list(whole(*args))[:-1])
    with pytest.raises(BadIndex, match="11 of 12 paintings have arrived; run the same build again"):
        Index.build_on_server(there.address(), collection, embedder=embedder)


@pytest.mark.skipif(os.environ.get("ARTIDX_FAULTS") != "full", reason="half a minute: make faults")
def test_a_build_that_is_killed_at_any_stage_goes_on_to_the_index_of_a_folder(there, tmp_path, soon):
    model, folder, address, pushed = tmp_path / "small.onnx", tmp_path / "many", there.address(), there.address()
    model.write_bytes(small_model())
    for number in range(40):
        name, hue = [*HUES.items()][number % 3]
        painting(folder / name / f"{number}.png", number, hue, side=16)
    Index.build(tmp_path / "i.artidx", folder, embedder=Embedder.load(model))[0].push(pushed)
    for words in ("embedding", "measuring", "pushing", "checking", "dropping"):
        assert addresses.published(address) is None
        process = faults.PROCESSES.Process(target=killed, args=(address, folder, model, words))
        process.start()
        process.join(300)
        assert process.exitcode == -signal.SIGKILL, words
        assert stage(there, address).is_there()
    found, report, written = Index.build_on_server(address, folder, embedder=Embedder.load(model))
    assert (report.embedded, report.resumed, written.written) == (0, 40, 0)
    assert not stage(there, address).is_there()
    same(found, Index.open(pushed, embedder=Embedder.load(model)))
