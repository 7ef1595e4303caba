"""All that speaks AMQP: `tls` and `connection` open, `frames` is all that leans on pika's inside, `declare` puts the
topology there, `queues` looks at it and `probe` asks what a doctor wants to know, `properties` turns envelopes to JSON
and back, `publisher` publishes confirmed, `replies` answers, `settle` acks, `deaths` reads why the broker gave up,
`provenance` whence a message comes and what of it is believed.
"""
