"""Spans of what workers do, for messages that carry a `traceparent`: one a message, and one a batch linked to them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from consumers.delivery import Committed, Judged
from schemas.message import TRACEPARENT
from schemas.verdict import Verdict, becomes_letter

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider


def batch_spans(provider: TracerProvider) -> Callable[[Committed], None]:
    """An observer of committed batches. Messages without a `traceparent` cost a look into their headers.

    Names and attributes: OpenTelemetry's semantic conventions for messaging.
    """
    from opentelemetry.trace import Link, SpanKind
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    tracer = provider.get_tracer("chef-ingest")
    extract = TraceContextTextMapPropagator().extract

    def observe(committed: Committed) -> None:
        pairs = zip(committed.batch.items, committed.verdicts, strict=True)
        traced = [(item, verdict) for item, verdict in pairs if TRACEPARENT in (item.delivery.headers or ())]
        if not traced:
            return
        end = time.time_ns()
        start = end - int(committed.seconds * 1e9)
        links = []
        for item, verdict in traced:
            span = tracer.start_span(
                f"process {item.delivery.queue}",
                extract({TRACEPARENT: str(item.delivery.headers[TRACEPARENT])}),
                SpanKind.CONSUMER,
                _attributes(item, verdict),
                start_time=start,
            )
            span.end(end)
            links.append(Link(span.get_span_context()))
        batch: dict[str, Any] = {
            "messaging.system": "rabbitmq",
            "messaging.operation.name": "commit",
            "messaging.operation.type": "settle",
            "messaging.batch.message_count": len(committed.batch.items),
            "chef_ingest.trigger": committed.batch.trigger,
        }
        tracer.start_span("commit batch", None, SpanKind.INTERNAL, batch, links, start_time=start).end(end)

    return observe


def _attributes(item: Judged, verdict: Verdict) -> dict[str, Any]:
    delivery = item.delivery
    found: dict[str, Any] = {
        "messaging.system": "rabbitmq",
        "messaging.destination.name": delivery.queue,
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.rabbitmq.destination.routing_key": delivery.routing_key,
        "messaging.message.body.size": len(delivery.message.payload),
        "chef_ingest.outcome": verdict.fate.outcome,
    }
    if delivery.correlation_id:
        found["messaging.message.conversation_id"] = delivery.correlation_id
    if becomes_letter(verdict):
        found["error.type"] = verdict.reason
    return found
