"""What the service allows: limits, tokens and where pictures that are sent to stay are kept."""

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

    uploads: Path | None = None  # where added pictures are kept; none: nothing can be added
    read_token: str | None = None  # None: whoever reaches the service may ask
    write_token: str | None = None  # None: nobody may change the index, but who has a token of the file
    token_file: Path | None = None  # of tokens with names and rights (tokens.py); with it, who asks needs one
    is_local: bool = False  # it listens to this machine alone
    allowed_hosts: frozenset[str] = frozenset()  # names it may be called by without a token, beside addresses
    cors: frozenset[str] = frozenset()  # origins of pages that may ask from a browser, such as https://museum.example
    max_body_bytes: int = 64 << 20
    max_pixels: int = 64_000_000  # a progressive JPEG of this size takes 0.2 GB to decode, on each core
    in_flight: int = 64  # requests that send something, from first byte to answer; more are told to come again
    body_s: float = 30  # for a request's body to arrive
    answer_s: float = 60  # for everything together

    def __post_init__(self) -> None:
        """Raises BadSetting for a limit that is none."""
        bounds.IN_FLIGHT.checked("requests in flight", self.in_flight)
        bounds.PIXELS.checked("max pixels", self.max_pixels)
        if strange := [origin for origin in self.cors if not ORIGIN.fullmatch(origin)]:
            raise BadSetting(f"{strange[0]}: not the origin of a page; write it as https://HOST or https://HOST:PORT")

    @property
    def asks_for_token(self) -> bool:
        """Whether nobody may ask without a token."""
        return self.read_token is not None or self.token_file is not None

    @property
    def lets_write(self) -> bool:
        """Whether there are tokens that let change the index."""
        return self.write_token is not None or self.token_file is not None

    @property
    def in_flight_of_one(self) -> int:
        """How many of them a single address may have, so that it leaves room for others."""
        return max(1, self.in_flight // 2)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
