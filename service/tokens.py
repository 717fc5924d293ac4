"""Who may ask and who may write: bearer tokens, compared in constant time."""

from __future__ import annotations

import hmac
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from .origin import check_host
from .problems import Problem
from .settings import READ_TOKEN, WRITE_TOKEN
from .state import SharedState

_bearer = HTTPBearer(auto_error=False, description=f"Where the service was started with {READ_TOKEN} or {WRITE_TOKEN}.")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


async def reader(request: Request, state: SharedState, credentials: Credentials) -> None:
    """Raises Problem unless this request may ask."""
    settings = state.settings
    check_host(request.headers, settings)
    if settings.read_token is not None and not _is_one_of(credentials, settings.read_token, settings.write_token):
        raise _unauthorized()


async def writer(state: SharedState, credentials: Credentials) -> None:
    """Raises Problem unless this request may change the index."""
    if state.settings.write_token is None:
        raise Problem(403, "writing-is-off", f"the service was started without {WRITE_TOKEN}")
    if _is_one_of(credentials, state.settings.write_token):
        return
    if _is_one_of(credentials, state.settings.read_token):
        raise Problem(403, "only-for-reading", "this token lets ask, and not change the index")
    raise _unauthorized()


def _is_one_of(credentials: HTTPAuthorizationCredentials | None, *tokens: str | None) -> bool:
    given = (credentials.credentials if credentials else "").encode()
    # All of them are compared, whichever is right.
    matches = [hmac.compare_digest(given, token.encode()) for token in tokens if token]
    return any(matches)


def _unauthorized() -> Problem:
    return Problem(401, "unauthorized", "a bearer token is missing or wrong", {"www-authenticate": "Bearer"})
