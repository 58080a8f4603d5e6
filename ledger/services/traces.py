"""OpenTelemetry traces, by switch: a span for each request, and one for each batch that was written.

Where they go say OpenTelemetry's own variables (`OTEL_EXPORTER_OTLP_ENDPOINT`, …). A caller's `traceparent` is heeded.
Spans carry methods, paths, status codes and sizes: nothing that anyone sent.
"""

import time
from collections.abc import Sequence
from typing import Any

from ledger.errors import Misconfigured
from ledger.storage.batch import Answered, Timing

try:
    from opentelemetry import propagate, trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
except ImportError:
    trace = None  # type: ignore[assignment]

NANOSECONDS = 1_000_000_000


def start(*, service: str) -> None:
    """Send what is traced from here on to where the environment says. Raises Misconfigured without the libraries."""
    if trace is None:
        raise Misconfigured("traces are asked for, and OpenTelemetry is not there", help="install `oblik[otel]`")
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - only where it is there

    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


class BatchTraces:
    """Makes a span of each batch."""

    def batch(self, answers: Sequence[Answered], entries: int, timing: Timing) -> None:
        """Take in a batch that was committed."""
        end = time.time_ns()
        begin = end - round((timing.waited + timing.committed) * NANOSECONDS)
        span = trace.get_tracer("oblik").start_span("batch", start_time=begin)
        span.set_attributes(
            {
                "oblik.questions": len(answers),
                "oblik.entries": entries,
                "oblik.evaluated_again": timing.evaluated_again,
                "oblik.lock_wait_seconds": timing.waited,
                "oblik.commit_seconds": timing.committed,
            }
        )
        span.end(end)

    def failure(self) -> None:
        """Take in a batch that is not known to be written."""
        span = trace.get_tracer("oblik").start_span("batch")
        span.set_status(trace.StatusCode.ERROR)
        span.end()


class Traced:
    """An ASGI application that makes a span of each request to another one."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.state = app.state

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the request on, within a span."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        name = f"{scope['method']} {scope['path']}"
        with trace.get_tracer("oblik").start_as_current_span(
            name, context=propagate.extract(headers), kind=trace.SpanKind.SERVER
        ) as span:
            span.set_attributes({"http.request.method": scope["method"], "url.path": scope["path"]})

            async def sent(message: Any) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                await send(message)

            await self._app(scope, receive, sent)
