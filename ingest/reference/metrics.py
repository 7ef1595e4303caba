"""Reads names, types, labels and help of the metrics out of the registries that make them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple, cast

from prometheus_client import CollectorRegistry

from consumers.supervisor.metrics import Metrics, Surroundings
from consumers.supervisor.monitor import Monitor
from ingest.access.gate import Gate
from ingest.http.limits import Held, Limits
from ingest.shim.metrics import ShimMetrics
from ingest.spool.contents import Contents
from schemas.settings import Settings


class Metric(NamedTuple):
    """One metric, under the name that a scrape gives it."""

    name: str
    type: str
    labels: tuple[str, ...]
    help: str


def of_shim() -> list[Metric]:
    """What `serve` tells."""
    metrics = ShimMetrics("")
    publisher = cast(Any, SimpleNamespace(outstanding=0, connected=True, blocked_by_broker=False))
    metrics.watch(publisher, Gate(None, None))
    metrics.watch_connections(cast(Any, SimpleNamespace(limits=Limits.of(Settings()), held=Held(0), connections={})))
    metrics.watch_spool(Contents, 0)
    return _listed(metrics.registry)


def of_supervisor() -> list[Metric]:
    """What `consume` tells."""
    metrics = Metrics("")
    nobody = cast(Any, SimpleNamespace(described=list, wanted=0))
    metrics.registry.register(Surroundings(nobody, Monitor, lambda: True, {"all": 0}))
    return _listed(metrics.registry)


def _listed(registry: CollectorRegistry) -> list[Metric]:
    # Label names are told by samples only, and a metric without samples has none to tell: its own attribute has them.
    listed = []
    for collector in registry._collector_to_names:
        labels = getattr(collector, "_labelnames", None)
        for family in collector.collect():
            names = labels if labels is not None else getattr(family, "_labelnames", ())
            name = family.name + ("_total" if family.type == "counter" else "")
            listed.append(Metric(name, family.type, tuple(names), family.documentation))
    return listed
