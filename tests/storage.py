"""An S3 server (moto), which can be made to refuse requests, and to send bytes very slowly."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import boto3
import httpx
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

EXPIRED = (
    b'<?xml version="1.0"?><Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message>'
    b"<RequestId>1</RequestId></Error>"
)
BUCKET = "scans"


class Storage:
    """Runs within a with statement. expired: whether it refuses the credentials; slow: keys of objects that are sent
    slowly."""

    def __init__(self) -> None:
        self.expired = False
        self.broken = False
        self.slow: set[str] = set()
        self.asked: list[str] = []
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self.url = f"http://127.0.0.1:{self._server.port}"

    def put(self, key: str, data: bytes) -> None:
        self._client().put_object(Bucket=BUCKET, Key=key, Body=data)

    def __enter__(self) -> Storage:
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        httpx.post(f"{self.url}/moto-api/reset", trust_env=False)  # of another test's
        self._client().create_bucket(Bucket=BUCKET)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _client(self) -> Any:
        return boto3.client(
            "s3", endpoint_url=self.url, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
        )

    def _answer(self, environ: dict[str, Any], start: Any) -> Any:
        self.asked.append(environ["PATH_INFO"])
        if self.broken:
            start("503 Slow Down", [("Content-Type", "text/plain")])
            return [b""]
        if self.expired:
            start("403 Forbidden", [("Content-Type", "application/xml"), ("Content-Length", str(len(EXPIRED)))])
            return [EXPIRED]
        found = self._moto(environ, start)
        return _dripping(found) if environ["PATH_INFO"].rpartition("/")[2] in self.slow else found


def _dripping(parts: Any) -> Iterator[bytes]:
    for byte in b"".join(parts):
        yield bytes([byte])
        time.sleep(0.2)
