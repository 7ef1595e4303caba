"""Keeps on disk what the broker does not take and nobody will send again: `place` says where, `record` is a message as
bytes, `segments` are the files, `disk` asks for them and is held up alone, `spool` puts messages in, `drainer` takes
them to the broker, `contents` looks.
"""
