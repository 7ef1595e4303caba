"""Laws of the judge on real traffic and on each way to be wrong."""

import gzip
import json

import pytest
from judge_samples import (
    CAPTURED,
    EXAMPLE,
    NODE,
    ORGANIZATION,
    RUN_ID,
    action,
    captured_body,
    captured_reports,
    judge_with,
    resource,
    run_end,
    run_start,
)
from msgspec.structs import replace

from schemas.kinds import KINDS, formats
from schemas.kinds.action import document
from schemas.message import Message
from schemas.validation.judge import Candidate
from schemas.verdict import Invalid

JUDGE = judge_with()
REPORTS = dict(captured_reports())


def refused(message, judge=JUDGE):
    verdict = judge(message)
    assert isinstance(verdict, Invalid), verdict
    return verdict


def accepted(message, judge=JUDGE):
    verdict = judge(message)
    assert isinstance(verdict, Candidate), verdict
    return verdict.row


@pytest.mark.parametrize("captured", CAPTURED, ids=lambda captured: captured["label"])
def test_captured_action_passes_wire_and_documented_as_recorded(captured):
    """A Chef server's message passes `wire`, and `documented` exactly when the documented schema takes it."""
    body = captured_body(captured)
    assert isinstance(JUDGE(Message("action", body, "chef")), Candidate)
    verdict = JUDGE(Message("action", body, "http"))
    assert isinstance(verdict, Candidate) == captured["seed_schema_valid"]
    if isinstance(verdict, Invalid):
        assert (verdict.stage, verdict.reason) == ("schema", "schema")
        assert set(verdict.details) == {error["path"] for error in captured["seed_schema_errors"]}


@pytest.mark.parametrize("captured", CAPTURED, ids=lambda captured: captured["label"])
def test_document_of_a_captured_action_is_what_was_sent_byte_for_byte(captured):
    """A Chef server's own message comes back byte for byte, but for a permission's parent order."""
    body = captured_body(captured)
    text = document(accepted(Message("action", body, "chef")))
    if captured["label"].startswith("permission"):
        assert json.loads(text) == json.loads(body)
    else:
        assert text.encode() == body


@pytest.mark.parametrize("label", REPORTS)
def test_captured_chef_client_reports_pass(label):
    """Every captured chef-client's start and end becomes a row of its run, organization and node."""
    message = REPORTS[label]
    row = accepted(message)
    assert (row.organization, row.node_name) == ("ponyville", NODE)
    if message.run_id is not None:
        assert row.run_id == message.run_id


def test_the_documented_example_is_accepted_with_its_data_as_sent():
    """The example of the API documentation becomes a row that keeps the text of `data`."""
    row = accepted(Message("action", EXAMPLE, "http"))
    assert (row.id, row.entity_name) == ("b576b4a2-7b2a-43b8-b385-d6281e9a139e", "app1")
    assert (row.data, row.extra) == ('{"name": "app1"}', None)


def test_profiles_follow_settings_and_door():
    """The settings, not the door itself, choose the profile of each door."""
    swapped = judge_with(http_profile="wire", chef_profile="documented")
    accepted(action("http", entity_type="key"), swapped)
    assert refused(action("chef", entity_type="key"), swapped).reason == "schema"


def test_empty_entity_name_is_worded_as_documented():
    """An empty entity_name is refused in the API documentation's own words."""
    verdict = refused(action(entity_name=""))
    assert (verdict.stage, verdict.reason) == ("meaning", "blank_name")
    assert verdict.details == {"entity_name": "'' is not a valid entity name"}


def test_all_faults_are_told_at_once_keyed_by_field():
    """Missing, ill-typed, ill-named and untimely members are all told in one answer, each under its own name."""
    verdict = refused(
        action(request_id=None, entity_name="", task="eat", recorded_at="2026-02-30T00:00:00Z", parent_name=" ")
    )
    assert verdict.stage == "schema"
    assert verdict.details == {
        "entity_name": "'' is not a valid entity name",
        "parent_name": "' ' is not a valid parent name",
        "parent_type": "'parent_type' is a dependency of 'parent_name'",
        "recorded_at": "'2026-02-30T00:00:00Z' is not a time, such as 2026-11-22T03:32:49Z",
        "request_id": "'request_id' is a required property",
        "task": "'eat' is not one of ['associate', 'create', 'delete', 'dissociate', 'invite', 'reject', 'update']",
    }


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"requestor_name": "\t"}, "requestor_name", "blank_name"),
        ({"organization_name": ""}, "organization_name", "blank_name"),
        ({"id": "b576b4a2-7b2a-43b8-b385-d6281e9a139e\n"}, "id", "line_break"),
        ({"remote_request_id": "562C4230-1569-4003-A81F-8C0100231D65\n"}, "remote_request_id", "line_break"),
        ({"recorded_at": "1976-10-02T05:00:37Z\n"}, "recorded_at", "line_break"),
        ({"recorded_at": "1976-13-02T05:00:37Z"}, "recorded_at", "not_a_time"),
        ({"recorded_at": "1976-10-02T24:00:00Z"}, "recorded_at", "not_a_time"),
        ({"recorded_at": "0000-10-02T05:00:37Z"}, "recorded_at", "not_a_time"),
        ({"recorded_at": "1976-10-02T05:00:60Z"}, "recorded_at", "not_a_time"),
    ],
)
def test_actions_that_mean_nothing(changes, field, reason):
    """What the schema lets through and no column can mean is refused under its field."""
    verdict = refused(action(**changes))
    assert (verdict.stage, verdict.reason, set(verdict.details)) == ("meaning", reason, {field})


@pytest.mark.parametrize(
    "time", ["1976-10-02T24:00:00Z", "1976-10-02T05:60:00Z", "1976-W40-6T05:00:37Z", "1976-10-02T05:00:37z"]
)
def test_a_time_is_what_is_written_here_whatever_pythons_own_reader_takes(time, monkeypatch):
    """Newer Pythons read more and more as ISO 8601, midnight as 24:00 too: a row is the same whoever writes it."""

    class Lenient(formats.datetime):
        @classmethod
        def fromisoformat(cls, text):
            return cls(1976, 10, 3)

    monkeypatch.setattr(formats, "datetime", Lenient)
    formats._is_stored_time.cache_clear()
    verdict = refused(action(recorded_at=time))
    formats._is_stored_time.cache_clear()
    assert set(verdict.details) == {"recorded_at"}


@pytest.mark.parametrize(
    ("changes", "stage", "field", "reason"),
    [
        ({"run_id": "c45db7fe"}, "meaning", "run_id", "not_a_uuid"),
        ({"run_id": "{" + RUN_ID + "}"}, "meaning", "run_id", "not_a_uuid"),
        ({"run_id": None}, "meaning", "run_id", "not_a_uuid"),
        ({"organization": ""}, "meaning", "organization", "blank_name"),
        ({"organization": "\ud800"}, "meaning", "organization", "not_utf8"),
        ({"node": None}, "meaning", "node", "blank_name"),
        ({"end_time": "2026-11-21 19:34:20"}, "meaning", "end_time", "not_a_time"),
        ({"end_time": ""}, "meaning", "end_time", "not_a_time"),
        ({"total_res_count": "2147483648"}, "meaning", "total_res_count", "number_too_large"),
        ({"total_res_count": "3\n"}, "meaning", "total_res_count", "line_break"),
        ({"total_res_count": 2147483648}, "schema", "total_res_count", "schema"),
        ({"total_res_count": -1}, "schema", "total_res_count", "schema"),
        ({"total_res_count": "٣"}, "schema", "total_res_count", "schema"),
        ({"total_res_count": "1_0"}, "schema", "total_res_count", "schema"),
        ({"total_res_count": True}, "schema", "total_res_count", "schema"),
        ({"status": "aborted"}, "schema", "status", "schema"),
        ({"action": "start"}, "schema", "action", "schema"),
        ({"resources": {}}, "schema", "resources", "schema"),
        ({"resources": [7]}, "schema", "resources.0", "schema"),
        ({"resources": [resource(), resource(name=None)]}, "schema", "resources.1.name", "schema"),
        ({"resources": [resource(before=[])]}, "schema", "resources.0.before", "schema"),
        ({"resources": [resource(duration=2**63)]}, "meaning", "resources.0.duration", "number_too_large"),
    ],
)
def test_run_ends_that_are_refused(changes, stage, field, reason):
    """Each fault of a run end is told under its own field, nested ones by their path."""
    verdict = refused(run_end(**changes))
    assert (verdict.stage, verdict.reason, set(verdict.details)) == (stage, reason, {field})


def test_run_id_in_body_must_be_the_urls_whatever_the_case():
    """A body may repeat the URL's run id in any case, and no other."""
    from_body = Message("run_end", run_end().payload, "http", "o", "n", RUN_ID.upper(), "gzip")
    assert accepted(from_body).run_id == RUN_ID
    verdict = refused(run_end_with_body_id("b576b4a2-7b2a-43b8-b385-d6281e9a139e"))
    assert (verdict.reason, set(verdict.details)) == ("other_run", {"run_id"})
    assert accepted(run_end_with_body_id(RUN_ID.upper())).run_id == RUN_ID
    assert refused(run_end_with_body_id(RUN_ID + "\n")).reason == "line_break"


@pytest.mark.parametrize(
    "changes", [{"run_id": None}, {"run_id": "7"}, {"start_time": "yesterday"}, {"start_time": ""}, {"action": "end"}]
)
def test_run_starts_that_are_refused(changes):
    """A start needs its action, a UUID and a time; the fault is told under that member."""
    assert set(refused(run_start(**changes)).details) == set(changes)


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("2026-11-21 19:32:49 -0800", "2026-11-22T03:32:49Z"),
        ("2026-11-22 03:32:49 +0000", "2026-11-22T03:32:49Z"),
        ("2026-11-22 03:32:49 UTC", "2026-11-22T03:32:49Z"),
        ("2026-11-22T03:32:49Z", "2026-11-22T03:32:49Z"),
        ("2026-11-22T05:02:49.987+01:30", "2026-11-22T03:32:49Z"),
        ("2016-12-31 23:59:60 UTC", "2017-01-01T00:00:00Z"),
        ("0999-01-01T00:00:00Z", "0999-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
        ("9999-12-31T23:59:59-01:00", None),
        ("0001-01-01T00:00:00+01:00", None),
        ("2026-11-22 03:32:49", None),
        ("2026-11-22 03:32:49 PST", None),
        ("2026-11-22 03:32:49 +2400", None),
        ("２026-11-22 03:32:49 UTC", None),
        ("2026-11-22 03:32:49 UTC\n", None),
    ],
)
def test_times_of_runs_are_stored_in_utc(sent, stored):
    """A time with a zone is stored as the same instant in UTC; without one, or unreal, it is refused."""
    message = run_start(start_time=sent)
    if stored is None:
        assert refused(message).reason == "not_a_time"
    else:
        row = accepted(message)
        assert row.start_time == stored
        assert row.extra == (None if sent == stored else json.dumps({"start_time": sent}, separators=(",", ":")))


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("2026-1-2T3:4:5Z", "2026-01-02T03:04:05Z"),
        ("2026-11-22T03:40:00", "2026-11-22T03:40:00Z"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ("2026-11-22T05:40:00.123456789+02:00", "2026-11-22T03:40:00Z"),
        ("2026-11-22T03:40:00.5Z", "2026-11-22T03:40:00Z"),
        ("2026-11-21T19:40:00-08:00", "2026-11-22T03:40:00Z"),
    ],
)
def test_wire_times_of_actions_are_normalised_and_kept_as_sent(sent, stored):
    """A Chef server's unpadded or Z-less time, and RFC 3339, is stored as UTC; the text sent is shown again."""
    row = accepted(action("chef", recorded_at=sent))
    assert row.recorded_at == stored
    assert json.loads(document(row))["recorded_at"] == sent


def test_wire_takes_what_old_and_new_servers_publish():
    """The wire profile takes 0.1.0 without id, data of any type, any request id, any parent Chef has."""
    old = action("chef", id=None, message_version="0.1.0", data="undefined", remote_request_id="x")
    row = accepted(old)
    assert (row.data, row.remote_request_id) == ('"undefined"', "x")
    assert accepted(old).id == row.id != accepted(action("chef", id=None)).id
    assert json.loads(document(row)) == json.loads(old.payload) | {"id": row.id}
    for parent in ("client", "user", "policy", "policy_group", "cookbook_artifact"):
        accepted(action("chef", parent_type=parent, parent_name="p", entity_type="permission"))
    for entity in ("key", "policy", "cookbook_artifact_version"):
        accepted(action("chef", entity_type=entity))


LOOSE = [
    {"requestor_type": "chef-load"},
    {"service_hostname": "", "remote_hostname": "", "request_id": "", "remote_request_id": "", "user_agent": ""},
    {"parent_type": "", "parent_name": ""},
    {"organization_name": ""},
    {"entity_type": "data_bag", "parent_type": "chef_bag", "parent_name": "x"},
    {"message_version": None},
    {"message_version": ""},
    {"message_version": "9"},
    {"recorded_at": "2026-11-22T05:40:00.5+02:00"},
    {"id": "B576B4A27B2A43B8B385D6281E9A139E"},
    {"data": {}},
    {"data": '{"a":1}'},
]
"""What is sent by others than Chef servers, each with what it changes in an action as documented."""


@pytest.mark.parametrize("changes", [*LOOSE, dict(each for one in LOOSE for each in one.items())], ids=str)
def test_wire_takes_what_others_than_chef_servers_send_and_gives_it_back(changes):
    """Invented types, empty strings, an RFC 3339 time, JSON in a string, no version, no hyphens: a row that shows the
    same action again, and the same row whether it goes the fast way or the long one."""
    message = action("chef", **changes)
    row = accepted(message)
    assert json.loads(document(row)) == json.loads(message.payload)
    assert row.id == "b576b4a2-7b2a-43b8-b385-d6281e9a139e"
    assert accepted(replace(message, payload=b" " + message.payload)) == row


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"organization_name": " "}, "organization_name"),
        ({"parent_type": "bag", "parent_name": "\t"}, "parent_name"),
        ({"entity_name": ""}, "entity_name"),
        ({"requestor_name": ""}, "requestor_name"),
        ({"id": "b576b4a2-7b2a43b8b385d6281e9a139e"}, "id"),
        ({"id": "B576B4A27B2A43B8B385D6281E9A139E\n"}, "id"),
        ({"recorded_at": "2026-11-22T05:40:00+25:00"}, "recorded_at"),
        ({"recorded_at": "2026-11-22T05:40:00.+02:00"}, "recorded_at"),
        ({"message_version": 1}, "message_version"),
    ],
    ids=str,
)
def test_wire_still_refuses_what_means_nothing(changes, field):
    """A blank name that is not empty, an action on or by nothing, half an id, a zone that there is none of."""
    assert field in refused(action("chef", **changes)).details


@pytest.mark.parametrize("changes", [each for each in LOOSE if each != {"data": {}}], ids=str)
def test_documented_takes_none_of_it(changes):
    """POST /messages takes what is documented, whoever sends it."""
    refused(action("http", **changes))


def test_what_the_columns_do_not_hold_as_sent_is_kept_in_extra():
    """Unknown members and an id in capitals come back as they were sent, whatever JSON they are."""
    message = action(id="B576B4A2-7B2A-43B8-B385-D6281E9A139E", revision_id="", extra=[1, {"é": None}])
    row = accepted(message)
    assert row.id == "b576b4a2-7b2a-43b8-b385-d6281e9a139e"
    assert json.loads(row.extra).keys() == {"id", "revision_id", "extra"}
    assert json.loads(document(row)) == json.loads(message.payload)


def test_run_end_row_holds_the_senders_text():
    """Counts and durations become numbers, states stay text, and an empty start time is none."""
    odd = resource(cookbook_version=..., duration=7, before=..., sensitive=True, after=None)
    row = accepted(run_end(resources=[resource(), odd], start_time="", total_res_count=2))
    assert (row.start_time, row.total_res_count, row.end_time) == (None, 2, "2026-11-22T03:34:21Z")
    assert json.loads(row.extra) == {
        "start_time": "",
        "end_time": "2026-11-22 03:34:21 UTC",
        "total_res_count": 2,
    }
    first, second = row.resources
    assert (first.before, first.after, first.duration_ms, first.extra) == (
        "{}",
        '{"mode":"0644"}',
        15,
        None,
    )
    assert (second.before, second.after, second.position) == ("null", None, 1)
    assert json.loads(second.extra) == {"cookbook_version": None, "duration": 7, "sensitive": True}


@pytest.mark.parametrize("description", ["text", {"title": "t", "sections": []}])
def test_exceptions_of_failed_runs_pass_in_documented_and_real_form(description):
    """A description may be a string, as documented, or an object, as chef-clients send it."""
    exception = {"class": "c", "message": "m", "backtrace": "[]", "description": description}
    row = accepted(run_end(status="failure", data={"exception": exception}))
    assert json.loads(row.data) == {"exception": exception}


def test_nul_characters_are_left_to_the_database():
    """The judge lets U+0000 pass in texts and data: whether it can be stored is the database's to say."""
    assert accepted(action(entity_name="a\0b")).entity_name == "a\0b"
    assert "\\u0000" in accepted(action(data={"a": "\0"})).data


def test_a_million_bad_resources_are_told_as_a_hundred():
    """However many faults a message has, the answer stays short."""
    for resources in ([7] * 5000, [resource(duration="9" * 18 + "\n")] * 500, [resource(duration=2**63)] * 500):
        details = refused(run_end(resources=resources)).details
        assert len(details) == 101
        assert "more than 100 faults" in details["message"]


def test_resources_without_number_are_refused_unread():
    """A run end that is nothing but a great many resources is refused before it takes its memory."""
    body = b'{"resources":[' + b",".join([b"{}"] * 300_001) + b"]}"
    verdict = refused(Message("run_end", body, "http", "o", "n", RUN_ID))
    assert (verdict.reason, set(verdict.details)) == ("too_many_elements", {"resources"})


def test_long_values_are_not_repeated_at_length():
    """A refusal's texts and field names stay short, whatever was sent."""
    verdict = refused(action(task="x" * 100_000, entity_name=["y" * 100_000]))
    assert all(len(text) <= 300 for text in verdict.details.values())


def test_unknown_kinds_and_numbers_out_of_range_are_refused_by_name():
    """A kind nobody knows and a number nobody can hold are faults of the message, not of the judge."""
    assert refused(Message("ping", b"", "http")).reason == "unknown_kind"
    body = EXAMPLE.replace(b'"app1",', b"1e999,").replace(b'"delete"', b"1" * 5000)
    verdict = refused(Message("action", body, "http"))
    assert (verdict.reason, set(verdict.details)) == ("number_too_large", {"entity_name", "task"})


HUGE = [b"1" * 5000, b"-" + b"1" * 5000, b"7" * 70_000, b"-" + b"7" * 70_000, b"1e99999999", b"1" * 70_000 + b".5e9"]
"""No number that can be read: short and long ones, by digits and by exponent."""


@pytest.mark.parametrize("padding", [0, 70_000])
@pytest.mark.parametrize("number", HUGE, ids=lambda number: f"{number[:3]!r} of {len(number)}")
def test_a_number_that_cannot_be_read_is_refused_wherever_it_stands_and_never_read_as_zero(number, padding):
    """In a plain member, in a resource, and in place of the resources, however long the message is besides."""
    space = b" " * padding
    messages = {
        "entity_name": Message("action", EXAMPLE.replace(b'"app1",', number + b"," + space), "http"),
        "total_res_count": run_end_with(b'"total_res_count":"3"', b'"total_res_count":' + number + space),
        "resources.0.duration": run_end_with(b'"duration":"15"', b'"duration":' + number + space),
        "resources": run_end_with(b'"resources":[', b'"resources":' + number + space + b',"more":['),
    }
    for field, message in messages.items():
        verdict = refused(message)
        assert (verdict.stage, verdict.reason, set(verdict.details)) == ("decode", "number_too_large", {field})


def test_a_long_number_that_can_be_read_is_what_it_says():
    """Seventy thousand zeros behind the point change no number: it is judged by its value, not as nothing."""
    verdict = refused(run_end_with(b'"duration":"15"', b'"duration":-15.' + b"0" * 70_000))
    assert "-15" in verdict.details["resources.0.duration"]


def test_what_is_kept_unread_may_hold_any_number():
    """A resource's state goes to its row as the sender's text, and is no reason to refuse the message."""
    accepted(run_end_with(b'"before":{}', b'"before":{"size":' + b"1" * 5000 + b"}"))


def run_end_with(old, new):
    """A run end in which `old`, that must be there, is written as `new`."""
    sent = run_end()
    body = gzip.decompress(sent.payload)
    assert old in body
    return Message("run_end", body.replace(old, new, 1), "http", ORGANIZATION, NODE, sent.run_id)


def run_end_with_body_id(run_id):
    body = json.loads(gzip.decompress(run_end().payload)) | {"run_id": run_id}
    return Message("run_end", json.dumps(body).encode(), "http", "ponyville", NODE, RUN_ID)


@pytest.mark.parametrize("encoding", [None, "gzip"])
@pytest.mark.parametrize("door", ["http", "chef"])
@pytest.mark.parametrize(
    ("organization", "speaks_for", "taken"),
    [
        ("acme", None, True),
        ("acme", ("acme",), True),
        ("acme", ("café", "acme"), True),
        ("acme", ("Acme", "acme ", "ac", ""), False),
        ("acme", (), False),
        (..., ("null", "None"), False),
    ],
)
def test_a_sender_speaks_for_what_it_may(organization, speaks_for, taken, door, encoding):
    """An action of another organization than its sender's is refused as that, on every way through the judge."""
    message = action(door=door, organization_name=organization)
    payload = message.payload if encoding is None else gzip.compress(message.payload)
    verdict = JUDGE(replace(message, payload=payload, content_encoding=encoding, speaks_for=speaks_for))
    if taken:
        assert isinstance(verdict, Candidate)
    else:
        assert (verdict.stage, verdict.reason) == ("meaning", "foreign_organization")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"organization_n\\u0061me": "acme"}', "schema"),
        (b'{"organization_name": "other", "organization_n\\u0061me": "acme"}', "duplicate_member"),
        (b'{"data": {"organization_name": "acme"}}', "foreign_organization"),
        (b'{"organization_name": ["acme"]}', "foreign_organization"),
        (b'["organization_name", "acme"]', "not_object"),
    ],
)
def test_whose_an_action_is_is_said_in_one_place(body, reason):
    """Neither spelling, repeating nor hiding the name makes a sender speak for another organization."""
    assert refused(Message("action", body, "http", speaks_for=("acme",))).reason == reason


@pytest.mark.parametrize(
    ("member", "taken"),
    [
        (b'"node_name": "web1", ', True), (b'"node_name": "WEB1", ', False), (b'"node_name": "", ', False), (b"", True),
        (b'"node_name": null, ', True), (b'"node_nam\\u0065": "other", ', False),
    ],
)  # fmt: skip
def test_a_client_speaks_for_its_own_node(member, taken):
    """Where the URL does not say the node the body does, and one that names another node is refused."""
    body = action().payload.replace(b"{", b"{" + member, 1)
    verdict = JUDGE(Message("action", body, "chef", speaks_as="web1"))
    if taken:
        assert isinstance(verdict, Candidate)
    else:
        assert (verdict.stage, verdict.reason) == ("meaning", "foreign_organization")
    assert isinstance(JUDGE(replace(run_start(), speaks_as=NODE)), Candidate)
    assert refused(replace(run_start(), speaks_as="other")).reason == "foreign_organization"


def test_a_run_is_its_urls_organizations():
    """Where the body names nobody, the envelope says who is spoken for."""
    assert isinstance(JUDGE(replace(run_start(), speaks_for=(ORGANIZATION,))), Candidate)
    assert refused(replace(run_start(), speaks_for=("other",))).reason == "foreign_organization"


@pytest.mark.parametrize("sent", [action(), run_start(), run_end()], ids=lambda sent: sent.kind)
def test_no_member_of_any_kind_reads_a_number_of_many_digits_as_another(sent):
    """Each member by itself, counts and times too, but those that are kept as text: named, and never 0."""
    members = json.loads(gzip.decompress(sent.payload) if sent.content_encoding else sent.payload)
    for name in members.keys() - KINDS[sent.kind].opaque:
        for number in HUGE:
            body = json.dumps(members | {name: "@"}).encode().replace(b'"@"', number)
            verdict = refused(replace(sent, payload=body, content_encoding=None))
            assert (verdict.reason, set(verdict.details)) == ("number_too_large", {name})
