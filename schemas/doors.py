"""The doors by which messages come in, as data: where each is, what it carries, its bounds, how it is judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

from schemas.kinds.action import KIND as ACTION
from schemas.kinds.collector_end import KIND as COLLECTOR_END
from schemas.kinds.collector_start import KIND as COLLECTOR_START
from schemas.kinds.compliance import KIND as COMPLIANCE
from schemas.kinds.node_ping import KIND as NODE_PING
from schemas.kinds.run_end import KIND as RUN_END
from schemas.kinds.run_start import KIND as RUN_START
from schemas.kinds.unknown import KIND as UNKNOWN
from schemas.message import Message

Scope = Literal["actions", "runs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inlet:
    """A topic exchange to which others publish by themselves, with nothing of ours in the envelope.

    `pattern` binds it to `queue`, from which workers take them. Who reaches that queue is believed no more than they.
    """

    exchange: str
    pattern: str
    queue: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One door: either `posts`, routes of the shim, or an `inlet`.

    `word` is what is stored and shown of it; doors of one word are one to a worker. `profile`, `limit`, `wait` and
    `waits` are names of settings.
    """

    name: str
    """Of a door of the shim, also that of its module in `ingest/shim/doors`."""
    word: str
    kinds: tuple[str, ...]
    profile: str
    """By which schemas its messages are judged."""
    posts: Mapping[str, str | None] = field(default_factory=dict)
    """Path -> the kind of what is posted there; None: the body tells."""
    scope: Scope = "actions"
    """What a token must be good for to post here."""
    scopes: Mapping[str, Scope] = field(default_factory=dict)
    """The same, by kind, where it is another."""
    limit: str = "max_body_bytes"
    """The largest body, in bytes as they come."""
    wait: str = "wait_seconds"
    """How long a POST waits for its verdict."""
    waits: Mapping[str, str] = field(default_factory=dict)
    """The same, by kind, where it is another; the broker has no longer to confirm one either."""
    strays: bool = False
    """Bytes that are no UTF-8 are kept, marked in the text; elsewhere they are a fault of the message."""
    spooled: tuple[str, ...] = ()
    """Kinds that are kept on disk here while the broker does not take them: their senders try no second time."""
    switches: Mapping[str, str] = field(default_factory=dict)
    """Kind -> the setting that turns it off, where one does: then it is answered 200, counted, and not kept."""
    numbered: bool = False
    """A refusal is answered with the number of its letter: its sender hears of no fault, and a person looks for it."""
    inlet: Inlet | None = None
    """All that comes this way is of the door's one kind."""


CHEF_EXCHANGE: Final = "actions"
"""Chef servers publish here, `erchef.<entity>.<task>` [protocol.md 1.2, 1.5]."""

RUNS_PATH: Final = "/organizations/{organization}/reports/nodes/{node}/runs"
RUN_PATH: Final = RUNS_PATH + "/{run_id}"

MESSAGES: Final = Door(
    name="messages",
    word="http",
    kinds=(ACTION.name,),
    profile="http_profile",
    posts={"/messages": ACTION.name},
)
REPORTS: Final = Door(
    name="reports",
    word="http",
    kinds=(RUN_START.name, RUN_END.name),
    profile="http_profile",
    posts={RUNS_PATH: RUN_START.name, RUN_PATH: RUN_END.name},
    scope="runs",
    strays=True,
)
COLLECTOR: Final = Door(
    name="collector",
    word="collector",
    kinds=(
        ACTION.name,
        COLLECTOR_START.name,
        COLLECTOR_END.name,
        NODE_PING.name,
        COMPLIANCE.name,
        UNKNOWN.name,
    ),
    profile="collector_profile",
    posts=dict.fromkeys(
        (
            "/data-collector/v0/",
            "/data-collector/v0",
            "/data-collector/v0/v0/",
            "/organizations/{organization}/data-collector",
            "/api/v0/events/data-collector",
        )
    ),
    scope="runs",
    scopes={ACTION.name: "actions"},
    limit="collector_max_body_bytes",
    waits={ACTION.name: "collector_action_wait_seconds"},
    strays=True,
    # Chef servers tell an action once; clients come again with their runs.
    spooled=(ACTION.name,),
    switches={NODE_PING.name: "collector_node_pings", COMPLIANCE.name: "collector_compliance"},
    numbered=True,
)
EXCHANGE: Final = Door(
    name="exchange",
    word="chef",
    kinds=(ACTION.name,),
    profile="chef_profile",
    inlet=Inlet(exchange=CHEF_EXCHANGE, pattern="erchef.#", queue=ACTION.queue),
)

DOORS: Final = (MESSAGES, REPORTS, COLLECTOR, EXCHANGE)

PROFILES: Final[Mapping[str, str]] = MappingProxyType({door.word: door.profile for door in DOORS})
"""Word -> the setting with the schema profile."""
WORDS: Final = tuple(PROFILES)
"""What the column `door`, the header `x-door` and the option `--door` may say."""
STRAYS: Final = frozenset((kind, door.word) for door in DOORS if door.strays for kind in door.kinds)
"""(Kind, word) of messages whose bytes that are no UTF-8 are kept."""
NUMBERED: Final = frozenset(door.word for door in DOORS if door.numbered)
"""Words of doors at which a refusal is answered with its letter's number."""
IMPLIED: Final = MESSAGES.word
"""The word of what a shim publishes without saying another."""

# Plain dicts: they are asked for every message.
INLETS: Final[Mapping[str, tuple[str, str]]] = {
    door.inlet.exchange: (door.kinds[0], door.word) for door in DOORS if door.inlet
}
"""Exchange -> kind and word of what comes by that inlet."""
INLET_QUEUES: Final[Mapping[str, tuple[str, str]]] = {
    door.inlet.queue: INLETS[door.inlet.exchange] for door in DOORS if door.inlet
}
"""Queue -> kind and word of what comes by the inlet that leads there."""
FOREIGN: Final = frozenset(word for _, word in INLETS.values())
"""Words of doors that no shim stands at: of the envelope nothing is believed, nobody waits, and workers count them."""


def nameless(payload: bytes) -> Message:
    """A message of which no more is known, or may be believed, than its bytes."""
    return Message(ACTION.name, payload, EXCHANGE.word)
