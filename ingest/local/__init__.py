"""The private local stack: a RabbitMQ node and a PostgreSQL cluster of one's own, under one folder."""
