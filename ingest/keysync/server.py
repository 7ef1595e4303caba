"""Asks a Chef server, by signed requests, who is in an organization and what their public keys are."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import urllib3
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ingest.access.exposure import is_loopback
from ingest.access.keys import LARGEST_FILE, names_a_file
from ingest.access.signatures import sign
from schemas.settings import ConfigError

SIDE_BY_SIDE: Final = 4
"""Requests under way at once: a Chef server has its nodes to answer."""
_LONGEST_LIST: Final = 64 * 1024 * 1024
"""Bytes of a list of names: several hundred thousand clients."""
_LONGEST_ANSWER: Final = 256 * 1024
_TIMEOUT: Final = urllib3.Timeout(connect=10, read=60)
_RETRY: Final = urllib3.Retry(
    total=4, other=0, redirect=False, status_forcelist=(429, 500, 502, 503, 504),
    backoff_factor=0.5, backoff_jitter=0.5, backoff_max=10, retry_after_max=10,
)  # fmt: skip
_REFUSALS: Final = {
    401: "the Chef server does not know this user by this key (or this machine's clock is wrong)",
    403: "the user may not read this: a member of the organization may",
    404: "there is no such organization",
}


class ServerUnavailable(Exception):
    """The Chef server can't be reached, or goes on failing; the message says how."""


class ServerRefuses(Exception):
    """The Chef server's answer is one that trying again won't change; the message says why."""


class Organization(NamedTuple):
    """Where an organization is: its server's `root`, https://HOST, and its `name`."""

    root: str
    name: str

    @classmethod
    def of(cls, url: str) -> Organization:
        """As knife's chef_server_url names it. Raises ConfigError."""
        try:
            parts = urlsplit(url)
            place = parts.netloc if parts.port else f"{parts.netloc}:80"
        except ValueError:
            raise ConfigError([_no_url(url)]) from None
        empty, _, name = parts.path.removesuffix("/").partition("/organizations/")
        if empty or not names_a_file(name) or not parts.hostname or "@" in place or parts.query or parts.fragment:
            raise ConfigError([_no_url(url)])
        if parts.scheme == "http" and not is_loopback(place):
            raise ConfigError([f"{url}: over plain HTTP anybody on the way could put in a key of their own: use https"])
        if parts.scheme not in ("http", "https"):
            raise ConfigError([_no_url(url)])
        return cls(f"{parts.scheme}://{parts.netloc}", name)


@dataclass(frozen=True, slots=True)
class ServerUser:
    """Who asks the Chef server."""

    user: str
    key: RSAPrivateKey

    @classmethod
    def read(cls, user: str, path: Path) -> ServerUser:
        """With the private key in a PEM file. Raises ConfigError."""
        try:
            with path.open("rb") as file:
                key = load_pem_private_key(file.read(LARGEST_FILE), password=None)
        except OSError as error:
            raise ConfigError([f"{path}: {error.strerror}"]) from None
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, RSAPrivateKey):
            raise ConfigError([f"{path}: no RSA private key in PEM without a passphrase"])
        return cls(user, key)


class ChefServer:
    """An organization of a Chef server. Threads may share it. All that it is asked may raise ServerUnavailable or
    ServerRefuses."""

    def __init__(
        self, organization: Organization, signer: ServerUser, ca: Path | None, now: Callable[[], float] = time.time
    ) -> None:
        """`ca`: a PEM file of CAs to trust instead of the system's. Raises ConfigError."""
        self.organization = organization
        self._signer = signer
        self._now = now
        context = _tls(ca) if organization.root.startswith("https:") else None
        self._pool = urllib3.PoolManager(
            1, maxsize=SIDE_BY_SIDE, block=True, retries=_RETRY, timeout=_TIMEOUT, ssl_context=context
        )

    def clients(self) -> list[str]:
        """The names of all clients."""
        told = self._asked("/clients", _LONGEST_LIST)
        if not isinstance(told, dict):
            raise ServerRefuses(f"{self.organization.root} answers /clients with what is no list of clients")
        return sorted(told)

    def members(self) -> list[str]:
        """The names of the organization's members."""
        told = self._asked("/users", _LONGEST_LIST)
        try:
            return sorted(str(each["user"]["username"]) for each in told)
        except (TypeError, KeyError, IndexError):
            raise ServerRefuses(f"{self.organization.root} answers /users with what is no list of members") from None

    def keys(self, owner: str) -> list[dict[str, Any]]:
        """The keys of `clients/NAME` or `users/NAME` that have not expired, each as the server tells it; none where the
        owner has gone."""
        listed = self._get(f"/{owner}/keys", _LONGEST_ANSWER)
        try:
            names = [] if listed is None else [str(each["name"]) for each in listed if each.get("expired") is not True]
        except (TypeError, KeyError, AttributeError):
            raise ServerRefuses(
                f"{self.organization.root} answers /{owner}/keys with what is no list of keys"
            ) from None
        # What is no name of a key would ask for something else.
        told = {name: self._get(f"/{owner}/keys/{name}", _LONGEST_ANSWER) for name in names if names_a_file(name)}
        # One that has gone meanwhile is none.
        return [{"name": name} | _object(told.get(name, {})) for name in names if told.get(name, {}) is not None]

    def _asked(self, path: str, most: int) -> Any:
        told = self._get(path, most)
        if told is None:
            raise ServerRefuses(f"{self.organization.root}/organizations/{self.organization.name}: {_REFUSALS[404]}")
        return told

    def _get(self, path: str, most: int) -> Any:
        """The JSON at this path of the organization, of `most` bytes; None where there is nothing."""
        path = f"/organizations/{self.organization.name}{path}"
        url = self.organization.root + path
        signed = sign(self._signer.key, "GET", path, user=self._signer.user, at=self._now())
        fields = {"Accept": "application/json", "X-Chef-Version": "18.0.0", "User-Agent": "chef-ingest"} | signed
        try:
            response = self._pool.request("GET", url, headers=fields, preload_content=False, redirect=False)
            content = bytearray()
            # To its very end: only there it is seen whether it was cut off.
            for piece in response.stream(decode_content=False):
                content += piece
                if len(content) > most:
                    response.close()
                    break
        except urllib3.exceptions.HTTPError as error:
            reason = getattr(error, "reason", None) or error
            if isinstance(reason, urllib3.exceptions.SSLError):
                raise ServerRefuses(
                    f"{self.organization.root}: {reason}; --ca names the CA of its certificate"
                ) from None
            raise ServerUnavailable(f"{self.organization.root} can't be asked: {reason}") from None
        if response.status == 404:
            return None
        if response.status != 200:
            why = _REFUSALS.get(response.status, "no answer of a Chef server: is the URL right?")
            raise ServerRefuses(f"{url}: {response.status}: {why}")
        try:
            if len(content) > most:
                raise ValueError
            return json.loads(content)
        except (ValueError, RecursionError):
            raise ServerRefuses(f"{url}: the answer is no JSON, or longer than {most} bytes") from None


def _tls(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=None if ca is None else str(ca))
    except ssl.SSLError:
        raise ConfigError([f"{ca}: it holds no certificates in PEM"]) from None
    except OSError as error:
        raise ConfigError([f"{ca}: {error.strerror}"]) from None


def _no_url(url: str) -> str:
    return f"{url}: no URL like https://chef.example.com/organizations/NAME"


def _object(told: Any) -> dict[str, Any]:
    return told if isinstance(told, dict) else {}
