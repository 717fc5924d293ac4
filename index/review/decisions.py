"""What people decided about findings: one line of JSON per decision, stored beside the generations of an index.

A finding is identified by its kind, its objects and their records (`key_of`): if a record has changed since, it is
another finding, without a decision. The last line on a finding counts; earlier ones stay, so that who decided what, and
when, is never lost. An accepted artist also becomes a label (changes/edit.py).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...as_json import as_json
from ...errors import BadIndex
from ...files import open_plain, write_atomically
from ..storage.generations import DECISIONS, writer

if TYPE_CHECKING:
    from .findings import Finding, Review

ACCEPTED, LEFT, OPEN = STATES = ("accepted", "left", "open")
MAX_BYTES = 16 << 20  # some 50,000 decisions


@dataclass(frozen=True)
class Decision:
    """What was decided about a finding. state: `accepted`, `left` as the record is, or `open` (again).

    artist: who was accepted, as written in a table of the collection; at: time in UTC.
    """

    key: str
    kind: str
    objects: tuple[str, ...]
    records: tuple[str | None, ...]
    state: str
    artist: str | None
    note: str | None
    by: str
    at: str


def key_of(kind: str, objects: Sequence[str], records: Sequence[str | None]) -> str:
    """The key of a finding, which stays the same while the records do."""
    return hashlib.sha256(as_json([kind, objects, records]).encode()).hexdigest()[:16]


def standing(decided: Mapping[str, Decision], key: str) -> Decision | None:
    """The decision that stands, of those in `read`; None if there is none, or if it was taken back."""
    found = decided.get(key)
    return None if found is None or found.state == OPEN else found


def decision_on(finding: Finding, decided: Mapping[str, Decision]) -> Decision | None:
    """The same for a finding."""
    return standing(decided, key_of(finding.kind, finding.objects, finding.records))


def parted(review: Review, decided: Mapping[str, Decision]) -> tuple[Review, tuple[tuple[Finding, Decision], ...]]:
    """A review of the undecided findings alone, and the others with their decisions."""
    judged = [(finding, decision_on(finding, decided)) for finding in review.findings]
    undecided = replace(review, findings=tuple(finding for finding, decision in judged if not decision))
    return undecided, tuple((finding, decision) for finding, decision in judged if decision)


def read(index: Path) -> dict[str, Decision]:
    """The last decision on each finding of an index in a folder, by its key, the latest first. Raises BadIndex."""
    found: dict[str, Decision] = {}
    for line in _lines(index / DECISIONS):
        try:
            decision = _decision(json.loads(line))
        except (ValueError, TypeError, LookupError, RecursionError):
            raise BadIndex(f"{index / DECISIONS}: not decisions of a review; move the file away") from None
        found.pop(decision.key, None)
        found[decision.key] = decision
    return dict(reversed(found.items()))


def note(index: Path, *decided: Decision) -> None:
    """Store decisions. Raises BadIndex if the file is full or cannot be written; IndexBusy."""
    with writer(index):
        lines = [*_lines(index / DECISIONS), *(as_json(decision).encode() for decision in decided)]
        text = b"".join(line + b"\n" for line in lines)
        if len(text) > MAX_BYTES:
            raise BadIndex(
                f"{index / DECISIONS}: holds no more than {MAX_BYTES >> 20} MB; keep it elsewhere, and start again"
            )
        write_atomically(index / DECISIONS, text)


def now() -> str:
    """The current time, in the form of a decision."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _lines(path: Path) -> list[bytes]:
    try:
        with open_plain(path) as stream:
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return []
    if len(data) > MAX_BYTES:
        raise BadIndex(f"{path}: over {MAX_BYTES >> 20} MB; move the file away")
    return data.splitlines()


def _decision(said: Any) -> Decision:
    """Parse a decision. Raises TypeError, LookupError and ValueError if it is none."""
    objects, records = said["objects"], said["records"]
    is_right = (
        isinstance(objects, list)
        and isinstance(records, list)
        and all(isinstance(text, str) for text in (*objects, *(said[name] for name in ("key", "kind", "by", "at"))))
        and all(isinstance(text, str | None) for text in (*records, said["artist"], said["note"]))
        and said["state"] in STATES
    )
    if not is_right:
        raise ValueError("not a decision")
    return Decision(**(said | {"objects": tuple(objects), "records": tuple(records)}))
