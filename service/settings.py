"""Settings of the service: limits, tokens, and the folder of uploads."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path

from ..embedder import bounds
from ..errors import BadSetting

READ_TOKEN = "ARTIDX_READ_TOKEN"  # noqa: S105  # names of variables
WRITE_TOKEN = "ARTIDX_WRITE_TOKEN"  # noqa: S105
ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?")


@dataclass(frozen=True)
class ServiceSettings:
    """Limits of the service, and who may use it."""

    uploads: Path | None = None  # folder of added pictures; None: nothing can be added
    read_token: str | None = None  # None: anybody may read
    write_token: str | None = None  # None: only tokens of the file may change the index
    token_file: Path | None = None  # file of tokens with names and rights (tokens.py); with it, reading needs one
    is_local: bool = False  # it listens on this machine only
    allowed_hosts: frozenset[str] = frozenset()  # host names allowed without a token, in addition to IP addresses
    cors: frozenset[str] = frozenset()  # origins of pages that may ask from a browser, such as https://museum.example
    max_body_bytes: int = 64 << 20
    max_pixels: int = 64_000_000  # decoding a progressive JPEG of this size takes 0.2 GB, on each core
    in_flight: int = 64  # requests with a body, from first byte to answer; others are asked to retry
    body_s: float = 30  # for a request's body to arrive
    answer_s: float = 60  # for everything together

    def __post_init__(self) -> None:
        """Raises BadSetting for an invalid limit."""
        bounds.IN_FLIGHT.checked("requests in flight", self.in_flight)
        bounds.PIXELS.checked("max pixels", self.max_pixels)
        if strange := [origin for origin in self.cors if not ORIGIN.fullmatch(origin)]:
            raise BadSetting(f"{strange[0]}: not the origin of a page; write it as https://HOST or https://HOST:PORT")

    @property
    def asks_for_token(self) -> bool:
        """Whether reading needs a token."""
        return self.read_token is not None or self.token_file is not None

    @property
    def lets_write(self) -> bool:
        """Whether any token may change the index."""
        return self.write_token is not None or self.token_file is not None

    @property
    def in_flight_of_one(self) -> int:
        """How many of the requests in flight a single address may have, so that others get places, too."""
        return max(1, self.in_flight // 2)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
