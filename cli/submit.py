"""artidx submit."""

from __future__ import annotations

from pathlib import Path

import click

from ..embedder import bounds
from .options import PATH, encoding_option, index_option, json_option, real
from .output import note, progress, say, say_json


@click.command()
@click.argument("pairs", type=PATH)
@click.option("-o", "--output", type=PATH, required=True, metavar="CSV", help="The file to write.")
@click.option(
    "--prior",
    type=real(bounds.PRIOR),
    default=0.01311,
    show_default=True,
    help="Share of same-artist pairs; the default is that of Painter by Numbers' test set.",
)
@encoding_option
@index_option
@json_option
def submit(pairs: Path, output: Path, prior: float, encoding: str | None, index: Path, as_json: bool) -> None:
    """Answer a file of PAIRS, as Painter by Numbers asks for it (submission_info.csv).

    PAIRS is a table with a header and the columns index, first image, second image, whatever they are called. Images
    are ids of the index, which for Painter by Numbers are the names of the files. Writes a CSV with the columns index
    and sameArtist, the probability of the same artist. If the index knows the artists, the AUC is printed, too.
    """
    from ..index.answers.submit import submit as answer
    from ..index.model_card import share
    from ..index.opened import Index
    from .recognised import note_guess

    note_guess(pairs, encoding)
    opened = Index.open(index)
    calibration = opened.calibration.pairs
    with progress(pairs.stat().st_size, "bytes") as advance:
        done = answer(opened.generation, calibration, pairs, output, prior=prior, encoding=encoding, progress=advance)
    if done.unanswered:
        note(f"{done.unanswered:,} pairs have a painting that is not in {index}; they got the prior {prior:g}")
    if as_json:
        say_json(done)
        return
    say(f"{output}: {done.pairs:,} pairs")
    say(f"AUC {share(done.auc)}, of two seen artists {share(done.auc_seen)}, of two unseen {share(done.auc_unseen)}")
