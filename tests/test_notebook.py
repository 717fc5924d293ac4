"""artidx in a notebook: DataFrames in and out, objects that pickle and show themselves, scikit-learn and torch."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks

from artidx import Catalog, ColumnNames, Index, read_catalog
from artidx.embedder.pictures.images import picture, square
from artidx.embedder.training.dataset import CatalogDataset
from artidx.errors import BadCatalog, BadIndex, BadSetting, UnknownPainting, UnreadableImage
from made import DIM, HUES, painting


@pytest.fixture
def frame(collection):
    """The collection as a user's DataFrame: paths as Path objects, years with a gap, an unusual index."""
    paths = sorted(collection.rglob("*.png"))
    return pd.DataFrame(
        {
            "file": paths,
            "Painter": [path.parent.name for path in paths],
            "date": [1900.0, np.nan, *[1880.0] * 10],
            "room": range(12),
        },
        index=range(100, 112),
    )


# --- tables in and out


def test_a_data_frame_makes_the_same_index_as_the_folder_it_lists(tmp_path, frame, embedder, index):
    found, report = Index.build(tmp_path / "frame.artidx", frame, embedder=embedder)
    assert (report.paintings, report.skipped) == (12, ())
    assert found.generation.vectors.matrix.tobytes() == index.generation.vectors.matrix.tobytes()
    table = found.table
    assert table["artist"].tolist() == index.table["artist"].tolist()
    assert table["year"].tolist()[:3] == [1900, pd.NA, 1880]
    assert table["room"].tolist() == [str(room) for room in range(12)], "other columns come along, as from a CSV"
    assert found.add(frame.head(3)).already_there == 3


def test_a_data_frames_file_names_are_relative_to_the_folder_that_is_named(collection, frame):
    frame["file"] = [path.relative_to(collection).as_posix() for path in frame["file"]]
    catalog = read_catalog(frame, ColumnNames(images=collection))
    assert catalog.table["path"].tolist() == [str(collection / name) for name in frame["file"]]
    assert catalog.table["id"].tolist() == frame["file"].tolist()
    assert catalog.source == "DataFrame"


def test_a_dataframe_has_nobody_look_through_the_folder_where_the_program_runs(tmp_path, monkeypatch):
    """A notebook that ran in a home folder waited until all of it had been walked through."""
    painting(tmp_path / "a.png", 1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.walk", lambda *_, **__: pytest.fail("walked through the current folder"))
    catalog = read_catalog(pd.DataFrame({"file": ["a.png", "missing.png"], "artist": ["x", "y"]}))
    assert len(catalog) == 2


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (pd.DataFrame({"artist": ["x"]}), "no column with the file names"),
        (pd.DataFrame({"file": []}), "has no rows"),
        (pd.DataFrame(), "has no rows, or no columns"),  # once it was the pictures of the current folder
        (pd.DataFrame(index=range(3)), "has no rows, or no columns"),
        (pd.DataFrame({"file": [None]}), "no paintings"),
        ([1, 2], "not from list"),
        (7, "not from int"),
    ],
)
def test_what_is_no_table_of_paintings_is_told_in_one_line(table, why):
    with pytest.raises(BadCatalog, match=why):
        read_catalog(table)


def test_a_catalog_needs_no_more_than_paths(tmp_path, collection, embedder):
    paths = sorted(collection.rglob("*.png"))
    catalog = Catalog("mine", pd.DataFrame({"path": paths, "year": "c. 1650"}, index=range(7, 19)))
    assert catalog.table["id"].tolist() == [str(path) for path in paths]
    found, _ = Index.build(tmp_path / "i.artidx", catalog, embedder=embedder)
    assert (len(found), found.artists) == (12, 0)
    assert found.table["year"].unique().tolist() == [1650]


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({"path": ["a.jpg"]}, "a DataFrame, not dict"),
        (pd.DataFrame({"file": ["a.jpg"]}), "no column path"),
        (pd.DataFrame({"path": ["a.jpg", None]}), "row 2 has no path"),
    ],
)
def test_a_catalog_of_something_else_is_refused(table, why):
    with pytest.raises(BadCatalog, match=f"mine: .*{why}"):
        Catalog("mine", table)


def test_a_catalog_that_is_whole_keeps_its_table(collection):
    table = read_catalog(collection).table
    assert Catalog("again", table).table is table


# --- images in


def test_one_image_is_not_read_letter_by_letter_or_row_by_row(embedder, collection):
    path = next(collection.rglob("*.png"))
    with Image.open(path) as opened:
        copy, pixels = opened.copy(), np.asarray(opened)
    for image in ("a.jpg", path, path.read_bytes(), copy, pixels, pixels[..., 0], torch.zeros(3, 40, 40)):
        with pytest.raises(BadSetting, match="expected several images, this is one"):
            embedder.transform(image)
    with pytest.raises(BadSetting, match=r"table\['path'\]"):
        embedder.transform(pd.DataFrame({"path": [path]}))
    with pytest.raises(BadSetting, match="type int"):
        embedder.transform(3)


def test_tensors_and_columns_of_paths_are_images_too(embedder, collection):
    paths = sorted(collection.rglob("*.png"))[:3]
    pixels = np.stack([np.asarray(picture(path, 64)) for path in paths])
    expected = embedder.transform(paths)
    tensors = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    for images in (
        pd.Series(paths, index=[5, 6, 7]),
        np.array([str(path) for path in paths]),
        pixels,
        tensors,
        list(tensors),
        [torch.from_numpy(each) for each in pixels],
        tensors.float().div(255).requires_grad_(),
        map(str, paths),
        [bytearray(path.read_bytes()) for path in paths],
    ):
        np.testing.assert_array_equal(embedder.transform(images), expected)


@pytest.mark.parametrize("image", [3, None, {"a": 1}, object(), torch.zeros(5)])
def test_what_is_no_image_is_named_by_its_type_or_shape(embedder, image):
    with pytest.raises(UnreadableImage, match=r"image 1: (of type|array of shape)"):
        embedder.transform([image])


@pytest.mark.parametrize(
    ("vector", "why"),
    [
        (np.ones(5), r"shape \(5,\)"),
        (np.ones((1, DIM)), r"shape \(1, 24\)"),
        (np.ones(DIM), "length 4.9"),
        (np.full(DIM, np.nan), "length nan"),
        ("red", "not str"),
    ],
)
def test_a_vector_that_is_none_of_the_index_is_told_in_one_line(index, vector, why):
    with pytest.raises(BadSetting, match=why):
        index.query_of_vector(vector, "query")


def test_a_vector_may_be_a_tensor(index, embedder, collection):
    vector = embedder.transform([next(collection.rglob("*.png"))])[0]
    as_tensor = index.query_of_vector(torch.from_numpy(vector.copy()), "query")
    assert as_tensor.vector.tobytes() == index.query_of_vector(vector, "query").vector.tobytes()


# --- distances and neighbours


def test_distances_are_those_of_pair_to_the_bit(index):
    ids = index.table["id"].tolist()
    found = index.distances(ids[:4], ids)
    assert found.shape == (4, 12)
    for row, a in enumerate(ids[:4]):
        assert found[row].tolist() == [index.pair(a, b).distance for b in ids]
    assert index.distances(ids[:4]).tolist() == found[:, :4].tolist()
    assert index.distances([], ids).shape == (0, 12)


def test_distances_name_what_cannot_be_used(index):
    with pytest.raises(UnknownPainting, match=r"nobody\.jpg"):
        index.distances(["nobody.jpg"])
    with pytest.raises(BadSetting, match="several images"):
        index.distances("Red Painter/R0.png")


def test_the_graph_of_neighbours_is_what_nearest_paintings_finds(index):
    graph = index.knn_graph(3)
    assert graph.columns.tolist() == ["a", "b", "distance"]
    assert len(graph) == 36
    for name, rows in graph.groupby("a"):
        near = index.nearest_paintings(f"id:{name}", k=3).paintings
        assert list(zip(rows["b"], rows["distance"], strict=True)) == [(n.painting.id, n.distance) for n in near]
    reds = index.only("artist == 'Red Painter'")
    assert set(reds.knn_graph(2)["a"]) == set(reds.table["id"]) == {f"Red Painter/R{i}.png" for i in range(4)}
    with pytest.raises(BadSetting, match="-k 0"):
        index.knn_graph(0)


def test_an_answer_is_a_table_of_artists_and_the_paintings_that_speak_for_them(index):
    answer = index.nearest("id:Red Painter/R0.png", k=3)
    frame = answer.to_frame()
    assert frame.columns.tolist() == ["artist", "probability", "id", "title", "year", "distance"]
    assert list(frame[["artist", "probability", "id", "distance"]].itertuples(index=False, name=None)) == [
        (each.artist, each.probability, near.painting.id, near.distance)
        for each in answer.artists
        for near in each.paintings
    ]
    assert len(frame) > 3
    paintings = index.nearest_paintings("id:Red Painter/R0.png", k=2)
    assert paintings.to_frame()["id"].tolist() == [near.painting.id for near in paintings.paintings]
    assert paintings.to_frame()["artist"].tolist() == [near.painting.artist for near in paintings.paintings]
    assert paintings.to_frame()["probability"].isna().all()


# --- pickles, and what is shown


def test_an_embedder_that_was_pickled_gives_the_same_vectors(embedder, collection):
    again = pickle.loads(pickle.dumps(embedder))
    paths = sorted(collection.rglob("*.png"))
    assert again.transform(paths).tobytes() == embedder.transform(paths).tobytes()
    assert (again.sha256, again.source) == (embedder.sha256, embedder.source)


def test_an_index_that_was_pickled_answers_the_same_or_says_that_it_has_changed(index):
    reds = index.only("artist == 'Red Painter'").only(exclude="id == 'Red Painter/R3.png'")
    kept, all_of_it = pickle.dumps(reds), pickle.dumps(index)
    assert len(kept) < 10_000, "where it is, not what it holds"
    again = pickle.loads(kept)
    assert again.table.equals(reds.table)
    assert again.nearest("id:Red Painter/R0.png") == reds.nearest("id:Red Painter/R0.png")
    index.remove(["Red Painter/R3.png"])
    for old in (kept, all_of_it):
        with pytest.raises(BadIndex, match="has changed since it was pickled"):
            pickle.loads(old)


def test_an_index_and_an_embedder_say_what_they_are(index, embedder):
    assert re.fullmatch(
        r"<Index .*paintings\.artidx: 12 paintings by 3 artists, generation 1, model small>", repr(index)
    )
    assert repr(embedder) == f"<Embedder small {embedder.sha256[:12]}: 24 numbers, on cpu>"


def test_an_index_shows_its_paintings_and_whatever_cannot_be_shown_by_its_reason(tmp_path, collection, embedder):
    painting(collection / "Red & Sons" / "<script>.png", 99, HUES["Red Painter"])
    index, _ = Index.build(tmp_path / "i.artidx", collection, embedder=embedder)
    (collection / "Red Painter" / "R0.png").unlink()
    shown = index._repr_html_()
    assert index.only("artist == 'Green Painter'")._repr_html_().count("Green Painter, ") == 4
    assert shown.count("data:image/jpeg;base64,") == 11
    assert "no such file" in shown
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert "http" not in shown, "nothing is loaded"


def test_the_reference_gallery_is_shown_without_pictures():
    shown = Index.open()._repr_html_()
    assert "the reference gallery" in shown
    assert "<img" not in shown


# --- scikit-learn


@pytest.mark.parametrize(
    "check",
    [
        "check_estimator_cloneable",
        "check_estimator_tags_renamed",
        "check_valid_tag_types",
        "check_estimator_repr",
        "check_get_params_invariance",
        "check_set_params",
    ],
)
def test_scikit_learns_own_checks_of_what_needs_no_table_of_numbers(embedder, check):
    getattr(estimator_checks, check)("Embedder", embedder)


def test_scikit_learn_finds_nothing_wrong_with_it(embedder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it cannot be tried on a table of numbers
        found = estimator_checks.check_estimator(embedder, on_fail=None, on_skip=None)
    assert {each["status"] for each in found} <= {"passed", "skipped"}


def test_a_pipeline_learns_from_paintings_and_can_be_cross_validated(embedder, collection):
    paths = sorted(collection.rglob("*.png"))
    artists = [path.parent.name for path in paths]
    pipeline = make_pipeline(embedder, LogisticRegression(C=100.0))
    assert pipeline.fit(paths, artists).score(paths, artists) == 1
    assert cross_val_score(pipeline, paths, artists, cv=2).mean() > 0.6
    assert clone(embedder) is embedder, "a model is loaded once"
    assert pipeline[:1].get_feature_names_out().tolist() == [f"small{number}" for number in range(DIM)]
    assert embedder.fit_transform(paths).tobytes() == embedder.transform(paths).tobytes()
    with pytest.raises(BadSetting, match="no parameter 'device'"):
        embedder.set_params(device="cuda")


# --- torch


def test_a_dataset_gives_what_a_model_of_that_size_would_see(collection, embedder):
    catalog = read_catalog(collection)
    dataset = CatalogDataset(catalog, embedder=embedder)
    assert (len(dataset), dataset.preprocessing) == (12, embedder.preprocessing)
    assert dataset.artists == sorted(HUES)
    for number in (0, 5, 11):
        image, artist = dataset[number]
        assert dataset.artists[artist] == catalog.table["artist"][number]
        np.testing.assert_array_equal(image.permute(1, 2, 0), square(catalog.table["path"][number], embedder.size))
    vectors = embedder.infer(torch.stack([image for image, _ in dataset]).permute(0, 2, 3, 1).numpy())
    assert vectors.tobytes() == embedder.transform(catalog.table["path"]).tobytes()


def test_a_dataset_is_read_by_several_processes_from_an_archive(tmp_path, collection):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for path in sorted(collection.rglob("*.png")):
            archive.write(path, path.name)
    table = pd.DataFrame({"path": [f"{tmp_path}/all.zip::{path.name}" for path in sorted(collection.rglob("*.png"))]})
    dataset = CatalogDataset(Catalog("archive", table), size=32)
    alone = torch.stack([image for image, _ in dataset])
    batches = list(torch.utils.data.DataLoader(dataset, batch_size=5, num_workers=2))
    assert torch.equal(torch.cat([images for images, _ in batches]), alone)
    assert torch.cat([artists for _, artists in batches]).tolist() == [-1] * 12
    assert torch.equal(pickle.loads(pickle.dumps(dataset))[3][0], alone[3])


def test_a_dataset_names_the_image_that_cannot_be_read(tmp_path):
    (tmp_path / "bad.jpg").write_text("no")
    dataset = CatalogDataset(Catalog("bad", pd.DataFrame({"path": [tmp_path / "bad.jpg"]})), size=32)
    with pytest.raises(UnreadableImage, match=r"bad\.jpg: not an image"):
        dataset[0]


@pytest.mark.parametrize("sizes", [{}, {"size": 5000}, {"size": 8}])
def test_a_dataset_needs_a_size_that_a_model_can_have(collection, sizes):
    with pytest.raises(BadSetting, match="size"):
        CatalogDataset(read_catalog(collection), **sizes)
