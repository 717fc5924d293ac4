"""What the site has beside the pages in this folder: pages from the rest of the repository, and the HTTP reference.

Every page is written once, with links that work in the repository; here they are adapted to the site.
"""

from __future__ import annotations

import json
import posixpath
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from artidx.service.app import create_app
from artidx.service.holder import IndexHolder
from artidx.service.settings import ServiceSettings

ROOT = Path(__file__).parents[1]
OUTSIDE = {  # of docs/, and where they stand on the site
    "README.md": "index.md",
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "contributing.md",
    "ARCHITECTURE.md": "architecture.md",
    "SECURITY.md": "report-a-weakness.md",
    "embedder/models/base.md": "cards/base.md",
    "embedder/models/small.md": "cards/small.md",
    "LICENSE": "LICENSE.txt",
}
ORIGIN = {there: here for here, there in OUTSIDE.items()}
PACKAGE = tempfile.TemporaryDirectory(prefix="artidx-docs-")
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)")


@event_priority(50)  # before mkdocstrings reads its settings
def on_config(config: MkDocsConfig) -> None:
    """Show mkdocstrings a folder named artidx: the repository is that package, whatever its own folder is called."""
    package = Path(PACKAGE.name, "artidx")
    package.mkdir(exist_ok=True)
    for part in ROOT.iterdir():
        if part.suffix == ".py" or (part / "__init__.py").exists():
            link = package / part.name
            link.unlink(missing_ok=True)
            link.symlink_to(part)
    config.plugins["mkdocstrings"].config.handlers["python"]["paths"] = [PACKAGE.name]


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages from outside, and what the service says of itself."""
    for here, there in OUTSIDE.items():
        files.append(File.generated(config, there, abs_src_path=str(ROOT / here)))
    schema = service_schema()
    files.append(File.generated(config, "reference/openapi.json", content=json.dumps(schema, indent=1)))
    files.append(File.generated(config, "reference/http.md", content="\n".join(http_page(schema))))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links lead to where pages stand on the site."""
    source = page.file.src_uri
    here = ORIGIN.get(source, f"docs/{source}")

    def on_site(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(here), link[1]))
        there = OUTSIDE.get(target, target.removeprefix("docs/"))
        return posixpath.relpath(there, posixpath.dirname(source) or ".")

    return LINK.sub(on_site, markdown)


def service_schema() -> dict[str, Any]:
    """What the service says at /openapi.json. No index is opened for it: none is asked."""
    no_index = cast(
        IndexHolder, SimpleNamespace(index=SimpleNamespace(embedder=SimpleNamespace(provider="CPUExecutionProvider")))
    )
    return create_app(no_index, ServiceSettings()).openapi()


def http_page(schema: dict[str, Any]) -> Iterator[str]:
    """The schema as a page, line by line: of each route its fields, an example of its answer, what it may refuse."""
    yield "# HTTP\n"
    yield "From the [OpenAPI description](openapi.json) that a service gives at `/openapi.json`. Questions are sent as"
    yield "`multipart/form-data`, those by ids as JSON, too; answers are JSON."
    yield "[The service](../service.md) says how to run it and who may ask.\n"
    for path, methods in schema["paths"].items():
        for method, route in methods.items():
            yield f"## {method.upper()} {path}\n"
            yield f"{route['description']}\n"
            yield from _fields(route, schema)
            yield from _answers(route, schema)


def _fields(route: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    own = [each for each in route.get("parameters", ()) if "$ref" not in each]  # the others every route has
    rows = [(each["name"], each["schema"], each.get("required")) for each in own]
    for content in [*route.get("requestBody", {}).get("content", {}).values()][:1]:  # as JSON they are the same
        form = _resolved(content["schema"], schema)
        rows += [(name, field, name in form.get("required", ())) for name, field in form["properties"].items()]
    if not rows:
        return
    yield "| field | | default | |"
    yield "|---|---|---|---|"
    for name, field, required in rows:
        default = (
            "required" if required else f"`{json.dumps(field['default'])}`" if field.get("default") is not None else ""
        )
        yield f"| `{name}` | {_kind(field)} | {default} | {field.get('description', '')} |"
    yield ""


def _kind(field: dict[str, Any]) -> str:
    """What may be in a field, in a word or two."""
    if several := field.get("anyOf"):
        return " or ".join(dict.fromkeys(_kind(each) for each in several if each.get("type") != "null"))
    if "enum" in field:
        return ", ".join(f"`{json.dumps(each)}`" for each in field["enum"])
    kind: str = "file" if field.get("format") == "binary" else field.get("type", "")
    return kind


def _answers(route: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    refused = []
    for status, answer in route["responses"].items():
        content = answer.get("content", {}).get("application/json", {})
        examples = _resolved(content.get("schema", {}), schema).get("examples")
        if examples:
            yield f"{status}, for example:\n"
            yield f"```json\n{json.dumps(examples[0], indent=2, ensure_ascii=False)}\n```\n"
        elif status >= "400":
            refused.append(f"{status} {answer['description']}")
        else:
            yield f"{status}: {answer['description']}\n"
    if refused:
        yield f"Refused: {'; '.join(refused)}.\n"


def _resolved(part: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """A part of the schema, or what it refers to."""
    for name in part.get("$ref", "#").split("/")[1:]:
        schema = schema[name]
    return schema if "$ref" in part else part
