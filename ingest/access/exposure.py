"""Whether we may listen where we are told to: beyond this machine, only when we ask who is there."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

from schemas.address import parse
from schemas.settings import ConfigError, Settings


def check_exposure(settings: Settings) -> None:
    """Raises ConfigError for an address that others can reach while nobody is asked who they are."""
    asks = settings.auth != "none" or bool(settings.tls_client_ca)
    if asks or settings.insecure_no_auth or is_loopback(settings.listen):
        return
    text = (
        f"INGEST_LISTEN: {settings.listen} can be reached from other machines, and anybody could post there: "
        "set INGEST_AUTH to token, signature or any (or INGEST_TLS_CLIENT_CA), or listen on 127.0.0.1, "
        "or accept it with --insecure-no-auth"
    )
    raise ConfigError([text])


def check_metrics_exposure(settings: Settings) -> None:
    """Raises ConfigError for metrics of `consume` that others can read: it never asks who they are."""
    listen = settings.metrics_listen
    try:
        parse(listen)
    except ValueError:
        return  # What is no HOST:PORT at all, `consume` says itself.
    if settings.insecure_no_auth or is_loopback(listen):
        return
    text = (
        f"INGEST_METRICS_LISTEN: {listen} can be reached from other machines, and anybody could read metrics there: "
        "listen on 127.0.0.1 behind a proxy that asks who they are, or accept it with --insecure-no-auth"
    )
    raise ConfigError([text])


def is_loopback(listen: str) -> bool:
    """Whether HOST:PORT is of this machine only; of names, only `localhost` is taken for that."""
    try:
        host = parse(listen).host
        if host == "localhost":
            return True
        address = ip_address(host)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback
