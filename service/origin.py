"""From where a service may be asked: the names it goes by, and pages of its own.

A page from elsewhere runs in the browser of whoever visits it, and that browser reaches what the page's author does
not. It could let a name of its own point to the service and read all there is (DNS rebinding): so without a token the
service must be called by an address, or by a name that is known. It could send forms, which browsers do unasked: so
what browsers mark as coming from another site is not worked on.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from .problems import Problem
from .settings import READ_TOKEN, ServiceSettings, is_loopback


def check_host(headers: Headers, settings: ServiceSettings) -> None:
    """Raises Problem where a service that asks for no token is called by a name that may be a stranger's.

    An address cannot be made to point elsewhere, as a name can.
    """
    if settings.asks_for_token or _is_known(_host_of("//" + headers.get("host", "")), settings):
        return
    raise Problem(
        403,
        "strange-host",
        f"unknown host name: use its address, allow the name (--allow-host), or use a token ({READ_TOKEN})",
    )


def check_site(headers: Headers, settings: ServiceSettings) -> None:
    """Raises Problem where a browser says that a page from elsewhere sends this."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:  # browsers say so to https and to localhost
        is_own = site in ("same-origin", "none")
    else:
        is_own = origin is None or origin.lower().partition("//")[2] == headers.get("host", "").lower()
    if not is_own and origin not in settings.cors and _host_of(origin or "") not in settings.allowed_hosts:
        raise Problem(
            403, "cross-site", "sent by a page of another site; only the service's own page and programs may send this"
        )


def _is_known(host: str, settings: ServiceSettings) -> bool:
    host = host.rstrip(".")
    if is_loopback(host) or host in settings.allowed_hosts:
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return not settings.is_local


def _host_of(address: str) -> str:
    """Without scheme and port, in small letters; empty where it is none."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
