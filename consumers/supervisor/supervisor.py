"""Supervises worker processes: one loop that hears signals, workers and operators, and never waits for any."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import structlog

from consumers.machines.samples import Sampler
from consumers.runtime.exit_codes import EXIT_CONFIGURATION
from consumers.runtime.orphans import bury_orphans
from consumers.runtime.signals import SignalInbox
from consumers.runtime.systemd import Notifier
from consumers.supervisor.autoscale import Band
from consumers.supervisor.autoscaler import Autoscaler
from consumers.supervisor.control import ControlError, ControlSocket
from consumers.supervisor.meter import Meter
from consumers.supervisor.metrics import Metrics, Surroundings
from consumers.supervisor.monitor import Lookout
from consumers.supervisor.pool import Pool
from consumers.supervisor.roster import Roster
from consumers.supervisor.scaling import scale_to
from consumers.supervisor.slot import Command, Death
from consumers.supervisor.systemd import Systemd
from consumers.telemetry.reports import Reports
from schemas.address import Address, parse
from schemas.settings import ConfigError, Settings

TURN_SECONDS: Final = 0.2
DESCRIBE_SECONDS: Final = 1.0
"""How old what we say of ourselves may be."""
HURRY_SECONDS: Final = 8.0
GRACE_SECONDS: Final = 5.0
"""What a worker gets beyond its own drain time before it is killed."""
SIGNALS: Final = (
    signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP,
    signal.SIGTTIN, signal.SIGTTOU, signal.SIGUSR2,
)  # fmt: skip


class Supervisor:
    """Keeps the wanted number of workers alive until it is told to stop.

    `reload` reads the configuration anew and raises ConfigError. A worker that exits 78 stops everything:
    a person has to change the configuration.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        command: Command,
        reload: Callable[[], Settings],
        state: Path,
        version: str,
        notifier: Notifier,
    ) -> None:
        self._settings = settings
        self._reload = reload
        self._version = version
        self._log = structlog.get_logger()
        self._metrics = Metrics(version)
        self._reports = Reports()
        self._autoscaler = _autoscaler(settings)
        self._pool = Pool(
            command,
            self._reports.worker_fd,
            max(settings.consumers, self._autoscaler.band.least) if self._autoscaler.engaged else settings.consumers,
            settings.drain_seconds + GRACE_SECONDS,
            self._died,
        )
        self._sampler = Sampler()
        self._roster = Roster(state)
        self._lookout = Lookout(settings, self._roster, reload)
        self._metrics.registry.register(
            Surroundings(
                self._pool,
                lambda: self._lookout.latest,
                lambda: not self.not_reloaded,
                {"hour": settings.letters_per_hour, "all": settings.letters_max},
            )
        )
        self._state = state
        self._control: ControlSocket | None = None
        self._meter = Meter()
        self._totals: Counter[str] = Counter()
        self._began = time.monotonic()
        self._described_at = float("-inf")
        self._systemd = Systemd(notifier, self._began)
        self._mode = "running"
        self._not_reloaded: list[str] = []

    def run(self) -> int:
        """Until a signal or a configuration fault; the exit code. Raises ConfigError for an address in use."""
        with contextlib.ExitStack() as undo:
            undo.callback(self._reports.close)
            self._serve_metrics(undo)
            selector = undo.enter_context(selectors.DefaultSelector())
            selector.register(self._reports, selectors.EVENT_READ, self._hear)
            inbox = SignalInbox(SIGNALS)
            undo.callback(inbox.close)
            selector.register(inbox, selectors.EVENT_READ, lambda: None)
            self._open_control(selector, undo)
            self._lookout.start()
            undo.callback(self._lookout.stop)
            try:
                while not (self._mode != "running" and self._pool.gone):
                    self._turn(selector, inbox)
            finally:
                self._kill_all()
            self._hear()
        self._log.info("supervisor stopped", **self._totals)
        return EXIT_CONFIGURATION if self._pool.misconfigured else 0

    def _turn(self, selector: selectors.BaseSelector, inbox: SignalInbox) -> None:
        for key, _ in selector.select(TURN_SECONDS):
            key.data()
        for number in inbox.take():
            self._obey(number)
        now = time.monotonic()
        self._autoscaler.steer(self._pool, self._meter, self._lookout.latest, now)
        self._pool.reconcile()
        bury_orphans(self._pool.pids)
        if self._control is not None:
            self._control.drop_dawdlers()
        if self._pool.misconfigured and self._mode == "running":
            self._drain()
        self._systemd.tell(self._pool, self._meter.rate(now), now)
        self._exchange(now)

    def _exchange(self, now: float) -> None:
        """With other machines, by way of the database."""
        if now - self._described_at > DESCRIBE_SECONDS:
            self._described_at, self._roster.said = now, self.described()
            self._roster.samples = self._sampler.latest(self._lookout.latest.gauges(), time.time())
        while (request := self._roster.asked()) is not None:
            self._roster.answer(request, self._answer(request.wants))
            self._lookout.hurry()

    def _hear(self) -> None:
        for report in self._reports.receive():
            self._pool.hear(report)
            self._metrics.record(report)
            self._meter.add(report.messages, time.monotonic())
            self._totals.update(report.outcomes)
            self._sampler.count(report.outcomes, report.ages, sum(report.faults.values()), time.time())

    def _died(self, death: Death) -> None:
        self._metrics.died(death)
        self._sampler.died(time.time())

    def _obey(self, number: int) -> None:
        match number:
            case signal.SIGTERM if self._mode == "running":
                self._drain()
            case signal.SIGTERM | signal.SIGINT | signal.SIGQUIT:
                self._hurry()
            case signal.SIGHUP:
                self._roll()
            case signal.SIGTTIN:
                self._scale("+1")
            case signal.SIGTTOU:
                self._scale("-1")
            case signal.SIGUSR2:
                self._log.info("state", **self.described())

    def _drain(self) -> None:
        self._mode = "draining"
        self._systemd.stopping()
        self._log.info("draining", workers=len(self._pool.slots))
        self._pool.drain()

    def _hurry(self) -> None:
        self._mode = "hurrying"
        self._systemd.stopping()
        self._log.info("hurrying", workers=len(self._pool.slots))
        self._pool.hurry(HURRY_SECONDS)

    def _roll(self) -> None:
        if self._mode != "running":
            return
        self._systemd.reloading()
        try:
            settings = self._reload()
        except ConfigError as error:
            # The workers that run keep what they have: a typing slip must not stop the work.
            self._log.error("not reloaded", faults=error.faults)
            self._not_reloaded = error.faults
            self._systemd.not_reloaded()
            return
        before, self._settings, self._not_reloaded = self._settings, settings, []
        self._pool.grace_seconds = settings.drain_seconds + GRACE_SECONDS
        if (settings.scale_auto, settings.drain_target_seconds) != (before.scale_auto, before.drain_target_seconds):
            self._autoscaler = _autoscaler(settings)
        if settings.consumers != before.consumers and not self._autoscaler.engaged:
            self._pool.wanted = settings.consumers
        self._log.info("rolling", workers=len(self._pool.slots))
        self._pool.roll()

    def _scale(self, to: str) -> Mapping[str, Any]:
        if self._mode != "running":
            return {"error": f"the supervisor is {self._mode}"}
        answer = scale_to(to, self._pool, self._autoscaler)
        self._log.info("scaled by request", to=to, **answer)
        return answer

    def _answer(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        match request:
            case {"verb": "status"}:
                return self.described()
            case {"verb": "scale", "to": str(to)}:
                return self._scale(to)
        return {"error": f"no such request: {request}"}

    def described(self) -> dict[str, Any]:
        """Everything worth knowing, as one JSON-able object."""
        now = time.monotonic()
        monitor = self._lookout.latest
        band = self._autoscaler.band
        return {
            "pid": os.getpid(),
            "version": self._version,
            "up_seconds": round(now - self._began, 1),
            "mode": "rolling" if self._mode == "running" and self._pool.rolling else self._mode,
            "wanted": self._pool.wanted,
            "auto": f"{band.least}..{band.most}" if self._autoscaler.engaged else "",
            "rate": round(self._meter.rate(now), 1),
            "totals": dict(self._totals),
            "backlog": monitor.backlog,
            "broker_fault": monitor.broker_fault,
            "database_fault": monitor.database_fault,
            "not_reloaded": self.not_reloaded,
            "deaths": self._pool.deaths,
            "last_death": self._pool.last_death.described(now) if self._pool.last_death else None,
            "nodes": dict(monitor.nodes),
            "nodes_missing": monitor.missing,
            "letters_of_hour": monitor.fullest,
            "workers": self._pool.described(),
        }

    @property
    def not_reloaded(self) -> list[str]:
        """Why the latest SIGHUP did not come to its end; empty where it did."""
        return self._not_reloaded or [why for why in (self._pool.given_up,) if why]

    def _serve_metrics(self, undo: contextlib.ExitStack) -> None:
        if not self._settings.metrics_listen:
            return
        try:
            host, port = parse(self._settings.metrics_listen)
            server, bound = self._metrics.serve(host, port)
        except (OSError, ValueError) as error:
            raise ConfigError([f"INGEST_METRICS_LISTEN: {self._settings.metrics_listen}: {error}"]) from error
        undo.callback(server.server_close)
        undo.callback(server.shutdown)
        self._log.info("metrics", url=f"http://{Address(host, bound)}/metrics")

    def _open_control(self, selector: selectors.BaseSelector, undo: contextlib.ExitStack) -> None:
        try:
            control = ControlSocket(self._state)
        except ControlError as error:
            # Work matters more than being asked about it.
            self._log.warning("no control socket", why=str(error))
            return
        self._control = control
        undo.callback(control.close)
        selector.register(control, selectors.EVENT_READ, lambda: control.serve(self._answer))

    def _kill_all(self) -> None:
        for slot in self._pool.slots:
            slot.kill()


def _autoscaler(settings: Settings) -> Autoscaler:
    target = settings.drain_target_seconds
    if not settings.scale_auto:
        return Autoscaler(Band(1, max(2, os.cpu_count() or 2), target), engaged=False)
    try:
        return Autoscaler(Band.parse(settings.scale_auto, target), engaged=True)
    except ValueError as error:
        raise ConfigError([f"INGEST_SCALE_AUTO: {error}"]) from error


def worker_command(lane: str, report_fd: int) -> Sequence[str]:
    """A worker run by this interpreter, configured by the environment as we are."""
    # -P: nothing is imported from the folder that we happen to be in.
    return [sys.executable, "-P", "-m", "ingest", "worker", "--lane", lane, "--report-fd", str(report_fd)]
