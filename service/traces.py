"""OpenTelemetry traces of requests: a span for the request, and within it decode, embed, search.

Off unless a collector is named (`--traces`); then spans go there and nowhere else. They have routes, statuses and
times, but no pictures, ids, search words or tokens. A caller's trace (`traceparent`) is continued.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.types import Scope

from ..errors import BadSetting, MissingPackage

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

PATH = "/v1/traces"  # the usual path of collectors


class Traces:
    """Makes spans, or nothing without a provider. Safe to share between threads."""

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._provider = provider
        self._tracer = None if provider is None else provider.get_tracer("artidx", version("artidx"))

    @contextmanager
    def request(self, scope: Scope) -> Iterator[RequestSpan]:
        """A context with a span around a request."""
        if self._tracer is None:
            yield RequestSpan(None)
            return
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        sent = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        parent = TraceContextTextMapPropagator().extract(sent)
        with self._tracer.start_as_current_span(
            scope["method"], context=parent, kind=SpanKind.SERVER, record_exception=False
        ) as span:
            yield RequestSpan(span)

    def here(self) -> Any:
        """The context of the current request, for the thread that does the work."""
        if self._tracer is None:
            return None
        from opentelemetry.context import get_current

        return get_current()

    def stage(self, name: str, where: Any) -> AbstractContextManager[object]:
        """A context with a span around a stage of the work; where: from `here`."""
        if self._tracer is None:
            return nullcontext()
        # The message of an error may name a picture.
        return self._tracer.start_as_current_span(
            name, context=where, record_exception=False, set_status_on_exception=False
        )

    def close(self) -> None:
        """Send the remaining spans."""
        if self._provider is not None:
            self._provider.shutdown()


class RequestSpan:
    """The span of one request, if there is one."""

    def __init__(self, span: Span | None) -> None:
        self._span = span

    @property
    def trace(self) -> str | None:
        """The trace's id, 32 hexadecimal digits, as in the log."""
        return None if self._span is None else f"{self._span.get_span_context().trace_id:032x}"

    def end(self, method: str, route: str, status: int, request: str, generation: int) -> None:
        """Set the status."""
        if self._span is None:
            return
        from opentelemetry.trace import StatusCode

        self._span.update_name(f"{method} {route}")
        self._span.set_attributes(
            {
                "http.request.method": method,
                "http.route": route,
                "http.response.status_code": status,
                "artidx.request": request,
                "artidx.generation": generation,
            }
        )
        if status >= 500:
            self._span.set_status(StatusCode.ERROR)


def traces_to(collector: str) -> Traces:
    """Traces sent to a collector by OTLP over HTTP, such as http://localhost:4318.

    Headers for it, and the share of requests to trace, are set by OpenTelemetry's own variables. Raises BadSetting,
    MissingPackage.
    """
    parts = urlsplit(collector)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadSetting(f"--traces {collector}: expected the address of a collector, such as http://localhost:4318")
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as problem:
        raise MissingPackage(f"--traces needs {problem.name}; pip install 'artidx[traces]'") from None
    address = collector if parts.path.strip("/") else f"{collector.rstrip('/')}{PATH}"
    provider = TracerProvider(
        resource=Resource.create({"service.name": "artidx", "service.version": version("artidx")}),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=address)))
    return Traces(provider)
