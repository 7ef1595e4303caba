"""What became of a message, as an HTTP answer."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.http.answers import Answer, Asked, fault, of_outcome, refused, render
from ingest.http.outcome import HOPELESS, QUEUED, Outcome, Refusal, Refused
from schemas.verdict import (
    Conflict,
    Created,
    DuringRun,
    Invalid,
    Pong,
    UnknownRun,
    from_wire,
    to_wire,
    with_letter,
    without_letter,
)

ACTION = "action"
RUN_END = "run_end"
RUN_START = "run_start"

BASE = "http://ingest.example.com:8080"
RUNS = "/organizations/acme/reports/nodes/web1/runs"
ID = "b576b4a2-7b2a-43b8-b385-d6281e9a139e"


def answer(
    outcome: Outcome, kind: str = ACTION, path: str = "/messages", applied: str | None = None
) -> tuple[int, dict[bytes, bytes], object]:
    """Status, header fields and parsed body of the answer to an outcome."""
    given_ = of_outcome(outcome, Asked(kind, BASE, path, applied))
    headers, body = render(given_)
    assert body.endswith(b"\n"), "a shell's prompt stands behind it"
    assert dict(headers)[b"content-length"] == str(len(body)).encode()
    return given_.status, dict(headers), json.loads(body)


def test_created() -> None:
    """A stored action is 201, its absolute URL in Location and in the body."""
    status, headers, body = answer(Created(f"/actions/{ID}"))
    assert status == 201
    assert headers[b"location"].decode() == f"{BASE}/actions/{ID}"
    assert body == {"uri": f"{BASE}/actions/{ID}"}


def test_created_run_start() -> None:
    """A stored run start is 201 with the run's URL."""
    status, _, body = answer(Created(f"{RUNS}/{ID}"), RUN_START, RUNS)
    assert (status, body) == (201, {"uri": f"{BASE}{RUNS}/{ID}"})


def test_created_run_end() -> None:
    """A stored run end is 201 with an empty object, as the Reporting API documents."""
    status, _, body = answer(Created(f"{RUNS}/{ID}"), RUN_END, f"{RUNS}/{ID}")
    assert (status, body) == (201, {})


def test_created_path_stays_a_header() -> None:
    """No path puts a line end into a header field; what is quoted already stays as it is."""
    _, headers, _ = answer(Created("/a%2Fb/ä\r\nx: y"))
    assert headers[b"location"].decode() == f"{BASE}/a%2Fb/%C3%A4%0D%0Ax:%20y"


def test_during_run() -> None:
    """An action during a run is 200, and says it is not stored, by which rule and for which run."""
    status, headers, body = answer(DuringRun("run_id", ID))
    assert status == 200
    assert headers[b"x-ingest-rule"] == b"run_id"
    assert body == {"stored": False, "rule": "run_id", "run_id": ID}


def test_invalid_has_the_documented_form() -> None:
    """An invalid action is 400 in the form the API documents, word for word."""
    details = {"entity_name": "'' is not a valid entity name"}
    status, _, body = answer(Invalid("schema", "schema", details))
    assert (status, body) == (400, {"error": "Validation failed", "details": details})


@pytest.mark.parametrize(("reason", "status"), [("too_large", 413), ("content_encoding", 415), ("x", 400)])
def test_invalid_statuses(reason: str, status: int) -> None:
    """Only the reasons that HTTP has a code of its own for leave 400."""
    assert answer(Invalid("decode", reason, {"body": "x"}))[0] == status


def test_unknown_run() -> None:
    """The end of a run that nobody started is 404 and names the run."""
    status, _, body = answer(UnknownRun(ID, "nobody started it"), RUN_END)
    assert (status, body) == (404, {"error": "nobody started it", "details": {"run_id": ID}})


def test_conflict() -> None:
    """Another content under a taken id is 409 and names what differs."""
    status, _, body = answer(Conflict({"task": "differs"}))
    assert status == 409
    assert isinstance(body, dict)
    assert body["details"] == {"task": "differs"}


@pytest.mark.parametrize(
    ("kind", "path", "key", "place"),
    [
        (ACTION, "/messages", "uri_template", "/actions/{id}"),
        (RUN_START, RUNS, "uri_template", RUNS + "/{run_id}"),
        (RUN_END, f"{RUNS}/{ID}", "uri", f"{RUNS}/{ID}"),
    ],
)
def test_queued(kind: str, path: str, key: str, place: str) -> None:
    """A message without a verdict yet is 202 and says where it will appear."""
    status, headers, body = answer(QUEUED, kind, path)
    assert status == 202
    assert b"preference-applied" not in headers
    assert isinstance(body, dict)
    assert (body["status"], body[key]) == ("queued", BASE + place)


def test_queued_by_preference() -> None:
    """202 names the preference that was applied, if the client had one."""
    assert answer(QUEUED, applied="wait=5")[1][b"preference-applied"] == b"wait=5"


@pytest.mark.parametrize("refusal", Refusal)
def test_refused(refusal: Refusal) -> None:
    """Every refusal says in words and by code what is wrong: 503 with Retry-After where sending again may help."""
    status, headers, body = answer(Refused(refusal))
    if refusal in HOPELESS:
        assert (status, headers.get(b"retry-after")) == (413 if refusal is Refusal.TOO_LARGE else 400, None)
    else:
        assert status == 503
        assert int(headers[b"retry-after"]) > 0
    assert isinstance(body, dict)
    assert body["error"]
    assert body["details"] == {"reason": refusal.value}


def test_pong_is_no_answer() -> None:
    """A pong never answers a POST."""
    with pytest.raises(KeyError):
        of_outcome(Pong(), Asked(ACTION, BASE, "/messages"))


def test_problem_document() -> None:
    """An error asked for as a problem document carries RFC 9457's members and our details."""
    refusal = fault(409, "taken", {"id": "differs"}, code="conflict")
    headers, body = render(refusal, problem=True)
    assert dict(headers)[b"content-type"] == b"application/problem+json"
    assert json.loads(body) == {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "detail": "taken",
        "code": "conflict",
        "details": {"id": "differs"},
    }


def test_problem_is_for_errors_only() -> None:
    """A success keeps its form whatever the client accepts."""
    headers, body = render(Answer(201, {"uri": "x"}), problem=True)
    assert dict(headers)[b"content-type"] == b"application/json"
    assert json.loads(body) == {"uri": "x"}


def test_problem_keeps_headers() -> None:
    """A problem document keeps the answer's own header fields."""
    headers, _ = render(refused(Refusal.BLOCKED), problem=True)
    assert b"retry-after" in dict(headers)


@given(st.dictionaries(st.text(), st.text()), st.booleans())
def test_details_of_any_text(details: dict[str, str], problem: bool) -> None:
    """Details of any text, lone surrogates included, come out as JSON that reads back the same."""
    refusal = of_outcome(Invalid("schema", "schema", details), Asked(ACTION, BASE, "/messages"))
    _, body = render(refusal, problem=problem)
    assert json.loads(body)["details"] == details


WHY = "no letter kept: 1000 letters of acme in this hour, INGEST_LETTERS_PER_HOUR"


@pytest.mark.parametrize("verdict", [Invalid("schema", "schema", {"id": "x"}), UnknownRun("r", "none"), Conflict({})])
def test_an_answer_without_a_letter_says_so_and_is_the_same_otherwise(verdict: Invalid | UnknownRun | Conflict) -> None:
    """In both forms of an error, over the wire that workers tell shims by; one with a letter says nothing of it."""
    told = from_wire(json.loads(json.dumps(to_wire(without_letter(verdict, WHY)))))
    for problem in (False, True):
        kept, bare = (
            render(of_outcome(each, Asked(ACTION, BASE, "/m")), problem=problem)[1] for each in (verdict, told)
        )
        assert json.loads(bare) == json.loads(kept) | {"letter": WHY}
    assert "told" not in to_wire(verdict)


def test_the_number_of_a_letter_goes_from_worker_to_shim_and_nothing_where_there_is_none() -> None:
    """A shim that does not know the field is told none of it."""
    verdict = Invalid("schema", "schema", {"id": "x"})
    assert from_wire(json.loads(json.dumps(to_wire(with_letter(verdict, 7))))) == with_letter(verdict, 7)
    assert "letter" not in to_wire(verdict)
