"""Who may post and read: tokens and Chef's signatures, asked of a real shim."""

from __future__ import annotations

import gzip
import json
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from http_support import CREATED, Shim, answering, declare_topology, serving
from operate_support import command, environment
from signed_requests import FIXTURES, Signed, captured, new_key, sign
from toy_chef_server import chef_server, pem, write_user
from worker_support import Place, action

from ingest.access import tokens
from ingest.soak.system import until
from schemas.message import Message
from schemas.settings import Settings
from schemas.validation.judge import Judge
from schemas.verdict import FOREIGN, Invalid, Verdict
from tests.patience import LONG

ID = "b576b4a2-7b2a-43b8-b385-d6281e9a139e"
RUNS = "/organizations/acme/reports/nodes/web1/runs"
DENIED = {401: {"error": "not authenticated"}, 403: {"error": "not allowed"}}


JUDGE = Judge.from_settings(Settings())


def told_apart(properties: Any, body: bytes) -> Verdict:
    """What a worker says of what can't be read, or is a foreign organization's; of all else, that it is stored."""
    message = Message.from_headers(
        body, kind=properties.type, door="http", content_encoding=properties.content_encoding,
        headers=properties.headers or {},
    )  # fmt: skip
    verdict = JUDGE(message)
    return verdict if isinstance(verdict, Invalid) and verdict.reason in (FOREIGN, "duplicate_member") else CREATED


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def hangup(shim: Shim, event: str) -> None:
    """SIGHUP, and wait until the shim says what came of it."""
    before = len(shim.events(event))
    shim.process.send_signal(signal.SIGHUP)
    until(lambda: len(shim.events(event)) > before, f"the shim has {event}")


def check_denial(response: httpx.Response) -> None:
    """A denial tells nothing of why."""
    assert response.json() == DENIED[response.status_code]
    assert ("www-authenticate" in response.headers) == (response.status_code == 401)


def test_tokens(amqp_url: str, database_url: str, tmp_path: Path) -> None:
    """Each token opens what its scopes and organizations say and nothing else; denials say nothing, logs say who."""
    declare_topology(amqp_url)
    store_action(database_url, "acme")
    scopes = {
        "all": "actions,runs,read", "actions": "actions", "runs": "runs", "read": "read",
        "acme": "actions,runs,read,organization=acme", "other": "actions,runs,read,organization=other",
    }  # fmt: skip
    made = {name: tokens.new(name, scope) for name, scope in scopes.items()}
    secrets = {name: secret for name, (secret, _) in made.items()} | {"nobody": "x" * 43}
    path = tmp_path / "tokens"
    path.write_text("\n".join(line for _, line in made.values()))
    acme, unreadable = b'{"organization_name": "acme"}', b'{"organization_name": "acme", "organization_name": "x"}'
    expected: list[tuple[str, str, bytes, dict[str, int]]] = [
        ("POST", "/messages", acme, {"all": 201, "actions": 201, "runs": 403, "read": 403, "acme": 201, "other": 403}),
        ("POST", "/messages", b"{}", {"all": 201, "acme": 403}),
        ("POST", "/messages", unreadable, {"all": 400, "acme": 400}),
        ("POST", "/messages", gzip.compress(acme), {"all": 201, "acme": 201, "other": 403}),
        ("POST", RUNS, b"{}", {"all": 201, "actions": 403, "runs": 201, "read": 403, "acme": 201, "other": 403}),
        ("POST", f"{RUNS}/{ID}", b"{}", {"all": 201, "actions": 403, "runs": 201, "acme": 201, "other": 403}),
        ("GET", f"{RUNS}/{ID}", b"", {"all": 404, "read": 404, "runs": 403, "acme": 404, "other": 403}),
        ("GET", f"/actions/{ID}", b"", {"all": 200, "read": 200, "actions": 403, "acme": 200, "other": 404}),
        ("HEAD", f"/actions/{ID}", b"", {"all": 200, "other": 404}),
    ]
    with (
        serving(amqp_url, database_url, auth="token", tokens_file=path, wait_seconds=10) as shim,
        answering(amqp_url, told_apart) as worker,
    ):
        for public in ("/healthz", "/readyz", "/openapi.json"):
            assert shim.http.get(public).status_code == 200
        for method, url, body, statuses in expected:
            coding = {"Content-Encoding": "gzip"} if body.startswith(b"\x1f\x8b") else {}
            for name, status in ({"nobody": 401} | statuses).items():
                response = shim.http.request(method, url, content=body, headers=bearer(secrets[name]) | coding)
                assert response.status_code == status, (method, url, body, name)
                if method != "HEAD" and status in DENIED:
                    check_denial(response)
            response = shim.http.request(method, url, content=body)
            assert response.status_code == 401
        header = {"x-data-collector-token": secrets["all"]}
        assert shim.http.post("/messages", content=b"{}", headers=header).status_code == 201
        misquoted = {"x-data-collector-token": f'<<"{secrets["all"]}">>'}
        assert "misquoted_token" not in shim.http.get("/readyz").json()
        assert shim.http.post("/messages", content=b"{}", headers=misquoted).status_code == 401
        assert shim.http.get("/readyz").json()["misquoted_token"] is True
        doctor = command("doctor", env=environment(amqp_url, database_url, tmp_path, listen=shim.listen))
        assert "in the quotes of Erlang" in " ".join(doctor.stdout.split())
        wanted = [status for _, _, _, statuses in expected for status in statuses.values()].count(201) + 1
        stored = [1 for properties, body in worker.seen if told_apart(properties, body) is CREATED]
        pings = [1 for properties, _ in worker.seen if properties.type == "ping"]
        assert len(stored) - len(pings) == wanted

        rotated, line = tokens.new("rotated", "actions")
        path.write_text(f"{made['actions'][1]}\n{line}")
        hangup(shim, "reloaded")
        assert post(shim, secrets["actions"]) == post(shim, rotated) == 201
        path.write_text(line)
        hangup(shim, "reloaded")
        assert (post(shim, secrets["actions"]), post(shim, rotated)) == (401, 201)
        reading = tokens.new("reading", "read")
        path.write_text(f"{line}\n{reading[1]}\nwrong {rotated} actions")
        hangup(shim, "not_reloaded")
        assert post(shim, rotated) == 201
        assert shim.http.get("/readyz").json() == {"ready": True, "not_reloaded": ["tokens"]}
        seen = command(
            "status", "--output", "json", env=environment(amqp_url, database_url, tmp_path, listen=shim.listen)
        )
        assert json.loads(seen.stdout)["shim"]["not_reloaded"] == ["tokens"]
        assert "tokens can't be used" in seen.stdout
        scraped = shim.http.get("/metrics", headers=bearer(reading[0])).text
        assert 'chef_ingest_last_reload_successful{part="tokens"} 0.0' in scraped
        assert 'chef_ingest_last_reload_successful{part="keys"} 1.0' in scraped
        path.unlink()
        hangup(shim, "not_reloaded")
        assert post(shim, rotated) == 401
        path.write_text(line)
        hangup(shim, "reloaded")
        assert post(shim, rotated) == 201
        assert shim.http.get("/readyz").json() == {"ready": True}
        until(lambda: {"token other", "token rotated"} <= told(shim, "who"), "the log says who")
        assert told(shim, "denied") >= {"no such token", "not for runs", "another organization's"}
        log = json.dumps(shim.log)
        assert not [secret for secret in [*secrets.values(), rotated] if secret in log]


def test_a_token_speaks_for_its_organizations_only(amqp_url: str, database_url: str, tmp_path: Path) -> None:
    """What it says of another is 403 when judged, a letter and no row, and stays so when that is replayed; put
    right, it is stored. The shim reads nothing of it, as it is called before the answer."""
    place = Place(amqp_url, database_url, tmp_path)
    secret, line = tokens.new("acme", "actions,read,organization=acme,organization=café")
    (tmp_path / "tokens").write_text(line)
    foreign, own = action(organization_name="other"), action(organization_name="café")
    with (
        serving(amqp_url, database_url, auth="token", tokens_file=tmp_path / "tokens", wait_seconds=10) as shim,
        place.consuming(),
    ):

        def posted(body: bytes, **headers: str) -> httpx.Response:
            return shim.http.post("/messages", content=body, headers=bearer(secret) | headers)

        until(lambda: posted(own).status_code == 201, "a worker answers")
        for body in (foreign, action(organization_name=None), b'{"organization_name": 5}', b"{}"):
            answer = posted(body)
            assert (answer.status_code, answer.json()) == (403, DENIED[403])
        # Nobody waits for the verdict, and it is the same: a letter.
        assert posted(action(organization_name="other"), Prefer="respond-async").status_code == 202
        letters = "SELECT count(*) FROM dead_letters WHERE state = 'open' AND reason = 'foreign_organization'"
        until(lambda: place.one(letters) == 5, "five letters")
        assert place.rows("SELECT organization_name FROM actions") == [("café",)]
        place.repository("dead", "replay", "--all", "--yes", "--as", "kim")
        until(lambda: place.one("SELECT sum(failed_replays) FROM dead_letters") == 5, "each is refused again")
        assert place.one(letters) == 5
        assert place.one("SELECT count(*) FROM actions") == 1
        wanted = json.loads(foreign)["id"]
        letter = place.one("SELECT id FROM dead_letters WHERE convert_from(payload, 'UTF8') LIKE %s", f"%{wanted}%")
        (tmp_path / "patch").write_text('[{"op": "replace", "path": "/organization_name", "value": "acme"}]')
        place.repository("dead", "edit", str(letter), "--patch", str(tmp_path / "patch"), "--yes", "--as", "kim")
        place.repository("dead", "replay", "--id", str(letter), "--all", "--yes", "--as", "kim")
        until(lambda: place.one("SELECT count(*) FROM actions WHERE id = %s::uuid", wanted) == 1, "it is stored")


def told(shim: Shim, fact: str) -> set[str]:
    """What the log lines of requests say of one fact."""
    return {each[fact] for each in shim.events("request") if fact in each}


def post(shim: Shim, secret: str) -> int:
    return shim.http.post("/messages", content=b"{}", headers=bearer(secret)).status_code


def store_action(database_url: str, organization: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("INSERT INTO action_ids VALUES (%s, '1976-10-02T05:00:37Z')", [ID])
        connection.execute(
            """INSERT INTO actions (id, recorded_at, organization_name, entity_type, entity_name, task,
                   requestor_type, requestor_name, remote_hostname, request_id, service_hostname, user_agent,
                   message_type, message_version)
               VALUES (%s, '1976-10-02T05:00:37Z', %s, 'node', 'app1', 'delete', 'user', 'rarity', '127.0.0.1',
                   'r', '127.0.0.1', 'a', 'action', '0.1.1')""",
            [ID, organization],
        )


def test_captured_clients(amqp_url: str, tmp_path: Path) -> None:
    """What real clients of every version sent is taken with their key, whole; a changed one never gets in."""
    declare_topology(amqp_url)
    (tmp_path / "ponyville").mkdir()
    shutil.copy(FIXTURES / "client_public_key.pem", tmp_path / "ponyville" / "web01.ponyville.example.pem")
    ancient = {"signature_skew_seconds": 10**9}
    with (
        serving(amqp_url, auth="signature", client_keys=tmp_path, wait_seconds=10, **ancient) as shim,
        answering(amqp_url, CREATED) as worker,
    ):
        reports = [each for each in captured().values() if b"/reports/" in each.path]
        assert len(reports) >= 6
        for request in reports:
            assert send(shim, request).status_code == 201
            check_denial(send(shim, request, body=request.body[:-1] + b"x"))
            check_denial(send(shim, request, path=request.path.replace(b"web01", b"web02")))
            check_denial(send(shim, request, body=iter([request.body, b" "])))
        assert [body for properties, body in worker.seen if properties.type != "ping"] == [r.body for r in reports]


def send(shim: Shim, request: Signed, **changed: Any) -> httpx.Response:
    headers = {name: value for name, value in request.headers.items() if name not in ("host", "content-length")}
    path = changed.get("path", request.path).decode()
    return shim.http.request(request.method, path, content=changed.get("body", request.body), headers=headers)


def test_signatures(amqp_url: str, database_url: str, tmp_path: Path) -> None:
    """A client reports its own runs in its own organization, a user posts and reads; time and replay have limits."""
    declare_topology(amqp_url)
    client, user = new_key(), new_key()
    (tmp_path / "acme").mkdir()
    for key, name in ((client, "acme/web1.pem"), (user, "pivotal.pem")):
        pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (tmp_path / name).write_bytes(pem)
    secret, line = tokens.new("both", "actions")
    (tmp_path / "tokens").write_text(line)
    web2, elsewhere = (RUNS.replace(*pair) for pair in (("web1", "web2"), ("acme", "umbrella")))
    expected = [
        (client, "web1", "POST", RUNS, 0, 201), (client, "web1", "POST", f"{RUNS}/{ID}", 800, 201),
        (client, "web1", "POST", RUNS, 1000, 401), (client, "web1", "POST", RUNS, -1000, 401),
        (client, "web1", "POST", web2, 0, 403), (client, "web2", "POST", web2, 0, 401),
        (client, "web1", "POST", elsewhere, 0, 401), (client, "web1", "POST", "/messages", 0, 401),
        (client, "web1", "GET", f"{RUNS}/{ID}", 0, 404), (client, "web1", "GET", f"{web2}/{ID}", 0, 403),
        (user, "web1", "POST", RUNS, 0, 401), (user, "pivotal", "POST", RUNS, 0, 403),
        (user, "pivotal", "POST", "/messages", 0, 201), (user, "pivotal", "GET", f"/actions/{ID}", 0, 404),
        (user, "pivotal", "GET", f"{RUNS}/{ID}", 0, 404), (client, "../acme/web1", "POST", "/messages", 0, 401),
    ]  # fmt: skip
    both = {"auth": "any", "client_keys": tmp_path, "tokens_file": tmp_path / "tokens"}
    with serving(amqp_url, database_url, wait_seconds=10, **both) as shim, answering(amqp_url, CREATED):
        for version in ("1.0", "1.1", "1.3"):
            for key, name, method, path, age, status in expected:
                time = f"{datetime.now(UTC) - timedelta(seconds=age):%Y-%m-%dT%H:%M:%SZ}"
                body = b"" if method == "GET" else b"{}"
                response = send(shim, sign(key, version, method, path, body, user=name, time=time))
                assert response.status_code == status, (version, name, method, path, age)
                if status in DENIED:
                    check_denial(response)
        scrape = sign(
            user, "1.3", "GET", "/metrics", b"", user="pivotal", time=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        )
        # Of each version: web2, web1 elsewhere, web1 as a user, and a name that is none.
        assert "chef_ingest_keyless_requests_total 12.0" in send(shim, scrape).text.splitlines()
        assert post(shim, secret) == 201
        assert shim.http.post("/messages", content=b"{}").status_code == 401
        until(lambda: {"client acme/web1", "user pivotal", "token both"} <= told(shim, "who"), "the log says who")


def test_a_new_node_is_told_of_and_reports_once_its_key_is_brought(amqp_url: str, tmp_path: Path) -> None:
    """Its first run is refused, with a counted warning that names it; after a `keys sync` it is taken."""
    declare_topology(amqp_url)
    folder, client = tmp_path / "keys", new_key()
    folder.mkdir()

    def report() -> int:
        request = sign(client, "1.3", "POST", RUNS, b"{}", user="web1", time=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
        return send(shim, request).status_code

    settings = {"auth": "signature", "client_keys": folder, "wait_seconds": 10}
    with serving(amqp_url, **settings) as shim, answering(amqp_url, CREATED), chef_server() as chef:
        chef.owners = {"clients/web1": {"default": pem(client)}}
        assert report() == 401
        (warning,) = until(lambda: shim.events("keyless"), "the log warns")
        assert warning["level"] == "warning"
        assert (warning["organization"], warning["name"], warning["total"]) == ("acme", "web1", 1)
        chef.organization = "acme"
        asked = [
            "keys",
            "sync",
            chef.url,
            "--user",
            "rarity",
            "--key",
            str(write_user(tmp_path)),
            "--folder",
            str(folder),
        ]
        done = subprocess.run([sys.executable, "-m", "ingest", *asked], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert report() == 201


def test_no_authentication_is_asked_for_by_name() -> None:
    """Beyond loopback the shim does not start without authentication, and does with the flag."""
    command = [sys.executable, "-m", "ingest", "serve", "--listen", "0.0.0.0:0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONG, check=False)
    assert done.returncode == 78
    assert "--insecure-no-auth" in done.stderr
    with serving("amqp://127.0.0.1:1/x", connected=False, insecure_no_auth=True) as shim:
        assert shim.http.get("/healthz").status_code == 200
