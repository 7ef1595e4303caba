"""The three ways to be stopped from outside."""

from __future__ import annotations


class BrokerUnavailable(Exception):
    """RabbitMQ can't be reached or went away; check AMQP_URL and the broker, the worker keeps trying."""


class StoreUnavailable(Exception):
    """PostgreSQL can't commit now; the batch is held and tried again, nothing is lost."""


class Misconfigured(Exception):
    """The broker or the database is not as we need it, and trying again won't help (exit 78)."""
