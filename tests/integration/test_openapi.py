"""The OpenAPI document says what the shim does: its answers conform."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from http_support import Shim
from hypothesis import HealthCheck, given, settings
from stack_support import running

from ingest.shim.openapi import document


def checks() -> list[Any]:
    """What every answer has to be. Imported late: collecting tests is not to wait a second for it in every process."""
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    # Left out: `positive_data_acceptance`. A message may be right by its schema and wrong in its meaning.
    return [
        not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
        checks.response_headers_conformance,
        checks.allow_header_conformance,
        checks.unsupported_method,
        checks.negative_data_rejection,
    ]


@pytest.fixture(scope="module")
def shim(vhost_pool: Any, databases: Any) -> Iterator[Shim]:
    """A shim with a real worker behind it."""
    amqp_url, database_url = vhost_pool.take(), databases.create(migrated=True)
    try:
        with running(amqp_url, database_url, wait_seconds=20, collector_action_wait_seconds=20) as system:
            yield system.shim
    finally:
        vhost_pool.give_back(amqp_url)
        databases.drop(database_url)


@pytest.fixture(scope="module")
def api(shim: Shim) -> Any:
    import schemathesis

    return schemathesis.openapi.from_url(f"{shim.url}/openapi.json")


def test_the_document_is_served(shim: Shim) -> None:
    """Anybody may fetch it, and it is the one that was checked."""
    response = shim.http.get("/openapi.json")
    assert response.json() == document()
    assert response.headers["content-type"] == "application/json"


def test_the_examples_are_stored(api: Any) -> None:
    """Each example of the document is taken, and what it made is found where the answer says."""
    run_id = "562c4230-1569-4003-a81f-8c0100231d65"
    node = {"organization": "acme", "node": "web1"}
    runs, run = (f"/organizations/{{organization}}/reports/nodes/{{node}}/runs{end}" for end in ("", "/{run_id}"))
    for template, path_parameters in (("/messages", {}), (runs, node), (run, node | {"run_id": run_id})):
        operation = api[template]["post"]
        example = document()["paths"][template]["post"]["requestBody"]["content"]["application/json"]["example"]
        response = operation.Case(path_parameters=path_parameters, body=example).call_and_validate()
        assert response.status_code == 201
        stored = httpx.get(response.headers["location"][0], trust_env=False)
        assert stored.status_code == 200
    action = api["/actions/{id}"]["get"].Case(path_parameters={"id": "b576b4a2-7b2a-43b8-b385-d6281e9a139e"})
    assert action.call_and_validate().status_code == 200
    assert api[run]["get"].Case(path_parameters=node | {"run_id": run_id}).call_and_validate().status_code == 200


OPERATIONS = [
    (template, method) for template, item in document()["paths"].items() for method in item if method != "parameters"
]


@pytest.mark.parametrize("mode", ["positive", "negative"])
@pytest.mark.parametrize(("template", "method"), OPERATIONS)
def test_answers_conform(api: Any, template: str, method: str, mode: str) -> None:
    """Whatever is asked, right or wrong: a documented status, form and header, never a fault of the server."""
    from schemathesis import GenerationMode

    operation, generation = api[template][method], GenerationMode(mode)
    if generation.is_negative and not (operation.body or operation.query or operation.headers):
        return  # Any path is right by its schema.

    @given(case=operation.as_strategy(generation_mode=generation))
    @settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def ask(case: Any) -> None:
        case.call_and_validate(checks=checks())

    ask()
