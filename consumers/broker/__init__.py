"""All that speaks AMQP: `tls` and `connection` open, `frames` reads and writes what pika is slow at, `declare` puts
the topology there, `queues` looks at it, `properties` turns envelopes to JSON and back, `publisher` publishes
confirmed, `deaths` reads why the broker gave up.
"""
