"""`doctor` against a real management API: what it finds there, and what it says when it may not look."""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote, urlsplit

import pytest
from click.testing import CliRunner
from http_support import broker_channel
from operate_support import command, consuming, declared, environment
from private_broker import ManagedBroker, managed_broker

from ingest.cli import main
from ingest.soak.system import until
from schemas.topology import ACTIONS, DEAD, DEAD_EXCHANGE, VHOST

Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def managed() -> Iterator[ManagedBroker]:
    """A broker of this module's own; each test leaves it as it found it."""
    with managed_broker() as broker:
        declared(broker.rabbit.url)
        yield broker


@dataclass
class Doctor:
    """The real command, in this process, on one environment."""

    env: dict[str, str]

    def __call__(self, *options: str, **settings: str) -> tuple[int, Rows]:
        """Exit code, and the findings about what the management API tells."""
        asked = ["doctor", "--output", "json", *options]
        done = CliRunner().invoke(main, asked, env=self.env | settings, catch_exceptions=False)
        assert done.stderr == ""
        rows = json.loads(done.stdout)
        return done.exit_code, [
            row for row in rows if row["check"] in ("policies", "bindings", "nodes", "copies", "alarms", "management")
        ]


@pytest.fixture
def doctor(managed: ManagedBroker, database_url: str, tmp_path: Path) -> Doctor:
    env = environment(managed.rabbit.url, database_url, tmp_path / "state", management_url=managed.management_url)
    assert command("partitions", "create", env=env).returncode == 0
    return Doctor(env)


def until_found(probe: Callable[[], tuple[int, Rows]], code: int, check: str) -> dict[str, str]:
    """The one finding of a kind that is not ok, once the API shows it; the exit code is that of it."""

    def asked() -> Rows:
        status, rows = probe()
        return [row for row in rows if row["check"] == check and row["level"] != "ok" and status == code]

    (found,) = until(asked, f"doctor finds something about {check} and exits {code}")
    return found


def test_a_healthy_broker_is_found_healthy(doctor: Doctor) -> None:
    """With workers consuming, exit 0, and policies, bindings, nodes, copies and alarms were looked at and are ok."""
    with consuming(doctor.env, "-n", "1"):
        code, rows = doctor()
    assert {row["check"]: row["level"] for row in rows} == dict.fromkeys(
        ("policies", "bindings", "nodes", "copies", "alarms"), "ok"
    )
    assert code == 0


@pytest.mark.parametrize(
    ("set_it", "clear_it", "definition"),
    [
        ("set_policy", "clear_policy", {"max-length": 7}),
        ("set_operator_policy", "clear_operator_policy", {"message-ttl": 60_000}),
        ("set_policy", "clear_policy", {"delivery-limit": 20}),
    ],
)
def test_a_policy_in_force_is_a_warning_with_the_command_that_ends_it(
    doctor: Doctor, managed: ManagedBroker, set_it: str, clear_it: str, definition: dict[str, int]
) -> None:
    """Exit 2, the policy, what it sets and on which queue; its remedy, typed, makes it ok again."""
    managed.rabbit.ctl(set_it, "-p", VHOST, "cap", r"^ingest\.actions$", json.dumps(definition))
    found = until_found(doctor, 2, "policies")
    ((name, value),) = definition.items()
    assert f"'cap' sets {name} = {value} on {ACTIONS}:" in found["finding"]
    remedy = found["remedy"].partition("rabbitmqctl ")[2].split()
    assert remedy[0] == clear_it
    managed.rabbit.ctl(*remedy)
    until(lambda: doctor()[0] == 0, "nothing caps them any more")


def test_a_missing_binding_is_broken(doctor: Doctor, managed: ManagedBroker) -> None:
    """Exit 1 for a dead-letter route that leads nowhere, and the remedy mends it."""
    with broker_channel(managed.rabbit.url) as channel:
        channel.queue_unbind(DEAD, DEAD_EXCHANGE, "#")
    found = until_found(doctor, 1, "bindings")
    assert found["finding"] == f"{DEAD_EXCHANGE} -> {DEAD} (#) is missing"
    assert command(*found["remedy"].split()[1:], env=doctor.env).returncode == 0
    until(lambda: doctor()[0] == 0, "it is bound again")


def test_an_alarm_is_broken(doctor: Doctor, managed: ManagedBroker) -> None:
    """Exit 1 while the disk is too full, named by the node and by what the broker tells publishers."""
    managed.rabbit.ctl("set_disk_free_limit", "900GB")
    try:
        found = until_found(doctor, 1, "nodes")
        assert "disk_free_alarm" in found["finding"]
        assert managed.rabbit.name in found["finding"]
        # A busy broker may tell publishers later than the doctor listens.
        until(lambda: {row["level"] for row in doctor()[1] if row["check"] == "alarms"} == {"broken"}, "it is told")
    finally:
        managed.rabbit.ctl("set_disk_free_limit", "50MB")
    until(lambda: doctor()[0] == 0, "the alarm is over")


def test_a_user_who_may_not_look_is_told_which_tag_is_missing(doctor: Doctor, managed: ManagedBroker) -> None:
    """Wrong passwords and users without the tag are a warning that names the remedy; typed, it works; no password
    is shown."""
    rabbit = managed.rabbit
    rabbit.ctl("add_user", "watcher", "w@tch/er")
    rabbit.ctl("set_permissions", "-p", VHOST, "watcher", "", "", ".*")
    address = managed.management_url.removeprefix("http://")

    def told(password: str) -> dict[str, str]:
        url = f"http://watcher:{quote(password, safe='')}@{address}"
        code, rows = doctor(INGEST_MANAGEMENT_URL=url)
        (found,) = (row for row in rows if row["check"] == "management")
        assert (code, found["level"]) == (2, "warning")
        assert password not in str(found)
        # Of a wrong password RabbitMQ says one up to 3.13, the other since.
        words = ("Login failed", "Not_Authorized") if password == "wrong-one" else ("Not m", "Not_Authorized")
        assert any(f"refuses the user watcher: {each}" in found["finding"] for each in words)
        return found

    told("wrong-one")
    remedy = told("w@tch/er")["remedy"]
    rabbit.ctl("set_user_tags", "watcher", "management")
    told("w@tch/er")
    rabbit.ctl(*remedy.removeprefix("rabbitmqctl ").partition(";")[0].split())
    assert doctor(INGEST_MANAGEMENT_URL=f"http://watcher:w%40tch%2Fer@{address}")[0] == 0


def test_what_is_no_management_api_is_a_finding(doctor: Doctor, managed: ManagedBroker) -> None:
    """Nobody there, a broker's AMQP port, another service: each a warning with a remedy where the API was named."""
    for url, words in (
        ("http://127.0.0.1:1", "refused"),
        (f"http://127.0.0.1:{managed.rabbit.port}", "does not answer"),
        (f"https://{managed.management_url.removeprefix('http://')}", "does not answer"),
        (f"{managed.management_url}/elsewhere", "answers 4"),
        ("http://127.0.0.2:15672", "no password was given"),
    ):
        code, rows = doctor("--management", url)
        (found,) = (row for row in rows if row["check"] == "management")
        assert (code, found["level"]) == (2, "warning")
        assert words in found["finding"]
        assert found["remedy"]


def test_an_api_that_nobody_named_may_be_missing(doctor: Doctor) -> None:
    """Where the usual port does not answer, or not us, that is a note: exit 0."""
    code, rows = doctor(INGEST_MANAGEMENT_URL="")
    assert code == 0
    assert [row["level"] for row in rows if row["check"] == "management"] == ["note"]


@pytest.mark.parametrize(
    "url", ["ftp://x", "127.0.0.1:15672", "http://", "http://h:99999", "http://h o/", "http://u:p@h"]
)
def test_a_management_url_that_is_none_is_a_configuration_error(doctor: Doctor, url: str) -> None:
    """Exit 78, which variable or option is meant, and nothing of the URL; a password is not taken from the command
    line."""
    done = command("doctor", "--management", url, env=doctor.env)
    assert done.returncode == 78
    assert "--management" in done.stderr
    assert "Traceback" not in done.stderr
    assert "u:p" not in done.stderr


def test_the_password_is_not_in_the_configuration_shown(doctor: Doctor) -> None:
    """`config` masks it."""
    shown = command("config", env=doctor.env | {"INGEST_MANAGEMENT_URL": "http://watcher:s3cret@h:15672"})
    assert "s3cret" not in shown.stdout
    assert "watcher:***@h:15672" in shown.stdout


class Stranger(BaseHTTPRequestHandler):
    """A host that collects what is sent to it, and sends on where it is told to."""

    seen: ClassVar[list[str]] = []
    onward: ClassVar[str] = ""

    def do_GET(self) -> None:
        self.seen.append(f"{self.path} {self.headers}")
        self.send_response(302 if self.onward else 200)
        if self.onward:
            self.send_header("Location", self.onward)
        self.end_headers()
        self.wfile.write(b"[]")

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def stranger(host: str) -> Iterator[str]:
    server = ThreadingHTTPServer((host, 0), Stranger)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://{host}:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_the_brokers_password_goes_to_the_broker_only(
    amqp_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not to another host that is named, not through a proxy of the environment, not along a redirect."""
    monkeypatch.setattr(Stranger, "seen", [])
    monkeypatch.setattr(Stranger, "onward", "")
    password = urlsplit(amqp_url).password or "?"
    secret = b64encode(f"{urlsplit(amqp_url).username}:{password}".encode()).decode()
    env = environment(amqp_url, "postgresql://127.0.0.1:1/x", tmp_path / "state")
    with stranger("127.0.0.1") as here, stranger("127.0.0.2") as elsewhere:
        for named in ({"INGEST_MANAGEMENT_URL": elsewhere}, {}):
            options = () if named else ("--management", elsewhere)
            done = command("doctor", "--output", "json", *options, env=env | named)
            (found,) = (row for row in json.loads(done.stdout) if row["check"] == "management")
            assert found["level"] == "warning"
            assert "no password was given for http://127.0.0.2" in found["finding"]
        assert Stranger.seen == []
        doctor = Doctor(env | {"http_proxy": elsewhere, "HTTP_PROXY": elsewhere})
        doctor("--management", here)
        assert secret in str(Stranger.seen)
        assert "http://" not in str(Stranger.seen)
        Stranger.seen.clear()
        Stranger.onward = f"{elsewhere}/onward"
        doctor("--management", here)
        assert Stranger.seen
        assert "/onward" not in str(Stranger.seen)
        Stranger.onward = ""
        own = elsewhere.replace("://", "://us:ours@")
        Stranger.seen.clear()
        doctor("--management", elsewhere, INGEST_MANAGEMENT_URL=own)
        assert b64encode(b"us:ours").decode() in str(Stranger.seen)
        assert secret not in str(Stranger.seen)
    secured = env | {"AMQP_URL": amqp_url.replace("amqp:", "amqps:")}
    done = command("doctor", "--output", "json", "--management", here, env=secured)
    assert "no password was given for http" in done.stdout
