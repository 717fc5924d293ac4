"""What a request may do, by its token (tokens.py), and the name of its sender."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from .origin import check_host
from .problems import Problem
from .settings import READ_TOKEN, WRITE_TOKEN
from .state import AppState, SharedState
from .tokens import Token

_bearer = HTTPBearer(
    auto_error=False, description=f"Where the service was started with {READ_TOKEN}, {WRITE_TOKEN} or --tokens."
)
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


async def reader(request: Request, state: SharedState, credentials: Credentials) -> None:
    """Raises Problem unless this request may read."""
    check_host(request.headers, state.settings)
    if _token_of(request, state, credentials) is None and state.settings.asks_for_token:
        raise _unauthorized()


async def writer(request: Request, state: SharedState, credentials: Credentials) -> None:
    """Raises Problem unless this request may change the index."""
    if not state.settings.lets_write:
        raise Problem(403, "writing-is-off", f"the service was started without {WRITE_TOKEN} and without --tokens")
    token = _token_of(request, state, credentials)
    if token is None:
        raise _unauthorized()
    if not token.may_write:
        raise Problem(403, "only-for-reading", "this token may ask, but not change the index")


def name_of(request: Request) -> str | None:
    """The name of the request's token, if it has one."""
    name: str | None = getattr(request.state, "token", None)
    return name


def _token_of(request: Request, state: AppState, credentials: HTTPAuthorizationCredentials | None) -> Token | None:
    token = state.tokens.find(credentials.credentials) if credentials else None
    request.state.token = token and token.name  # for the log
    return token


def _unauthorized() -> Problem:
    return Problem(401, "unauthorized", "a bearer token is missing or wrong", {"www-authenticate": "Bearer"})
