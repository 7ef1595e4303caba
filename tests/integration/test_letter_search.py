"""Who sent a letter is kept with it, and by that, by entity, requestor and text letters are found: at the doors."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result
from kind_examples import examples
from stack_support import running

from consumers.delivery import Delivery, Judged
from consumers.runtime.failpoints import Failpoint
from consumers.store.store import PostgresStore
from ingest.access.tokens import new
from ingest.cli import main
from ingest.soak.system import until
from schemas.kinds import KINDS
from schemas.message import HEADER_SENDER, Message
from schemas.settings import Settings
from schemas.topology import QUEUES_BY_KIND, ROUTING_KEYS
from schemas.validation.judge import Judge

Look = Callable[..., Result]
ACTION = json.loads((Path(__file__).parents[1] / "fixtures" / "example_action.json").read_bytes())
HOSTILE = '"><script>\u202e'


def commands(**env: str) -> Look:
    return lambda *words, **more: CliRunner().invoke(main, words, env=env | more)


def done(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(**members: Any) -> bytes:
    return json.dumps(ACTION | {"task": "removed"} | members).encode()


def test_the_first_sender_stays_with_a_letter_through_its_replays(
    amqp_url: str, database_url: str, tmp_path: Path
) -> None:
    """By HTTP it is what the shim knows, by the exchange what the body says, whatever a header there claims; a replay
    sends it on, and who sends the same message again does not take its place."""
    lines = [new(name, "actions") for name in ("lab", "other")]
    secrets = [secret for secret, _ in lines]
    (tmp_path / "tokens").write_text("".join(f"{line}\n" for _, line in lines))
    env = {"DATABASE_URL": database_url, "AMQP_URL": amqp_url, "INGEST_STATE": str(tmp_path)}
    look = commands(**env)
    count = "SELECT count(*) FROM dead_letters WHERE attempts >= %s"
    with running(amqp_url, database_url, auth="token", tokens_file=tmp_path / "tokens", wait_seconds=10) as system:
        for secret, agent in zip(secrets, ["Chef Client/18.3.0", "x" * 10_000], strict=True):
            fields = {
                b"authorization": f"Bearer {secret}".encode(), b"user-agent": agent.encode(),
                b"x-ops-userid": HOSTILE.encode(), b"x-forwarded-for": b"10.9.8.7",
            }  # fmt: skip
            assert system.http.post("/messages", content=refused(), headers=list(fields.items())).status_code == 400
        forged = {HEADER_SENDER: json.dumps({"who": "token lab"})}
        system.publish("actions", "erchef.node.delete", refused(user_agent="a\0b"), headers=forged)
        until(lambda: system.rows(count, 1) == [(2,)], "two letters")
        shown = json.loads(done(look("dead", "show", "1", "--output", "json")))[0]
        assert shown["sender"] == {
            "who": "token lab", "userid": HOSTILE, "address": "127.0.0.1", "forwarded_for": "10.9.8.7",
            "user_agent": "Chef Client/18.3.0", "service_hostname": "127.0.0.1", "remote_hostname": "127.0.0.1",
        }  # fmt: skip
        assert shown["attempts"] == 2
        text = look("dead", "show", "1").stdout
        assert "sender who        token lab" in text
        assert "\u202e" not in text
        assert "\\u202e" in text
        [(_, second)] = system.rows("SELECT min(id), max(id)::text FROM dead_letters")
        by_exchange = json.loads(done(look("dead", "show", second, "--output", "json")))[0]["sender"]
        assert by_exchange == {
            "user_agent": "a\ufffdb", "service_hostname": "127.0.0.1", "remote_hostname": "127.0.0.1",
        }  # fmt: skip
        look("dead", "replay", "--all", "--yes", "--wait")
        again = json.loads(look("dead", "list", "--output", "json").stdout)
        assert [(each["failed_replays"], each["sender"]) for each in again] == [
            (1, shown["sender"]), (1, by_exchange),
        ]  # fmt: skip
        # The letter gone meanwhile, its replay makes another one: of the same sender.
        exported = look("dead", "export", "--id", "1").stdout
        system.rows("DELETE FROM dead_letters RETURNING id")
        (tmp_path / "letters").write_text(exported)
        assert look("dead", "import", str(tmp_path / "letters")).exit_code == 0
        imported = json.loads(look("dead", "list", "--sender", "lab", "--output", "json").stdout)
        assert [each["sender"] for each in imported] == [shown["sender"]]
        system.rows("DELETE FROM dead_letters RETURNING id")
        assert look("import", str(tmp_path / "letters"), "--yes").exit_code == 0
        until(lambda: system.rows(count, 1) == [(1,)], "the letter once more")
        assert json.loads(look("dead", "list", "--output", "json").stdout)[0]["sender"] == shown["sender"]


SENT: tuple[tuple[bytes, str | None, dict[str, str]], ...] = (
    (refused(entity_name="app1", requestor_name="rarity"), None, {"who": "token lab", "address": "10.0.0.1"}),
    (refused(entity_name="app2", requestor_name="zoë"), None, {"who": "token lab", "address": "10.0.0.11"}),
    (refused(entity_name="app3"), "gzip", {"userid": "web01", "user_agent": "curl/8"}),
    (json.dumps(ACTION | {"task": "removed", "entity_name": "é/x"}, ensure_ascii=False).encode(), None, {}),
    (b'{"entity_name": "app1", no JSON: a%b', None, {}),
    (refused(entity_name="", task="create"), None, {"userid": "web01"}),
)
"""Bodies in their codings, and what the shim knew of who sent them: letters 1, 2 ..."""


def store(url: str, messages: list[Message]) -> None:
    settings = Settings(database_url=url)
    judge, place = Judge.from_settings(settings), PostgresStore(settings, "test", Failpoint())
    place.connect()
    try:
        for each in messages:
            place.commit(
                [
                    Judged(
                        Delivery(each, 1, 1, QUEUES_BY_KIND[each.kind], "ingest", ROUTING_KEYS[each.kind]), judge(each)
                    )
                ]
            )
    finally:
        place.close()


@pytest.fixture(scope="module")
def look(databases: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Look]:
    """`chef-ingest WORDS` over letters of SENT."""
    url = databases.create(migrated=True)
    store(
        url,
        [
            Message(
                "action", gzip.compress(body) if coding else body, "http", content_encoding=coding,
                sender=json.dumps(sender),
            )
            for body, coding, sender in SENT
        ],
    )  # fmt: skip
    yield commands(DATABASE_URL=url, INGEST_STATE=str(tmp_path_factory.mktemp("state")))
    databases.drop(url)


def found(done: Result) -> list[int]:
    assert done.exit_code == 0, done.output
    return [each["id"] for each in json.loads(done.stdout)]


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        (("--sender", "LAB"), [1, 2]),
        (("--sender", "10.0.0.1"), [1]),
        (("--sender", "10.0.0"), [1, 2]),
        (("--sender", "curl", "--sender", "token lab"), [1, 2, 3]),
        (("--sender", "web01"), [3, 6]),
        (("--sender", "127.0.0.1"), [1, 2, 3, 4, 6]),
        (("--entity", "app1"), [1]),
        (("--entity", "app3"), [3]),
        (("--entity", "é/x"), [4]),
        (("--requestor", "zoë"), [2]),
        (("--text", "app3"), [3]),
        (("--text", "zoë"), [2]),
        (("--text", "é/x"), [4]),
        (("--text", '"entity_name": "app1"'), [1, 5]),
        (("--text", "a%b"), [5]),
        (("--text", "removed", "--sender", "lab", "--requestor", "rarity"), [1]),
        (("--sort", "newest", "--limit", "2"), [6, 5]),
        (("--sort", "newest", "--after", "5", "--limit", "2"), [4, 3]),
        (("--sort", "oldest", "--after", "5"), [6]),
        (("--sort", "seen", "--limit", "1"), [6]),
        (("--sort", "attempts", "--limit", "2"), [1, 2]),
    ],
)
def test_letters_are_found_by_what_is_known_of_them(look: Look, words: tuple[str, ...], ids: list[int]) -> None:
    """By words of their sender, what they are about, text however it is coded; and in the order asked for."""
    assert found(look("dead", "list", *words, "--output", "json")) == ids


def test_the_largest_come_first_by_size(look: Look) -> None:
    """Whoever looks for what fills the table."""
    rows = json.loads(look("dead", "list", "--sort", "size", "--output", "json").stdout)
    assert [each["bytes"] for each in rows] == sorted((each["bytes"] for each in rows), reverse=True)


def test_every_command_heeds_a_search(look: Look, tmp_path: Path) -> None:
    """What is listed is what is counted, exported, parked, discarded; what matches nothing says so."""
    words = ("--text", "app2", "--sender", "lab", "--entity", "app2", "--requestor", "zoë")
    assert [row["letters"] for row in json.loads(look("dead", "stats", *words, "--output", "json").stdout)] == [1]
    assert [json.loads(line)["id"] for line in look("dead", "export", *words).stdout.splitlines()] == [2]
    assert "1 letters would be discarded" in look("dead", "discard", *words).stderr
    assert "1 letters parked" in look("dead", "park", *words, "--yes").stderr
    assert found(look("dead", "list", "--state", "parked", "--output", "json")) == [2]
    assert "1 letters unparked" in look("dead", "unpark", *words, "--yes").stderr
    patch = tmp_path / "patch.json"
    patch.write_text('[{"op": "replace", "path": "/task", "value": "delete"}]')
    assert "would be" in look("dead", "edit", "--patch", str(patch), *words).stdout
    nothing = look("dead", "list", "--text", "no such text", "--sender", "lab")
    assert nothing.exit_code == 1
    assert "no letters match sender lab, text no such text" in nothing.stderr


def test_an_order_that_changes_has_no_page_after(look: Look) -> None:
    """Letters would be shown twice, or never."""
    done = look("dead", "list", "--sort", "attempts", "--after", "2")
    assert (done.exit_code, "--sort oldest or newest" in done.stderr) == (2, True)


def test_a_cause_is_worded_without_values_and_counts_its_senders(look: Look) -> None:
    """Once for all of its letters, with the values of one beside; a note on it is shown with figures too."""
    rows = json.loads(look("dead", "groups", "--output", "json").stdout)
    [most, blank] = [next(row for row in rows if row["stage"] == stage) for stage in ("schema", "meaning")]
    assert (most["letters"], most["senders"], most["example"]) == (4, 3, "")
    assert blank["why"] == "entity_name: … is not a valid entity name"
    assert blank["example"] == "entity_name: '' is not a valid entity name"
    assert "notes" not in look("dead", "stats").stdout
    assert look("dead", "note", blank["fingerprint"], "ask the lab").exit_code == 0
    noted = [row["notes"] for row in json.loads(look("dead", "stats", "--output", "json").stdout)]
    assert noted.count("ask the lab") == 1
    assert "ask the lab" in look("dead", "stats").stdout


def test_letters_are_counted_by_whose_they_are(look: Look) -> None:
    """Who sends most of what is refused, and how much of it is one cause; of some nobody says it."""
    rows = json.loads(look("dead", "groups", "--by", "sender", "--output", "json").stdout)
    assert {row["value"]: (row["letters"], row["causes"], row["organizations"]) for row in rows} == {
        "token lab": (2, 1, 1), "web01": (2, 2, 1), "127.0.0.1": (1, 1, 1), None: (1, 1, 0),
    }  # fmt: skip
    [row] = json.loads(look("dead", "groups", "--by", "organization", "--entity", "app1", "--output", "json").stdout)
    assert (row["letters"], row["senders"]) == (1, 1)
    assert look("dead", "groups", "--by", "node").stdout.startswith("letters")


def test_a_search_that_takes_too_long_says_what_to_do(look: Look) -> None:
    """It ends by itself, in one sentence."""
    database = look.__closure__[0].cell_contents["DATABASE_URL"]  # type: ignore[attr-defined]
    with psycopg.connect(database) as other:
        other.execute("LOCK TABLE dead_letters IN ACCESS EXCLUSIVE MODE")
        done = look("dead", "groups", "--text", "x", INGEST_READ_TIMEOUT_SECONDS="0.2")
    assert done.exit_code == 1
    assert "this takes PostgreSQL more than 0.2 s: ask for fewer letters" in done.stderr


def test_a_refused_message_of_any_kind_is_found_by_what_it_tells(databases: Any) -> None:
    """Organization, node and server stand in its body, and so with its letter."""
    url = databases.create(migrated=True)
    refusals = [example.message for name in KINDS for example in examples(name, "refused")]
    store(url, refusals)
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT kind, payload, organization, node, entity, requestor, sender ->> 'service_hostname'"
            " FROM dead_letters"
        ).fetchall()
    databases.drop(url)
    told = 0
    for kind, payload, *found in rows:
        body = _members(payload) if KINDS[kind].tells else {}
        wanted = [body.get(name) for name in ("organization_name", "node_name", "entity_name", "requestor_name")]
        wanted.append(body.get(KINDS[kind].tells.get("service_hostname", "")))
        texts = [value if isinstance(value, str) and value else None for value in wanted]
        told += sum(value is not None for value in texts)
        assert found == texts or not KINDS[kind].tells, kind
    assert told > 20


def _members(payload: bytes) -> dict[str, Any]:
    try:
        body = json.loads(payload)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
