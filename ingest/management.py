"""Asks RabbitMQ's management API, where there is one, what AMQP can't tell: policies, bindings, nodes' alarms."""

from __future__ import annotations

import base64
import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from consumers.finding import Finding
from schemas.topology import TOPOLOGY

CAPS: Final = {
    "max-length": "drops or refuses messages beyond it",
    "max-length-bytes": "drops or refuses messages beyond it",
    "message-ttl": "lets messages expire unread",
    "expires": "deletes the queue when it is unused",
}
_TIMEOUT_SECONDS: Final = 5
_PORT: Final = 15672


def check_management(amqp_url: str, management_url: str | None) -> Iterator[Finding]:
    """Findings from the API at `management_url`, or at port 15672 of AMQP_URL's host."""
    parts = urlsplit(amqp_url.split(",")[0].strip())
    base = management_url or f"http://{parts.hostname or '127.0.0.1'}:{_PORT}"
    vhost = unquote(parts.path[1:]) or "/"
    credentials = f"{unquote(parts.username or 'guest')}:{unquote(parts.password or 'guest')}"

    def get(path: str) -> Any:
        header = {"Authorization": "Basic " + base64.b64encode(credentials.encode()).decode()}
        request = urllib.request.Request(f"{base.rstrip('/')}/api/{path}", headers=header)
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
            return json.load(response)

    try:
        escaped = quote(vhost, safe="")
        yield from _policies([*get(f"policies/{escaped}"), *get(f"operator-policies/{escaped}")])
        yield from _bindings(get(f"bindings/{escaped}"))
        yield from _nodes(get("nodes"))
    except (urllib.error.URLError, OSError, ValueError, KeyError, TypeError) as error:
        text = f"policies, bindings and nodes not looked at: {base} does not answer ({error})"
        remedy = f"name the management API by --management, or look: rabbitmqctl list_policies -p {vhost}"
        yield Finding("management", "note", text, remedy)


def _policies(policies: list[Mapping[str, Any]]) -> Iterator[Finding]:
    capped = False
    for policy in policies:
        hit = [queue.name for queue in TOPOLOGY.queues if re.search(policy["pattern"], queue.name)]
        for name, what in CAPS.items():
            if hit and name in policy["definition"]:
                capped = True
                text = f"policy {policy['name']!r} sets {name} on {', '.join(hit)}: it {what}"
                remedy = f"narrow its pattern, or rabbitmqctl clear_policy -p {policy['vhost']} {policy['name']}"
                yield Finding("policies", "warning", text, remedy)
    if not capped:
        yield Finding("policies", "ok", "no policy caps our queues")


def _bindings(bindings: list[Mapping[str, Any]]) -> Iterator[Finding]:
    there = {(each["source"], each["destination"], each["routing_key"]) for each in bindings}
    wanted = [(each.exchange, each.queue, each.routing_key) for each in TOPOLOGY.bindings]
    missing = [each for each in wanted if each not in there]
    for exchange, queue, key in missing:
        text = f"{exchange} -> {queue} ({key}) is missing"
        yield Finding("bindings", "broken", text, "chef-ingest topology declare")
    if not missing:
        yield Finding("bindings", "ok", "all there, the dead-letter route's too")


def _nodes(nodes: list[Mapping[str, Any]]) -> Iterator[Finding]:
    for node in nodes:
        alarms = [name for name in ("mem_alarm", "disk_free_alarm") if node.get(name)]
        if not node.get("running", True):
            yield Finding("nodes", "warning", f"{node['name']} is down", "start it")
        for alarm in alarms:
            yield Finding("nodes", "broken", f"{node['name']}: {alarm}", "free memory or disk there")
        free, limit = node.get("disk_free"), node.get("disk_free_limit")
        if isinstance(free, int) and isinstance(limit, int) and limit <= free < 2 * limit:
            text = f"{node['name']}: {free // 2**20} MiB of disk free, publishing stops at {limit // 2**20} MiB"
            yield Finding("nodes", "warning", text, "free disk there")
