"""One consumer process: `process` connects, `lanes` says which queues, `source` brings deliveries that
`intake` makes, `pipeline` judges
and gathers them in the `batcher`, `committer` stores them, `outbox` replies, `settle` acks.
"""
