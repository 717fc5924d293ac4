"""artidx pair."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import tee
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from ..embedder import bounds
from .options import PATH, encoding_option, is_given, note_option, query_options, real
from .output import say, say_json, say_summary

if TYPE_CHECKING:
    from ..index.answers.verify import Verdict
    from ..index.sources import Source

SHARED = 5  # neighbours shown; --json has them all


@click.command()
@click.argument("paintings", nargs=-1, metavar="A B")
@click.option(
    "--pairs",
    type=PATH,
    metavar="FILE.csv",
    help="Answer many pairs: the first two columns of a table with a header; writes CSV, or JSON lines.",
)
@encoding_option
@click.option(
    "--prior",
    type=real(bounds.PRIOR),
    default=0.5,
    show_default=True,
    help="Share of same-artist pairs among those you ask about.",
)
@click.option(
    "--fpr",
    type=click.Choice(["0.1", "0.01", "0.001"]),
    default="0.1",
    show_default=True,
    help="Share of pairs by different artists that may pass the threshold.",
)
@click.option(
    "--threshold",
    type=real(bounds.DISTANCE),
    metavar="DISTANCE",
    help="Call a pair the same below this distance, instead of --fpr.",
)
@note_option
@query_options
def pair(
    paintings: tuple[str, ...],
    pairs: Path | None,
    encoding: str | None,
    prior: float,
    fpr: str,
    threshold: float | None,
    output: Path | None,
    index: Source | None,
    model: str | None,
    device: str,
    max_pixels: int | None,
    as_json: bool,
) -> None:
    """Were A and B painted by the same artist?  Exits 0 for same, 1 for different, 2 for trouble.

    A and B are image files, ids of paintings in the index (id:NAME if a file has that name, too), or - for an
    image on stdin. They need not be in the index; its paintings give the evidence. With --pairs it exits 0 when all
    pairs were answered, and 2 when some could not be.
    """
    from .query import checked, images, note_shown, note_without_geometry, open_index, open_service, pixel_limit

    checked(paintings, 2, pairs, "--pairs")
    if threshold is not None and is_given("fpr"):
        raise click.UsageError("--fpr and --threshold both decide: give one of them")
    if output and pairs:
        raise click.UsageError("-o writes a note on one pair; --pairs answers on stdout")
    limit = pixel_limit(max_pixels)
    if service := open_service(index, ("-o", output), ("--model", model)):
        with service:
            rate = float(fpr) if threshold is None else None
            if pairs:
                from .bulk import write_verdicts

                names, again = tee(_read(pairs, encoding))
                found = service.pair_of_each(names, false_positive_rate=rate, threshold=threshold, prior=prior)
                _end_pairs(write_verdicts(zip(again, found, strict=True), as_json))
            asked = images(*paintings, max_pixels=limit)
            verdict = service.pair(*asked, false_positive_rate=rate, threshold=threshold, prior=prior)
            _tell(verdict, service.artists, as_json)
    opened = open_index(index, model, device)
    if pairs:
        from ..index.answers.verify import Decision
        from .bulk import answer_pairs
        from .recognised import note_guess

        note_guess(pairs, encoding)
        _end_pairs(answer_pairs(opened, pairs, Decision(float(fpr), threshold, prior), limit, as_json, encoding))
    asked = images(*paintings, max_pixels=limit)
    verdict = opened.pair(*asked, false_positive_rate=float(fpr), threshold=threshold, prior=prior, max_pixels=limit)
    if output:
        from ..index.review import iiif, notes

        if output.suffix == ".json":
            note_shown(iiif.write_pair(verdict, opened.store, output))
        else:
            notes.write_pair(verdict, asked, opened.name, output)
    if not as_json and not verdict.one_picture and verdict.distance < opened.reach.very_near:
        note_without_geometry("these two")
    _tell(verdict, opened.artists, as_json)


def _read(pairs: Path, encoding: str | None) -> Iterator[tuple[str, str]]:
    from .bulk import read_pairs
    from .recognised import note_guess

    note_guess(pairs, encoding)
    return read_pairs(pairs, encoding)


def _end_pairs(failed: int) -> NoReturn:
    from .bulk import report_failed

    report_failed(failed)
    sys.exit(2 if failed else 0)


def _tell(verdict: Verdict, artists: int, as_json: bool) -> NoReturn:
    if as_json:
        say_json(verdict)
    else:
        _show(verdict, artists)
    sys.exit(0 if verdict.same else 1)


def _show(verdict: Verdict, artists: int) -> None:
    from ..index.answers.wording import percent
    from .query import named, ranked

    say_summary(verdict.summary)
    say(f"measured on {verdict.measured_on}")
    for letter, side in (("A", verdict.a), ("B", verdict.b)):
        say(f"{letter}  {named(side.painting) if side.painting else side.name}")
        say(
            f"   nearest artists, without the other painting: {ranked(side.artists)}; "
            f"none of the {artists} artists here {percent(side.unknown)}"
        )
    say(f"neighbours of both: {len(verdict.shared) or 'none'}")
    for shared in verdict.shared[:SHARED]:
        say(f"   {shared.distance_a:.3f} from A, {shared.distance_b:.3f} from B  {named(shared.painting)}")
