"""Hostile folders, indexes and models."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper

import artidx as package
from artidx import Embedder, Index
from artidx.cli.main import artidx
from artidx.embedder.model_limits import check_graph
from artidx.embedder.runtime import SHIPPED, model_file
from artidx.errors import BadIndex, BadModel
from artidx.files import write_atomically
from made import DIM, painting, small_model
from served import TOKEN, served

ROOT = Path(package.__file__).parent
STRANGERS = ("artidx/__init__.py", "artidx/index/map.py", "numpy.py", "onnxruntime.py", "pandas.py", "sitecustomize.py")


def filled_with_code(folder):
    """Fill a folder with modules that write to a file when they are run; returns that file."""
    told = folder / "told"
    for name in STRANGERS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"import os\nopen({str(told)!r}, 'a').write('{name} ' + str(dict(os.environ)))\n")
    return told


def drawn_map(client):
    deadline = time.monotonic() + 60
    while (answer := client.get("/v1/map")).status_code == 202:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return answer


def test_the_map_runs_no_code_from_the_folder_the_service_was_started_in(index, tmp_path, monkeypatch):
    told = filled_with_code(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ARTIDX_CACHE", "cache")
    with served(index.source.relative_to(tmp_path), write_token=TOKEN) as service, service.client() as client:
        assert drawn_map(client).status_code == 200
    assert not told.exists()


def test_who_draws_the_map_is_told_no_token(index, tmp_path, monkeypatch):
    told, python = tmp_path / "told", tmp_path / "python"
    python.write_text(f'#!/bin/sh\n(env; pwd) > "{told}"\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr("artidx.service.aside.sys.executable", str(python))
    for name in ("ARTIDX_READ_TOKEN", "ARTIDX_WRITE_TOKEN", "ARTIDX_MILVUS_TOKEN", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, TOKEN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with served(index.source) as service, service.client() as client:
        assert drawn_map(client).status_code == 200
    assert TOKEN not in told.read_text()
    assert "PYTHONPATH" not in told.read_text()
    assert told.read_text().splitlines()[-1] == "/"


def link_lock(folder, elsewhere):
    (folder / "LOCK").unlink()
    (folder / "LOCK").symlink_to(elsewhere / "kept.txt")


def link_lock_hard(folder, elsewhere):
    (folder / "LOCK").unlink()
    os.link(elsewhere / "kept.txt", folder / "LOCK")


def link_what_is_written_aside(folder, elsewhere):
    (folder / "CURRENT.part").symlink_to(elsewhere / "kept.txt")


def link_building(folder, elsewhere):
    (elsewhere / "a.part").write_text("a picture")
    (folder / "building").symlink_to(elsewhere)


def link_a_shard(folder, elsewhere):
    (folder / "building").mkdir()
    (folder / "building" / "a.parquet").symlink_to(elsewhere / "kept.txt")


def link_generations(folder, elsewhere):
    shutil.move(folder / "generations", elsewhere)
    (elsewhere / "generations" / "000007.part").mkdir()
    (folder / "generations").symlink_to(elsewhere / "generations")


def link_a_generation(folder, elsewhere):
    (folder / "generations" / "000009").symlink_to(elsewhere)


def link_a_file(folder, elsewhere):
    path = folder / "generations" / "000001" / "skipped.csv"
    shutil.move(path, elsewhere)
    path.symlink_to(elsewhere / "skipped.csv")


def pipe_for_lock(folder, _):
    (folder / "LOCK").unlink()
    os.mkfifo(folder / "LOCK")


def folder_for_lock(folder, _):
    (folder / "LOCK").unlink()
    (folder / "LOCK").mkdir()


def pipe_among_shards(folder, _):
    (folder / "building").mkdir()
    os.mkfifo(folder / "building" / "a.parquet")


def writers(index, picture):
    folder = str(index.source)
    return [
        ["add", folder, str(picture)],
        ["remove", folder, "Red Painter/R0.png"],
        ["check", folder, "--repair"],
        ["sync", folder, str(picture.parent)],
        ["build", str(picture.parent), "-o", folder, "--replace"],
    ]


@pytest.mark.parametrize(
    "strange",
    [
        link_lock,
        link_lock_hard,
        link_what_is_written_aside,
        link_building,
        link_a_shard,
        link_generations,
        link_a_generation,
        link_a_file,
        pipe_for_lock,
        folder_for_lock,
        pipe_among_shards,
    ],
)
def test_an_index_with_parts_that_lead_elsewhere_is_not_written_to(index, tmp_path, strange):
    elsewhere, picture = tmp_path / "elsewhere", painting(tmp_path / "more" / "new.png", 77)
    elsewhere.mkdir()
    (elsewhere / "kept.txt").write_text("years of work")
    strange(index.source, elsewhere)
    before = {path: path.read_bytes() for path in elsewhere.rglob("*") if path.is_file()}
    published = (index.source / "CURRENT").read_bytes()
    for words in writers(index, picture):
        said = CliRunner().invoke(artidx, words)
        assert isinstance(said.exception, BadIndex), words
        assert "nothing was changed" in str(said.exception)
    assert {path: path.read_bytes() for path in elsewhere.rglob("*") if path.is_file()} == before
    assert (index.source / "CURRENT").read_bytes() == published


def test_who_wrote_aside_and_was_killed_left_no_link_to_write_through(tmp_path):
    (tmp_path / "kept.txt").write_text("years of work")
    (tmp_path / "a.part").symlink_to(tmp_path / "kept.txt")
    write_atomically(tmp_path / "a", b"new")
    assert (tmp_path / "kept.txt").read_text() == "years of work"
    assert (tmp_path / "a").read_bytes() == b"new"


@pytest.mark.parametrize(
    "name",
    [
        "manifest.json",
        "manifest.sha256",
        "000001-0.parquet",
        "000001-0.arrow",
        "000001-0.npy",
        "removed.npy",
        "history.parquet",
        "skipped.csv",
        "model.onnx",
        "more",
    ],
)
def test_a_pipe_in_a_generation_is_not_waited_for(index, name):
    path = index.source / "generations" / "000001" / name
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    with pytest.raises(BadIndex, match="not a plain file"):
        Index.open(index.source)
    index.check()


@pytest.mark.parametrize("name", ["CURRENT", "generations"])
def test_a_pipe_in_place_of_a_part_is_not_waited_for(index, name):
    path = index.source / name
    shutil.move(path, index.source.parent)
    os.mkfifo(path)
    with pytest.raises(BadIndex):
        Index.open(index.source)


def changed_model(change):
    model = onnx.load_from_string(small_model())
    change(model)
    return model.SerializeToString()


def with_node(*node, opset="", **attributes):
    def change(model):
        model.graph.node.append(helper.make_node(*node, domain=opset, **attributes))
        if opset:
            model.opset_import.append(helper.make_opsetid(opset, 1))

    return change


def body(name="body"):
    return helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"])],
        name,
        [helper.make_tensor_value_info("go", TensorProto.BOOL, [])],
        [helper.make_tensor_value_info("on", TensorProto.BOOL, [])],
    )


def external(model):
    tensor = next(each for each in model.graph.initializer if each.name == "weights")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "secret.bin"), ("offset", "0"), ("length", str(48 * DIM * 4))):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value


def external_in_a_constant(model):
    external(model)
    tensor = next(each for each in model.graph.initializer if each.name == "weights")
    model.graph.initializer.remove(tensor)
    model.graph.node.insert(0, helper.make_node("Constant", [], ["weights"], value=tensor))


def functions(model):
    model.functions.append(
        helper.make_function(
            "own", "f", ["x"], ["y"], [helper.make_node("Identity", ["x"], ["y"])], [helper.make_opsetid("", 18)]
        )
    )


REFUSED = {
    "loop": (with_node("Loop", ["", "go"], ["on2"], body=body()), "Loop"),
    "if": (with_node("If", ["go"], ["on2"], then_branch=body("a"), else_branch=body("b")), "If"),
    "scan": (with_node("Scan", ["go"], ["on2"], body=body(), num_scan_inputs=1), "Scan"),
    "subgraph": (with_node("Identity", ["flat"], ["on2"], body=body()), "control flow"),
    "sequence": (with_node("SequenceConstruct", ["flat"], ["on2"]), "SequenceConstruct"),
    "text": (with_node("StringNormalizer", ["flat"], ["on2"]), "StringNormalizer"),
    "chance": (with_node("RandomNormalLike", ["flat"], ["on2"]), "RandomNormalLike"),
    "stranger": (with_node("Relu", ["flat"], ["on2"], opset="com.stranger"), "com.stranger::Relu"),
    "of others": (with_node("Relu", ["flat"], ["on2"], opset="ai.onnx.ml"), "ai.onnx.ml::Relu"),
    "external": (external, "external data"),
    "external in a constant": (external_in_a_constant, "external data"),
    "functions": (functions, "functions of its own"),
    "training": (lambda model: model.training_info.add(), "training"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_model_that_could_do_more_than_embed_is_refused_before_it_is_opened(tmp_path, name, monkeypatch):
    change, reason = REFUSED[name]
    path = tmp_path / "model.onnx"
    path.write_bytes(changed_model(change))
    (tmp_path / "secret.bin").write_bytes(np.ones(48 * DIM, np.float32).tobytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("onnxruntime.InferenceSession", None)
    with pytest.raises(BadModel, match=reason) as problem:
        Embedder.load(path)
    assert str(problem.value).startswith(f"{path}: has ")


def field(number, wire, payload):
    def varint(value):
        found = b""
        while value > 127:
            found, value = found + bytes([value & 127 | 128]), value >> 7
        return found + bytes([value])

    return varint(number << 3 | wire) + (varint(len(payload)) + payload if wire == 2 else payload)


LOOP = field(4, 2, b"Loop")


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (field(4, 2, b"Relu") + LOOP, "Loop"),  # the last one counts
        (LOOP + field(4, 5, b"Relu"), "Loop"),  # no text to protobuf, which leaves it out
        (LOOP + field(4, 0, b"\x01"), "Loop"),
        (field(4, 2, b"Relu") + field((1 << 29) + 4, 2, b"Loop"), "cannot be read"),  # protobuf reads 32 bits
        (LOOP + field(7, 3, b""), "cannot be read"),
        (field(4, 2, b"Re\xfflu"), "cannot be read"),
        (LOOP[:-1], "cannot be read"),
        (b"\x80" * 12, "cannot be read"),
    ],
)
def test_a_graph_is_read_as_protobuf_would(node, reason):
    with pytest.raises(BadModel, match=reason):
        check_graph(field(7, 2, field(1, 2, node)), "model.onnx")


def test_a_graph_in_two_parts_is_looked_at_in_both():
    with pytest.raises(BadModel, match="Loop"):
        check_graph(small_model() + field(7, 2, field(1, 2, LOOP)), "model.onnx")


def test_a_model_of_endless_small_parts_is_refused(monkeypatch):
    monkeypatch.setattr("artidx.embedder.model_limits.MOST_FIELDS", 1000)
    with pytest.raises(BadModel, match="parts"):
        check_graph(field(7, 2, field(10, 2, b"") * 1100), "model.onnx")


@pytest.mark.parametrize("name", SHIPPED)
def test_models_that_ship_have_nothing_that_is_refused(name):
    path = model_file(name)
    check_graph(path.read_bytes(), str(path))


def test_a_run_that_takes_too_long_is_ended(tmp_path, monkeypatch):
    def slow(model):
        weights = np.zeros((768, 768), np.float32)
        model.graph.initializer.append(numpy_helper.from_array(weights, "large"))
        model.graph.initializer.append(numpy_helper.from_array(np.array([768, 1], np.int64), "tall"))
        del model.graph.node[-1]
        names = [f"slow{number}" for number in range(3000)]
        model.graph.node.extend(
            [
                helper.make_node("ReduceSum", ["long"], ["one"], keepdims=1),
                helper.make_node("Expand", ["one", "tall"], ["column"]),
                helper.make_node("MatMul", ["large", "large"], ["unused"]),
                helper.make_node("Mul", ["column", "large"], [names[0]]),
                *(
                    helper.make_node("MatMul", [before, "large"], [after])
                    for before, after in itertools.pairwise(names)
                ),
                helper.make_node("ReduceSum", [names[-1]], ["nothing"], keepdims=1),
                helper.make_node("Add", ["long", "nothing"], ["sum"]),
                helper.make_node("LpNormalization", ["sum"], ["vector"], axis=1, p=2),
            ]
        )

    monkeypatch.setattr("artidx.embedder.runtime.RUN_S", 0.2)
    path = tmp_path / "slow.onnx"
    path.write_bytes(changed_model(slow))
    embedder, picture = Embedder.load(path), painting(tmp_path / "a.png", 1)
    started = time.monotonic()
    with pytest.raises(BadModel, match=r"did not finish within 0\.2 s"):
        embedder.transform([picture])
    assert time.monotonic() - started < 10


def constants_to_compute(model, begin=("corner",), how_many=600):
    """A chain of products that depends on nothing: it would be folded when a session is created, without an end."""
    node = helper.make_node
    model.graph.initializer.append(numpy_helper.from_array(np.array([512, 512]), "corner"))
    model.graph.node.append(node("ConstantOfShape", begin, ["c0"]))
    model.graph.node.extend(node("MatMul", [f"c{i}", f"c{i}"], [f"c{i + 1}"]) for i in range(how_many))
    model.graph.output[0].name = "more"
    model.graph.node.append(node("ReduceMax", [f"c{how_many}"], ["least"], keepdims=0))
    model.graph.node.append(node("Add", ["vector", "least"], ["more"]))


def constants_of_a_shape(model):
    """The same with the shape of a tensor that is not constant."""
    for name, value in (("row", [1, DIM]), ("times", [40 * DIM, 40])):
        model.graph.initializer.append(numpy_helper.from_array(np.array(value), name))
    model.graph.node.append(helper.make_node("Reshape", ["vector", "row"], ["one"]))
    model.graph.node.append(helper.make_node("Shape", ["one"], ["small"]))
    model.graph.node.append(helper.make_node("Mul", ["small", "times"], ["shape"]))
    constants_to_compute(model, ("shape",))


@pytest.mark.parametrize("change", [constants_to_compute, constants_of_a_shape])
def test_a_model_whose_constants_take_for_ever_is_ended_when_it_is_run(tmp_path, monkeypatch, change):
    monkeypatch.setattr("artidx.embedder.runtime.RUN_S", 0.2)
    started = time.process_time()
    embedder = Embedder(changed_model(change), "model.onnx")
    with pytest.raises(BadModel, match=r"did not finish within 0\.2 s"):
        embedder.transform([painting(tmp_path / "a.png", 1)])
    assert time.process_time() - started < 10


def test_what_is_constant_is_told_from_what_depends_on_a_picture():
    assert check_graph(small_model(), "model.onnx").products == 0
    found = check_graph(changed_model(lambda model: constants_to_compute(model, how_many=30)), "model.onnx")
    assert (found.operators, found.products) == (32, 30)
    assert not found.are_few


@pytest.mark.parametrize("name", SHIPPED)
def test_of_models_that_ship_what_is_constant_is_computed_once(name):
    path = model_file(name)
    assert check_graph(path.read_bytes(), str(path)).are_few


def test_a_model_that_is_not_soon_loaded_is_given_up(monkeypatch):
    monkeypatch.setattr("artidx.embedder.runtime.LOAD_S", 0.01)
    with pytest.raises(BadModel, match=r"model\.onnx: did not load within 0\.01 s"):
        Embedder(changed_model(lambda model: constants_to_compute(model, how_many=4000)), "model.onnx")


def test_no_library_takes_its_settings_from_the_folder_that_somebody_stands_in(tmp_path):
    os.mkfifo(tmp_path / "matplotlibrc")  # would be waited for
    (tmp_path / ".env").write_text("MILVUS_URI=http://stranger\n")
    code = (
        "import os; from artidx.index.measure.report import picture\n"
        "from artidx.embedder.neutral import neutral_import\n"
        "assert '<svg' in picture(lambda axes, _: None, [])\n"
        "with neutral_import('pymilvus'): import pymilvus\n"
        "print(os.getcwd(), 'MILVUS_URI' in os.environ, 'PYTHON_DOTENV_DISABLED' in os.environ)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True, timeout=300
    )
    assert ran.stdout.split() == [str(tmp_path), "False", "False"]


def test_such_libraries_are_first_imported_in_no_other_way():
    for path in (path for room in ("cli", "embedder", "index", "service") for path in (ROOT / room).rglob("*.py")):
        first = re.search(
            r"^(.*\n)(?:(?:.*\n)?) *(?:import matplotlib|from pymilvus import M)", path.read_text(), re.MULTILINE
        )
        assert first is None or "neutral_import(" in first[0], path
