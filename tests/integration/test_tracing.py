"""Traces of a real POST through a real queue, sent to a collector that reads OTLP."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from http_support import serving
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from operate_support import actions, consuming, declared, environment

from ingest.soak.system import until
from ingest.telemetry.tracing import tracer_provider
from schemas.settings import ConfigError

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@contextmanager
def collector() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An OTLP/HTTP endpoint, and the spans that it has been sent."""
    spans: list[dict[str, Any]] = []

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                names = {each.key: each.value.string_value for each in resource.resource.attributes}
                for scope in resource.scope_spans:
                    spans.extend(told(span, names["service.name"]) for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", spans
    finally:
        server.shutdown()
        server.server_close()


def told(span: Any, service: str) -> dict[str, Any]:
    return {
        "service": service,
        "name": span.name,
        "trace": span.trace_id.hex(),
        "id": span.span_id.hex(),
        "parent": span.parent_span_id.hex(),
        "links": [link.span_id.hex() for link in span.links],
        "attributes": {each.key: each.value.string_value or each.value.int_value for each in span.attributes},
        "nanoseconds": span.end_time_unix_nano - span.start_time_unix_nano,
    }


def test_one_trace_leads_from_the_post_to_the_commit(
    amqp_url: str, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sender's trace goes on in shim and worker, parent by parent; the batch links to it; without a sender's
    trace there is a new one."""
    declared(amqp_url)
    with collector() as (url, spans):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        env = environment(amqp_url, database_url, tmp_path)
        with consuming(env, "-n", "1"), serving(amqp_url, database_url) as shim:
            sent = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
            first, second = actions(2)
            assert shim.http.post("/messages", json=first, headers=sent).status_code == 201
            assert shim.http.post("/messages", json=second).status_code == 201
            until(lambda: sum(span["name"] == "commit batch" for span in spans) == 2, "both commits are traced")
            until(lambda: sum(span["name"] == "POST action" for span in spans) == 2, "both requests are traced")
    ours = {span["name"]: span for span in spans if span["trace"] == TRACE}
    post, send, process = ours["POST action"], ours["send ingest"], ours["process ingest.actions"]
    assert post["parent"] == "00f067aa0ba902b7"
    assert send["parent"] == post["id"]
    assert process["parent"] == send["id"]
    assert (post["service"], process["service"]) == ("chef-ingest-shim", "chef-ingest-worker")
    assert process["attributes"]["messaging.system"] == "rabbitmq"
    assert process["attributes"]["chef_ingest.outcome"] == "stored"
    assert post["attributes"]["chef_ingest.verdict"] == "created"
    assert process["nanoseconds"] > 0
    (batch,) = (span for span in spans if process["id"] in span["links"])
    assert batch["attributes"]["messaging.batch.message_count"] == 1
    assert batch["trace"] != TRACE
    assert len({span["trace"] for span in spans if span["name"] == "POST action"}) == 2


def test_traces_are_off_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an endpoint, or switched off, nothing is traced; where packages are missing, the remedy is named."""
    assert tracer_provider({}, "s", "1") is None
    asked = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    assert tracer_provider(asked | {"OTEL_SDK_DISABLED": "true"}, "s", "1") is None
    assert tracer_provider(asked | {"OTEL_TRACES_EXPORTER": "none"}, "s", "1") is None
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(ConfigError, match=r"pip install 'chef-ingest\[otel\]'"):
        tracer_provider(asked, "s", "1")
