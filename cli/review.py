"""artidx review."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import INDEX_FOLDER, PATH
from .output import note, progress, say, say_json

if TYPE_CHECKING:
    from ..index.review.findings import Finding, Review

FIRST = 15  # findings of a kind that are shown; --json and the folder have them all


@click.command()
@click.argument("index", type=INDEX_FOLDER)
@click.option(
    "-o",
    "--output",
    type=PATH,
    metavar="FOLDER",
    help="Write review.html and review.xlsx into this folder, and findings.json for paintings that came as IIIF.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON lines, one per finding.")
def review(index: Path, output: Path | None, as_json: bool) -> None:
    """List what a curator should look at in INDEX: records that show the same picture, doubtful attributions, and works
    without an artist or with a qualified attribution. Each list is ranked.

    Write decisions into review.xlsx, then read them back with artidx label INDEX review.xlsx. What was decided on the
    page is not listed again while the record is the same; --json and review.xlsx have it, with the decision.
    """
    from ..index.opened import Index
    from ..index.review import decisions
    from .query import note_shown

    opened = Index.open(index)
    known = decisions.read(index)  # first: a review takes minutes
    everything = opened.review(bar=progress)
    found, decided = decisions.parted(everything, known)
    if as_json:
        for finding in everything.findings:
            say_json(vars(finding) | {"decision": decisions.decision_on(finding, known)})
    else:
        _show(found)
        if decided:
            say(f"Decided before, and not listed: {len(decided):,}; --json and -o FOLDER have them")
    for each in found.notes:
        note(each)
    if output:
        from ..index.review.folder import write
        from ..index.review.iiif import write_review

        write(found, output, decided)
        note(
            f"{output / 'review.html'} and review.xlsx; write decisions there, then artidx label {index} "
            f"{output / 'review.xlsx'}"
        )
        shown, others = write_review(found, opened.store, output / "findings.json")
        if shown:
            note_shown((shown, others))


def _show(found: Review) -> None:
    from ..index.review.findings import DOUBTFUL, DUPLICATE, UNATTRIBUTED

    for kind, heading in (
        (DUPLICATE, "Photographs that show the same picture, or the same composition"),
        (DOUBTFUL, f"Doubtful attributions, of {found.judged:,} that could be judged"),
        (UNATTRIBUTED, "Works without an artist, or with a qualified attribution"),
    ):
        findings = found.of(kind)
        say(f"{heading}: {len(findings):,}")
        for finding in findings[:FIRST]:
            say(f"  {_line(finding)}")
        if len(findings) > FIRST:
            say(f"  and {len(findings) - FIRST:,} more; --json and -o FOLDER have all of them")
    doubtful = found.of(DOUBTFUL)
    if doubtful:
        some = doubtful[:FIRST]
        say(f"Of the doubtful attributions shown, an estimated {some[-1].expected_false:.0%} are right after all.")


def _line(finding: Finding) -> str:
    from .query import ranked

    recorded = finding.recorded or "no artist"
    if finding.how:
        return f"{' and '.join(finding.objects)}: {finding.how}"
    names = ranked(finding.candidates[:3])
    if finding.for_recorded:
        return f"{finding.objects[0]}: {recorded}; rather {names}"
    theirs = f"; in the reference gallery {ranked(finding.reference[:2])}" if finding.reference else ""
    return f"{finding.objects[0]}: {recorded}; {names}{theirs}"
