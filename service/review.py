"""What a curator should look at, page by page, and what is decided about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from ..index.review.findings import Finding
from .answers import answer, as_answer, etag_of
from .browse import Drawing, Page, PerPage, Word, words_of
from .changes import LONGEST, Match, check_texts, generation_of, labelled, said_by
from .forms import body_of, described_json
from .problems import RETRY_AFTER_S, Problem, documented
from .rights import reader, writer
from .state import HeldIndex, SharedState
from .told import told

MOST_DECISIONS = 1000


@dataclass(frozen=True)
class ReviewPage:
    """Findings, a page of them, best first within each kind. counts: how many there are of each kind; judged: how many
    attributions could be; generation: in which they were found, which may not be the one that answers."""

    findings: tuple[Finding, ...]
    total: int
    page: int
    counts: Mapping[str, int]
    judged: int
    measured_on: str
    notes: tuple[str, ...]
    made: str
    model: str
    generation: int


@dataclass(frozen=True)
class Decided:
    """What is new in the history, and the generation in which it is so."""

    history: tuple[Word, ...]
    model: str
    generation: int


class Decisions(BaseModel):
    """Who painted what, as somebody has decided."""

    model_config = ConfigDict(extra="forbid")

    decisions: dict[Annotated[str, Field(max_length=LONGEST)], Annotated[str, Field(min_length=1)]] = Field(
        min_length=1,
        max_length=MOST_DECISIONS,
        description="By the painting's id, the artist as in a table of the collection; `unknown` takes one away.",
        examples=[{"459083": "Workshop of Titian"}],
    )
    by: str | None = Field(
        None, min_length=1, max_length=LONGEST, description="Who says so; by default whom the token is named after."
    )


router = APIRouter(prefix="/v1", tags=["review"])


@router.get(
    "/review",
    dependencies=[Depends(reader)],
    operation_id="review",
    response_model=ReviewPage,
    responses=documented(403, 404, 409, 422, 429)
    | {202: {"model": Drawing, "description": "They are being looked for; come again."}},
)
async def findings(
    state: SharedState,
    index: HeldIndex,
    kind: Annotated[
        Literal["duplicate", "doubtful", "unattributed"] | None, Query(description="Only findings of this kind.")
    ] = None,
    page: Page = 1,
    per_page: PerPage = 50,
) -> Response:
    """What a curator should look at: records that show one picture, doubtful attributions, works without an artist.  As
    `artidx review --json`.  While a new generation is looked through, what was found in the one before is told."""
    if not isinstance(index.source, Path):
        raise Problem(409, "no-review", "only an index in a folder of your own is reviewed; serve one of those")
    _ = index.calibration
    try:
        found = await state.reviews.of(index) or state.reviews.latest
        if found is None:
            names = index.manifest.model.sha256, index.manifest.generation
            looking = Drawing("it is being looked through; some thousand paintings take minutes", *names)
            return answer(looking, 202, {"retry-after": str(RETRY_AFTER_S)})
        total, lines = await state.searched(lambda: found.lines(kind, (page - 1) * per_page, per_page))
    except (OSError, ValueError):
        raise Problem(503, "no-review", "this generation could not be looked through") from None
    about = told({"total": total, "page": page} | found.about)
    return as_answer(f'{{"findings": [{", ".join(lines)}], {about[1:]}')


@router.post(
    "/review/decisions",
    dependencies=[Depends(writer)],
    operation_id="decide",
    response_model=Decided,
    responses=documented(400, 403, 404, 408, 409, 412, 413, 415, 422, 429),
    openapi_extra=described_json(Decisions),
)
async def decide(request: Request, state: SharedState, if_match: Match = None) -> Response:
    """Decide who painted some paintings, all in one new generation or none; it counts for all photographs of an object.
    As `artidx label INDEX review.xlsx`.  Needs a token that may write."""
    said = await body_of(request, Decisions)
    check_texts(said.decisions)
    rows = pd.DataFrame({"id": [*said.decisions], "artist": [*said.decisions.values()]})
    words, index = await labelled(request, state, rows, said_by(request, said.by), generation_of(if_match))
    names = index.manifest.model.sha256, index.manifest.generation
    return answer(Decided(words_of(words), *names), 200, etag_of(index))
