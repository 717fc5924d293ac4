"""Embedding on Ray: two nodes of one machine give the bits of a local build, and lose nothing when one is killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_hostile import filled_with_code
from there import same as same_there

from artidx import Embedder, Index
from artidx.embedder.runtime import Embedding
from artidx.errors import BadIndex, BadSetting, ClusterFailed
from artidx.index.addresses import address_of
from artidx.index.changes import build as building
from artidx.index.changes.build import SHARD
from artidx.index.changes.cluster import PIECE, Piece, Work, _difference, _outcomes, _versions, _Worker, _Writer, joined
from artidx.index.postgres.layout import table_name
from artidx.index.postgres.push import _make
from artidx.index.postgres.server import connected
from lite import MilvusLite
from made import DIM, HUES, MUSEUM, painting, watched
from postgres import PostgresServer
from ray_nodes import TwoNodes

ARTIDX = Path(sys.executable).with_name("artidx")


@pytest.fixture(scope="module")
def cluster():
    with TwoNodes() as nodes:
        nodes.wait_for_both()
        yield nodes


def build(cluster, source, output, *words):
    return subprocess.Popen(
        [ARTIDX, "build", str(source), "-o", str(output), "--ray", cluster.address, "--json", *map(str, words)],
        env=cluster.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def push(cluster, index, address):
    return subprocess.Popen(
        [ARTIDX, "push", str(index), str(address), "--ray", cluster.address, "--json"],
        env=cluster.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process, status=0, seconds=120):
    out, err = process.communicate(timeout=seconds)
    assert process.returncode == status, err
    return out, err


def same(a, b):
    ours, theirs = Index.open(a), Index.open(b)
    assert ours.generation.table.equals(theirs.generation.table)
    assert ours.generation.vectors.matrix.tobytes() == theirs.generation.vectors.matrix.tobytes()
    assert ours.generation.contents.skipped == theirs.generation.contents.skipped


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """48 real paintings, and one that is none."""
    folder = tmp_path_factory.mktemp("real")
    for path in sorted(MUSEUM.glob("*.jpg"))[:48]:
        (folder / path.name).symlink_to(path)
    (folder / "zz.jpg").write_text("no image")
    Index.build(folder / "local.artidx", folder)
    return folder


def test_a_build_of_real_paintings_on_two_nodes_is_that_of_one_machine_to_the_bit(cluster, real, tmp_path):
    out, err = finished(build(cluster, real, tmp_path / "i.artidx"))
    assert "on Ray: 2 nodes, 2 cores" in err
    report = json.loads(out)  # and nothing else is on stdout
    assert report["embedded"] == 48
    assert 0 < report["reading"] < 1
    assert [Path(each["path"]).name for each in report["skipped"]] == ["zz.jpg"]
    same(tmp_path / "i.artidx", real / "local.artidx")


def test_a_strict_build_ends_with_the_bad_image(cluster, real, tmp_path, model_file):
    _, err = finished(build(cluster, real, tmp_path / "i.artidx", "--strict", "--model", model_file), status=2)
    assert "zz.jpg: not an image" in err.splitlines()[-1]


def test_what_was_done_before_is_taken_from_its_shards_wherever_it_was_done(cluster, tmp_path, model_file):
    for number in range(SHARD + 2 * PIECE + 1):
        painting(tmp_path / "many" / f"{number:03d}.png", number, side=16)
    seen = []

    def stopping(done):
        seen.append(done)
        if len(seen) > SHARD:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Index.build(tmp_path / "i.artidx", tmp_path / "many", embedder=Embedder.load(model_file), bar=watched(stopping))
    report = json.loads(finished(build(cluster, tmp_path / "many", tmp_path / "i.artidx", "--model", model_file))[0])
    assert (report["resumed"], report["embedded"]) == (SHARD, 2 * PIECE + 1)
    Index.build(tmp_path / "local.artidx", tmp_path / "many", embedder=Embedder.load(model_file))
    same(tmp_path / "i.artidx", tmp_path / "local.artidx")


def test_a_node_that_is_killed_costs_time_and_no_painting(cluster, real, tmp_path, model_file):
    pictures, many, output = sorted(real.glob("*.jpg")), tmp_path / "many", tmp_path / "i.artidx"
    copies = 2 * SHARD // len(pictures)
    for copy in range(copies):
        (many / str(copy)).mkdir(parents=True)
        for path in pictures:
            (many / str(copy) / path.name).symlink_to(path)
    process = build(cluster, many, output, "--model", model_file)
    cluster.wait_for_workers(2)
    deadline = time.monotonic() + 60
    while not any((output / "building").glob("*.parquet")):  # the first shard: half is done
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert process.poll() is None
    cluster.kill_other()
    try:
        report = json.loads(finished(process)[0])
    finally:
        cluster.start_other()
        cluster.wait_for_both()
    assert (report["paintings"], len(report["skipped"])) == (copies * 48, copies)
    found = Embedder.load(model_file).embed([str(path) for path in pictures])
    alone = {path.name: each.vector for path, each in zip(pictures, found, strict=True)}
    whole = Index.open(output).generation
    for path, embedding in zip(whole.table["path"], whole.embeddings, strict=True):
        np.testing.assert_allclose(embedding, alone[Path(path).name], atol=1e-6)


@pytest.mark.parametrize(
    ("address", "error", "words"),
    [
        ("nowhere", BadSetting, "expected auto or HOST:PORT"),
        ("127.0.0.2:1", ClusterFailed, "nothing answers there"),
        ("127.0.0.2:99999", ClusterFailed, "nothing answers there"),
        (":1", BadSetting, "expected auto or HOST:PORT"),
    ],
)
def test_a_cluster_that_is_not_there_is_one_line_at_once(address, error, words):
    started = time.monotonic()
    with pytest.raises(error, match=words), joined(address):
        pass
    assert time.monotonic() - started < 30  # Ray itself tries for minutes


# A worker, without Ray around it.


def worker(model_file, **versions):
    found = _Worker.__new__(_Worker)
    found.work = Work(1, 200_000_000, (), None, 0.25)
    found.problem = _difference(_versions() | versions)
    found.embedder, found.cores = Embedder.load(model_file), 1
    return found


def test_a_worker_gives_what_the_embedder_gives(model_file, collection):
    paths = [*sorted(map(str, collection.rglob("*.png"))), "none.png"]
    row = worker(model_file)({"shard": 3, "start": 64, "paths": np.array(paths, object)})
    assert (row["shard"], row["start"], row["error"]) == (3, 64, "")
    for ours, theirs in zip(_outcomes(row, DIM), Embedder.load(model_file).embed(paths), strict=True):
        assert (ours.sha256, ours.problem) == (theirs.sha256, theirs.problem)
        assert ours.problem or ours.vector.tobytes() == theirs.vector.tobytes()


def test_a_worker_with_other_packages_embeds_nothing(model_file):
    row = worker(model_file, pillow="1.0")({"shard": 0, "start": 0, "paths": []})
    assert row["error"] == "ClusterFailed"
    assert "has pillow" in row["problems"][0]
    assert "instead of 1.0; install the same on every node" in row["problems"][0]


def test_storage_that_a_worker_cannot_reach_ends_the_build(model_file, monkeypatch):
    monkeypatch.setattr("artidx.embedder.web.PAUSES_S", (0.01, 0.01))
    found = worker(model_file)
    found.work = Work(1, 200_000_000, ("https://127.0.0.1:1/",), None, 0.25)
    row = found({"shard": 0, "start": 0, "paths": ["https://127.0.0.1:1/a.jpg"]})
    assert row["error"] == "UnreachableStorage"


def test_pieces_in_any_order_make_whole_shards(collection):
    parts = [
        pd.DataFrame({"path": [f"{number}-{place}" for place in range(count)]}) for number, count in ((0, 3), (1, 2))
    ]
    outcomes = {path: Embedding(np.zeros(DIM, np.float32), sha256=path) for part in parts for path in part["path"]}
    pieces = [
        Piece(1, 1, [outcomes["1-1"]]),
        Piece(0, 2, [outcomes["0-2"]]),
        Piece(1, 0, [outcomes["1-0"]]),
        Piece(0, 0, [outcomes["0-0"], outcomes["0-1"]]),
    ]
    seen = []
    found = list(building._whole_shards(iter(pieces), parts, building.Settings(), seen.append))
    assert [(number, [each.sha256 for each in done]) for number, done in found] == [
        (1, ["1-0", "1-1"]),
        (0, ["0-0", "0-1", "0-2"]),
    ]
    assert sum(seen) == 5


@pytest.fixture
def made_up(tmp_path, model_file):
    """10,000 vectors, that go to a server in ten parts."""
    vectors = np.random.default_rng(0).normal(size=(10_000, DIM)).astype(np.float32)
    (tmp_path / "vectors").mkdir()
    np.save(tmp_path / "vectors" / "vectors.npy", vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    artists = pd.DataFrame({"id": np.arange(10_000).astype(str), "artist": [f"artist {n % 50}" for n in range(10_000)]})
    artists.to_parquet(tmp_path / "vectors" / "paintings.parquet")
    embedder = Embedder.load(model_file)
    return Index.import_vectors(tmp_path / "i.artidx", tmp_path / "vectors", embedder=embedder)[0]


def test_workers_push_and_a_driver_and_a_node_that_are_killed_cost_time_and_no_painting(cluster, made_up):
    with PostgresServer() as server:
        address = address_of(server.address("paintings"))
        there, generation = connected(address), made_up.generation
        there.make_ready()
        table = table_name(address.name, 1, generation.sha256)
        body = "BEGIN PERFORM pg_sleep(0.3); RETURN NULL; END"
        with there.connection_of_its_own() as test:
            _make(test, address.name, table, generation)
            test.execute(f"CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS '{body}'")
            test.execute(f"CREATE TRIGGER slowly BEFORE INSERT ON {table} EXECUTE FUNCTION slowly()")

            def pushed_in_part(fewest):
                process = push(cluster, made_up.source, address)
                deadline = time.monotonic() + 120
                while not fewest <= (count := test.execute(f"SELECT count(*) FROM {table}").fetchone()[0]) < 10_000:
                    assert process.poll() is None, process.communicate()
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
                return process, count

            driver, count = pushed_in_part(1000)
            driver.kill()
            driver.communicate()
            with pytest.raises(BadIndex, match="no such index"):
                Index.open(address)
            process, _ = pushed_in_part(count + 1000)
            cluster.kill_other()
            try:
                report = json.loads(finished(process)[0])
            finally:
                cluster.start_other()
                cluster.wait_for_both()
        assert 0 < report["written"] <= 10_000 - count
        pushed = Index.open(address)
        assert len(pushed) == 10_000
        for name in ("5", "9999"):
            ours, theirs = (index.nearest_paintings(f"id:{name}", k=20).paintings for index in (pushed, made_up))
            assert ours == theirs


@pytest.mark.skipif(os.environ.get("ARTIDX_FAULTS") != "full", reason="minutes: make faults")
def test_workers_build_there_and_drivers_and_nodes_that_are_killed_at_any_stage_cost_time_and_no_painting(
    cluster, there, tmp_path, model_file
):
    address, pushed, script = there.address(), there.address(), Path(__file__).with_name("built_there.py")
    for number in range(40):
        artist, hue = list(HUES.items())[number % 3]
        painting(tmp_path / "many" / artist / f"{number}.png", number, hue, side=16)
    index, _ = Index.build(tmp_path / "i.artidx", tmp_path / "many", embedder=Embedder.load(model_file))
    calibration = index.calibrate()
    index.push(pushed)

    def reached(process, stage):
        assert any(line.strip() == stage for line in process.stdout), process.stderr.read()

    for node, driver in ((None, "embedding"), ("embedding", "measuring"), ("measuring", "pushing"), ("pushing", None)):
        process = subprocess.Popen(
            [sys.executable, script, str(address), tmp_path / "many", model_file, cluster.address],
            env=cluster.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if node:
            reached(process, node)
            cluster.kill_other()
        try:
            if driver:
                reached(process, driver)
                process.kill()
            out, err = process.communicate(timeout=300)
        finally:
            if node:
                cluster.start_other()
                cluster.wait_for_both()
        if driver:
            with pytest.raises(BadIndex, match="no such index"):
                Index.open(address)
    assert process.returncode == 0, err
    paintings, resumed, written = json.loads(out.splitlines()[-1])
    assert (paintings, resumed) == (40, 40)
    assert 0 < written < 40
    same_there(*(Index.open(each, embedder=Embedder.load(model_file)) for each in (address, pushed)))
    assert Index.open(address).calibration == calibration


def test_workers_push_to_milvus_what_one_process_does_and_say_what_is_wrong(cluster, real, tmp_path, model_file):
    index, output = Index.build(tmp_path / "i.artidx", real, embedder=Embedder.load(model_file))[0], tmp_path / "milvus"
    output.mkdir()
    with MilvusLite(output) as server:
        report = json.loads(finished(push(cluster, index.source, server.address("a")))[0])
        assert (report["written"], report["paintings"]) == (48, 48)
        pushed = Index.open(server.address("a"), embedder=index.embedder)
        assert pushed.whole()[1].tobytes() == index.whole()[1].tobytes()
    writer = _Writer([pushed.source], "/nowhere", index.generation.sha256, _versions())
    assert "--ray needs the index in a folder that every node has" in writer({"start": 0, "stop": 1})["problems"][0]


def test_workers_run_no_code_from_the_folder_the_build_was_started_in(cluster, tmp_path, model_file, monkeypatch):
    painting(tmp_path / "paintings" / "a.png", 1)
    (tmp_path / "here").mkdir()
    told = filled_with_code(tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    finished(build(cluster, tmp_path / "paintings", tmp_path / "i.artidx", "--model", model_file))
    assert not told.exists()
