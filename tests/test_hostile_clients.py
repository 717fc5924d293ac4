"""Foreign pages, and clients that take all connections."""

from __future__ import annotations

import io
import socket
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack

import httpx
import pytest
from click.testing import CliRunner
from PIL import Image
from starlette.datastructures import Headers

from artidx.cli.main import artidx
from artidx.service import server
from artidx.service.origin import check_host
from artidx.service.problems import Problem
from artidx.service.settings import ServiceSettings
from made import painting
from served import TOKEN, form, served

REBOUND = [
    "evil.example",
    "evil.example:8000",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "0x7f000001",
    "2130706433",
    "localhost:x@evil.example",
    "[::",
    "",
]
FORM = {"image": (None, "Red Painter/R0.png")}


@pytest.mark.parametrize("host", REBOUND)
@pytest.mark.parametrize("is_local", [True, False])
def test_a_service_without_a_token_is_not_asked_by_a_name_that_may_be_a_strangers(host, is_local):
    with pytest.raises(Problem, match="unknown host name"):
        check_host(Headers({"host": host}), ServiceSettings(is_local=is_local))


@pytest.mark.parametrize(
    ("host", "settings"),
    [
        ("localhost", {"is_local": True}),
        ("LOCALHOST.", {"is_local": True}),
        ("127.0.0.1", {"is_local": True}),
        ("[::1]:8000", {"is_local": True}),
        ("127.0.0.1:80", {"is_local": True}),
        ("192.0.2.7", {}),
        ("[2001:db8::7]", {}),
        ("localhost", {}),
        ("museum.example", {"allowed_hosts": frozenset({"museum.example"})}),
        ("evil.example", {"read_token": TOKEN}),
    ],
)  # whose holder knows whom he asks
def test_addresses_known_names_and_tokens_are_let_in(host, settings):
    check_host(Headers({"host": host}), ServiceSettings(**settings))


def test_what_is_read_needs_a_known_name_in_a_container_too(index):
    with served(index.source, is_local=False) as service, service.client() as client:
        for path in ("/v1/index", "/v1/paintings", "/metrics", "/v1/map"):
            assert client.get(path).status_code in (200, 202)
            refused = client.get(path, headers={"host": "evil.example:8000"})
            assert (refused.status_code, refused.json()["type"]) == (403, "urn:artidx:strange-host")
        assert client.get("/livez", headers={"host": "pod.cluster"}).status_code == 200
        assert client.post("/v1/nearest", files=FORM, headers={"host": "evil.example"}).status_code == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"sec-fetch-site": "same-origin", "origin": "https://museum.example"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "cross-site", "origin": "https://partner.example"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://[::"}, 403),
        ({"origin": "http://127.0.0.1:1"}, 403),
    ],
)
def test_what_a_page_from_elsewhere_sends_is_not_worked_on(index, headers, status):
    with served(index.source, allowed_hosts=frozenset({"partner.example"})) as service, service.client() as client:
        assert client.post("/v1/nearest", files=FORM, headers=headers).status_code == status
        own = client.post("/v1/nearest", files=FORM, headers={"origin": service.url})
        assert own.status_code == 200


def test_whom_a_client_says_that_it_asks_for_is_not_believed(index, tmp_path):
    with served(index.source, in_flight=4) as service, ExitStack() as stack:
        head = (
            b"POST /v1/nearest HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
            b"X-Forwarded-For: 10.0.0.%d\r\nContent-Type: multipart/form-data; boundary=b\r\n\r\n--b"
        )
        for number in range(8):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", service.port)))
            slow.sendall(head % number)
        deadline = time.monotonic() + 20
        while service.state.metrics.registry.get_sample_value("artidx_in_flight") != 2:  # half of the room, no more
            assert time.monotonic() < deadline
            time.sleep(0.05)
        there = httpx.HTTPTransport(local_address="127.0.0.2")
        with httpx.Client(transport=there, base_url=service.url, timeout=60) as other:
            assert other.post("/v1/nearest", **form(image=painting(tmp_path / "a.png", 3))).status_code == 200


def test_a_small_picture_does_not_wait_behind_large_ones(index, tmp_path):
    # Twenty AVIF files of 64 megapixels had it wait for a minute, and then for nothing.
    large, small = io.BytesIO(), painting(tmp_path / "a.png", 3)
    Image.new("RGB", (5000, 5000)).save(large, "PNG", compress_level=1)

    def asked(image):
        with service.client() as client:
            return client.post("/v1/nearest", **form(image=image)).status_code

    with served(index.source) as service, ThreadPoolExecutor(9) as pool:
        waiting = [pool.submit(asked, ("large.png", large.getvalue())) for _ in range(8)]
        deadline = time.monotonic() + 20
        while service.state.metrics.registry.get_sample_value("artidx_in_flight") < 7:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        honest = pool.submit(asked, small)
        order = [each is honest for each in as_completed([*waiting, honest])]
        assert {each.result() for each in (*waiting, honest)} == {200}
    assert order.index(True) < 6  # of 9


def test_who_opens_many_connections_closes_its_own(index, monkeypatch):
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 60)
    with served(index.source) as service, ExitStack() as stack:

        def idle(count, address):
            return [
                stack.enter_context(socket.create_connection(("127.0.0.1", service.port), 10, (address, 0)))
                for _ in range(count)
            ]

        patient = idle(1, "127.0.0.3")[0]
        for number in range(2, 12):
            idle(60, f"127.0.1.{number}")
        with service.client() as client:
            for _ in range(20):
                started = time.monotonic()
                assert client.get("/livez").status_code == 200
                assert time.monotonic() - started < 5
        idle(60, "127.0.0.1")
        with service.client() as client:  # from where the many come, too
            assert client.get("/livez").status_code == 200
        patient.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert patient.recv(100).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("option", ["--allow-host", "--proxy"])
def test_the_command_has_the_options_for_it(option):
    assert option in CliRunner().invoke(artidx, ["serve", "--help"]).output
