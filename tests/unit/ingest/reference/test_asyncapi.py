"""The AsyncAPI document is one, and says of exchanges, queues and keys what the topology says."""

from __future__ import annotations

import gzip
import json
from typing import Any

import jsonschema
import pytest
from rooms import ROOT

from ingest.reference.asyncapi import document
from schemas.kinds import KINDS
from schemas.topology import QUEUES, ROUTING_KEYS

# AsyncAPI's own JSON Schema of version 3.0.0, as @asyncapi/specs 6.11.1 has it (Apache-2.0), unchanged.
SCHEMA = json.loads(gzip.decompress((ROOT / "tests" / "fixtures" / "asyncapi-3.0.0.json.gz").read_bytes()))
TOLD: dict[str, Any] = json.loads(document("1"))


def faults(told: dict[str, Any]) -> list[str]:
    return [error.message for error in jsonschema.Draft7Validator(SCHEMA).iter_errors(told)]


def test_it_is_an_asyncapi_document() -> None:
    """By AsyncAPI's own schema; every reference leads somewhere in it."""
    assert faults(TOLD) == []
    refs = [each.split('"')[0] for each in json.dumps(TOLD).split('"$ref": "#/')[1:] if "definitions" not in each[:20]]
    assert len(refs) > len(KINDS)
    for ref in refs:
        place = TOLD
        for step in ref.split("/"):
            place = place[step]


@pytest.mark.parametrize(
    "path", [("channels", "action", "bindings", "amqp", "is"), ("operations", "publish_action", "action")]
)
def test_the_schema_sees_what_is_none(path: tuple[str, ...]) -> None:
    """A wrong word in a binding or an operation is a fault of the document."""
    told = json.loads(document("1"))
    place = told
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = "x"
    assert faults(told) != []


def test_each_kind_and_each_queue_is_in_it() -> None:
    """By the key that shims publish with, and by the queue that workers consume from."""
    assert {name: TOLD["channels"][name]["address"] for name in KINDS} == {name: ROUTING_KEYS[name] for name in KINDS}
    consumed = {each["channel"]["$ref"] for each in TOLD["operations"].values() if each["action"] == "receive"}
    assert consumed == {f"#/channels/{queue}" for queue in QUEUES}
    assert set(TOLD["channels"]["ingest.actions"]["messages"]) >= {"action"}
    assert TOLD["channels"]["exchange"]["address"] == "erchef.#"
