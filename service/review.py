"""Routes for the findings of a review, page by page, and for decisions about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from ..index.opened import Index
from ..index.review import decisions
from ..index.review.findings import Finding
from ..index.storage import history
from .answers import answer, etag_of
from .browse import FLAG, Drawing, Page, PerPage, Word, words_of
from .changes import LONGEST, Match, check_texts, finished, generation_of, labelled, said_by
from .findings import Found
from .forms import body_of, described_json
from .problems import RETRY_AFTER_S, Problem, documented
from .rights import reader, writer
from .state import AppState, HeldIndex, SharedState
from .work_list import WorkList

MOST_DECISIONS = 1000
LONGEST_NOTE = 2000  # characters
NOBODY = "unknown"  # how a table of a collection says that an artist is not known


@dataclass(frozen=True)
class StandingFinding(Finding):
    """A finding as it stands now. key: its id for decisions; stale: what has been changed since it was found."""

    key: str = ""
    decision: decisions.Decision | None = None
    stale: str | None = None


@dataclass(frozen=True)
class ReviewPage:
    """One page of findings, best first within each kind. counts: of each kind; judged: how many attributions could be
    judged; generation: in which they were found, which may not be the one that answers."""

    findings: tuple[StandingFinding, ...]
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
class DecisionPage:
    """One page of the last decisions on each finding, the latest first."""

    decisions: tuple[decisions.Decision, ...]
    total: int
    page: int
    model: str
    generation: int


@dataclass(frozen=True)
class Decided:
    """The new entries of the history, and the generation that has them."""

    history: tuple[Word, ...]
    model: str
    generation: int


@dataclass(frozen=True)
class FindingDecided:
    """The decision on a finding, the new entries of the history, and the generation that has them."""

    decision: decisions.Decision
    history: tuple[Word, ...]
    model: str
    generation: int


class Decisions(BaseModel):
    """Who painted what, as somebody has decided."""

    model_config = ConfigDict(extra="forbid")

    decisions: dict[Annotated[str, Field(max_length=LONGEST)], Annotated[str, Field(min_length=1)]] = Field(
        min_length=1,
        max_length=MOST_DECISIONS,
        description="For each painting's id, the artist as in a table of the collection; `unknown` removes one.",
        examples=[{"459083": "Workshop of Titian"}],
    )
    by: str | None = Field(
        None, min_length=1, max_length=LONGEST, description="Who makes the change; by default the name of the token."
    )


class Judged(BaseModel):
    """A person's decision on a finding; it replaces the previous one as a whole."""

    model_config = ConfigDict(extra="forbid")

    state: Literal["accepted", "left", "open"] = Field(
        description="`accepted`, `left` as the record is, or `open`: taken back, and with it the label of the artist."
    )
    artist: str | None = Field(
        None,
        description="The accepted artist, as written in a table of the collection; it becomes a label.",
        examples=["Titian"],
    )
    note: str | None = Field(None, min_length=1, max_length=LONGEST_NOTE, description="A note.")
    by: str | None = Field(
        None, min_length=1, max_length=LONGEST, description="Who makes the change; by default the name of the token."
    )


router = APIRouter(prefix="/v1", tags=["review"])


@router.get(
    "/review",
    dependencies=[Depends(reader)],
    operation_id="review",
    response_model=ReviewPage,
    responses=documented(403, 404, 409, 422, 429)
    | {202: {"model": Drawing, "description": "They are being made; try again."}},
)
async def findings(
    state: SharedState,
    index: HeldIndex,
    kind: Annotated[
        Literal["duplicate", "doubtful", "unattributed"] | None, Query(description="Only findings of this kind.")
    ] = None,
    undecided: Annotated[bool, FLAG, Query(description="Only findings about which nothing is decided.")] = False,
    anew: Annotated[
        bool, FLAG, Query(description="Only findings made with all corrections; makes the review again if needed.")
    ] = False,
    page: Page = 1,
    per_page: PerPage = 50,
) -> Response:
    """What a curator should look at: records that show the same picture, doubtful attributions, works without an
    artist.  As `artidx review --json`, with what was decided about each.  Corrections do not change the findings; each
    says what has made it stale.  After paintings were added or removed, the previous findings are returned until the
    new ones are ready."""
    folder = _own_folder(index)
    _ = index.calibration
    try:
        found = await _found(state, index, anew=anew)
        if found is None:
            names = index.manifest.model.sha256, index.manifest.generation
            looking = Drawing("the review is being made; some thousand paintings take minutes", *names)
            return answer(looking, 202, {"retry-after": str(RETRY_AFTER_S)})

        def listed() -> dict[str, Any]:
            there = WorkList(found, decisions.read(folder), index.history)
            numbers = there.numbers(kind, only_open=undecided)
            some = there.findings(numbers[(page - 1) * per_page : page * per_page])
            return {"findings": some, "total": len(numbers), "page": page} | found.about

        return answer(await state.searched(listed))
    except (OSError, ValueError):
        raise Problem(503, "no-review", "this generation could not be reviewed") from None


@router.get(
    "/review/findings/{key}",
    dependencies=[Depends(reader)],
    operation_id="getFinding",
    response_model=StandingFinding,
    responses=documented(403, 404, 409, 422, 429),
)
async def finding(state: SharedState, index: HeldIndex, key: str) -> Response:
    """A finding as it stands now: what was decided about it, and whether it is stale."""
    folder, (found, number) = _own_folder(index), await _number(state, index, key)
    return answer(
        await state.searched(lambda: WorkList(found, decisions.read(folder), index.history).findings([number])[0])
    )


@router.put(
    "/review/findings/{key}",
    dependencies=[Depends(writer)],
    operation_id="decideFinding",
    response_model=FindingDecided,
    responses=documented(400, 403, 404, 408, 409, 412, 413, 415, 422, 429),
    openapi_extra=described_json(Judged),
)
async def decide_finding(request: Request, state: SharedState, key: str) -> Response:
    """Decide about a finding, and record who did and when.  An accepted artist becomes a label of all photographs of
    the object; taking it back restores the record.  Needs a token that may write."""
    said = await body_of(request, Judged)
    if said.note is not None and not all(letter.isprintable() or letter == "\n" for letter in said.note):
        raise Problem(422, "bad-setting", "note: must be text that can be printed")
    by, index = said_by(request, said.by), state.holder.index
    folder = _own_folder(index)
    found, number = await _number(state, index, key)
    (finding,) = await state.searched(lambda: found.findings([number]))
    if said.artist is not None:
        check_texts({"artist": said.artist})
        if said.state != decisions.ACCEPTED or finding["kind"] == "duplicate":
            raise Problem(422, "bad-setting", "artist: only for a doubtful attribution, or a work without an artist")
    before = (await state.searched(lambda: decisions.read(folder))).get(key)
    words, painting = history.none(), finding["paintings"][0]["id"]
    wanted = said.artist or _restored(index, painting, finding, before)
    if wanted is not None and not (before and before.artist == wanted):  # a note alone needs no token
        rows = pd.DataFrame({"id": [painting], "artist": [wanted]})
        words, index = await labelled(request, state, rows, by, None)
    objects, records = tuple(finding["objects"]), tuple(finding["records"])
    decision = decisions.Decision(
        key, finding["kind"], objects, records, said.state, said.artist, said.note, by, decisions.now()
    )
    async with state.writing:
        await finished(lambda: decisions.note(folder, decision))
    names = index.manifest.model.sha256, index.manifest.generation
    return answer(FindingDecided(decision, words_of(words), *names), 200, etag_of(index))


@router.get(
    "/review/decisions",
    dependencies=[Depends(reader)],
    operation_id="listDecisions",
    response_model=DecisionPage,
    responses=documented(403, 404, 409, 422, 429),
)
async def decided(state: SharedState, index: HeldIndex, page: Page = 1, per_page: PerPage = 50) -> Response:
    """What was decided about findings, and by whom; the latest first.  Findings that were opened again are listed with
    their notes."""
    folder = index.source
    known = await state.searched(lambda: decisions.read(folder)) if isinstance(folder, Path) else {}
    found = [*known.values()]
    names = index.manifest.model.sha256, index.manifest.generation
    return answer(DecisionPage(tuple(found[(page - 1) * per_page : page * per_page]), len(found), page, *names))


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


def _own_folder(index: Index) -> Path:
    if not isinstance(index.source, Path):
        raise Problem(409, "no-review", "only your own index in a folder can be reviewed; serve one")
    return index.source


async def _found(state: AppState, index: Index, *, anew: bool) -> Found | None:
    """The findings of an index: with all corrections, else of the same paintings, else of an earlier generation."""
    if anew:
        return await state.reviews.of(index)
    return await state.reviews.before(index) or await state.reviews.of(index) or state.reviews.latest


async def _number(state: AppState, index: Index, key: str) -> tuple[Found, int]:
    """The number of the finding with this key. Raises Problem if there is none."""
    try:
        found = await _found(state, index, anew=False)
    except (OSError, ValueError):
        raise Problem(503, "no-review", "this generation could not be reviewed") from None
    if found is not None and key in found.keys:
        return found, found.keys.index(key)
    raise Problem(404, "no-finding", f"{key[:64]}: no finding of the review has this key; ask for the review again")


def _restored(index: Index, painting: str, finding: Mapping[str, Any], before: decisions.Decision | None) -> str | None:
    """The record before an artist was accepted; None if none was, or the record has been changed since."""
    if before is None or before.artist is None:
        return None
    row = index.store.rows(index.store.places("id", painting)).iloc[0]
    return (finding["recorded"] or NOBODY) if history.word(row, "artist") == before.artist else None
