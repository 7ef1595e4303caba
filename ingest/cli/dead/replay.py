"""Replays letters for a person: shows what would be sent, sends it at a pace, reports, and can be stopped."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

from consumers.broker.publisher import publishing
from consumers.dead_letters.dry_run import DryRun
from consumers.dead_letters.queries import in_one_line
from consumers.dead_letters.replay import Replay, ReplayRun, candidates, count_candidates, start_run, unfinished
from consumers.dead_letters.repository import Letter, Repository, repository_at
from consumers.dead_letters.selector import Selector
from consumers.dead_letters.watch import outcomes, summary
from consumers.errors import BrokerUnavailable, StoreUnavailable
from consumers.runtime.failpoints import from_environment
from ingest.cli.options import version
from ingest.cli.output import print_rows, say
from ingest.cli.screen.progress import progress
from schemas.printable import printable
from schemas.settings import Settings

EXIT_INTERRUPTED = 130
GO_ON = "the same command goes on where it stopped"

T = TypeVar("T")


def replay(
    settings: Settings, selector: Selector, words: str, *, yes: bool, only_fixed: bool, all_: bool, rate: float | None,
    wait: bool, timeout: float, fresh: bool, who: str, why: str | None, output: str,
) -> int:  # fmt: skip
    """Exit code: 0 all went well, 1 not all, 130 interrupted."""
    asked = {"selector": json.loads(words), "only_fixed": only_fixed, "all": all_}
    request = json.dumps(asked, sort_keys=True)
    accepted = (True,) if only_fixed else (True, None, False) if all_ else (True, None)
    dry_run = DryRun(settings, version())
    try:
        with repository_at(settings.database_url, who=who, why=why) as repository:
            if not yes:
                _preview(repository, selector, request, dry_run, accepted=accepted, fresh=fresh, output=output)
                return 0
            run = start_run(repository, request, selector, fresh=fresh)
            accepts = _accepting(dry_run, accepted) if not all_ else lambda letters: [True] * len(letters)
            session = _Session(settings, repository, run, output, strict=not only_fixed)
            return session.work(accepts, rate or 0, timeout if wait else None)
    finally:
        dry_run.close()


class _Session:
    """One stretch of a replay at a terminal or in a pipe."""

    def __init__(
        self, settings: Settings, repository: Repository, run: ReplayRun, output: str, *, strict: bool
    ) -> None:
        self._settings = settings
        self._repository = repository
        self._run = run
        self._output = output
        self._stop = False
        self._problems = 0
        self._passed_over = 0
        self._strict = strict
        """What was passed over had been asked for."""
        self._sent: list[int] = []

    def work(self, accepts: Callable[[Sequence[Letter]], Sequence[bool]], rate: float, wait: float | None) -> int:
        again = f" goes on (begun {self._run.started:%Y-%m-%dT%H:%M:%SZ})" if self._run.gone_on else ""
        say(f"replay {self._run.id}{again}")
        with _on_interrupt(self._interrupt):
            try:
                self._send(accepts, rate)
            except (BrokerUnavailable, StoreUnavailable):
                say(f"stopped after {len(self._sent)} letters; {GO_ON}")
                raise
            failed = self._watch(wait) if wait is not None else 0
        self._report()
        if self._stop:
            say(f"stopped after {len(self._sent)} letters; {GO_ON}")
            return EXIT_INTERRUPTED
        return 1 if self._problems or failed or (self._strict and self._passed_over) else 0

    def _interrupt(self) -> None:
        self._stop = True

    def _send(self, accepts: Callable[[Sequence[Letter]], Sequence[bool]], rate: float) -> None:
        # With a limit so many are sent, however many have to be looked at.
        total = None if self._run.selector.limit else count_candidates(self._repository, self._run)
        with publishing(
            self._settings.amqp_url, heartbeat=self._settings.heartbeat_seconds, name="chef-ingest dead"
        ) as publisher:
            sending = Replay(
                self._repository, publisher, self._run, accepts=accepts, rate=rate,
                stopping=lambda: self._stop, failpoint=from_environment(os.environ),
            )  # fmt: skip
            for sent in progress(sending, total, "looked at"):
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

    def _watch(self, seconds: float) -> int:
        """Report each outcome; how many were not resolved."""
        left = set(self._sent)
        failed = 0
        for row in outcomes(self._repository, self._sent, seconds, lambda: self._stop):
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

    def _report(self) -> None:
        rows = summary(self._repository, self._run)
        if self._output != "ndjson":
            print_rows(rows, self._output, sys.stdout, ("state", "became", "letters"))


def _preview(
    repository: Repository,
    selector: Selector,
    request: str,
    dry_run: DryRun,
    *,
    accepted: Collection[bool | None],
    fresh: bool,
    output: str,
) -> None:
    """What would be sent, by cause, and how many would pass as things are."""
    causes: dict[str, dict[str, Any]] = {}
    counts: Counter[bool | None] = Counter()
    interrupted = None if fresh else unfinished(repository, request)
    chosen = interrupted.selector if interrupted else selector
    for letters in _chunks(candidates(repository, chosen, interrupted), 500):
        for letter, forecast in zip(letters, dry_run(letters), strict=True):
            counts[forecast.passes] += 1
            cause = causes.setdefault(letter.fingerprint, _cause(letter))
            cause["letters"] += 1
            cause["would_pass"] += forecast.passes is True
    rows = sorted(causes.values(), key=lambda row: -row["letters"])
    print_rows(rows, output, sys.stdout)
    total = sum(count for passes, count in counts.items() if passes in accepted)
    unknown = f", {counts[None]} can't be told" if counts[None] else ""
    say(f"{total} letters would be sent; {counts[True]} would now pass{unknown}; --yes sends them")
    if counts[False] and False not in accepted:
        say(f"{counts[False]} would be refused again, and are sent only with --all")
    if interrupted:
        say(f"they are what replay {interrupted.id}, interrupted, has left; --fresh would begin anew")


def _cause(letter: Letter) -> dict[str, Any]:
    return {
        "fingerprint": letter.fingerprint, "kind": letter.kind, "stage": letter.stage, "reason": letter.reason,
        "letters": 0, "would_pass": 0, "why": in_one_line(letter.details),
    }  # fmt: skip


def _accepting(dry_run: DryRun, accepted: Collection[bool | None]) -> Callable[[Sequence[Letter]], Sequence[bool]]:
    return lambda letters: [forecast.passes in accepted for forecast in dry_run(letters)]


def _chunks(each: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(each)
    while chunk := list(islice(iterator, size)):
        yield chunk


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
