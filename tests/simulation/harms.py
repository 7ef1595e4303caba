"""What is done to a history from outside: each harm has its time, and is over when the history calms down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from consumers.errors import StoreUnavailable
from simulation.workers import Worker, World

LIKELY = {
    "dies at a moment": 0.01,
    "dies before commit": 0.03,
    "dies after commit": 0.03,
    "misconfigured": 0.02,
    "refused commit": 0.2,
    "lost commit": 0.2,
    "torn commit": 0.2,
    "slow commit": 0.2,
    "lost reply": 0.2,
    "refused move": 0.3,
    "unconfirmed move": 0.3,
    "others first": 0.3,
}
"""Trouble that the servers make by themselves, and how likely each is, each time, in a history that has it."""

WAYS = ("kill", "freeze", "drain", "cut", "half_open", "broker_down", "alarm", "outage", "shim_gone")
"""Harm from outside, each at some time of a history."""


@dataclass(frozen=True, slots=True)
class Harms:
    """What can be harmed, and the ways to do it."""

    world: World
    workers: Sequence[Worker]

    def one(self) -> None:
        """Some harm."""
        name = self.world.random.choice(WAYS)
        self.world.trouble.met.add(name)
        getattr(self, name)()

    def over(self) -> None:
        """All is well from now on."""
        self.world.trouble.over = True
        self.world.broker.down = self.world.broker.blocked = False
        self.world.database.kept.fault = None
        self.world.say("", "all is well from now on")

    def kill(self) -> None:
        worker = self._some()
        self.world.say(worker.name, "is killed")
        worker.task.kill()

    def freeze(self) -> None:
        worker, seconds = self._some(), self._seconds()
        self.world.say(worker.name, f"is frozen for {seconds:.1f} s")
        worker.freeze(seconds)

    def drain(self) -> None:
        worker, hurry = self._some(), self.world.random.random() < 0.5
        self.world.say(worker.name, "is to hurry" if hurry else "is to drain")
        worker.stop(hurry=hurry)

    def cut(self) -> None:
        worker = self._some()
        if worker.source is not None:
            self.world.say(worker.name, "loses the broker")
            worker.source.lose()
            worker.wake()

    def half_open(self) -> None:
        worker = self._some()
        source, seconds = worker.source, self._seconds()
        if source is not None:
            self.world.say(worker.name, f"is not heard by the broker for {seconds:.1f} s, and does not know")
            source.lose(unheard=True)
            self.world.clock.at(seconds, source.lose)

    def broker_down(self) -> None:
        self.world.say("broker", "stops")
        self.world.broker.down = True
        for worker in self.workers:
            if worker.source is not None:
                worker.source.lose()
        self._heals("broker", lambda: setattr(self.world.broker, "down", False))

    def alarm(self) -> None:
        self.world.say("broker", "is in alarm")
        self.world.broker.blocked = True
        self._heals("broker", lambda: setattr(self.world.broker, "blocked", False))

    def outage(self) -> None:
        self.world.say("database", "is away")
        self.world.database.kept.fault = StoreUnavailable("the database is away")
        self._heals("database", lambda: setattr(self.world.database.kept, "fault", None))

    def shim_gone(self) -> None:
        self.world.say("shim", "is gone")
        self.world.broker.strangers.add("shim")
        self._heals("shim", lambda: self.world.broker.strangers.discard("shim"))

    def _heals(self, who: str, heal: Callable[[], None]) -> None:
        def healed() -> None:
            heal()
            self.world.say(who, "is back")

        self.world.clock.at(self._seconds(), healed)

    def _some(self) -> Worker:
        return self.world.random.choice(self.workers)

    def _seconds(self) -> float:
        return self.world.random.choice((0.2, 2.0, 15.0)) * self.world.random.random()
