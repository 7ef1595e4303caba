"""Peer: pika, jsonschema, one INSERT and commit per message. What most people write first."""

from __future__ import annotations

import json

import jsonschema
import pika
import psycopg
from action_table import INSERT, read_environment, to_row


def main() -> None:
    environment = read_environment()
    validator = jsonschema.Draft4Validator(environment.schema)
    database = psycopg.connect(environment.database_url, autocommit=True)
    connection = pika.BlockingConnection(pika.URLParameters(environment.amqp_url))
    channel = connection.channel()
    channel.basic_qos(prefetch_count=environment.prefetch)

    def on_message(channel, method, properties, body):
        message = json.loads(body)
        if not validator.is_valid(message):
            channel.basic_reject(method.delivery_tag, requeue=False)
            return
        database.execute(INSERT, to_row(message))
        channel.basic_ack(method.delivery_tag)

    channel.basic_consume(environment.queue, on_message)
    channel.start_consuming()


if __name__ == "__main__":
    main()
