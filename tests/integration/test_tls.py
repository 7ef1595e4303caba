"""TLS at every door, with a throwaway CA: at the shim, to the broker, to the database."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import httpx
import psycopg
import pytest
from http_support import Shim, answering, declare_topology, serving
from throwaway_ca import Pair, ThrowawayCA

from consumers.broker.connection import connect
from consumers.errors import BrokerUnavailable, Misconfigured, StoreUnavailable
from consumers.runtime.failpoints import from_environment
from consumers.store.store import PostgresStore
from ingest.local.stack import LocalStack
from ingest.soak.ports import free_port
from ingest.soak.system import until
from schemas.settings import Settings
from tests.patience import LONG

NOBODY = "amqp://127.0.0.1:1/x"


@pytest.fixture
def ca(tmp_path: Path) -> ThrowawayCA:
    return ThrowawayCA(tmp_path, "ca")


@pytest.fixture
def other_ca(tmp_path: Path) -> ThrowawayCA:
    return ThrowawayCA(tmp_path, "other-ca")


def client(shim: Shim, ca: ThrowawayCA, pair: Pair | None = None) -> httpx.Client:
    context = ssl.create_default_context(cafile=str(ca.file))
    if pair is not None:
        context.load_cert_chain(pair.certificate, pair.key)
    return httpx.Client(base_url=shim.url, verify=context, trust_env=False, timeout=LONG)


def refused(shim: Shim, ca: ThrowawayCA, pair: Pair | None = None) -> bool:
    with client(shim, ca, pair) as http:
        try:
            http.get("/healthz")
        except (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError, httpx.WriteError):
            return True
    return False


def hangup(shim: Shim, event: str) -> None:
    before = len(shim.events(event))
    shim.process.send_signal(signal.SIGHUP)
    until(lambda: len(shim.events(event)) > before, f"the shim has {event}")


def test_certificates_are_exchanged_under_running_connections(
    ca: ThrowawayCA, other_ca: ThrowawayCA, tmp_path: Path
) -> None:
    """After SIGHUP new connections get the new certificate and clients' CAs; the old connection goes on."""
    first, second = ca.issue("first", "127.0.0.1"), other_ca.issue("second", "127.0.0.1")
    ours, theirs = ca.issue("ours"), other_ca.issue("theirs")
    served = Pair(tmp_path / "served.crt", tmp_path / "served.key")
    client_ca = tmp_path / "clients.pem"
    install(first, served)
    shutil.copy(ca.file, client_ca)
    files = {"tls_certificate": served.certificate, "tls_key": served.key, "tls_client_ca": client_ca}
    with serving(NOBODY, connected=False, **files) as shim:
        assert shim.url.startswith("https://")
        assert refused(shim, ca)
        assert refused(shim, ca, theirs)
        with client(shim, ca, ours) as http:
            assert http.get("/healthz").status_code == 200
            connection = local_port(http)
            install(Pair(second.certificate, first.key), served)
            hangup(shim, "not_reloaded")
            assert not refused(shim, ca, ours)
            install(second, served)
            shutil.copy(other_ca.file, client_ca)
            hangup(shim, "reloaded")
            assert http.get("/healthz").status_code == 200
            assert local_port(http) == connection
        assert refused(shim, ca, ours)
        assert refused(shim, other_ca, ours)
        assert not refused(shim, other_ca, theirs)
        assert "PRIVATE" not in json.dumps(shim.log)


def install(pair: Pair, served: Pair) -> None:
    shutil.copy(pair.certificate, served.certificate)
    shutil.copy(pair.key, served.key)


def local_port(http: httpx.Client) -> int:
    response = http.get("/healthz")
    stream = response.extensions["network_stream"]
    port: int = stream.get_extra_info("client_addr")[1]
    return port


def test_old_protocols_and_plain_http_are_refused(ca: ThrowawayCA) -> None:
    """What speaks no TLS 1.2, or none at all, gets no answer from a shim with a certificate."""
    pair = ca.issue("server", "127.0.0.1")
    with serving(NOBODY, connected=False, tls_certificate=pair.certificate, tls_key=pair.key) as shim:
        host, port = urlsplit(shim.url).hostname, urlsplit(shim.url).port
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://{host}:{port}/healthz", trust_env=False)
        context = ssl.create_default_context(cafile=str(ca.file))
        with socket.create_connection((host, port)) as raw, context.wrap_socket(raw, server_hostname=host) as secured:
            assert secured.version() in ("TLSv1.2", "TLSv1.3")
        assert not refused(shim, ca)


@pytest.fixture
def amqps(servers: LocalStack, amqp_url: str, ca: ThrowawayCA) -> Iterator[str]:
    """The test's own vhost over TLS, with client certificates asked for; no query."""
    rabbit = servers.rabbit
    assert rabbit is not None
    pair = ca.issue("broker", "127.0.0.1")
    owned = rabbit.folder / "tls"
    owned.mkdir(mode=0o700)
    install(pair, Pair(owned / "broker.crt", owned / "broker.key"))
    shutil.copy(ca.file, owned / "ca.pem")
    owner = rabbit.folder.stat()
    for path in (owned, *owned.iterdir()):
        os.chown(path, owner.st_uid, owner.st_gid)
    port = free_port()
    options = (
        f'[{{cacertfile,"{owned}/ca.pem"}},{{certfile,"{owned}/broker.crt"}},{{keyfile,"{owned}/broker.key"}},'
        "{verify,verify_peer},{fail_if_no_peer_cert,true}]"
    )
    rabbit.ctl("eval", f'rabbit_networking:ensure_ssl(), rabbit_networking:start_ssl_listener({{"127.0.0.1",{port}}}, {options}, 1).')  # fmt: skip  # noqa: E501
    parts = urlsplit(amqp_url)
    yield f"amqps://{parts.username}:{parts.password}@127.0.0.1:{port}{parts.path}"
    rabbit.ctl("eval", f'rabbit_networking:stop_tcp_listener({{"127.0.0.1",{port}}}).')
    shutil.rmtree(owned)


def test_the_broker_over_tls(amqps: str, amqp_url: str, ca: ThrowawayCA, other_ca: ThrowawayCA) -> None:
    """Shim and consumers reach a broker that is who its certificate says, and show theirs; no other one."""
    declare_topology(amqp_url)
    pair = ca.issue("shim")
    right = {"cacertfile": str(ca.file), "certfile": str(pair.certificate), "keyfile": str(pair.key)}
    url = f"{amqps}?{urlencode(right)}"
    connect(url, heartbeat=30, name="test").close()
    with serving(url, wait_seconds=10) as shim, answering(amqp_url):
        assert shim.http.post("/messages", content=b"{}").status_code == 201
    for wrong in (
        right | {"cacertfile": str(other_ca.file)},
        right | {"server_name_indication": "elsewhere.example"},
        {"cacertfile": str(ca.file)},
    ):
        with pytest.raises(BrokerUnavailable) as caught:
            connect(f"{amqps}?{urlencode(wrong)}", heartbeat=30, name="test")
        assert (urlsplit(amqps).password or "?") not in str(caught.value)
    wrong = right | {"cacertfile": str(other_ca.file)}
    with serving(f"{amqps}?{urlencode(wrong)}", connected=False) as shim:
        until(lambda: shim.events("broker_disconnected"), "the shim says why")
        assert "certificate verify failed" in str(shim.events("broker_disconnected"))
        assert shim.http.post("/messages", content=b"{}").status_code == 503


@pytest.mark.parametrize("query", ["cacertfile=/no/such", "verify=maybe", "cacertfile=/dev/null", "nonsense=1"])
def test_broker_urls_that_can_t_be_used(query: str) -> None:
    """What is wrong with an amqps URL is said, and never its password."""
    with pytest.raises(Misconfigured) as caught:
        connect(f"amqps://user:s3cret@127.0.0.1:1/x?{query}", heartbeat=30, name="test")
    assert "s3cret" not in str(caught.value)
    with pytest.raises(Misconfigured, match="amqps://"):
        connect("amqp://127.0.0.1:1/x?cacertfile=x", heartbeat=30, name="test")


@pytest.fixture
def secured_database(servers: LocalStack, database_url: str, ca: ThrowawayCA) -> Iterator[str]:
    """The test's database, on a cluster that has learned TLS; no sslmode in the URL."""
    postgres = servers.postgres
    assert postgres is not None
    pair = ca.issue("database", "127.0.0.1")
    owner = postgres.folder.stat()
    for source, name in ((pair.certificate, "server.crt"), (pair.key, "server.key")):
        shutil.copy(source, postgres.folder / name)
        (postgres.folder / name).chmod(0o600)
        os.chown(postgres.folder / name, owner.st_uid, owner.st_gid)
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET ssl = on")
        connection.execute("SELECT pg_reload_conf()")
        until(lambda: _ssl_is_on(postgres.url), "the cluster speaks TLS")
        yield database_url
        connection.execute("ALTER SYSTEM RESET ssl")
        connection.execute("SELECT pg_reload_conf()")


def _ssl_is_on(url: str) -> bool:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()
    return row == (True,)


def test_the_database_over_tls(secured_database: str, ca: ThrowawayCA, other_ca: ThrowawayCA) -> None:
    """`sslmode=verify-full` reaches worker and shim: the right CA and name connect, others do not."""
    right, other = (f"{secured_database}?sslmode=verify-full&sslrootcert={each.file}" for each in (ca, other_ca))
    store = PostgresStore(Settings(database_url=right), "test", from_environment({}))
    store.connect()
    store.close()
    path = "/actions/b576b4a2-7b2a-43b8-b385-d6281e9a139e"
    with serving(NOBODY, right, connected=False) as shim:
        assert shim.http.get(path).status_code == 404
    for wrong in (other, right.replace("127.0.0.1", "localhost")):
        with pytest.raises((StoreUnavailable, Misconfigured)) as caught:
            PostgresStore(Settings(database_url=wrong), "test", from_environment({})).connect()
        assert (urlsplit(secured_database).password or "?") not in str(caught.value)
    with serving(NOBODY, other, connected=False) as shim:
        assert shim.http.get(path).status_code == 503
