"""The HTTP service: answers as on the command line, refusals with their reason, new generations without a pause."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

from artidx import Catalog, Embedder, Index
from artidx.as_json import as_json
from artidx.cli.main import artidx
from artidx.index.answers.collection import Collection, Listed
from artidx.index.storage import generations
from artidx.service.aside import AWAY
from artidx.service.engine import Engine
from artidx.service.metrics import Metrics
from artidx.service.settings import is_loopback
from artidx.service.traces import Traces
from made import MUSEUM, painting, small_model
from served import TOKEN, as_served, form, served

RED, RED_TOO, BLUE = "Red Painter/R0.png", "Red Painter/R1.png", "Blue Painter/B0.png"


@pytest.fixture
def service(index, tmp_path):
    """The small index, served, with a folder for uploads and a write token."""
    with served(index.source, uploads=tmp_path / "elsewhere" / ".." / "uploads", write_token=TOKEN) as found:
        yield found


@pytest.fixture
def client(service):
    with service.client() as found:
        yield found


@pytest.fixture(scope="module")
def museum(museum_index):
    with served(museum_index.source) as found:
        yield found


def said(*words):
    """What the command line prints, without where files lie."""
    found = CliRunner().invoke(artidx, [str(word) for word in words])
    assert found.exit_code in (0, 1), found.output
    return as_served(json.loads(found.stdout))


def test_real_paintings_get_the_answers_of_the_command_line(museum, museum_index):
    a, b = museum_index.generation.table["id"][:2]
    place = ("--index", museum_index.source, "--json")
    with museum.client() as client:
        assert client.get("/v1/index?full").json() == said("info", museum_index.source, "--json")
        by_id = client.post("/v1/pair", **form(a=a, b=b, prior=0.1, fpr=0.01))
        assert by_id.json() == said("pair", a, b, "--prior", 0.1, "--fpr", 0.01, *place)
        assert by_id.json() == client.post("/v1/pair", json={"a": a, "b": b, "prior": 0.1, "fpr": 0.01}).json()
        assert client.post("/v1/nearest", **form(image=a, k=3)).json() == said("nearest", a, "-k", 3, *place)
        filtered = client.post("/v1/nearest", **form(image=a, where="year < 1800", exclude="year < 1500"))
        assert filtered.json() == said("nearest", a, "--where", "year < 1800", "--exclude", "year < 1500", *place)


def test_pictures_that_are_sent_get_the_answers_of_the_command_line(museum, museum_index, tmp_path, monkeypatch):
    known = f"{museum_index.generation.table['id'][0]}.jpg"
    monkeypatch.chdir(MUSEUM)  # so that both call it by its name alone
    strange = next(
        path.name for path in sorted(MUSEUM.glob("*.jpg")) if path.stem not in set(museum_index.generation.table["id"])
    )
    place = ("--index", museum_index.source, "--json")
    with museum.client() as client:
        for name in (known, strange):
            assert client.post("/v1/nearest", **form(image=Path(name))).json() == said("nearest", name, *place)
        sent = client.post("/v1/pair", **form(a=Path(known), b=Path(strange), threshold=0.8))
        assert sent.json() == said("pair", known, strange, "--threshold", 0.8, *place)


@pytest.mark.full
def test_parts_of_a_painting_are_most_alike_to_themselves(museum, museum_index):
    known = museum_index.generation.table["id"][0]
    with museum.client() as client:
        fields = form(a=known, b=MUSEUM / f"{known}.jpg")
        found = client.post("/v1/regions", **fields).json()["regions"]
        with pytest.MonkeyPatch.context() as patch:  # each picture's parts are embedded once
            patch.setattr(Engine, "embed", None)
            assert client.post("/v1/regions", **fields).json()["regions"] == found
    assert len(found) == 9
    assert all(region["a"] == region["b"] for region in found)
    assert max(region["distance"] for region in found) < 0.3  # the one was made small before
    assert [region["distance"] for region in found] == sorted(region["distance"] for region in found)


def test_an_index_says_the_most_important_of_itself_and_all_where_that_is_asked_for(client, index, collection):
    facts = client.get("/v1/index")
    assert facts.json() == {
        "name": "paintings.artidx",
        "paintings": 12,
        "artists": 3,
        "skipped": 0,
        "is_calibrated": True,
        "created": index.manifest.created,
        "artidx": index.manifest.artidx,
        "model": {"sha256": index.manifest.model.sha256, "name": "small", "dim": 24},
        "generation": 1,
    }
    assert "calibration" not in facts.json()
    assert client.get("/v1/index?full").json() == client.get("/v1/index?full=true").json()
    assert client.get("/v1/index?full").json()["calibration"]["pairs"]
    assert client.get("/v1/index?full=perhaps").status_code == 422


def test_no_answer_says_where_files_lie_on_the_server(client, index, collection):
    index.sync(collection)  # so that the manifest says how folders were read
    for answer in (
        client.get("/v1/index?full"),
        client.get(f"/v1/paintings/{RED}"),
        client.get("/v1/paintings"),
        client.post("/v1/pair", json={"a": RED, "b": BLUE}),
        client.post("/v1/nearest", json={"image": RED}),
    ):
        assert answer.status_code == 200
        assert str(collection.parent) not in answer.text
    assert client.get(f"/v1/paintings/{RED}").json()["painting"]["path"] == "R0.png"


def test_every_answer_names_the_model_and_the_generation(client, index):
    for answer in (
        client.get("/v1/index"),
        client.get("/v1/paintings"),
        client.get("/v1/paintings/none"),
        client.get(f"/v1/thumbnails/{RED}"),
        client.get("/"),
        client.post("/v1/pair"),
    ):
        assert answer.headers["artidx-model"] == index.manifest.model.sha256
        assert answer.headers["artidx-generation"] == "1"
        assert answer.headers["artidx-index"] == "paintings.artidx"
        assert len(answer.headers["x-request-id"]) == 32
    for path in ("paintings", f"paintings/{RED}", "artists", "artists/Red Painter"):
        found = client.get(f"/v1/{path}").json()
        assert (found["model"], found["generation"]) == (index.manifest.model.sha256, 1)


def test_paintings_are_found_by_words_and_by_artist_page_by_page(client):
    found = client.get("/v1/paintings", params={"q": "RÉD r1"}).json()
    assert [each["id"] for each in found["paintings"]] == [RED_TOO]
    pages = [
        client.get("/v1/paintings", params={"artist": "painter, red", "page": page, "per_page": 3}).json()
        for page in (1, 2, 3)
    ]
    assert [len(page["paintings"]) for page in pages] == [3, 1, 0]
    assert {page["total"] for page in pages} == {4}
    assert client.get("/v1/paintings", params={"artist": "nobody here"}).status_code == 404


def test_paintings_are_counted_and_each_count_finds_its_paintings(tmp_path, embedder):
    folder = tmp_path / "some"
    years, artists = [1599, 1600, 1650, 1650, None, None], ["One", "One", "One", "L'Autre", None, None]
    paths = [str(painting(folder / f"{number}.png", number)) for number in range(6)]
    table = {
        "path": paths,
        "artist": artists,
        "year": years,
        "style": ["Baroque", "Baroque", 'a "new" one', *[None] * 3],
    }
    index = Index.build(tmp_path / "some.artidx", pd.DataFrame(table), embedder=embedder)[0]
    with served(index.source) as service, service.client() as client:
        found = {each["name"]: each["values"] for each in client.get("/v1/facets").json()["facets"]}
        counts = {name: {each["value"]: each["paintings"] for each in values} for name, values in found.items()}
        assert counts == {
            "artist": {"artist unknown": 2, "One": 3, "L'Autre": 1},
            "century": {"1500–1599": 1, "1600–1699": 3},
            "style": {"Baroque": 2, 'a "new" one': 1},
        }
        for each in (value for values in found.values() for value in values):
            paintings = client.get("/v1/paintings", params={"where": each["where"]}).json()
            assert paintings["total"] == len(paintings["paintings"]) == each["paintings"]
        narrow = {"where": "artist == 'One'", "q": "2.png"}
        among = {each["name"]: each["values"] for each in client.get("/v1/facets", params=narrow).json()["facets"]}
        assert [value["paintings"] for value in among["century"]] == [1]
        assert client.get("/v1/facets", params={"where": "year = 3"}).status_code == 422


def test_an_artist_is_found_by_any_spelling_with_the_nearest_others(client):
    found = client.get("/v1/artists/PAINTER, Red").json()
    assert found["artist"] == {"id": "red painter", "artist": "Red Painter", "paintings": 4}
    assert {near["artist"]["id"] for near in found["near"]} == {"green painter", "blue painter"}
    blue = client.get("/v1/artists", params={"q": "blue"}).json()
    assert [each["artist"] for each in blue["artists"]] == ["Blue Painter"]


def test_a_picture_is_small_and_in_its_proportions_and_is_not_sent_twice(tmp_path, embedder):
    for number in range(3):
        painting(tmp_path / "wide" / f"{number}.png", number, side=900)
    Image.open(tmp_path / "wide" / "0.png").resize((900, 300)).save(tmp_path / "wide" / "0.png")
    index = Index.build(tmp_path / "wide.artidx", tmp_path / "wide", embedder=embedder)[0]
    with served(index.source) as service, service.client() as client:
        answer = client.get("/v1/thumbnails/0.png")
        assert answer.headers["content-type"] == "image/jpeg"
        assert Image.open(io.BytesIO(answer.content)).size == (320, 107)
        assert Image.open(io.BytesIO(client.get("/v1/images/0.png").content)).size == (900, 300)
        again = client.get("/v1/thumbnails/0.png", headers={"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


def test_tiles_put_together_are_the_picture_at_every_level(tmp_path, embedder):
    for number in range(3):
        painting(tmp_path / "large" / f"{number}.png", number, side=1300)
    path = tmp_path / "large" / "0.png"
    Image.open(path).resize((1300, 700)).save(path)
    index = Index.build(tmp_path / "large.artidx", tmp_path / "large", embedder=embedder)[0]
    with served(index.source) as service, service.client() as client:
        zoom = client.get("/v1/zoom/0.png").json()
        assert (zoom["width"], zoom["height"], zoom["tile"], zoom["levels"]) == (1300, 700, 512, 3)
        whole = Image.open(path).convert("RGB")
        for level, (width, height) in enumerate(((325, 175), (650, 350), (1300, 700))):
            found = Image.new("RGB", (width, height))
            for column in range(-(-width // 512)):
                for row in range(-(-height // 512)):
                    tile = client.get("/v1/tiles/0.png", params={"level": level, "column": column, "row": row})
                    found.paste(Image.open(io.BytesIO(tile.content)), (512 * column, 512 * row))
            assert np.abs(np.asarray(found, float) - np.asarray(whole.resize((width, height)), float)).mean() < 4
        again = client.get(tile.request.url, headers={"if-none-match": tile.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        outside = client.get("/v1/tiles/0.png", params={"level": 2, "column": 3, "row": 0})
        assert (outside.status_code, outside.json()["type"]) == (404, "urn:artidx:no-tile")
        path.unlink()
        assert client.get("/v1/zoom/1.png").status_code == 200
        assert client.get("/v1/zoom/nothing").status_code == 404


def test_a_file_that_has_changed_since_is_not_shown_as_the_painting(client, collection):
    assert client.get(f"/v1/paintings/{RED}").json()["has_image"]
    painting(collection / RED, 99)
    assert not client.get(f"/v1/paintings/{RED}").json()["has_image"]
    answer = client.get(f"/v1/images/{RED}")
    assert answer.status_code == 404
    assert answer.json()["detail"] == f"{RED}: its image has changed since it was indexed"
    (collection / RED).unlink()
    assert client.get(f"/v1/images/{RED}").json()["detail"] == f"{RED}: no such file"
    assert client.post("/v1/regions", **form(a=RED, b=BLUE)).status_code == 422


def sent(client, data):
    return client.post("/v1/nearest", content=data, headers={"content-type": "application/json"})


REFUSED = {
    "no form": (lambda c: c.post("/v1/pair", data={"a": RED, "b": BLUE}), 415, "no-form"),
    "a picture as JSON": (lambda c: c.post("/v1/regions", json={"a": RED, "b": {"file": "x"}}), 422, "bad-setting"),
    "a number as a text": (lambda c: c.post("/v1/nearest", json={"image": RED, "k": "3"}), 422, "bad-setting"),
    "a text as a number": (lambda c: c.post("/v1/nearest", json={"image": 5}), 422, "bad-setting"),
    "truth for a number": (lambda c: c.post("/v1/pair", json={"a": RED, "b": BLUE, "prior": True}), 422, "bad-setting"),
    "a list": (lambda c: c.post("/v1/pair", json=[RED, BLUE]), 422, "bad-setting"),
    "no fields as JSON": (lambda c: c.post("/v1/pair", json={"a": RED}), 422, "missing-field"),
    "another field as JSON": (lambda c: c.post("/v1/nearest", json={"image": RED, "K": 3}), 422, "unknown-field"),
    "a long text": (lambda c: c.post("/v1/nearest", json={"image": "x" * 5000}), 422, "bad-setting"),
    "no JSON": (lambda c: sent(c, b"{'image': 1}"), 400, "bad-request"),
    "a field twice as JSON": (lambda c: sent(c, b'{"image": "a", "image": "b"}'), 400, "bad-request"),
    "half a character": (lambda c: sent(c, b'{"image": "\\ud800"}'), 400, "bad-request"),
    "no number": (lambda c: sent(c, b'{"image": "a", "k": NaN}'), 400, "bad-request"),
    "deep JSON": (lambda c: sent(c, b"[" * 100_000), 400, "bad-request"),
    "much JSON": (lambda c: sent(c, b" " * 200_000), 413, "too-large"),
    "JSON for a picture": (lambda c: c.post("/v1/paintings", json={}), 401, "unauthorized"),
    "a charset": (
        lambda c: c.post(
            "/v1/nearest",
            content=b"--x--",
            headers={"content-type": "multipart/form-data; boundary=x; charset=undefined"},
        ),
        415,
        "no-form",
    ),
    "no fields": (lambda c: c.post("/v1/pair", **form(a=RED)), 422, "missing-field"),
    "another field": (lambda c: c.post("/v1/nearest", **form(image=RED, url="http://a.org/")), 422, "unknown-field"),
    "an empty field": (lambda c: c.post("/v1/nearest", **form(image="")), 422, "missing-field"),
    "a field twice": (
        lambda c: c.post("/v1/nearest", files=[("image", (None, RED)), ("image", (None, RED))]),
        422,
        "bad-setting",
    ),
    "too many fields": (lambda c: c.post("/v1/nearest", files=[("image", (None, RED))] * 50), 400, "bad-request"),
    "a file for a number": (lambda c: c.post("/v1/nearest", **form(image=RED, k=("k", b"3"))), 422, "bad-setting"),
    "half a painting": (lambda c: c.post("/v1/nearest", **form(image=RED, k=2.5)), 422, "bad-setting"),
    "words for a number": (lambda c: c.post("/v1/pair", **form(a=RED, b=BLUE, prior="much")), 422, "bad-setting"),
    "not a number": (lambda c: c.post("/v1/pair", **form(a=RED, b=BLUE, threshold="nan")), 422, "bad-setting"),
    "a prior of one": (lambda c: c.post("/v1/pair", **form(a=RED, b=BLUE, prior=1)), 422, "bad-setting"),
    "another rate": (lambda c: c.post("/v1/pair", **form(a=RED, b=BLUE, fpr=0.2)), 422, "bad-setting"),
    "two decisions": (lambda c: c.post("/v1/pair", **form(a=RED, b=BLUE, fpr=0.1, threshold=1)), 422, "bad-setting"),
    "an expression": (lambda c: c.post("/v1/nearest", **form(image=RED, where="__import__('os')")), 422, "bad-setting"),
    "an unknown id": (lambda c: c.post("/v1/nearest", **form(image="none")), 404, "unknown-painting"),
    "an unknown artist": (lambda c: c.get("/v1/artists/nobody"), 404, "unknown-artist"),
    "works of nobody": (lambda c: c.get("/v1/paintings?artist=nobody"), 404, "unknown-artist"),
    "a path": (lambda c: c.post("/v1/nearest", **form(image="/etc/hostname")), 404, "unknown-painting"),
    "text": (lambda c: c.post("/v1/nearest", **form(image=("a.jpg", b"no picture"))), 415, "not-an-image"),
    "an empty file": (lambda c: c.post("/v1/nearest", **form(image=("a.jpg", b""))), 422, "unreadable-image"),
    "no route": (lambda c: c.get("/v1/nothing"), 404, "not-found"),
    "another method": (lambda c: c.get("/v1/pair"), 405, "method-not-allowed"),
    "a page of none": (lambda c: c.get("/v1/paintings?page=0"), 422, "bad-setting"),
    "no token": (lambda c: c.delete(f"/v1/paintings/{RED}"), 401, "unauthorized"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_answered_is_refused_with_a_reason(case, client, tmp_path):
    ask, status, name = REFUSED[case]
    answer = ask(client)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    found = answer.json()
    assert set(found) == {"type", "title", "status", "detail"}
    assert (found["type"], found["status"]) == (f"urn:artidx:{name}", status)
    assert found["detail"]
    assert str(tmp_path.parents[1]) not in found["detail"]  # not where things lie on the server


def test_an_image_with_too_many_pixels_or_bytes_is_refused(index, tmp_path):
    large = painting(tmp_path / "large.png", 0, side=300)
    with served(index.source, max_pixels=64 * 64, max_body_bytes=1 << 16) as service, service.client() as client:
        answer = client.post("/v1/nearest", **form(image=large))
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:artidx:unreadable-image")
        assert "megapixels" in answer.json()["detail"]
        answer = client.post("/v1/nearest", **form(image=("x.jpg", bytes(1 << 17))))
        assert (answer.status_code, answer.json()["type"]) == (413, "urn:artidx:too-large")

        def without_length():  # so that only counting tells
            for _ in range(32):
                yield bytes(1 << 14)

        answer = client.post(
            "/v1/nearest", content=without_length(), headers={"content-type": "multipart/form-data; boundary=x"}
        )
        assert answer.status_code in (400, 413)
        assert client.post("/v1/nearest", **form(image=RED)).status_code == 200


def test_an_index_that_was_never_calibrated_says_so(tmp_path, collection):
    path = tmp_path / "plain.onnx"
    path.write_bytes(small_model(calibration=None))
    index = Index.build(tmp_path / "plain.artidx", collection, embedder=Embedder.load(path))[0]
    with served(index.source) as service, service.client() as client:
        for answer in (client.post("/v1/pair", **form(a=RED, b=BLUE)), client.post("/v1/nearest", **form(image=RED))):
            assert (answer.status_code, answer.json()["type"]) == (409, "urn:artidx:uncalibrated")
            assert answer.json()["detail"].startswith("plain.artidx: not calibrated")
        assert client.get("/v1/paintings").status_code == 200


def test_who_has_no_token_neither_asks_nor_writes(index, tmp_path):
    with served(index.source, read_token="for-reading", write_token=TOKEN, uploads=tmp_path) as service:
        for token, may_read, may_write in (
            (None, False, False),
            ("wrong", False, False),
            ("for-reading", True, False),
            (TOKEN, True, True),
            (TOKEN + "x", False, False),
        ):
            with service.client(token) as client:
                reads = [
                    client.get("/v1/index"),
                    client.get("/v1/map"),
                    client.get("/metrics"),
                    client.get(f"/v1/images/{RED}"),
                    client.post("/v1/pair", **form(a=RED, b=BLUE)),
                ]
                assert all((answer.status_code < 400) == may_read for answer in reads)
                refused = client.delete("/v1/paintings/none")
                assert refused.status_code == (404 if may_write else 403 if may_read else 401)
                if refused.status_code == 403:
                    assert refused.json()["type"] == "urn:artidx:only-for-reading"
                assert {client.get(path).status_code for path in ("/livez", "/readyz", "/")} == {200}
        assert reads[0].headers.get("www-authenticate") == "Bearer"


def test_a_page_from_elsewhere_cannot_ask_a_service_for_this_machine_alone(index):
    with served(index.source, is_local=True) as service, service.client() as client:
        for host, status in (
            ("localhost", 200),
            ("127.0.0.1:8000", 200),
            ("[::1]:8000", 200),
            ("evil.example", 403),
            ("127.0.0.1.evil.example:8000", 403),
        ):
            assert client.get("/v1/index", headers={"host": host}).status_code == status
    with served(index.source, is_local=True, read_token="t") as service, service.client("t") as client:
        assert client.get("/v1/index", headers={"host": "museum.example"}).status_code == 200


def test_who_is_refused_takes_no_room_while_the_rest_of_the_request_comes_in(index):
    with served(index.source, read_token="t", in_flight=2) as service:
        head = b"POST /v1/nearest HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
        unfinished = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(8)]
        for connection in unfinished:
            connection.sendall(head)
            time.sleep(0.02)
        with service.client("t") as client:
            assert client.post("/v1/nearest", **form(image=RED)).status_code == 200
        for connection in unfinished:
            with connection:
                assert connection.recv(1 << 16).split(b" ")[1] == b"401"


def test_an_archive_that_was_replaced_is_read_as_it_is_now(tmp_path, collection, embedder):
    def packed():
        with zipfile.ZipFile(tmp_path / "new.zip", "w") as archive:
            for path in sorted(collection.rglob("*.png")):
                archive.write(path, path.name)
        (tmp_path / "new.zip").replace(tmp_path / "paintings.zip")

    packed()
    table = pd.DataFrame({"id": ["R0", "R1", "R2"], "artist": "Red"})
    table["path"] = [f"{tmp_path}/paintings.zip::{name}.png" for name in table["id"]]
    catalog = Catalog("a test", table.assign(title=None, year=None)[["id", "path", "artist", "title", "year"]])
    index = Index.build(tmp_path / "zipped.artidx", catalog, embedder=embedder)[0]
    with served(index.source) as service, service.client() as client:
        assert client.get("/v1/thumbnails/R0").status_code == 200
        packed()
        assert client.get("/v1/images/R1").status_code == 200
        painting(collection / RED, 99)
        packed()
        assert client.get("/v1/images/R0").json()["detail"] == "R0: its image has changed since it was indexed"


def test_nothing_can_be_changed_without_a_write_token_or_in_the_reference_gallery(index):
    with served(index.source) as service, service.client("any") as client:
        answer = client.delete(f"/v1/paintings/{RED}")
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:artidx:writing-is-off")
    with served(index.source, write_token=TOKEN) as service, service.client(TOKEN) as client:
        assert client.post("/v1/paintings", **form(image=("a.png", b"x"))).status_code == 403  # no folder for uploads
    with served(None, write_token=TOKEN) as service, service.client(TOKEN) as client:
        painting_of_gallery = client.get("/v1/paintings?per_page=1").json()["paintings"][0]["id"]
        answer = client.delete(f"/v1/paintings/{painting_of_gallery}")
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:artidx:not-to-be-changed")
        assert answer.headers["artidx-index"] == "the reference gallery"


def test_a_painting_is_added_found_and_removed_with_its_picture(service, client, index, tmp_path):
    new = painting(tmp_path / "new.png", 77)
    with service.client(TOKEN) as writer:
        answer = writer.post(
            "/v1/paintings",
            **form(
                image=("../../evil.png", new.read_bytes()),
                artist="Nell Painter",
                title="Néw",
                year="c. 1890",
                id="new/1",
            ),
        )
        assert answer.status_code == 201, answer.text
        assert answer.json()["generation"] == int(answer.headers["artidx-generation"]) == 2
        assert answer.json()["painting"] | {"path": ""} == {
            "id": "new/1",
            "path": "",
            "artist": "Nell Painter",
            "title": "Néw",
            "year": 1890,
            "attribution": "Nell Painter",
            "object": None,
            "url": None,
        }
        kept = list((tmp_path / "uploads").iterdir())
        assert [re.fullmatch(r"[0-9a-f]{64}\.image", path.name) is not None for path in kept] == [True]
        assert client.get("/v1/paintings/new/1").json()["has_image"]
        known = as_served(json.loads(as_json(Index.open(index.source).nearest(new.read_bytes()))))
        assert client.post("/v1/nearest", **form(image=new)).json() == known | {"query": "new.png"}
        for again, name in (
            (form(image=new, id="other"), "already-there"),
            (form(image=painting(new, 78), id=RED), "id-is-taken"),
        ):
            refused = writer.post("/v1/paintings", **again)
            assert (refused.status_code, refused.json()["type"]) == (409, f"urn:artidx:{name}")
        assert writer.post("/v1/paintings", **form(image=("a.png", b"no"))).status_code == 415
        assert writer.post("/v1/paintings", **form(image=new, year="long ago")).status_code == 422
        gone = writer.delete("/v1/paintings/new/1")
        assert (gone.status_code, gone.json()["paintings"], gone.json()["generation"]) == (200, 12, 3)
    assert not list((tmp_path / "uploads").iterdir())
    assert client.get("/v1/paintings/new/1").status_code == 404
    assert Index.open(index.source).check() == []


def test_a_change_while_another_process_writes_is_to_be_tried_again_and_leaves_no_picture(service, index, tmp_path):
    new = painting(tmp_path / "new.png", 77)
    with generations.writer(index.source), service.client(TOKEN) as client:
        for answer in (client.post("/v1/paintings", **form(image=new)), client.delete(f"/v1/paintings/{RED}")):
            assert (answer.status_code, answer.json()["type"]) == (503, "urn:artidx:index-busy")
            assert answer.headers["retry-after"]
            assert str(index.source) not in answer.text
    assert not list((tmp_path / "uploads").iterdir())
    with service.client(TOKEN) as client:
        assert client.post("/v1/paintings", **form(image=new)).status_code == 201


def test_a_change_that_took_too_long_is_finished_before_the_next_begins(index, tmp_path, monkeypatch):
    added = Index.add

    def slowly(*words, **settings):
        time.sleep(4.5)
        return added(*words, **settings)

    monkeypatch.setattr(Index, "add", slowly)
    images = [painting(tmp_path / f"{number}.png", 70 + number) for number in range(2)]
    with served(index.source, uploads=tmp_path / "uploads", write_token=TOKEN, answer_s=4) as service:
        with service.client(TOKEN) as client:  # four seconds: what waits so long before it begins is never made
            assert client.post("/v1/paintings", **form(image=images[0])).json()["type"] == "urn:artidx:too-slow"
        monkeypatch.setattr(Index, "add", added)
        with service.client(TOKEN) as client:
            assert client.post("/v1/paintings", **form(image=images[0])).json()["type"] == "urn:artidx:already-there"
            assert client.post("/v1/paintings", **form(image=images[1])).status_code == 201
    assert len(Index.open(index.source)) == 14
    assert len(list((tmp_path / "uploads").iterdir())) == 2


def test_removing_a_painting_of_the_collection_leaves_its_file(service, collection):
    with service.client(TOKEN) as writer:
        assert writer.delete(f"/v1/paintings/{RED}").status_code == 200
    assert (collection / RED).is_file()


def test_a_new_generation_answers_without_a_restart_and_the_old_one_until_then(client, service, index):
    before = client.post("/v1/nearest", **form(image=RED)).json()
    Index.open(index.source).remove([RED_TOO])
    deadline = time.monotonic() + 20
    while client.get("/v1/index").json()["generation"] == 1:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    after = client.post("/v1/nearest", **form(image=RED)).json()
    assert (before["searched"], after["searched"]) == (12, 11)
    assert service.state.holder.index.embedder is not None


def test_a_damaged_new_generation_leaves_the_old_one_answering(client, index, caplog):
    (index.source / "CURRENT").write_text("rubbish")
    deadline = time.monotonic() + 20
    while "cannot be opened" not in caplog.text:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert client.post("/v1/nearest", **form(image=RED)).status_code == 200
    assert client.get("/readyz").status_code == 200


def test_what_cannot_be_opened_is_logged_once_and_not_every_second(client, index, caplog, monkeypatch):
    monkeypatch.setattr("artidx.service.holder.LOOK_S", 0.01)
    looks = []
    is_current = Index.is_current
    monkeypatch.setattr(Index, "is_current", lambda self: looks.append(1) or is_current(self))
    (index.source / "CURRENT").write_text("rubbish")
    deadline = time.monotonic() + 20
    while "cannot be opened" not in caplog.text or len(looks) < 10:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert caplog.text.count("cannot be opened") == 1


@pytest.mark.full
def test_a_map_of_an_index_that_is_away_is_drawn_when_it_is_back(client, monkeypatch, tmp_path, caplog):
    python = tmp_path / "away"
    python.write_text(f"#!/bin/sh\necho nobody answers >&2\nexit {AWAY}\n")
    python.chmod(0o755)
    monkeypatch.setattr("artidx.service.aside.AGAIN_S", 0.5)
    with monkeypatch.context() as away:
        away.setattr("artidx.service.aside.sys.executable", str(python))
        deadline = time.monotonic() + 20
        while "the map is not made yet: nobody answers" not in caplog.text:
            assert client.get("/v1/map").status_code == 202
            assert time.monotonic() < deadline
            time.sleep(0.05)
    while client.get("/v1/map").status_code == 202:
        assert time.monotonic() < deadline + 60
        time.sleep(0.2)
    assert client.get("/v1/map").status_code == 200


def test_one_address_may_not_take_all_the_room(index, tmp_path):
    with served(index.source, in_flight=4) as service:
        images = [painting(tmp_path / f"{number}.png", 500 + number, side=1500) for number in range(24)]

        def ask(image):
            with service.client() as client:
                return client.post("/v1/nearest", **form(image=image))

        with ThreadPoolExecutor(24) as pool:
            answers = list(pool.map(ask, images))
        assert {answer.status_code for answer in answers} <= {200, 429}
        refused = [answer for answer in answers if answer.status_code == 429]
        assert all(answer.headers["retry-after"] == "2" for answer in refused)
        assert ask(images[0]).status_code == 200


def test_looking_has_room_of_its_own(index, monkeypatch):
    is_over = threading.Event()

    def slow(*_, **__):
        is_over.wait(20)
        return Listed((), 0)

    monkeypatch.setattr(Collection, "search", slow)
    with served(index.source, in_flight=4) as service, service.client() as client, ThreadPoolExecutor(6) as pool:
        try:
            waiting = [pool.submit(httpx.get, f"{service.url}/v1/paintings", trust_env=False) for _ in range(2)]
            deadline = time.monotonic() + 10
            while client.get("/v1/index").status_code != 429:
                assert time.monotonic() < deadline
            assert client.get("/livez").status_code == 200
        finally:
            is_over.set()
        assert {each.result().status_code for each in waiting} == {200}
        assert client.post("/v1/nearest", **form(image=RED)).status_code == 200


def test_metrics_tell_stages_apart_and_count_what_was_answered(client, tmp_path):
    client.post("/v1/nearest", **form(image=painting(tmp_path / "a.png", 5)))
    client.get("/v1/paintings/none")
    text = client.get("/metrics").text
    for stage in ("decode", "embed", "search"):
        assert re.search(rf'artidx_stage_seconds_count{{stage="{stage}"}} [1-9]', text)
    assert 'artidx_requests_total{method="POST",route="/v1/nearest",status="200"} 1.0' in text
    assert 'route="/v1/paintings/{id:path}",status="404"} 1.0' in text
    assert "artidx_paintings 12.0" in text


def test_the_log_has_the_request_and_neither_token_nor_picture(service, tmp_path, caplog):
    caplog.set_level(logging.INFO, "artidx.service")
    with service.client(TOKEN) as client:
        answer = client.post(
            "/v1/nearest", **form(image=painting(tmp_path / "private name.png", 5)), headers={"x-request-id": "mine-1"}
        )
        client.get("/v1/paintings", params={"q": "private words"})
    assert answer.headers["x-request-id"] == "mine-1"
    facts = [record.facts for record in caplog.records if hasattr(record, "facts")]
    assert facts[0] | {"ms": 0, "received": 0, "sent": 0} == {
        "request": "mine-1",
        "method": "POST",
        "path": "/v1/nearest",
        "status": 200,
        "ms": 0,
        "received": 0,
        "sent": 0,
    }
    assert "private" not in str(facts)
    assert TOKEN not in caplog.text


def test_a_bug_is_a_problem_with_no_word_of_the_inside(service, monkeypatch, caplog):
    def broken(*_, **__):
        raise RuntimeError("/secret/place")

    monkeypatch.setattr(Index, "answer", broken)
    with service.client() as client:
        answer = client.post("/v1/nearest", **form(image=RED))
    assert (answer.status_code, answer.json()["type"]) == (500, "urn:artidx:bug")
    assert "secret" not in answer.text
    deadline = time.monotonic() + 10
    while "/secret/place" not in caplog.text:  # logged after it was answered
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_every_answer_carries_headers_that_keep_a_browser_safe(client):
    for answer in (client.get("/"), client.get("/v1/index"), client.get("/v1/nothing"), client.get("/page/main.js")):
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "access-control-allow-origin" not in answer.headers
        assert "server" not in answer.headers
    assert client.get("/page/main.js").headers["content-encoding"] == "gzip"
    for path in ("/page/..%2fapp.py", "/page/%2e%2e/settings.py", "/page//etc/hostname", "/page/%2fetc%2fhostname"):
        assert client.get(path).status_code == 404


@pytest.mark.full
def test_the_map_is_drawn_once_and_shows_every_painting_with_its_picture(client, collection):
    deadline = time.monotonic() + 60
    while (answer := client.get("/v1/map")).status_code == 202:
        assert answer.headers["retry-after"]
        assert time.monotonic() < deadline
        time.sleep(0.2)
    found = answer.json()
    assert len(found["ids"]) == len(found["x"]) == len(found["y"]) == found["total"] == 12
    assert all(0 <= value <= 1 for value in found["x"] + found["y"])
    artist = found["labels"]["artist"]
    assert [artist["values"][code] for code in artist["codes"]] == [name.partition("/")[0] for name in found["ids"]]
    assert found["years"] == [None] * 12
    assert client.get("/v1/map").status_code == 200
    sheet = client.get("/v1/map/sheets/0")
    with Image.open(io.BytesIO(sheet.content)) as image:
        assert (image.format, image.size, found["cell"]) == ("WEBP", (1024, 1024), 128)
        for number, id in enumerate(found["ids"]):
            column, row = number % 8 * 128, number // 8 * 128
            cell = np.asarray(image.crop((column + 32, row + 32, column + 96, row + 96)), float)
            assert cell[..., 3].min() == 255
            whole = np.asarray(Image.open(collection / id).convert("RGB"), float)
            assert np.abs(cell[..., :3].mean((0, 1)) - whole.mean((0, 1))).max() < 4
        assert np.asarray(image.crop((512, 128, 1024, 1024)))[..., 3].max() == 0
    again = client.get("/v1/map/sheets/0", headers={"if-none-match": sheet.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get("/v1/map/sheets/1").json()["type"] == "urn:artidx:no-sheet"


def test_images_of_many_requests_are_embedded_together_and_come_out_as_alone(embedder, monkeypatch):
    import asyncio

    chance = np.random.default_rng(0)
    jobs = [
        chance.integers(0, 255, (1 + number % 3, embedder.size, embedder.size, 3)).astype(np.uint8)
        for number in range(40)
    ]
    expected = [embedder.infer(job) for job in jobs]
    monkeypatch.setattr(embedder, "provider", "CUDAExecutionProvider")  # then whole batches are made
    metrics = Metrics()
    engine = Engine(embedder, metrics, Traces())

    async def all_at_once():
        return await asyncio.gather(*(engine.embed(embedder, job) for job in jobs))

    found = asyncio.run(all_at_once())
    engine.close()
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    batches = metrics.registry.get_sample_value("artidx_batch_images_count")
    assert batches < len(jobs) / 2
    assert metrics.registry.get_sample_value("artidx_batch_images_sum") == sum(map(len, jobs))


def test_a_model_that_fails_tells_the_request_and_goes_on(embedder):
    import asyncio

    engine = Engine(embedder, Metrics(), Traces())
    wrong = np.zeros((1, 3, 3, 3), np.uint8)
    with pytest.raises(Exception, match="cannot be run"):
        asyncio.run(engine.embed(embedder, wrong))
    right = np.zeros((1, embedder.size, embedder.size, 3), np.uint8)
    assert asyncio.run(engine.embed(embedder, right)).shape == (1, embedder.dim)
    assert engine.is_alive
    engine.close()
    assert not engine.is_alive


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("museum.org", False),
    ],
)
def test_only_loopback_is_this_machine_alone(host, expected):
    assert is_loopback(host) == expected


class Command:
    """`artidx serve` as a process of its own."""

    def __init__(self, *words, **environment):
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115  # a pipe that nobody reads would fill
        self.process = subprocess.Popen(
            [sys.executable, "-m", "artidx.cli", "serve", *map(str, words), "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=os.environ | environment,
        )

    def __enter__(self):
        self.first = self.process.stdout.readline()
        self.url = self.first.rpartition(" at ")[2].strip()
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()
        self._log.close()

    def log(self):
        """What it said, once it has ended."""
        self.process.wait(timeout=20)
        self._log.seek(0)
        return self._log.read()


@pytest.mark.full
def test_the_command_says_where_it_answers_and_finishes_what_it_took_when_stopped(index, tmp_path):
    image = painting(tmp_path / "a.png", 3, side=2500)  # some tenths of a second to decode
    with Command(index.source) as command, httpx.Client(base_url=command.url, trust_env=False, timeout=30) as client:
        assert command.first.startswith(f"{index.source}: 12 paintings by 3 artists, at http://127.0.0.1:")
        client.get("/readyz")
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(client.post, "/v1/nearest", **form(image=image))
            while "artidx_in_flight 1.0" not in httpx.get(f"{command.url}/metrics", trust_env=False).text:
                assert not answer.done(), "it was too quick to be stopped in between"
            command.process.send_signal(signal.SIGTERM)
            assert answer.result().status_code == 200
        log = command.log()
        assert command.process.returncode == -signal.SIGTERM, log
        assert {json.loads(line)["status"] for line in log.splitlines() if "answered" in line} == {200}


@pytest.mark.full
def test_the_tokens_are_those_of_the_environment(index):
    with Command(index.source, ARTIDX_READ_TOKEN="r", ARTIDX_WRITE_TOKEN="w") as command:
        statuses = [
            [
                httpx.request(
                    method,
                    f"{command.url}/v1/paintings/none",
                    trust_env=False,
                    headers={"authorization": f"Bearer {token}"},
                ).status_code
                for method in ("GET", "DELETE")
            ]
            for token in "rwx"
        ]
    assert statuses == [[404, 403], [404, 404], [401, 401]]


@pytest.mark.full
def test_a_port_that_is_taken_is_one_clear_line(index):
    with Command(index.source) as command:
        found = CliRunner().invoke(artidx, ["serve", str(index.source), "--port", command.url.rpartition(":")[2]])
    assert "Address already in use" in str(found.exception)
