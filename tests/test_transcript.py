"""The curl commands of the documentation: every route of the service answers as shown."""

from __future__ import annotations

import os
import re
import subprocess

import pandas as pd
import pytest

from artidx import Index
from artidx.embedder.catalogs.described import ColumnNames
from artidx.service import findings
from made import painting
from served import TOKEN, served
from shown import BLOCK, COMMAND, ROOT, is_as_shown

HELD = {  # as in the museum's package, but for the pictures
    "459083": ("Gerard ter Borch the Younger", "Burgomaster Jan van Duren", 1666),
    "459084": ("Gerard ter Borch the Younger", "Margaretha van Haexbergen", 1666),
    "437430": ("Auguste Renoir", "By the Seashore", 1883),
    "1911-5": (None, "Portrait of a man", None),
    "1911-6": ("Titian", "Portrait of a woman", 1550),
    "1911-7": ("Titian", "A garden", 1551),
}
HOST = re.compile(r"localhost:8000")


@pytest.fixture
def service(tmp_path, monkeypatch, embedder):
    """A service of these paintings, whose folder has the pictures that are sent."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("one.jpg", "other.jpg", "two.jpg", "new.jpg")):
        painting(tmp_path / name, 40 + number)
    (tmp_path / "notes.txt").write_text("no picture")
    rows = [
        {
            "id": name,
            "file": str(painting(tmp_path / f"{name}.png", number)),
            "artist": artist,
            "title": title,
            "year": year,
        }
        for number, (name, (artist, title, year)) in enumerate(HELD.items())
    ]
    index, _ = Index.build(tmp_path / "paintings.artidx", pd.DataFrame(rows), names=ColumnNames(), embedder=embedder)
    with served(index.source, uploads=tmp_path / "uploads", write_token=TOKEN) as found:
        # A process of its own would make it, which has much to import first.
        findings.write(index.generation.folder, index.store.sha256, found.state.reviews.path(index))
        with found.client() as client:
            assert client.get("/v1/review").status_code == 200
        yield found


def typed(service, command):
    """The command as shown, with the port of this service."""
    command = HOST.sub(f"127.0.0.1:{service.port}", command)
    script = f"uuidgen() {{ cat /proc/sys/kernel/random/uuid; }}; {command}"
    environment = {"PATH": os.environ["PATH"], "AUTH": f"Authorization: Bearer {TOKEN}"}
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment, check=False)


def test_every_route_answers_curl_as_the_transcript_shows(service):
    asked = set()
    for kind, _, text in BLOCK.findall((ROOT / "docs" / "guides" / "http.md").read_text("utf-8")):
        for command, shown in COMMAND.findall(text) if kind == "console" else ():
            if command.startswith("curl "):
                printed = typed(service, command).stdout
                assert is_as_shown(printed, shown), f"$ {command}\n{printed}\nis not\n{shown}"
                method = re.search(r" -X (\w+)", command)
                sends = re.search(r" (-F|--json) ", command)
                path = re.search(r"localhost:8000(/[^?\s\"]*)", command)[1]
                asked.add((method[1] if method else "POST" if sends else "GET", path))
    with service.client() as client:
        routes = client.get("/openapi.json").json()["paths"]
    patterns = {
        (method.upper(), route): re.compile(re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(route)))
        for route, methods in routes.items()
        for method in methods
    }
    missing = [
        key
        for key, pattern in patterns.items()
        if not any(method == key[0] and pattern.fullmatch(path) for method, path in asked)
    ]
    assert len(patterns) > 20
    assert missing == []


def test_every_line_of_curl_in_the_page_on_the_service_is_answered(service):
    page = re.sub(r" \\\n\s*", " ", (ROOT / "docs" / "service.md").read_text("utf-8"))
    lines = re.findall(r"^ {4,}(curl .*)$", page, re.MULTILINE)
    assert len(lines) >= 10
    with service.client() as client:
        for line in lines:
            now = client.get("/v1/index").headers["artidx-generation"]
            ran = typed(
                service,
                line.replace('If-Match: "7"', f'If-Match: "{now}"').replace("curl ", "curl -s --fail-with-body ", 1),
            )
            assert ran.returncode == 0, f"{line}\n{ran.stdout}"
            assert '"problem": {' not in ran.stdout, line
