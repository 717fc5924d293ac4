"""Answers in words: one headline per question, the same on the command line, on the page and in a file note.

The headline states the probability. The threshold is a detail: it limits false alarms and does not depend on the prior,
so the two may disagree, and then a sentence says so. If the probability is known to be too high, the word is one step
weaker than the number, and a note says why. Decisions are made in verify.py and search.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

VERY_LIKELY, LIKELY, UNDECIDED, UNLIKELY, VERY_UNLIKELY = (
    "very likely",
    "likely",
    "undecided",
    "unlikely",
    "very unlikely",
)
FEW_WORKS = 10  # by an artist, in the index: with fewer, the right artist is rarely first (docs/accuracy.md)


@dataclass(frozen=True)
class Summary:
    """An answer in sentences. words: how likely, one of the five above; headline: the answer; notes: why to trust it
    less; details: its assumptions and evidence."""

    words: str
    headline: str
    notes: tuple[str, ...]
    details: tuple[str, ...]


UNTOLD = Summary("", "", (), ())  # placeholder: computed from the other fields of an answer


class Named(NamedTuple):
    """An artist who may have painted it, and how many other works by them the index holds."""

    artist: str
    probability: float
    works: int


class Recorded(NamedTuple):
    """The record of a painting that was asked about: the name as written, the artist's position in the ranking, None if
    not in it, and how many other works by them the index holds."""

    by: str
    rank: int | None
    works: int


def percent(probability: float) -> str:
    """Whole percents, never 0% or 100%."""
    return ">99%" if probability > 0.99 else "<1%" if probability < 0.01 else f"{probability:.0%}"


def in_words(probability: float, *, is_too_high: bool = False) -> str:
    """How likely, in words. is_too_high: the probability is known to be too high; then at most "likely"."""
    if probability >= 0.9 and not is_too_high:
        return VERY_LIKELY
    if probability >= 0.7:
        return LIKELY
    return VERY_UNLIKELY if probability <= 0.1 else UNLIKELY if probability <= 0.3 else UNDECIDED


def is_sculpture(probability: float | None) -> bool:
    """Whether an answer says that a photograph shows a sculpture; None if its model does not tell."""
    return probability is not None and probability >= 0.5


def of_pair(
    *,
    same: bool,
    probability: float,
    prior: float,
    distance: float,
    threshold: float,
    false_positive_rate: float | None,
    probability_by_distance: float,
    neighbourhood_similarity: float | None,
    one_picture: str | None,
    is_too_sure: bool,
    sculptures: str = "",
) -> Summary:
    """The summary of a verdict.

    one_picture: how the two show one picture, as a sentence without a subject; sculptures: which seem to be some, "A",
    "B" or "A and B".
    """
    words = in_words(probability, is_too_high=is_too_sure)
    odds = f"{words.capitalize()} {'whether' if words == UNDECIDED else 'that'} one artist painted both"
    odds = f"{odds}: the probability is {percent(probability)}."
    notes = []
    if is_too_sure and probability > 0.3:
        notes.append(
            "The index holds neither, and two photographs from a collection that an index does not hold look alike to "
            "it. If these are from one collection, the probability is far too high: build an index of that collection "
            "and ask there."
        )
    if sculptures:
        notes.append(
            f"{sculptures} {'seem to show sculptures' if ' ' in sculptures else 'seems to show a sculpture'}. The "
            f"probability was measured on pairs of paintings."
        )
    if same != (probability >= 0.5):
        notes.append(
            "The threshold says otherwise. It only limits how many pairs by different artists pass, and does not "
            "depend on the share of pairs by one artist that you expect."
        )
    return Summary(
        words,
        f"A and B {one_picture}. {odds}" if one_picture else odds,
        tuple(notes),
        (
            f"Of 100 pairs like this one {_of_100(probability)} would be by one artist, if {prior:.0%} of the pairs "
            f"you ask about are (the prior).",
            f"Their distance {distance:.3f} is {'below' if same else 'not below'} the threshold {threshold:.3f} "
            + (
                "that you gave."
                if false_positive_rate is None
                else f"for these two, which {false_positive_rate:.1%} of pairs by different artists pass."
            ),
            "Judged by their distance alone: the index has too few paintings to compare their neighbourhoods."
            if neighbourhood_similarity is None
            else f"By their distance alone the probability is {percent(probability_by_distance)}; the similarity of "
            f"their neighbourhoods in the index is {neighbourhood_similarity:.2f} of 1.",
        ),
    )


def of_artists(
    artists: Sequence[Named],
    unknown: float,
    searched: int,
    recorded: Recorded | None,
    *,
    is_from_elsewhere: bool,
    sculpture: float | None = None,
) -> Summary:
    """The summary of a ranking, likeliest first.

    is_from_elsewhere: the index does not hold the photograph; sculpture: the probability that it shows one, None if
    that is not known.
    """
    first = artists[0] if artists else None
    if first is None or unknown >= 0.7:
        words = in_words(unknown)
        headline = f"{words.capitalize()} none of the artists here: {percent(unknown)}."
    elif first.probability >= 0.7:
        words = in_words(first.probability, is_too_high=first.works < FEW_WORKS)
        headline = f"{words.capitalize()} {first.artist}: {percent(first.probability)}."
    else:
        words = UNDECIDED
        both = [(first.probability, first.artist), (unknown, "none of the artists here")]
        both.sort(key=lambda each: -each[0])
        headline = f"Undecided: {', '.join(f'{name} {percent(share)}' for share, name in both)}."
    notes = [_against_record(artists, unknown, recorded)] if recorded else []
    if sculpture is not None and is_sculpture(sculpture):
        notes.append(
            f"The photograph seems to show a sculpture ({percent(sculpture)}). Artists whose works here are mostly "
            f"paintings do not count."
        )
    if first and first.probability >= 0.5:
        if first.works < FEW_WORKS:
            notes.append(
                f"{_works(first.works)} by {first.artist} {'is' if first.works == 1 else 'are'} here to compare with. "
                f"With so few, a similar subject or a similar photograph counts as much as the hand."
            )
        if is_from_elsewhere:
            notes.append(
                "The photograph is not in this index. For photographs from elsewhere, answers are less reliable than "
                "for a collection's own."
            )
    return Summary(
        words,
        headline,
        tuple(notes),
        (
            f"None of the artists here: {percent(unknown)}, if half of the paintings you ask about are by others.",
            f"Searched: {searched:,} painting{'' if searched == 1 else 's'}.",
        ),
    )


def _against_record(artists: Sequence[Named], unknown: float, recorded: Recorded) -> str:
    says = f"The record says {recorded.by}"
    if recorded.rank is None and not recorded.works:
        return f"{says}; no other work by this artist is here to compare with."
    own = artists[recorded.rank].probability if recorded.rank is not None else 0.0
    first = artists[0].probability if artists else 0.0
    if recorded.rank == 0 and own >= unknown:
        return f"{says}; the pictures agree."
    is_named = recorded.rank != 0 and first >= unknown
    looks = f"looks more like {artists[0].artist}" if is_named else "looks like none of the artists here"
    place = f"({percent(own)})" if recorded.rank is not None else f"(not among the first {len(artists)})"
    return f"{says} {place}; it {looks} ({percent(first if is_named else unknown)})."


def _works(count: int) -> str:
    return f"Only {count} work{'' if count == 1 else 's'}" if count else "No work"


def _of_100(probability: float) -> str:
    if probability > 0.99:
        return "more than 99"
    return "fewer than 1" if probability < 0.01 else f"about {round(100 * probability)}"
