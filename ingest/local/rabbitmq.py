"""A private RabbitMQ node: own name, cookie, port mapper, data and logs; nothing of /etc/rabbitmq is read."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from consumers.runtime import durable
from ingest.local.processes import Account, Process, ProcessFailed, ProcessLedger, run
from schemas.topology import VHOST

USER: Final = "ingest"
NODE_PREFIX: Final = "chef-ingest-"
READY_SECONDS: Final = 120.0

CONFIG: Final = """\
listeners.tcp.1 = 127.0.0.1:{port}
load_definitions = {folder}/definitions.json
log.console = true
log.console.level = warning
log.file = false
disk_free_limit.absolute = 50MB
collect_statistics_interval = 60000
"""

# No `+sbwt`: RabbitMQ has none by itself. Threads that wait awake make a boot cost an eighth less (0.5 s of a core),
# and each message nearly twice as much on cores that others want, too [measured].
ERL_ARGS: Final = "+S 2:2 +SDio 2"
LOOPBACK: Final = "-kernel inet_dist_use_interface {127,0,0,1}"


@dataclass(frozen=True, slots=True)
class RabbitMQPorts:
    """AMQP, Erlang distribution, and the private epmd; all on 127.0.0.1."""

    amqp: int
    distribution: int
    epmd: int


class RabbitMQ:
    """The node whose data is in `folder`. `scripts` holds RabbitMQ's own `rabbitmq-server` and `rabbitmqctl`,
    not the wrappers of Debian's /usr/sbin, which insist on the user rabbitmq and the system's node.

    Nodes of one cluster share a `cookie` and the port mapper's port; `config` is further lines of rabbitmq.conf,
    `plugins` the names of what is enabled.
    """

    def __init__(
        self,
        *,
        scripts: Path,
        epmd: Path,
        folder: Path,
        log: Path,
        ports: RabbitMQPorts,
        node: str,
        password: str,
        account: Account | None,
        ledger: ProcessLedger,
        path: str,
        cookie: str = "",
        config: str = "",
        plugins: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.name = f"{node}@localhost"
        self.port = ports.amqp
        self.user = USER
        self.password = password
        self._scripts = scripts
        self._account = account
        self._cookie = cookie or secrets.token_hex(20)
        self._config = config
        self._plugins = plugins
        self.env: Mapping[str, str] = self._environment(ports, self.name, path)
        shared = {"env": self.env, "account": account, "ledger": ledger}
        # Its own port mapper, in the foreground: the machine's, or one that RabbitMQ starts by itself,
        # would outlive it. It listens on loopback only.
        self._epmd = Process(
            "epmd",
            [str(epmd), "-port", str(ports.epmd), "-address", "127.0.0.1"],
            log=log.with_name("epmd.log"),
            **shared,  # type: ignore[arg-type]
        )
        self.process = Process("rabbitmq", [str(scripts / "rabbitmq-server")], log=log, **shared)  # type: ignore[arg-type]

    @property
    def url(self) -> str:
        """AMQP URL of the vhost `/analytics`."""
        return self.url_of(VHOST)

    def url_of(self, vhost: str) -> str:
        return f"amqp://{self.user}:{self.password}@127.0.0.1:{self.port}/{quote(vhost, safe='')}"

    def spawn(self) -> None:
        """Writes the configuration and starts the node, without waiting until it is ready."""
        self._configure()
        self._epmd.spawn()
        self.process.spawn()

    def wait_ready(self, given_up: Callable[[], bool] = lambda: False) -> None:
        """Returns when AMQP connections are taken (after user and vhost are there); raises ProcessFailed, and what
        `given_up`, asked meanwhile, raises."""
        self.process.wait_ready(lambda: given_up() or self._is_ready(), READY_SECONDS)

    def start(self) -> None:
        """`spawn`, then `wait_ready`."""
        self.spawn()
        self.wait_ready()

    def stop(self) -> None:
        """Stops the node in order, then its port mapper."""
        try:
            self.process.stop()
        finally:
            self._epmd.stop()

    def kill(self) -> None:
        """SIGKILL to the node, like a power cut."""
        self.process.kill()

    def sync(self) -> None:
        """Makes queues that were just declared survive `kill`.

        RabbitMQ 3.10 writes a quorum queue's registration to disk up to 5 s late; killed before that, the
        queue comes back without a leader for good [measured]. Messages are safe from their confirm on.
        """
        self.ctl("eval", "[dets:sync(T) || T <- dets:all()].")

    def ctl(self, *args: str, stdin: str = "") -> str:
        """Runs `rabbitmqctl ARGS` on this node (about a second each); its output. Raises ProcessFailed."""
        return run([str(self._scripts / "rabbitmqctl"), *args], env=self.env, account=self._account, stdin=stdin)

    def add_vhosts(self, names: list[str]) -> None:
        """Makes many vhosts at once, ours to use; returns when all of them are there."""
        # A file of its own: others may be making theirs on the same broker.
        definitions = self.folder / f"vhosts-{secrets.token_hex(8)}.json"
        self._put(definitions.name, json.dumps(_definitions(names)))
        # The import command itself returns before the work is done; its library function does not.
        made = self.ctl("eval", f'rabbit_definitions:import_raw(element(2, file:read_file("{definitions}"))).')
        definitions.unlink()
        if made.strip() != "ok":
            raise ProcessFailed(f"rabbitmqctl eval could not make the vhosts: {made.strip()}")

    def drop_vhosts(self, names: list[str]) -> None:
        """Deletes many vhosts at once, with all that is in them."""
        listed = ",".join(f'<<"{name}">>' for name in names)
        done = self.ctl("eval", f'lists:foreach(fun(V) -> rabbit_vhost:delete(V, <<"{self.user}">>) end, [{listed}]).')
        if done.strip() != "ok":
            raise ProcessFailed(f"rabbitmqctl eval could not delete the vhosts: {done.strip()}")

    def _environment(self, ports: RabbitMQPorts, node: str, path: str) -> dict[str, str]:
        folder = self.folder
        return {
            "PATH": path,
            "LC_ALL": "C.UTF-8",
            "HOME": str(folder),  # where Erlang looks for the cookie
            "ERL_EPMD_PORT": str(ports.epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_INETRC": str(folder / "inetrc"),
            "ERL_CRASH_DUMP_SECONDS": "0",
            "RABBITMQ_NODENAME": node,
            "RABBITMQ_NODE_PORT": str(ports.amqp),
            "RABBITMQ_DIST_PORT": str(ports.distribution),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            # The script then becomes the Erlang machine instead of staying its parent: one process, one pid.
            "RABBITMQ_ALLOW_INPUT": "1",
            "RABBITMQ_SERVER_START_ARGS": "-noinput",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{ERL_ARGS} {LOOPBACK}",
            "RABBITMQ_CTL_ERL_ARGS": LOOPBACK,
        }

    def _configure(self) -> None:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self._own(self.folder)
        cookie = self.folder / ".erlang.cookie"
        if not cookie.exists() or not cookie.stat().st_size:
            self._put(".erlang.cookie", self._cookie, 0o400)
        self._put("rabbitmq.conf", CONFIG.format(port=self.port, folder=self.folder) + self._config)
        self._put("advanced.config", "[].\n")
        self._put("enabled_plugins", f"[{','.join(self._plugins)}].\n")
        # The node's name is @localhost; no resolver is asked what that means.
        self._put("inetrc", '{lookup, [file, native]}.\n{host, {127,0,0,1}, ["localhost"]}.\n')
        user = {
            "name": self.user,
            "password_hash": _password_hash(self.password),
            "hashing_algorithm": "rabbit_password_hashing_sha256",
            "tags": ["administrator"],
        }
        self._put("definitions.json", json.dumps({"users": [user], **_definitions([VHOST])}))

    def _put(self, name: str, text: str, mode: int = 0o600) -> None:
        path = self.folder / name
        durable.write(path, text)
        path.chmod(mode)
        self._own(path)

    def _own(self, path: Path) -> None:
        if self._account is not None:
            os.chown(path, self._account.uid, self._account.gid)

    def _is_ready(self) -> bool:
        # The listener opens last in a boot, after the definitions: a method frame (1) for our header is enough.
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as broker:
                broker.sendall(b"AMQP\x00\x00\x09\x01")
                return broker.recv(1) == b"\x01"
        except OSError:
            return False


def node_of(folder: Path) -> str:
    """The node's own part of the name under which data lies in `folder`; empty where there is none."""
    found = sorted(folder.glob(f"mnesia/{NODE_PREFIX}*@localhost"), key=lambda each: each.stat().st_mtime)
    return found[-1].name.removeprefix(NODE_PREFIX).removesuffix("@localhost") if found else ""


def _definitions(vhosts: list[str]) -> dict[str, object]:
    every = {"user": USER, "configure": ".*", "write": ".*", "read": ".*"}
    return {
        "vhosts": [{"name": name} for name in vhosts],
        "permissions": [{"vhost": name, **every} for name in vhosts],
    }


def _password_hash(password: str) -> str:
    # Four bytes of salt, then SHA-256 of salt and password [rabbitmq.com/docs/passwords].
    salt = secrets.token_bytes(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
