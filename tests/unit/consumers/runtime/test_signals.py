"""Signals wait in order until they are taken, and are heeded until the process has ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from consumers.runtime.signals import SignalInbox


def test_signals_are_taken_in_order_each_once() -> None:
    """Two of a kind are two."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTTIN, signal.SIGUSR2)}
    inbox = SignalInbox(before)
    try:
        for number in (signal.SIGTTIN, signal.SIGTTIN, signal.SIGUSR2):
            os.kill(os.getpid(), number)
        assert inbox.take() == [signal.SIGTTIN, signal.SIGTTIN, signal.SIGUSR2]
        assert inbox.take() == []
    finally:
        inbox.close()
        for number, handler in before.items():
            signal.signal(number, handler)


LATE = """
import asyncio, os, signal
from consumers.runtime.signals import SignalInbox, heed, heed_in

class Late:
    def __del__(self, kill=os.kill, pid=os.getpid(), numbers=(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)):
        for number in numbers:
            kill(pid, number)
        print("told once more")

late = Late()  # outlives the handlers: the interpreter forgets a module's values after them
numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""
"""A program that is told once more to stop while its interpreter ends."""


@pytest.mark.parametrize(
    "heeds",
    [
        "heed(numbers, print)",
        "SignalInbox(numbers).close()",
        "loop = asyncio.new_event_loop(); heed_in(loop, numbers, print); loop.close()",
    ],
)
def test_a_signal_that_comes_while_the_process_ends_does_not_make_a_death_of_it(heeds: str) -> None:
    """Told twice, it still ends with its own exit code, however late the second time is."""
    ended = subprocess.run([sys.executable, "-c", LATE + heeds], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "told once more\n", "")


def test_without_that_it_would_be_one() -> None:
    """The program above does come after handlers have been taken away."""
    handlers = "signal.signal(signal.SIGTERM, lambda *_: None)"
    assert subprocess.run([sys.executable, "-c", LATE + handlers], check=False).returncode == -signal.SIGTERM


def test_a_signal_after_the_loop_is_closed_is_nothing() -> None:
    """Between the loop's end and the process', a handler has nobody to tell."""
    closed = (
        "loop = asyncio.new_event_loop(); heed_in(loop, numbers, print); loop.close()\n"
        "for number in numbers: os.kill(os.getpid(), number)"
    )
    ended = subprocess.run([sys.executable, "-c", LATE + closed], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
