"""What became of every message of a history, and whether what was answered is true; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from schemas.topology import PARKED
from schemas.verdict import Conflict, Created, DuringRun, Invalid, UnknownRun, Verdict
from simulation.messages import MAY_BECOME, Sent
from simulation.servers import Database

GIVEN_UP = ("delivery_limit", "immovable")


def untrue(sent: Sent, verdict: Verdict, database: Database) -> str:
    """What is wrong with an answer at the moment at which it is given; nothing: it is true."""
    rows = database.kept.rows
    if isinstance(verdict, Created) and rows.get((sent.kind, sent.row[0])) != sent.row:
        return "201, and it is not stored"
    if isinstance(verdict, DuringRun) and sent.payload not in database.skipped:
        return "200, and no rule has skipped it"
    if isinstance(verdict, Invalid | UnknownRun | Conflict) and not verdict.told and not database.letter(sent.payload):
        return f"{verdict.code}, and there is no letter"
    return ""


def faults(
    sent: Iterable[Sent], told: set[bytes], database: Database, queues: Mapping[str, Sequence[bytes]]
) -> list[str]:
    """What is wrong in the end: each message is what it may become, nothing else is there, no queue holds anything."""
    messages = {each.payload: each for each in sent}
    found = [f"{queue} still holds {len(left)}" for queue, left in queues.items() if left and queue != PARKED]
    parked = set(queues.get(PARKED, ()))
    for payload, message in messages.items():
        became = _became(message, database, told, parked)
        if became not in MAY_BECOME[message.what]:
            found.append(f"{payload.decode()} is {became or 'lost'}")
    known = {(each.kind, each.row[0]) for each in messages.values()}
    found += [f"the row {key} is nobody's" for key in database.kept.rows if key not in known]
    return found + [f"the letter {kept!r} is nobody's" for kept, _ in database.kept.letters if kept not in messages]


def _became(message: Sent, database: Database, told: set[bytes], parked: set[bytes]) -> str:
    payload, letter = message.payload, database.letter(message.payload)
    stored = database.kept.rows.get((message.kind, message.row[0])) == message.row
    if letter is not None and stored and letter.reason in GIVEN_UP:
        # Stored each time by a worker that died before it had told the broker: a letter too many, for its deaths.
        letter = None
    kept = {"row": stored, "letter": letter is not None, "skipped": payload in database.skipped}
    kept |= {"parked": payload in parked}
    return " and ".join(name for name, is_so in kept.items() if is_so) or ("told" if payload in told else "")
