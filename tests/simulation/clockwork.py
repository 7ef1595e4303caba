"""Virtual time: what is due happens, one thing at a time, in an order that the seed alone decides."""

from __future__ import annotations

import heapq
import threading
import traceback
from collections.abc import Callable
from random import Random

STACK_BYTES = 512 * 1024


class Killed(BaseException):
    """SIGKILL, to the code that it meets: nothing of it runs any more."""


class Clockwork:
    """Actions at their times, on the caller's thread; among those of one time the seed chooses."""

    def __init__(self, random: Random) -> None:
        self.now = 0.0
        self.failures: list[str] = []
        self._random = random
        self._due: list[tuple[float, float, int, Callable[[], object]]] = []
        self._count = 0
        self._tasks: list[Task] = []

    def at(self, delay: float, action: Callable[[], object]) -> None:
        """Do it so many seconds from now."""
        self._count += 1
        heapq.heappush(self._due, (self.now + delay, self._random.random(), self._count, action))

    def spawn(self, name: str, body: Callable[[], None], ended: Callable[[bool], None]) -> Task:
        """A task begins now; `ended` is told, once it has, whether it was killed."""
        task = Task(self, name, body, ended)
        self._tasks.append(task)
        self.at(0.0, task.resume)
        return task

    def run(self, done: Callable[[], bool], until: float) -> None:
        """Turn until `done`, or a task has failed, or that time has come."""
        while not (done() or self.failures) and self._due and self._due[0][0] <= until:
            self.now, _, _, action = heapq.heappop(self._due)
            action()

    def stop(self) -> None:
        """Kill what still runs."""
        for task in self._tasks:
            task.end()


class Task:
    """Code that sleeps in virtual time, on a thread of its own; of all threads one runs at a time."""

    def __init__(self, clock: Clockwork, name: str, body: Callable[[], None], ended: Callable[[bool], None]) -> None:
        self.name = name
        self.alive = True
        self.frozen_until = 0.0
        self._clock, self._body, self._ended = clock, body, ended
        self._doomed = False
        self._turn = 0
        self._go, self._back = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._back.acquire()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def sleep(self, seconds: float) -> None:
        """Let others go on. From this task's own thread only; raises Killed where it is killed meanwhile."""
        if not self._doomed:
            turn = self._turn
            self._clock.at(max(seconds, 0.001), lambda: self._wake_from(turn))
            self._back.release()
            self._go.acquire()
        if self._doomed:
            raise Killed

    def wake(self) -> None:
        """It need not sleep on."""
        turn = self._turn
        self._clock.at(0.0, lambda: self._wake_from(turn))

    def kill(self) -> None:
        """At the next moment."""
        self._doomed = True
        self.frozen_until = 0.0
        self.wake()

    def end(self) -> None:
        """Killed at once, and nobody is told."""
        self._ended = lambda killed: None
        self._doomed, self.frozen_until = True, 0.0
        while self.alive:
            self.resume()

    def resume(self) -> None:
        """From the clockwork's thread: let it run until it sleeps again or has ended."""
        if not self.alive:
            return
        if self.frozen_until > self._clock.now:
            turn = self._turn
            self._clock.at(self.frozen_until - self._clock.now, lambda: self._wake_from(turn))
            return
        self._turn += 1
        self._go.release()
        self._back.acquire()
        if not self.alive:
            self._thread.join()
            self._ended(self._doomed)

    def _wake_from(self, turn: int) -> None:
        if self._turn == turn:
            self.resume()

    def _run(self) -> None:
        self._go.acquire()
        try:
            if not self._doomed:
                self._body()
        except Killed:
            self._doomed = True
        except BaseException as error:
            self._clock.failures.append(f"{self.name} ended of {error!r}\n{traceback.format_exc()}")
        self.alive = False
        self._back.release()
