"""artidx benchmark: one protocol for any number of models, paired intervals, vectors that are kept."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from artidx import read_catalog
from artidx.cli.main import artidx
from artidx.errors import BadCatalog, BadSetting, IndexBusy
from artidx.index.measure import kept_vectors
from artidx.index.measure.benchmark import NAMES, Score, Task, benchmark, compared
from artidx.index.measure.fit_artists import fit_held_out
from artidx.index.scoring.centre import centre_of, centred
from made import Stages, painting, small_model

ARTISTS = 9  # of whom the last two are out of the gallery
IN_GALLERY, ASKED = 4, 3


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of paintings by nine artists, of two sources, and two models beside it."""
    folder = tmp_path_factory.mktemp("tiny")
    chance, rows = np.random.default_rng(0), []
    for artist in range(ARTISTS):
        hue = tuple(chance.integers(40, 216, 3).tolist())
        counts = [("asked", ASKED)] if artist >= ARTISTS - 2 else [("train", IN_GALLERY), ("asked", ASKED)]
        for split, count in counts:
            for number in range(count):
                path = painting(folder / split / f"{artist}-{number}.png", len(rows), hue)
                rows.append((path, f"Artist {artist}", split, "north" if number % 2 else "south"))
    pd.DataFrame(rows, columns=["path", "artist", "split", "source"]).to_csv(folder / "tiny.csv", index=False)
    for name, seed in (("one", 0), ("two", 1)):
        (folder / f"{name}.onnx").write_bytes(small_model(name, seed=seed))
    return folder


def models(tiny: Path, *names: str) -> list[str]:
    return [str(tiny / f"{name}.onnx") for name in names]


def made_up(seed: int, spread: float = 0.7) -> np.ndarray:
    """(81, 8) unit vectors of nine artists with nine paintings each."""
    chance = np.random.default_rng(seed)
    vectors = np.repeat(np.random.default_rng(0).normal(size=(ARTISTS, 8)), 9, axis=0)
    vectors = vectors + chance.normal(scale=spread, size=vectors.shape)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def made_up_task() -> Task:
    """Six paintings of each of seven artists are in the gallery; the third source has a single painting."""
    artist, number = np.divmod(np.arange(9 * ARTISTS), 9)
    in_gallery = (number < 6) & (artist < ARTISTS - 2)
    sources = np.where(np.arange(len(artist)) == 8, "east", np.where(number % 2, "north", "south"))
    table = pd.DataFrame({"artist_key": [f"artist {code}" for code in artist], "source": sources})
    return Task(table, in_gallery, ~in_gallery)


@settings(max_examples=4, phases=[Phase.explicit, Phase.generate])
@given(st.integers(0, 1000), st.floats(0.3, 2))
def test_swapping_two_models_flips_the_sign_of_every_difference(seed, spread):
    ours, theirs = made_up(seed), made_up(seed + 1, spread)
    for there, back in zip(
        compared(made_up_task(), [ours, theirs], "made up"),
        compared(made_up_task(), [theirs, ours], "made up"),
        strict=True,
    ):
        for name in NAMES:
            one, other = there.scores[name][1], back.scores[name][1]
            assert np.array_equal(one.difference, -other.difference, equal_nan=True)
            np.testing.assert_allclose(
                one.difference_interval, [-edge for edge in other.difference_interval[::-1]], atol=1e-12
            )
            first = back.scores[name][0]
            assert np.array_equal([one.value, *one.interval], [first.value, *first.interval], equal_nan=True)


@settings(max_examples=3, phases=[Phase.explicit, Phase.generate])
@given(st.integers(0, 1000))
def test_a_model_differs_from_itself_by_nothing_at_all(seed):
    for part in compared(made_up_task(), [made_up(seed), made_up(seed)], "made up"):
        for first, again in part.scores.values():
            assert first.difference is None
            if again.value == again.value:
                assert (again.difference, again.difference_interval) == (0, (0, 0))
            assert np.array_equal([first.value, *first.interval], [again.value, *again.interval], equal_nan=True)


def test_a_paired_interval_is_narrower_than_what_two_models_alone_would_give():
    ours = made_up(3)
    theirs = ours + np.random.default_rng(0).normal(scale=0.02, size=ours.shape).astype(np.float32)
    score = compared(made_up_task(), [ours, theirs], "made up")[0].scores["auc"][1]
    assert score.difference_interval[1] - score.difference_interval[0] < (score.interval[1] - score.interval[0]) / 3


def test_scores_are_those_of_a_plain_loop():
    task, vectors = made_up_task(), made_up(5)
    artists = task.table["artist_key"].to_numpy()
    codes = np.repeat(np.arange(ARTISTS), 9)
    whole, *sources = compared(task, [vectors], "made up")
    assert [part.part for part in sources] == ["east", "north", "south"]
    for part, here in ((whole, task.asked), (sources[1], task.asked & (task.table["source"] == "north").to_numpy())):
        asked = np.flatnonzero(here)
        seen = centred(vectors[asked], centre_of(vectors[asked], codes[asked]))
        pairs = [
            (float(seen[i] @ seen[j]), artists[asked[i]] == artists[asked[j]])
            for i in range(len(asked))
            for j in range(i)
        ]
        near = [cosine for cosine, is_same in pairs if is_same]
        far = [cosine for cosine, is_same in pairs if not is_same]
        won = np.mean([[(a > b) + (a == b) / 2 for b in far] for a in near])
        assert part.scores["auc"][0].value == pytest.approx(won, abs=1e-3)
        assert (part.same_pairs, part.different_pairs) == (len(near), len(far))
        centre = centre_of(vectors[task.in_gallery], codes[task.in_gallery])
        gallery, by = centred(vectors[task.in_gallery], centre), artists[task.in_gallery]
        known = [place for place in asked if artists[place] in by]
        right = [by[(gallery @ centred(vectors[[place]], centre)[0]).argmax()] == artists[place] for place in known]
        assert part.scores["neighbour"][0].value == pytest.approx(np.mean(right))
        assert (part.known, part.out_of_gallery) == (len(known), len(asked) - len(known))


def test_a_part_in_which_there_is_nothing_to_count_has_no_number():
    east = compared(made_up_task(), [made_up(0), made_up(1)], "made up")[1]
    assert (east.paintings, east.same_pairs) == (1, 0)
    assert np.isnan([score.value for score in east.scores["auc"]]).all()


def test_artists_are_judged_by_a_calibration_that_their_paintings_do_not_touch():
    codes = np.repeat(np.arange(ARTISTS), 9)
    vectors = made_up(0)
    before = fit_held_out(vectors, codes, codes, "made up")
    assert sorted(np.concatenate([half for half, _ in before])) == [*range(ARTISTS)]
    for number, (half, calibration) in enumerate(before):
        changed = vectors.copy()
        changed[np.isin(codes, half)] = made_up(7, 3.0)[np.isin(codes, half)]
        after = fit_held_out(changed, codes, codes, "made up")
        assert after[number][1] == calibration
        assert after[1 - number][1] != before[1 - number][1]


def test_without_splits_each_is_asked_of_all_others(tiny, tmp_path):
    table = pd.read_csv(tiny / "tiny.csv").drop(columns=["split", "source"])
    found = benchmark(read_catalog(table), models(tiny, "one", "two"), tmp_path)
    assert found.gallery is None
    (part,) = found.parts
    assert part.paintings == part.known == part.out_of_gallery == found.gallery_paintings == len(table)
    assert all(0 <= score.value <= 1 for scores in part.scores.values() for score in scores)


def test_a_second_run_embeds_nothing_and_says_the_same(tiny, tmp_path):
    first, second = Stages(), Stages()
    catalog = read_catalog(str(tiny / "tiny.csv"))
    found = benchmark(catalog, models(tiny, "one", "two"), tmp_path, bar=first)
    again = benchmark(catalog, models(tiny, "one", "two"), tmp_path, bar=second)
    assert repr(found) == repr(again)
    assert embedded(first) == {"one": len(catalog), "two": len(catalog)}
    assert embedded(second) == {"one": 0, "two": 0}


def embedded(stages: Stages) -> dict[str, int]:
    return {what.removeprefix("embedding by "): done for what, done, _ in stages.seen if what.startswith("embedding")}


def test_an_interrupted_run_goes_on_where_it_was(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(kept_vectors, "PIECE", 8)
    catalog = read_catalog(str(tiny / "tiny.csv"))

    class Stopped(Stages):
        def __call__(self, total, what):
            if what == "measuring":
                return super().__call__(total, what)
            return Impatient(16) if what.startswith("embedding") else super().__call__(total, what)

    with pytest.raises(KeyboardInterrupt):
        benchmark(catalog, models(tiny, "one"), tmp_path, bar=Stopped())
    rest = Stages()
    benchmark(catalog, models(tiny, "one"), tmp_path, bar=rest)
    assert embedded(rest) == {"one": len(catalog) - 16}


class Impatient:
    """A stage that is interrupted after this many items."""

    def __init__(self, most: int) -> None:
        self.left = most

    def __enter__(self):
        return self.advance

    def __exit__(self, *_: object) -> None:
        pass

    def advance(self, done: int) -> None:
        self.left -= done
        if self.left <= 0:
            raise KeyboardInterrupt


def test_what_is_kept_answers_for_nothing_else(tiny, tmp_path, monkeypatch):
    table = pd.read_csv(tiny / "tiny.csv")
    moved = tmp_path / "moved.png"
    moved.write_bytes(Path(table["path"][0]).read_bytes())
    table.loc[0, "path"] = str(moved)

    def run(*names: str) -> dict[str, int]:
        stages = Stages()
        benchmark(read_catalog(table), models(tiny, *names), tmp_path / "work", bar=stages)
        return embedded(stages)

    assert run("one") == {"one": len(table)}
    assert run("one", "two") == {"one": 0, "two": len(table)}
    painting(moved, 9999)  # overwritten in place
    assert run("one") == {"one": 1}
    table.loc[1, "artist"] = "Artist 5"  # no vector depends on a label
    assert run("one") == {"one": 0}
    for kept in sorted((tmp_path / "work").glob("*/*.parquet"))[:1]:
        kept.write_bytes(kept.read_bytes()[:-20])
    assert sum(run("one", "two").values()) > 0
    monkeypatch.setattr(kept_vectors, "version", lambda name: f"{name} of another day")
    assert run("one") == {"one": len(table)}


def test_two_runs_at_once_are_refused(tiny, tmp_path):
    catalog = read_catalog(str(tiny / "tiny.csv"))

    class Twice(Stages):
        def __call__(self, total, what):
            if what.startswith("embedding"):
                benchmark(catalog, models(tiny, "one"), tmp_path)
            return super().__call__(total, what)

    with pytest.raises(IndexBusy, match="another run"):
        benchmark(catalog, models(tiny, "one"), tmp_path, bar=Twice())


def test_what_would_not_be_fair_is_left_out_and_counted(tiny, tmp_path):
    table = pd.read_csv(tiny / "tiny.csv")
    bad, copy = tmp_path / "bad.png", tmp_path / "copy.png"
    bad.write_bytes(b"no image")
    copy.write_bytes(Path(table["path"][0]).read_bytes())  # of one in the gallery
    more = pd.DataFrame(
        [
            (bad, "Artist 0", "asked", "south"),
            (copy, "Artist 0", "asked", "south"),
            (painting(tmp_path / "nobody.png", 777), None, "asked", "south"),
        ],
        columns=table.columns,
    )
    found = benchmark(read_catalog(pd.concat([table, more], ignore_index=True)), models(tiny, "one", "two"), tmp_path)
    assert [path for path, _ in found.left_out.unreadable] == [str(bad)]
    assert (found.left_out.copies, found.left_out.without_artist) == (1, 1)
    assert repr(found.parts) == repr(benchmark(read_catalog(table), models(tiny, "one", "two"), tmp_path).parts)


def test_settings_that_cannot_be_are_one_line(tiny, tmp_path):
    table = pd.read_csv(tiny / "tiny.csv")

    def run(frame: pd.DataFrame, gallery: str | None = None) -> None:
        benchmark(read_catalog(frame), models(tiny, "one"), tmp_path, gallery)

    with pytest.raises(BadSetting, match="no such split; there are asked, train"):
        run(table, "tain")
    with pytest.raises(BadSetting, match="no split train; name the split"):
        run(table.replace({"split": {"train": "first"}}))
    with pytest.raises(BadSetting, match="there are no queries"):
        run(table[table["split"] == "train"])
    with pytest.raises(BadCatalog, match="two artists or more with two paintings each"):
        run(table[table["artist"].isin(["Artist 0", "Artist 1", "Artist 8"])])
    with pytest.raises(BadCatalog, match="no painting with an artist"):
        run(table.assign(artist=None).drop(columns="split"))


@pytest.mark.parametrize("has_pictures", [True, False])
def test_the_command_gives_a_table_json_and_a_page_that_loads_nothing(tiny, tmp_path, monkeypatch, has_pictures):
    if not has_pictures:
        monkeypatch.setitem(sys.modules, "matplotlib", None)
    asked = [
        "benchmark",
        str(tiny / "tiny.csv"),
        "--work",
        str(tmp_path / "work"),
        *(word for model in models(tiny, "one", "two") for word in ("--model", model)),
    ]
    told = CliRunner().invoke(artidx, [*asked, "--report", str(tmp_path / "page.html")], catch_exceptions=False)
    found = json.loads(CliRunner().invoke(artidx, [*asked, "--json"], catch_exceptions=False).stdout)
    assert [model["name"] for model in found["models"]] == ["one", "two"]
    assert [part["part"] for part in found["parts"]] == ["all", "north", "south"]
    assert found["gallery"] == "train"
    auc = [Score(**score) for score in found["parts"][0]["scores"]["auc"]]
    assert auc[1].difference == pytest.approx(auc[1].value - auc[0].value)
    line = next(line for line in told.stdout.splitlines() if line.startswith("  AUC over all pairs"))
    assert re.search(rf"one  {auc[0].value:.3f} \(", line)
    page = (tmp_path / "page.html").read_text()
    assert f"{auc[1].difference:+.3f}" in page
    assert ("<svg" in page) is has_pictures
    assert not re.search(r"<script|<link|<img|url\(http|src=", page)
