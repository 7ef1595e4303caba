"""Guarantees of the loop broken on purpose, one at a time, to prove that histories would show it."""

from __future__ import annotations

from typing import Any

import msgspec

from consumers.delivery import Judged
from consumers.errors import BrokerUnavailable
from consumers.worker.pipeline import Pipeline
from schemas.validation.judge import Candidate
from schemas.verdict import Created, Invalid


def ack_before_commit(**parts: Any) -> Pipeline:
    """The broker is told that a batch is safe before it is."""
    pipeline = Pipeline(**parts)
    acknowledge, submit = pipeline.source.acknowledge, pipeline.committer.submit

    acked = set()

    def acked_first(batch: Any) -> None:
        acknowledge([item.delivery for item in batch.items], whole_prefix=False)
        acked.update(item.delivery.tag for item in batch.items)
        submit(batch)

    pipeline.committer.submit = acked_first
    pipeline.source.acknowledge = lambda deliveries, *, whole_prefix: acknowledge(
        [each for each in deliveries if each.tag not in acked], whole_prefix=False
    )
    return pipeline


def answer_before_commit(**parts: Any) -> Pipeline:
    """Whoever waits is told of a row that is about to be stored."""
    pipeline = Pipeline(**parts)
    submit = pipeline.committer.submit

    def answered_first(batch: Any) -> None:
        candidates = [item for item in batch.items if isinstance(item.judgement, Candidate)]
        pipeline.outbox.reply([(item.delivery, Created("/soon")) for item in candidates])
        submit(batch)

    pipeline.committer.submit = answered_first
    return pipeline


def ack_without_letter(**parts: Any) -> Pipeline:
    """What is refused is acknowledged, and that is all."""
    pipeline = Pipeline(**parts)

    def gather(item: Judged) -> None:
        if isinstance(item.judgement, Invalid):
            pipeline.source.acknowledge([item.delivery], whole_prefix=False)
        else:
            honest(item)

    honest = Pipeline._gather.__get__(pipeline)
    return _with(pipeline, _gather=gather)


def ack_of_what_is_in_hand(**parts: Any) -> Pipeline:
    """Whatever is older than a settled batch is acknowledged with it."""
    pipeline = Pipeline(**parts)
    acknowledge = pipeline.source.acknowledge
    pipeline.source.acknowledge = lambda deliveries, *, whole_prefix: acknowledge(deliveries, whole_prefix=True)
    return pipeline


def ack_before_move(**parts: Any) -> Pipeline:
    """A move that the broker does not take counts as one."""
    for name in ("quarantine", "park", "delay"):
        setattr(parts["outbox"], name, _swallowing(getattr(parts["outbox"], name)))
    return Pipeline(**parts)


def no_suspects(**parts: Any) -> Pipeline:
    """What kills its worker comes again as if it had never come."""
    poll = parts["source"].poll
    parts["source"].poll = lambda timeout: [msgspec.structs.replace(each, headers={}) for each in poll(timeout)]
    return Pipeline(**parts)


PLANTED = {
    each.__name__: each
    for each in (
        ack_before_commit,
        answer_before_commit,
        ack_without_letter,
        ack_of_what_is_in_hand,
        ack_before_move,
        no_suspects,
    )
}


def _swallowing(move: Any) -> Any:
    def moved(*arguments: Any) -> None:
        try:
            move(*arguments)
        except BrokerUnavailable:
            return

    return moved


def _with(pipeline: Pipeline, **methods: Any) -> Pipeline:
    """The same with other methods, which slots do not take."""
    kept: dict[str, Any] = {name: staticmethod(each) for name, each in methods.items()}
    kind = type("Planted", (Pipeline,), kept | {"__slots__": ()})
    pipeline.__class__ = kind
    return pipeline
