"""Settings are one frozen value, read once at an entry point; each tells its variable, unit and help."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Final

PREFIX: Final = "INGEST_"


class ConfigError(Exception):
    """The configuration can't be used; every fault is listed, with the variable to change."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


def _setting(
    default: Any,
    help: str,
    *,
    env: str | None = None,
    unit: str = "",
    choices: tuple[str, ...] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    secret: bool = False,
    check: Callable[[str], None] | None = None,
) -> Any:
    metadata = {
        "check": check,
        "env": env,
        "help": help,
        "unit": unit,
        "choices": choices,
        "minimum": minimum,
        "maximum": maximum,
        "secret": secret,
    }
    return field(default=default, metadata=metadata)


def _names_of_members(value: str) -> None:
    """Raises ValueError for a name that can't be told from what stands between two strings, as `":"` does."""
    odd = [name for each in value.split(",") if (name := each.strip()).startswith(":")]
    if odd:
        raise ValueError(
            f"{odd[0]!r}: a name here may not begin with a colon; name such a member in INGEST_REDACT_MEMBERS"
        )


def _hard_to_guess(value: str) -> None:
    """Raises ValueError for a secret that somebody could try out."""
    if value and len(value) < 32:
        raise ValueError("a secret has at least 32 characters; let a machine make it: openssl rand -hex 32")


def _https(value: str) -> None:
    """Raises ValueError for what is no `https://HOST` or `https://HOST:PORT`."""
    if value and not re.fullmatch(r"https://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", value):
        raise ValueError(f"must be https://NAME, lower case and without a path, not {value!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set. `load` builds one and says where each value came from."""

    amqp_url: str = _setting(
        "amqp://guest:guest@127.0.0.1:5672/%2Fanalytics",
        "RabbitMQ, with its vhost; several, comma-separated, are tried in turn",
        env="AMQP_URL",
        secret=True,
    )
    database_url: str = _setting(
        "postgresql://127.0.0.1:5432/ingest",
        "PostgreSQL, as a libpq connection URI",
        env="DATABASE_URL",
        secret=True,
    )
    management_url: str = _setting(
        "",
        "RabbitMQ's management API for `doctor`, http://USER:PASSWORD@HOST:15672; empty: where AMQP_URL's host has it",
        secret=True,
    )
    listen: str = _setting("127.0.0.1:8080", "where the HTTP shim listens, HOST:PORT")
    insecure_no_auth: bool = _setting(
        False,
        "listen beyond loopback, metrics included, though nobody is asked who they are; also `--insecure-no-auth`",
    )
    auth: str = _setting(
        "none",
        "what a request must carry: a token, a Chef signature, or any of the two",
        choices=("none", "token", "signature", "any"),
    )
    tokens_file: str = _setting("", "file of hashed tokens; `chef-ingest token new` makes its lines")
    demo_token: str = _setting(
        "", "token with which `up --demo` posts and reads, where INGEST_AUTH asks for one", secret=True
    )
    client_keys: str = _setting("", "folder of public keys: ORGANIZATION/CLIENT.pem, and USER.pem for users")
    signature_skew_seconds: int = _setting(900, "how far a signature's time may be from ours", unit="s", minimum=1)
    access_token_secret: str = _setting(
        "",
        "what the access tokens that users get for a signature are made with, the same in all shims; empty: each shim"
        " makes one up",
        secret=True,
        check=_hard_to_guess,
    )
    access_token_seconds: int = _setting(
        3600, "how long such an access token is good", unit="s", minimum=60, maximum=86_400
    )
    tls_certificate: str = _setting("", "PEM file of the shim's certificate chain; empty: plain HTTP")
    tls_key: str = _setting("", "PEM file of the certificate's private key")
    tls_client_ca: str = _setting("", "PEM file of the CAs that clients' certificates must come from")
    max_connections: int = _setting(4000, "connections open at once in one shim, then 503", minimum=1)
    max_header_bytes: int = _setting(
        64 * 1024, "largest request line and header fields taken", unit="bytes", minimum=1024
    )
    max_held_bytes: int = _setting(
        256 * 1024 * 1024,
        "headers, bodies and unread answers held for clients at once in one shim, then 503",
        unit="bytes",
        minimum=1024 * 1024,
    )
    slow_client_seconds: float = _setting(
        30.0,
        "how long a client may take: for its TLS handshake, its first byte, its header, its body, and reading a MB",
        unit="s",
        minimum=0.1,
    )
    redact_members: str = _setting(
        "password,private_key,token",
        "members never stored when directly in `data`, `before` or `after`; comma-separated",
    )
    redact_anywhere: str = _setting(
        "",
        "members never stored however deep they are, such as encrypted_data; comma-separated",
        check=_names_of_members,
    )
    redact_sensitive: bool = _setting(False, "don't store the states and the diff of sensitive resources")
    redact_mode: str = _setting(
        "mask", "mask puts [redacted] for a value, drop takes the member away", choices=("mask", "drop")
    )
    console_listen: str = _setting("127.0.0.1:8090", "where the console listens, HOST:PORT")
    console_url: str = _setting(
        "",
        "https://NAME by which browsers reach the console through a proxy on this machine; the console then asks for a"
        " token",
        check=_https,
    )
    public_url: str = _setting("", "base of the URLs in answers; empty: what the request's Host header says")
    http_profile: str = _setting("documented", "schema profile of POSTed messages", choices=("documented", "wire"))
    chef_profile: str = _setting("wire", "schema profile of Chef servers' own messages", choices=("documented", "wire"))
    collector_profile: str = _setting(
        "wire", "schema profile of what comes by the data collector", choices=("documented", "wire")
    )
    during_run: str = _setting(
        "run_id",
        "which actions count as posted during a chef-client run",
        choices=("run_id", "self_node_update", "both", "off"),
    )
    strict_protocol: bool = _setting(False, "answer 404 to run reports without X-Ops-Reporting-Protocol-Version")
    max_body_bytes: int = _setting(2 * 1024 * 1024, "largest body taken, on the wire", unit="bytes", minimum=1024)
    collector_max_body_bytes: int = _setting(
        16 * 1024 * 1024,
        "largest body the data collector takes, on the wire; RabbitMQ 4 takes no larger message",
        unit="bytes",
        minimum=1024,
        maximum=16 * 1024 * 1024,
    )
    max_inflated_bytes: int = _setting(16 * 1024 * 1024, "largest body once inflated", unit="bytes", minimum=1024)
    amqp_max_message_bytes: int = _setting(
        0,
        "largest message that RabbitMQ takes: its max_message_size, which it tells nobody; 0: its version's default,"
        " 16 MiB from 4.0 on",
        unit="bytes",
        minimum=0,
    )
    max_depth: int = _setting(
        1000, "deepest JSON nesting taken; beyond 1000 no deeper than the decoder follows", unit="levels", minimum=8
    )
    wait_seconds: float = _setting(2.0, "how long a POST waits for its verdict before 202", unit="s", minimum=0)
    collector_action_wait_seconds: float = _setting(
        0.25,
        "how long an action at the data collector waits for its verdict before 202, and for the broker, and then for"
        " the spool's disk, before 503: a Chef server's client waits as long",
        unit="s",
        minimum=0.05,
    )
    max_wait_seconds: float = _setting(30.0, "longest wait that `Prefer: wait=N` may ask for", unit="s", minimum=0)
    confirm_timeout_seconds: float = _setting(
        3.0, "how long the broker may take to confirm a publish before 503", unit="s", minimum=0.05
    )
    collector_spool: str = _setting(
        "spool",
        "folder, below the state folder, of what Chef servers tell while the broker is away: they never tell it again;"
        " empty: they hear 503",
    )
    collector_spool_bytes: int = _setting(
        256 * 1024 * 1024,
        "what the spool may hold on disk; beyond it 503",
        unit="bytes",
        minimum=1024 * 1024,
    )
    max_outstanding: int = _setting(2000, "POSTs being published or waiting at once in one shim, then 503", minimum=1)
    batch_messages: int = _setting(1000, "messages committed together at most", minimum=1)
    batch_bytes: int = _setting(8 * 1024 * 1024, "payload bytes committed together at most", unit="bytes", minimum=1024)
    batch_age_seconds: float = _setting(0.25, "oldest a batch grows before it is flushed", unit="s", minimum=0.001)
    collector_prefetch: int = _setting(
        20,
        "data collector messages, of some 300 KB each, that a worker takes ahead",
        unit="messages",
        minimum=1,
    )
    collector_keep_resources: str = _setting(
        "changed",
        "resources of a data collector's run that become rows: changed are those updated or failed, the others are"
        " counted",
        choices=("changed", "all"),
    )
    collector_node_pings: bool = _setting(
        True, "keep the pings of nodes' liveness agents; false: they are counted, and answered 200 `kind_off`"
    )
    collector_compliance: bool = _setting(
        True, "keep compliance reports; false: they are counted, and answered 200 `kind_off`"
    )
    run_aborted_seconds: int = _setting(
        86_400,
        "after so long without an end a run is shown as aborted; a late end still completes it",
        unit="s",
        minimum=60,
    )
    node_missing_seconds: int = _setting(
        86_400,
        "a node not heard of for so long is missing: metrics and an alert say so",
        unit="s",
        minimum=60,
    )
    read_timeout_seconds: float = _setting(
        5.0, "longest a statement of a GET may run in PostgreSQL", unit="s", minimum=0.1, maximum=300
    )
    heartbeat_seconds: int = _setting(30, "AMQP heartbeat", unit="s", minimum=1)
    statement_timeout_seconds: float = _setting(
        15.0, "longest a statement may run in PostgreSQL", unit="s", minimum=0.1
    )
    lock_timeout_seconds: float = _setting(5.0, "longest a statement may wait for a lock", unit="s", minimum=0.1)
    run_end_patience_seconds: int = _setting(
        60, "how long a run end is retried while its start is not known", unit="s", minimum=0
    )
    partitions_ahead: int = _setting(3, "monthly partitions made ahead", unit="months", minimum=1)
    max_replays: int = _setting(5, "failed replays of a dead letter before it is parked", unit="replays", minimum=1)
    letters_keep_days: int = _setting(
        90, "age at which workers, hourly, and `dead prune` delete settled letters; 0: never", unit="days", minimum=0
    )
    letters_max: int = _setting(
        100_000,
        "letters that are left when settled ones are deleted, and beyond which none is kept of what its sender is told;"
        " 0: no limit",
        unit="letters",
        minimum=0,
    )
    letters_per_hour: int = _setting(
        1000,
        "new letters of an organization in an hour, and a tenth of all together, beyond which none is kept of what its"
        " sender is told; 0: no limit",
        unit="letters",
        minimum=0,
    )
    consumers: int = _setting(
        1,
        "consumer processes that `up` and `consume` start; another pays when one is at the end of its core",
        minimum=1,
    )
    scale_auto: str = _setting(
        "", "MIN..MAX: let `consume` choose the number of processes by backlog and drain rate; empty: do not"
    )
    drain_target_seconds: float = _setting(
        60.0, "how soon a backlog should be gone, when the number of processes is chosen", unit="s", minimum=1
    )
    metrics_listen: str = _setting(
        "", "where `consume` answers Prometheus' scrapes, HOST:PORT; empty: nowhere (the shim has /metrics)"
    )
    drain_seconds: float = _setting(
        30.0, "how long SIGTERM may drain before unacked messages go back", unit="s", minimum=0
    )
    log_level: str = _setting(
        "info", "least severe event logged", env="LOG_LEVEL", choices=("debug", "info", "warning", "error")
    )
    log_format: str = _setting(
        "auto",
        "console for people, json for machines, auto asks the terminal",
        choices=("auto", "json", "console"),
    )

    @property
    def prefetch(self) -> int:
        """Derived, never set: one batch being committed and one being gathered."""
        return 2 * self.batch_messages


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings and, by field, where the value came from: `default`, `file PATH`, or the variable's name."""

    settings: Settings
    origins: Mapping[str, str]


def variable(name: str) -> str:
    """The environment variable of a setting: its standard name, or `INGEST_` and the field's name."""
    for each in fields(Settings):
        if each.name == name:
            return each.metadata["env"] or PREFIX + name.upper()
    raise KeyError(name)


def load(
    environ: Mapping[str, str],
    *,
    file: Mapping[str, Any] | None = None,
    file_name: str = "",
    read_secret: Callable[[str], str] | None = None,
) -> Loaded:
    """Settings from the environment, then a parsed TOML file, then defaults.

    `VARIABLE_FILE` names a file that holds the value (read by `read_secret`), for secrets.
    Raises ConfigError with every fault at once; an unknown `INGEST_` variable or file key is one.
    """
    file = file or {}
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    faults: list[str] = []
    known = {each.name: variable(each.name) for each in fields(Settings)}
    for each in fields(Settings):
        env = known[each.name]
        raw: Any
        if env in environ:
            raw, origin = environ[env], env
        elif f"{env}_FILE" in environ and read_secret is not None:
            origin = f"{env}_FILE"
            try:
                raw = read_secret(environ[origin]).strip()
            except (OSError, ValueError) as error:  # ValueError: it is no UTF-8.
                faults.append(f"{origin}: {error}")
                continue
        elif each.name in file:
            raw, origin = file[each.name], f"file {file_name}"
        else:
            assert each.default is not MISSING
            values[each.name], origins[each.name] = each.default, "default"
            continue
        try:
            values[each.name], origins[each.name] = _parse(each, raw), origin
        except ValueError as error:
            faults.append(f"{env}: {error} (from {origin})")
    faults += [
        f"{name}: no such setting; `chef-ingest config` lists them"
        for name in environ
        if name.startswith(PREFIX)
        and name not in known.values()
        and name.removesuffix("_FILE") not in known.values()
        and name not in RESERVED
        and not _kubernetes(name, environ)
    ]
    faults += [
        f"{file_name}: {name}: no such setting; `chef-ingest config` lists them" for name in file if name not in known
    ]
    if faults:
        raise ConfigError(faults)
    return Loaded(Settings(**values), origins)


def _kubernetes(name: str, environ: Mapping[str, str]) -> bool:
    """Whether Kubernetes has set it, as it does for a service `ingest-db`: INGEST_DB_SERVICE_HOST, INGEST_DB_PORT and
    so on [kubernetes.io, Accessing the Service]."""
    services = (each.removesuffix("_SERVICE_HOST") for each in environ if each.endswith("_SERVICE_HOST"))
    return any(
        name == f"{service}_PORT" or name.startswith((f"{service}_SERVICE_", f"{service}_PORT_"))
        for service in services
    )


RESERVED: Final = frozenset({"INGEST_URL", "INGEST_CONFIG", "INGEST_STATE", "INGEST_FAILPOINT", "INGEST_TEST_HOOKS"})
"""Variables with the prefix that are no settings."""


def _parse(each: Any, raw: Any) -> Any:
    kind, metadata = type(each.default), each.metadata
    if kind is bool:
        value: Any = _parse_bool(raw)
    elif kind in (int, float):
        value = _parse_number(kind, raw)
    elif not isinstance(raw, str):
        raise ValueError(f"must be text, not {raw!r}")
    else:
        value = raw
    if metadata["choices"] and value not in metadata["choices"]:
        raise ValueError(f"{value!r} is none of {', '.join(metadata['choices'])}")
    if metadata["minimum"] is not None and value < metadata["minimum"]:
        raise ValueError(f"{value} is below the least, {metadata['minimum']}")
    if metadata["maximum"] is not None and value > metadata["maximum"]:
        raise ValueError(f"{value} is above the most, {metadata['maximum']}")
    if metadata["check"] is not None:
        metadata["check"](value)
    return value


def _parse_bool(raw: Any) -> bool:
    words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and raw.lower() in words:
        return words[raw.lower()]
    raise ValueError(f"must be true or false, not {raw!r}")


def _parse_number(kind: type, raw: Any) -> Any:
    # int("1_0") is 10 and float("nan") is a float: spell out what a number is.
    text = raw if isinstance(raw, str) else repr(raw)
    pattern = r"-?[0-9]{1,15}" if kind is int else r"-?[0-9]{1,15}(\.[0-9]{1,9})?"
    if isinstance(raw, bool) or not re.fullmatch(pattern, text):
        raise ValueError(f"must be a {'whole ' if kind is int else ''}number, not {raw!r}")
    return kind(text)


def mask_url(url: str) -> str:
    """A URL fit for a log: each password replaced by `***`, rather too much than too little."""
    return ",".join(_mask_one(part) for part in re.split(r",(?=\s*[a-z]+://)", url))


def _mask_one(url: str) -> str:
    # A password with an @ or a / in it is no valid URL, and a password all the same.
    masked = re.sub(r"(?s)^(\s*[A-Za-z][A-Za-z0-9+.-]*://[^:@/]*):.*@", r"\1:***@", url)
    return re.sub(r"(?i)\b(password|sslpassword|ssl_options)\s*=\s*('(?:[^'\\]|\\.)*'|[^&\s]*)", r"\1=***", masked)
