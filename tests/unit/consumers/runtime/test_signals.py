"""Signals wait in order until they are taken."""

from __future__ import annotations

import os
import signal

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
