"""The summaries of build, add and remove."""

from __future__ import annotations

from ..index.changes.build import Report
from ..index.changes.cluster import Cluster
from ..index.opened import Index
from ..index.storage.address import Address
from ..index.storage.pushed import EXHAUSTIVE, Pushed
from .output import note, progress, say, say_json

SHOWN = 5  # skipped paintings; skipped.csv has them all


def show_report(index: Index, report: Report, as_json: bool, pushed: Pushed | None = None) -> None:
    """Print the summary: the content of the index, what was done and how fast, what was skipped and why."""
    if as_json:
        say_json(
            {
                "index": index.source,
                "generation": index.manifest.generation,
                "paintings": report.paintings,
                "artists": index.manifest.artists,
                "embedded": report.embedded,
                "resumed": report.resumed,
                "already_there": report.already_there,
                "moved": report.moved,
                "replaced": report.replaced,
                "removed": report.removed,
                "corrected": report.corrected,
                "skipped": [{"path": path, "reason": reason} for path, reason in report.skipped],
                "seconds": round(report.seconds, 3),
                "images_per_second": round(report.images_per_second, 2),
                "reading": round(report.reading, 3),
                "left_alone": [{"reason": reason, "files": files} for reason, files in report.left_alone],
                "outside": report.outside,
                "without_photograph": report.without,
                "added": report.added,
                "gone": report.gone,
                "relabelled": [
                    dict(zip(("id", "column", "before", "after"), each, strict=True)) for each in report.relabelled
                ],
                "same_picture": _groups(report.twice),
                "copies": _groups(report.copies),
                "dry_run": report.dry_run,
                **({"pushed": pushed} if pushed else {}),
            }
        )
        return
    if report.dry_run:
        say(f"{index.name}: nothing was changed; this would change ({report.paintings:,} paintings afterwards):")
    else:
        say(
            f"{index.name}: {report.paintings:,} paintings by {index.manifest.artists:,} artists, generation "
            f"{index.manifest.generation}"
        )
    if report.embedded:
        say(
            f"embed {report.embedded:,}"
            if report.dry_run
            else f"embedded {report.embedded:,} in {report.seconds:.1f} s, {report.images_per_second:.1f} images/s; "
            f"{report.reading:.0%} of the threads' time for reading images"
        )
    for count, what in (
        (report.resumed, "taken from an interrupted run"),
        (report.already_there, "already in the index, unchanged"),
        (report.removed, "removed"),
        (report.corrected, "labels corrected"),
        (report.outside, "read from elsewhere, because links lead out of the folder"),
    ):
        if count:
            say(f"{what}: {count:,}")
    for ids, what in ((report.moved, "moved or renamed"), (report.replaced, "replaced, because their content is new")):
        if ids:
            say(f"{what}: {len(ids):,}: {', '.join(ids[:SHOWN])}{', ...' if len(ids) > SHOWN else ''}")
    for id_, column, before, after in report.relabelled[: None if report.dry_run else SHOWN]:
        say(f"  {id_}: {column}: {before or 'unknown'} -> {after or 'unknown'}")
    if report.dry_run:
        for mark, ids in (("+", report.added), ("-", report.gone)):
            for id_ in ids:
                say(f"  {mark} {id_}")
    if report.without:
        say(
            f"without a photograph: {len(report.without):,}: {', '.join(report.without[:SHOWN])}"
            f"{', ...' if len(report.without) > SHOWN else ''}"
        )
    for groups, what in (
        (report.twice, "all are kept"),
        (report.copies, "what the index has stays, copies are left out"),
    ):
        if groups:
            say(f"the same picture under several artists: {len(groups):,}; {what}")
        for group in groups[:SHOWN]:
            say("  " + ", ".join(f"{id_} ({artist})" for id_, artist in group))
    if report.left_alone:
        say(f"ignored, because they are not paintings: {', '.join(f'{n:,} {why}' for why, n in report.left_alone)}")
    if report.skipped:
        shown = report.skipped[:SHOWN] if report.published else report.skipped  # otherwise this is the only list
        where = f"; all in {index.generation.folder / 'skipped.csv'}" if report.published else ""
        say(f"skipped {len(report.skipped):,}{where}")
        for path, reason in shown:
            say(f"  {path}: {reason}")


def _groups(found: tuple[tuple[tuple[str, str], ...], ...]) -> list[list[dict[str, str]]]:
    return [[{"id": id_, "artist": artist} for id_, artist in group] for group in found]


def note_exact(index: Index, approximate: bool) -> None:
    """A note if an approximate index was asked for and not made."""
    if approximate and not any(segment.approximate for segment in index.manifest.segments):
        note(
            "no approximate index was made: there are fewer than 10,000 paintings, or they are too little clustered "
            "for it to be faster; every search is exhaustive"
        )


def pushed(index: Index, address: Address, cluster: Cluster | None = None) -> Pushed:
    """Push the index to a server, with a bar for each stage."""
    return index.push(address, cluster=cluster, bar=progress)


def show_push(address: Address, found: Pushed) -> None:
    """Print what a push has done."""
    how = "exhaustive search" if found.kind in EXHAUSTIVE else f"finds {found.recall_at_10:.1%} of the ten nearest"
    say(f"{address}: {found.paintings:,} paintings, generation {found.generation}; {found.kind}, {how}")
    say(
        f"written: {found.written:,} in {found.seconds:.1f} s" if found.written else "this generation was there already"
    )
