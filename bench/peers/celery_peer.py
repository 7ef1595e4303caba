"""Peer: Celery with celery-batches, fastjsonschema, psycopg executemany; a quorum queue, acks after the commit.

Celery reads its own message format only, so the same actions wait in `bench.celery` as tasks (task protocol 2).
"""

from __future__ import annotations

import logging
import os
from functools import cache

import fastjsonschema
import psycopg
from action_table import INSERT, read_environment, to_row
from celery import Celery
from celery_batches import Batches
from kombu import Exchange, Queue

environment = read_environment()
validate = fastjsonschema.compile(environment.schema)

app = Celery("bench", broker=environment.amqp_url)
app.conf.update(
    task_queues=[
        Queue(
            environment.queue,
            Exchange("", type="direct"),
            routing_key=environment.queue,
            queue_arguments={"x-queue-type": "quorum"},
            no_declare=True,
        )
    ],
    task_default_queue=environment.queue,
    task_acks_late=True,
    task_ignore_result=True,
    worker_detect_quorum_queues=True,
    worker_prefetch_multiplier=environment.prefetch,
    worker_cancel_long_running_tasks_on_connection_loss=True,
    worker_enable_remote_control=False,
    broker_connection_retry_on_startup=True,
)


@cache
def database() -> psycopg.Connection:
    return psycopg.connect(environment.database_url)


@app.task(base=Batches, name="bench.store_action", flush_every=environment.batch, flush_interval=0.25)
def store_action(requests) -> None:
    rows = []
    for request in requests:
        (message,) = request.args
        try:
            validate(message)
        except fastjsonschema.JsonSchemaValueException:
            logging.exception("refused %s", message.get("id"))
            continue
        rows.append(to_row(message))
    try:
        with database().transaction(), database().cursor() as cursor:
            cursor.executemany(INSERT, rows)
    except psycopg.Error:
        # celery-batches acks whatever happens in here: leave, so that the broker keeps what was not committed.
        logging.exception("not committed")
        os._exit(1)
