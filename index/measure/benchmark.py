"""Compare models on the same paintings and the same questions, with intervals of the differences.

The protocol is in docs/benchmark.md. Nothing in it depends on a model: the queries, the gallery and the bootstrap's
samples of artists are the same for all, so that two models are compared sample by sample. Vectors are computed and kept
by kept_vectors.py; benchmark_page.py writes the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...embedder.catalogs.attribution import artist_key, attributed
from ...embedder.catalogs.catalog import Catalog
from ...embedder.parallel import Bar, no_bar
from ...embedder.runtime import Embedder
from ...errors import BadCatalog, BadSetting
from ..scoring.artist_scores import auc_of, gallery_scores, without_own_artists
from ..scoring.artists import artist_codes
from ..scoring.centre import centre_of, centred
from ..scoring.curve import PairCurve, Pairs, blocks
from ..scoring.vectors import Array, Doubles, Integers
from .bootstrap import MOST_PAIRS, Interval, auc_draws, identified_draws, interval_of, mean_draws, pair_draws, thinned
from .fit_artists import fit_held_out
from .kept_vectors import contents_of, vectors_of
from .retrieval import acceptance_limits
from .splits import split_names

ALL = "all"
NAMES = {  # of the scores: all are shares, and higher is better
    "auc": "AUC over all pairs",
    "found_at_1_percent": "pairs found at 1% false positives",
    "found_at_0_1_percent": "pairs found at 0.1%",
    "neighbour": "nearest by the same artist",
    "top_1": "artist first",
    "top_5": "artist in first five",
    "known_auc": "in or out of the gallery, AUC",
    "identified_at_10_percent": "identified at 10% false acceptance",
    "identified_at_1_percent": "identified at 1%",
}
FALSE_ACCEPTANCES = {"identified_at_10_percent": 0.1, "identified_at_1_percent": 0.01}


@dataclass(frozen=True)
class Score:
    """One number of one model with its 95% interval; NaN if there was nothing to count.

    difference: from the first model, with the interval of the paired samples; None for the first model itself.
    """

    value: float
    interval: Interval
    difference: float | None
    difference_interval: Interval | None


@dataclass(frozen=True)
class BenchmarkedModel:
    """name: the model's own name, with its file if two have the same; dim: of its vectors."""

    name: str
    sha256: str
    dim: int


@dataclass(frozen=True)
class Part:
    """All queries, or those of one source. scores: one for each model, in order, by NAMES."""

    part: str
    paintings: int
    artists: int
    same_pairs: int
    different_pairs: int
    known: int  # queries by an artist of the gallery
    out_of_gallery: int
    scores: dict[str, tuple[Score, ...]]


@dataclass(frozen=True)
class LeftOut:
    """Paintings that were left out for all models. unreadable: (path, reason), for any model; copies: of an image
    already in the gallery or among the queries; without_artist: no right answer is known."""

    unreadable: tuple[tuple[str, str], ...]
    copies: int
    without_artist: int


@dataclass(frozen=True)
class Benchmark:
    """gallery: the split that was searched; None if each painting was searched among all others."""

    catalog: str
    gallery: str | None
    gallery_paintings: int
    gallery_artists: int
    models: tuple[BenchmarkedModel, ...]
    parts: tuple[Part, ...]
    left_out: LeftOut


@dataclass(frozen=True)
class Task:
    """The questions. table: (n) paintings with artist_key and possibly source; in_gallery, asked: (n,) bool."""

    table: pd.DataFrame
    in_gallery: npt.NDArray[np.bool_]
    asked: npt.NDArray[np.bool_]

    @property
    def is_itself(self) -> bool:
        """Whether each painting is searched among all others."""
        return bool(self.in_gallery.all())


def benchmark(
    catalog: Catalog, models: Sequence[str], work: Path, gallery: str | None = None, bar: Bar = no_bar
) -> Benchmark:
    """Compare models, each base, small or a file, on a labelled catalog. Vectors are kept in the folder work.

    gallery: the split that is searched, by default train if there is one; the queries are the paintings of all other
    splits. Without splits, each painting is searched among all others. Raises BadSetting, BadCatalog, BadModel and
    IndexBusy.
    """
    table = attributed(catalog.table)
    keys = [artist_key(name) for name in table["artist"]]
    table = table.assign(artist_key=pd.Series(keys, index=table.index, dtype=object))
    labelled = table[table["artist_key"].notna()].reset_index(drop=True)
    gallery = _gallery_of(labelled, gallery, catalog.source)
    contents, unreadable = contents_of(labelled["path"].tolist(), bar)
    labelled = labelled.assign(sha256=contents)
    found, about = [], []
    for model in models:
        embedder = Embedder.load(model)
        readable = labelled[labelled["sha256"] != ""].drop_duplicates("sha256")
        images = dict(zip(readable["sha256"], readable["path"], strict=True))
        vectors, problems = vectors_of(images, embedder, work, bar)
        unreadable |= problems
        found.append(vectors)
        about.append(BenchmarkedModel(embedder.name, embedder.sha256, embedder.dim))
    usable = set.intersection(*(set(vectors) for vectors in found))
    task, copies = task_of(labelled[labelled["sha256"].isin(usable)], gallery)
    embeddings = [np.array([vectors[sha256] for sha256 in task.table["sha256"]], np.float32) for vectors in found]
    parts = compared(task, embeddings, catalog.source, bar)
    left_out = LeftOut((*catalog.skipped, *unreadable.items()), copies, len(table) - len(labelled))
    return Benchmark(
        catalog.source,
        gallery,
        int(task.in_gallery.sum()),
        int(task.table["artist_key"][task.in_gallery].nunique()),
        _with_distinct_names(about, models),
        parts,
        left_out,
    )


def _gallery_of(table: pd.DataFrame, named: str | None, source: str) -> str | None:
    splits = sorted(set(split_names(table, "split")))
    if named and named not in splits:
        raise BadSetting(f"--gallery {named}: {source} has no such split; there are {', '.join(splits)}")
    found = named or ("train" if "train" in splits else None)
    if found and len(splits) == 1:
        raise BadSetting(
            f"{source}: all paintings are in the split {found}, so there are no queries; leave out "
            f"the column split to compare each painting with all others"
        )
    if found is None and len(splits) > 1:
        raise BadSetting(f"{source}: has no split train; name the split to search with --gallery: {', '.join(splits)}")
    return found


def task_of(table: pd.DataFrame, gallery: str | None) -> tuple[Task, int]:
    """The gallery's paintings first, each image once; and how many copies were left out."""
    if gallery is None:
        once = table.drop_duplicates("sha256")
        everything = np.ones(len(once), bool)
        return Task(once.reset_index(drop=True), everything, everything), len(table) - len(once)
    is_there = (split_names(table, "split") == gallery).to_numpy(bool)
    once = pd.concat([table[is_there], table[~is_there]]).drop_duplicates("sha256").reset_index(drop=True)
    in_gallery = (split_names(once, "split") == gallery).to_numpy(bool)
    return Task(once, in_gallery, ~in_gallery), len(table) - len(once)


def compared(task: Task, embeddings: Sequence[Array], name: str, bar: Bar = no_bar) -> tuple[Part, ...]:
    """Scores of all queries together and, if there are several sources, of each of them.

    embeddings: (n, d) of each model, one or more, as given by it. Raises BadCatalog, naming `name`, if the gallery is
    too small.
    """
    if not task.asked.any() or not task.in_gallery.any():
        raise BadCatalog(f"{name}: no painting with an artist is left as a query, or none in the gallery")
    codes, _ = artist_codes(task.table["artist_key"])
    whole: list[tuple[str, npt.NDArray[np.bool_]]] = [(ALL, task.asked)]
    if "source" in task.table:
        sources = task.table["source"].astype(object).where(task.table["source"].notna(), "no source").astype(str)
        named = sorted(set(sources[task.asked]))
        whole += [(source, task.asked & (sources == source).to_numpy(bool)) for source in named if len(named) > 1]
    parts = []
    with bar(len(embeddings) * (len(whole) + 1), "measuring") as advance:
        answers = []
        for vectors in embeddings:
            answers.append(_answers(task, vectors, codes, name))
            advance(1)
        for part, here in whole:
            measured = []
            for vectors, answer in zip(embeddings, answers, strict=True):
                measured.append(_pairs(vectors[here], codes[here]) | _named(answer, here[task.asked]))
                advance(1)
            same, different = _pair_counts(codes[here])
            known, outside = (
                (which & here[task.asked]).sum() for which in (answers[0].is_known, answers[0].is_outside)
            )
            parts.append(
                Part(
                    part,
                    int(here.sum()),
                    len(np.unique(codes[here])),
                    same,
                    different,
                    int(known),
                    int(outside),
                    {score: _scores([of[score] for of in measured]) for score in NAMES},
                )
            )
    return tuple(parts)


def _pair_counts(codes: Integers) -> tuple[int, int]:
    """The numbers of pairs by one artist, and by two."""
    _, counts = np.unique(codes, return_counts=True)
    same = int((counts * (counts - 1)).sum()) // 2
    return same, len(codes) * (len(codes) - 1) // 2 - same


@dataclass(frozen=True)
class _Measured:
    """A number, and its value in each sample of the bootstrap."""

    value: float
    draws: list[float]


NOTHING = _Measured(nan, [])


def _scores(models: Sequence[_Measured]) -> tuple[Score, ...]:
    """The samples have the same artists for all models."""
    first = models[0]
    rest = [
        Score(
            each.value,
            interval_of(each.draws),
            each.value - first.value,
            interval_of([ours - theirs for ours, theirs in zip(each.draws, first.draws, strict=True)]),
        )
        for each in models[1:]
    ]
    return Score(first.value, interval_of(first.draws), None, None), *rest


def _pairs(embeddings: Array, codes: Integers) -> dict[str, _Measured]:
    """All pairs of these paintings (n, d) by distance, measured from their own centre."""
    vectors = centred(embeddings, centre_of(embeddings, codes))
    same, different = _pair_counts(codes)
    if not same or not different:
        return dict.fromkeys(("auc", "found_at_1_percent", "found_at_0_1_percent"), NOTHING)
    curve, kept, chance = PairCurve.empty(), [], np.random.default_rng(0)
    for pairs in blocks(vectors, codes):
        curve.add(pairs.distances, pairs.is_same)
        kept.append(thinned(pairs, MOST_PAIRS / same, MOST_PAIRS / different, chance))
    sample = Pairs.joined(kept)
    draws = pair_draws(sample.distances, sample)
    values = {
        "auc": curve.auc,
        "found_at_1_percent": curve.at(0.01).true_positive_rate,
        "found_at_0_1_percent": curve.at(0.001).true_positive_rate,
    }
    return {name: _Measured(value, draws[name]) for name, value in values.items()}


@dataclass(frozen=True)
class _Answers:
    """The answers of one model's gallery to the queries, (q,) each.

    by: the query's artist; is_known: the gallery has a painting of theirs, so that there is a right answer; ahead:
    artists ranked before the right one; best: probability of the first artist; unknown: that it is none of the
    gallery's artists. is_outside: the query is also used as one out of the gallery, with the probabilities outside_best
    and outside_unknown.
    """

    by: Integers
    is_known: npt.NDArray[np.bool_]
    has_right_neighbour: npt.NDArray[np.bool_]
    ahead: Integers
    best: Doubles
    unknown: Doubles
    is_outside: npt.NDArray[np.bool_]
    outside_best: Doubles
    outside_unknown: Doubles


def _answers(task: Task, embeddings: Array, codes: Integers, name: str) -> _Answers:
    """Answers for each query by a calibration fitted to the gallery's paintings by other artists."""
    gallery, by = codes[task.in_gallery], codes[task.asked]
    centre = centre_of(embeddings[task.in_gallery], gallery)
    there, asked = (centred(embeddings[which], centre) for which in (task.in_gallery, task.asked))
    own = np.arange(len(there)) if task.is_itself else None
    scored = gallery_scores(there, gallery, int(codes.max()) + 1, asked, own)
    queries = np.arange(len(by))
    is_known = scored.paintings[queries, by] > 0
    is_outside, outside = ~is_known, scored
    if task.is_itself or not is_outside.any():  # then they are asked again, without their artists' paintings
        is_outside, outside = np.ones(len(by), bool), without_own_artists(scored, by)
    ahead = np.zeros(len(by), np.int64)
    best, unknown, outside_best, outside_unknown = (np.full(len(by), nan) for _ in range(4))
    for half, calibration in fit_held_out(embeddings[task.in_gallery], gallery, codes, name):
        here = np.flatnonzero(np.isin(by, half))
        evidence = calibration.evidence(scored.of(here))
        ahead[here] = (evidence > evidence[np.arange(len(here)), by[here]][:, None]).sum(axis=1)
        for judged, first, nobody in ((scored, best, unknown), (outside, outside_best, outside_unknown)):
            probabilities, nobody[here] = calibration.posterior(judged.of(here))
            first[here] = probabilities.max(axis=1, initial=0)
    return _Answers(
        by,
        is_known,
        _right_neighbours(there, gallery, asked, by, own),
        ahead,
        best,
        unknown,
        is_outside,
        outside_best,
        outside_unknown,
    )


def _right_neighbours(
    there: Array, gallery: Integers, asked: Array, by: Integers, own: Integers | None
) -> npt.NDArray[np.bool_]:
    found = np.zeros(len(asked), bool)
    for number, vector in enumerate(asked):
        cosines = there @ vector
        if own is not None:
            cosines[own[number]] = -np.inf
        found[number] = gallery[cosines.argmax()] == by[number]
    return found


def _named(answers: _Answers, here: npt.NDArray[np.bool_]) -> dict[str, _Measured]:
    """For the queries selected by `here` (q,): which are correctly identified, and which are by artists of the
    gallery."""
    known, outside = answers.is_known & here, answers.is_outside & here
    found = dict.fromkeys(("neighbour", "top_1", "top_5", "known_auc", *FALSE_ACCEPTANCES), NOTHING)
    if not known.any():
        return found
    by, ahead = answers.by[known], answers.ahead[known]
    for name, is_so in (("neighbour", answers.has_right_neighbour[known]), ("top_1", ahead < 1), ("top_5", ahead < 5)):
        found[name] = _Measured(float(is_so.mean()), mean_draws(is_so.astype(np.float64), by))
    if not outside.any():
        return found
    outside_by, best, outside_best = answers.by[outside], answers.best[known], answers.outside_best[outside]
    sure, outside_sure = -answers.unknown[known], -answers.outside_unknown[outside]
    found["known_auc"] = _Measured(auc_of(sure, outside_sure), auc_draws(sure, outside_sure, by, outside_by))
    limits = acceptance_limits(outside_best, np.array([*FALSE_ACCEPTANCES.values()]))
    for (name, rate), limit in zip(FALSE_ACCEPTANCES.items(), limits, strict=True):
        found[name] = _Measured(
            float(((best > limit) & (ahead < 1)).mean()),
            identified_draws(best, ahead < 1, outside_best, rate, by, outside_by),
        )
    return found


def _with_distinct_names(models: Sequence[BenchmarkedModel], files: Sequence[str]) -> tuple[BenchmarkedModel, ...]:
    names = [model.name for model in models]
    return tuple(
        BenchmarkedModel(
            model.name if names.count(model.name) == 1 else f"{model.name} ({file})", model.sha256, model.dim
        )
        for model, file in zip(models, files, strict=True)
    )
