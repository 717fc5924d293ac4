"""The service among clients that are slow, many, wrong or malicious, and while its index changes under it.

ARTIDX_FAULTS=full makes it 2,000 malformed uploads and 50 generations; by default a tenth of that.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import re
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pandas as pd
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from test_service import RED, RED_TOO, Command
from test_service_description import OPERATIONS

from artidx import Index
from artidx.service import holder, server
from artidx.service.problems import REASONS
from bad_images import KINDS, make_bad
from made import painting
from served import TOKEN, form, served

FULL = os.environ.get("ARTIDX_FAULTS") == "full"
MALFORMED, SWAPS = (2000, 50) if FULL else (200, 6)
PARALLEL = 500
DOCUMENTED = {200, *REASONS} - {500}
BOUNDARY = b"boundary"
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]


@pytest.fixture
def command(index):
    with Command(index.source, "--max-mb", 4, "--max-pixels", 100_000) as found:
        yield found


def talk(url, data, timeout=30):
    """The status of a server's answer to these bytes, or 0 if it closed the connection."""
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(1 << 16)
        except ConnectionError:
            return 0
    return int(answer.split(b" ", 2)[1]) if answer else 0


def request(body, path=b"/v1/nearest", length=None):
    length = str(len(body) if length is None else length).encode()
    return (
        b"POST " + path + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"Content-Type: multipart/form-data; boundary="
        + BOUNDARY
        + b"\r\nContent-Length: "
        + length
        + b"\r\n\r\n"
        + body
    )


def part(name, value, filename=None, head=b""):
    file = b"" if filename is None else b'; filename="' + filename + b'"'
    return (
        b"--"
        + BOUNDARY
        + b'\r\nContent-Disposition: form-data; name="'
        + name
        + b'"'
        + file
        + b"\r\n"
        + head
        + b"\r\n"
        + value
        + b"\r\n"
    )


END = b"--" + BOUNDARY + b"--\r\n"


def malformed(chance, image, bad):
    """Requests without end that are wrong in all ways in turn."""
    noise = chance.randbytes
    whole = part(b"image", image, b"a.png") + END
    while True:
        yield request(part(b"image", chance.choice(bad), b"x.jpg") + END)
        yield request(whole[: chance.randrange(len(whole))])
        yield request(part(b"image", noise(500), noise(20).translate(None, b'"\r\n')) + END)
        yield request(noise(chance.randrange(2000)))
        yield request(part(noise(5).hex().encode(), image, b"a.png") + END)
        yield request(part(b"image", b"\xff\xfe\x00id") + END)
        yield request(part(b"image", b"R" * 100_000) + END)
        yield request(part(b"image", b"../../../../etc/passwd\x00") + END)
        yield request(whole, length=len(whole) + 1000)
        yield request(whole, length=chance.choice([0, 10, len(whole) // 2]))
        yield request(whole, length=10**12)
        yield request(part(b"image", RED.encode()) * 100 + END)
        yield request(part(b"image", image, b"a.png", b"X: " + b"y" * 20_000 + b"\r\n") + END)
        yield request(part(b"image", RED.encode()) + part(b"where", b"(" * chance.randrange(1, 3000)) + END)
        yield request(part(b"image", RED.encode()) + part(b"k", b"9" * 400) + END)
        yield request(part(b"a", image, b"a.png") + part(b"b", noise(300), b"b.png") + END, b"/v1/pair")
        yield request(whole).replace(b"boundary=" + BOUNDARY, b"boundary=" + noise(100).hex().encode())
        yield request(whole).replace(b"Content-Length", b"Transfer-Encoding: chunked\r\nContent-Length")
        yield request(whole, b"/v1/" + noise(30).hex().encode())
        yield request(whole).replace(b"HTTP/1.1", b"HTTP/9.9")
        damaged = bytearray(request(whole))
        for _ in range(5):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        yield bytes(damaged)


def peak_mb(process):
    return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())[1]) / 1024


def test_malformed_uploads_are_all_refused_and_cost_no_memory(command, tmp_path):
    make_bad(tmp_path / "bad", len(KINDS))
    bad = [path.read_bytes() for path in (tmp_path / "bad").rglob("*") if path.is_file()]
    requests = malformed(random.Random(0), painting(tmp_path / "a.png", 1).read_bytes(), bad)
    with ThreadPoolExecutor(8) as pool:

        def ask(number):
            return talk(command.url, next_request(number))

        listed = list(itertools.islice(requests, MALFORMED))
        next_request = listed.__getitem__
        early = Counter(pool.map(ask, range(len(listed) // 4)))
        before = peak_mb(command.process)
        statuses = early + Counter(pool.map(ask, range(len(listed) // 4, len(listed))))
    after = peak_mb(command.process)
    print(f"\n{MALFORMED:,} malformed uploads: {dict(sorted(statuses.items()))}; {after:.0f} MB at most")
    assert set(statuses) <= DOCUMENTED | {0}  # 0: the client had hung up in the middle of its request
    assert statuses[200] < MALFORMED / 10  # a byte that was changed may be one of a pixel
    assert after < before + 60
    assert httpx.get(f"{command.url}/readyz", trust_env=False).status_code == 200


def test_many_uploads_at_once_are_answered_or_sent_away(command, tmp_path):
    body = request(part(b"image", painting(tmp_path / "a.png", 1, side=250).read_bytes(), b"a.png") + END)
    port = int(command.url.rpartition(":")[2])
    talk(command.url, body)  # what is loaded with the first picture that is like one of the index, OpenCV too
    before = peak_mb(command.process)

    async def one():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(body)
        await writer.drain()
        answer = await reader.read(1 << 16)
        writer.close()
        return int(answer.split(b" ", 2)[1])

    async def all_at_once():
        return Counter(await asyncio.gather(*(one() for _ in range(PARALLEL))))

    statuses = asyncio.run(all_at_once())
    print(f"\n{PARALLEL} uploads at once: {dict(sorted(statuses.items()))}; {peak_mb(command.process):.0f} MB at most")
    assert set(statuses) <= {200, 429, 503}
    assert statuses[200] >= 32  # the room of one address
    assert peak_mb(command.process) < before + 150
    assert httpx.get(f"{command.url}/readyz", trust_env=False).status_code == 200


def test_a_body_that_is_too_large_is_refused_before_it_is_there(command):
    started = time.monotonic()
    assert talk(command.url, request(b"", length=1 << 40)) in (0, 413)
    data = request(bytes(8 << 20), length=1 << 30)
    assert talk(command.url, data) in (0, 413)
    assert time.monotonic() - started < 10
    with httpx.Client(base_url=command.url, trust_env=False) as client:
        answer = client.post("/v1/nearest", **form(image=("a.jpg", bytes(5 << 20))))
        assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")


def test_a_head_without_end_is_cut_off(command):
    port = int(command.url.rpartition(":")[2])
    before = peak_mb(command.process)
    for piece in (b"X-Header: " + b"y" * 1000 + b"\r\n", b"z" * 1000):
        with socket.create_connection(("127.0.0.1", port), 30) as connection:
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: ")
            with pytest.raises(ConnectionError):
                connection.sendall(piece * 50_000)
    assert peak_mb(command.process) < before + 20
    assert httpx.get(f"{command.url}/livez", trust_env=False).status_code == 200


def test_who_does_not_finish_its_request_is_sent_away_and_keeps_nobody_waiting(index, monkeypatch):
    monkeypatch.setattr(server, "HEAD_S", 0.5)
    with served(index.source, body_s=1.0) as service:
        silent = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(50)]
        half_a_head = socket.create_connection(("127.0.0.1", service.port))
        half_a_head.sendall(b"POST /v1/nearest HTTP/1.1\r\nHost:")
        slow = socket.create_connection(("127.0.0.1", service.port))
        slow.sendall(request(b"--" + BOUNDARY, length=1000))
        with service.client() as client:
            started = time.monotonic()
            assert client.post("/v1/nearest", **form(image=RED)).status_code == 200
            assert time.monotonic() - started < 1
        slow.settimeout(10)
        assert slow.recv(1 << 16).split(b" ")[1] == b"408"
        for connection in (*silent, half_a_head):
            connection.settimeout(10)
            with connection, suppress(ConnectionResetError):
                assert connection.recv(100) == b""
        slow.close()
        assert not service.state.metrics.registry.get_sample_value("artidx_in_flight")


def test_who_keeps_a_connection_and_says_or_reads_nothing_loses_it(index, monkeypatch):
    monkeypatch.setattr(server, "HEAD_S", 0.5)
    monkeypatch.setattr(server, "READ_S", 0.5)
    with served(index.source) as service:
        port = service.port
        with socket.create_connection(("127.0.0.1", port), 10) as idle:
            idle.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            received = b""
            while not received.endswith(b"alive\n"):  # head and body may come apart
                received += idle.recv(1 << 16)
            assert received.startswith(b"HTTP/1.1 200")
            idle.sendall(b"\r\n")  # which ends uvicorn's own patience with a connection that is kept
            with suppress(ConnectionResetError):
                assert idle.recv(100) == b""
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", port))
        with deaf, suppress(ConnectionError, BlockingIOError):
            deaf.settimeout(0.2)
            with suppress(TimeoutError):
                for _ in range(2000):
                    deaf.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)
            time.sleep(1.5)
            deaf.settimeout(10)
            deaf.sendall(b"x" * 100)
            time.sleep(0.2)
            with pytest.raises(ConnectionError):
                deaf.sendall(b"x")


def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(index, tmp_path):
    image = painting(tmp_path / "a.png", 3, side=1200).read_bytes()
    with served(index.source) as service:
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", service.port)) as connection:
                connection.sendall(request(part(b"image", image, b"a.png") + END))
        deadline = time.monotonic() + 30
        while service.state.metrics.registry.get_sample_value("artidx_in_flight"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        with service.client() as client:
            assert client.post("/v1/nearest", **form(image=RED)).status_code == 200


def test_generations_are_swapped_under_load_without_a_failed_request(index, tmp_path, monkeypatch):
    monkeypatch.setattr(holder, "LOOK_S", 0.02)
    image = painting(tmp_path / "a.png", 3)
    asked = [
        ("/v1/nearest", form(image=RED)),
        ("/v1/nearest", form(image=image)),
        ("/v1/pair", form(a=RED, b=RED_TOO)),
        ("/v1/pair", form(a=RED, b=image)),
    ]
    answers: Counter[int] = Counter()
    seen = []
    is_over = threading.Event()
    with served(index.source) as service:

        def load():
            with service.client() as client:
                for path, fields in itertools.cycle(asked):
                    if is_over.is_set():
                        return
                    answer = client.post(path, **fields)
                    answers[answer.status_code] += 1
                    if answer.status_code == 200:
                        assert str(answer.json()["generation"]) == answer.headers["artidx-generation"]
                        seen.append(answer.json()["generation"])

        def swap():
            writer = Index.open(index.source)
            for number in range(SWAPS):
                labels = pd.DataFrame({"id": [RED_TOO], "title": [f"title {number}"]})
                writer.label(labels, by="a test")
                while number + 2 not in seen:  # each generation answers before the next is written
                    time.sleep(0.005)

        with ThreadPoolExecutor(5) as pool:
            clients = [pool.submit(load) for _ in range(4)]
            try:
                pool.submit(swap).result(timeout=120)
            finally:
                is_over.set()
            for client in clients:
                client.result()
    print(f"\n{SWAPS} generations swapped under load: {sum(answers.values()):,} requests, {dict(answers)}")
    assert set(answers) == {200}
    assert set(seen) >= set(range(2, SWAPS + 1))


def test_the_service_is_as_it_describes_itself(index, tmp_path):
    with served(index.source, uploads=tmp_path / "uploads", read_token=TOKEN, write_token=TOKEN) as service:
        schema = schemathesis.openapi.from_url(f"{service.url}/openapi.json")
        operations = [found.ok() for found in schema.get_all_operations()]
        assert len(operations) == sum(map(len, OPERATIONS.values()))
        for operation in operations:

            @settings(
                max_examples=200 if FULL else 12,
                derandomize=True,
                database=None,
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy())
            def conforms(case):
                response = case.call(base_url=service.url, headers={"authorization": f"Bearer {TOKEN}"})
                case.validate_response(response, checks=CHECKS)

            conforms()
