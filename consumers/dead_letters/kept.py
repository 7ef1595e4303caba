"""The report that a chef-client kept because nobody took it: failed-reporting-data.json, and whose run it ends."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any, Final

from consumers.dead_letters.errors import NotImportable
from consumers.dead_letters.posting import Posting, as_posted
from consumers.dead_letters.repository import Repository
from schemas.doors import REPORTS
from schemas.kinds import KINDS, Kind, kind_of
from schemas.kinds.formats import zoned_time
from schemas.message import Message

_BODY: Final = '{"action": "start", "run_id": %s, "start_time": %s}'
_START: Final = next(KINDS[name] for name in REPORTS.kinds if not KINDS[name].waits)


@dataclass(frozen=True, slots=True)
class KeptReport:
    """The body of an end report as the client would have sent it; what its URL said is not in it."""

    where: str
    payload: bytes
    body: dict[str, Any]
    kind: Kind

    @property
    def run_id(self) -> str | None:
        """Where it says so itself."""
        inside = self.body.get("run_id")
        return inside if isinstance(inside, str) else None

    @property
    def start_time(self) -> str | None:
        """When its run began, as the database compares it."""
        value = self.body.get("start_time")
        return zoned_time(value) if isinstance(value, str) else None


def kept_report(payload: bytes, where: str) -> KeptReport:
    """Reads one; `where` names it in errors. Raises NotImportable."""
    try:
        body = json.loads(payload)
    except (ValueError, RecursionError) as error:
        ruby = "it is Ruby text, as clients before 15 write it to output_locations"
        raise NotImportable(f"{where}: no JSON: {ruby if b'=>' in payload[:200] else error}") from None
    kind = kind_of(body) if isinstance(body, dict) else None
    # A client keeps the report that ends a run; its start is not worth keeping.
    if kind is None or kind.name not in REPORTS.kinds or not kind.waits:
        raise NotImportable(
            f"{where}: neither failed-reporting-data.json, nor messages to a data collector, nor exported letters"
        )
    return KeptReport(where, payload, body, kind)


def postings(
    repository: Repository, report: KeptReport, *, organization: str | None, node: str | None, run_id: str | None,
    with_start: bool,
) -> list[Posting]:  # fmt: skip
    """What the client would have sent: the end of its run, and the start before it where that is to be brought too.

    Without a run id it is the one run of this node that began at this time. Raises NotImportable where that is
    none, or more than one.
    """
    given = {"--organization": organization, "--node": node}
    if missing := [name for name, value in given.items() if not value]:
        raise NotImportable(f"{report.where}: give {', '.join(missing)}: the file does not say it")
    run_id = run_id or report.run_id
    begun = [] if run_id else _begun(repository, report, organization, node)
    start: list[Posting] = []
    if not run_id and len(begun) == 1:
        [run_id] = begun
    elif with_start and not begun:
        # The same id each time: imported twice, it is still one run.
        run_id = run_id or str(uuid.uuid5(uuid.NAMESPACE_URL, f"{organization}/{node}/{report.start_time}"))
        body = _BODY % (json.dumps(run_id), json.dumps(report.body.get("start_time")))
        start = [_posting(_START, body.encode(), organization, node, run_id)]
    if not run_id:
        raise NotImportable(f"{report.where}: {_not_one(report, begun, f'{node} in {organization}')}")
    return [*start, _posting(report.kind, report.payload, organization, node, run_id)]


def _begun(repository: Repository, report: KeptReport, organization: str | None, node: str | None) -> list[str]:
    if report.start_time is None:
        return []
    facts = {"organization": organization, "node": node, "start_time": report.start_time}
    return [row["run_id"] for row in repository.rows("runs_begun", **facts)]


def _not_one(report: KeptReport, begun: list[str], whose: str) -> str:
    if report.start_time is None:
        return "it does not say when its run began: give --run-id (the client's log has it, at level info)"
    if not begun:
        return (
            f"no run of {whose} that began at {report.start_time} is known: look at these names, give --run-id, or "
            "--with-start where its start was refused too"
        )
    return f"several runs of {whose} began at {report.start_time}: give --run-id: {', '.join(begun)}"


def _posting(kind: Kind, payload: bytes, organization: str | None, node: str | None, run_id: str) -> Posting:
    message = Message(kind.name, payload, REPORTS.word, organization=organization, node=node, run_id=run_id)
    return as_posted(message, kind.routing_key)
