"""The space of an index in three dimensions."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.decomposition import PCA

from artidx.cli.main import artidx
from artidx.errors import BadSetting
from artidx.index.measure.space import principal_components, space_of


def test_principal_components_are_scikit_learns():
    x = np.random.default_rng(0).normal(size=(50, 9)) * np.arange(1, 10)
    points, explained = principal_components(x.astype(np.float32), 3)
    theirs = PCA(3).fit(x)
    np.testing.assert_allclose(np.abs(points), np.abs(theirs.transform(x)), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(explained, theirs.explained_variance_ratio_, rtol=1e-4)


def test_two_paintings_have_one_direction_and_no_more():
    points, explained = principal_components(np.array([[1, 0], [0, 1]], np.float32), 3)
    assert points.shape == (2, 3)
    np.testing.assert_allclose(explained, [1, 0, 0], atol=1e-12)


def test_the_artists_with_the_most_paintings_are_shown(index):
    index.remove(["Green Painter/G0.png"])
    space = space_of(index.generation, 2)
    assert space.artists == ["Blue Painter", "Red Painter"]
    assert space.points.shape == (8, 3)
    with pytest.raises(BadSetting, match="between 1 and 20"):
        space_of(index.generation, 21)


def test_plot_draws_a_picture_and_a_page_that_needs_nothing_else(index, tmp_path):
    for name, begins in (("space.png", b"\x89PNG"), ("space.html", b"<!doctype html>")):
        target = tmp_path / name
        found = CliRunner().invoke(artidx, ["plot", str(index.source), "-o", str(target)], catch_exceptions=False)
        assert "12 paintings by 3 artists" in found.output
        assert target.read_bytes().startswith(begins)
    page = (tmp_path / "space.html").read_text()
    assert "Red Painter" in page
    assert 'src="http' not in page


def test_plot_refuses_other_kinds_of_file(index, tmp_path):
    found = CliRunner().invoke(artidx, ["plot", str(index.source), "-o", str(tmp_path / "space.jpg")])
    assert isinstance(found.exception, BadSetting)
