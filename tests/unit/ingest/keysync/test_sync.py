"""`keys sync` at the command line, against a Chef server that checks signatures: what it brings, and what it leaves."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from signed_requests import new_key, sign
from toy_chef_server import USER, ToyChefServer, chef_server, pem, write_user
from urllib3.util import Retry

from ingest.access import signatures
from ingest.access.keys import KeyFolder
from ingest.cli import main
from tests.throwaway_ca import ThrowawayCA

WEB1, WEB2, SPIKE = new_key(), new_key(), new_key()
SHORT = new_key(1024)


@pytest.fixture
def chef() -> Iterator[ToyChefServer]:
    with chef_server() as server:
        server.owners = {"clients/web1": {"default": pem(WEB1)}, "clients/web2": {"default": pem(WEB2)}}
        yield server


class Command:
    """`keys sync` of this folder."""

    def __init__(self, folder: Path, server: ToyChefServer) -> None:
        self.folder, self._server = folder / "keys", server
        self.folder.mkdir()
        self._key = write_user(folder)

    def __call__(self, *options: str, code: int = 0, url: str = "", user: str = "rarity") -> Result:
        arguments = ["keys", "sync", url or self._server.url, "--user", user, "--key", str(self._key), *options]
        result = CliRunner().invoke(main, arguments, env={"INGEST_CLIENT_KEYS": str(self.folder), "INGEST_CONFIG": ""})
        assert result.exit_code == code, (result.output, result.stderr, result.exception)
        return result

    def changes(self, *options: str, code: int = 0) -> list[tuple[str, ...]]:
        rows = json.loads(self(*options, "--output", "json", code=code).stdout)
        return [(row["change"], row["done"], row["kind"], row["name"]) for row in rows]

    def files(self) -> dict[str, str]:
        return {str(path.relative_to(self.folder)): path.read_text() for path in sorted(self.folder.rglob("*.pem"))}


@pytest.fixture
def sync(tmp_path: Path, chef: ToyChefServer) -> Command:
    return Command(tmp_path, chef)


def test_we_sign_as_mixlib_authentication_does() -> None:
    """Byte for byte, as written from its documentation."""
    ours = signatures.sign(USER, "GET", "/organizations/ponyville/clients", user="rarity", at=1_798_761_600)
    theirs = sign(
        USER, "1.3", "GET", "/organizations/ponyville/clients", b"", user="rarity", time="2027-01-01T00:00:00Z"
    )
    assert {name.lower(): value for name, value in ours.items()} == theirs.headers


def test_every_clients_keys_are_brought_and_a_running_shim_knows_them(sync: Command) -> None:
    """Each in a file that anybody may read; who was unknown is known without a restart; nothing else lies there."""
    shim = KeyFolder(sync.folder)
    assert shim.find("ponyville", "web1") == ()
    assert sync.changes() == [("added", "yes", "client", "web1"), ("added", "yes", "client", "web2")]
    for name, key in (("web1", WEB1), ("web2", WEB2)):
        assert [each.public_numbers() for each in shim.find("ponyville", name)] == [key.public_key().public_numbers()]
        assert (sync.folder / "ponyville" / f"{name}.pem").stat().st_mode & 0o777 == 0o644
    assert sorted(path.name for path in (sync.folder / "ponyville").iterdir()) == ["web1.pem", "web2.pem"]


def test_a_second_sync_changes_nothing(sync: Command) -> None:
    """Neither its own files nor one that knife wrote, and a table of nothing is no table."""
    (sync.folder / "ponyville").mkdir()
    (sync.folder / "ponyville" / "web1.pem").write_text(pem(WEB1))
    assert sync.changes() == [("added", "yes", "client", "web2")]
    before = {path: path.stat().st_ino for path in sync.folder.rglob("*.pem")}
    done = sync()
    assert {path: path.stat().st_ino for path in sync.folder.rglob("*.pem")} == before
    assert "ponyville: 2 clients, none changed" in done.stderr


def test_a_key_that_was_exchanged_counts_and_the_old_one_no_more(sync: Command, chef: ToyChefServer) -> None:
    """Both while there are both; one that has expired is not brought, one that will expire with its date."""
    sync()
    chef.owners["clients/web1"] = {
        "default": (pem(WEB1), "2025-01-01T00:00:00Z"), "new": pem(SPIKE), "guest": (pem(WEB2), "2099-01-01T00:00:00Z")
    }  # fmt: skip
    assert sync.changes() == [("changed", "yes", "client", "web1")]
    known = {key.public_numbers() for key in KeyFolder(sync.folder).find("ponyville", "web1")}
    assert known == {SPIKE.public_key().public_numbers(), WEB2.public_key().public_numbers()}
    later = KeyFolder(sync.folder, now=lambda: 4_100_000_000.0)
    assert [key.public_numbers() for key in later.find("ponyville", "web1")] == [SPIKE.public_key().public_numbers()]


def test_members_are_brought_when_asked_for(sync: Command, chef: ToyChefServer) -> None:
    """Into the folder of members, where they may read."""
    chef.owners["users/spike"] = {"default": pem(SPIKE)}
    assert ("added", "yes", "member", "spike") not in sync.changes()
    assert sync.changes("--members") == [("added", "yes", "member", "spike")]
    assert len(KeyFolder(sync.folder).member("ponyville", "spike")) == 1


def test_a_dry_run_writes_nothing_and_says_what_would_be(sync: Command) -> None:
    """No file, no folder, no lock."""
    assert sync.changes("--dry-run") == [
        ("added", "would be", "client", "web1"), ("added", "would be", "client", "web2")
    ]  # fmt: skip
    assert list(sync.folder.iterdir()) == []


def test_nothing_is_removed_without_prune_and_a_yes(sync: Command, chef: ToyChefServer) -> None:
    """A client that has gone, and one whose only key has expired; files of others stay where they are."""
    sync("--members")
    (sync.folder / "pivotal.pem").write_text(pem(SPIKE))
    (sync.folder / "ponyville" / "users").mkdir()
    (sync.folder / "ponyville" / "users" / "spike.pem").write_text(pem(SPIKE))
    chef.owners = {"clients/web1": {"default": (pem(WEB1), "2025-01-01T00:00:00Z")}, "clients/web3": {}}
    would_be = [("removed", "would be", "client", "web1"), ("removed", "would be", "client", "web2")]
    everything = set(sync.files())
    told = sync()
    assert "2 clients have a file and no key there; --prune removes the files" in told.stderr
    assert sync.changes("--prune", "--dry-run", "--yes") == sync.changes("--prune") == would_be
    assert set(sync.files()) == everything
    assert sync.changes("--prune", "--yes") == [("removed", "yes", *each[2:]) for each in would_be]
    assert set(sync.files()) == {"pivotal.pem", "ponyville/users/spike.pem"}


def test_a_server_that_lists_nobody_empties_no_folder(sync: Command, chef: ToyChefServer) -> None:
    """That is sooner its fault than everybody's end."""
    sync()
    chef.owners = {}
    assert "lists no client at all" in sync("--prune", "--yes").stderr
    assert len(sync.files()) == 2


@pytest.mark.parametrize("name", ["../../evil", "/etc/evil", ".hidden", "a\nb", "é", "", "a" * 201])
def test_a_name_that_would_leave_the_folder_is_refused(sync: Command, chef: ToyChefServer, name: str) -> None:
    """It is told and asked for no more; the others are brought."""
    chef.owners[f"clients/{name}"] = {"default": pem(SPIKE)}
    assert ("refused", "no", "client", name) in sync.changes(code=1)
    assert set(sync.files()) == {"ponyville/web1.pem", "ponyville/web2.pem"}
    assert not [path for path in chef.asked if "evil" in path]


def test_a_key_that_is_none_to_trust_is_told_and_left_out(sync: Command, chef: ToyChefServer) -> None:
    """A short one beside a good one, and one that is no key; what is good is brought, whatever the others are."""
    chef.owners["clients/web1"]["old"] = pem(SHORT)
    chef.owners["clients/web2"] = {"default": "-----BEGIN PUBLIC KEY-----\nnone\n-----END PUBLIC KEY-----"}
    rows = json.loads(sync("--output", "json", code=1).stdout)
    assert [(row["change"], row["name"], row["why"]) for row in rows] == [
        ("refused", "web1", "key old: an RSA key of 1024 bits is too short: at least 2048"),
        ("added", "web1", ""),
        ("refused", "web2", "key default: it holds no RSA public key in PEM"),
    ]
    assert len(KeyFolder(sync.folder).find("ponyville", "web1")) == 1


def test_more_keys_than_a_file_may_hold_are_told_and_left_out(sync: Command, chef: ToyChefServer) -> None:
    """The file stays one that a shim reads."""
    chef.owners["clients/web1"] |= {f"key{number:02}": pem(WEB2) for number in range(40)}
    assert ("refused", "no", "client", "web1") in sync.changes(code=1)
    assert KeyFolder(sync.folder).find("ponyville", "web1")


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client would have waited."""
    waits: list[float] = []

    def sleep(retry: Retry, response: Any = None) -> None:
        after = retry.get_retry_after(response) if response is not None else None
        waits.append(retry.get_backoff_time() if after is None else after)

    monkeypatch.setattr(Retry, "sleep", sleep)
    return waits


def test_a_server_that_is_busy_is_asked_again_in_bounds(sync: Command, chef: ToyChefServer, slept: list[float]) -> None:
    """However long it says that it wants to be left alone."""
    chef.failing["/clients"] = [(503, {"Retry-After": "86400"}, b""), (429, {}, b""), (500, {}, b"")]
    assert len(sync.changes()) == 2
    assert chef.asked["/clients"] == 4
    assert slept
    assert max(slept) <= 10


def test_a_server_that_goes_away_leaves_what_was_brought(
    sync: Command, chef: ToyChefServer, slept: list[float]
) -> None:
    """Exit code 69; nothing is taken for gone that was not asked for, and the next sync goes on."""
    (sync.folder / "ponyville").mkdir()
    (sync.folder / "ponyville" / "web0.pem").write_text(pem(SPIKE))
    chef.failing["/clients/web2/keys"] = [(502, {}, b"")] * 5
    told = sync("--prune", "--yes", code=69)
    assert "can't be asked: too many 502 error responses" in told.stderr
    assert set(sync.files()) == {"ponyville/web0.pem", "ponyville/web1.pem"}
    assert sync.changes() == [("added", "yes", "client", "web2")]


def test_an_answer_that_is_cut_off_is_no_answer(sync: Command, chef: ToyChefServer) -> None:
    """Half a list of clients would leave the others out, or have them removed."""
    chef.failing["/clients"] = [(200, {"Content-Length": "100"}, b'{"web1": ""}')]
    original = chef.RequestHandlerClass.protocol_version
    chef.RequestHandlerClass.protocol_version = "HTTP/1.0"
    try:
        assert "can't be asked" in sync("--prune", "--yes", code=69).stderr
    finally:
        chef.RequestHandlerClass.protocol_version = original


@pytest.mark.parametrize(
    ("status", "body", "word"),
    [
        (401, b"{}", "does not know this user"), (403, b"{}", "may not read"), (404, b"{}", "no such organization"),
        (302, b"", "is the URL right?"), (200, b"<html>", "no JSON"), (200, b"[" * 100_000, "no JSON"),
        (200, b"[]", "no list of clients"), (200, b'{"x": ' + b"9" * 5000 + b"}", "no JSON"),
    ],
)  # fmt: skip
def test_what_trying_again_will_not_change_is_78_and_says_what_to_do(
    sync: Command, chef: ToyChefServer, status: int, body: bytes, word: str
) -> None:
    """Asked once, and told in words."""
    chef.failing["/clients"] = [(status, {"Location": "/elsewhere"}, body)]
    assert word in sync(code=78).stderr
    assert chef.asked.total() == 1
    assert sync.files() == {}


@pytest.mark.parametrize("path", ["/clients/web1/keys", "/clients/web1/keys/default"])
def test_a_client_or_a_key_that_goes_meanwhile_is_none(sync: Command, chef: ToyChefServer, path: str) -> None:
    """No fault: it is gone."""
    chef.failing[path] = [(404, {}, b"{}")]
    assert sync.changes() == [("added", "yes", "client", "web2")]


@pytest.mark.parametrize(
    "url",
    [
        "chef.example.com", "https://chef.example.com", "https://chef.example.com/organizations/",
        "https://chef.example.com/organizations/a/b", "https://chef.example.com/organizations/..",
        "https://u:p@chef.example.com/organizations/a", "https://chef.example.com:x/organizations/a",
        "https://chef.example.com/organizations/a?b", "ftp://chef.example.com/organizations/a",
        "http://chef.example.com/organizations/a", "https:///organizations/a",
    ],
)  # fmt: skip
def test_a_url_that_is_none_of_an_organization_is_78_before_anybody_is_asked(sync: Command, url: str) -> None:
    """Plain HTTP beyond this machine too: whoever is on the way could put in a key."""
    assert url in sync(url=url, code=78).stderr


def test_who_asks_has_to_be_who_the_key_is_of(sync: Command, tmp_path: Path) -> None:
    """The Chef server says no to another name, and a file that holds no private key is told before it is asked."""
    assert "does not know this user" in sync(user="applejack", code=78).stderr
    (tmp_path / "rarity.pem").write_text(pem(USER))
    assert "no RSA private key in PEM" in sync(code=78).stderr


def test_a_folder_that_is_not_there_is_78(sync: Command, tmp_path: Path) -> None:
    """A name that was mistyped makes no folder that no shim reads."""
    assert "no such folder" in sync("--folder", str(tmp_path / "kyes"), code=78).stderr


def test_two_syncs_do_not_work_on_one_folder(sync: Command) -> None:
    """The second one ends and says why; what a killed one left is cleared away by the next."""
    sync()
    with (sync.folder / ".sync.lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert "another `keys sync` works on" in sync(code=1).stderr
    (sync.folder / "ponyville" / ".web9.new").write_text("half a k")
    sync()
    assert sorted(path.name for path in (sync.folder / "ponyville").iterdir()) == ["web1.pem", "web2.pem"]


def test_a_file_that_can_not_be_written_is_told_with_its_name(sync: Command) -> None:
    """Exit code 1."""
    (sync.folder / "ponyville").write_text("no folder")
    assert "ponyville" in sync(code=1).stderr


def test_a_certificate_is_checked_against_the_ca_that_is_named(tmp_path: Path) -> None:
    """Without the CA nothing is asked, and the remedy is named."""
    ca = ThrowawayCA(tmp_path, "ca")
    with chef_server(ca.issue("chef", "127.0.0.1")) as server:
        server.owners = {"clients/web1": {"default": pem(WEB1)}}
        sync = Command(tmp_path, server)
        assert "--ca names the CA" in sync(code=78).stderr
        assert sync.changes("--ca", str(ca.file)) == [("added", "yes", "client", "web1")]
        assert "holds no certificates in PEM" in sync("--ca", str(tmp_path / "rarity.pem"), code=78).stderr


def test_one_organization_that_can_not_be_had_keeps_no_other_waiting(sync: Command, chef: ToyChefServer) -> None:
    """The exit code is of the worst."""
    chef.owners["clients/web1"]["old"] = pem(SHORT)
    elsewhere = chef.url.replace("ponyville", "canterlot")
    assert "no such organization" in sync(chef.url, url=elsewhere, code=78).stderr
    assert set(sync.files()) == {"ponyville/web1.pem", "ponyville/web2.pem"}
