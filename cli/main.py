"""artidx: were these two painted by the same artist, and who might have painted this?

One file per command; each is imported only when it is called, so that `artidx --help` answers at once. Errors become
one line and an exit status here.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from contextlib import suppress
from typing import Any

import click

from ..embedder.resources import ROOM, check_room, check_threads
from ..errors import ArtidxError, exhausted

TROUBLE = 2
VERBS = {
    "build": "Build an index from paintings.",
    "add": "Add paintings to an index.",
    "sync": "Make an index match a folder or a table.",
    "remove": "Remove paintings from an index.",
    "label": "Correct labels, and record who said what.",
    "pair": "Were two paintings made by the same artist?",
    "nearest": "Who might have painted this?",
    "review": "List what a curator should look at in an index.",
    "serve": "Answer by HTTP, with a page for people.",
    "push": "Copy an index to Milvus or PostgreSQL, to be searched there.",
    "info": "Show what an index holds.",
    "check": "Check that every file and vector is as it was written; repair.",
    "plot": "Plot the paintings of an index in three dimensions.",
    "submit": "Answer a file of pairs, as Painter by Numbers asks.",
    "calibrate": "Fit thresholds and probabilities to an index's own labels.",
    "evaluate": "Measure how good the answers are, on labelled paintings.",
    "benchmark": "Compare models on labelled paintings, side by side.",
    "train": "Train a model of your own.",
    "export": "Make a model file from a network in training.",
    "wrap-model": "Make a model file from any ONNX network.",
    "export-vectors": "Write an index's vectors for other programs.",
    "import-vectors": "Make an index from vectors of other programs.",
}


class _NothingReads(Exception):
    """The reader of our output has gone, or stdout was closed from the beginning."""


class _Verbs(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        """Run a command to the end of its output. If nobody reads, click would exit with 1, which means "different" for
        pair."""
        try:
            try:
                return super().invoke(ctx)
            finally:
                if sys.stdout is not None:
                    sys.stdout.flush()
        except BrokenPipeError:
            raise _NothingReads from None

    def make_context(self, *args: Any, **more: Any) -> click.Context:
        """The help of artidx itself is written here."""
        try:
            return super().make_context(*args, **more)
        except BrokenPipeError:
            raise _NothingReads from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        name = name.replace("-", "_")
        command: click.Command = getattr(importlib.import_module(f".{name}", __package__), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


def _show_version(ctx: click.Context, _: click.Parameter, is_asked: bool) -> None:
    if not is_asked or ctx.resilient_parsing:
        return
    from importlib.metadata import version

    from ..embedder.runtime import default_model
    from ..files import sha256_of

    model = default_model()
    click.echo(f"artidx {version('artidx')}, model {model.stem} {sha256_of(model)[:12]}")
    ctx.exit()


@click.command(
    cls=_Verbs,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=("Start with: artidx build FOLDER -o paintings.artidx, where FOLDER has one folder of images per artist."),
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version, and the model that answers by default, and exit.",
)
def artidx() -> None:
    """An index of paintings that knows their artists: were these two painted by the same artist, and who might
    have painted this?"""


def main() -> None:
    """Run the command line. Exits 2 for trouble, with one line on stderr that says what, where and what to do."""
    # The next file that is opened would get the number of a closed one, and libraries would print into it.
    for handle in range(3):
        try:
            os.fstat(handle)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    try:
        check_room(ROOM, "1 GB of address space is needed")
        check_threads()
        artidx.main(prog_name="artidx", standalone_mode=False)
    except click.ClickException as problem:
        command = problem.ctx.command_path if isinstance(problem, click.UsageError) and problem.ctx else "artidx"
        _stop(f"{problem.format_message()} (see {command} --help)", TROUBLE)
    except (click.Abort, KeyboardInterrupt):
        _stop("stopped", 130)
    except _NothingReads:  # nobody reads our output any more
        _drop_output()
        sys.exit(TROUBLE)
    except ArtidxError as problem:
        _stop(str(problem), TROUBLE)
    except OSError as problem:
        where = f"{problem.filename}: " if problem.filename else ""
        _drop_output()  # stderr itself may be broken
        _stop(f"{where}{problem.strerror or problem}", TROUBLE)
    except Exception as problem:
        if out := exhausted(problem, "it could not be finished"):
            _stop(str(out), TROUBLE)
        # A bug; 1 would mean "different" to callers of pair.
        traceback.print_exc()
        sys.exit(TROUBLE)


def _drop_output() -> None:
    """Discard buffered output: at exit, Python would try again to write it, and set its own status."""
    with suppress(OSError, ValueError, AttributeError):  # closed, or none
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _stop(message: str, status: int) -> None:
    from .output import plain

    click.echo(f"artidx: {plain(' '.join(message.split()))}", err=True)
    sys.exit(status)
