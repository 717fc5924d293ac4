"""A review as a folder: review.html to read, print and send, review.xlsx for decisions (sheet.py)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...embedder.locations import Reader
from ..answers.wording import percent
from .decisions import Decision
from .findings import DOUBTFUL, DUPLICATE, UNATTRIBUTED, Candidate, Finding, Review
from .page import LARGE, LIMITS, SMALL, Card, Group, Page, Pictures, Section, described, titled, write_page
from .sheet import write_sheet

MOST = 40  # findings of a kind on the page, which should be small enough to mail; the spreadsheet has all
DRAWN = 3  # artists with pictures, including the recorded one; the others are only named
WITNESSES = 2  # pictures of each

ABOUT = {
    DUPLICATE: (
        "Records whose photographs show the same picture, or the same composition",
        "Found by the geometry of the photographs, and by identical files. Records that differ on the artist come "
        "first.",
    ),
    DOUBTFUL: (
        "Doubtful attributions",
        "There is less evidence for the recorded artist than for somebody else. The evidence is how much the work "
        "looks like their other works, here and in the reference gallery that ships with artidx, and the dates of "
        "these. Copies and other photographs of the work do not count. An artist with a single work cannot be judged.",
    ),
    UNATTRIBUTED: (
        "Works without an artist, or with a qualified one",
        "The artists of this index whose works look most like it and have similar dates; their works in the reference "
        "gallery that ships with artidx count, too. A line below names the likeliest of all artists in that gallery; "
        "it has no pictures.",
    ),
}


def write(review: Review, folder: Path, decided: Sequence[tuple[Finding, Decision]] = ()) -> None:
    """Create the folder and write both files. decided: findings that are only in the spreadsheet, at its end. Raises
    MissingPackage."""
    folder.mkdir(parents=True, exist_ok=True)
    write_sheet(review, folder / "review.xlsx", decided)
    with Reader() as reader:
        write_page(_page(review, Pictures(reader), len(decided)), folder / "review.html")


def _page(review: Review, pictures: Pictures, decided: int) -> Page:
    facts = (
        ("Index", f"{review.index}, generation {review.generation}"),
        ("Made", f"{review.made} UTC"),
        ("Holds", f"{review.objects:,} objects, {review.paintings:,} photographs, {review.artists:,} artists"),
        ("Model", f"{review.model_name} {review.model[:12]}"),
        *([("Decided before", f"{decided:,} findings, at the end of review.xlsx")] if decided else []),
    )
    counts = ", ".join(
        f"{len(review.of(kind)):,} {word}"
        for kind, word in (
            (DUPLICATE, "duplicates"),
            (DOUBTFUL, "doubtful attributions"),
            (UNATTRIBUTED, "works to be named"),
        )
    )
    limits = (
        *LIMITS,
        f"The probabilities were measured on {review.measured_on}.",
        *(f"{note[0].upper()}{note[1:]}." for note in review.notes),
    )
    return Page(
        "A review of the collection",
        facts,
        (f"Found: {counts}. Write decisions into review.xlsx; artidx label reads them back.",),
        tuple(_section(review, kind, pictures) for kind in ABOUT if review.of(kind)),
        limits,
    )


def _section(review: Review, kind: str, pictures: Pictures) -> Section:
    findings = review.of(kind)
    heading, about = ABOUT[kind]
    lines = [about]
    if kind == DOUBTFUL:
        first = findings[: min(15, len(findings))]
        lines.append(
            f"{review.judged:,} attributions could be judged. Of the first {len(first)}, an estimated "
            f"{percent(first[-1].expected_false or 0.0)} are right after all. The estimate rests on all doubts in this "
            f"collection."
        )
    if len(findings) > MOST:
        lines.append(f"The first {MOST} of {len(findings):,}; review.xlsx has all.")
    return Section(
        heading,
        tuple(lines),
        tuple(
            _card(finding, f"{number} of {len(findings):,}", pictures)
            for number, finding in enumerate(findings[:MOST], start=1)
        ),
    )


def _card(finding: Finding, number: str, pictures: Pictures) -> Card:
    asked = tuple(
        pictures.of(painting, LARGE, described(painting, name))
        for painting, name in zip(finding.paintings, finding.objects, strict=True)
    )
    if finding.picture is not None:
        records = " and ".join(record or "no artist" for record in dict.fromkeys(finding.records))
        return Card(
            " and ".join(finding.objects),
            asked,
            (f"They {finding.picture.says}.", f"Recorded: {records}."),
            (),
            _measured(finding),
            number,
        )
    groups = []
    if finding.for_recorded and finding.for_recorded.paintings:
        groups.append(_group(finding.for_recorded, pictures, "recorded: "))
    named = DRAWN - len(groups)
    groups += [_group(each, pictures, "") for each in finding.candidates[:named]]
    heading = f"{finding.objects[0]}: {finding.recorded or 'no artist'}"
    return Card(heading, asked, (), tuple(groups), _others(finding, named), number)


def _group(candidate: Candidate, pictures: Pictures, before: str) -> Group:
    return Group(
        f"{before}{candidate.artist} {percent(candidate.probability)}",
        tuple(
            pictures.of(witness.painting, SMALL, titled(witness.painting, witness.object))
            for witness in candidate.paintings[:WITNESSES]
        ),
    )


def _measured(finding: Finding) -> tuple[str, ...]:
    picture = finding.picture
    if picture is None or picture.agreement is None:
        return ()
    return (
        f"{picture.matches} features match; laid on top of each other, the photographs agree by "
        f"{picture.agreement:.2f} of 1.",
    )


def _others(finding: Finding, named: int) -> tuple[str, ...]:
    lines = []
    rest = [f"{each.artist} {percent(each.probability)}" for each in finding.candidates[named:]]
    nobody = f"none of the artists here {percent(finding.unknown or 0.0)}"
    lines.append(f"Further: {', '.join([*rest, nobody])}.")
    if finding.reference_unknown is not None:
        theirs = ", ".join(f"{each.artist} {percent(each.probability)}" for each in finding.reference)
        lines.append(f"In the reference gallery: {theirs}; none of these {percent(finding.reference_unknown)}.")
    if finding.expected_false is not None:
        lines.append(
            f"Of this and the more doubtful ones, an estimated {percent(finding.expected_false)} are right after all."
        )
    return tuple(lines)
