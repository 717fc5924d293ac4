"""What build, add and remove say when they are done."""

from __future__ import annotations

from ..index.build import Report
from ..index.opened import Index
from .output import say, say_json

SHOWN = 5  # of the skipped paintings; skipped.csv has them all


def show_report(index: Index, report: Report, as_json: bool) -> None:
    """The summary: what is in the index now, what was done and how fast, what was skipped and why."""
    if as_json:
        say_json({
            "index": index.path, "generation": index.manifest.generation, "paintings": report.paintings,
            "artists": index.manifest.artists, "embedded": report.embedded, "resumed": report.resumed,
            "already_there": report.already_there, "replaced": report.replaced, "removed": report.removed,
            "skipped": [{"path": path, "reason": reason} for path, reason in report.skipped],
            "seconds": round(report.seconds, 3), "images_per_second": round(report.images_per_second, 2),
        })
        return
    say(f"{index.path}: {report.paintings:,} paintings by {index.manifest.artists:,} artists, generation "
        f"{index.manifest.generation}")
    if report.embedded:
        say(f"embedded {report.embedded:,} in {report.seconds:.1f} s, {report.images_per_second:.1f} images/s")
    for count, what in ((report.resumed, "taken from an interrupted run"),
                        (report.already_there, "already there, left with their labels"), (report.removed, "removed")):
        if count:
            say(f"{what}: {count:,}")
    if report.replaced:
        more = ", ..." if len(report.replaced) > SHOWN else ""
        say(f"replaced {len(report.replaced):,} of the same id: {', '.join(report.replaced[:SHOWN])}{more}")
    if report.skipped:
        is_listed = report.embedded + report.resumed > 0  # else nothing was published, and the list is only here
        shown = report.skipped[:SHOWN] if is_listed else report.skipped
        where = f"; all in {index.generation.folder / 'skipped.csv'}" if is_listed else ""
        say(f"skipped {len(report.skipped):,}{where}")
        for path, reason in shown:
            say(f"  {path}: {reason}")
