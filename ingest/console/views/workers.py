"""Workers: machines, their workers, what is paused; and what an operator may change there, seen before it is done."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from starlette.requests import Request

from consumers.database.connection import session
from consumers.machines import pauses, supervisors
from consumers.machines.errors import NotAsked
from ingest.console.entrance import Operator
from ingest.console.fence import TurnedAway, require_operate
from ingest.console.pages import Shown
from ingest.console.views.asked import LONGEST_REASON, asked
from ingest.console.views.machine import PURPOSE, Machine

ALL: Final = "all"

_TO: Final = re.compile(r"[+-]?[0-9]{1,4}|auto")


class Order(NamedTuple):
    """What is to be done: `verb` is pause, resume or scale; `queue` and `host` are ALL or a name, `to` is as for the
    command `scale`, `why` the reason of a pause."""

    verb: str
    queue: str
    host: str
    to: str
    why: str

    @classmethod
    def of(cls, sent: Mapping[str, str]) -> Order:
        """Of a form. Raises TurnedAway (400) for what makes no sense."""
        order = cls(*(sent.get(name, "").strip() for name in cls._fields))
        if order.verb not in ("pause", "resume", "scale"):
            raise TurnedAway(400, "there is no such change")
        if order.verb == "scale":
            if not order.host or not _TO.fullmatch(order.to):
                raise TurnedAway(400, "scale wants a machine, and a number of workers, +N, -N or auto")
        elif order.queue not in (ALL, *pauses.PAUSABLE):
            raise TurnedAway(400, f"these can be paused: {ALL}, {', '.join(pauses.PAUSABLE)}")
        if order.verb == "pause" and not 0 < len(order.why) <= LONGEST_REASON:
            raise TurnedAway(400, f"a pause wants a reason of at most {LONGEST_REASON} characters: everybody sees it")
        return order

    @property
    def text(self) -> str:
        """What it will do, for a person."""
        what = "every queue" if self.queue == ALL else f"queue {self.queue}"
        where = "on all machines" if self.host in ("", ALL) else f"on {self.host}"
        match self.verb:
            case "pause":
                return (
                    f"Workers {where} finish what they have in hand and take no more of {what}, until somebody resumes "
                    f"it. {self._meanwhile}"
                )
            case "resume":
                return f"The pause of {what} {where} ends: workers take its messages again."
            case _:
                number = "as many workers as it sees fit" if self.to == "auto" else f"{self.to} workers"
                more = " (more or fewer than now)" if self.to[0] in "+-" else ""
                return f"The supervisor {self.host} is told to run {number}{more}."

    @property
    def _meanwhile(self) -> str:
        if self.host in ("", ALL):
            return "Messages wait in RabbitMQ meanwhile, and who posts is answered 202."
        return "Other machines go on. Once its workers have nothing in hand, it can be stopped."


def show(machine: Machine, request: Request) -> Shown:
    """All machines, and forms that lead to `confirm`."""
    facts = {"found": machine.look(), "queues": (ALL, *pauses.PAUSABLE), "may": request.state.operator.operates}
    return Shown("workers.html", facts)


def confirm(_machine: Machine, request: Request) -> Shown:
    """What a change would do, and the form that does it."""
    require_operate(request.state.operator)
    order = Order.of(asked(request).values)
    facts = {"change": order, "verb": order.verb.capitalize(), "text": order.text}
    return Shown("confirm.html", facts | {"to": "/workers", "back": "/workers"})


def change(machine: Machine, operator: Operator, sent: Mapping[str, str]) -> str:
    """Do it; the path to go to. Raises TurnedAway, StoreUnavailable or Misconfigured."""
    require_operate(operator)
    wanted = Order.of(sent)
    queues = [pauses.EVERY_QUEUE if wanted.queue == ALL else wanted.queue]
    host = pauses.EVERYWHERE if wanted.host == ALL else wanted.host
    with session(machine.settings.database_url, PURPOSE) as connection:
        match wanted.verb:
            case "pause":
                pauses.pause(connection, queues, host, operator.name, wanted.why)
            case "resume":
                pauses.resume(connection, queues, host)
            case _:
                told = supervisors.supervisors(connection)
                try:
                    supervisors.ask(
                        connection, supervisors.named(told, wanted.host), {"verb": "scale", "to": wanted.to}
                    )
                except NotAsked as refused:
                    raise TurnedAway(409, f"{refused}: nothing was done") from None
    machine.look_anew()
    return "/workers"
