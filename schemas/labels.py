"""Every label's words, each list once: what metrics, log lines and the columns of the same name may say.

Two lists lie where they are made: outcomes in the table of fates (`verdict`), doors beside what a door is. Words are
stored and exposed: a new one may come, an old one is never renamed.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, get_args

Stage = Literal["decode", "schema", "meaning", "database", "crash", "broker"]
STAGES: Final[tuple[Stage, ...]] = get_args(Stage)
"""Where a message's way ended, of a dead letter."""

LetterState = Literal["open", "replaying", "parked", "resolved", "discarded"]
LETTER_STATES: Final[tuple[LetterState, ...]] = get_args(LetterState)

ReplayState = Literal["running", "paused", "stopped", "done", "pausing", "stopping", "interrupted"]
REPLAY_STATES: Final[tuple[ReplayState, ...]] = get_args(ReplayState)
"""The first four its process writes; the others are told by who looks, of a wish not heeded yet and a process gone."""

ReplayWish = Literal["run", "pause", "stop"]
REPLAY_WISHES: Final[tuple[ReplayWish, ...]] = get_args(ReplayWish)

ReplayAccepts = Literal["fixed", "hopeful", "all"]
REPLAY_ACCEPTS: Final[tuple[ReplayAccepts, ...]] = get_args(ReplayAccepts)
"""Which letters a replay sends: those that would now be stored, those not known to be refused again, all."""

Trigger = Literal["size", "bytes", "age", "idle", "drain"]
TRIGGERS: Final[tuple[Trigger, ...]] = get_args(Trigger)
"""What flushes a batch."""

LaneName = Literal["main", "quarantine"]
LANES: Final[tuple[LaneName, ...]] = get_args(LaneName)

WorkerState = Literal["starting", "consuming", "resting", "paused", "waiting", "draining", "silent", "leaving", "dead"]
WORKER_STATES: Final[tuple[WorkerState, ...]] = get_args(WorkerState)
"""The last three are the supervisor's words: not heard of, told to go, and waiting to be replaced. One that rests has
nothing to consume, since operators have paused its queues."""

AT_WORK: Final[tuple[WorkerState, ...]] = ("consuming", "resting")
"""The states of one that does what it is to do."""

RunStatus = Literal["started", "success", "failure", "aborted"]
RUN_STATUSES: Final[tuple[RunStatus, ...]] = get_args(RunStatus)
"""How a run stands, as is shown: one that has been without an end for too long is aborted."""

NO_RUN: Final = "none"
"""The status of a node that has only pinged."""

HEARD: Final[Mapping[str, bool]] = MappingProxyType({"heard": False, "gone": True})
"""Of a supervisor, as all machines see it -> whether it has not been heard of for long."""

DeathCause = Literal["killed", "hung", "failed", "not started"]
DEATH_CAUSES: Final[tuple[DeathCause, ...]] = get_args(DeathCause)
"""How a worker ended that nobody had told to: by a signal from elsewhere, by ours since its loop hung, by an exit code,
or before it began."""

# `paused` holds a batch and waits for the database; `waiting` has neither of the two for sure.
HELD_UP: Final[Mapping[str, WorkerState]] = MappingProxyType({"database": "paused", "connection": "waiting"})
"""The reason for which workers are held up -> the state in which they are."""

Doing = Literal[
    "taking in", "judging", "storing", "keeping a letter", "replying", "moving", "logging", "measuring", "a session"
]  # fmt: skip
DOINGS: Final[tuple[Doing, ...]] = get_args(Doing)
"""What a worker was doing when a fault of our own code was met."""

AnswerLoss = Literal["address", "broker"]
ANSWER_LOSSES: Final[tuple[AnswerLoss, ...]] = get_args(AnswerLoss)
"""Why a waiting shim was not answered: its address is none or a broken one; the broker was away or took nothing."""

NO_SQLSTATE: Final = "connection"
SQLSTATE_CLASSES: Final = (NO_SQLSTATE, "08", "22", "23", "25", "40", "53", "55", "57", "58")
"""Those to be met; the database may say others."""

PublishResult = Literal[
    "confirmed", "drained", "refused", "nacked", "unroutable", "unconfirmed", "connection_lost", "blocked"
]  # fmt: skip
PUBLISH_RESULTS: Final[tuple[PublishResult, ...]] = get_args(PublishResult)
"""What became of handing a message to the broker; `drained`: a spool had had it; `refused`: it was not tried."""

SpoolResult = Literal["spooled", "spool_full", "spool_failed", "spool_slow"]
SPOOL_RESULTS: Final[tuple[SpoolResult, ...]] = get_args(SpoolResult)
"""What became of handing the spool a message that the broker had not taken."""

Acknowledgement = Literal["confirmed", "unconfirmed", "taken", "redelivered"]
ACKNOWLEDGEMENTS: Final[tuple[Acknowledgement, ...]] = get_args(Acknowledgement)
"""What the ledger counts of senders, by hour: told that we have it, told to send again though the broker may have it,
published by a Chef server, and delivered again without leaving a row."""

Difference = Literal["type", "enum", "pattern", "missing", "time", "name", "unknown", "unreadable", "other"]
DIFFERENCES: Final[tuple[Difference, ...]] = get_args(Difference)
"""What is otherwise than documented: what the schema asks of a member, one that nobody documents, or no JSON at all."""

UNKNOWN_MEMBER: Final = "unknown member"
"""Stands for every member that no schema of ours names: a sender can't make the list of them longer."""

LateRun = Literal["registering", "overtaking"]
"""Why an action was stored before its run was known: a node's first ones come before the start of its first run; others
overtook theirs."""

KIND_OFF: Final = "kind_off"
"""The rule by which a message is answered 200 and not kept: its door takes none of its kind."""
