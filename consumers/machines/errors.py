"""What stands in the way of asking another machine; imported by every command, so it imports nothing."""


class NotAsked(Exception):
    """No such supervisor, or it did not answer; the message says what to do."""
