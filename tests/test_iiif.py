"""IIIF: manifests and collections in the forms in which museums publish them, and in invalid ones."""

from __future__ import annotations

import base64
import copy
import json
import random
import shutil
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from artidx import Index, read_catalog
from artidx.embedder.catalogs import iiif
from artidx.embedder.catalogs.catalog import ColumnNames
from artidx.embedder.catalogs.presentation import read, text
from artidx.embedder.locations import Reader
from artidx.errors import BadCatalog, UnreadableImage
from artidx.files import cache_folder
from artidx.index.changes.build import Settings
from made import painting
from served import served
from web import Web

HOST = "https://museum.example"
P2 = "http://iiif.io/api/presentation/2/context.json"
P3 = "http://iiif.io/api/presentation/3/context.json"


@pytest.fixture
def web(tmp_path, monkeypatch):
    with Web(tmp_path, monkeypatch) as found:
        yield found


def second(host, number, metadata, names=("a.jpg",), size=(400, 300), **more):
    """As a server of version 2 writes it, with addresses of before https."""
    host = host.replace("https:", "http:")
    canvases = [
        {
            "@id": f"{host}/manifests/object/{number}/canvas/{name}",
            "@type": "sc:Canvas",
            "label": str(place),
            "width": size[0],
            "height": size[1],
            "images": [
                {
                    "@type": "oa:Annotation",
                    "motivation": "sc:painting",
                    "resource": {
                        "@id": f"{host}/iiif/{name}/full/full/0/default.jpg",
                        "@type": "dctypes:Image",
                        "format": "image/jpeg",
                        "width": size[0],
                        "height": size[1],
                        "service": {
                            "@context": "http://iiif.io/api/image/2/context.json",
                            "@id": f"{host}/iiif/{name}/",
                            "profile": "http://iiif.io/api/image/2/level2.json",
                        },
                    },
                }
            ],
        }
        for place, name in enumerate(names, start=1)
    ]
    return {
        "@context": P2,
        "@id": f"{host}/manifests/object/{number}",
        "@type": "sc:Manifest",
        "label": "Self-Portrait",
        "attribution": "A museum",
        "metadata": [{"label": label, "value": value} for label, value in metadata.items()],
        "sequences": [{"@type": "sc:Sequence", "canvases": canvases}],
        **more,
    }


def third(host, number, metadata, body, size=(400, 300), **more):
    """As a server of version 3 writes it: language maps, and annotations on pages."""
    said = [{"label": {"nl": ["?"], "en": [label]}, "value": value} for label, value in metadata.items()]
    canvas = {
        "id": f"{host}/iiif/3/{number}/canvas/1",
        "type": "Canvas",
        "label": {"none": ["recto"]},
        "width": size[0],
        "height": size[1],
        "items": [
            {
                "type": "AnnotationPage",
                "items": [{"type": "Annotation", "motivation": "painting", "body": body, "target": "..."}],
            }
        ],
    }
    return {
        "@context": P3,
        "id": f"{host}/iiif/3/{number}/manifest.json",
        "type": "Manifest",
        "label": {"en": ["Sunflowers"]},
        "homepage": [{"id": f"https://museum.example/{number}", "type": "Text", "format": "text/html"}],
        "metadata": said,
        "items": [canvas],
        **more,
    }


def image_3(host, name, size=(400, 300), **more):
    service = {"id": f"{host}/iiif/{name}", "type": "ImageService3", "profile": "level1", **more}
    return {
        "id": f"{host}/iiif/{name}/full/max/0/default.jpg",
        "type": "Image",
        "width": size[0],
        "height": size[1],
        "service": [service],
    }


def written(path, document):
    path.write_text(json.dumps(document))
    return path


def test_a_collection_is_built_politely_and_goes_on_where_it_was(web, tmp_path, embedder):
    """Of both versions, in one collection of a collection; interrupted by a server that has had enough."""
    for number in range(4):
        web.images[f"{number}.jpg"] = Image.open(painting(tmp_path / f"{number}.png", number)).resize((400, 300))
    manifests = [
        second(web.url, 299843, {"People": ["Artist: Vincent van Gogh, Dutch (1853 - 1890)"]}, ("0.jpg", "1.jpg")),
        third(web.url, "b", {"Maker": {"en": ["Workshop of Titian"]}}, image_3(web.url, "2.jpg")),
        third(web.url, "c", {"Maker": {"en": ["Titian"]}, "Date": {"none": ["c. 1520"]}}, image_3(web.url, "3.jpg")),
    ]
    addresses = [each.get("id") or each["@id"] for each in manifests]
    for each, address in zip(manifests, addresses, strict=True):
        web.files[address.split("/", 3)[3].join(["/", ""])] = json.dumps(each).encode()
    inner = {"type": "Collection", "id": "urn:x", "items": [{"id": each, "type": "Manifest"} for each in addresses[1:]]}
    top = {
        "@context": P2,
        "@type": "sc:Collection",
        "manifests": [{"@id": addresses[0], "@type": "sc:Manifest"}],
        "collections": [inner],
    }
    source = str(written(tmp_path / "collection.json", top))
    settings, least = Settings(allowed=(web.url,), workers=2), embedder.preprocessing.least_side
    web.answers["/iiif/3.jpg/full/" + f"{-(-400 * least // 300)},/0/default.jpg"] = [429] * 3
    with pytest.raises(Exception, match="answers 429"):
        Index.build(tmp_path / "i.artidx", source, embedder=embedder, settings=settings)
    index, report = Index.build(tmp_path / "i.artidx", source, embedder=embedder, settings=settings)
    assert (len(index), report.skipped) == (4, ())
    assert {path: times for path, times in Counter(web.asked).items() if times > 1}.keys() == {
        f"/iiif/3.jpg/full/{-(-400 * least // 300)},/0/default.jpg"
    }
    table = index.generation.table.set_index("id")
    assert table["artist"].fillna("").to_dict() == {
        "299843": "Vincent van Gogh",
        "299843/2": "Vincent van Gogh",
        "b": "",
        "c": "Titian",
    }
    assert table["qualifier"]["b"] == "workshop of"
    assert table["title"].tolist() == ["Self-Portrait", "Self-Portrait", "Sunflowers", "Sunflowers"]
    assert table["year"]["c"] == 1520
    assert table["object"].tolist() == ["299843", "299843", "b", "c"]
    assert table["url"].tolist()[1:3] == [addresses[0], "https://museum.example/b"]
    assert table["canvas"]["b"] == f"{web.url}/iiif/3/b/canvas/1"
    assert table["canvas_size"]["b"] == "400x300"
    assert table["image_service"]["299843"] == f"ImageService2 {web.url}/iiif/0.jpg"
    asked = len(web.asked)
    report = index.add(source, settings=settings)
    with served(index.source) as service, service.client() as client:
        picture = client.get("/v1/thumbnails/b")
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/jpeg")
    assert (report.already_there, len(web.asked)) == (4, asked)  # the collection is a file; all else is kept
    shutil.rmtree(cache_folder() / "web")
    with Reader() as reader, pytest.raises(UnreadableImage, match="--allow"), reader.open(table["path"]["b"]):
        pass  # nothing is fetched to answer


@pytest.fixture
def local(tmp_path, run):
    """An index of manifests whose images were downloaded, with the command that asks it."""
    for number in range(4):
        painting(tmp_path / "scans" / f"{number}.png", number % 3 if number < 3 else 0)  # the last one is a copy
    artists = ("Jan Steen", "Judith Leyster", None, "Clara Peeters")
    manifests = [
        second(HOST, number, {"Artist": artist} if artist else {}, (str(number),))
        for number, artist in enumerate(artists)
    ]
    manifests[1] = third(HOST, 1, {"Artist": {"en": ["Judith Leyster"]}}, image_3(HOST, "1"))
    for number, each in enumerate(manifests):
        written(tmp_path / f"m{number}.json", each)
    references = [{"type": "Manifest", "id": f"m{number}.json"} for number in range(4)]
    source = written(tmp_path / "collection.json", {"type": "Collection", "items": references})
    assert run("build", source, "--images", tmp_path / "scans", "-o", tmp_path / "i.artidx")[0] == 0
    return tmp_path / "i.artidx"


def is_presentation_3(manifest):
    """Check what a viewer needs: every part has an id and a type, canvases have a size, annotations have a target in
    them."""
    assert (manifest["@context"], manifest["type"]) == (P3, "Manifest")
    canvases = {canvas["id"]: canvas for canvas in manifest["items"]}
    assert len(canvases) == len(manifest["items"]) > 0
    ids = [manifest["id"], *canvases]
    for canvas in manifest["items"]:
        assert canvas["type"] == "Canvas"
        assert canvas["width"] > 0 < canvas["height"]
        for page, motivation in ((canvas["items"][0], "painting"), (canvas["annotations"][0], "commenting")):
            assert page["type"] == "AnnotationPage"
            for each in page["items"]:
                assert (each["type"], each["motivation"], each["target"]) == ("Annotation", motivation, canvas["id"])
                ids.append(each["id"])
            ids.append(page["id"])
    for kind in manifest.get("structures", []):
        assert kind["type"] == "Range"
        assert {item["id"] for item in kind["items"]} <= canvases.keys()
    assert len({*ids}) == len(ids)
    return canvases


def words_on(canvas):
    return [each["body"]["value"] for each in canvas["annotations"][0]["items"]]


def test_answers_and_findings_are_manifests_on_the_museums_own_canvases(local, tmp_path, run):
    status, _, err = run("nearest", "1", "--index", local, "-o", tmp_path / "answer.json")
    assert (status, "4 paintings for a IIIF viewer" in err) == (0, True)
    canvases = is_presentation_3(json.loads((tmp_path / "answer.json").read_text()))
    asked = canvases[f"{HOST}/iiif/3/1/canvas/1"]
    assert asked["partOf"] == [{"id": f"{HOST}/iiif/3/1/manifest.json", "type": "Manifest"}]
    assert asked["items"][0]["items"][0]["body"]["service"] == [
        {"id": f"{HOST}/iiif/1", "type": "ImageService3", "profile": "level1"}
    ]
    other = canvases[f"{HOST.replace('https', 'http')}/manifests/object/0/canvas/0"]
    assert other["items"][0]["items"][0]["body"]["id"] == f"{HOST}/iiif/0/full/full/0/default.jpg"
    assert any("from 1; speaks for Jan Steen" in each for each in words_on(other))
    run("pair", "0", "1", "--index", local, "-o", tmp_path / "pair.json")
    assert len(is_presentation_3(json.loads((tmp_path / "pair.json").read_text()))) >= 2
    status, _, err = run("review", local, "-o", tmp_path / "found")
    assert (status, "for a IIIF viewer" in err) == (0, True)
    manifest = json.loads((tmp_path / "found" / "findings.json").read_text())
    canvases = is_presentation_3(manifest)
    assert [each["label"]["en"][0].partition(" ")[0] for each in manifest["structures"]] == ["Photographs", "Works"]
    twins = [
        each for each in canvases.values() if any("Recorded: Jan Steen and Clara" in said for said in words_on(each))
    ]
    assert len(twins) == 2
    painting(tmp_path / "plain" / "a.png", 1)
    assert run("build", tmp_path / "plain", "-o", tmp_path / "p.artidx")[0] == 0
    status, _, err = run("nearest", "a.png", "--index", tmp_path / "p.artidx", "-o", tmp_path / "none.json")
    assert (status, "no painting of this answer came from a IIIF manifest" in err) == (2, True)


def test_vectors_are_annotations_with_the_checksum_of_their_model(local, tmp_path, run, embedder):
    assert run("export-vectors", local, tmp_path / "vectors")[0] == 0
    page = json.loads((tmp_path / "vectors" / "embeddings.json").read_text())
    assert (page["type"], len(page["items"])) == ("AnnotationPage", 4)
    table = Index.open(local).generation.table.set_index("canvas")
    for each in page["items"]:
        model = each["body"]["model"]
        assert (model["checksum"], model["dimensions"]) == (f"sha256:{embedder.sha256}", embedder.dim)
        vector = np.frombuffer(base64.b64decode(each["body"]["vector"]), "<f4")
        row = table.loc[each["target"]["id"]]
        np.testing.assert_allclose(vector, embedder.transform([row["path"]])[0], atol=1e-5)
        assert each["target"]["partOf"][0]["id"] == row["manifest"]
    assert len({each["id"] for each in page["items"]}) == 4


def test_the_mapping_of_metadata_is_shown_and_can_be_told_otherwise(tmp_path, run):
    painting(tmp_path / "images" / "a.png", 1)
    said = {"Creator(s)": {"en": ["Judith Leyster (Dutch, 1609–1660)"]}, "Accession Number": {"en": ["SK-A-1"]}}
    said |= {"Colour": {"en": ["red", "blue"]}}
    written(tmp_path / "m.json", third("", "a", said, {"id": "images/a.png", "type": "Image"}))
    status, _, err = run("build", tmp_path / "m.json", "-o", tmp_path / "i.artidx")
    assert status == 0
    for line in (
        "1 object",
        "artist           Creator(s)",
        "object           Accession Number",
        "title            label",
    ):
        assert line in err
    assert "kept as labels   Colour" in err
    index = Index.open(tmp_path / "i.artidx")
    assert index.generation.table.iloc[0][["id", "artist", "Colour"]].tolist() == [
        "SK-A-1",
        "Judith Leyster",
        "red; blue",
    ]
    status, _, err = run("build", tmp_path / "m.json", "-o", tmp_path / "j.artidx", "--artist-column", "Colour")
    assert (status, "artist           Colour" in err) == (0, True)
    status, _, err = run("build", tmp_path / "m.json", "-o", tmp_path / "k.artidx", "--artist-column", "Painter")
    assert status == 2
    assert "no column named 'Painter' (it has label, Creator(s), Accession Number, Colour)" in err


def test_downloaded_images_are_found_by_the_names_that_their_server_gives_them(tmp_path):
    painting(tmp_path / "scans" / "deep" / "a.png", 1)
    source = written(tmp_path / "m.json", second("https://museum.example", 1, {"Artist": "X Y"}, ("a",)))
    catalog = read_catalog(source, ColumnNames(images=str(tmp_path / "scans")))
    assert catalog.table["path"].tolist() == [str(tmp_path / "scans" / "deep" / "a.png")]
    with pytest.raises(BadCatalog, match=r"--allow https://museum\.example/"):
        read_catalog(source)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (image_3("https://m", "a", (4000, 3000)), "https://m/iiif/a/full/650,/0/default.jpg"),
        (image_3("https://m", "a", (3000, 4000)), "https://m/iiif/a/full/487,/0/default.jpg"),
        (image_3("https://m", "a", (640, 480)), "https://m/iiif/a/full/max/0/default.jpg"),  # all there is
        (
            image_3("https://m", "a", (4000, 3000), profile="level0", sizes=[{"width": 800, "height": 600}]),
            "https://m/iiif/a/full/800,600/0/default.jpg",
        ),
        (image_3("https://m", "a", (4000, 3000), profile="level0"), "https://m/iiif/a/full/max/0/default.jpg"),
        (
            {
                "type": "SpecificResource",
                "source": image_3("https://m", "a", (4000, 3000)),
                "selector": {"type": "ImageApiSelector", "region": "0,0,1000,2000"},
            },
            "https://m/iiif/a/0,0,1000,2000/487,/0/default.jpg",
        ),
        (
            {"type": "Choice", "items": [image_3("https://m", "a", (640, 480)), image_3("https://m", "x-ray")]},
            "https://m/iiif/a/full/max/0/default.jpg",
        ),
        ({"id": "https://m/a.jpg", "type": "Image"}, "https://m/a.jpg"),
    ],
)
def test_images_are_asked_for_at_the_size_that_a_model_needs(tmp_path, body, path):
    source = written(tmp_path / "m.json", third("https://m", 1, {}, body, size=(4000, 3000)))
    catalog = read_catalog(source, allowed=["https://m/"])
    assert catalog.table["path"].tolist() == [path]
    assert dict(catalog.left_alone) == ({iiif.CHOICES: 1} if body["type"] == "Choice" else {})


def test_a_canvas_with_metadata_of_its_own_is_an_object_of_its_own(tmp_path):
    """As where a museum puts its highlights into one manifest."""
    manifest = second("https://m", 1, {"Location": "West Building"}, ("a", "b"), (100, 100))
    for canvas, artist in zip(manifest["sequences"][0]["canvases"], ("Jan Steen", "Judith Leyster"), strict=True):
        heading = [{"@value": "Artist", "@language": "en"}, {"@value": "Artiste", "@language": "fr"}]
        canvas["metadata"] = [{"label": heading, "value": f"<b>{artist}</b>"}]
    catalog = read_catalog(written(tmp_path / "m.json", manifest), allowed=["https://m/"])
    assert catalog.table["artist"].tolist() == ["Jan Steen", "Judith Leyster"]
    assert catalog.table["object"].tolist() == ["a", "b"]
    assert catalog.table["Location"].tolist() == ["West Building"] * 2


def test_values_of_both_versions_become_plain_text():
    assert text({"en": ["a", "b"], "fr": ["c"]}) == "a; b"
    assert text({"fr": ["c"]}) == "c"
    assert text([{"@value": "deux", "@language": "fr"}, {"@value": "two", "@language": "en"}]) == "two"
    assert text(["one", {"@value": "two"}, 3]) == "one; two; 3"
    assert text("<p>Vermeer &amp; pupils<br>Delft</p>") == "Vermeer & pupils\nDelft"
    assert text("x < y") == "x < y"
    assert text({"en": [{"en": "no text"}]}) == text(None) == text([[["deep"]]]) == ""


@pytest.mark.parametrize(
    ("metadata", "artist", "qualifier", "title", "year"),
    [
        (
            {"Artist / Maker": "Georges Seurat\nFrench, 1859-1891", "Object Number": "1", "Date": "1884/86"},
            "Georges Seurat",
            None,
            "Self-Portrait",
            1884,
        ),
        (
            {
                "People": ["Artist: Follower of Rembrandt van Rijn, Dutch (1606 - 1669)"],
                "Title": "A Man",
                "Date": "17th",
            },
            None,
            "follower of",
            "A Man",
            None,
        ),
        (
            {
                "Kunstenaar": [{"@value": "Jan Steen", "@language": "nl"}],
                "Titel": [{"@value": "Het feest", "@language": "nl"}],
                "Datering": "ca. 1665 - 1668",
            },
            "Jan Steen",
            None,
            "Het feest",
            1665,
        ),
        (
            {"Creator": "<span>John Constable, 1776&ndash;1837, British</span>", "Date": "1822"},
            "John Constable",
            None,
            "Self-Portrait",
            1822,
        ),
        ({"Auteur": "Monet, Claude (1840-1926)", "Titre": "La pie"}, "Monet, Claude", None, "La pie", None),
        ({"Maker": "Unknown artist", "Attribution": "none"}, None, None, "Self-Portrait", None),
    ],
)
def test_labels_are_read_as_museums_write_them(tmp_path, metadata, artist, qualifier, title, year):
    page = {"@id": "https://museum.example/artworks/1", "format": "text/html", "label": "Full record"}
    source = written(tmp_path / "m.json", second(HOST, 1, metadata, rendering=page))
    row = read_catalog(source, allowed=[f"{HOST}/"]).table.iloc[0]
    none = [
        None if value is pd.NA or value != value else value for value in (row["artist"], row["qualifier"], row["year"])
    ]
    assert (*none[:2], row["title"], none[2]) == (artist, qualifier, title, year)
    assert row["url"] == page["@id"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "neither a IIIF manifest nor a collection"),
        (b'{"type": "Manifest", "items": [{"type": "Canvas", "items": 7}]}', "no images in it"),
        (b'{"type": "Collection", "items": [{"type": "Manifest", "id": "/etc/passwd"}]}', "leads out of the folder"),
        (b'{"type": "Collection", "items": [{"type": "Manifest", "id": "file:///a.json"}]}', "not an address"),
        (b'{"type": "Collection", "items": [{"type": "Manifest", "id": "m.json"}]}', "no images in it"),  # itself
        (b'{"@type": "sc:Collection", "manifests": ["x", null, {"@id": 7}], "next": {}}', "no images in it"),
    ],
)
def test_what_is_no_manifest_or_holds_nothing_is_refused_in_one_line(tmp_path, data, reason):
    (tmp_path / "m.json").write_bytes(data)
    with pytest.raises(BadCatalog, match=reason):
        read_catalog(tmp_path / "m.json")


def test_a_manifest_reads_no_file_outside_its_folder(tmp_path):
    painting(tmp_path / "a.png", 1)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link.png").symlink_to(tmp_path / "a.png")
    for address in ("../a.png", "%2e%2e/a.png", str(tmp_path / "a.png"), "link.png"):
        source = written(tmp_path / "in" / "m.json", third("", 1, {}, {"id": address, "type": "Image"}))
        with pytest.raises(BadCatalog, match="leads out of the folder"):
            read_catalog(source)


def test_half_a_character_in_a_manifest_costs_no_painting(tmp_path):
    image = {"id": "half \ud800.jpg", "type": "Image"}
    document = third("museum.example", 1, {"Remark \udc00": "by Mo\ud800net", "Artist": "Manet"}, image)
    table = read_catalog(written(tmp_path / "manifest.json", document)).table
    assert table["artist"].tolist() == ["Manet"]
    assert table["Remark \N{REPLACEMENT CHARACTER}"].tolist() == ["by Mo\N{REPLACEMENT CHARACTER}net"]
    assert table["path"].tolist() == [str(tmp_path / "half \N{REPLACEMENT CHARACTER}.jpg")]


def test_documents_on_the_web_are_bounded_and_lead_nowhere_that_is_not_allowed(web, tmp_path, monkeypatch):
    manifest = json.dumps(third(web.url, 1, {}, image_3(web.url, "a.jpg"))).encode()

    def collection(*addresses):
        return json.dumps({"type": "Collection", "items": [{"type": "Manifest", "id": each} for each in addresses]})

    web.files = {
        "/top": collection("good", "gone", "away", "https://evil.example/m", "large", "/deep").encode(),
        "/good": manifest,
        "/large": b"x" * 5000,
        "/deep": collection("deeper").encode(),
        "/deeper": manifest,
    }
    web.answers["/away"] = [302]
    monkeypatch.setattr(iiif, "MAX_DOCUMENT_BYTES", 4096)
    monkeypatch.setattr(iiif, "MAX_DEPTH", 1)
    catalog = read_catalog(f"{web.url}/top", allowed=[web.url])
    assert len(catalog) == 1
    reasons = {path.rpartition("/")[2]: reason for path, reason in catalog.skipped}
    assert reasons["gone"] == "no such object"
    assert "points elsewhere" in reasons["away"]
    assert "not below an allowed prefix" in reasons["m"]
    assert "a document of more than" in reasons["large"]
    assert reasons["deeper"] == "more than 1 collections deep"
    assert not any("evil" in path or path == "/deeper" for path in web.asked)
    monkeypatch.setattr(iiif, "MAX_DOCUMENTS", 3)
    with pytest.raises(BadCatalog, match="leads to more than 3 documents"):
        read_catalog(f"{web.url}/top", allowed=[web.url])


def test_metadata_are_bounded_and_the_most_common_are_kept(tmp_path, monkeypatch):
    manifest = second(HOST, 1, {"Artist": "Jan Steen", "Rare": "x"}, ("a", "b"))
    manifest["sequences"][0]["canvases"][0]["metadata"] = [{"label": "Rarer", "value": "y"}]
    source = written(tmp_path / "m.json", manifest)
    monkeypatch.setattr(iiif, "MAX_CELLS", 4)  # two pictures, two headings
    catalog = read_catalog(source, allowed=[f"{HOST}/"])
    assert catalog.table["artist"].tolist() == ["Jan Steen"] * 2
    assert "Rarer" not in catalog.table
    assert ("2 headings", "too much metadata; the most common are kept") in catalog.skipped
    monkeypatch.setattr(iiif, "MAX_TEXT", 10)
    with pytest.raises(BadCatalog, match="characters of metadata"):
        read_catalog(source, allowed=[f"{HOST}/"])


def test_pages_of_a_collection_are_followed_and_circles_end(web):
    web.files = {
        "/top": json.dumps({"@type": "sc:Collection", "first": f"{web.url}/1", "total": 2}).encode(),
        "/1": json.dumps({"@type": "sc:Collection", "manifests": [{"@id": "a"}], "next": f"{web.url}/2"}).encode(),
        "/2": json.dumps({"@type": "sc:Collection", "members": [{"@id": "b"}], "next": f"{web.url}/1"}).encode(),
        "/a": json.dumps(third(web.url, "a", {}, image_3(web.url, "a.jpg"))).encode(),
        "/b": json.dumps(third(web.url, "b", {}, image_3(web.url, "b.jpg"))).encode(),
    }
    assert read_catalog(f"{web.url}/top", allowed=[web.url]).table["id"].tolist() == ["a", "b"]


def test_a_document_of_any_shape_is_read_or_is_none():
    chance = random.Random(7)
    junk = [None, True, -1, float("nan"), float("inf"), "", "sc:Canvas", [], {}, [[]], {"@value": {}}, ["x", {"id": 7}]]
    kinds = third("https://m", 1, {"a": {"en": ["b"]}}, image_3("https://m", "a")), second("https://m", 1, {"a": "b"})

    def places(node):
        inside = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        return [(node, key) for key, _ in inside] + [each for _, below in inside for each in places(below)]

    for number in range(600):
        document = copy.deepcopy(kinds[number % 2])
        for _ in range(chance.randint(1, 3)):
            node, key = chance.choice(places(document))
            node[key] = copy.deepcopy(chance.choice(junk))
        found = read(document)
        for picture in [picture for one in found.objects for picture in one.pictures] if found else []:
            assert isinstance(picture.location(487), str)
