"""The documentation as a site: built strictly, without external resources, and with every public name in it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config

import artidx
from artidx.cli.main import VERBS

ROOT = Path(__file__).parents[1]
FETCHED = re.compile(
    r"""<(?:script|img|iframe|source)[^>]*\ssrc=["']?(?:https?:)?//|<link[^>]*\shref=["']?(?:https?:)?//"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site; the build fails if a link or anchor is broken."""
    target = tmp_path_factory.mktemp("site")
    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(target)))
    return target


def test_a_reader_of_the_site_fetches_nothing_from_elsewhere(site):
    pages = [*site.rglob("*.html")]
    assert len(pages) > 20
    for page in pages:
        assert not FETCHED.search(page.read_text("utf-8")), page
    for style in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(https?:)?//|@import", style.read_text("utf-8")), style


def test_every_verb_name_and_route_has_its_place_in_the_reference(site):
    for page, names in (
        ("command-line", [f'id="artidx-{verb}"' for verb in VERBS]),
        ("python", [f'id="artidx.{name}"' for name in artidx.__all__]),
        ("http", json.loads((site / "reference" / "openapi.json").read_text("utf-8"))["paths"]),
    ):
        text = (site / "reference" / f"{page}.html").read_text("utf-8")
        assert [name for name in names if name not in text] == [], page


def test_no_line_of_the_documentation_is_longer_than_a_screen_is_wide():
    # 361 characters once: nobody reads a sentence like that, and no change of it can be seen.
    pages = [path for path in ROOT.rglob("*.md") if not {part[0] for part in path.relative_to(ROOT).parts} & {"."}]
    assert len(pages) > 20
    long = [
        f"{page.relative_to(ROOT)}:{number}"
        for page in pages
        for number, line in enumerate(page.read_text("utf-8").splitlines(), 1)
        if len(line) > 140 and not line.lstrip().startswith("|")  # rows of tables, which cannot be cut
    ]
    assert long == []
