"""Health checks, and metrics."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Response

from .problems import Problem, documented
from .rights import reader
from .state import SharedState

router = APIRouter(tags=["health"])
TEXT: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "All is well."}
}


@router.get("/livez", operation_id="livez", response_class=Response, responses=TEXT)
async def livez() -> Response:
    """The process answers."""
    return Response("alive\n", media_type="text/plain")


@router.get("/readyz", operation_id="readyz", response_class=Response, responses=TEXT | documented(503))
async def readyz(state: SharedState) -> Response:
    """The index is open and the model runs."""
    if not state.engine.is_alive:
        raise Problem(503, "not-ready", "the model does not run")
    return Response("ready\n", media_type="text/plain")


@router.get(
    "/metrics",
    operation_id="metrics",
    response_class=Response,
    responses=TEXT | documented(403),
    dependencies=[Depends(reader)],
)
async def metrics(state: SharedState) -> Response:
    """Counters in the format of Prometheus."""
    index = state.holder.index
    state.metrics.paintings.set(len(index))
    state.metrics.generation.set(index.manifest.generation)
    return Response(state.metrics.text(), media_type="text/plain; version=0.0.4")
