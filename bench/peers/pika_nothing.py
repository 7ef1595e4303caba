"""Limit: pika consuming and acking 500 at a time, and no work at all. Says when it began and ended."""

from __future__ import annotations

import json
import sys
import time

import pika
from action_table import read_environment

ACK_EVERY = 500


def main(count: int) -> None:
    environment = read_environment()
    connection = pika.BlockingConnection(pika.URLParameters(environment.amqp_url))
    channel = connection.channel()
    channel.basic_qos(prefetch_count=environment.prefetch)
    seen = 0
    began = cpu = 0.0

    def on_message(channel, method, properties, body):
        nonlocal seen, began, cpu
        if not seen:
            began, cpu = time.time(), time.process_time()
        seen += 1
        if seen % ACK_EVERY == 0 or seen == count:
            channel.basic_ack(method.delivery_tag, multiple=True)
        if seen == count:
            channel.stop_consuming()

    channel.basic_consume(environment.queue, on_message)
    channel.start_consuming()
    # Answered by the broker after it has taken the acks.
    channel.queue_declare(environment.queue, passive=True)
    print(json.dumps({"began": began, "ended": time.time(), "cpu": time.process_time() - cpu}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
