"""Which hosts and pages may ask a service: its own names, and its own pages.

A foreign page runs in a visitor's browser, which can reach services that the page's author cannot. With DNS rebinding,
it could make its own name point to the service and read everything; so without a token, the service must be called by
an IP address or by a known name. It could also send forms, which browsers allow; so requests that browsers mark as
cross-site are refused.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from .problems import Problem
from .settings import READ_TOKEN, ServiceSettings, is_loopback


def check_host(headers: Headers, settings: ServiceSettings) -> None:
    """Raises Problem if a service without a token is called by an unknown name.

    An IP address cannot be rebound, as a name can.
    """
    if settings.asks_for_token or _is_known(_host_of("//" + headers.get("host", "")), settings):
        return
    raise Problem(
        403,
        "strange-host",
        f"unknown host name: use its address, allow the name (--allow-host), or use a token ({READ_TOKEN})",
    )


def check_site(headers: Headers, settings: ServiceSettings) -> None:
    """Raises Problem if a browser marks the request as sent by a foreign page."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:  # browsers send this header to https and to localhost
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
    """The host without scheme and port, in lower case; empty if there is none."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
