"""The AMQP side as an AsyncAPI document: what may be published where, out of the topology and the kinds' schemas."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any, Final

from schemas.doors import DOORS, Door
from schemas.kinds import KINDS
from schemas.kinds.kind import Kind
from schemas.topology import INGEST_EXCHANGE, QUEUES, QUEUES_BY_KIND, TOPOLOGY, VHOST

_BINDING: Final = "0.3.0"
"""The version of AsyncAPI's bindings for AMQP."""
_FORMAT: Final = "application/schema+json;version=draft-04"


def document(version: str) -> str:
    """asyncapi.json: channels are routing keys of exchanges, and queues; the operations are those of chef-ingest."""
    inlets = [door for door in DOORS if door.inlet is not None]
    channels = {kind.name: _published(kind) for kind in KINDS.values()}
    channels |= {door.name: _inlet(door) for door in inlets}
    channels |= {queue: _queue(queue, inlets) for queue in QUEUES}
    operations = {f"publish_{kind}": {"action": "send", "channel": _to("channels", kind)} for kind in KINDS}
    operations |= {f"consume_{name}": {"action": "receive", "channel": _to("channels", name)} for name in QUEUES}
    told = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "chef-ingest",
            "version": version,
            "description": "Written by `make docs` out of the code. Shims publish to the exchange `ingest`, Chef "
            "servers to theirs; workers consume from the queues. Messages are persistent.",
        },
        "defaultContentType": "application/json",
        "servers": {"rabbitmq": {"host": "localhost:5672", "protocol": "amqp", "protocolVersion": "0.9.1"}},
        "channels": channels,
        "operations": operations,
        "components": {"messages": {kind.name: _message(kind) for kind in KINDS.values()}},
    }
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def _published(kind: Kind) -> dict[str, Any]:
    return _keyed(kind.routing_key, INGEST_EXCHANGE, (kind.name,), f"Leads to the queue `{QUEUES_BY_KIND[kind.name]}`.")


def _inlet(door: Door) -> dict[str, Any]:
    assert door.inlet is not None
    words = f"Others publish here by themselves; leads to the queue `{door.inlet.queue}`."
    return _keyed(door.inlet.pattern, door.inlet.exchange, door.kinds, words)


def _keyed(key: str, exchange: str, kinds: tuple[str, ...], words: str) -> dict[str, Any]:
    (kind,) = {each.type for each in TOPOLOGY.exchanges if each.name == exchange}
    facts = {"name": exchange, "type": kind, "durable": True, "autoDelete": False, "vhost": VHOST}
    return {
        "address": key,
        "description": words,
        "messages": {each: _to("components/messages", each) for each in kinds},
        "bindings": {"amqp": {"is": "routingKey", "exchange": facts, "bindingVersion": _BINDING}},
    }


def _queue(name: str, inlets: list[Door]) -> dict[str, Any]:
    kinds = [kind for kind, queue in QUEUES_BY_KIND.items() if queue == name and kind in KINDS]
    kinds += [kind for door in inlets if door.inlet and door.inlet.queue == name for kind in door.kinds]
    facts = {"name": name, "durable": True, "exclusive": False, "autoDelete": False, "vhost": VHOST}
    return {
        "address": name,
        "messages": {each: _to("components/messages", each) for each in dict.fromkeys(kinds)},
        "bindings": {"amqp": {"is": "queue", "queue": facts, "bindingVersion": _BINDING}},
    }


def _message(kind: Kind) -> dict[str, Any]:
    """A message of this kind by the schema that a Chef server's own are held to, where there is one."""
    file = kind.schemas.get("wire", kind.schemas["documented"])
    schema = json.loads((files("schemas.kinds") / kind.name / file).read_text("utf-8"))
    return {
        "name": kind.name,
        "contentType": "application/json",
        "payload": {"schemaFormat": _FORMAT, "schema": schema},
    }


def _to(place: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/{place}/{name}"}
