"""The OpenAPI description: client generators can use all of it, and its examples match it."""

from __future__ import annotations

import importlib
import re

import pytest
from jsonschema import Draft202012Validator
from openapi_python_client.cli import app as generator
from pydantic import TypeAdapter
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from typer.testing import CliRunner

from artidx import Answer, Index, Verdict
from artidx.service.app import create_app
from artidx.service.holder import IndexHolder
from artidx.service.settings import ServiceSettings
from made import painting
from served import served

RED, RED_TOO = "Red Painter/R0.png", "Red Painter/R1.png"
DOCUMENT = "urn:openapi"
OPERATIONS = {
    "/v1/pair": {"post": "pair"},
    "/v1/nearest": {"post": "nearest"},
    "/v1/regions": {"post": "regions"},
    "/v1/nearest:batch": {"post": "nearestBatch"},
    "/v1/pair:batch": {"post": "pairBatch"},
    "/v1/index": {"get": "getIndex"},
    "/v1/paintings": {"get": "listPaintings", "post": "addPainting"},
    "/v1/paintings/{id}": {"get": "getPainting", "delete": "removePainting", "patch": "correctPainting"},
    "/v1/review": {"get": "review"},
    "/v1/review/decisions": {"get": "listDecisions", "post": "decide"},
    "/v1/review/findings/{key}": {"get": "getFinding", "put": "decideFinding"},
    "/v1/history": {"get": "listHistory"},
    "/v1/facets": {"get": "listFacets"},
    "/v1/artists": {"get": "listArtists"},
    "/v1/artists/{id}": {"get": "getArtist"},
    "/v1/images/{id}": {"get": "getImage"},
    "/v1/thumbnails/{id}": {"get": "getThumbnail"},
    "/v1/tiles/{id}": {"get": "getTile"},
    "/v1/zoom/{id}": {"get": "getZoom"},
    "/v1/map": {"get": "getMap"},
    "/v1/map/sheets/{number}": {"get": "getMapSheet"},
    "/livez": {"get": "livez"},
    "/readyz": {"get": "readyz"},
    "/metrics": {"get": "metrics"},
}


@pytest.fixture
def description(index):
    return create_app(IndexHolder(index.source), ServiceSettings()).openapi()


def test_operations_are_named_by_words(description):
    found = {
        path: {method: operation["operationId"] for method, operation in methods.items()}
        for path, methods in description["paths"].items()
    }
    assert found == OPERATIONS


def test_every_operation_says_how_it_refuses(description):
    for methods in description["paths"].values():
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                assert int(status) < 400 or "application/problem+json" in answer["content"]
    assert {"404", "413", "415", "422", "429", "503"} <= set(description["paths"]["/v1/pair"]["post"]["responses"])


def test_schemas_have_names_and_their_examples_are_of_the_form_that_they_describe(description):
    registry = Registry().with_resource(DOCUMENT, Resource(description, DRAFT202012))
    examples = 0
    for name, schema in description["components"]["schemas"].items():
        validator = Draft202012Validator({"$ref": f"{DOCUMENT}#/components/schemas/{name}"}, registry=registry)
        for example in schema.get("examples", ()):
            validator.validate(example)
            examples += 1
    assert examples >= 5
    for methods in description["paths"].values():
        for operation in methods.values():
            for said in (operation.get("requestBody", {}), *operation["responses"].values()):
                for media_type, content in said.get("content", {}).items():
                    kinds = content["schema"].get("anyOf", [content["schema"]])
                    assert not media_type.endswith(("/json", "+json")) or all(set(kind) == {"$ref"} for kind in kinds)
    for name, kind in (("Verdict", Verdict), ("Answer", Answer)):
        (example,) = description["components"]["schemas"][name]["examples"]
        assert isinstance(TypeAdapter(kind).validate_python(example), kind)


def test_the_reference_is_a_page_of_its_own_with_all_operations(index):
    with served(index.source) as service, service.client() as client:
        page = client.get("/docs").text
        assert client.get("/v1/nothing").json()["detail"].startswith("nothing is here; see /docs")
        for name in (name for methods in OPERATIONS.values() for name in methods.values()):
            assert f'id="{name}"' in page
        assert set(re.findall(r'href="#([^"]*)"', page)) <= set(re.findall(r'id="([^"]*)"', page))
        assert "<script" not in page
        assert "style=" not in page
        for asset in {*re.findall(r'(?:href|src)="([^#"]*)"', page)}:
            assert client.get(f"/{asset}").status_code == 200


def test_a_generated_client_is_whole_and_asks(index, tmp_path, monkeypatch):
    """openapi-python-client once left out `pair`: it made names of the values of an enumeration, and 0.1 has none."""
    with served(index.source) as service:
        with service.client() as client:
            (tmp_path / "openapi.json").write_bytes(client.get("/openapi.json").content)
        (tmp_path / "config.yaml").write_text("post_hooks: []\n")  # it need not be formatted
        where = [f"--path={tmp_path}/openapi.json", f"--output-path={tmp_path}/generated", "--meta=none"]
        done = CliRunner().invoke(
            generator, ["generate", *where, f"--config={tmp_path}/config.yaml", "--fail-on-warning"]
        )
        assert done.exit_code == 0, done.output
        monkeypatch.syspath_prepend(tmp_path)
        generated = {
            name: importlib.import_module(f"generated.{name}")
            for name in ("client", "models", "types", "api.questions.pair", "api.questions.nearest", "api.health.livez")
        }

        def ask(name, **body):
            return generated[f"api.{name}"].sync(client=client, **body)

        form = generated["models"].NearestForm
        with generated["client"].Client(base_url=service.url) as client:
            verdict = ask("questions.pair", body=generated["models"].PairForm(a=RED, b=RED_TOO))
            assert verdict.probability == Index.open(index.source).pair(RED, RED_TOO).probability
            with painting(tmp_path / "new.png", 77).open("rb") as stream:
                answer = ask("questions.nearest", body=form(image=generated["types"].File(stream, "new.png"), k=2))
            assert [len(answer.artists), answer.summary.words != ""] == [2, True]
            assert ask("questions.nearest", body=form(image="none")).type_ == "urn:artidx:unknown-painting"
            assert ask("health.livez") == "alive\n"
