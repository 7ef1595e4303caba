"""Messages that tests judge: the documented example, the captured traffic, and small variations of them."""

import base64
import gzip
import json
from pathlib import Path

from hypothesis import strategies as st

from schemas.message import Message
from schemas.settings import Settings
from schemas.validation.judge import Judge

FIXTURES = Path(__file__).parent / "fixtures"
ORGANIZATION, NODE = "ponyville", "web01.ponyville.example"
RUN_ID = "c45db7fe-c756-4597-ae04-c7631f5b43bd"

EXAMPLE = (FIXTURES / "example_action.json").read_bytes()
CAPTURED = [json.loads(line) for line in (FIXTURES / "actions.jsonl").read_text(encoding="utf-8").splitlines()]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='ab"\\[]{}é\n\0😀'),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('a"\\[{', max_size=4), inner, max_size=4),
    max_leaves=30,
)


def judge_with(**settings):
    return Judge.from_settings(Settings(**settings))


def captured_body(captured):
    return base64.b64decode(captured["body_base64"])


def captured_reports():
    """(label, message) of every start and end that the captured chef-clients sent."""
    for file in sorted((FIXTURES / "http").glob("*.json")):
        capture = json.loads(file.read_text(encoding="utf-8"))
        for request in capture["requests"]:
            if request["kind"] in ("start", "end"):
                yield f"{file.stem} {request['kind']}", _report(capture, request)


def _report(capture, request):
    headers = {name.lower(): value for name, value in request["headers"]}
    tail = request["path"].partition("/runs")[2].strip("/")
    return Message(
        f"run_{request['kind']}",
        base64.b64decode(request["body_base64"]),
        "http",
        capture["organization"],
        capture["node"],
        tail or None,
        headers.get("content-encoding"),
    )


def action(door="http", encoding=None, **changes):
    """The example with members changed; None leaves a member out, `null` is written `...`."""
    return Message("action", to_body(json.loads(EXAMPLE), changes), door, content_encoding=encoding)


def run_start(**changes):
    sent = {"action": "start", "run_id": RUN_ID, "start_time": "2026-11-21 19:34:20 -0800"}
    return Message("run_start", to_body(sent, changes), "http", ORGANIZATION, NODE)


def run_end(run_id=RUN_ID, organization=ORGANIZATION, node=NODE, **changes):
    sent = {
        "action": "end",
        "resources": [resource()],
        "status": "success",
        "run_list": "[]",
        "total_res_count": "3",
        "data": {},
        "start_time": "2026-11-21 19:34:20 -0800",
        "end_time": "2026-11-22 03:34:21 UTC",
    }
    body = gzip.compress(to_body(sent, changes))
    return Message("run_end", body, "http", organization, node, run_id, "gzip")


def resource(**changes):
    sent = {"type": "file", "name": "/a", "id": "/a", "before": {}, "after": {"mode": "0644"}}
    sent |= {"duration": "15", "delta": "", "result": "create"}
    return json.loads(to_body(sent, changes))


def to_body(sent, changes):
    members = {name: value for name, value in (sent | changes).items() if value is not None}
    nulled = {name: None if value is ... else value for name, value in members.items()}
    return json.dumps(nulled, ensure_ascii=False, separators=(",", ":")).encode()
