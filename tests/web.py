"""A web server with a trusted certificate: files, a IIIF image server, and its possible failures."""

from __future__ import annotations

import http.server
import io
import re
import ssl
import threading
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fsspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from PIL import Image

IMAGE = re.compile(r"/iiif/([^/]+)/(full|\d+,\d+,\d+,\d+)/(max|full|\d+),?(\d*)/0/default\.jpg")


class Web:
    """Runs within a with statement. files: content by path; images: of the image server; answers: first statuses by
    path; asked: requested paths, in order; at_once: maximal number of simultaneous requests."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.files: dict[str, bytes] = {}
        self.images: dict[str, Image.Image] = {}
        self.answers: dict[str, list[int]] = defaultdict(list)
        self.asked: list[str] = []
        self.at_once = 0
        self._now = 0
        self._lock = threading.Lock()
        pem = folder / "server.pem"
        pem.write_bytes(_certificate())
        monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", ssl.create_default_context(cafile=pem))
        monkeypatch.setattr("artidx.embedder.web.PAUSES_S", (0.01, 0.01))
        monkeypatch.setenv("ARTIDX_CACHE", str(folder / "cache"))
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://localhost:{self._server.server_port}"

    def __enter__(self) -> Web:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        fsspec.get_filesystem_class("https").clear_instance_cache()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        fsspec.get_filesystem_class("https").clear_instance_cache()

    def answer(self, path: str) -> tuple[int, bytes]:
        with self._lock:
            self.asked.append(path)
            self._now += 1
            self.at_once = max(self.at_once, self._now)
        try:
            if self.answers[path]:
                return self.answers[path].pop(0), b""
            if found := IMAGE.fullmatch(path):
                return self._image(*found.groups())
            return (200, self.files[path]) if path in self.files else (404, b"")
        finally:
            with self._lock:
                self._now -= 1

    def _image(self, name: str, region: str, width: str, height: str) -> tuple[int, bytes]:
        if name not in self.images:
            return 404, b""
        image = self.images[name]
        if region != "full":
            left, top, wide, high = map(int, region.split(","))
            image = image.crop((left, top, left + wide, top + high))
        if width.isdecimal():
            if int(width) > image.width:
                return 400, b""  # a server that does not enlarge, as in version 3
            image = image.resize((int(width), int(height or round(image.height * int(width) / image.width))))
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=90)
        return 200, stream.getvalue()


def _handler(web: Web) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == "/endless":
                self._endless()
                return
            status, data = web.answer(self.path)
            tag = f'"{hash(data):x}"'
            if status == 200 and self.headers["If-None-Match"] == tag:
                status, data = 304, b""
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            if status == 200:
                self.send_header("ETag", tag)
            if 300 <= status < 304:
                self.send_header("Location", "/a.png")
            self.end_headers()
            self.wfile.write(data)

        def _endless(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.close_connection = True
            try:
                while True:
                    self.wfile.write(b"x" * 65536)
            except OSError:
                pass

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def _certificate() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(1))
        .not_valid_after(now + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)
