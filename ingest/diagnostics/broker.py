"""Looks at a broker as the doctor does: version, permissions, topology, dead-letter route, alarms. Changes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from consumers.broker.declare import REFUSED
from consumers.broker.probe import Probe, RefusedDeclaration, confirms, probing
from consumers.broker.publisher import largest_message
from consumers.errors import BrokerUnavailable, Misconfigured
from ingest.diagnostics.finding import Finding
from schemas.doors import DOORS
from schemas.settings import Settings, variable
from schemas.topology import DEAD, DELIVERY_LIMIT, PARKED, PINGS, QUARANTINE, QUEUES, TOPOLOGY, Queue

_BODIES: Final = tuple(sorted({door.limit for door in DOORS if door.posts}))
"""The settings of how large a body a door takes."""
OLDEST: Final = (3, 10)
_DECLARE: Final = "chef-ingest topology declare"
UNCONFIRMED: Final = ("unconfirmed", "the broker did not confirm in time")
"""How a shim's /readyz says that the broker confirms nothing."""
WAL_REMEDY: Final = (
    "after a full disk RabbitMQ's write-ahead log stays dead though there is room again: free disk, then restart the "
    "node (what was confirmed is kept); see docs/runbooks/ChefIngestBrokerAlarm.md"
)
_LIMIT: Final = (
    "rabbitmqctl set_policy -p VHOST --apply-to queues ingest-delivery-limit "
    f"'^({'|'.join(map(re.escape, QUEUES))})$' "
    f"'{{\"delivery-limit\": {DELIVERY_LIMIT}}}'"
)
_GRANT: Final = "rabbitmqctl set_permissions -p VHOST USER '.*' '.*' '.*'"


def check_broker(settings: Settings) -> Iterator[Finding]:
    """Every finding about the broker and our vhost."""
    connected = False
    url, heartbeat = settings.amqp_url, settings.heartbeat_seconds
    try:
        # A connection of its own: after that the broker reads nothing more from one that it blocks.
        with probing(url, heartbeat=heartbeat) as probe:
            connected = True
            blocked, refused = probe.publishing()
            confirming = None if blocked else _confirming(settings)
            if confirming and confirming.level != "ok":
                # Whoever confirms nothing answers little else, a goodbye neither.
                probe.silent.append(True)
        if confirming:
            yield confirming
        if confirming is None or confirming.level == "ok":
            with probing(url, heartbeat=heartbeat) as probe:
                yield from _findings(probe)
                yield _sizes(probe, settings)
                yield from _publishing(probe, blocked, refused)
    except (BrokerUnavailable, Misconfigured) as error:
        remedy = "see the broker's log, and try again" if connected else "start RabbitMQ, or correct AMQP_URL"
        yield Finding("broker", "broken", str(error), remedy)


def _findings(probe: Probe) -> Iterator[Finding]:
    yield _version(probe)
    refused = probe.refused()
    yield from map(_missing, refused)
    if not refused:
        yield Finding("topology", "ok", "every exchange and queue is there")
    absent = {each.name for each in refused if each.what == "queue"}
    present = [queue for queue in TOPOLOGY.queues if queue.name not in absent]
    yield from _arguments(probe, present)
    yield from _limits(probe, present)
    yield from _queues(probe, present)


def _confirming(settings: Settings) -> Finding:
    if confirms(settings.amqp_url, heartbeat=settings.heartbeat_seconds):
        return Finding("confirms", "ok", "what is published is confirmed")
    text = "the broker tells of no alarm, takes messages and confirms none: every POST is answered 503"
    return Finding("confirms", "broken", text, WAL_REMEDY)


def _version(probe: Probe) -> Finding:
    product, version = probe.product()
    found = tuple(int(part) for part in re.findall(r"[0-9]+", version)[:2])
    words = f"{product} {version}"
    if product != "RabbitMQ" or found < OLDEST:
        return Finding("broker version", "broken", words, "RabbitMQ 3.10 or later is needed, for quorum queues")
    return Finding("broker version", "ok", words)


def _sizes(probe: Probe, settings: Settings) -> Finding:
    """RabbitMQ tells nobody its limit: what was set, or what its version has by default."""
    _, version = probe.product()
    most = settings.amqp_max_message_bytes or largest_message(version)
    whose = "INGEST_AMQP_MAX_MESSAGE_BYTES" if settings.amqp_max_message_bytes else f"RabbitMQ {version}, by default,"
    beyond = [variable(name) for name in _BODIES if getattr(settings, name) > most]
    if not beyond:
        return Finding("message size", "ok", f"{whose} takes messages of {most} bytes; no door takes larger ones")
    text = f"{' and '.join(beyond)}: {whose} takes no message over {most} bytes; larger POSTs are answered 413"
    remedy = "lower it; or raise max_message_size in rabbitmq.conf, and say so in INGEST_AMQP_MAX_MESSAGE_BYTES"
    return Finding("message size", "warning", text, remedy)


def _missing(refusal: RefusedDeclaration) -> Finding:
    if refusal.code == REFUSED:
        return Finding("permission", "broken", f"{refusal.what} {refusal.name}: {refusal.text}", _GRANT)
    return Finding("topology", "broken", f"{refusal.what} {refusal.name} is missing: {refusal.text}", _DECLARE)


def _arguments(probe: Probe, present: Sequence[Queue]) -> Iterator[Finding]:
    differing = [found for queue in present if (found := probe.differing(queue))]
    unseen = [each for each in differing if each.code == REFUSED]
    for each in differing:
        if each.code != REFUSED:
            remedy = "let it run empty, delete it, then " + _DECLARE
            yield Finding("queue arguments", "broken", f"{each.name}: {each.text}", remedy)
    if unseen:
        text = f"not compared, {unseen[0].text}: another account has to declare what is missing"
        yield Finding("queue arguments", "note", text, f"to let this one: {_GRANT}")
    elif not differing:
        yield Finding("queue arguments", "ok", "as declared")


def _limits(probe: Probe, present: Sequence[Queue]) -> Iterator[Finding]:
    """AMQP tells arguments, not policies: a note, for a policy may have mended it."""
    without = [queue.name for queue in present if queue.newer and probe.older(queue)]
    if not without:
        yield Finding("delivery limit", "ok", "never reached where good messages wait")
        return
    _, version = probe.product()
    when = "gives" if int(version.partition(".")[0] or 0) >= 4 else "from 4 on would give"
    text = f"{', '.join(without)}: declared without one; RabbitMQ {when} good messages up at their 20th return"
    remedy = f"unless a policy sets it already (one holds for a queue: add it to yours if it has one): {_LIMIT}"
    yield Finding("delivery limit", "note", text, remedy)


PARKED_REMEDY: Final = "not even a dead letter could be made of them; their header x-parked-reason says why: report it"


def _queues(probe: Probe, present: Sequence[Queue]) -> Iterator[Finding]:
    for queue in present:
        ready, consumers = probe.counts(queue.name)
        if queue.name in (DEAD, QUARANTINE) and ready:
            text = f"{ready} messages in {queue.name}"
            remedy = "start `chef-ingest consume`; it takes them in"
            if consumers:
                remedy = "a consumer has them: see `chef-ingest status` for what holds it up"
            yield Finding("dead-letter route", "warning", text, remedy)
        elif queue.name == PARKED and ready:
            text = f"{ready} messages in {PARKED}"
            yield Finding("parked", "warning", text, PARKED_REMEDY)
        elif ready and not consumers and queue.name not in (DEAD, QUARANTINE, PINGS) and "delay" not in queue.name:
            text = f"{queue.name}: {ready} messages and no consumer"
            yield Finding("consumers", "warning", text, "start `chef-ingest consume`")


def _publishing(probe: Probe, blocked: str, refused: str) -> Iterator[Finding]:
    if blocked:
        remedy = "free memory or disk on the broker; until then every POST is answered 503"
        yield Finding("alarms", "broken", f"the broker blocks publishers: {blocked}", remedy)
        return
    if refused:
        yield Finding("permission", "broken", refused, f"{_DECLARE}; {_GRANT}")
    else:
        yield Finding("alarms", "ok", "publishing is not blocked")
    if why := probe.replying():
        text = f"workers can't reply, so that POSTs wait in vain and are answered 202: {why}"
        yield Finding("permission", "broken", text, f"write permission on amq.default: {_GRANT}")
