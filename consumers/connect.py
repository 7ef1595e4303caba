"""Opens connections to the broker: the hosts of AMQP_URL in turn, with the timeouts that keep us from hanging."""

from __future__ import annotations

import pika
import pika.exceptions
from pika.adapters.blocking_connection import BlockingConnection

from consumers.errors import BrokerUnavailable, Misconfigured
from schemas.settings import mask_url

_REFUSALS = (
    pika.exceptions.ProbableAuthenticationError,
    pika.exceptions.ProbableAccessDeniedError,
    pika.exceptions.AuthenticationError,
)


def connect(amqp_url: str, *, heartbeat: int, name: str) -> BlockingConnection:
    """A connection to the first host that takes us; `name` is what the broker lists it under.

    Raises BrokerUnavailable when none does, Misconfigured when the broker refuses who we are.
    """
    try:
        return BlockingConnection([_parameters(url, heartbeat, name) for url in amqp_url.split(",")])
    except (*_REFUSALS, ValueError) as error:
        raise Misconfigured(f"AMQP_URL {mask_url(amqp_url)}: {_words(error)}") from error
    except pika.exceptions.ConnectionClosedByBroker as error:
        raise Misconfigured(f"AMQP_URL {mask_url(amqp_url)}: {error.reply_text}") from error
    except (pika.exceptions.AMQPError, OSError) as error:
        raise BrokerUnavailable(f"AMQP_URL {mask_url(amqp_url)}: {_words(error)}") from error


def _parameters(url: str, heartbeat: int, name: str) -> pika.URLParameters:
    parameters = pika.URLParameters(url.strip())
    parameters.heartbeat = heartbeat
    parameters.socket_timeout = 5
    parameters.stack_timeout = 10
    parameters.blocked_connection_timeout = 10
    parameters.connection_attempts = 1
    parameters.client_properties = {"connection_name": name, "product": "chef-ingest"}
    # A half-open peer: the kernel gives up on unanswered data long before its default of 15 minutes.
    parameters.tcp_options = {"TCP_USER_TIMEOUT": 2 * heartbeat * 1000, "TCP_KEEPIDLE": heartbeat}
    return parameters


def _words(error: BaseException) -> str:
    inner = getattr(error, "exceptions", None) or error.args
    return f"{type(error).__name__}: {'; '.join(str(each) for each in inner) or 'no answer'}"
