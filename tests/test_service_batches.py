"""Many questions in one request: answered as alone, line by line, within bounds, and no longer than somebody reads."""

from __future__ import annotations

import json
import time

import pytest

from artidx import Index
from made import painting
from served import form, served

RED, RED_TOO, BLUE = "Red Painter/R0.png", "Red Painter/R1.png", "Blue Painter/B0.png"


@pytest.fixture
def client(index):
    with served(index.source) as service, service.client() as found:
        yield found


def lines(answer):
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson"), answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def test_each_question_of_a_batch_is_answered_as_alone(client, tmp_path):
    new = painting(tmp_path / "new.png", 77)
    ids = [RED, "none", BLUE]
    found = lines(client.post("/v1/nearest:batch", json={"images": ids, "k": 2, "where": "artist != 'Green Painter'"}))
    alone = [
        client.post("/v1/nearest", json={"image": each, "k": 2, "where": "artist != 'Green Painter'"}) for each in ids
    ]
    assert [line["number"] for line in found] == [0, 1, 2]
    assert [line["answer"] or line["problem"] for line in found] == [answer.json() for answer in alone]
    assert found[1]["problem"]["type"] == "urn:artidx:unknown-painting"

    sent = [("images", (new.name, new.read_bytes())), ("images", (None, RED)), ("images", ("a.png", b"no picture"))]
    found = lines(client.post("/v1/nearest:batch", files=sent))
    assert found[0]["answer"] == client.post("/v1/nearest", **form(image=new)).json()
    assert found[1]["answer"] == client.post("/v1/nearest", json={"image": RED}).json()
    assert found[2]["problem"]["type"] == "urn:artidx:not-an-image"

    found = lines(client.post("/v1/pair:batch", json={"a": [RED, RED], "b": [RED_TOO, BLUE], "prior": 0.1}))
    assert [line["answer"] for line in found] == [
        client.post("/v1/pair", json={"a": RED, "b": b, "prior": 0.1}).json() for b in (RED_TOO, BLUE)
    ]


@pytest.mark.parametrize(
    ("path", "said", "name"),
    [
        ("nearest", {"images": []}, "missing-field"),
        ("nearest", {"images": RED}, "missing-field"),
        ("nearest", {"images": [RED] * 1001}, "bad-setting"),
        ("nearest", {"images": [5]}, "bad-setting"),
        ("nearest", {"images": [RED], "k": 0}, "bad-setting"),
        ("nearest", {"image": [RED]}, "unknown-field"),
        ("pair", {"a": [RED, BLUE], "b": [RED]}, "bad-setting"),
        ("pair", {"a": [RED], "b": [BLUE], "fpr": 0.2}, "bad-setting"),
    ],
)
def test_a_batch_that_cannot_be_begun_is_refused_whole(client, path, said, name):
    answer = client.post(f"/v1/{path}:batch", json=said)
    assert (answer.status_code, answer.json()["type"]) == (422, f"urn:artidx:{name}"), answer.text


def test_a_long_batch_has_its_time_for_each_line_and_ends_when_the_client_leaves(index, monkeypatch):
    answer, begun = Index.answer, []

    def slowly(self, query, *, k=10):
        begun.append(query)
        time.sleep(0.1)
        return answer(self, query, k=k)

    monkeypatch.setattr(Index, "answer", slowly)
    with served(index.source, answer_s=2) as service, service.client() as client:
        assert len(lines(client.post("/v1/nearest:batch", json={"images": [RED] * 60}))) == 60  # three seconds
        begun.clear()
        with client.stream("POST", "/v1/nearest:batch", json={"images": [RED] * 1000}) as answer:
            assert json.loads(next(answer.iter_lines()))["number"] == 0
        deadline = time.monotonic() + 20
        while service.state.metrics.registry.get_sample_value("artidx_in_flight"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert len(begun) < 500
