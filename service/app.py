"""The application: routes, the admission before them, the page, and background tasks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles

from . import batches, browse, changes, health, questions, reference, review, zoom
from .admission import AdmissionMiddleware
from .description import complete
from .holder import IndexHolder
from .problems import answer_problems
from .settings import ServiceSettings
from .state import AppState
from .traces import Traces

PAGE = Path(__file__).with_name("page")


def create_app(holder: IndexHolder, settings: ServiceSettings, traces: Traces | None = None) -> FastAPI:
    """The ASGI application that answers from an index. traces: where to send them; None: nowhere."""
    state = AppState(holder, settings, traces or Traces())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        watching = asyncio.create_task(holder.watch())
        try:
            yield
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            await state.close()

    app = FastAPI(
        title="artidx",
        version=version("artidx"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        summary="Were these two paintings made by the same artist, and who might have painted this?",
    )
    app.state.shared = state
    answer_problems(app)
    for room in (questions, batches, browse, review, zoom, changes, health):
        app.include_router(room.router)
    app.mount("/page", GZipMiddleware(StaticFiles(directory=PAGE)), name="page")
    app.add_api_route("/", page, include_in_schema=False, methods=["GET", "HEAD"])
    app.add_api_route("/docs", reference.page(app), include_in_schema=False, methods=["GET", "HEAD"])
    app.add_middleware(AdmissionMiddleware, state=state)
    if settings.cors:  # outermost, so that pages from other origins can read refusals, too
        app.add_middleware(
            CORSMiddleware,
            allow_origins=sorted(settings.cors),
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["authorization", "content-type", "idempotency-key", "if-match", "x-request-id"],
            expose_headers=["artidx-generation", "artidx-index", "artidx-model", "etag", "retry-after", "x-request-id"],
        )
    complete(app)
    return app


async def page() -> FileResponse:
    """The page; its files are under /page."""
    return FileResponse(PAGE / "index.html")
