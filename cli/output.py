"""Output of all commands: data on stdout, notes and progress on stderr, one line for an error.

Text that came from a file or a table is stripped of control characters: it could rewrite a terminal.
"""

from __future__ import annotations

import errno
import sys
import textwrap
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from ..as_json import as_json

if TYPE_CHECKING:
    from ..index.answers.wording import Summary

WIDTH = 120  # characters per line below a headline
REFRESH_S, LOGGED_S = 0.1, 60.0  # seconds between two updates of progress, on a terminal and in a log


def plain(text: object) -> str:
    """The text without control characters."""
    if isinstance(text, str) and text.isprintable():
        return text
    return "".join(" " if unicodedata.category(c) in ("Cc", "Cf", "Cs") else c for c in str(text))


def say(text: str = "") -> None:
    """Print a line of data on stdout."""
    check_stdout()
    click.echo("\n".join(plain(line) for line in text.split("\n")))


def note(text: str) -> None:
    """Print a line about the run on stderr."""
    click.echo(plain(text), err=True)


def say_summary(summary: Summary) -> None:
    """Print an answer in words: the headline, and below it notes and assumptions."""
    say(summary.headline)
    for sentence in (*summary.notes, *summary.details):
        say(textwrap.fill(sentence, WIDTH, initial_indent="   ", subsequent_indent="   "))


def say_json(value: Any) -> None:
    """Print one JSON object on stdout; dataclasses become objects with their fields' names."""
    check_stdout()
    click.echo(as_json(value))


def check_stdout() -> None:
    """Raises BrokenPipeError if stdout was closed before we began: click would print nothing and exit with 0."""
    if sys.stdout is None:
        raise BrokenPipeError(errno.EPIPE, "stdout is closed")


@contextmanager
def progress(total: int, what: str) -> Iterator[Callable[[int], None]]:
    """Show a stage's progress on stderr, with rate and time left; call the result with each number just done.

    A bar on a terminal, which disappears when the stage ends; in a log one line per minute, whether there is progress
    or not.
    """
    started = time.monotonic()
    reached = 0

    def state() -> str:
        seconds = time.monotonic() - started
        rate = reached / max(seconds, 1e-9)
        pace = f"{rate:.1f}/s  {_clock((total - reached) / rate)} left" if reached else f"{_clock(seconds)} so far"
        return f"{reached:,}/{total:,}  {pace}"

    if not sys.stderr.isatty():
        ended = threading.Event()

        def tell() -> None:
            while not ended.wait(LOGGED_S):
                note(f"{what} {state()}")

        def count(done: int) -> None:
            nonlocal reached
            reached += done

        threading.Thread(target=tell, daemon=True).start()
        try:
            yield count
        finally:
            ended.set()
        return

    shown = -REFRESH_S

    def advance(done: int) -> None:
        nonlocal reached, shown
        reached += done
        if time.monotonic() - shown >= REFRESH_S or reached >= total:
            shown = time.monotonic()
            click.echo(f"\r{what} {'█' * (20 * reached // max(total, 1)):░<20} {state()} \x1b[K", err=True, nl=False)

    advance(0)
    try:
        yield advance
    finally:
        click.echo("\r\x1b[K", err=True, nl=False)


@contextmanager
def stages(total: int, what: str) -> Iterator[Callable[[int], None]]:
    """`progress` for one of several stages: in a log, it also has a line when it ends, so that short stages are
    visible."""
    started = time.monotonic()
    with progress(total, what) as advance:
        yield advance
    if not sys.stderr.isatty():
        note(f"{what}: {total:,} in {_clock(time.monotonic() - started)}")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"
