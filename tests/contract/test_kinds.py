"""The contract of a kind, held by every one there is: on a real broker, a real database and the worker itself.

A kind is covered as soon as its folder and its examples are there; `pytest tests/contract/test_kinds.py -k NAME`.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from kind_examples import (
    MESSAGES,
    Example,
    as_sent,
    before,
    changes,
    door,
    examples,
    first,
    judge,
    key_of,
    row_of,
    schema_of,
    sent,
    with_body,
    with_new_key,
)
from kind_house import House, rights

from ingest.cli.validate import guess
from ingest.diagnostics.audit import audit
from ingest.diagnostics.database import check_database
from ingest.shim.openapi import component, document
from schemas.kinds import KINDS
from schemas.kinds.columns import columns
from schemas.settings import Settings
from schemas.validation.validator import compile_validator
from schemas.verdict import Conflict, Created, Invalid

SECRET = "tartar sauce 1138"
VALID = [pytest.param(each, id=f"{kind} {each.name}") for kind in KINDS for each in examples(kind, "valid")]
REFUSED = [pytest.param(each, id=f"{kind} {each.name}") for kind in KINDS for each in examples(kind, "refused")]

STORED = [kind.name for kind in KINDS.values() if kind.tables]
"""A kind without a table is never stored: of it, what is refused is told."""

every_kind = pytest.mark.parametrize("kind", STORED)
every_valid = pytest.mark.parametrize("example", VALID)


@pytest.fixture(scope="module")
def running(vhost_pool: Any, databases: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    amqp_url, database_url = vhost_pool.take(), databases.create(migrated=True)
    with House(amqp_url, database_url, tmp_path_factory.mktemp("state")) as house:
        yield house
    vhost_pool.give_back(amqp_url)
    databases.drop(database_url)


@pytest.fixture
def house(running: House) -> House:
    """Without a row."""
    running.empty()
    return running


@every_kind
def test_a_kind_has_examples_of_both_sorts(kind: str) -> None:
    """Also one that every profile takes; and no folder is left over."""
    assert examples(kind, "refused")
    assert first(kind)
    assert {each.name for each in MESSAGES.iterdir()} == set(KINDS)


@every_valid
def test_a_valid_example_is_stored_and_read_back_as_sent(house: House, example: Example) -> None:
    """Every member that was sent is in a column or in `extra`, and the envelope's facts are in theirs."""
    message = example.message
    house.prepare(message)
    [verdict] = house.deliver([message])
    assert isinstance(verdict, Created)
    assert not verdict.duplicate
    row = house.stored(message.kind, key_of(message))
    assert row == row_of(message)
    found, expected = as_sent(row), sent(message)
    added = set(found) - set(expected)
    assert {name: found[name] for name in expected} == expected
    assert added <= {columns(type(row))[0].member}, "nothing is made up but a key"
    for fact in (message.organization, message.node):
        assert fact is None or not {"organization", "node_name"} & set(row._fields) or fact in row


@every_valid
def test_sent_again_it_is_the_same_answer_and_the_same_row(house: House, example: Example) -> None:
    """In a batch of its own, and twice in one."""
    message = example.message
    house.prepare(message)
    [created] = house.deliver([message])
    there = house.everything(message.kind)
    again = [*house.deliver([message]), *house.commit(message, message)]
    assert again == [Created(created.path, duplicate=True)] * 3
    assert house.everything(message.kind) == there
    assert house.letters() == []


@every_valid
def test_any_one_member_changed_is_a_conflict_and_a_letter(house: House, example: Example) -> None:
    """It names the column, and the row stays; where another value is no conflict, nobody is told off."""
    message = example.message
    if example.wire:
        message = msgspec.structs.replace(message, payload=first(message.kind).payload, door=door(message.kind))
    house.prepare(message)
    house.commit(message)
    there = house.everything(message.kind)
    changed = list(changes(message))
    fine, others = ([each for each in changed if each.fine is fine] for fine in (True, False))
    for change, verdict in zip(others, house.deliver(each.message for each in others), strict=True):
        assert isinstance(verdict, Conflict), change
        names = " ".join(verdict.details)
        assert change.column.field in names or (change.column.extra and "unheard_of" in names), verdict
    assert [state for state, _ in house.letters()] == ["open"] * len(others)
    assert house.everything(message.kind) == there
    # Backwards: a run's outcome is among the first, and after another one other things are conflicts.
    verdicts = house.deliver(each.message for each in reversed(fine))
    assert {type(each) for each in verdicts} <= {Created}
    assert len(house.letters()) == len(others)


@every_kind
def test_every_column_can_be_told_from_another_one(kind: str) -> None:
    """Each is changed in one of the examples, but for the key and for what can only be what it is."""
    row = KINDS[kind].row
    rows = [row, *(each.rows for each in columns(row) if each.rows is not None)]
    every = {column for each in rows for column in columns(each) if column.member is not None or column.extra}
    only = {name for name, each in schema_of(kind)["properties"].items() if len(each.get("enum", ())) == 1}
    valid = [each.message for each in examples(kind, "valid") if not each.wire]
    changed = {change.column for each in valid for change in changes(each)}
    assert {each.field for each in every - changed - {columns(row)[0]}} <= only


@every_valid
@pytest.mark.parametrize("deep", [False, True], ids=["in a column", "anywhere"])
def test_a_secret_in_a_json_column_is_nowhere_in_the_database(house: House, example: Example, deep: bool) -> None:
    """In every JSON column at once, also of the rows within."""
    message, kind = example.message, KINDS[example.message.kind]
    secret: Any = {"password": SECRET}
    secret = {"deeper": [secret], **secret} if deep else secret
    body = _with_secrets(columns(kind.row), json.loads(message.payload), secret)
    message = with_body(message, body)
    judged = judge(redact_anywhere="password") if deep else judge()
    house.prepare(message)
    places = json.dumps(body).count(SECRET)
    assert places >= sum(column.json and (column.extra or bool(column.member)) for column in columns(kind.row))
    assert [type(each) for each in house.commit(message, judged=judged)] == [Created]
    assert house.anywhere(SECRET) == []
    assert house.anywhere("[redacted]")


def _with_secrets(described: Any, body: dict[str, Any], secret: dict[str, Any]) -> dict[str, Any]:
    changed = dict(body)
    for column in described:
        if column.extra:
            changed |= secret
        elif column.json and column.member is not None:
            changed[column.member] = secret
        elif column.rows is not None:
            changed[column.member] = [_with_secrets(columns(column.rows), each, secret) for each in body[column.member]]
    return changed


@pytest.mark.parametrize("example", REFUSED)
def test_a_refused_example_is_a_letter_that_names_its_field(house: House, example: Example) -> None:
    """By the worker, and by `validate`."""
    message = msgspec.structs.replace(example.message, kind=example.path.parent.parent.name)
    house.prepare(*(first(kind) for kind in STORED if kind == message.kind))
    [verdict] = house.deliver([message])
    assert isinstance(verdict, Invalid)
    assert example.field in verdict.details
    assert [(state, details.keys()) for state, details in house.letters()] == [("open", dict(verdict.details).keys())]


@every_kind
def test_the_database_s_refusal_of_one_row_spares_its_batch(house: House, kind: str) -> None:
    """It is the one's own Invalid, of the stage `database`."""
    good, bad, other = (with_new_key(first(kind)) for _ in range(3))
    house.prepare(good, bad, other)
    with house.refusing(kind, key_of(bad)):
        verdicts = house.commit(good, bad, other)
    assert [type(each) for each in verdicts] == [Created, Invalid, Created]
    assert verdicts[1].stage == "database"
    assert [house.stored(kind, key_of(each)) for each in (good, other)] == [row_of(good), row_of(other)]
    assert len(house.letters()) == 1


@every_valid
def test_alone_and_in_a_batch_it_leaves_the_same_rows(house: House, example: Example) -> None:
    """Whatever stands beside it."""
    message = example.message
    beside = [with_new_key(first(message.kind)) for _ in range(2)]
    house.prepare(message)
    house.commit(message)
    alone = house.everything(message.kind)
    house.empty()
    house.prepare(message, *beside)
    assert [type(each) for each in house.commit(beside[0], message, beside[1])] == [Created] * 3
    together = house.everything(message.kind)
    assert alone <= together
    assert len(together) > len(alone)


@every_kind
def test_the_ledger_closes_after_it(house: House, kind: str) -> None:
    """Stored, repeated, refused and conflicting ones: each is accounted for."""
    valid = [each.message for each in examples(kind, "valid")]
    refused = [msgspec.structs.replace(each.message, kind=kind) for each in examples(kind, "refused")]
    for message in valid:
        for needed in before(message):
            house.deliver([needed])
    house.deliver([*valid, *refused, *valid])
    house.deliver(each.message for each in changes(first(kind)))
    house.write_ledger()
    found = audit(house.settings, house.state, hours=2, sleep=lambda _: None)
    assert (found.verdict, found.ledger.gap) == ("closed", 0), found


@pytest.fixture(scope="module")
def stranger(running: House, owner: str) -> Iterator[str]:
    """The URL of a role without a right of its own."""
    role = f"{owner}_stranger_{uuid.uuid4().hex[:8]}"
    running.rows(f"CREATE ROLE {role} LOGIN PASSWORD 'lesser'")
    parts = urlsplit(running.settings.database_url)
    yield f"postgresql://{role}:lesser@{parts.hostname}:{parts.port}{parts.path}"
    running.rows(f"DROP OWNED BY {role}")
    running.rows(f"DROP ROLE {role}")


@every_kind
def test_the_doctor_asks_for_its_rights_and_no_more_is_needed(house: House, kind: str, stranger: str) -> None:
    """Granted what it asks for, the role stores the kind's messages."""
    role = urlsplit(stranger).username
    house.rows(f"DROP OWNED BY {role}")
    house.rows(f"GRANT SELECT ON schema_migrations TO {role}")
    asked = _lacking(stranger)
    assert rights(kind) <= asked
    for each in asked:
        house.rows(f"GRANT {each.replace(' on ', ' ON ')} TO {role}")
    assert _lacking(stranger) == set()
    message = first(kind)
    house.prepare(message)
    verdicts = [each for _ in range(2) for each in house.commit_as(stranger, message)]
    assert [type(each) for each in verdicts] == [Created, Created]


def _lacking(url: str) -> set[str]:
    [text] = [each.finding for each in check_database(Settings(database_url=url)) if each.check == "rights"]
    return set(re.findall(r"[A-Z]+ on \w+", text))


@every_kind
def test_a_replay_of_its_letter_resolves_it(house: House, kind: str) -> None:
    """What the database refused is stored once it does not."""
    message = first(kind)
    house.prepare(message)
    with house.refusing(kind, key_of(message)):
        assert [type(each) for each in house.deliver([message])] == [Invalid]
    assert house.stored(kind, key_of(message)) != row_of(message)
    done = house.command("dead", "replay", "--yes", "--as", "kim")
    assert done.exit_code == 0, done.output
    assert [type(each) for each in house.verdicts(1)] == [Created]
    assert [state for state, _ in house.letters()] == ["resolved"]
    assert house.stored(kind, key_of(message)) == row_of(message)


@every_kind
def test_the_fast_path_makes_the_same_row(kind: str) -> None:
    """In every profile, of at least one example; every other one goes the long way."""
    if KINDS[kind].fastpath is None:
        return
    for profile in KINDS[kind].schemas:
        fastpath = compile_validator(KINDS[kind], profile).fastpath
        assert fastpath is not None, f"off in {profile}"
        taken = [(each, fastpath(each.message.payload)) for each in examples(kind, "valid")]
        rows = [(each, row) for each, row in taken if row is not None]
        assert rows, f"{profile}: no example is written as senders write: compact, and nothing unknown in it"
        for each, row in rows:
            # White space is what the long way alone takes.
            payload = each.message.payload.rstrip() + b" "
            assert row == row_of(msgspec.structs.replace(each.message, payload=payload))


@pytest.mark.parametrize("kind", KINDS)
def test_the_openapi_document_has_it(kind: str) -> None:
    """As a schema with the members of the published one."""
    described = document()["components"]["schemas"][component(kind)]
    assert described["properties"].keys() >= set(KINDS[kind].sign)
    assert described["type"] == "object"


@every_valid
def test_validate_guesses_its_kind(example: Example) -> None:
    """By its body alone."""
    assert guess(example.path.read_bytes(), "http").kind == example.path.parent.parent.name


def test_a_file_of_examples_says_what_it_is() -> None:
    """Nothing is in the folder that is not tried, and no valid example is called `wire` that all profiles take."""
    tried = {
        each.path for kind in KINDS for folder in ("valid", "refused", "before") for each in examples(kind, folder)
    }
    assert {path for path in MESSAGES.rglob("*") if path.is_file()} == tried
    for kind in KINDS:
        for example in examples(kind, "valid"):
            by_documented = judge()(msgspec.structs.replace(example.message, door=door(kind)))
            assert isinstance(by_documented, Invalid) == example.wire
        for example in examples(kind, "refused"):
            assert re.fullmatch(r"[@a-z_.0-9]+--[a-z_]+", example.name)
