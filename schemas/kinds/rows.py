"""What a judged message becomes in the database: a named tuple a table, fields in `COPY` order."""

from __future__ import annotations

from typing import NamedTuple


class ActionRow(NamedTuple):
    """A row of `actions`, each value as the text PostgreSQL reads.

    `id` is a canonical lower-case UUID, `recorded_at` is `YYYY-MM-DDTHH:MM:SSZ`, `data` is the sender's own
    JSON text (None when the member is absent). `extra` is the JSON text of an object with the
    members that the columns don't hold as sent: those the schema does not name, and named ones
    whose stored form differs (an id in capitals); None when there are none.
    """

    id: str
    recorded_at: str
    organization_name: str | None
    entity_type: str
    entity_name: str
    parent_type: str | None
    parent_name: str | None
    task: str
    requestor_type: str
    requestor_name: str
    remote_hostname: str
    remote_request_id: str | None
    request_id: str
    service_hostname: str
    user_agent: str
    message_type: str
    message_version: str
    data: str | None
    extra: str | None


class RunStartRow(NamedTuple):
    """The start of a chef-client run: what `runs` knows before the end comes.

    Times are `YYYY-MM-DDTHH:MM:SSZ`, UTC.
    """

    run_id: str
    organization: str
    node_name: str
    start_time: str
    extra: str | None


class ResourceRow(NamedTuple):
    """A row of `run_resources`, without the run's own key. `before`, `after`: the sender's JSON text."""

    position: int
    type: str
    name: str
    resource_id: str
    cookbook_name: str | None
    cookbook_version: str | None
    duration_ms: int
    before: str | None
    after: str | None
    delta: str | None
    result: str
    extra: str | None


class RunEndRow(NamedTuple):
    """The end of a chef-client run: what `runs` learns, and the resources it updated.

    `data` is the sender's JSON text; `run_list` and `expanded_run_list` are the strings the client
    sent (they hold JSON of their own); times are UTC as in RunStartRow, `start_time` may be None.
    """

    run_id: str
    organization: str
    node_name: str
    status: str
    start_time: str | None
    end_time: str
    run_list: str
    total_res_count: int
    data: str
    expanded_run_list: str | None
    extra: str | None
    resources: tuple[ResourceRow, ...]


Row = ActionRow | RunStartRow | RunEndRow
