"""Opens connections to the broker: the hosts of AMQP_URL in turn, with the timeouts that keep us from hanging, and
turns them while something is waited for."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import pika
import pika.exceptions
from pika.adapters.blocking_connection import BlockingConnection
from pika.channel import Channel

from consumers.broker.frames import PromptConnection, beneath, drop
from consumers.broker.tls import split_tls, strictness
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


ENDURING: Final = Patience(blocked=None)
"""A blocked connection is kept: it tells us when the alarm is over."""


def connect(amqp_url: str, *, heartbeat: int, name: str, patience: Patience | None = None) -> BlockingConnection:
    """A connection to the first host that takes us; `name` is what the broker lists it under.

    Raises BrokerUnavailable when none does, Misconfigured when the broker refuses who we are.
    """
    try:
        hosts = parameters(amqp_url, heartbeat=heartbeat, name=name, patience=patience)
        return BlockingConnection(hosts, _impl_class=PromptConnection)
    except pika.exceptions.AuthenticationError as error:
        raise Misconfigured(f"AMQP_URL {mask_url(amqp_url)}: {_words(error)}") from error
    except pika.exceptions.ConnectionClosedByBroker as error:
        refused = error.reply_code in _REFUSED_CODES and not _PASSING.search(error.reply_text)
        kind = Misconfigured if refused else BrokerUnavailable
        raise kind(f"AMQP_URL {mask_url(amqp_url)}: {error.reply_text}") from error
    except (pika.exceptions.AMQPError, OSError) as error:
        strict, words = strictness(error), _words(error)
        said = _SAID.search(words) and not _PASSING.search(words)
        kind = Misconfigured if strict or said else BrokerUnavailable
        raise kind(f"AMQP_URL {mask_url(amqp_url)}: {strict or words}") from error


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


OPEN_SECONDS: Final = 10.0
"""How long the broker may take to open a channel."""


CLOSE_SECONDS: Final = 2.0
"""And how long over our goodbye."""

_INTERNAL_ERROR: Final = 541


class LiveConnection:
    """`connection`, from now on turned here and nowhere else.

    `blocked`: the broker has said that it takes nothing (a memory or disk alarm). `lost` says why it is gone, once it
    is; `internal_error`: because something we sent made the broker itself fail.
    """

    def __init__(self, connection: BlockingConnection) -> None:
        self.blocked = False
        self.lost = ""
        self.internal_error = False
        self._closed = False
        self._connection = connection
        self._beneath = beneath(connection)
        self._beneath.add_on_connection_blocked_callback(lambda *_: self._set_blocked(True))
        self._beneath.add_on_connection_unblocked_callback(lambda *_: self._set_blocked(False))
        self._beneath.add_on_close_callback(lambda _, error: self._lose(error))

    def channel(self) -> Channel:
        """A new one, open. Raises BrokerUnavailable."""
        try:
            channel = self._beneath.channel(on_open_callback=lambda _: None)
        except pika.exceptions.AMQPError as error:
            raise BrokerUnavailable(f"lost RabbitMQ: {error!r}") from error
        self.wait(lambda: bool(channel.is_open), OPEN_SECONDS)
        return channel

    def turn(self, seconds: float = 0.0) -> None:
        """Read and write what there is, waiting up to `seconds` for something. Raises nothing: see `lost`."""
        if self.lost:
            return
        loop = self._beneath.ioloop
        timer = loop.call_later(seconds, lambda: None)
        try:
            loop.poll()
            loop.process_timeouts()
            loop.remove_timeout(timer)
        except (pika.exceptions.AMQPError, OSError) as error:
            self._lose(error)

    def wait(self, done: Callable[[], bool], seconds: float) -> None:
        """Until it is done. Raises BrokerUnavailable once that is not to be expected any more, or not in time."""
        until = time.monotonic() + seconds
        while not done():
            if self.lost:
                raise BrokerUnavailable(self.lost)
            if self.blocked:
                raise BrokerUnavailable("the broker blocks publishers (memory or disk alarm)")
            if time.monotonic() > until:
                raise BrokerUnavailable(f"RabbitMQ did not answer within {seconds:g} s")
            self.turn(0.1)

    def close(self) -> None:
        """Leave the broker; politely, where it listens. Raises nothing, and may be called twice."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(pika.exceptions.AMQPError, OSError, BrokerUnavailable):
            if self._beneath.is_open:
                self._beneath.close()
            self.wait(lambda: bool(self.lost), CLOSE_SECONDS)
        if not self.lost:
            drop(self._connection)
            self.turn()
        self._beneath.ioloop.deactivate_poller()
        self._beneath.ioloop.close()

    def _set_blocked(self, blocked: bool) -> None:
        self.blocked = blocked

    def _lose(self, error: Any) -> None:
        self.lost = self.lost or f"lost RabbitMQ: {error!r}"
        self.internal_error = getattr(error, "reply_code", None) == _INTERNAL_ERROR
