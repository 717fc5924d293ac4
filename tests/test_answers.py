"""pair and nearest: one distance, no painting its own neighbour, probabilities that add up."""

from __future__ import annotations

import shutil
import sys
import threading
import tracemalloc
import zipfile
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import artidx
from artidx import Embedder, Index, read_catalog
from artidx.errors import BadSetting, Uncalibrated, UnknownPainting, UnreadableImage
from artidx.index.scoring.artist_scores import KERNEL, artist_scores, paintings_by
from artidx.index.scoring.vectors import NOBODY, Part, Vectors, _largest, distances, nearest_rows
from made import DIM, HUES, MUSEUM, painting, small_model


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


finite = (
    arrays(np.float32, st.tuples(st.integers(2, 40), st.just(DIM)), elements=st.floats(-1, 1, width=16))
    .filter(lambda a: (np.linalg.norm(a, axis=1) > 0.1).all())
    .map(unit)
)


@given(finite)
def test_distance_does_not_depend_on_the_order_or_on_what_is_beside_it(vectors):
    together = distances(vectors[:1], vectors)
    for i, vector in enumerate(vectors):
        assert distances(vector, vectors[0]).tobytes() == together[i].tobytes()
        assert distances(vectors[0], vector).tobytes() == together[i].tobytes()
    assert ((together >= 0) & (together <= 2)).all()
    np.testing.assert_allclose(together, np.maximum(1 - vectors.astype(float) @ vectors[0], 0), atol=1e-12)


@given(finite, st.integers(1, 50), st.sets(st.integers(0, 39)), st.lists(st.integers(0, 40), max_size=3))
def test_nearest_vectors_equal_a_plain_sort_in_one_part_or_several(vectors, k, without, cuts):
    parts = [part for part in np.split(vectors, sorted({min(cut, len(vectors)) for cut in cuts})) if len(part)]
    kept = np.array([place not in without for place in range(len(vectors))])
    left = vectors[kept]
    allowed = np.arange(len(left)) % 3 > 0
    several = Vectors([Part(part) for part in parts], kept)
    assert np.array_equal(several.matrix, left)
    cosines = several.cosines(vectors[:2])
    np.testing.assert_allclose(cosines, vectors[:2] @ left.T, atol=1e-6)
    assert all(several.cosines(v[None]).tobytes() == c.tobytes() for v, c in zip(vectors[:2], cosines, strict=True))
    for mask in (None, allowed):
        found, apart = several.nearest(vectors[:2], k, mask)
        for query, places, distance in zip(vectors[:2], found.tolist(), apart, strict=True):
            every = distances(query[None], left)
            order = sorted((d, place) for place, d in enumerate(every) if mask is None or mask[place])[:k]
            assert [(d, place) for d, place in zip(distance, places, strict=True) if place != NOBODY] == order
            assert np.isinf(distance[len(order) :]).all()
            assert several.at(places[: len(order)]).tobytes() == left[places[: len(order)]].tobytes()
        among = None if mask is None else np.flatnonzero(mask)
        seen = several.nearest_by(several.cosines(vectors[:2], among), vectors[:2], k, among)
        assert [each.tobytes() for each in seen] == [found.tobytes(), apart.tobytes()]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_pair_and_nearest_agree_to_the_last_bit_by_path_and_by_id_after_reload(index, data):
    table = index.generation.table
    a, b = data.draw(st.permutations(range(len(table))))[:2]
    names = [data.draw(st.sampled_from([table["path"][i], table["id"][i], f"id:{table['id'][i]}"])) for i in (a, b)]
    expected = index.pair(*names).distance
    again = Index.open(index.source)
    assert again.pair(names[1], names[0]).distance == expected
    assert again.pair(table["id"][a], table["path"][b]).distance == expected
    near = {n.painting.id: n.distance for n in again.nearest(names[0], k=50).paintings}
    assert near[table["id"][b]] == expected
    spoken = {n.painting.id: n.distance for artist in again.nearest(names[0]).artists for n in artist.paintings}
    assert spoken.get(table["id"][b], expected) == expected


def test_an_image_from_outside_gets_the_same_distance_in_either(tmp_path, index):
    new = painting(tmp_path / "new.png", 400, HUES["Red Painter"])
    near = index.nearest(new, k=12).paintings
    assert {n.painting.id: n.distance for n in near} == {
        n.painting.id: index.pair(new, n.painting.id).distance for n in near
    }
    assert index.pair(new.read_bytes(), new).distance < 1e-6


def test_a_painting_is_never_its_own_neighbour_even_under_another_name(tmp_path, collection, embedder):
    shutil.copy(collection / "Red Painter" / "R0.png", collection / "Red Painter" / "again.png")
    outside = shutil.copy(collection / "Red Painter" / "R0.png", tmp_path / "elsewhere.png")
    index, _ = Index.build(tmp_path / "i.artidx", collection, embedder=embedder)
    for query in ("Red Painter/R0.png", "Red Painter/again.png", outside):
        answer = index.nearest(query, k=20)
        everyone = [n.painting.id for n in answer.paintings]
        speakers = [n.painting.id for artist in answer.artists for n in artist.paintings]
        assert len(everyone) == 11
        assert not {"Red Painter/R0.png", "Red Painter/again.png"} & {*everyone, *speakers}


def test_the_paintings_of_one_hand_lie_together_and_a_verdict_says_so(index):
    same = index.pair("Red Painter/R0.png", "Red Painter/R1.png")
    different = index.pair("Red Painter/R0.png", "Blue Painter/B0.png")
    assert same.same
    assert not different.same
    assert same.distance < same.threshold == 0.6 <= different.distance
    assert same.probability > different.probability
    assert same.a.artists[0].artist == "Red Painter"
    assert {shared.painting.artist for shared in same.shared[:2]} == {"Red Painter"}


def test_shared_neighbours_are_near_both_and_neither_of_the_two(index):
    verdict = index.pair("Red Painter/R0.png", "Green Painter/G0.png")
    assert verdict.shared
    for shared in verdict.shared:
        assert shared.painting.id not in ("Red Painter/R0.png", "Green Painter/G0.png")
        assert shared.distance_a == index.pair("Red Painter/R0.png", shared.painting.id).distance
        assert shared.distance_b == index.pair("Green Painter/G0.png", shared.painting.id).distance


def test_probabilities_of_artists_and_nobody_add_up(index, tmp_path):
    answer = index.nearest(painting(tmp_path / "q.png", 9, HUES["Green Painter"]), k=10)
    assert answer.unknown + sum(artist.probability for artist in answer.artists) == pytest.approx(1)
    assert answer.artists[0].artist == "Green Painter"
    assert [a.probability for a in answer.artists] == sorted((a.probability for a in answer.artists), reverse=True)
    for artist in answer.artists:
        assert {n.painting.artist for n in artist.paintings} == {artist.artist}
        assert len(artist.paintings) == 3


def test_every_answer_names_the_model_and_the_generation(index):
    index.remove(["Blue Painter/B3.png"])
    for answer in (
        index.pair("Red Painter/R0.png", "Red Painter/R1.png"),
        index.nearest("Red Painter/R0.png"),
        index.nearest_paintings("Red Painter/R0.png"),
    ):
        assert answer.model == index.manifest.model.sha256
        assert answer.generation == 2


def test_a_file_wins_over_an_id_unless_the_id_is_asked_for(index, collection, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    painting(tmp_path / "Red Painter" / "R0.png", 600, HUES["Blue Painter"])
    assert index.nearest("Red Painter/R0.png").artists[0].artist == "Blue Painter"
    assert index.nearest("id:Red Painter/R0.png").artists[0].artist == "Red Painter"


def test_a_stored_painting_needs_no_model(index, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the model was loaded")

    again = Index.open(index.source)
    monkeypatch.setattr(Embedder, "__init__", refuse)
    assert again.pair("Red Painter/R0.png", index.generation.table["path"][5]).distance > 0


def test_a_question_about_two_files_enters_only_what_the_architecture_names(index, tmp_path):
    """It entered 40 files, among them those that fetch from the web and those that read older formats."""
    root, entered = Path(artidx.__file__).parent, set()

    def note(frame, event, _):
        if event == "call":
            entered.add(frame.f_code.co_filename)

    pictures = [painting(tmp_path / f"{seed}.jpg", seed, HUES["Red Painter"]) for seed in (88, 89)]
    threading.setprofile(note)
    sys.setprofile(note)
    try:
        index.pair(*pictures)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    text = (root / "ARCHITECTURE.md").read_text("utf-8")
    named = text[text.index("## From a picture") : text.index("## Where to add")]
    ours = {path.name for path in map(Path, entered) if {root / "embedder", root / "index"} & {*path.parents}}
    assert len(ours) > 20
    assert {name for name in ours if name not in named} == set()


def test_a_model_is_loaded_once_for_an_index_and_all_that_filters_make_of_it(index, tmp_path, monkeypatch):
    """One index and two filters loaded it three times."""
    loads, load = [], Embedder.__init__

    def counted(self, *args, **more):
        loads.append(args)
        load(self, *args, **more)

    again = Index.open(index.source)
    monkeypatch.setattr(Embedder, "__init__", counted)
    strange = painting(tmp_path / "strange.png", 77)
    for asked in (
        again.only("artist == 'Red Painter'"),
        again.only(exclude="artist == 'Red Painter'"),
        again,
        again.renewed(),
    ):
        assert asked.nearest_paintings(strange, k=1).paintings
    assert len(loads) == 1


def test_what_is_asked_for_wrongly_is_told_plainly(tmp_path, index):
    (tmp_path / "bad.jpg").write_text("no")
    with pytest.raises(UnknownPainting, match="neither a file nor the id"):
        index.nearest("nobody.jpg")
    with pytest.raises(UnreadableImage, match=r"bad\.jpg: not an image"):
        index.nearest(tmp_path / "bad.jpg")
    with pytest.raises(BadSetting, match="-k 0"):
        index.nearest("Red Painter/R0.png", k=0)
    with pytest.raises(BadSetting, match="prior 1"):
        index.pair("Red Painter/R0.png", "Red Painter/R1.png", prior=1)


def test_without_a_calibration_there_is_no_probability_but_there_are_distances(tmp_path, collection):
    (tmp_path / "m.onnx").write_bytes(small_model(calibration=None))
    index, _ = Index.build(tmp_path / "i.artidx", collection, embedder=Embedder.load(tmp_path / "m.onnx"))
    for ask in (
        lambda: index.pair("Red Painter/R0.png", "Red Painter/R1.png"),
        lambda: index.nearest("Red Painter/R0.png"),
    ):
        with pytest.raises(Uncalibrated, match="artidx nearest --paintings"):
            ask()
    assert len(index.nearest_paintings("Red Painter/R0.png", k=4).paintings) == 4


def test_a_damaged_calibration_counts_as_none(tmp_path, collection):
    (tmp_path / "m.onnx").write_bytes(small_model(calibration={"pairs": 1}))
    index, _ = Index.build(tmp_path / "i.artidx", collection, embedder=Embedder.load(tmp_path / "m.onnx"))
    with pytest.raises(Uncalibrated, match="damaged"):
        index.nearest("Red Painter/R0.png")


def test_artists_who_are_nobody_in_particular_are_no_candidates(tmp_path, collection, embedder):
    catalog = read_catalog(collection)
    catalog.table.loc[:3, "artist"] = ["Unknown artist", "anonymous", None, ""]
    index, _ = Index.build(tmp_path / "i.artidx", catalog, embedder=embedder)
    assert {a.artist for a in index.nearest(index.generation.table["id"][0]).artists} <= set(HUES)
    shown = {n.painting.artist for n in index.nearest_paintings(index.generation.table["id"][5], k=50).paintings}
    assert "Unknown artist" in shown, "labels are shown as given"


def test_two_spellings_of_one_artist_are_one(tmp_path, collection, embedder):
    catalog = read_catalog(collection)
    catalog.table["artist"] = ["Cézanne, Paul", "Paul Cézanne", "PAUL CEZANNE"] * 4
    index, _ = Index.build(tmp_path / "i.artidx", catalog, embedder=embedder)
    assert index.manifest.artists == 1
    assert [a.artist for a in index.nearest(catalog.table["id"][0]).artists] == ["Cézanne, Paul"]


def test_voices_equal_the_formula_in_a_plain_loop():
    chance = np.random.default_rng(3)
    cosines, codes = chance.uniform(-1, 1, 60), chance.integers(-1, 6, 60)
    cosines[:5] = -np.inf
    codes[codes == 4] = 5
    found = artist_scores(cosines, codes, 6)
    for artist in range(6):
        mine = [c for c, code in zip(cosines, codes, strict=True) if code == artist and c > -2]
        assert found.paintings[artist] == len(mine)
        expected = np.log(sum(np.exp(KERNEL * c) for c in mine)) / KERNEL if mine else -np.inf
        assert found.scores[artist] == pytest.approx(expected)


@given(st.integers(0, 2**31), st.integers(1, 70))
def test_neither_scores_nor_the_nearest_depend_on_how_many_paintings_are_read_at_once(seed, k):
    chance = np.random.default_rng(seed)
    cosines, codes = chance.uniform(-1, 1, 60).astype(np.float32), chance.integers(-1, 6, 60).astype(np.int32)
    cosines[chance.random(60) < 0.1] = -np.inf
    cosines[chance.random(60) < 0.3] = 0.5
    found = [artist_scores(cosines, codes, 6), _largest(cosines, k)]
    with (
        patch("artidx.index.scoring.artist_scores.SUMMED_AT_ONCE", 7),
        patch("artidx.index.scoring.vectors.RANKED_AT_ONCE", 7),
    ):
        again = [artist_scores(cosines, codes, 6), _largest(cosines, k)]
    assert found[0].scores.tobytes() == again[0].scores.tobytes()
    assert found[0].paintings.tobytes() == again[0].paintings.tobytes()
    assert found[1].tolist() == again[1].tolist()
    assert {*np.argsort(-cosines, kind="stable")[:k].tolist()} <= {*found[1].tolist()}


@given(st.integers(0, 2**31), st.integers(1, 9))
def test_nearest_rows_equal_a_stable_sort(seed, k):
    matrix = np.random.default_rng(seed).integers(-1, 2, (9, 3)).astype(np.float32)  # many products are equal
    assert nearest_rows(matrix, matrix, k).tolist() == np.argsort(-matrix @ matrix.T, kind="stable")[:, :k].tolist()


def test_a_question_copies_no_array_of_all_paintings():
    # A reader's own memory grew by 60 bytes a painting: cosines, codes and places in 64 bits, and copies of them.
    chance, count = np.random.default_rng(0), 500_000
    cosines, codes = chance.random(count, np.float32), chance.integers(-1, 100, count, np.int32)
    tracemalloc.start()
    artist_scores(cosines, codes, 100)
    paintings_by(codes, 100)
    _largest(cosines, 10)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < cosines.nbytes / 2


def test_neither_of_a_pair_speaks_for_the_other(index):
    verdict = index.pair("Red Painter/R0.png", "Red Painter/R1.png")
    for side in (verdict.a, verdict.b):
        spoken = {n.painting.id for artist in side.artists for n in artist.paintings}
        assert not {"Red Painter/R0.png", "Red Painter/R1.png"} & spoken


def test_a_file_saved_anew_since_it_was_indexed_is_still_not_its_own_neighbour(index, collection):
    path = collection / "Red Painter" / "R0.png"
    path.write_bytes(path.read_bytes() + b"trailing")
    assert "Red Painter/R0.png" not in {n.painting.id for n in index.nearest(path, k=50).paintings}


def test_an_image_inside_an_archive_can_be_asked_about(tmp_path, index, collection):
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as archive:
        archive.write(collection / "Red Painter" / "R0.png", "R0.png")
    assert index.pair(f"{tmp_path}/some.zip::R0.png", "Red Painter/R0.png").distance < 1e-6


def test_a_false_positive_rate_that_was_not_calibrated_is_refused(index):
    assert index.pair("Red Painter/R0.png", "Red Painter/R1.png", false_positive_rate=0.01).threshold == 0.4
    with pytest.raises(BadSetting, match=r"not calibrated; there are 0.1, 0.01, 0.001"):
        index.pair("Red Painter/R0.png", "Red Painter/R1.png", false_positive_rate=0.05)


def test_real_paintings_by_one_artist_are_nearer_than_by_others(museum_index):
    table, vectors = museum_index.generation.table, museum_index.generation.vectors.matrix
    apart = distances(vectors[:, None], vectors[None])
    is_same = table["artist_key"].to_numpy()[:, None] == table["artist_key"].to_numpy()[None]
    np.fill_diagonal(is_same, False)
    off_diagonal = ~np.eye(len(table), dtype=bool)
    assert np.median(apart[is_same]) < np.median(apart[~is_same & off_diagonal]) - 0.1


def test_a_real_painting_photographed_otherwise_finds_itself(museum_index, tmp_path):
    from PIL import Image

    one = museum_index.generation.table.iloc[3]
    with Image.open(MUSEUM / f"{one['id']}.jpg") as image:
        image.resize((300, 260)).save(tmp_path / "other.jpg", quality=60)
    nearest = museum_index.nearest(tmp_path / "other.jpg", k=2).paintings
    assert nearest[0].painting.id == one["id"]
    assert nearest[0].distance < nearest[1].distance / 2
