"""What run reports share: their queue, their path, and the facts that they take from their URL."""

from __future__ import annotations

from typing import Final

from schemas.kinds.formats import Fault, name_fault
from schemas.message import Message

QUEUE: Final = "ingest.runs"
PATH: Final = "/organizations/{organization}/reports/nodes/{node_name}/runs/{run_id}"


def url_faults(message: Message) -> dict[str, Fault]:
    """What is wrong with the organization and the node of a run report, by field."""
    found: dict[str, Fault] = {}
    for field, value in (("organization", message.organization), ("node", message.node)):
        fault = _text_fault(value, field)
        if fault is not None:
            found[field] = fault
    return found


def _text_fault(value: str | None, what: str) -> Fault | None:
    if value is None:
        return Fault("blank_name", f"no {what} name in the URL of the report")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return Fault("not_utf8", f"the {what} name in the URL of the report is not UTF-8")
    return name_fault(value, what)
