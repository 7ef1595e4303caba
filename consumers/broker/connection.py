"""Opens connections to the broker: the hosts of AMQP_URL in turn, with the timeouts that keep us from hanging."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pika
import pika.exceptions
from pika.adapters.blocking_connection import BlockingConnection

from consumers.broker.frames import PromptConnection
from consumers.broker.tls import split_tls
from consumers.errors import BrokerUnavailable, Misconfigured
from schemas.settings import mask_url

_REFUSED_CODES = (403, 530)
"""Access refused; no such vhost [AMQP 0-9-1, 1.2 constants]."""

_SAID = re.compile(r"ConnectionClosedByBroker: \((?:403|530)\)")
"""How pika tells, in an error of its own, that the broker has said so. Where the wire was cut while we said who we
are it only guesses the same, and such a guess must not stop a worker for good."""

_PASSING = re.compile(r"connection limit|is down", re.IGNORECASE)
"""What the broker refuses by 530 and soon may not: a user, a vhost or a node has as many connections as it is allowed,
or a vhost is just being recovered [rabbit_reader.erl]."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds for TCP's handshake, for all of AMQP's on a host, and for an alarm that blocks us (None: for ever)."""

    connect: float = 5
    handshake: float = 10
    blocked: float | None = 10


def connect(amqp_url: str, *, heartbeat: int, name: str) -> BlockingConnection:
    """A connection to the first host that takes us; `name` is what the broker lists it under.

    Raises BrokerUnavailable when none does, Misconfigured when the broker refuses who we are.
    """
    try:
        return BlockingConnection(parameters(amqp_url, heartbeat=heartbeat, name=name), _impl_class=PromptConnection)
    except pika.exceptions.AuthenticationError as error:
        raise Misconfigured(f"AMQP_URL {mask_url(amqp_url)}: {_words(error)}") from error
    except pika.exceptions.ConnectionClosedByBroker as error:
        refused = error.reply_code in _REFUSED_CODES and not _PASSING.search(error.reply_text)
        kind = Misconfigured if refused else BrokerUnavailable
        raise kind(f"AMQP_URL {mask_url(amqp_url)}: {error.reply_text}") from error
    except (pika.exceptions.AMQPError, OSError) as error:
        words = _words(error)
        kind = Misconfigured if _SAID.search(words) and not _PASSING.search(words) else BrokerUnavailable
        raise kind(f"AMQP_URL {mask_url(amqp_url)}: {_words(error)}") from error


def parameters(
    amqp_url: str, *, heartbeat: int, name: str, patience: Patience | None = None
) -> list[pika.URLParameters]:
    """How to connect to each host of AMQP_URL, in its order: the only list of it, for workers, shims and operators.

    Raises Misconfigured for what is no URL.
    """
    try:
        return [_parameters(url, heartbeat, name, patience or Patience()) for url in amqp_url.split(",")]
    except ValueError as error:
        raise Misconfigured(f"AMQP_URL {mask_url(amqp_url)}: {error}") from error


def _read(url: str) -> pika.URLParameters:
    """One AMQP URL as pika wants it, TLS included. Raises ValueError, in words that hold no password."""
    plain, tls = split_tls(url.strip())
    try:
        parameters = pika.URLParameters(plain)
    except (ValueError, TypeError, KeyError, SyntaxError, AttributeError) as error:
        raise ValueError(f"can't be read as an AMQP URL ({type(error).__name__})") from None
    if tls is not None:
        parameters.ssl_options = pika.SSLOptions(tls.context, tls.server_name or parameters.host)
    return parameters


def _parameters(url: str, heartbeat: int, name: str, patience: Patience) -> pika.URLParameters:
    parameters = _read(url)
    parameters.heartbeat = heartbeat
    parameters.socket_timeout = patience.connect
    parameters.stack_timeout = patience.handshake
    parameters.blocked_connection_timeout = patience.blocked
    parameters.connection_attempts = 1
    parameters.client_properties = {"connection_name": name, "product": "chef-ingest"}
    # A half-open peer: the kernel gives up on unanswered data long before its default of 15 minutes.
    parameters.tcp_options = {"TCP_USER_TIMEOUT": 2 * heartbeat * 1000, "TCP_KEEPIDLE": heartbeat}
    return parameters


def _words(error: BaseException) -> str:
    inner = getattr(error, "exceptions", None) or error.args
    return f"{type(error).__name__}: {'; '.join(str(each) for each in inner) or 'no answer'}"
