"""Asks RabbitMQ's management API, where there is one, what AMQP can't tell: policies, bindings, nodes, copies."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult, quote, unquote, urlsplit

from consumers.broker.tls import split_tls
from ingest.diagnostics.finding import Finding, Level
from ingest.diagnostics.policies import bindings, copies, nodes, policies
from schemas.settings import ConfigError, Settings

_TIMEOUT_SECONDS: Final = 5
_PORTS: Final = {"http": 15672, "https": 15671}
_NODES: Final = "nodes?columns=name,running,partitions,mem_alarm,disk_free_alarm,disk_free,disk_free_limit"


def check_management(settings: Settings, named: str | None = None) -> Iterator[Finding]:
    """Findings from the API that `named`, or else INGEST_MANAGEMENT_URL, tells; or where it usually is.

    An API that is named and can't be asked is a warning; where none was named, there may be none: a note.
    Raises ConfigError for what is no URL, and for a password on the command line.
    """
    if named and "@" in named:
        raise ConfigError(["--management: a password does not belong on a command line: use INGEST_MANAGEMENT_URL"])
    level: Level = "warning" if named or settings.management_url else "note"
    try:
        api = _api(settings, named or settings.management_url)
    except _Unknown as unknown:
        text = f"policies, bindings and nodes are not all looked at: {unknown}"
        yield Finding("management", level, text, "name user and password in INGEST_MANAGEMENT_URL")
        return
    try:
        yield from policies(api.get(f"policies/{api.vhost}"), api.get(f"operator-policies/{api.vhost}"))
        yield from bindings(api.get(f"bindings/{api.vhost}"))
        members = api.get(_NODES)
        yield from nodes(members)
        yield from copies(api.get(f"queues/{api.vhost}?columns=name,members"), len(members))
    except urllib.error.HTTPError as error:
        with error:
            yield _refused(api, error, level)
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        why = getattr(error, "reason", None) or error
        yield _unseen(api, level, f"{api.base} does not answer ({why})", "name the management API by --management")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        text = f"{api.base} does not answer as RabbitMQ's management API does ({type(error).__name__}: {error})"
        yield _unseen(api, level, text, "name the management API by --management")


@dataclass(frozen=True, slots=True)
class _Api:
    """`base` ends without a slash; `vhost` is escaped for a path."""

    base: str
    user: str
    password: str
    vhost: str
    tls: ssl.SSLContext | None

    def get(self, path: str) -> Any:
        header = "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        request = urllib.request.Request(f"{self.base}/api/{path}", headers={"Authorization": header})
        # Straight there and nowhere else: neither a proxy nor where a redirect leads was given the password.
        straight = urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self.tls), _Stay()
        with urllib.request.build_opener(*straight).open(request, timeout=_TIMEOUT_SECONDS) as response:
            return json.load(response)


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: it is an answer, and not the one we want."""

    def redirect_request(self, *_: Any) -> None:
        return None


class _Unknown(Exception):
    """There is no password for the host that was named; the message says which."""


def _api(settings: Settings, named: str) -> _Api:
    """Of the first host of AMQP_URL, unless one is named; with the user and password of whichever setting names it.

    Beside amqps there is https, verified alike: a password is not sent in the clear where it was not before.
    Raises _Unknown for a host that no setting has a password for: nobody's is sent there.
    """
    brokers = [urlsplit(each.strip()) for each in settings.amqp_url.split(",")]
    broker = brokers[0]
    vhost = quote(unquote(broker.path[1:]) or "/", safe="")
    user, password = broker.username or "guest", broker.password or "guest"
    if named:
        scheme, host, own = _read(named)
        user, password = own or _known(settings, scheme, urlsplit(f"//{host}").hostname or "", brokers)
    else:
        scheme = "https" if broker.scheme == "amqps" else "http"
        name = broker.hostname or "127.0.0.1"
        host = f"[{name}]:{_PORTS[scheme]}" if ":" in name else f"{name}:{_PORTS[scheme]}"
    tls = None
    if scheme == "https" and broker.scheme == "amqps":
        try:
            told = split_tls(broker.geturl())[1]
        except ValueError as error:
            raise ConfigError([f"AMQP_URL: {error}"]) from None
        tls = told.context if told else None
    return _Api(f"{scheme}://{host}", unquote(user), unquote(password), vhost, tls)


def _known(settings: Settings, scheme: str, host: str, brokers: list[SplitResult]) -> tuple[str, str]:
    """User and password that some setting gives for this very host, to be sent this way. Raises _Unknown."""
    if settings.management_url:
        configured, place, own = _read(settings.management_url)
        if own and urlsplit(f"//{place}").hostname == host and (configured, scheme) != ("https", "http"):
            return own
    for broker in brokers:
        if broker.hostname == host and (broker.scheme, scheme) != ("amqps", "http"):
            return broker.username or "guest", broker.password or "guest"
    raise _Unknown(f"no password was given for {scheme}://{host}, and AMQP_URL's is not sent there")


def _read(url: str) -> tuple[str, str, tuple[str, str] | None]:
    """Scheme, host with port and path, user and password of a URL. Raises ConfigError, which quotes nothing of it."""
    try:
        parts = urlsplit(url.strip())
        good = parts.scheme in _PORTS and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good or any(not "!" <= letter <= "~" for letter in url.strip()):
        raise ConfigError(["INGEST_MANAGEMENT_URL, --management: no URL like http://HOST:15672"])
    own = (parts.username, parts.password or "") if parts.username else None
    return parts.scheme, parts.netloc.rpartition("@")[2] + parts.path.rstrip("/"), own


def _refused(api: _Api, error: urllib.error.HTTPError, level: Level) -> Finding:
    if error.code in (401, 403):
        why = _reason(error)
        remedy = f"rabbitmqctl set_user_tags {api.user} monitoring; or name another user in INGEST_MANAGEMENT_URL"
        return _unseen(api, level, f"{api.base} refuses the user {api.user}: {why}", remedy)
    return _unseen(api, level, f"{api.base} answers {error.code}", "name the management API by --management")


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["reason"])[:200]
    except (ValueError, KeyError, TypeError, OSError, http.client.HTTPException):
        return str(error.code)


def _unseen(api: _Api, level: Level, why: str, remedy: str) -> Finding:
    text = f"policies, bindings and nodes are not all looked at: {why}"
    return Finding("management", level, text, f"{remedy}; or look: rabbitmqctl list_policies -p {unquote(api.vhost)}")
