"""Changes by HTTP: labels with their author, a change for one generation only, repeated additions; rights."""

from __future__ import annotations

import json
import logging
import os
import shutil

import pytest

from artidx import Index
from artidx.as_json import as_json
from artidx.errors import BadSetting
from artidx.index.review.decisions import key_of
from artidx.index.review.findings import Candidate, Finding, Review, Witness
from artidx.service import findings
from artidx.service.aside import forget
from artidx.service.settings import ServiceSettings
from artidx.service.tokens import Tokens
from made import painting
from served import TOKEN, as_served, form, served

RED, BLUE = "Red Painter/R0.png", "Blue Painter/B0.png"
PAGE = "https://museum.example"


@pytest.fixture
def service(index, tmp_path):
    with served(index.source, uploads=tmp_path / "uploads", write_token=TOKEN) as found:
        yield found


@pytest.fixture
def client(service):
    with service.client(TOKEN) as found:
        yield found


def named(folder, **tokens):
    """A file of tokens: name=(token, rights)."""
    path = folder / "tokens.toml"
    path.write_text(
        "".join(f'[{name}]\ntoken = "{token}"\nrights = "{rights}"\n' for name, (token, rights) in tokens.items())
    )
    return path


def test_labels_are_corrected_with_who_says_so_and_the_history_is_told(client, index):
    before = client.get(f"/v1/paintings/{RED}")
    assert before.headers["etag"] == '"1"'
    said = {"labels": {"artist": "Workshop of Titian", "year": 1540}, "by": "Anna"}
    corrected = client.patch(f"/v1/paintings/{RED}", json=said, headers={"if-match": before.headers["etag"]})
    assert (corrected.status_code, corrected.headers["etag"]) == (200, '"2"'), corrected.text
    found = corrected.json()
    assert (found["painting"]["attribution"], found["painting"]["year"]) == ("Workshop of Titian", 1540)
    assert [(word["column"], word["after"], word["by"]) for word in found["history"]] == [
        ("artist", "Workshop of Titian", "Anna"),
        ("year", "1540", "Anna"),
    ]
    assert client.patch(f"/v1/paintings/{BLUE}", json={"labels": {"title": "Sea"}, "by": "Ben"}).status_code == 200
    history = client.get("/v1/history").json()
    assert [word["by"] for word in history["history"]] == ["Ben", "Anna", "Anna"]
    of_red = client.get("/v1/history", params={"painting": RED, "page": 2, "per_page": 1}).json()
    assert (of_red["total"], [word["column"] for word in of_red["history"]]) == (2, ["artist"])
    assert client.get("/v1/history?painting=none").status_code == 404
    assert len(Index.open(index.source).history) == 3


def test_findings_are_told_page_by_page_and_decided_all_at_once(collection, embedder, tmp_path, monkeypatch):
    shutil.copy(collection / RED, collection / "Blue Painter" / "copy.png")
    index = Index.build(tmp_path / "paintings.artidx", collection, embedder=embedder)[0]
    with served(index.source, write_token=TOKEN) as service, service.client(TOKEN) as client:
        first = client.get("/v1/review")
        assert (first.status_code, first.headers["retry-after"]) == (202, "2")
        target = service.state.reviews.path(index)
        review = index.review()
        monkeypatch.setattr(Index, "review", lambda _: review)  # it takes a second
        findings.write(index.generation.folder, index.store.sha256, target)  # sooner than the process that has begun to
        found = client.get("/v1/review").json()
        assert found["counts"] == {"duplicate": 1, "doubtful": len(review.of("doubtful")), "unattributed": 0}
        assert (found["total"], found["generation"]) == (len(review.findings), 1)
        keys = [key_of(each.kind, each.objects, each.records) for each in review.findings]
        expected = [
            as_served(json.loads(as_json(finding))) | {"key": key, "decision": None, "stale": None}
            for key, finding in zip(keys, review.findings, strict=True)
        ]
        pages = [client.get(f"/v1/review?per_page=2&page={page}").json()["findings"] for page in (1, 2, 3)]
        assert [finding for page in pages for finding in page] == expected[:6]
        (duplicate,) = client.get("/v1/review?kind=duplicate").json()["findings"]
        assert {painting["path"] for painting in duplicate["paintings"]} == {"R0.png", "copy.png"}
        assert client.get("/v1/review?kind=unattributed").json()["findings"] == []
        assert client.get("/v1/review?kind=other").status_code == 422

        ids = [painting["id"] for painting in duplicate["paintings"]]
        decided = {"decisions": dict.fromkeys(ids, "Workshop of Titian"), "by": "Anna"}
        nobody = client.post("/v1/review/decisions", json={"decisions": {ids[0]: "Titian", "none": "x"}, "by": "Anna"})
        assert nobody.status_code == 404
        answer = client.post("/v1/review/decisions", json=decided, headers={"if-match": '"1"'})
        assert (answer.status_code, answer.json()["generation"]) == (200, 2), answer.text
        assert [word["id"] for word in answer.json()["history"]] == ids
        assert client.post("/v1/review/decisions", json=decided, headers={"if-match": '"1"'}).status_code == 412
        assert client.get("/v1/review").json()["generation"] == 1  # corrections leave the findings as they are
        assert client.get("/v1/review?anew").status_code == 202
        service.state.reviews.path(Index.open(index.source)).write_text(findings.text_of(review, said=2))
        assert client.get("/v1/review?anew").status_code == 200


def test_a_decision_on_a_finding_is_kept_with_who_and_when_and_touches_no_other(index):
    works = [index.query(f"id:{each}").painting for each in index.table["id"]]
    red, blue = works[0], works[-1]
    about = ("model", "small", 1, "2026-01-01 00:00", 12, "made up", ())

    def doubtful(work, other):
        speaks = Candidate(other.artist, 0.9, (Witness(other, other.id, 0.2),))
        return Finding("doubtful", (work.id,), (work,), work.artist, (work.artist,), (speaks,), unknown=0.1)

    found = doubtful(red, blue), doubtful(blue, works[5]), doubtful(works[6], works[5])
    assert len({work.artist for work in (red, blue, works[5])}) == 3
    with served(index.source, write_token=TOKEN) as service, service.client(TOKEN) as client:
        text = findings.text_of(Review(found, index.name, 12, 12, 3, *about), said=0)
        service.state.reviews.path(index).write_text(text)

        def listed(query=""):
            answer = client.get(f"/v1/review{query}")
            assert answer.status_code == 200, answer.text
            return answer.json()["findings"]

        first, second, third = (each["key"] for each in listed())
        address = f"/v1/review/findings/{first}"
        with service.client() as reader:
            assert reader.put(address, json={"state": "left", "by": "Anna"}).status_code == 401
        for said, status in (
            ({"state": "left"}, 422),  # who says so?
            ({"state": "left", "artist": "Titian", "by": "Anna"}, 422),
            ({"state": "gone", "by": "Anna"}, 422),
            ({"state": "left", "note": "a\x07", "by": "Anna"}, 422),
        ):
            assert client.put(address, json=said).status_code == status
        assert client.put("/v1/review/findings/none", json={"state": "left", "by": "Anna"}).status_code == 404
        assert client.put(f"/v1/review/findings/{third}", json={"state": "left", "by": "Ben"}).status_code == 200
        accepted = client.put(address, json={"state": "accepted", "artist": blue.artist, "by": "Anna"})
        assert (accepted.status_code, accepted.json()["generation"]) == (200, 2), accepted.text
        assert [word["after"] for word in accepted.json()["history"]] == [blue.artist]

        one, two, three = listed()  # no other review, though there is another generation
        assert [one["decision"][name] for name in ("state", "artist", "by")] == ["accepted", blue.artist, "Anna"]
        assert (two["decision"], three["decision"]["state"]) == (None, "left")
        assert "probabilities may have changed" in two["stale"]  # by the artist whose work red was, and is
        assert client.get(f"/v1/review/findings/{second}").json() == two
        assert [each["key"] for each in listed("?undecided")] == [second]
        noted = client.put(address, json={"state": "accepted", "artist": blue.artist, "note": "seen", "by": "Ben"})
        assert (noted.json()["history"], noted.json()["generation"]) == ([], 2)
        told_of = client.get("/v1/review/decisions?per_page=1").json()
        assert (told_of["total"], told_of["decisions"][0]["note"], told_of["decisions"][0]["by"]) == (2, "seen", "Ben")

        undone = client.put(address, json={"state": "open", "by": "Anna"}).json()
        assert [word["after"] for word in undone["history"]] == [red.artist]
        assert Index.open(index.source).query(f"id:{red.id}").painting.artist == red.artist
        assert [each["key"] for each in listed("?undecided")] == [first, second]
        assert client.put(address, json={"state": "accepted", "artist": "Titian", "by": "Anna"}).status_code == 200
        said = {"labels": {"artist": "Giorgione"}, "by": "Ben"}
        assert client.patch(f"/v1/paintings/{red.id}", json=said).status_code == 200
        assert client.put(address, json={"state": "open", "by": "Anna"}).json()["history"] == []
        assert Index.open(index.source).query(f"id:{red.id}").painting.artist == "Giorgione"

        (index.source / "decisions.jsonl").write_text("[]\n")
        assert client.get("/v1/review/decisions").status_code == 500


def test_what_was_made_long_ago_is_forgotten(tmp_path):
    for number in range(5):
        path = tmp_path / f"map-{number}.npy"
        path.write_bytes(bytes(100))
        os.utime(path, ns=(0, (10 - number) * 10**9))
    (tmp_path / "files.sqlite").write_bytes(b"")
    forget(tmp_path, "map-*.npy", 3, 10_000)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["files.sqlite", "map-0.npy", "map-1.npy", "map-2.npy"]
    forget(tmp_path, "map-*.npy", 3, 200)
    assert len([*tmp_path.glob("map-*")]) == 2
    forget(tmp_path, "map-*.npy", 3, 50)
    assert [path.name for path in tmp_path.glob("map-*")] == ["map-0.npy"]


def test_a_change_that_was_meant_for_another_generation_is_not_made(client, index):
    said = {"labels": {"title": "Sea"}, "by": "Anna"}
    assert client.patch(f"/v1/paintings/{RED}", json=said, headers={"if-match": '"1"'}).status_code == 200
    for answer in (
        client.patch(f"/v1/paintings/{BLUE}", json=said, headers={"if-match": '"1"'}),
        client.delete(f"/v1/paintings/{BLUE}", headers={"if-match": '"1"'}),
        client.delete(f"/v1/paintings/{BLUE}", headers={"if-match": "rubbish"}),
    ):
        assert (answer.status_code, answer.json()["type"]) == (412, "urn:artidx:index-changed")
        assert str(index.source) not in answer.text
    assert Index.open(index.source).manifest.generation == 2
    assert client.delete(f"/v1/paintings/{BLUE}", headers={"if-match": '"2"'}).status_code == 200
    assert client.patch(f"/v1/paintings/{RED}", json=said, headers={"if-match": "*"}).status_code == 200


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"labels": {"title": "Sea"}}, 422),  # who says so?
        ({"labels": {}, "by": "Anna"}, 422),
        ({"labels": {"nothing": "x"}, "by": "Anna"}, 422),
        ({"labels": {"path": "/etc/passwd"}, "by": "Anna"}, 422),
        ({"labels": {"year": "long ago"}, "by": "Anna"}, 422),
        ({"labels": {"title": None}, "by": "Anna"}, 422),
        ({"labels": {"title": "a\nb"}, "by": "Anna"}, 422),
        ({"labels": {"title": "Sea"}, "by": "artidx sync"}, 422),
        ({"labels": {"title": "Sea"}, "by": "Anna", "also": 1}, 422),
        ([], 422),
    ],
)
def test_a_correction_that_cannot_be_made_changes_nothing(client, index, said, status):
    answer = client.patch(f"/v1/paintings/{RED}", json=said)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    assert Index.open(index.source).manifest.generation == 1


def test_what_is_added_again_under_one_key_is_there_once(client, service, index, tmp_path):
    new, other = painting(tmp_path / "new.png", 77), painting(tmp_path / "other.png", 78)
    key = {"idempotency-key": "k-1"}
    first = client.post("/v1/paintings", **form(image=new, artist="Nell"), headers=key)
    again = client.post("/v1/paintings", **form(image=new, artist="Nell"), headers=key)
    assert (first.status_code, again.status_code, again.json()) == (201, 201, first.json())
    for fields in (form(image=new, artist="Ned"), form(image=other, artist="Nell")):
        refused = client.post("/v1/paintings", **fields, headers=key)
        assert (refused.status_code, refused.json()["type"]) == (422, "urn:artidx:key-used")
    assert client.post("/v1/paintings", **form(image=new, artist="Nell")).status_code == 409
    assert client.post("/v1/paintings", **form(image=other), headers={"idempotency-key": "a b"}).status_code == 422
    assert client.delete(f"/v1/paintings/{first.json()['painting']['id']}").status_code == 200
    assert client.post("/v1/paintings", **form(image=new, artist="Nell"), headers=key).status_code == 201
    assert len(Index.open(index.source)) == 13


def test_a_key_outlives_other_changes_but_not_the_service_and_still_nothing_is_added_twice(index, tmp_path):
    new, key = form(image=painting(tmp_path / "new.png", 77), artist="Nell"), {"idempotency-key": "k-1"}
    with served(index.source, uploads=tmp_path / "up", write_token=TOKEN) as service, service.client(TOKEN) as client:
        first = client.post("/v1/paintings", **new, headers=key)
        Index.open(index.source).remove([RED])  # by somebody else
        again = client.post("/v1/paintings", **new, headers=key)
        assert (first.status_code, again.status_code) == (201, 201)
        assert again.json()["painting"] == first.json()["painting"]
        assert again.headers["artidx-generation"] == "3"
    with served(index.source, uploads=tmp_path / "up", write_token=TOKEN) as service, service.client(TOKEN) as client:
        refused = client.post("/v1/paintings", **new, headers=key)
    assert (refused.status_code, len(Index.open(index.source))) == (409, 12)


def test_tokens_have_names_and_rights_and_are_replaced_without_a_restart(index, tmp_path, caplog):
    caplog.set_level(logging.INFO, "artidx.service")
    old, new = "an-old-token-of-anna", "a-new-token-of-anna"
    path = named(tmp_path, anna=(old, "write"), ben=("a-token-that-ben-has", "read"))
    said = {"labels": {"title": "Sea"}}
    with served(index.source, token_file=path) as service:

        def patched(token):
            with service.client(token) as client:
                return client.patch(f"/v1/paintings/{RED}", json=said).status_code

        with service.client() as client:
            assert client.get("/v1/index").status_code == 401
        with service.client("a-token-that-ben-has") as client:
            assert client.get("/v1/index").status_code == 200
        assert (patched(old), patched("a-token-that-ben-has"), patched(new)) == (200, 403, 401)
        named(tmp_path, anna=(new, "write"))
        said["labels"]["title"] = "Land"
        assert (patched(old), patched("a-token-that-ben-has"), patched(new)) == (401, 401, 200)
        path.write_text("rubbish")
        said["labels"]["title"] = "Sky"
        assert patched(new) == 200
        with service.client(new) as client:
            assert {word["by"] for word in client.get("/v1/history").json()["history"]} == {"anna"}
    facts = [record.facts for record in caplog.records if hasattr(record, "facts")]
    assert [each.get("token") for each in facts if each["method"] == "PATCH"][:3] == ["anna", "ben", None]
    assert not [token for token in (old, new) if token in caplog.text]
    assert caplog.text.count("the previous tokens stay valid") == 1


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "token = 'a-token-without-a-name'",
        "[a]\ntoken = 'short'\nrights = 'read'",
        "[a]\ntoken = 'long-enough-for-it'\nrights = 'all'",
        "['a b']\ntoken = 'long-enough-for-it'\nrights = 'read'",
        "[a]\ntoken = 'long-enough-for-it'\nrights = 'read'\n[b]\ntoken = 'long-enough-for-it'\nrights = 'write'",
    ],
)
def test_a_file_that_has_no_tokens_is_refused_and_says_why(tmp_path, text):
    (tmp_path / "tokens.toml").write_text(text)
    with pytest.raises(BadSetting, match=r"tokens\.toml: not a file of tokens: "):
        Tokens(ServiceSettings(token_file=tmp_path / "tokens.toml"))
    with pytest.raises(BadSetting, match="No such file"):
        Tokens(ServiceSettings(token_file=tmp_path / "none.toml"))


def test_a_page_of_another_origin_may_ask_where_it_is_allowed(index):
    headers = {"origin": PAGE, "sec-fetch-site": "cross-site"}
    with served(index.source, cors=frozenset({PAGE})) as service, service.client() as client:
        asked = {"access-control-request-method": "PATCH", "access-control-request-headers": "authorization,if-match"}
        before = client.options("/v1/pair", headers=headers | asked)
        assert (before.status_code, before.headers["access-control-allow-origin"]) == (200, PAGE)
        answer = client.post("/v1/nearest", json={"image": RED}, headers=headers)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, PAGE)
        assert "etag" in answer.headers["access-control-expose-headers"]
        refused = client.post("/v1/nearest", json={"image": "none"}, headers=headers)
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (404, PAGE)
        strange = client.post("/v1/nearest", json={"image": RED}, headers=headers | {"origin": "https://evil.example"})
        assert (strange.status_code, "access-control-allow-origin" in strange.headers) == (403, False)
    with pytest.raises(BadSetting, match="not the origin of a page"):
        ServiceSettings(cors=frozenset({"*"}))
