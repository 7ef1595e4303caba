"""What a worker tells its supervisor, after each batch and once a second: counts since it last got through."""

from __future__ import annotations

import socket
from typing import Any

import msgspec

from schemas.verdict import DELAYED

MOST_BATCHES = 500
"""Batches whose sizes and times one report carries; of more, only the counts are told."""


class BatchSeen(msgspec.Struct, frozen=True, array_like=True):
    """One committed batch: what flushed it, how many messages and payload bytes, seconds to commit."""

    trigger: str
    messages: int
    bytes: int
    seconds: float


class DriftSeen(msgspec.Struct, frozen=True, array_like=True):
    """So many messages of a kind had a member otherwise than documented."""

    kind: str
    member: str
    difference: str
    messages: int


class Report(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A worker's state now, and what it has done since the last report that got through.

    `state` is starting, consuming, resting, paused, waiting or draining; `why` says why it does not consume.
    `ages` maps whole seconds between publish and commit to messages, `errors` SQLSTATE classes to failures,
    `faults` what was being done to faults of our own code, `dropped` why to answers that did not go
    out, `door_mismatches` runs of which two doors told of different nodes, `drift` what is otherwise than documented,
    `committed_at` is a UNIX time or 0.
    """

    pid: int
    lane: str
    state: str
    why: str = ""
    inflight: int = 0
    outcomes: dict[str, int] = {}
    batches: tuple[BatchSeen, ...] = ()
    ages: dict[int, int] = {}
    errors: dict[str, int] = {}
    faults: dict[str, int] = {}
    dropped: dict[str, int] = {}
    door_mismatches: int = 0
    drift: tuple[DriftSeen, ...] = ()
    committed_at: float = 0.0

    @property
    def messages(self) -> int:
        """Messages it tells of, those that only wait for their run's start left out."""
        return sum(self.outcomes.values()) - self.outcomes.get(DELAYED.outcome, 0)


class Reports:
    """The supervisor's end of the line: one socket that every worker it starts inherits the other end of."""

    def __init__(self) -> None:
        self._receiver, self._sender = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._receiver.setblocking(False)
        self._sender.setblocking(False)
        self._decode = msgspec.msgpack.Decoder(Report).decode

    @property
    def worker_fd(self) -> int:
        """The descriptor to hand to a worker."""
        return self._sender.fileno()

    def fileno(self) -> int:
        """For a selector."""
        return self._receiver.fileno()

    def receive(self) -> list[Report]:
        """What has come; what can't be read, as from a worker of another version, is passed over."""
        received = []
        while True:
            try:
                received.append(self._decode(self._receiver.recv(1 << 20)))
            except BlockingIOError:
                return received
            except msgspec.MsgspecError:
                continue

    def close(self) -> None:
        self._receiver.close()
        self._sender.close()


class ReportLine:
    """The worker's end: sends without ever waiting."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._encode: Any = msgspec.msgpack.Encoder().encode

    def send(self, report: Report) -> bool:
        """Whether the report got through; a supervisor that is busy or gone is no reason to wait."""
        try:
            self._socket.send(self._encode(report), socket.MSG_DONTWAIT)
        except OSError:
            return False
        return True
