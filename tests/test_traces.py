"""Traces: where a request's time went, sent to the collector that was named; nothing of what it was about."""

from __future__ import annotations

import http.server
import logging
import threading

import pytest
from click.testing import CliRunner
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from artidx.cli.main import artidx
from artidx.service.traces import Traces, traces_to
from made import painting
from served import form, served

CALLER = "0af7651916cd43dd8448eb211c80319c"
SECRET = "a-secret-name"


def test_a_request_is_a_span_with_its_stages_and_goes_on_with_its_callers_trace(index, tmp_path, caplog):
    kept, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    picture = painting(tmp_path / f"{SECRET}.png", 7)
    caplog.set_level(logging.INFO, "artidx.service")
    with served(index.source, Traces(provider)) as service, service.client() as client:
        headers = {"traceparent": f"00-{CALLER}-b7ad6b7169203331-01"}
        assert client.post("/v1/nearest", **form(image=picture), headers=headers).status_code == 200
        assert client.post("/v1/nearest", json={"image": SECRET}).status_code == 404
    spans = kept.get_finished_spans()
    first = [span for span in spans if f"{span.context.trace_id:032x}" == CALLER]
    (root,) = (span for span in first if span.name == "POST /v1/nearest")
    stages = [span for span in first if span is not root]
    assert {span.name for span in stages} == {"decode", "embed", "search"}
    for span in stages:
        assert span.parent.span_id == root.context.span_id
        assert root.start_time <= span.start_time <= span.end_time <= root.end_time
    assert (root.attributes["http.response.status_code"], root.attributes["artidx.generation"]) == (200, 1)
    assert not any(SECRET in span.to_json() for span in spans)
    facts = [record.facts for record in caplog.records if record.getMessage() == "answered"]
    assert facts[0]["trace"] == CALLER
    assert facts[0]["request"] == root.attributes["artidx.request"]
    assert facts[1]["trace"] != CALLER


def test_without_a_collector_nothing_is_traced(index, caplog):
    with caplog.at_level(logging.INFO, "artidx.service"), served(index.source) as service, service.client() as client:
        client.get("/v1/index", headers={"traceparent": f"00-{CALLER}-b7ad6b7169203331-01"})
    assert "trace" not in next(record.facts for record in caplog.records if record.getMessage() == "answered")


def test_a_collector_is_sent_whole_traces_by_otlp_over_http(index):
    sent = []

    class Collector(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            sent.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    collector = http.server.HTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=collector.serve_forever, args=(0.01,))
    thread.start()
    try:
        traces = traces_to(f"http://127.0.0.1:{collector.server_port}")
        with served(index.source, traces) as service, service.client() as client:
            client.post("/v1/pair", json={"a": "Red Painter/R0.png", "b": "Blue Painter/B0.png"})
    finally:
        collector.shutdown()
        thread.join()
        collector.server_close()
    spans = []
    for path, data in sent:
        assert path == "/v1/traces"
        for resource in ExportTraceServiceRequest.FromString(data).resource_spans:
            assert ("service.name", "artidx") in [
                (each.key, each.value.string_value) for each in resource.resource.attributes
            ]
            spans += [span.name for scope in resource.scope_spans for span in scope.spans]
    assert sorted(spans) == ["POST /v1/pair", "decode", "search"]


@pytest.mark.parametrize("address", ["localhost:4318", "ftp://a", "http://", "/tmp/a"])
def test_a_collector_that_is_no_address_is_refused(address):
    result = CliRunner().invoke(artidx, ["serve", "--traces", address], prog_name="artidx")
    assert "expected the address of a collector, such as http://localhost:4318" in str(result.exception)
