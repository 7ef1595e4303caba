"""Replays letters for a person: shows what would be sent, sends it at a pace, reports, and can be stopped."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from consumers.broker.publisher import publishing
from consumers.dead_letters.dry_run import DryRun, foreseeing
from consumers.dead_letters.queries import in_one_line
from consumers.dead_letters.replays.preview import choosing, preview
from consumers.dead_letters.replays.register import (
    ACCEPTED,
    ALL,
    FIXED,
    HOPEFUL,
    Replay,
    ReplayRequest,
    interrupted,
    one,
    outcomes,
    start,
    take,
    wish,
)
from consumers.dead_letters.replays.sending import ReplaySending
from consumers.dead_letters.replays.watch import settled
from consumers.dead_letters.replays.wishes import RUN, STOP, STOPPED, Effect
from consumers.dead_letters.repository import Letter, Repository, repository_at
from consumers.dead_letters.selector import Selector
from consumers.errors import BrokerUnavailable, StoreUnavailable
from consumers.runtime.failpoints import from_environment
from ingest.cli.options import version
from ingest.cli.output import print_rows, say
from ingest.cli.screen.progress import progress
from schemas.labels import ReplayState
from schemas.printable import printable
from schemas.settings import Settings

EXIT_INTERRUPTED = 130
PREVIEW_COLUMNS = ("fingerprint", "kind", "stage", "reason", "letters", "would_pass", "why")
RESULT_COLUMNS = ("outcome", "became", "letters")
GO_ON = "the same command goes on where it stopped"

Choose = Callable[[Sequence[Letter]], Sequence[bool]]


def replay(
    settings: Settings, selector: Selector, words: str, *, yes: bool, only_fixed: bool, all_: bool, name: str | None,
    rate: float | None, until_failures: int | None, wait: bool, timeout: float, fresh: bool, who: str, why: str | None,
    output: str,
) -> int:  # fmt: skip
    """Exit code: 0 all went well, 1 not all, 130 interrupted."""
    typed = {"selector": json.loads(words), "only_fixed": only_fixed, "all": all_, **({"name": name} if name else {})}
    asked = ReplayRequest(
        request=json.dumps(typed, sort_keys=True), selector=selector, name=name, rate=rate,
        accepts=FIXED if only_fixed else ALL if all_ else HOPEFUL, until_failures=until_failures,
    )  # fmt: skip
    with _tools(settings, who, why) as (dry_run, repository):
        if not yes:
            _preview(repository, asked, dry_run, fresh=fresh, output=output)
            return 0
        begun = start(repository, asked, fresh=fresh)
        return _Session(settings, repository, begun, output).work(dry_run, timeout if wait else None)


def resume(
    settings: Settings, number: int, *, wait: bool, timeout: float, who: str, why: str | None, output: str
) -> int:
    """Let a paused replay go on; one that nobody carries out is carried out here. Exit code as of `replay`."""
    with _tools(settings, who, why) as (dry_run, repository):
        found, comes_to = wish(repository, number, RUN)
        if comes_to is not Effect.CARRY:
            say(f"{found.called} {'goes on' if comes_to is Effect.ASK else 'is running'} on {found.host}")
            return 0
        taken = take(repository, number)
        return _Session(settings, repository, taken, output).work(dry_run, timeout if wait else None)


class _Session:
    """One stretch of a replay at a terminal or in a pipe."""

    def __init__(self, settings: Settings, repository: Repository, replay: Replay, output: str) -> None:
        self._settings = settings
        self._repository = repository
        self._replay = replay
        self._output = output
        self._stop = False
        self._problems = 0
        self._passed_over = 0
        self._strict = replay.accepts != FIXED
        """What was passed over had been asked for."""
        self._sent: list[int] = []

    def work(self, dry_run: DryRun, wait: float | None) -> int:
        again = f" goes on (begun {self._replay.started:%Y-%m-%dT%H:%M:%SZ})" if self._replay.gone_on else ""
        say(f"{self._replay.called}{again}")
        with _on_interrupt(self._interrupt):
            try:
                ended = self._send(choosing(dry_run, self._replay.accepts))
            except (BrokerUnavailable, StoreUnavailable):
                self._say_interrupted()
                raise
            failed = self._watch(wait) if wait is not None else 0
        if self._output != "ndjson":
            print_rows(outcomes(self._repository, self._replay.number), self._output, sys.stdout, RESULT_COLUMNS)
        if ended is None:
            self._say_interrupted()
            return EXIT_INTERRUPTED
        if ended == STOPPED:
            self._say_stopped()
        return 1 if ended == STOPPED or self._problems or failed or (self._strict and self._passed_over) else 0

    def _interrupt(self) -> None:
        self._stop = True

    def _say_interrupted(self) -> None:
        number = self._replay.number
        say(f"stopped after {len(self._sent)} letters; {GO_ON}, or `chef-ingest dead replays resume {number}`")

    def _say_stopped(self) -> None:
        now = one(self._repository, self._replay.number)
        say(f"{now.called} was stopped {stopped_by(now)}; `chef-ingest dead replays resume {now.number}` goes on")

    def _send(self, accepts: Choose) -> ReplayState | None:
        with publishing(
            self._settings.amqp_url, heartbeat=self._settings.heartbeat_seconds, name="chef-ingest dead"
        ) as publisher:
            sending = ReplaySending(
                self._repository, publisher, self._replay, accepts=accepts,
                stopping=lambda: self._stop, failpoint=from_environment(os.environ),
            )  # fmt: skip
            for sent in progress(sending, sending.total, "looked at"):
                if sent.passed_over:
                    self._passed_over += 1
                elif sent.problem:
                    self._problems += 1
                    say(f"letter {sent.letter_id}: not sent: {sent.problem}")
                else:
                    self._sent.append(sent.letter_id)
        say(f"{len(self._sent)} letters sent" + (f", {self._problems} not taken" if self._problems else ""))
        if self._passed_over and self._strict:
            say(f"{self._passed_over} would be refused again and were not sent; --all sends them, `dead show` says why")
        return sending.ended

    def _watch(self, seconds: float) -> int:
        """Report each outcome; how many were not resolved."""
        left = set(self._sent)
        failed = 0
        for row in settled(self._repository, self._sent, seconds, lambda: self._stop):
            left.discard(row["id"])
            failed += row["state"] != "resolved"
            self._tell(row)
        if left:
            why = "" if self._stop else ": are workers running?"
            say(f"{len(left)} letters not settled yet{why} `dead list --state replaying` lists them")
        return failed + len(left)

    def _tell(self, row: dict[str, Any]) -> None:
        resolution = row["resolution"] or {}
        became = resolution.get("path") or resolution.get("code") or f"{row['reason']}: {in_one_line(row['details'])}"
        if self._output == "ndjson":
            print_rows([{"id": row["id"], "state": row["state"], "became": became}], "ndjson", sys.stdout)
        elif self._output == "table":
            print(printable(f"letter {row['id']}: {row['state']}: {became}"))


def stopped_by(replay: Replay) -> str:
    """`by kim: why`, or after how many failures."""
    if replay.wanted != STOP:
        return f"after {replay.until_failures} letters failed again"
    return f"by {replay.wanted_by}" + (f": {replay.wanted_why}" if replay.wanted_why else "")


def _preview(repository: Repository, asked: ReplayRequest, dry_run: DryRun, *, fresh: bool, output: str) -> None:
    """What would be sent, by cause, and how many would pass as things are."""
    left = None if fresh else next(iter(interrupted(repository, asked.request)), None)
    seen = preview(repository, asked, left, dry_run)
    print_rows(seen.causes, output, sys.stdout, PREVIEW_COLUMNS)
    unknown = f", {seen.untold} can't be told" if seen.untold else ""
    say(f"{seen.sent(asked.accepts)} letters would be sent; {seen.pass_} would now pass{unknown}; --yes sends them")
    if seen.refused and False not in ACCEPTED[asked.accepts]:
        say(f"{seen.refused} would be refused again, and are sent only with --all")
    if left:
        say(f"they are what {left.called}, interrupted, has left; --fresh would begin anew")


@contextmanager
def _tools(settings: Settings, who: str, why: str | None) -> Iterator[tuple[DryRun, Repository]]:
    """What judges, and what a person works at letters with."""
    with (
        foreseeing(settings, version()) as dry_run,
        repository_at(settings.database_url, who=who, why=why) as repository,
    ):
        yield dry_run, repository


@contextmanager
def _on_interrupt(stop: Callable[[], None]) -> Iterator[None]:
    """SIGINT and SIGTERM ask to stop; a second one ends at once."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        stop()

    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
