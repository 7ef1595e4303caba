"""TLS to the broker: an amqps URL says with which CAs and which certificate, as RabbitMQ's own URLs do."""

from __future__ import annotations

import ssl
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

_NAMES: Final = frozenset({"cacertfile", "certfile", "keyfile", "verify", "server_name_indication"})
"""Query parameters of RabbitMQ's URI specification, www.rabbitmq.com/docs/uri-query-parameters."""

_STRICT: Final = range(80, 95)
"""X509_V_ERR_* that only X509_V_FLAG_X509_STRICT raises: keyUsage, key identifiers, basic constraints [x509_vfy.h]."""


@dataclass(frozen=True, slots=True)
class BrokerTLS:
    """`server_name` is whom the broker's certificate must name; None: the URL's host."""

    context: ssl.SSLContext
    server_name: str | None


def split_tls(url: str) -> tuple[str, BrokerTLS | None]:
    """The URL without what is said of TLS in it, and that; None when it says nothing.

    An amqps URL that says nothing is verified against the system's CAs. Raises ValueError, in words that
    hold nothing of the URL but a file's name.
    """
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    ours = {name: value for name, value in query if name in _NAMES}
    if not ours:
        return url, None
    if parts.scheme != "amqps":
        raise ValueError(f"{', '.join(sorted(ours))} belong to amqps:// URLs")
    others = urlencode([pair for pair in query if pair[0] not in _NAMES])
    return urlunsplit(parts._replace(query=others)), BrokerTLS(_context(ours), ours.get("server_name_indication"))


def strictness(error: BaseException) -> str:
    """What Python finds wrong with the certificates themselves, and the remedy; empty for any other error.

    From 3.13 on Python holds CAs to RFC 5280. No waiting mends that, as it may mend a broker that is away.
    """
    found = next((each for each in _within(error) if isinstance(each, ssl.SSLCertVerificationError)), None)
    if found is None or found.verify_code not in _STRICT:
        return ""
    return (
        f"the broker's certificate or its CA is not as Python {sys.version_info[0]}.{sys.version_info[1]} wants it: "
        f"{found.verify_message}; a CA has to say keyUsage = critical, keyCertSign: issue it anew"
    )


def _within(error: object, deep: int = 8) -> Iterator[object]:
    """An error and those that it wraps, in pika's ways and in Python's."""
    yield error
    held = (getattr(error, name, ()) for name in ("exceptions", "exception", "args", "__cause__"))
    for each in held if deep else ():
        for one in each if isinstance(each, (list, tuple)) else (each,):
            if isinstance(one, BaseException):
                yield from _within(one, deep - 1)


def _context(given: dict[str, str]) -> ssl.SSLContext:
    verify = given.get("verify", "verify_peer")
    if verify not in ("verify_peer", "verify_none"):
        raise ValueError("verify is verify_peer or verify_none")
    try:
        context = ssl.create_default_context(cafile=given.get("cacertfile"))
        if "certfile" in given:
            context.load_cert_chain(given["certfile"], given.get("keyfile"), password=lambda: "")
    except (OSError, ValueError) as error:
        names = ", ".join(given[name] for name in ("cacertfile", "certfile", "keyfile") if name in given)
        why = getattr(error, "reason", None) or getattr(error, "strerror", None) or "not what is wanted"
        raise ValueError(f"{names}: {why}") from None
    if verify == "verify_none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
