"""The back door: judges what the queues hold and stores it, one transaction a batch."""
