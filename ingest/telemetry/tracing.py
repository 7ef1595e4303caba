"""OpenTelemetry traces, where installed (`chef-ingest[otel]`) and asked for by the standard OTEL_ variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Self

from schemas.message import TRACEPARENT, Message
from schemas.settings import ConfigError
from schemas.topology import INGEST_EXCHANGE, ROUTING_KEYS

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_ASKS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def tracer_provider(environ: Mapping[str, str], service: str, version: str) -> TracerProvider | None:
    """Sends spans to the OTLP/HTTP endpoint of the environment; None where none is named, or OTEL_SDK_DISABLED.

    Raises ConfigError where traces are asked for and the packages are missing. What is pending is sent at exit.
    """
    asked = [name for name in _ASKS if environ.get(name)]
    if not asked or environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    if environ.get("OTEL_TRACES_EXPORTER", "otlp") != "otlp":
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        remedy = "pip install 'chef-ingest[otel]'"
        raise ConfigError([f"{asked[0]}: traces need more packages: {remedy} ({error})"]) from None
    # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win: Resource.create reads them.
    names = {} if environ.get("OTEL_SERVICE_NAME") else {"service.name": service}
    provider = TracerProvider(resource=Resource.create({**names, "service.version": version}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


class PostTrace:
    """The two spans of one POST, the request's and that of the message it sends; they end with the `with` block."""

    def __init__(self, request: Any, send: Any, traceparent: str) -> None:
        self._spans = (send, request)
        self.traceparent = traceparent
        """To travel with the message."""

    def verdict(self, code: str) -> None:
        """What was answered, or why there is no verdict."""
        for span in self._spans:
            span.set_attribute("chef_ingest.verdict", code)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        for span in self._spans:
            if error is not None:
                span.set_attribute("error.type", type(error).__name__)
            span.end()


class ShimTracing:
    """Starts the spans of POSTs, in the sender's trace if it has one."""

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._tracer = provider.get_tracer("chef-ingest")
        self._propagator = TraceContextTextMapPropagator()

    def post(self, message: Message, fields: Mapping[bytes, bytes]) -> PostTrace:
        """Spans for the POST of a message, whose header fields are given."""
        from opentelemetry.trace import SpanKind, set_span_in_context

        header = fields.get(b"traceparent", b"").decode("latin-1")
        parent = self._propagator.extract({TRACEPARENT: header}) if header else None
        http = {"http.request.method": "POST", "chef_ingest.kind": message.kind}
        request = self._tracer.start_span(f"POST {message.kind}", parent, SpanKind.SERVER, http)
        messaging: dict[str, Any] = {
            "messaging.system": "rabbitmq",
            "messaging.destination.name": INGEST_EXCHANGE,
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
            "messaging.rabbitmq.destination.routing_key": ROUTING_KEYS[message.kind],
            "messaging.message.body.size": len(message.payload),
        }
        inside = set_span_in_context(request)
        send = self._tracer.start_span(f"send {INGEST_EXCHANGE}", inside, SpanKind.PRODUCER, messaging)
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier, set_span_in_context(send))
        return PostTrace(request, send, carrier[TRACEPARENT])
